/* test_rights.c - what functions may do with the keys that they were given. */
#include "lambda/deploy/view_table.h"
#include "lambda/door/rights.h"
#include "lambda/policy.h"
#include "test.h"

#include <stdio.h>

static struct hd_view *view;
static struct hd_who who;

/* A function "other" whose policy lets the role read its configuration and publish from an alias.
 */
static int open_view(void **state)
{
    static const char document[] =
        "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"a\",\"Effect\":\"Allow\","
        "\"Principal\":{\"AWS\":\"arn:aws:iam::111122223333:role/path/worker\"},"
        "\"Action\":\"lambda:GetFunctionConfiguration\","
        "\"Resource\":\"arn:aws:lambda:us-east-1:111122223333:function:other\"},"
        "{\"Sid\":\"b\",\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"lambda:"
        "DeleteFunction\","
        "\"Resource\":\"*\"}]}";
    struct hd_view_entry *e = hd_view_entry_new();
    struct hd_policies *policies = hd_policies_new();
    (void)state;
    assert_int_equal(hd_policies_add(policies, hd_str(document), NULL), 0);
    e->key = (char *)hd_arena_str(&e->arena, hd_str("111122223333/us-east-1/other")).ptr;
    e->fn = (struct hd_lambda_fn){.account = "111122223333",
                                  .region = "us-east-1",
                                  .name = "other",
                                  .arn = "arn:aws:lambda:us-east-1:111122223333:function:other",
                                  .policies = policies};
    view = hd_view_new();
    hd_view_put(view, e);
    hd_view_entry_unref(e);
    snprintf(who.account, sizeof(who.account), "111122223333");
    snprintf(who.region, sizeof(who.region), "us-east-1");
    snprintf(who.function, sizeof(who.function), "mine");
    snprintf(who.principal, sizeof(who.principal),
             "arn:aws:sts::111122223333:assumed-role/worker/mine");
    return 0;
}

static int close_view(void **state)
{
    (void)state;
    hd_view_unref(view);
    return 0;
}

static bool may(const char *method, const char *path, struct hd_rights_refusal *no)
{
    const struct hd_rights_request request = {hd_str(method), hd_str(path), hd_str("")};
    return hd_rights_ask(no, &who, view, &request);
}

static void its_own_function_may_be_looked_at_and_not_changed(void **state)
{
    struct hd_rights_refusal no;
    assert_true(may("GET", "/2015-03-31/functions/mine/configuration", &no));
    assert_true(may("GET", "/2015-03-31/functions/mine", &no));
    assert_true(may("GET",
                    "/2015-03-31/functions/"
                    "arn%3Aaws%3Alambda%3Aus-east-1%3A111122223333%3Afunction%3Amine",
                    &no));
    assert_false(may("PUT", "/2015-03-31/functions/mine/configuration", &no));
    assert_string_equal(no.operation, "UpdateFunctionConfiguration");
    assert_string_equal(no.resource, "arn:aws:lambda:us-east-1:111122223333:function:mine");
    assert_false(may("DELETE", "/2015-03-31/functions/mine", &no));
    assert_false(may("GET", "/2015-03-31/functions/999922223333%3Afunction%3Amine", &no));
    (void)state;
}

static void others_are_open_as_far_as_a_policy_says(void **state)
{
    struct hd_rights_refusal no;
    assert_true(may("GET", "/2015-03-31/functions/other/configuration", &no));
    assert_false(may("GET", "/2015-03-31/functions/other", &no));
    assert_string_equal(no.operation, "GetFunction");
    assert_false(may("GET", "/2015-03-31/functions/other%3A7/configuration", &no));
    assert_false(may("DELETE", "/2015-03-31/functions/other", &no));
    snprintf(who.principal, sizeof(who.principal),
             "arn:aws:sts::111122223333:assumed-role/another/mine");
    assert_false(may("GET", "/2015-03-31/functions/other/configuration", &no));
    snprintf(who.principal, sizeof(who.principal),
             "arn:aws:sts::111122223333:assumed-role/worker/mine");
    (void)state;
}

static void what_is_the_accounts_is_not_a_functions(void **state)
{
    struct hd_rights_refusal no;
    assert_false(may("GET", "/2015-03-31/functions", &no));
    assert_string_equal(no.operation, "ListFunctions");
    assert_string_equal(no.resource, "*");
    assert_false(may("POST", "/2015-03-31/functions", &no));
    assert_false(may("GET", "/2016-08-19/account-settings", &no));
    assert_false(may("POST", "/2015-03-31/event-source-mappings", &no));
    assert_true(may("GET", "/nothing/of/this/kind", &no)); /* that is answered as ever */
    (void)state;
}

static void people_may_do_everything(void **state)
{
    struct hd_rights_refusal no;
    who.function[0] = '\0';
    assert_true(may("POST", "/2015-03-31/functions", &no));
    assert_true(may("DELETE", "/2015-03-31/functions/other", &no));
    snprintf(who.function, sizeof(who.function), "mine");
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_own_function_may_be_looked_at_and_not_changed),
        cmocka_unit_test(others_are_open_as_far_as_a_policy_says),
        cmocka_unit_test(what_is_the_accounts_is_not_a_functions),
        cmocka_unit_test(people_may_do_everything),
    };
    return cmocka_run_group_tests(tests, open_view, close_view);
}
