/* test/unit/test_lambda_policy.c - who a resource policy lets in. */
#include "lambda/policy.h"
#include "lambda/policydoc.h"
#include "test.h"

#define FN "arn:aws:lambda:us-east-1:000000000000:function:demo"

static struct hd_policies *with(const char *document)
{
    struct hd_policies *p = hd_policies_new();
    struct hd_error err = {.msg = ""};
    if (hd_policies_add(p, hd_str(document), &err) < 0)
        fail_msg("%s", err.msg);
    return p;
}

/* A policy of one statement; `rest` comes after its Effect. */
static struct hd_policies *one(const char *effect, const char *rest)
{
    hd_auto_free char *document = hd_printf(
        "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"a\",\"Effect\":\"%s\",%s}]}", effect,
        rest);
    return with(document);
}

static struct hd_policy_query stranger(void)
{
    return (struct hd_policy_query){
        .action = hd_str("lambda:InvokeFunction"),
        .resource = hd_str(FN),
        .owner = hd_str("000000000000"),
        .account = hd_str("111122223333"),
        .principal = hd_str("arn:aws:iam::111122223333:user/ann"),
    };
}

static void the_owner_needs_no_statement_and_a_stranger_does(void **state)
{
    struct hd_policy_query q = stranger();
    assert_false(hd_policies_allow(NULL, &q));
    q.account = q.owner;
    assert_true(hd_policies_allow(NULL, &q));
    q.account = hd_str("");
    assert_false(hd_policies_allow(NULL, &q)); /* anonymous */
    (void)state;
}

static void a_deny_is_stronger_than_an_allow_and_than_the_owner(void **state)
{
    struct hd_policies *p =
        with("{\"Statement\":["
             "{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"lambda:*\",\"Resource\":\"" FN
             "\"},"
             "{\"Effect\":\"Deny\",\"Principal\":{\"AWS\":\"arn:aws:iam::111122223333:user/ann\"},"
             "\"Action\":\"lambda:InvokeFunction\",\"Resource\":\"" FN "\"}]}");
    struct hd_policy_query q = stranger();
    assert_int_equal(hd_policies_ask(p, &q), HD_POLICY_DENY);
    q.owner = q.account;
    assert_false(hd_policies_allow(p, &q));
    q.principal = hd_str("arn:aws:iam::111122223333:user/bob");
    assert_int_equal(hd_policies_ask(p, &q), HD_POLICY_ALLOW);
    hd_policies_unref(p);
    (void)state;
}

static void matches_principals(void **state)
{
    static const struct {
        const char *principal; /* JSON */
        const char *account, *arn, *service;
        bool fits;
    } cases[] = {
        {"\"*\"", "", "", "", true},
        {"\"*\"", "111122223333", "", "", true},
        {"{\"AWS\":\"*\"}", "", "", "", true},
        {"{\"AWS\":\"111122223333\"}", "111122223333", "arn:aws:iam::111122223333:user/a", "",
         true},
        {"{\"AWS\":\"111122223333\"}", "111122223334", "", "", false},
        {"{\"AWS\":\"111122223333\"}", "", "", "", false},
        {"{\"AWS\":\"arn:aws:iam::111122223333:root\"}", "111122223333", "x", "", true},
        {"{\"AWS\":\"arn:aws:iam::111122223333:root\"}", "444455556666", "x", "", false},
        {"{\"AWS\":[\"444455556666\",\"111122223333\"]}", "111122223333", "x", "", true},
        {"{\"AWS\":\"arn:aws:iam::111122223333:user/ann\"}", "111122223333",
         "arn:aws:iam::111122223333:user/ann", "", true},
        {"{\"AWS\":\"arn:aws:iam::111122223333:user/ann\"}", "111122223333",
         "arn:aws:iam::111122223333:user/anna", "", false},
        {"{\"AWS\":\"arn:aws:iam::111122223333:role/a/b/R\"}", "111122223333",
         "arn:aws:sts::111122223333:assumed-role/R/session", "", true},
        {"{\"AWS\":\"arn:aws:iam::111122223333:role/R\"}", "444455556666",
         "arn:aws:sts::444455556666:assumed-role/R/session", "", false},
        {"{\"AWS\":\"arn:aws:iam::111122223333:role/R\"}", "111122223333",
         "arn:aws:sts::111122223333:assumed-role/Q/R", "", false},
        {"{\"Service\":\"s3.amazonaws.com\"}", "", "", "s3.amazonaws.com", true},
        {"{\"Service\":\"s3.amazonaws.com\"}", "", "", "sns.amazonaws.com", false},
        {"{\"Service\":\"s3.amazonaws.com\"}", "111122223333", "s3.amazonaws.com", "", false},
        {"{\"Service\":[\"sqs.amazonaws.com\",\"s3.amazonaws.com\"],\"AWS\":\"444455556666\"}", "",
         "", "s3.amazonaws.com", true},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        hd_auto_free char *rest = hd_printf(
            "\"Principal\":%s,\"Action\":\"lambda:InvokeFunction\",\"Resource\":\"" FN "\"",
            cases[i].principal);
        struct hd_policies *p = one("Allow", rest);
        struct hd_policy_query q = stranger();
        q.account = hd_str(cases[i].account);
        q.principal = hd_str(cases[i].arn);
        q.service = hd_str(cases[i].service);
        if (hd_policies_allow(p, &q) != cases[i].fits)
            fail_msg("case %zu: %s", i, cases[i].principal);
        hd_policies_unref(p);
    }
    (void)state;
}

