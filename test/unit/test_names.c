/* test_names.c - which folder names are function names. */
#include "functions/names.h"
#include "test.h"

static void names_are_judged(void **state)
{
    static const struct {
        const char *name;
        enum hd_name_kind kind;
    } cases[] = {
        {"hello", HD_NAME_GOOD},
        {"a", HD_NAME_GOOD},
        {"Hello-World_2", HD_NAME_GOOD},
        {"_shared", HD_NAME_SKIPPED},
        {"my_shared", HD_NAME_SKIPPED},
        {".git", HD_NAME_SKIPPED},
        {"node_modules", HD_NAME_SKIPPED},
        {"", HD_NAME_SKIPPED},
        {"_", HD_NAME_SKIPPED},
        {"shared", HD_NAME_GOOD},
        {"9lives", HD_NAME_BAD},
        {"-x", HD_NAME_BAD},
        {"a b", HD_NAME_BAD},
        {"a.b", HD_NAME_BAD},
        {"\xc3\xa4", HD_NAME_BAD},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++)
        assert_int_equal(hd_function_name_check(hd_str(cases[i].name), NULL), cases[i].kind);
    (void)state;
}

static void sixty_three_characters_are_the_limit(void **state)
{
    char name[65];
    struct hd_error err;
    memset(name, 'a', 64);
    assert_int_equal(hd_function_name_check(hd_str_n(name, 63), &err), HD_NAME_GOOD);
    assert_int_equal(hd_function_name_check(hd_str_n(name, 64), &err), HD_NAME_BAD);
    assert_non_null(strstr(err.msg, "64 characters; at most 63"));
    (void)state;
}

static void the_wrong_character_is_told(void **state)
{
    struct hd_error err;
    assert_int_equal(hd_function_name_check(hd_str("a b"), &err), HD_NAME_BAD);
    assert_non_null(strstr(err.msg, "position 2"));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_are_judged),
                                       cmocka_unit_test(sixty_three_characters_are_the_limit),
                                       cmocka_unit_test(the_wrong_character_is_told)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
