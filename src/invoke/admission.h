/* invoke/admission.h - how many invocations may run at once: of a function, and of an account.
 *
 *   enter ─► a provisioned instance of the version is free? ──yes──► in
 *              │no
 *              ▼
 *            the function has a reservation? ──yes──► running < reserved - provisioned? ─► in / no
 *              │no
 *              ▼
 *            the account's unreserved part has room? ─► in / no
 *
 * Nothing waits here: who does not get in is told at once. All counters are atomic, so any loop may
 * call; limits may change while invocations run, those keep their place until they leave. */
#pragma once

#include "invoke/callstats.h"

struct hd_account_quota; /* the part of an account that nobody has reserved; counted */
struct hd_admission;     /* one function, all its versions; counted */
struct hd_provision;     /* the provisioned places of one version; counted */

/** What one invocation holds; zeroed: nothing. */
struct hd_admission_slot {
    struct hd_admission *function;  /* referenced */
    struct hd_account_quota *quota; /* NULL: it runs inside the reservation */
    struct hd_provision *provision; /* not NULL: it took one of these, and counts nowhere else */
};

enum hd_admitted {
    HD_ADMITTED,
    HD_THROTTLED_FUNCTION, /* the reservation is used up, or is 0 */
    HD_THROTTLED_ACCOUNT,
};
/** @return the service's word for it, "ReservedFunctionConcurrentInvocationLimitExceeded" or
 *  "ConcurrentInvocationLimitExceeded"; NULL: admitted. */
const char *hd_admitted_reason(enum hd_admitted a);

/** @param limit  invocations at once of functions without a reservation. */
struct hd_account_quota *hd_account_quota_new(uint32_t limit);
struct hd_account_quota *hd_account_quota_ref(struct hd_account_quota *q);
void hd_account_quota_unref(struct hd_account_quota *q); /* NULL is fine */
/** After a reservation or a provision changed: what is left for all others. Any thread. */
void hd_account_quota_set(struct hd_account_quota *q, uint32_t limit);
uint32_t hd_account_quota_running(const struct hd_account_quota *q);

/** @param quota  referenced; NULL: no limit of an account. */
struct hd_admission *hd_admission_new(struct hd_account_quota *quota);
struct hd_admission *hd_admission_ref(struct hd_admission *a);
void hd_admission_unref(struct hd_admission *a); /* NULL is fine */
/**
 * Set the reservation. Any thread.
 * @param reserved     0: nothing may run; -1: none, the account's part counts.
 * @param provisioned  the sum over the function's versions, a part of @p reserved.
 */
void hd_admission_set(struct hd_admission *a, int64_t reserved, uint32_t provisioned);
/** @return whether the reservation is 0: what is queued can never run. */
bool hd_admission_is_off(const struct hd_admission *a);
/** @return invocations that run, those in provisioned places not counted. */
uint32_t hd_admission_running(const struct hd_admission *a);
/** @return how many more may enter right now, as far as can be said; for pollers. */
uint32_t hd_admission_free(const struct hd_admission *a);
/** @return throttled so far. */
uint64_t hd_admission_throttles(const struct hd_admission *a);

/** @return what is counted of the function; it lives as long as the admission. */
struct hd_call_stats *hd_admission_stats(struct hd_admission *a);

/** @param places  instances that are kept for the version. */
struct hd_provision *hd_provision_new(uint32_t places);
struct hd_provision *hd_provision_ref(struct hd_provision *p);
void hd_provision_unref(struct hd_provision *p); /* NULL is fine */
void hd_provision_set(struct hd_provision *p, uint32_t places);
uint32_t hd_provision_places(const struct hd_provision *p);
uint32_t hd_provision_running(const struct hd_provision *p);

/**
 * Ask for a place for one invocation.
 * @param slot       filled if admitted; then hd_admission_leave() must follow, once. Again is fine.
 * @param provision  of the version; may be NULL.
 */
enum hd_admitted hd_admission_enter(struct hd_admission_slot *slot, struct hd_admission *a,
                                    struct hd_provision *provision);
/** Give the place back; a zeroed slot is fine, and it is zeroed after. Any thread. */
void hd_admission_leave(struct hd_admission_slot *slot);