static void matches_actions_and_resources(void **state)
{
    static const struct {
        const char *rest, *action, *resource;
        bool fits;
    } cases[] = {
        {"\"Action\":\"lambda:InvokeFunction\",\"Resource\":\"" FN "\"", "lambda:InvokeFunction",
         FN, true},
        {"\"Action\":\"lambda:invokefunction\",\"Resource\":\"" FN "\"", "lambda:InvokeFunction",
         FN, true},
        {"\"Action\":\"lambda:InvokeFunction\",\"Resource\":\"" FN "\"", "lambda:InvokeFunctionUrl",
         FN, false},
        {"\"Action\":\"lambda:Invoke*\",\"Resource\":\"" FN "\"", "lambda:InvokeFunctionUrl", FN,
         true},
        {"\"Action\":\"*\",\"Resource\":\"" FN "\"", "lambda:GetFunction", FN, true},
        {"\"NotAction\":\"lambda:DeleteFunction\",\"Resource\":\"" FN "\"", "lambda:GetFunction",
         FN, true},
        {"\"NotAction\":[\"lambda:Get*\"],\"Resource\":\"" FN "\"", "lambda:GetFunction", FN,
         false},
        /* a function's own statement is not about its aliases */
        {"\"Action\":\"*\",\"Resource\":\"" FN "\"", "lambda:InvokeFunction", FN ":prod", false},
        {"\"Action\":\"*\",\"Resource\":\"" FN ":prod\"", "lambda:InvokeFunction", FN ":prod",
         true},
        {"\"Action\":\"*\",\"Resource\":\"" FN ":prod\"", "lambda:InvokeFunction", FN, false},
        {"\"Action\":\"*\",\"Resource\":\"" FN ":*\"", "lambda:InvokeFunction", FN ":prod", true},
        {"\"Action\":\"*\",\"Resource\":\"" FN ":*\"", "lambda:InvokeFunction", FN, false},
        {"\"Action\":\"*\",\"Resource\":\"" FN "\"", "lambda:InvokeFunction", FN ":$LATEST", true},
        {"\"Action\":\"*\",\"NotResource\":\"" FN ":beta\"", "lambda:InvokeFunction", FN ":prod",
         true},
        {"\"Action\":\"*\",\"NotResource\":\"" FN ":beta\"", "lambda:InvokeFunction", FN ":beta",
         false},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        hd_auto_free char *rest = hd_printf("\"Principal\":\"*\",%s", cases[i].rest);
        struct hd_policies *p = one("Allow", rest);
        struct hd_policy_query q = stranger();
        q.action = hd_str(cases[i].action);
        q.resource = hd_str(cases[i].resource);
        if (hd_policies_allow(p, &q) != cases[i].fits)
            fail_msg("case %zu: %s", i, cases[i].rest);
        hd_policies_unref(p);
    }
    (void)state;
}

