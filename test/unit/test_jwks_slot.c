/* test/unit/test_jwks_slot.c */
#include "auth/jwks_slot.h"
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>

static void swaps_sets_under_their_users(void **state)
{
    struct hd_jwks_slot *slot = hd_jwks_slot_new();
    assert_null(hd_jwks_slot_get(slot));
    assert_int_equal(hd_jwks_slot_generation(slot), 0);
    struct hd_jwks *first = hd_jwks_new();
    hd_jwks_slot_set(slot, first);
    struct hd_jwks *used = hd_jwks_slot_get(slot);
    assert_ptr_equal(used, first);
    hd_jwks_slot_set(slot, hd_jwks_new());
    assert_int_equal(hd_jwks_slot_generation(slot), 2);
    assert_int_equal(hd_jwks_count(used), 0); /* still ours */
    hd_jwks_unref(used);
    hd_jwks_slot_unref(slot);
    (void)state;
}

static void count(void *arg)
{
    ++*(int *)arg;
}

static void tells_its_source_what_is_missing(void **state)
{
    struct hd_jwks_slot *slot = hd_jwks_slot_new();
    int asked = 0;
    assert_false(hd_jwks_slot_missing(slot));
    hd_jwks_slot_on_missing(slot, count, &asked);
    assert_true(hd_jwks_slot_missing(slot));
    assert_int_equal(asked, 1);
    hd_jwks_slot_on_missing(slot, NULL, NULL);
    assert_false(hd_jwks_slot_missing(slot));
    assert_int_equal(asked, 1);
    hd_jwks_slot_unref(slot);
    (void)state;
}

struct reader {
    struct hd_jwks_slot *slot;
    _Atomic bool stop;
    _Atomic uint64_t reads;
};

static void *read_all_the_time(void *arg)
{
    struct reader *r = arg;
    do {
        struct hd_jwks *set = hd_jwks_slot_get(r->slot);
        if (hd_jwks_count(set) != 1)
            abort();
        hd_jwks_unref(set);
        atomic_fetch_add(&r->reads, 1);
    } while (!atomic_load(&r->stop));
    return NULL;
}

static struct hd_jwks *one_key(void)
{
    struct hd_jwks *set = hd_jwks_new();
    assert_int_equal(
        hd_jwks_add_secret(set, hd_str("0123456789abcdef0123456789abcdef"), hd_str(""), NULL), 0);
    return set;
}

static void serves_several_threads(void **state)
{
    struct reader r = {.slot = hd_jwks_slot_new()};
    hd_jwks_slot_set(r.slot, one_key());
    pthread_t threads[2];
    for (size_t i = 0; i < HD_COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_all_the_time, &r), 0);
    for (int i = 0; i < 500; i++)
        hd_jwks_slot_set(r.slot, one_key());
    atomic_store(&r.stop, true);
    for (size_t i = 0; i < HD_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    assert_true(atomic_load(&r.reads) >= 2);
    hd_jwks_slot_unref(r.slot);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(swaps_sets_under_their_users),
        cmocka_unit_test(tells_its_source_what_is_missing),
        cmocka_unit_test(serves_several_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
