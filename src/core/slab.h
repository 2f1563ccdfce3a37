/* core/slab.h - a free list of equal objects for one thread: what a request needs is taken from
 * here and put back, without the allocator. Under AddressSanitizer it is plain malloc and free, so
 * that a use after free is still found. */
#pragma once

#include "core/base.h"

#if defined(__SANITIZE_ADDRESS__)
#define HD_SLAB_KEEPS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HD_SLAB_KEEPS 0
#endif
#endif
#ifndef HD_SLAB_KEEPS
#define HD_SLAB_KEEPS 1
#endif

struct hd_slab {
    void *free; /* each free object begins with a pointer to the next */
    size_t bytes;
    uint32_t kept, max_kept;
};

/** @param max_kept  free objects beyond this go back to the allocator. */
static inline void hd_slab_init(struct hd_slab *s, size_t bytes, uint32_t max_kept)
{
    *s = (struct hd_slab){.bytes = bytes < sizeof(void *) ? sizeof(void *) : bytes,
                          .max_kept = HD_SLAB_KEEPS ? max_kept : 0};
}

/** @return an object with undefined contents; never NULL. */
static inline void *hd_slab_take(struct hd_slab *s)
{
    void *p = s->free;
    if (p == NULL)
        return hd_alloc(s->bytes);
    memcpy(&s->free, p, sizeof(void *));
    s->kept--;
    return p;
}

static inline void hd_slab_put(struct hd_slab *s, void *p)
{
    if (s->kept >= s->max_kept) {
        free(p);
        return;
    }
    memcpy(p, &s->free, sizeof(void *));
    s->free = p;
    s->kept++;
}

static inline void hd_slab_done(struct hd_slab *s)
{
    while (s->free != NULL) {
        void *next;
        memcpy(&next, s->free, sizeof(void *));
        free(s->free);
        s->free = next;
    }
    s->kept = 0;
}
