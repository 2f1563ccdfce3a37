#include "auth/jwks_slot.h"

#include <pthread.h>
#include <stdatomic.h>

struct hd_jwks_slot {
    _Atomic uint32_t refs;
    _Atomic uint64_t generation;
    pthread_mutex_t lock; /* guards what follows */
    struct hd_jwks *set;
    void (*on_missing)(void *arg);
    void *arg;
};

struct hd_jwks_slot *hd_jwks_slot_new(void)
{
    struct hd_jwks_slot *slot = hd_new(struct hd_jwks_slot);
    atomic_init(&slot->refs, 1);
    pthread_mutex_init(&slot->lock, NULL);
    return slot;
}

struct hd_jwks_slot *hd_jwks_slot_ref(struct hd_jwks_slot *slot)
{
    atomic_fetch_add_explicit(&slot->refs, 1, memory_order_relaxed);
    return slot;
}

void hd_jwks_slot_unref(struct hd_jwks_slot *slot)
{
    if (slot == NULL || atomic_fetch_sub_explicit(&slot->refs, 1, memory_order_acq_rel) != 1)
        return;
    hd_jwks_unref(slot->set);
    pthread_mutex_destroy(&slot->lock);
    free(slot);
}

struct hd_jwks *hd_jwks_slot_get(struct hd_jwks_slot *slot)
{
    pthread_mutex_lock(&slot->lock);
    struct hd_jwks *set = slot->set != NULL ? hd_jwks_ref(slot->set) : NULL;
    pthread_mutex_unlock(&slot->lock);
    return set;
}

uint64_t hd_jwks_slot_generation(const struct hd_jwks_slot *slot)
{
    return atomic_load_explicit(&slot->generation, memory_order_acquire);
}

void hd_jwks_slot_set(struct hd_jwks_slot *slot, struct hd_jwks *set)
{
    pthread_mutex_lock(&slot->lock);
    struct hd_jwks *before = slot->set;
    slot->set = set;
    atomic_fetch_add_explicit(&slot->generation, 1, memory_order_release);
    pthread_mutex_unlock(&slot->lock);
    hd_jwks_unref(before);
}

bool hd_jwks_slot_missing(struct hd_jwks_slot *slot)
{
    pthread_mutex_lock(&slot->lock);
    bool listens = slot->on_missing != NULL;
    if (listens)
        slot->on_missing(slot->arg);
    pthread_mutex_unlock(&slot->lock);
    return listens;
}

void hd_jwks_slot_on_missing(struct hd_jwks_slot *slot, void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&slot->lock);
    slot->on_missing = fn;
    slot->arg = arg;
    pthread_mutex_unlock(&slot->lock);
}
