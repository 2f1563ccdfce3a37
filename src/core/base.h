/* core/base.h - what every file uses: small allocations, cleanup, container_of. */
#pragma once

#include <heddle/error.h>
#include <heddle/str.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/** Zeroed memory for one object of a fixed type; never NULL: running out is logged and fatal. */
#define hd_new(type) ((type *)hd_alloc(sizeof(type)))
/** Zeroed memory for @p n objects; n is ours, never a peer's. */
#define hd_new_array(type, n) ((type *)hd_alloc_array((n), sizeof(type)))

void *hd_alloc(size_t bytes) __attribute__((malloc, returns_nonnull));
void *hd_alloc_array(size_t n, size_t bytes) __attribute__((malloc, returns_nonnull));
/** Grow or shrink; what is new is not zeroed. For containers in core only. */
void *hd_realloc_array(void *p, size_t n, size_t bytes) __attribute__((returns_nonnull));
/** @return a copy for the caller to free; NULL only for NULL. */
char *hd_strdup(const char *s);
/** @return a NUL-terminated copy of a slice for the caller to free. */
char *hd_strdup_n(struct hd_str s);
/** @return printf's result as a string for the caller to free. */
char *hd_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2), malloc));

/** Free by hd_<module>_free() when the variable goes out of scope. See HD_AUTO. */
#define hd_auto(type) __attribute__((cleanup(type##_auto_))) struct type *
/** Once in a header, after hd_<module>_free(): makes hd_auto(hd_<module>) work. */
#define HD_AUTO(type)                                \
    static inline void type##_auto_(struct type **p) \
    {                                                \
        type##_free(*p);                             \
    }
static inline void hd_free_auto_(void *p)
{
    free(*(void **)p);
}
/** `hd_auto_free char *s = ...;` frees plain memory when it goes out of scope. */
#define hd_auto_free __attribute__((cleanup(hd_free_auto_)))
/** Give up the variable's ownership: `*out = hd_steal(fn);` */
#define hd_steal(p)                     \
    ({                                  \
        __typeof__(p) hd_stolen_ = (p); \
        (p) = NULL;                     \
        hd_stolen_;                     \
    })

#define hd_container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define HD_COUNT(array) (sizeof(array) / sizeof((array)[0]))
/** Each argument is evaluated once; both have one type. */
#define HD_MIN(a, b) HD_PICK_(<, a, b, __COUNTER__)
#define HD_MAX(a, b) HD_PICK_(>, a, b, __COUNTER__)
#define HD_PICK_(op, a, b, n) HD_PICK__(op, a, b, n)
#define HD_PICK__(op, a, b, n)                      \
    ({                                              \
        __typeof__(a) hd_a_##n = (a);               \
        __typeof__(b) hd_b_##n = (b);               \
        hd_a_##n op hd_b_##n ? hd_a_##n : hd_b_##n; \
    })
