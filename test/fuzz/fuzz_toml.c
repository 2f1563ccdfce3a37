/* fuzz_toml.c - lines go up, paths are not empty; what is refused has a line. */
#include "functions/supabase.h"
#include "functions/toml.h"
#include "fuzz.h"

static int on_value(void *arg, const struct hd_toml_value *v)
{
    unsigned *lines = arg;
    fuzz_check(v->path->n > 0 && v->line >= 1 && v->line <= *lines);
    fuzz_check((v->kind == HD_TOML_STRINGS) == (v->list != NULL && v->kind != HD_TOML_OTHER));
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct hd_str text = {(const char *)data, size};
    struct hd_error err = {0};
    unsigned lines = 1;
    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    int rc = hd_toml_read(text, on_value, &lines, &err);
    fuzz_check(rc == 0 || (rc == HD_EINVAL && err.msg[0] >= '1' && err.msg[0] <= '9'));
    struct hd_supabase s;
    fuzz_check(hd_supabase_read(&s, text, "f", "/d", NULL) == rc);
    hd_supabase_done(&s);
    return 0;
}
