#include "functions/snapshot.h"

struct hd_snapshot {
    atomic_uint owners;
    uint64_t generation;
    struct hd_function **functions; /* sorted by name */
    size_t n;
    struct hd_map by_name;
};

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct hd_function *const *)a)->name, (*(struct hd_function *const *)b)->name);
}

struct hd_snapshot *hd_snapshot_new(struct hd_function **functions, size_t n, uint64_t generation)
{
    struct hd_snapshot *s = hd_new(struct hd_snapshot);
    *s =
        (struct hd_snapshot){.owners = 1, .generation = generation, .functions = functions, .n = n};
    if (n > 1)
        qsort(functions, n, sizeof(*functions), by_name);
    /* No secret seed: the names are the operator's; a client's name only looks them up. */
    hd_map_init(&s->by_name, 0);
    for (size_t i = 0; i < n; i++)
        hd_map_put(&s->by_name, hd_str(functions[i]->name), functions[i]);
    return s;
}

struct hd_snapshot *hd_snapshot_ref(struct hd_snapshot *s)
{
    atomic_fetch_add_explicit(&s->owners, 1, memory_order_relaxed);
    return s;
}

void hd_snapshot_unref(struct hd_snapshot *s)
{
    if (s == NULL || atomic_fetch_sub_explicit(&s->owners, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < s->n; i++)
        hd_function_unref(s->functions[i]);
    free(s->functions);
    hd_map_done(&s->by_name);
    free(s);
}

const struct hd_function *hd_snapshot_find(const struct hd_snapshot *s, struct hd_str name)
{
    return hd_map_get(&s->by_name, name);
}

const struct hd_function *const *hd_snapshot_all(const struct hd_snapshot *s, size_t *n)
{
    *n = s->n;
    return (const struct hd_function *const *)s->functions;
}

uint64_t hd_snapshot_generation(const struct hd_snapshot *s)
{
    return s->generation;
}
