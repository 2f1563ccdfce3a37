/* test/unit/test_acks.c - a broker that knows what it delivered checks every acknowledgement. */
#include "lanes/acks.h"

#include "core/id.h"
#include "test.h"

static void in_order_they_go_together(void **state)
{
    struct hd_acks a;
    hd_acks_init(&a);
    assert_int_equal(hd_acks_take(&a), 0);
    for (uint64_t tag = 1; tag <= 5; tag++)
        assert_true(hd_acks_add(&a, tag));
    assert_int_equal(hd_acks_take(&a), 5);
    assert_int_equal(hd_acks_take(&a), 0);
    (void)state;
}

static void one_that_is_not_settled_keeps_those_behind_it_alone(void **state)
{
    struct hd_acks a;
    hd_acks_init(&a);
    assert_true(hd_acks_add(&a, 1));
    assert_false(hd_acks_add(&a, 3));
    assert_false(hd_acks_add(&a, 4));
    assert_int_equal(hd_acks_take(&a), 1);
    assert_true(hd_acks_add(&a, 2));
    assert_int_equal(hd_acks_take(&a), 2);
    assert_true(hd_acks_add(&a, 5));
    assert_int_equal(hd_acks_take(&a), 5);
    (void)state;
}

static void a_rejected_one_is_not_acknowledged_but_passed(void **state)
{
    struct hd_acks a;
    hd_acks_init(&a);
    assert_true(hd_acks_add(&a, 1));
    hd_acks_skip(&a, 2);
    assert_true(hd_acks_add(&a, 3));
    assert_int_equal(hd_acks_take(&a), 3);
    hd_acks_skip(&a, 4);
    assert_int_equal(hd_acks_take(&a), 0);
    (void)state;
}

static void too_far_ahead_each_goes_alone(void **state)
{
    struct hd_acks a;
    hd_acks_init(&a);
    assert_false(hd_acks_add(&a, HD_ACKS_WINDOW)); /* 1 is under way all the time */
    assert_false(a.lost);
    assert_false(hd_acks_add(&a, HD_ACKS_WINDOW + 1));
    assert_false(hd_acks_add(&a, 1));
    assert_int_equal(hd_acks_take(&a), 0);
    (void)state;
}

enum { TAGS = 200000, AT_ONCE = 300 };
enum fate { UNKNOWN, OUTSTANDING, ACKED, REJECTED };

/* Whatever the order: each is settled once and in the way that was meant, and none is left. */
static void every_order_settles_each_exactly_once(void **state)
{
    static unsigned char broker[TAGS + 1], meant[TAGS + 1];
    uint64_t open[AT_ONCE], n = 0, next = 1, floor = 1, together = 0;
    struct hd_acks a;
    struct hd_rng rng;
    hd_rng_init(&rng, 7);
    hd_acks_init(&a);
    while (next <= TAGS || n > 0) {
        for (; n < AT_ONCE && next <= TAGS; next++) {
            broker[next] = OUTSTANDING;
            open[n++] = next;
        }
        /* mostly the oldest, sometimes any */
        uint64_t i = hd_rng_below(&rng, 10) < 7 ? 0 : hd_rng_below(&rng, (uint32_t)n);
        uint64_t tag = open[i];
        memmove(&open[i], &open[i + 1], (size_t)(n - i - 1) * sizeof(open[0]));
        n--;
        bool ack = hd_rng_below(&rng, 8) > 0;
        meant[tag] = ack ? ACKED : REJECTED;
        if (!ack) {
            hd_acks_skip(&a, tag);
            broker[tag] = REJECTED;
        } else if (!hd_acks_add(&a, tag)) {
            broker[tag] = ACKED;
        }
        uint64_t upto = hd_rng_below(&rng, 5) == 0 || n == 0 ? hd_acks_take(&a) : 0;
        if (upto > 0) {
            assert_int_equal(broker[upto], OUTSTANDING); /* or the broker closes the channel */
            for (; floor <= upto; floor++) {
                together += broker[floor] == OUTSTANDING;
                broker[floor] = broker[floor] == OUTSTANDING ? ACKED : broker[floor];
            }
        }
    }
    assert_memory_equal(broker, meant, sizeof(broker));
    assert_true(together > TAGS / 4);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order_they_go_together),
        cmocka_unit_test(one_that_is_not_settled_keeps_those_behind_it_alone),
        cmocka_unit_test(a_rejected_one_is_not_acknowledged_but_passed),
        cmocka_unit_test(too_far_ahead_each_goes_alone),
        cmocka_unit_test(every_order_settles_each_exactly_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
