/* test/unit/test_op_tags.c - tags by ARN. */
#include "op_rig.h"

#define TAGS "/2017-03-31/tags/"
#define DEMO TAGS "arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Ademo"

static void a_function_has_tags(void **state)
{
    struct lr r;
    op_start(&r);
    assert_string_equal(op_ok(&r, 200, "GET " DEMO, NULL), "{\"Tags\":{}}");
    assert_string_equal(op_ok(&r, 204, "POST " DEMO, "{\"Tags\":{\"a\":\"1\",\"b c\":\"2\"}}"), "");
    op_ok(&r, 204, "POST " TAGS LR_ARN "demo", "{\"Tags\":{\"a\":\"3\",\"d\":\"4\"}}");
    op_restart(&r);
    assert_string_equal(op_ok(&r, 200, "GET " DEMO, NULL),
                        "{\"Tags\":{\"a\":\"3\",\"b c\":\"2\",\"d\":\"4\"}}");
    op_ok(&r, 204, "DELETE " DEMO "?tagKeys=a&tagKeys=b%20c&tagKeys=unknown", NULL);
    assert_string_equal(op_ok(&r, 200, "GET " DEMO, NULL), "{\"Tags\":{\"d\":\"4\"}}");
    op_ok(&r, 204, "DELETE " DEMO "?tagKeys=d", NULL);
    assert_string_equal(op_ok(&r, 200, "GET " DEMO, NULL), "{\"Tags\":{}}");
    lr_done(&r);
    (void)state;
}

static void says_what_cannot_have_tags(void **state)
{
    struct lr r;
    op_start(&r);
    op_refused(&r, "InvalidParameterValueException",
               "Tags on function aliases and versions are not supported. Please specify a function "
               "ARN.",
               "POST " DEMO ":prod", "{\"Tags\":{\"a\":\"1\"}}");
    op_refused(&r, "ResourceNotFoundException", "Function not found: " LR_ARN "nobody",
               "GET " TAGS LR_ARN "nobody", NULL);
    lr_ask(&r, "GET " TAGS "arn:aws:s3:::bucket", NULL);
    assert_string_equal(r.type, "ValidationException");
    lr_ask(&r, "DELETE " DEMO, NULL);
    assert_non_null(strstr(r.text, "Value null at 'tagKeys' failed to satisfy constraint: Member "
                                   "must not be null"));
    op_refused(&r, "ResourceNotFoundException", "The resource you requested does not exist.",
               "GET " TAGS "arn:aws:lambda:us-east-1:000000000000:event-source-mapping:"
               "00000000-0000-7000-8000-000000000000",
               NULL);
    lr_ask(&r, "GET " TAGS "arn:aws:lambda:us-east-1:000000000000:layer:tools", NULL);
    assert_string_equal(r.type, "InvalidParameterValueException");
    lr_done(&r);
    (void)state;
}

static void at_most_fifty(void **state)
{
    struct lr r;
    op_start(&r);
    json_t *tags = json_object(), *body = json_pack("{s:o}", "Tags", tags);
    for (int i = 0; i < 51; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        json_object_set_new(tags, key, json_string("v"));
    }
    hd_auto_free char *many = json_dumps(body, 0);
    op_refused(&r, "InvalidParameterValueException", "Number of tags exceeds resource tag limit.",
               "POST " DEMO, many);
    json_object_del(tags, "k0");
    hd_auto_free char *fifty = json_dumps(body, 0);
    op_ok(&r, 204, "POST " DEMO, fifty);
    op_refused(&r, "InvalidParameterValueException", "Number of tags exceeds resource tag limit.",
               "POST " DEMO, "{\"Tags\":{\"one more\":\"\"}}");
    json_decref(body);
    lr_done(&r);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_function_has_tags),
        cmocka_unit_test(says_what_cannot_have_tags),
        cmocka_unit_test(at_most_fifty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
