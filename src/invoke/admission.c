#include "invoke/admission.h"

struct hd_account_quota {
    atomic_uint owners;
    _Atomic uint32_t limit, running;
};

struct hd_admission {
    atomic_uint owners;
    struct hd_account_quota *quota;
    _Atomic int64_t reserved; /* -1: none */
    _Atomic uint32_t provisioned, running;
    _Atomic uint64_t throttles;
    struct hd_call_stats stats;
};

struct hd_provision {
    atomic_uint owners;
    _Atomic uint32_t places, running;
};

const char *hd_admitted_reason(enum hd_admitted a)
{
    switch (a) {
    case HD_ADMITTED:
        return NULL;
    case HD_THROTTLED_FUNCTION:
        return "ReservedFunctionConcurrentInvocationLimitExceeded";
    case HD_THROTTLED_ACCOUNT:
        break;
    }
    return "ConcurrentInvocationLimitExceeded";
}

/* Count one more unless @p limit are there already. */
static bool enter(_Atomic uint32_t *running, uint32_t limit)
{
    uint32_t now = atomic_load_explicit(running, memory_order_relaxed);
    while (now < limit) {
        if (atomic_compare_exchange_weak_explicit(running, &now, now + 1, memory_order_relaxed,
                                                  memory_order_relaxed))
            return true;
    }
    return false;
}

static void leave(_Atomic uint32_t *running)
{
    atomic_fetch_sub_explicit(running, 1, memory_order_relaxed);
}

/* --- the account --- */

struct hd_account_quota *hd_account_quota_new(uint32_t limit)
{
    struct hd_account_quota *q = hd_new(struct hd_account_quota);
    atomic_init(&q->owners, 1);
    atomic_init(&q->limit, limit);
    return q;
}

struct hd_account_quota *hd_account_quota_ref(struct hd_account_quota *q)
{
    atomic_fetch_add_explicit(&q->owners, 1, memory_order_relaxed);
    return q;
}

void hd_account_quota_unref(struct hd_account_quota *q)
{
    if (q != NULL && atomic_fetch_sub(&q->owners, 1) == 1)
        free(q);
}

void hd_account_quota_set(struct hd_account_quota *q, uint32_t limit)
{
    atomic_store(&q->limit, limit);
}

uint32_t hd_account_quota_running(const struct hd_account_quota *q)
{
    return atomic_load(&q->running);
}

/* --- the function --- */

struct hd_admission *hd_admission_new(struct hd_account_quota *quota)
{
    struct hd_admission *a = hd_new(struct hd_admission);
    atomic_init(&a->owners, 1);
    atomic_init(&a->reserved, -1);
    a->quota = quota != NULL ? hd_account_quota_ref(quota) : NULL;
    return a;
}

struct hd_admission *hd_admission_ref(struct hd_admission *a)
{
    atomic_fetch_add_explicit(&a->owners, 1, memory_order_relaxed);
    return a;
}

void hd_admission_unref(struct hd_admission *a)
{
    if (a == NULL || atomic_fetch_sub(&a->owners, 1) > 1)
        return;
    hd_account_quota_unref(a->quota);
    free(a);
}

void hd_admission_set(struct hd_admission *a, int64_t reserved, uint32_t provisioned)
{
    atomic_store(&a->provisioned, provisioned);
    atomic_store(&a->reserved, reserved);
}

bool hd_admission_is_off(const struct hd_admission *a)
{
    return atomic_load(&a->reserved) == 0;
}

uint32_t hd_admission_running(const struct hd_admission *a)
{
    return atomic_load(&a->running);
}

/* Invocations at once outside of provisioned places; UINT32_MAX: the account says. */
static uint32_t limit_of(const struct hd_admission *a)
{
    int64_t reserved = atomic_load_explicit(&a->reserved, memory_order_relaxed);
    int64_t provisioned = atomic_load_explicit(&a->provisioned, memory_order_relaxed);
    if (reserved < 0)
        return UINT32_MAX;
    reserved -= HD_MIN(provisioned, reserved);
    return (uint32_t)HD_MIN(reserved, (int64_t)UINT32_MAX - 1);
}

static uint32_t left(const _Atomic uint32_t *running, uint32_t limit)
{
    uint32_t now = atomic_load(running);
    return limit > now ? limit - now : 0;
}

uint32_t hd_admission_free(const struct hd_admission *a)
{
    uint32_t limit = limit_of(a);
    if (limit < UINT32_MAX || a->quota == NULL)
        return left(&a->running, limit);
    return left(&a->quota->running, atomic_load(&a->quota->limit));
}

uint64_t hd_admission_throttles(const struct hd_admission *a)
{
    return atomic_load_explicit(&a->throttles, memory_order_relaxed);
}

struct hd_call_stats *hd_admission_stats(struct hd_admission *a)
{
    return &a->stats;
}

/* --- provisioned places --- */

struct hd_provision *hd_provision_new(uint32_t places)
{
    struct hd_provision *p = hd_new(struct hd_provision);
    atomic_init(&p->owners, 1);
    atomic_init(&p->places, places);
    return p;
}

struct hd_provision *hd_provision_ref(struct hd_provision *p)
{
    atomic_fetch_add_explicit(&p->owners, 1, memory_order_relaxed);
    return p;
}

void hd_provision_unref(struct hd_provision *p)
{
    if (p != NULL && atomic_fetch_sub(&p->owners, 1) == 1)
        free(p);
}

void hd_provision_set(struct hd_provision *p, uint32_t places)
{
    atomic_store(&p->places, places);
}

uint32_t hd_provision_places(const struct hd_provision *p)
{
    return atomic_load(&p->places);
}

uint32_t hd_provision_running(const struct hd_provision *p)
{
    return atomic_load(&p->running);
}

/* --- one invocation --- */

static enum hd_admitted refuse(struct hd_admission *a, enum hd_admitted why)
{
    atomic_fetch_add_explicit(&a->throttles, 1, memory_order_relaxed);
    return why;
}

enum hd_admitted hd_admission_enter(struct hd_admission_slot *slot, struct hd_admission *a,
                                    struct hd_provision *provision)
{
    *slot = (struct hd_admission_slot){0};
    bool provisioned =
        provision != NULL &&
        enter(&provision->running, atomic_load_explicit(&provision->places, memory_order_relaxed));
    /* A reservation of 0 switches the function off, whatever is provisioned. */
    if (provisioned && !hd_admission_is_off(a)) {
        slot->provision = hd_provision_ref(provision);
        slot->function = hd_admission_ref(a);
        return HD_ADMITTED;
    }
    if (provisioned)
        leave(&provision->running);
    uint32_t limit = limit_of(a);
    if (!enter(&a->running, limit))
        return refuse(a, HD_THROTTLED_FUNCTION);
    struct hd_account_quota *q = limit == UINT32_MAX ? a->quota : NULL;
    if (q != NULL && !enter(&q->running, atomic_load_explicit(&q->limit, memory_order_relaxed))) {
        leave(&a->running);
        return refuse(a, HD_THROTTLED_ACCOUNT);
    }
    slot->quota = q; /* alive as long as the function is */
    slot->function = hd_admission_ref(a);
    return HD_ADMITTED;
}

void hd_admission_leave(struct hd_admission_slot *slot)
{
    struct hd_admission_slot held = *slot;
    *slot = (struct hd_admission_slot){0};
    if (held.function == NULL)
        return;
    if (held.provision != NULL)
        leave(&held.provision->running);
    else
        leave(&held.function->running);
    if (held.quota != NULL)
        leave(&held.quota->running);
    hd_provision_unref(held.provision);
    hd_admission_unref(held.function);
}
