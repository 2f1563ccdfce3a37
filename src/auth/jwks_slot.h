/* auth/jwks_slot.h - the place where a set of keys is swapped while all loops use it. */
#pragma once

#include "auth/jwk.h"

/** Counted. Any thread, all of it: a short lock, taken only for tokens that are in no cache. */
struct hd_jwks_slot;

/** @return an empty one with one reference, the caller's. */
struct hd_jwks_slot *hd_jwks_slot_new(void);
struct hd_jwks_slot *hd_jwks_slot_ref(struct hd_jwks_slot *slot);
void hd_jwks_slot_unref(struct hd_jwks_slot *slot); /* NULL is fine */

/** @return the set with a reference for the caller, or NULL: nothing was published yet. */
struct hd_jwks *hd_jwks_slot_get(struct hd_jwks_slot *slot);
/** @return how many sets were published. Costs one load. */
uint64_t hd_jwks_slot_generation(const struct hd_jwks_slot *slot);
/** Publish. Takes the reference. */
void hd_jwks_slot_set(struct hd_jwks_slot *slot, struct hd_jwks *set);

/**
 * Say that a key was asked for which is not in the set. Calls what hd_jwks_slot_on_missing() gave.
 * @return whether somebody listens: a newer set may come.
 */
bool hd_jwks_slot_missing(struct hd_jwks_slot *slot);
/** @param fn  runs on the asking thread, with the slot locked, so it posts and returns; NULL: none.
 */
void hd_jwks_slot_on_missing(struct hd_jwks_slot *slot, void (*fn)(void *arg), void *arg);

static inline void hd_jwks_slot_auto_(struct hd_jwks_slot **p)
{
    hd_jwks_slot_unref(*p);
}
