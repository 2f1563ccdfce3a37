/* test/unit/test_policydoc.c - what goes into a policy, and what is refused. */
#include "lambda/policydoc.h"
#include "test.h"

#define FN "arn:aws:lambda:us-east-1:000000000000:function:demo"

static void builds_a_statement_as_the_service_spells_it(void **state)
{
    static const struct {
        struct hd_policydoc_permission p;
        const char *principal, *condition;
    } cases[] = {
        {{.principal = HD_LIT("*")}, "\"*\"", ""},
        {{.principal = HD_LIT("111122223333")}, "{\"AWS\":\"arn:aws:iam::111122223333:root\"}", ""},
        {{.principal = HD_LIT("arn:aws:iam::111122223333:role/x")},
         "{\"AWS\":\"arn:aws:iam::111122223333:role/x\"}",
         ""},
        {{.principal = HD_LIT("s3.amazonaws.com"),
          .source_arn = HD_LIT("arn:aws:s3:::b"),
          .source_account = HD_LIT("111122223333")},
         "{\"Service\":\"s3.amazonaws.com\"}",
         ",\"Condition\":{\"StringEquals\":{\"AWS:SourceAccount\":\"111122223333\"},"
         "\"ArnLike\":{\"AWS:SourceArn\":\"arn:aws:s3:::b\"}}"},
        {{.principal = HD_LIT("*"), .url_auth_type = HD_LIT("NONE")},
         "\"*\"",
         ",\"Condition\":{\"StringEquals\":{\"lambda:FunctionUrlAuthType\":\"NONE\"}}"},
        {{.principal = HD_LIT("*"),
          .principal_org = HD_LIT("o-a1b2c3d4e5"),
          .event_source_token = HD_LIT("t")},
         "\"*\"",
         ",\"Condition\":{\"StringEquals\":{\"lambda:EventSourceToken\":\"t\","
         "\"aws:PrincipalOrgID\":\"o-a1b2c3d4e5\"}}"},
        {{.principal = HD_LIT("*"), .via_url_given = true, .via_url = true},
         "\"*\"",
         ",\"Condition\":{\"Bool\":{\"lambda:InvokedViaFunctionUrl\":\"true\"}}"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_policydoc_permission p = cases[i].p;
        p.sid = hd_str("s");
        p.action = hd_str("lambda:InvokeFunction");
        p.resource = hd_str(FN);
        hd_auto_free char *out = NULL;
        assert_int_equal(hd_policydoc_statement(&out, &p, NULL), 0);
        hd_auto_free char *want =
            hd_printf("{\"Sid\":\"s\",\"Effect\":\"Allow\",\"Principal\":%s,\"Action\":"
                      "\"lambda:InvokeFunction\",\"Resource\":\"" FN "\"%s}",
                      cases[i].principal, cases[i].condition);
        assert_string_equal(out, want);
    }
    (void)state;
}

static void refuses_principals_that_nobody_can_be(void **state)
{
    static const char *const bad[] = {
        "x",
        "11112222333",
        "1111222233334",
        ".amazonaws.com",
        "S3.amazonaws.com",
        "s3.example.com",
        "arn:aws:iam::111122223333:",
        "arn:aws:iam::1:root",
        "arn:aws:s3:::bucket",
        "arn:aws:iam::111122223333:user/*",
        "",
    };
    for (size_t i = 0; i < HD_COUNT(bad); i++) {
        const struct hd_policydoc_permission p = {.sid = hd_str("s"), .principal = hd_str(bad[i])};
        struct hd_error err = {.msg = ""};
        char *out = NULL;
        if (hd_policydoc_statement(&out, &p, &err) != HD_EINVAL)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_string_equal(err.msg, "The provided principal was invalid. Please check the "
                                     "principal and try again.");
    }
    (void)state;
}

static char *statement(const char *sid)
{
    const struct hd_policydoc_permission p = {
        .sid = hd_str(sid),
        .action = hd_str("lambda:InvokeFunction"),
        .principal = hd_str("*"),
        .resource = hd_str(FN),
    };
    char *out = NULL;
    assert_int_equal(hd_policydoc_statement(&out, &p, NULL), 0);
    return out;
}

static void statements_come_and_go_by_their_sid(void **state)
{
    hd_auto_free char *a = statement("a"), *b = statement("b");
    hd_auto_free char *one = NULL, *two = NULL, *back = NULL, *none = NULL, *no = NULL;
    struct hd_error err = {.msg = ""};
    assert_int_equal(hd_policydoc_add(&one, hd_str(""), hd_str(a), &err), 0);
    hd_auto_free char *want =
        hd_printf("{\"Version\":\"2012-10-17\",\"Id\":\"default\",\"Statement\":[%s]}", a);
    assert_string_equal(one, want);
    assert_int_equal(hd_policydoc_add(&two, hd_str(one), hd_str(b), &err), 0);
    assert_int_equal(hd_policydoc_add(&no, hd_str(two), hd_str(a), &err), HD_EEXIST);
    assert_string_equal(err.msg, "The statement id (a) provided already exists. Please provide a "
                                 "new statement id, or remove the existing statement.");
    assert_int_equal(hd_policydoc_remove(&no, hd_str(two), hd_str("c"), &err), HD_ENOTFOUND);
    assert_string_equal(err.msg, "Statement c is not found in resource policy.");
    assert_int_equal(hd_policydoc_remove(&back, hd_str(two), hd_str("b"), &err), 0);
    assert_string_equal(back, one);
    assert_int_equal(hd_policydoc_remove(&none, hd_str(one), hd_str("a"), &err), 0);
    assert_null(none);
    (void)state;
}

static void a_policy_has_a_largest_size(void **state)
{
    char *document = hd_strdup("");
    int rc = 0;
    unsigned added = 0;
    for (; rc == 0 && added < 1000; added++) {
        hd_auto_free char *sid = hd_printf("s%u", added);
        hd_auto_free char *s = statement(sid);
        char *next = NULL;
        rc = hd_policydoc_add(&next, hd_str(document), hd_str(s), NULL);
        if (rc == 0) {
            free(document);
            document = next;
        }
    }
    assert_int_equal(rc, HD_EBUSY);
    assert_in_range(strlen(document), HD_POLICYDOC_BYTES_MAX - 300, HD_POLICYDOC_BYTES_MAX);
    free(document);
    (void)state;
}

static void checks_whole_documents(void **state)
{
#define OK "\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"lambda:*\""
    static const struct {
        const char *statement, *wrong; /* "": it is right */
    } cases[] = {
        {OK ",\"Resource\":\"" FN "\"", ""},
        {OK ",\"Resource\":[\"" FN "\",\"" FN ":*\"]", ""},
        {OK ",\"Resource\":\"*\"", "Statement[0].Resource: must be the ARN that the policy is "
                                   "attached to, or a qualified one "
                                   "of it"},
        {OK, "Statement[0].Resource: exactly one of Resource and NotResource is needed"},
        {OK ",\"Resource\":\"" FN "\",\"NotResource\":\"" FN ":a\"",
         "Statement[0].Resource: exactly one of Resource and NotResource is needed"},
        {OK ",\"Resource\":\"" FN "/${aws:username}\"",
         "Statement[0].Resource: policy variables are not offered by this server"},
        {OK ",\"Resource\":[]", "Statement[0].Resource: must not be an empty list"},
        {OK ",\"Resource\":1", "Statement[0].Resource: must be a string, or a list of strings"},
        {"\"Effect\":\"allow\",\"Principal\":\"*\",\"Action\":\"*\",\"Resource\":\"" FN "\"",
         "Statement[0].Effect: must be \"Allow\" or \"Deny\""},
        {"\"Principal\":\"*\",\"Action\":\"*\",\"Resource\":\"" FN "\"",
         "Statement[0].Effect: is missing"},
        {"\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"" FN "\"",
         "Statement[0].Principal: is missing"},
        {"\"Effect\":\"Allow\",\"NotPrincipal\":\"*\",\"Action\":\"*\",\"Resource\":\"" FN "\"",
         "Statement[0]: \"NotPrincipal\" is not offered by this server"},
        {"\"Effect\":\"Allow\",\"Principal\":{\"Federated\":\"x\"},\"Action\":\"*\",\"Resource\":"
         "\"" FN "\"",
         "Statement[0].Principal: only AWS and Service are offered by this server"},
        {"\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"me\"},\"Action\":\"*\",\"Resource\":\"" FN
         "\"",
         "Statement[0].Principal.AWS: must be \"*\", a 12-digit account, or the ARN of a principal "
         "of IAM or STS"},
        {"\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"s3\"},\"Action\":\"*\",\"Resource\":"
         "\"" FN "\"",
         "Statement[0].Principal.Service: must be the name of a service, as \"s3.amazonaws.com\""},
        {"\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"s3:*\",\"Resource\":\"" FN "\"",
         "Statement[0].Action: must be \"lambda:<operation>\" or \"*\""},
        {OK ",\"Resource\":\"" FN "\",\"Condition\":{\"DateLessThan\":{\"aws:CurrentTime\":\"x\"}}",
         "Statement[0].Condition: has an operator that this server does not offer"},
        {OK ",\"Resource\":\"" FN "\",\"Condition\":{\"StringEquals\":{\"aws:Shoe\":\"x\"}}",
         "Statement[0].Condition: has a key that this server does not know"},
        {OK ",\"Resource\":\"" FN "\",\"Condition\":{\"IpAddress\":{\"aws:SourceIp\":\"x\"}}",
         "Statement[0].Condition: must be an address or a network as 10.0.0.0/8"},
        {OK ",\"Resource\":\"" FN "\",\"Condition\":{\"Null\":{\"aws:SourceArn\":\"yes\"}}",
         "Statement[0].Condition: must be \"true\" or \"false\""},
        {OK ",\"Resource\":\"" FN "\",\"Condition\":{\"StringEquals\":[]}",
         "Statement[0].Condition: each operator holds an object of keys"},
        {OK ",\"Resource\":\"" FN "\"},{\"Sid\":\"x\"," OK ",\"Resource\":\"" FN
            "\"},{\"Sid\":\"x\"," OK ",\"Resource\":\"" FN "\"",
         "Statement[2].Sid: is used twice"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        hd_auto_free char *document =
            hd_printf("{\"Version\":\"2012-10-17\",\"Statement\":[{%s}]}", cases[i].statement);
        struct hd_error err = {.msg = ""};
        hd_auto_free char *out = NULL;
        int rc = hd_policydoc_check(&out, hd_str(document), hd_str(FN), &err);
        hd_auto_free char *want =
            hd_printf("%s%s", cases[i].wrong[0] != '\0' ? "policy: " : "", cases[i].wrong);
        assert_string_equal(err.msg, want);
        assert_int_equal(rc, cases[i].wrong[0] != '\0' ? HD_EINVAL : 0);
        if (rc == 0)
            assert_string_equal(out, document);
    }
    (void)state;
}

static void refuses_what_is_no_policy_at_all(void **state)
{
    static const struct {
        const char *document, *wrong;
    } cases[] = {
        {"", "policy: not JSON at byte 0: '[' or '{' expected near end of file"},
        {"[]", "policy: must be a JSON object"},
        {"{}", "policy: Statement: at least one is needed"},
        {"{\"Statement\":[]}", "policy: Statement: at least one is needed"},
        {"{\"Statement\":[1]}", "policy: Statement[0]: must be an object"},
        {"{\"Version\":\"2020-01-01\",\"Statement\":[{}]}",
         "policy: Version: must be \"2012-10-17\""},
        {"{\"Id\":7,\"Statement\":[{}]}", "policy: Id: must be a string"},
        {"{\"Statment\":[{}]}", "policy: \"Statment\": no member of a policy"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_error err = {.msg = ""};
        assert_int_equal(hd_policydoc_check(NULL, hd_str(cases[i].document), hd_str(FN), &err),
                         HD_EINVAL);
        assert_string_equal(err.msg, cases[i].wrong);
    }
    hd_auto_free char *big = hd_alloc(HD_POLICYDOC_BYTES_MAX + 2);
    memset(big, ' ', HD_POLICYDOC_BYTES_MAX + 1);
    assert_int_equal(hd_policydoc_check(NULL, hd_str(big), hd_str(FN), NULL), HD_EBUSY);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builds_a_statement_as_the_service_spells_it),
        cmocka_unit_test(refuses_principals_that_nobody_can_be),
        cmocka_unit_test(statements_come_and_go_by_their_sid),
        cmocka_unit_test(a_policy_has_a_largest_size),
        cmocka_unit_test(checks_whole_documents),
        cmocka_unit_test(refuses_what_is_no_policy_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
