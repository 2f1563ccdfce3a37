#include "shim/ext_state.h"
#include "test.h"

#include <stdio.h>

#define ID_A "01234567-89ab-7def-8123-456789abcdef"
#define ID_B "01234567-89ab-7def-8123-456789abcde0"

static struct hd_ext *registered(struct hd_exts *e, const char *name, unsigned events,
                                 const char *id)
{
    struct hd_ext *x = NULL;
    assert_int_equal(hd_exts_register(e, &x, hd_str(name), events, id), HD_EXT_OK);
    return x;
}

static enum hd_ext_verdict enlist(struct hd_exts *e, const char *name, unsigned events)
{
    struct hd_ext *x = NULL;
    return hd_exts_register(e, &x, hd_str(name), events, ID_B);
}

static void init_waits_for_every_external_one(void **state)
{
    struct hd_exts e = {.no_runtime = true};
    assert_true(hd_exts_all_registered(&e));
    assert_true(hd_exts_all_waiting(&e));
    assert_non_null(hd_exts_start(&e, hd_str("a")));
    assert_non_null(hd_exts_start(&e, hd_str("b")));
    struct hd_ext *a = registered(&e, "a", HD_EXT_INVOKE | HD_EXT_SHUTDOWN, ID_A);
    assert_false(hd_exts_all_registered(&e));
    struct hd_ext *b = registered(&e, "b", 0, ID_B);
    assert_true(hd_exts_all_registered(&e));
    assert_false(hd_exts_all_waiting(&e));
    assert_int_equal(hd_ext_next(a), HD_EXT_OK);
    assert_int_equal(hd_ext_next(b), HD_EXT_OK);
    assert_true(hd_exts_all_waiting(&e));
    hd_ext_given(a);
    assert_false(hd_exts_all_waiting(&e));
    assert_int_equal(hd_ext_next(a), HD_EXT_OK);
    assert_int_equal(hd_ext_next(a), HD_EXT_BAD_STATE);
    hd_ext_next_lost(a);
    assert_false(hd_exts_all_waiting(&e));
    assert_int_equal(hd_ext_next(a), HD_EXT_OK);
    assert_true(hd_exts_all_waiting(&e));
    (void)state;
}

static void who_may_register(void **state)
{
    struct hd_exts e = {.no_runtime = true};
    hd_exts_start(&e, hd_str("a"));
    assert_int_equal(enlist(&e, "", HD_EXT_INVOKE), HD_EXT_BAD_NAME);
    assert_int_equal(enlist(&e, "stranger", HD_EXT_INVOKE), HD_EXT_BAD_NAME);
    registered(&e, "a", HD_EXT_SHUTDOWN, ID_A);
    assert_int_equal(enlist(&e, "a", 0), HD_EXT_BAD_STATE);
    e.no_runtime = false;
    assert_int_equal(enlist(&e, "inside", HD_EXT_SHUTDOWN), HD_EXT_BAD_EVENT);
    assert_int_equal(enlist(&e, "inside", HD_EXT_INVOKE), HD_EXT_OK);
    assert_int_equal(enlist(&e, "inside", HD_EXT_INVOKE), HD_EXT_BAD_STATE);
    e.closed = true;
    assert_int_equal(enlist(&e, "late", HD_EXT_INVOKE), HD_EXT_CLOSED);
    char longest[HD_EXT_NAME_MAX + 2];
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(enlist(&e, longest, 0), HD_EXT_BAD_NAME);
    (void)state;
}

static void there_are_ten_of_each_kind(void **state)
{
    struct hd_exts e = {0};
    char name[8];
    for (int i = 0; i < HD_EXT_MAX; i++) {
        snprintf(name, sizeof(name), "x%d", i);
        assert_non_null(hd_exts_start(&e, hd_str(name)));
        snprintf(name, sizeof(name), "i%d", i);
        assert_int_equal(enlist(&e, name, 0), HD_EXT_OK);
    }
    assert_null(hd_exts_start(&e, hd_str("one-more")));
    assert_int_equal(enlist(&e, "one-more", 0), HD_EXT_TOO_MANY);
    (void)state;
}

static void callers_are_known_by_their_identifier(void **state)
{
    struct hd_exts e = {0};
    struct hd_ext *x = NULL;
    registered(&e, "a", 0, ID_A);
    static const struct {
        const char *id;
        enum hd_ext_verdict wanted;
    } table[] = {
        {NULL, HD_EXT_MISSING_ID},
        {"", HD_EXT_MISSING_ID},
        {"nonsense", HD_EXT_INVALID_ID},
        {"01234567x89ab-7def-8123-456789abcdef", HD_EXT_INVALID_ID},
        {"0123456g-89ab-7def-8123-456789abcdef", HD_EXT_INVALID_ID},
        {ID_B, HD_EXT_UNKNOWN_ID},
        {ID_A, HD_EXT_OK},
        {"01234567-89AB-7DEF-8123-456789ABCDEF", HD_EXT_OK},
    };
    for (size_t i = 0; i < HD_COUNT(table); i++)
        assert_int_equal(hd_exts_caller(&e, &x, hd_str(table[i].id)), table[i].wanted);
    assert_string_equal(x->name, "a");
    (void)state;
}

static void errors_are_reported_in_order(void **state)
{
    struct hd_exts e = {0};
    struct hd_ext *a = registered(&e, "a", 0, ID_A);
    assert_int_equal(hd_ext_error_report(a, true), HD_EXT_OK);
    assert_int_equal(hd_ext_error_report(a, true), HD_EXT_BAD_STATE);
    assert_int_equal(hd_ext_next(a), HD_EXT_BAD_STATE);
    struct hd_ext *b = registered(&e, "b", 0, ID_B);
    assert_int_equal(hd_ext_next(b), HD_EXT_OK);
    assert_int_equal(hd_ext_error_report(b, true), HD_EXT_BAD_STATE); /* init is over for it */
    assert_int_equal(hd_ext_error_report(b, false), HD_EXT_OK);
    (void)state;
}

static void what_is_left_when_they_end(void **state)
{
    struct hd_exts e = {0};
    bool external;
    assert_false(hd_exts_any(&e, &external));
    hd_exts_start(&e, hd_str("a"));
    registered(&e, "inside", 0, ID_A);
    assert_true(hd_exts_any(&e, &external));
    assert_true(external);
    assert_non_null(hd_exts_gone(&e, hd_str("a")));
    assert_null(hd_exts_gone(&e, hd_str("b")));
    assert_true(hd_exts_any(&e, &external));
    assert_false(external);
    (void)state;
}

static void every_verdict_has_a_type(void **state)
{
    const char *text;
    for (int v = HD_EXT_OK + 1; v <= HD_EXT_BAD_REQUEST; v++) {
        assert_true(strlen(hd_ext_error((enum hd_ext_verdict)v, &text)) > 5);
        assert_true(strlen(text) > 5);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(init_waits_for_every_external_one),
        cmocka_unit_test(who_may_register),
        cmocka_unit_test(there_are_ten_of_each_kind),
        cmocka_unit_test(callers_are_known_by_their_identifier),
        cmocka_unit_test(errors_are_reported_in_order),
        cmocka_unit_test(what_is_left_when_they_end),
        cmocka_unit_test(every_verdict_has_a_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
