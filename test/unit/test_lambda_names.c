/* test/unit/test_lambda_names.c */
#include "lambda/names.h"
#include "test.h"

static void takes_function_names_apart(void **state)
{
    static const struct {
        const char *text, *region, *account, *name, *qualifier; /* name NULL: refused */
    } cases[] = {
        {"resize", "", "", "resize", ""},
        {"resize:prod", "", "", "resize", "prod"},
        {"resize:$LATEST", "", "", "resize", "$LATEST"},
        {"000000000000:function:resize", "", "000000000000", "resize", ""},
        {"000000000000:function:resize:7", "", "000000000000", "resize", "7"},
        {"function:resize", "", "", "resize", ""},
        {"us-east-1:000000000000:function:resize", "us-east-1", "000000000000", "resize", ""},
        {"arn:aws:lambda:eu-west-1:123456789012:function:resize", "eu-west-1", "123456789012",
         "resize", ""},
        {"arn:aws-cn:lambda:cn-north-1:123456789012:function:resize:2", "cn-north-1",
         "123456789012", "resize", "2"},
        {"", "", "", NULL, ""},
        {"resize:", "", "", NULL, ""},
        {"a:b:c", "", "", NULL, ""},
        {"arn:aws:s3:::bucket", "", "", NULL, ""},
        {"arn:aws:lambda:us-east-1:000000000000:layer:tools", "", "", NULL, ""},
        {"arn:aws:lambda:us-east-1:000000000000:function:", "", "", NULL, ""},
        {"arn:aws:lambda:us-east-1:000000000000:function:a:b:c", "", "", NULL, ""},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_fn_name got;
        int rc = hd_names_function(&got, hd_str(cases[i].text));
        if (cases[i].name == NULL) {
            assert_int_equal(rc, HD_EINVAL);
            continue;
        }
        assert_int_equal(rc, 0);
        assert_true(hd_str_is(got.region, cases[i].region));
        assert_true(hd_str_is(got.account, cases[i].account));
        assert_true(hd_str_is(got.name, cases[i].name));
        assert_true(hd_str_is(got.qualifier, cases[i].qualifier));
    }
    (void)state;
}

static void takes_arns_apart_and_makes_them(void **state)
{
    struct hd_arn arn;
    assert_int_equal(
        hd_names_arn(&arn, hd_str("arn:aws:lambda:us-east-1:000000000000:layer:tools:3")), 0);
    assert_true(hd_str_is(arn.partition, "aws"));
    assert_true(hd_str_is(arn.service, "lambda"));
    assert_true(hd_str_is(arn.region, "us-east-1"));
    assert_true(hd_str_is(arn.account, "000000000000"));
    assert_true(hd_str_is(arn.resource, "layer:tools:3"));
    assert_int_equal(hd_names_arn(&arn, hd_str("arn:aws:lambda:us-east-1:000000000000")),
                     HD_EINVAL);
    assert_int_equal(hd_names_arn(&arn, hd_str("nra:aws:lambda:us-east-1:0:x")), HD_EINVAL);
    hd_auto_free char *plain =
        hd_names_make_arn("function", "000000000000", "us-east-1", "resize", NULL);
    hd_auto_free char *qualified =
        hd_names_make_arn("function", "000000000000", "us-east-1", "resize", "prod");
    assert_string_equal(plain, "arn:aws:lambda:us-east-1:000000000000:function:resize");
    assert_string_equal(qualified, "arn:aws:lambda:us-east-1:000000000000:function:resize:prod");
    (void)state;
}

static void tells_numbers_from_aliases(void **state)
{
    assert_true(hd_names_is_number(hd_str("1")));
    assert_true(hd_names_is_number(hd_str("10234")));
    assert_false(hd_names_is_number(hd_str("")));
    assert_false(hd_names_is_number(hd_str("0")));
    assert_false(hd_names_is_number(hd_str("01")));
    assert_false(hd_names_is_number(hd_str("1a")));
    assert_false(hd_names_is_number(hd_str("99999999999999999999")));
    assert_true(hd_names_is_latest(hd_str("")));
    assert_true(hd_names_is_latest(hd_str("$LATEST")));
    assert_false(hd_names_is_latest(hd_str("latest")));
    (void)state;
}

/* One order over all of them, so whatever is sorted by it can be searched. */
static void orders_keys_by_number_where_they_end_in_one(void **state)
{
    static const char *const in_order[] = {"a/r/f-x/1", "a/r/f/",   "a/r/f/1",
                                           "a/r/f/2",   "a/r/f/10", "a/r/f/99",
                                           "a/r/f/1a",  "a/r/f/x",  "a/r/g/1"};
    for (size_t i = 0; i < HD_COUNT(in_order); i++)
        for (size_t k = 0; k < HD_COUNT(in_order); k++) {
            int order = hd_names_key_cmp(in_order[i], in_order[k]);
            assert_int_equal(order < 0, i < k);
            assert_int_equal(order > 0, i > k);
        }
    (void)state;
}

static void finds_the_function_in_a_key(void **state)
{
    static const char *const keys[] = {"0/us-east-1/resize", "0/us-east-1/resize/7",
                                       "0/us-east-1/resize:prod", "0/us-east-1/resize:$LATEST"};
    for (size_t i = 0; i < HD_COUNT(keys); i++)
        assert_true(hd_str_is(hd_names_function_of_key(keys[i]), "0/us-east-1/resize"));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_function_names_apart),
        cmocka_unit_test(takes_arns_apart_and_makes_them),
        cmocka_unit_test(tells_numbers_from_aliases),
        cmocka_unit_test(orders_keys_by_number_where_they_end_in_one),
        cmocka_unit_test(finds_the_function_in_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
