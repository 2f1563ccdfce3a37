/* test/unit/test_admission.c - the three steps of an admission, and that every place comes back. */
#include "invoke/admission.h"
#include "invoke/target.h"
#include "test.h"

#include <pthread.h>

static void the_account_limits_functions_without_a_reservation(void **state)
{
    struct hd_account_quota *q = hd_account_quota_new(2);
    struct hd_admission *a = hd_admission_new(q), *b = hd_admission_new(q);
    struct hd_admission_slot s[3];
    assert_int_equal(hd_admission_enter(&s[0], a, NULL), HD_ADMITTED);
    assert_int_equal(hd_admission_enter(&s[1], b, NULL), HD_ADMITTED);
    assert_int_equal(hd_admission_free(a), 0);
    assert_int_equal(hd_admission_enter(&s[2], a, NULL), HD_THROTTLED_ACCOUNT);
    assert_string_equal(hd_admitted_reason(HD_THROTTLED_ACCOUNT),
                        "ConcurrentInvocationLimitExceeded");
    assert_int_equal(hd_admission_running(a), 1); /* the refused one is not counted */
    assert_int_equal(hd_admission_throttles(a), 1);
    hd_admission_leave(&s[2]); /* it holds nothing */
    hd_admission_leave(&s[1]);
    assert_int_equal(hd_admission_enter(&s[2], a, NULL), HD_ADMITTED);
    hd_admission_leave(&s[0]);
    hd_admission_leave(&s[2]);
    hd_admission_leave(&s[2]); /* once is once */
    assert_int_equal(hd_account_quota_running(q), 0);
    hd_admission_unref(a);
    hd_admission_unref(b);
    hd_account_quota_unref(q);
    (void)state;
}

static void a_reservation_does_not_touch_the_account(void **state)
{
    struct hd_account_quota *q = hd_account_quota_new(1);
    struct hd_admission *a = hd_admission_new(q), *b = hd_admission_new(q);
    struct hd_admission_slot s[4];
    hd_admission_set(a, 2, 0);
    assert_int_equal(hd_admission_enter(&s[0], b, NULL), HD_ADMITTED); /* the account is full */
    assert_int_equal(hd_admission_enter(&s[1], a, NULL), HD_ADMITTED);
    assert_int_equal(hd_admission_enter(&s[2], a, NULL), HD_ADMITTED);
    assert_int_equal(hd_admission_enter(&s[3], a, NULL), HD_THROTTLED_FUNCTION);
    assert_string_equal(hd_admitted_reason(HD_THROTTLED_FUNCTION),
                        "ReservedFunctionConcurrentInvocationLimitExceeded");
    for (int i = 0; i < 3; i++)
        hd_admission_leave(&s[i]);
    hd_admission_set(a, 0, 0);
    assert_true(hd_admission_is_off(a));
    assert_int_equal(hd_admission_enter(&s[0], a, NULL), HD_THROTTLED_FUNCTION);
    hd_admission_unref(a);
    hd_admission_unref(b);
    hd_account_quota_unref(q);
    (void)state;
}

static void what_runs_counts_when_a_reservation_comes(void **state)
{
    struct hd_account_quota *q = hd_account_quota_new(10);
    struct hd_admission *a = hd_admission_new(q);
    struct hd_admission_slot s[3];
    assert_int_equal(hd_admission_enter(&s[0], a, NULL), HD_ADMITTED);
    assert_int_equal(hd_admission_enter(&s[1], a, NULL), HD_ADMITTED);
    hd_admission_set(a, 2, 0);
    assert_int_equal(hd_admission_enter(&s[2], a, NULL), HD_THROTTLED_FUNCTION);
    hd_admission_leave(&s[0]);
    assert_int_equal(hd_admission_enter(&s[2], a, NULL), HD_ADMITTED);
    hd_admission_set(a, -1, 0);
    hd_admission_leave(&s[1]);
    hd_admission_leave(&s[2]);
    assert_int_equal(hd_account_quota_running(q), 0);
    assert_int_equal(hd_admission_running(a), 0);
    hd_admission_unref(a);
    hd_account_quota_unref(q);
    (void)state;
}

