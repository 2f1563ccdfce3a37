/* typed_order.c - the order in which JavaScript lists an object's members. */
#include "core/map.h"
#include "lanes/typed_private.h"

#include <stdint.h>

enum { FEW = 12 };

/* "0" to "4294967294", written without leading zeros. */
static bool array_index(struct hd_str name, uint64_t *out)
{
    if (name.len == 0 || name.len > 10 || (name.ptr[0] == '0' && name.len > 1))
        return false;
    return hd_str_to_u64(out, name) == 0 && *out <= 4294967294u;
}

/* A duplicate keeps its first place and its last value. */
static void drop_duplicates_few(struct hd_typed *o)
{
    size_t kept = 0;
    for (size_t i = 0; i < o->n; i++) {
        size_t at = 0;
        while (at < kept && !hd_str_eq(o->names[at], o->names[i]))
            at++;
        o->names[at] = o->names[i];
        o->items[at] = o->items[i];
        if (at == kept)
            kept++;
    }
    o->n = kept;
}

static void drop_duplicates_many(struct hd_typed *o)
{
    struct hd_map seen;
    size_t kept = 0;
    /* The names are a peer's: an address is seed enough against tables made to collide. */
    hd_map_init(&seen, (uint64_t)(uintptr_t)&seen ^ (uint64_t)(uintptr_t)o);
    for (size_t i = 0; i < o->n; i++) {
        struct hd_str name = o->names[i].ptr != NULL ? o->names[i] : hd_str_n("", 0);
        uintptr_t at = (uintptr_t)hd_map_get(&seen, name);
        if (at == 0) {
            at = ++kept;
            hd_map_put(&seen, name, (void *)at);
        }
        o->names[at - 1] = o->names[i];
        o->items[at - 1] = o->items[i];
    }
    hd_map_done(&seen);
    o->n = kept;
}

struct indexed {
    uint64_t index;
    struct hd_str name;
    struct hd_typed *item;
};

static int by_index(const void *a, const void *b)
{
    uint64_t x = ((const struct indexed *)a)->index, y = ((const struct indexed *)b)->index;
    return x < y ? -1 : x > y;
}

int hd_typed_order(struct hd_typed *o, struct hd_arena *arena)
{
    uint64_t index;
    size_t n_indexes = 0;
    if (o->n <= FEW)
        drop_duplicates_few(o);
    else
        drop_duplicates_many(o);
    for (size_t i = 0; i < o->n; i++)
        n_indexes += array_index(o->names[i], &index);
    if (n_indexes == 0)
        return 0;
    struct indexed *sorted = hd_arena_alloc(arena, o->n * sizeof(*sorted));
    if (sorted == NULL)
        return HD_EBUSY;
    size_t front = 0, back = n_indexes;
    for (size_t i = 0; i < o->n; i++) {
        bool is_index = array_index(o->names[i], &index);
        sorted[is_index ? front++ : back++] =
            (struct indexed){is_index ? index : 0, o->names[i], o->items[i]};
    }
    qsort(sorted, n_indexes, sizeof(*sorted), by_index);
    for (size_t i = 0; i < o->n; i++) {
        o->names[i] = sorted[i].name;
        o->items[i] = sorted[i].item;
    }
    return 0;
}
