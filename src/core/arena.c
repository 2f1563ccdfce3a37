#include "core/arena.h"

#include <stdalign.h>

enum { BLOCK_BYTES = 4096 };

struct hd_arena_block {
    struct hd_arena_block *next;
    alignas(max_align_t) char bytes[];
};

void hd_arena_init(struct hd_arena *a, void *first, size_t first_bytes, size_t max_bytes)
{
    *a = (struct hd_arena){.at = first,
                           .end = first != NULL ? (char *)first + first_bytes : NULL,
                           .first = first,
                           .first_bytes = first_bytes,
                           .max = max_bytes};
}

void hd_arena_done(struct hd_arena *a)
{
    while (a->blocks != NULL) {
        struct hd_arena_block *next = a->blocks->next;
        free(a->blocks);
        a->blocks = next;
    }
    hd_arena_init(a, a->first, a->first_bytes, a->max);
}

static bool grow(struct hd_arena *a, size_t bytes)
{
    size_t want = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
    if (want > a->max - a->used)
        want = bytes;
    if (want > a->max - a->used)
        return false;
    struct hd_arena_block *block = hd_alloc(sizeof(*block) + want);
    block->next = a->blocks;
    a->blocks = block;
    a->used += want;
    a->at = block->bytes;
    a->end = block->bytes + want;
    return true;
}

void *hd_arena_alloc(struct hd_arena *a, size_t bytes)
{
    size_t pad = (size_t)(-(uintptr_t)a->at & (alignof(max_align_t) - 1));
    size_t need;
    if (__builtin_add_overflow(bytes, pad, &need))
        return NULL;
    if (a->at == NULL || need > (size_t)(a->end - a->at)) {
        if (!grow(a, bytes))
            return NULL;
        pad = 0; /* blocks start aligned */
    }
    char *p = a->at + pad;
    a->at = p + bytes;
    return memset(p, 0, bytes);
}

struct hd_str hd_arena_str(struct hd_arena *a, struct hd_str s)
{
    char *copy = s.len < SIZE_MAX ? hd_arena_alloc(a, s.len + 1) : NULL;
    if (copy == NULL)
        return hd_str_n(NULL, 0);
    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    return hd_str_n(copy, s.len);
}
