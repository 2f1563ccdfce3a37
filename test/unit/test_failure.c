#include "shim/failure.h"
#include "test.h"

#include <signal.h>

static void is_json_text(const struct hd_failure *f, const char *id, const char *wanted)
{
    struct hd_buf b;
    hd_buf_init(&b, 4096);
    hd_failure_json(&b, f, hd_str(id));
    assert_false(hd_buf_failed(&b));
    hd_auto_free char *text = hd_buf_take(&b);
    assert_string_equal(text, wanted);
}

static void exits_in_the_words_that_are_known(void **state)
{
    static const struct {
        int status; /* as wait() gives it */
        const char *text;
    } table[] = {
        {1 << 8, "Runtime exited with error: exit status 1"},
        {129 << 8, "Runtime exited with error: exit status 129"},
        {SIGKILL, "Runtime exited with error: signal: killed"},
        {SIGSEGV, "Runtime exited with error: signal: segmentation fault"},
        {SIGABRT | 0x80, "Runtime exited with error: signal: aborted"},
        {0, "Runtime exited without providing a reason"},
    };
    for (size_t i = 0; i < HD_COUNT(table); i++) {
        struct hd_failure f = {0};
        hd_failure_exit(&f, "Runtime.ExitError", "Runtime", table[i].status);
        assert_true(hd_failure_is(&f));
        hd_auto_free char *wanted = hd_printf("{\"errorType\":\"Runtime.ExitError\","
                                              "\"errorMessage\":\"RequestId: id-1 Error: %s\"}",
                                              table[i].text);
        is_json_text(&f, "id-1", wanted);
        hd_failure_done(&f);
        assert_false(hd_failure_is(&f));
    }
    (void)state;
}

static void what_was_posted_stays_as_it_is(void **state)
{
    struct hd_failure f = {0};
    hd_failure_post(&f, "Function.Mine", hd_str("{ \"errorType\" :\"X\", \"more\":[1] }"));
    is_json_text(&f, "id-1", "{ \"errorType\" :\"X\", \"more\":[1] }");
    hd_failure_post(&f, "Function.Mine", hd_str("\"only a text\""));
    is_json_text(&f, "id-1", "\"only a text\"");
    hd_failure_post(&f, "Runtime.Unknown", hd_str("no JSON"));
    is_json_text(&f, "i\"d",
                 "{\"errorType\":\"Runtime.Unknown\",\"errorMessage\":\"RequestId: i\\\"d Error: "
                 "the function gave no JSON text for its error\"}");
    hd_failure_set(&f, "A.B", "%s", "all of it");
    f.plain = true;
    is_json_text(&f, "id-1", "{\"errorType\":\"A.B\",\"errorMessage\":\"all of it\"}");
    hd_failure_done(&f);
    (void)state;
}

static void types_have_a_form(void **state)
{
    static const struct {
        const char *given, *wanted;
    } table[] = {
        {NULL, "fallback"},
        {"", "fallback"},
        {"Runtime.ExitError", "Runtime.ExitError"},
        {"Function.Mine", "Function.Mine"},
        {"Extension.Crash", "Extension.Crash"},
        {"Function.mine", "fallback"},
        {"Function.M", "fallback"}, /* more than one letter */
        {"Function.", "fallback"},
        {"Function.Mi ne", "fallback"},
        {"Function.Mine1", "fallback"},
        {"Other.Mine", "fallback"},
        {"TypeError", "fallback"},
    };
    char room[HD_FAILURE_TYPE_MAX + 1];
    for (size_t i = 0; i < HD_COUNT(table); i++)
        assert_string_equal(hd_failure_type(hd_str(table[i].given), "fallback", room),
                            table[i].wanted);
    char longest[HD_FAILURE_TYPE_MAX + 2];
    memset(longest, 'x', sizeof(longest));
    memcpy(longest, "Function.X", 10);
    assert_string_equal(hd_failure_type(hd_str_n(longest, sizeof(longest)), "fallback", room),
                        "fallback");
    (void)state;
}

static void json_texts(void **state)
{
    static const char *const good[] = {"{}", "null", "\"x\"", "1", "[1,2]", " true "};
    static const char *const bad[] = {"", "x", "{", "{} {}", "'x'"};
    for (size_t i = 0; i < HD_COUNT(good); i++)
        assert_true(hd_failure_is_json(hd_str(good[i])));
    for (size_t i = 0; i < HD_COUNT(bad); i++)
        assert_false(hd_failure_is_json(hd_str(bad[i])));
    assert_false(hd_failure_is_json(hd_str(NULL)));
    (void)state;
}

static void answers_of_the_apis(void **state)
{
    struct hd_buf b;
    hd_buf_init(&b, 4096);
    hd_failure_api_json(&b, "InvalidRequestID", "Invalid request ID");
    hd_auto_free char *text = hd_buf_take(&b);
    assert_string_equal(text, "{\"errorMessage\":\"Invalid request ID\","
                              "\"errorType\":\"InvalidRequestID\"}\n");
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exits_in_the_words_that_are_known),
        cmocka_unit_test(what_was_posted_stays_as_it_is),
        cmocka_unit_test(types_have_a_form),
        cmocka_unit_test(json_texts),
        cmocka_unit_test(answers_of_the_apis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