static void matches_conditions(void **state)
{
    static const struct {
        const char *condition;
        bool fits; /* a bucket of account 1 asks, by an URL, from 10.1.2.3 */
    } cases[] = {
        {"{\"StringEquals\":{\"AWS:SourceAccount\":\"111122223333\"}}", true},
        {"{\"StringEquals\":{\"aws:sourceaccount\":[\"1\",\"111122223333\"]}}", true},
        {"{\"StringEquals\":{\"aws:SourceAccount\":\"444455556666\"}}", false},
        {"{\"StringNotEquals\":{\"aws:SourceAccount\":\"444455556666\"}}", true},
        {"{\"StringNotEquals\":{\"aws:SourceAccount\":[\"444455556666\",\"111122223333\"]}}",
         false},
        {"{\"ArnLike\":{\"AWS:SourceArn\":\"arn:aws:s3:::bucket\"}}", true},
        {"{\"ArnLike\":{\"aws:SourceArn\":\"arn:aws:s3:::buck*\"}}", true},
        {"{\"ArnLike\":{\"aws:SourceArn\":\"arn:aws:s3:::other*\"}}", false},
        {"{\"ArnLike\":{\"aws:SourceArn\":\"arn:*\"}}", false},
        {"{\"StringLike\":{\"aws:SourceArn\":\"arn:*\"}}", true},
        {"{\"ArnNotLike\":{\"aws:SourceArn\":\"arn:aws:s3:::other*\"}}", true},
        {"{\"StringEquals\":{\"lambda:FunctionUrlAuthType\":\"NONE\"}}", true},
        {"{\"StringEqualsIgnoreCase\":{\"lambda:FunctionUrlAuthType\":\"none\"}}", true},
        {"{\"Bool\":{\"lambda:InvokedViaFunctionUrl\":\"true\"}}", true},
        {"{\"Bool\":{\"lambda:InvokedViaFunctionUrl\":true}}", true},
        {"{\"Bool\":{\"lambda:InvokedViaFunctionUrl\":\"false\"}}", false},
        {"{\"IpAddress\":{\"aws:SourceIp\":[\"192.0.2.0/24\",\"10.0.0.0/8\"]}}", true},
        {"{\"NotIpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}}", false},
        /* keys that the caller does not have */
        {"{\"StringEquals\":{\"aws:PrincipalOrgID\":\"o-1\"}}", false},
        {"{\"StringNotEquals\":{\"aws:PrincipalOrgID\":\"o-1\"}}", true},
        {"{\"StringEqualsIfExists\":{\"aws:PrincipalOrgID\":\"o-1\"}}", true},
        {"{\"StringEqualsIfExists\":{\"aws:SourceAccount\":\"4\"}}", false},
        {"{\"Null\":{\"aws:PrincipalOrgID\":\"true\"}}", true},
        {"{\"Null\":{\"aws:PrincipalOrgID\":\"false\"}}", false},
        {"{\"Null\":{\"aws:SourceArn\":\"false\"}}", true},
        /* all of them have to be true */
        {"{\"StringEquals\":{\"aws:SourceAccount\":\"111122223333\","
         "\"lambda:FunctionUrlAuthType\":\"AWS_IAM\"}}",
         false},
        {"{\"StringEquals\":{\"aws:SourceAccount\":\"111122223333\"},"
         "\"ArnLike\":{\"aws:SourceArn\":\"arn:aws:s3:::x\"}}",
         false},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        hd_auto_free char *rest = hd_printf(
            "\"Principal\":\"*\",\"Action\":\"*\",\"Resource\":\"" FN "\",\"Condition\":%s",
            cases[i].condition);
        struct hd_policies *p = one("Allow", rest);
        struct hd_policy_query q = stranger();
        q.account = hd_str("");
        q.source_arn = hd_str("arn:aws:s3:::bucket");
        q.source_account = hd_str("111122223333");
        q.url_auth_type = hd_str("NONE");
        q.via_url = true;
        q.source_ip = hd_str("10.1.2.3");
        if (hd_policies_allow(p, &q) != cases[i].fits)
            fail_msg("case %zu: %s", i, cases[i].condition);
        hd_policies_unref(p);
    }
    (void)state;
}

