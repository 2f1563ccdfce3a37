/* core/arena.h - memory that lives and dies with one request. */
#pragma once

#include "core/base.h"

struct hd_arena_block;

/** Bump allocation in blocks; freed all at once. The first block may be the caller's own memory. */
struct hd_arena {
    char *at, *end;
    struct hd_arena_block *blocks; /* newest first */
    char *first;
    size_t first_bytes;
    size_t used, max; /* bytes in `blocks`, and their ceiling */
};

/**
 * @param first      memory to use before anything is allocated, borrowed until done; or NULL.
 * @param max_bytes  ceiling for what is allocated beyond @p first.
 */
void hd_arena_init(struct hd_arena *a, void *first, size_t first_bytes, size_t max_bytes);
/** Free all blocks; the arena is as after init. */
void hd_arena_done(struct hd_arena *a);
/** @return zeroed memory aligned for any object, or NULL at the ceiling. */
void *hd_arena_alloc(struct hd_arena *a, size_t bytes);
/** @return a NUL-terminated copy in the arena, or {NULL, 0} at the ceiling. */
struct hd_str hd_arena_str(struct hd_arena *a, struct hd_str s);
