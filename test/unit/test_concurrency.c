/* test/unit/test_concurrency.c - what may still be promised. */
#include "lambda/deploy/concurrency.h"
#include "test.h"

static const struct hd_concurrency_limits limits = {.account = 1000, .unreserved_min = 100};

static void a_reservation_leaves_something_for_the_others(void **state)
{
    static const struct {
        uint64_t reserved, provisioned; /* of all */
        int64_t self_reserved;
        uint64_t self_provisioned, wanted;
        const char *wrong; /* NULL: it may */
    } cases[] = {
        {0, 0, -1, 0, 0, NULL},
        {0, 0, -1, 0, 900, NULL},
        {0, 0, -1, 0, 901, "decreases account's"},
        {0, 0, -1, 0, UINT64_MAX, "decreases account's"},
        {500, 0, -1, 0, 400, NULL},
        {500, 0, -1, 0, 401, "decreases account's"},
        {500, 0, 100, 0, 500, NULL}, /* its own 100 come back first */
        {500, 0, 100, 0, 501, "decreases account's"},
        {0, 50, -1, 0, 850, NULL},
        {0, 50, -1, 0, 851, "decreases account's"},
        {0, 50, -1, 50, 900, NULL}, /* its own places lie inside from now on */
        {0, 50, -1, 50, 49, "[50]"},
        {10, 0, 10, 5, 4, " ReservedConcurrentExecutions  4 should not be lower"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_concurrency_sum sum = {cases[i].reserved, cases[i].provisioned};
        struct hd_concurrency_share self = {cases[i].self_reserved, cases[i].self_provisioned};
        struct hd_error err = {.msg = ""};
        int rc = hd_concurrency_check_reserved(&limits, &sum, &self, cases[i].wanted, &err);
        bool right = cases[i].wrong == NULL
                         ? rc == 0
                         : rc == HD_EINVAL && strstr(err.msg, cases[i].wrong) != NULL;
        if (!right)
            fail_msg("case %zu: %d %s", i, rc, err.msg);
    }
    (void)state;
}

static void provisioned_places_come_out_of_the_reservation_or_the_account(void **state)
{
    static const struct {
        uint64_t reserved, provisioned;
        int64_t self_reserved;
        uint64_t self_provisioned, had, wanted;
        const char *wrong;
    } cases[] = {
        {0, 0, -1, 0, 0, 900, NULL},
        {0, 0, -1, 0, 0, 901, "below its minimum value of [100]"},
        {0, 0, -1, 0, 0, 1001, "greater than account's unreserved concurrency [1000]"},
        {200, 300, -1, 0, 0, 501, "greater than account's unreserved concurrency [500]"},
        {200, 300, -1, 300, 300, 700, NULL},
        {10, 0, 10, 0, 0, 10, NULL},
        {10, 0, 10, 0, 0, 11, "should not be greater than the reservedConcurrentExecution"},
        {10, 0, 10, 8, 2, 4, NULL},
        {10, 0, 10, 8, 2, 5, "should not be greater than the reservedConcurrentExecution"},
        {10, 0, 10, 8, 2, UINT64_MAX, "should not be greater"},
        {1000, 0, 1000, 0, 0, 1000, NULL},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_concurrency_sum sum = {cases[i].reserved, cases[i].provisioned};
        struct hd_concurrency_share self = {cases[i].self_reserved, cases[i].self_provisioned};
        struct hd_error err = {.msg = ""};
        int rc = hd_concurrency_check_provisioned(&limits, &sum, &self, cases[i].had,
                                                  cases[i].wanted, &err);
        bool right = cases[i].wrong == NULL
                         ? rc == 0
                         : rc == HD_EINVAL && strstr(err.msg, cases[i].wrong) != NULL;
        if (!right)
            fail_msg("case %zu: %d %s", i, rc, err.msg);
    }
    (void)state;
}

static void what_is_left_is_never_negative(void **state)
{
    struct hd_concurrency_sum sum = {900, 50}, over = {900, 500};
    assert_int_equal(hd_concurrency_unreserved(&limits, &sum), 50);
    assert_int_equal(hd_concurrency_unreserved(&limits, &over), 0);
    struct hd_api_limits small = {.account_concurrency = 10, .unreserved_min = 100};
    struct hd_concurrency_limits out;
    hd_concurrency_limits(&out, &small);
    assert_int_equal(out.unreserved_min, 10);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reservation_leaves_something_for_the_others),
        cmocka_unit_test(provisioned_places_come_out_of_the_reservation_or_the_account),
        cmocka_unit_test(what_is_left_is_never_negative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
