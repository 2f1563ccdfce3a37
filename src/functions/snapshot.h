/* functions/snapshot.h - the immutable table of all functions; swapped in whole. */
#pragma once

#include "core/map.h"
#include "functions/function.h"

/** Counted: each holder calls ref and unref; the last unref frees. Any thread. */
struct hd_snapshot;

/**
 * Make a snapshot of functions.
 * @param functions  takes ownership of the array and of what is in it; any order.
 * @return with one reference, the caller's.
 */
struct hd_snapshot *hd_snapshot_new(struct hd_function **functions, size_t n, uint64_t generation);
struct hd_snapshot *hd_snapshot_ref(struct hd_snapshot *s);
void hd_snapshot_unref(struct hd_snapshot *s); /* NULL is fine */
/** @return the function, valid while the snapshot is, or NULL. Constant time. */
const struct hd_function *hd_snapshot_find(const struct hd_snapshot *s, struct hd_str name);
/** @return all functions, sorted by name. */
const struct hd_function *const *hd_snapshot_all(const struct hd_snapshot *s, size_t *n);
uint64_t hd_snapshot_generation(const struct hd_snapshot *s);
