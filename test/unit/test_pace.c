/* test_pace.c - how much a streamed answer may be, and how fast it may go. */
#include "lambda/door/pace.h"
#include "test.h"

enum { MB = 1 << 20, SECOND_US = 1000000 };

static void a_stream_has_an_end(void **state)
{
    static const struct hd_pace_rules rules = {.max_bytes = 10};
    struct hd_pace p = {.bytes = 0};
    assert_true(hd_pace_take(&p, &rules, 4, 1));
    assert_true(hd_pace_take(&p, &rules, 6, 1));
    assert_int_equal(hd_pace_wait_ms(&p, 1), 0);
    assert_false(hd_pace_take(&p, &rules, 1, 1));
    assert_false(hd_pace_take(&p, &rules, 0, 1));
    (void)state;
}

static void without_a_rate_nothing_waits(void **state)
{
    static const struct hd_pace_rules none[] = {{.max_bytes = UINT64_MAX, .rate = 0},
                                                {.max_bytes = UINT64_MAX, .rate = UINT64_MAX}};
    for (size_t i = 0; i < HD_COUNT(none); i++) {
        struct hd_pace p = {.bytes = 0};
        assert_true(hd_pace_take(&p, &none[i], (uint64_t)500 * MB, 7));
        assert_int_equal(hd_pace_wait_ms(&p, 7), 0);
    }
    (void)state;
}

static void the_first_bytes_are_free(void **state)
{
    static const struct hd_pace_rules rules = {.max_bytes = UINT64_MAX, .rate = 2 * MB};
    struct hd_pace p = {.bytes = 0};
    assert_true(hd_pace_take(&p, &rules, HD_PACE_FREE_BYTES, 100));
    assert_int_equal(hd_pace_wait_ms(&p, 100), 0);
    assert_true(hd_pace_take(&p, &rules, MB, 100));
    assert_int_equal(hd_pace_wait_ms(&p, 100), 500);
    assert_int_equal(hd_pace_wait_ms(&p, 100 + SECOND_US / 4), 250);
    assert_int_equal(hd_pace_wait_ms(&p, 100 + SECOND_US / 2), 0);
    (void)state;
}

static void a_piece_over_the_border_is_paid_in_part(void **state)
{
    static const struct hd_pace_rules rules = {.max_bytes = UINT64_MAX, .rate = MB};
    struct hd_pace p = {.bytes = 0};
    assert_true(hd_pace_take(&p, &rules, HD_PACE_FREE_BYTES + MB / 10, 0));
    assert_in_range(hd_pace_wait_ms(&p, 0), 99, 101);
    (void)state;
}

static void a_pause_is_not_made_up_for(void **state)
{
    static const struct hd_pace_rules rules = {.max_bytes = UINT64_MAX, .rate = MB};
    struct hd_pace p = {.bytes = HD_PACE_FREE_BYTES};
    assert_true(hd_pace_take(&p, &rules, MB, 0));
    assert_true(hd_pace_take(&p, &rules, MB, 10 * (uint64_t)SECOND_US));
    assert_in_range(hd_pace_wait_ms(&p, 10 * (uint64_t)SECOND_US), 990, 1000);
    (void)state;
}

/* Many small pieces, as fast as they may: they take as long as the rate says. */
static void small_pieces_keep_the_rate(void **state)
{
    static const struct hd_pace_rules rules = {.max_bytes = UINT64_MAX, .rate = 100 * MB};
    struct hd_pace p = {.bytes = HD_PACE_FREE_BYTES};
    uint64_t now_us = 0;
    for (int i = 0; i < 100 * 16; i++) { /* 100 MiB */
        assert_true(hd_pace_take(&p, &rules, MB / 16, now_us));
        now_us += (uint64_t)hd_pace_wait_ms(&p, now_us) * 1000;
    }
    assert_in_range(now_us, SECOND_US - 20000, SECOND_US + 20000);
    (void)state;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_has_an_end),
        cmocka_unit_test(without_a_rate_nothing_waits),
        cmocka_unit_test(the_first_bytes_are_free),
        cmocka_unit_test(a_piece_over_the_border_is_paid_in_part),
        cmocka_unit_test(a_pause_is_not_made_up_for),
        cmocka_unit_test(small_pieces_keep_the_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