static void compares_patterns(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool fits, arn;
    } cases[] = {
        {"", "", true, false},
        {"*", "", true, false},
        {"*", "a:b", true, false},
        {"a*b*c", "aXbYbZc", true, false},
        {"a*b*c", "aXbYbZ", false, false},
        {"a?c", "abc", true, false},
        {"a?c", "ac", false, false},
        {"*a", "aaab", false, false},
        {"abc", "ABC", false, false},
        {"arn:aws:s3:::*", "arn:aws:s3:::b/x:y", true, true},
        {"arn:aws:s*:::*", "arn:aws:s3:::b", true, true},
        {"arn:aws:*", "arn:aws:s3:::b", false, true},
        {"arn:aws:*:*:*:*", "arn:aws:s3:::b", true, true},
        {"arn:aws:events:*:1:rule/a", "arn:aws:events:eu:1:rule/a", true, true},
        {"arn:aws:events:*:1:rule/a", "arn:aws:events:eu:2:rule/a", false, true},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        bool (*like)(struct hd_str, struct hd_str) =
            cases[i].arn ? hd_policy_like_arn : hd_policy_like;
        if (like(hd_str(cases[i].pattern), hd_str(cases[i].text)) != cases[i].fits)
            fail_msg("case %zu: %s / %s", i, cases[i].pattern, cases[i].text);
    }
    (void)state;
}

static void what_add_permission_builds_is_enforced(void **state)
{
    struct hd_policydoc_permission permission = {
        .sid = hd_str("s3"),
        .action = hd_str("lambda:InvokeFunction"),
        .principal = hd_str("s3.amazonaws.com"),
        .resource = hd_str(FN),
        .source_arn = hd_str("arn:aws:s3:::bucket"),
        .source_account = hd_str("000000000000"),
    };
    hd_auto_free char *statement = NULL, *document = NULL;
    assert_int_equal(hd_policydoc_statement(&statement, &permission, NULL), 0);
    assert_int_equal(hd_policydoc_add(&document, hd_str(""), hd_str(statement), NULL), 0);
    struct hd_policies *p = with(document);
    struct hd_policy_query q = {
        .action = permission.action,
        .resource = hd_str(FN),
        .owner = hd_str("000000000000"),
        .service = hd_str("s3.amazonaws.com"),
        .source_arn = permission.source_arn,
        .source_account = permission.source_account,
    };
    assert_true(hd_policies_allow(p, &q));
    q.source_arn = hd_str("arn:aws:s3:::bucket2");
    assert_false(hd_policies_allow(p, &q));
    struct hd_policies *again = hd_policies_ref(p);
    hd_policies_unref(p);
    assert_false(hd_policies_allow(again, &q));
    hd_policies_unref(again);
    (void)state;
}

static void a_document_that_cannot_be_enforced_is_not_added(void **state)
{
    struct hd_policies *p = hd_policies_new();
    struct hd_error err = {.msg = ""};
    assert_int_equal(hd_policies_add(p, hd_str("{\"Statement\":[{}]}"), &err), HD_EINVAL);
    assert_string_equal(err.msg, "policy: Statement[0].Effect: is missing");
    struct hd_policy_query q = stranger();
    assert_int_equal(hd_policies_ask(p, &q), HD_POLICY_SILENT);
    hd_policies_unref(p);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_owner_needs_no_statement_and_a_stranger_does),
        cmocka_unit_test(a_deny_is_stronger_than_an_allow_and_than_the_owner),
        cmocka_unit_test(matches_principals),
        cmocka_unit_test(matches_actions_and_resources),
        cmocka_unit_test(matches_conditions),
        cmocka_unit_test(compares_patterns),
        cmocka_unit_test(what_add_permission_builds_is_enforced),
        cmocka_unit_test(a_document_that_cannot_be_enforced_is_not_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
