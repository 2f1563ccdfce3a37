/* fuzz_manifest.c - a value that is taken is in its range; lenient reading never fails. */
#include "functions/manifest.h"
#include "fuzz.h"

static void check_values(const struct hd_manifest *m)
{
    for (size_t i = 0; i < HD_KEY_COUNT; i++) {
        const struct hd_key_spec *k = &hd_key_specs[i];
        const struct hd_value *v = &m->v[i];
        if (!v->given)
            continue;
        if (k->kind == HD_KIND_INT)
            fuzz_check(v->n >= k->min && v->n <= k->max);
        if (k->kind == HD_KIND_RATE)
            fuzz_check(v->number >= 0 && v->number <= 1);
        if (k->kind == HD_KIND_MEGABYTE)
            fuzz_check(v->number >= 0);
        if (k->kind == HD_KIND_TEXT || k->kind == HD_KIND_CHOICE)
            fuzz_check(v->text != NULL && v->text[0] != '\0');
        if (k->kind == HD_KIND_LIST || k->kind == HD_KIND_WORDS || k->kind == HD_KIND_MAP)
            fuzz_check(v->list.items != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct hd_str text = {(const char *)data, size};
    struct hd_manifest m;
    struct hd_error err = {0};
    hd_manifest_init(&m, "f");
    int rc = hd_manifest_parse(&m, text, false, &err);
    fuzz_check(rc == 0 || (rc == HD_EINVAL && strncmp(err.msg, "f:", 2) == 0));
    fuzz_check(rc < 0 || m.warnings.n == 0);
    check_values(&m);
    hd_manifest_done(&m);
    hd_manifest_init(&m, "f");
    fuzz_check(hd_manifest_parse(&m, text, true, &err) == 0);
    check_values(&m);
    hd_manifest_done(&m);
    return 0;
}
