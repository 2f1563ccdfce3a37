/* test/unit/test_delivery.c - what becomes of a message. */
#include "lanes/delivery.h"

#include "test.h"

static void an_attempt_is_one_more_than_anybody_counted(void **state)
{
    assert_int_equal(hd_delivery_attempt(0, 0, 0), 1);
    assert_int_equal(hd_delivery_attempt(4, 1, 2), 5);
    assert_int_equal(hd_delivery_attempt(1, 4, 2), 5);
    assert_int_equal(hd_delivery_attempt(1, 2, 4), 5);
    assert_int_equal(hd_delivery_attempt(0, UINT32_MAX, 0), UINT32_MAX);
    (void)state;
}

static void a_message_that_nodes_die_of_is_not_tried_for_ever(void **state)
{
    static const struct {
        uint32_t lost, delivered, max_attempts;
        bool deadly;
    } cases[] = {{0, 0, 1, false},  {2, 2, 1, false}, {3, 3, 1, true},    {2, 2, 3, false},
                 {3, 3, 3, true},   {4, 4, 5, false}, {5, 5, 5, true},    {6, 6, 5, true},
                 {0, 19, 3, false}, {0, 20, 3, true}, {0, 20, 30, false}, {0, 30, 30, true}};
    for (size_t i = 0; i < HD_COUNT(cases); i++)
        assert_int_equal(
            hd_delivery_is_deadly(cases[i].lost, cases[i].delivered, cases[i].max_attempts),
            cases[i].deadly);
    (void)state;
}

static void a_failure_is_tried_again_until_it_may_not(void **state)
{
    static const struct {
        bool ok;
        uint32_t attempt, max;
        enum hd_lane_settle settle;
        uint64_t wait_ms;
    } cases[] = {
        {true, 1, 1, HD_LANE_ACK, 0},        {true, 9, 3, HD_LANE_ACK, 0},
        {false, 1, 1, HD_LANE_REJECT, 0},    {false, 1, 3, HD_LANE_REPLACE, 250},
        {false, 2, 3, HD_LANE_REPLACE, 250}, {false, 3, 3, HD_LANE_REJECT, 0},
        {false, 7, 3, HD_LANE_REJECT, 0},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_delivery_verdict v =
            hd_delivery_after(cases[i].ok, cases[i].attempt, cases[i].max, 250);
        assert_int_equal(v.settle, cases[i].settle);
        assert_int_equal(v.wait_ms, cases[i].wait_ms);
    }
    (void)state;
}

static void a_lane_of_others_is_given_back_more_and_more_slowly_and_not_for_ever(void **state)
{
    static const uint64_t wait_ms[] = {1000, 2000, 4000, 8000, 16000, 30000, 30000};
    for (uint32_t i = 0; i < 20; i++) {
        struct hd_delivery_verdict v = hd_delivery_skip(i);
        assert_int_equal(v.settle, HD_LANE_RETURN);
        assert_int_equal(v.wait_ms, wait_ms[HD_MIN(i, HD_COUNT(wait_ms) - 1)]);
    }
    assert_int_equal(hd_delivery_skip(20).settle, HD_LANE_REJECT);
    assert_int_equal(hd_delivery_skip(UINT32_MAX).settle, HD_LANE_REJECT);
    (void)state;
}

static void the_largest_wish_of_a_queues_lanes_is_its_prefetch(void **state)
{
    struct hd_lane_queue q = {0}, other = {0};
    struct hd_event_lane lanes[] = {{.queue = &q, .consumed = true, .prefetch = 8},
                                    {.queue = &q, .consumed = true},
                                    {.queue = &q, .prefetch = 100},
                                    {.queue = &other, .consumed = true, .prefetch = 200}};
    struct hd_event_lane *all[] = {&lanes[0], &lanes[1], &lanes[2], &lanes[3]};
    struct hd_topology t = {.event_lanes = all, .n_event_lanes = HD_COUNT(all)};
    assert_int_equal(hd_delivery_prefetch(&t, &q), 8);
    lanes[0].prefetch = 0;
    assert_int_equal(hd_delivery_prefetch(&t, &q), 0);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_attempt_is_one_more_than_anybody_counted),
        cmocka_unit_test(a_message_that_nodes_die_of_is_not_tried_for_ever),
        cmocka_unit_test(a_failure_is_tried_again_until_it_may_not),
        cmocka_unit_test(a_lane_of_others_is_given_back_more_and_more_slowly_and_not_for_ever),
        cmocka_unit_test(the_largest_wish_of_a_queues_lanes_is_its_prefetch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
