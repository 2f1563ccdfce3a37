/* test_envfile.c - the dotenv format. */
#include "functions/envfile.h"
#include "test.h"

static void values_are_read(void **state)
{
    static const struct {
        const char *text, *key, *value;
    } cases[] = {
        {"A=1", "A", "1"},
        {"A=1\r\n", "A", "1"},
        {"  export A = spaced out  \n", "A", "spaced out"},
        {"export=1", "export", "1"},
        {"A=x # comment", "A", "x"},
        {"A=x#y", "A", "x#y"},
        {"A=#y", "A", ""},
        {"A= # y", "A", ""},
        {"A=", "A", ""},
        {"A=\"a # b\" # c", "A", "a # b"},
        {"A=\"l1\\nl2\\t\\\"\\\\\\x\"", "A", "l1\nl2\t\"\\\\x"},
        {"A='raw \\n'", "A", "raw \\n"},
        {"A=\"two\nlines\"\nB=2", "B", "2"},
        {"A='two\nlines'", "A", "two\nlines"},
        {"A=1\nA=2", "A", "1"},
        {"# only\n\n\tA=x=y", "A", "x=y"},
        {"\xef\xbb\xbf"
         "A=bom",
         "A", "bom"},
        {"A=it's", "A", "it's"},
        {"_a9=1", "_a9", "1"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_env_file f;
        struct hd_error err = {0};
        if (hd_env_file_parse(&f, hd_str(cases[i].text), ".env", &err) != 0)
            fail_msg("case %zu: %s", i, err.msg);
        const struct hd_env_var *v = hd_env_file_find(&f, hd_str(cases[i].key));
        assert_non_null(v);
        assert_string_equal(v->value, cases[i].value);
        hd_env_file_done(&f);
    }
    (void)state;
}

static void errors_have_file_and_line(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"\nA", ".env:2: A: expected '='"},
        {"1A=x", ".env:1: expected KEY=value"},
        {"A-B=x", ".env:1: expected KEY=value"},
        {"=x", ".env:1: expected KEY=value"},
        {"A=\"x\ny\n", ".env:1: the quoted value has no end"},
        {"A='x' y", ".env:1: expected the end of the line after the closing quote"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_env_file f;
        struct hd_error err = {0};
        assert_int_equal(hd_env_file_parse(&f, hd_str(cases[i].text), ".env", &err), HD_EINVAL);
        if (strstr(err.msg, cases[i].why) == NULL)
            fail_msg("case %zu: \"%s\"", i, err.msg);
        assert_null(f.vars);
    }
    (void)state;
}

static void a_value_is_never_part_of_an_error(void **state)
{
    struct hd_env_file f;
    struct hd_error err;
    assert_int_equal(hd_env_file_parse(&f, hd_str("A='hunter2' x"), ".env", &err), HD_EINVAL);
    assert_null(strstr(err.msg, "hunter2"));
    (void)state;
}

static void the_line_is_that_of_the_key_and_doubles_are_told(void **state)
{
    struct hd_env_file f;
    assert_int_equal(hd_env_file_parse(&f, hd_str("A=\"1\n2\"\nB=3\nB=4"), ".env", NULL), 0);
    assert_int_equal(f.vars[0].line, 1);
    assert_int_equal(f.vars[1].line, 3);
    assert_int_equal(f.warnings.n, 1);
    assert_non_null(strstr(f.warnings.items[0], ".env:4: B: came before"));
    hd_env_file_done(&f);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_read),
        cmocka_unit_test(errors_have_file_and_line),
        cmocka_unit_test(a_value_is_never_part_of_an_error),
        cmocka_unit_test(the_line_is_that_of_the_key_and_doubles_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
