/* test/unit/test_esm_answer.c - what a function says about the records of its batch. */
#include "lambda/sources/esm_answer.h"

#include "test.h"

static void knows_which_records_failed(void **state)
{
    static const char *const ids[] = {"a", "b", "c", "b"};
    static const struct {
        const char *answer, *failed; /* one character for each record */
    } cases[] = {
        {"", "...."},
        {"null", "...."},
        {"{}", "...."},
        {"{\"batchItemFailures\":null}", "...."},
        {"{\"batchItemFailures\":[]}", "...."},
        {"{\"other\":1}", "...."},
        {"{\"batchItemFailures\":[{\"itemIdentifier\":\"a\"}]}", "x..."},
        {"{\"batchItemFailures\":[{\"itemIdentifier\":\"c\"},{\"itemIdentifier\":\"a\"}]}", "x.x."},
        {"{\"batchItemFailures\":[{\"itemIdentifier\":\"c\"},{\"itemIdentifier\":\"c\"}]}", "..x."},
        {"{\"batchItemFailures\":[{\"itemIdentifier\":\"z\"}]}", "xxxx"},
        {"{\"batchItemFailures\":[{\"itemIdentifier\":\"a\"},{\"itemIdentifier\":\"z\"}]}", "xxxx"},
        {"{\"batchItemFailures\":[{\"itemIdentifier\":\"\"}]}", "xxxx"},
        {"{\"batchItemFailures\":[{\"itemIdentifier\":null}]}", "xxxx"},
        {"{\"batchItemFailures\":[{\"itemIdentifier\":1}]}", "xxxx"},
        {"{\"batchItemFailures\":[{}]}", "xxxx"},
        {"{\"batchItemFailures\":[\"a\"]}", "xxxx"},
        {"{\"batchItemFailures\":{}}", "xxxx"},
        {"{\"batchItemFailures\":\"a\"}", "xxxx"},
        {"[]", "xxxx"},
        {"\"fine\"", "xxxx"},
        {"true", "xxxx"},
        {"{", "xxxx"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        bool failed[3];
        char have[4] = "";
        size_t count = hd_esm_answer(failed, hd_str(cases[i].answer), ids, 3), want = 0;
        for (size_t k = 0; k < 3; k++) {
            have[k] = failed[k] ? 'x' : '.';
            want += failed[k];
        }
        if (strncmp(have, cases[i].failed, 3) != 0 || count != want)
            fail_msg("%s: %s", cases[i].answer, have);
    }
    (void)state;
}

static void the_same_id_twice_fails_twice(void **state)
{
    /* a queue may give one message twice: whichever was meant, neither is deleted */
    static const char *const ids[] = {"a", "b", "a"};
    bool failed[3];
    assert_int_equal(hd_esm_answer(failed,
                                   hd_str("{\"batchItemFailures\":[{\"itemIdentifier\":\"a\"}]}"),
                                   ids, 3),
                     2);
    assert_true(failed[0] && !failed[1] && failed[2]);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_which_records_failed),
        cmocka_unit_test(the_same_id_twice_fails_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