static void provisioned_places_go_first_and_are_part_of_the_reservation(void **state)
{
    struct hd_admission *a = hd_admission_new(NULL);
    struct hd_provision *p = hd_provision_new(2);
    struct hd_admission_slot s[5];
    hd_admission_set(a, 3, 2);
    assert_int_equal(hd_admission_enter(&s[0], a, p), HD_ADMITTED);
    assert_int_equal(hd_admission_enter(&s[1], a, p), HD_ADMITTED);
    assert_int_equal(hd_provision_running(p), 2);
    assert_int_equal(hd_admission_running(a), 0);
    assert_int_equal(hd_admission_enter(&s[2], a, p), HD_ADMITTED); /* 3 - 2 on demand */
    assert_int_equal(hd_admission_running(a), 1);
    assert_int_equal(hd_admission_enter(&s[3], a, p), HD_THROTTLED_FUNCTION);
    hd_admission_leave(&s[0]);
    assert_int_equal(hd_admission_enter(&s[3], a, p), HD_ADMITTED);
    assert_int_equal(hd_provision_running(p), 2);
    hd_admission_set(a, 0, 2);
    hd_admission_leave(&s[1]);
    assert_int_equal(hd_admission_enter(&s[4], a, p), HD_THROTTLED_FUNCTION);
    hd_admission_leave(&s[2]);
    hd_admission_leave(&s[3]);
    assert_int_equal(hd_provision_running(p), 0);
    hd_provision_unref(p);
    hd_admission_unref(a);
    (void)state;
}

enum { THREADS = 4, ROUNDS = 20000, LIMIT = 3 };

struct race {
    struct hd_admission *a;
    _Atomic int inside, most, admitted;
};

static void *run(void *arg)
{
    struct race *r = arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct hd_admission_slot s;
        if (hd_admission_enter(&s, r->a, NULL) != HD_ADMITTED)
            continue;
        int now = atomic_fetch_add(&r->inside, 1) + 1, most = atomic_load(&r->most);
        while (now > most && !atomic_compare_exchange_weak(&r->most, &most, now))
            ;
        atomic_fetch_add(&r->admitted, 1);
        atomic_fetch_sub(&r->inside, 1);
        hd_admission_leave(&s);
    }
    return NULL;
}

static void threads_never_pass_the_limit_together(void **state)
{
    struct hd_account_quota *q = hd_account_quota_new(LIMIT);
    struct race r = {.a = hd_admission_new(q)};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run, &r), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(r.most <= LIMIT);
    assert_true(r.admitted > 0);
    assert_int_equal(hd_account_quota_running(q), 0);
    assert_int_equal(hd_admission_running(r.a), 0);
    hd_admission_unref(r.a);
    hd_account_quota_unref(q);
    (void)state;
}

static void a_slot_outlives_its_function(void **state)
{
    struct hd_target *t = hd_target_new();
    struct hd_account_quota *q = hd_account_quota_new(1);
    struct hd_admission_slot s;
    t->name = hd_strdup("gone");
    t->admission = hd_admission_new(q);
    assert_int_equal(hd_admission_enter(&s, t->admission, t->provision), HD_ADMITTED);
    hd_target_unref(hd_target_ref(t));
    hd_target_unref(t);
    assert_int_equal(hd_account_quota_running(q), 1);
    hd_admission_leave(&s);
    assert_int_equal(hd_account_quota_running(q), 0);
    hd_account_quota_unref(q);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_account_limits_functions_without_a_reservation),
        cmocka_unit_test(a_reservation_does_not_touch_the_account),
        cmocka_unit_test(what_runs_counts_when_a_reservation_comes),
        cmocka_unit_test(provisioned_places_go_first_and_are_part_of_the_reservation),
        cmocka_unit_test(threads_never_pass_the_limit_together),
        cmocka_unit_test(a_slot_outlives_its_function),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
