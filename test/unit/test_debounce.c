/* test_debounce.c - time is an argument, so nothing sleeps. */
#include "functions/debounce.h"
#include "test.h"

static void the_first_event_is_flushed_40_ms_later_whatever_follows(void **state)
{
    struct hd_debounce d = {0};
    assert_int_equal(hd_debounce_wait_ms(&d, 1000), -1);
    hd_debounce_event(&d, 1000);
    hd_debounce_event(&d, 1039);
    assert_int_equal(hd_debounce_wait_ms(&d, 1039), 1);
    assert_false(hd_debounce_flush(&d, 1039));
    assert_true(hd_debounce_flush(&d, 1040));
    assert_false(hd_debounce_flush(&d, 1041));
    (void)state;
}

static void events_during_a_flush_wait_200_ms(void **state)
{
    struct hd_debounce d = {0};
    hd_debounce_event(&d, 0);
    assert_true(hd_debounce_flush(&d, 40));
    hd_debounce_event(&d, 50);
    hd_debounce_event(&d, 90);
    assert_int_equal(hd_debounce_wait_ms(&d, 90), -1); /* the flush goes on */
    hd_debounce_done(&d, 100);
    assert_int_equal(hd_debounce_wait_ms(&d, 100), 150);
    assert_false(hd_debounce_flush(&d, 249));
    assert_true(hd_debounce_flush(&d, 250));
    (void)state;
}

static void a_flush_that_took_longer_is_followed_at_once(void **state)
{
    struct hd_debounce d = {0};
    hd_debounce_event(&d, 0);
    assert_true(hd_debounce_flush(&d, 40));
    hd_debounce_event(&d, 50);
    hd_debounce_done(&d, 5000);
    assert_int_equal(hd_debounce_wait_ms(&d, 5000), 0);
    assert_true(hd_debounce_flush(&d, 5000));
    (void)state;
}

static void after_a_quiet_flush_the_leading_edge_counts_again(void **state)
{
    struct hd_debounce d = {0};
    hd_debounce_event(&d, 0);
    assert_true(hd_debounce_flush(&d, 40));
    hd_debounce_done(&d, 60);
    assert_int_equal(hd_debounce_wait_ms(&d, 60), -1);
    hd_debounce_event(&d, 70);
    assert_int_equal(hd_debounce_wait_ms(&d, 70), 40);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_event_is_flushed_40_ms_later_whatever_follows),
        cmocka_unit_test(events_during_a_flush_wait_200_ms),
        cmocka_unit_test(a_flush_that_took_longer_is_followed_at_once),
        cmocka_unit_test(after_a_quiet_flush_the_leading_edge_counts_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
