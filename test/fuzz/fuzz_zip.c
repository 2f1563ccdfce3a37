/* fuzz_zip.c - whatever bytes come: what is taken of them stays inside, and within its limits. */
#include "functions/bundle_plan.h"
#include "functions/bundle_unpack.h"
#include "fuzz.h"

enum { MAX_BYTES = 1 << 20, MAX_ITEMS = 1000 };

static void check_path(const char *path)
{
    struct hd_str rest = hd_str(path), part;
    fuzz_check(path[0] != '/' && path[0] != '\0' && rest.len <= HD_BUNDLE_PATH_MAX);
    while (hd_str_split(&part, &rest, '/')) {
        fuzz_check(part.len > 0 && part.len <= HD_BUNDLE_NAME_MAX);
        fuzz_check(!hd_str_is(part, ".") && !hd_str_is(part, ".."));
    }
}

static void check_parent(const struct hd_bundle_plan *plan, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return;
    const struct hd_bundle_item *parent =
        hd_map_get(&plan->by_path, hd_str_n(path, (size_t)(slash - path)));
    fuzz_check(parent != NULL && parent->kind == HD_ZIP_FOLDER);
}

static int count(void *arg, struct hd_str bytes)
{
    *(uint64_t *)arg += bytes.len;
    return 0;
}

static void check_plan(const struct hd_bundle_plan *plan, struct hd_str in)
{
    uint64_t sum = 0;
    unsigned n = 0;
    fuzz_check(plan->unpacked_bytes <= MAX_BYTES && plan->n_items <= MAX_ITEMS);
    hd_list_each(link, &plan->items)
    {
        const struct hd_bundle_item *item = hd_bundle_item_of(link);
        uint64_t bytes = 0;
        check_path(item->path);
        check_parent(plan, item->path);
        fuzz_check(hd_map_get(&plan->by_path, hd_str(item->path)) == item);
        fuzz_check(item->kind != HD_ZIP_OTHER);
        fuzz_check((item->kind == HD_ZIP_LINK) == (item->target != NULL));
        fuzz_check(item->target == NULL || item->target[0] != '/');
        fuzz_check((item->entry.mode & ~0777U) == 0);
        fuzz_check_within(item->entry.data, in);
        hd_zip_unpack(&item->entry, count, &bytes, NULL);
        fuzz_check(bytes <= item->entry.unpacked_bytes);
        sum += bytes;
        n++;
    }
    fuzz_check(n == plan->n_items && sum <= plan->unpacked_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct hd_str in = {(const char *)data, size};
    struct hd_bundle_plan plan;
    struct hd_error err = {0};
    const int rc = hd_bundle_plan_make(&plan, in, MAX_BYTES, MAX_ITEMS, &err);
    fuzz_check(rc == 0 || rc == HD_EINVAL || rc == HD_EBUSY);
    fuzz_check((rc < 0) == (err.msg[0] != '\0'));
    if (rc < 0)
        return 0;
    check_plan(&plan, in);
    hd_bundle_verify(&plan, &err);
    hd_bundle_plan_done(&plan);
    return 0;
}
