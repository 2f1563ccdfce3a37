/* core/map.h - hash map from strings to pointers. */
#pragma once

#include "core/base.h"

struct hd_map_entry {
    struct hd_str key; /* NULL ptr: free */
    void *value;
    uint64_t hash;
};

/** Open addressing; keys are borrowed: the value usually holds them. Not for more than 2^31 keys.
 */
struct hd_map {
    struct hd_map_entry *entries;
    size_t count, cap; /* cap is a power of two or 0 */
    uint64_t seed;
};

/** @param seed  random where a peer chooses the keys, else 0. */
void hd_map_init(struct hd_map *m, uint64_t seed);
/** Free the table, not the values. */
void hd_map_done(struct hd_map *m);
/** @return the value, or NULL. */
void *hd_map_get(const struct hd_map *m, struct hd_str key);
/**
 * Insert or replace.
 * @param key    borrowed until the entry is removed; ptr not NULL.
 * @param value  not NULL.
 * @return the value that was there before, or NULL.
 */
void *hd_map_put(struct hd_map *m, struct hd_str key, void *value);
/** @return the removed value, or NULL. */
void *hd_map_remove(struct hd_map *m, struct hd_str key);
/** Walk in no order: start with *at = 0. @return false at the end. The map must not change. */
bool hd_map_next(const struct hd_map *m, size_t *at, struct hd_str *key, void **value);
/** A 64-bit hash of bytes, not for secrets. */
uint64_t hd_hash(const void *ptr, size_t len, uint64_t seed);
