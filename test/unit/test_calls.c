#include "shim/calls.h"
#include "test.h"

static void paths_and_methods(void **state)
{
    static const struct {
        const char *method, *path;
        unsigned status;
        enum hd_call_kind kind;
        const char *id;
    } table[] = {
        {"GET", "/2018-06-01/runtime/invocation/next", 0, HD_CALL_NEXT, ""},
        {"POST", "/2018-06-01/runtime/invocation/next", 405, 0, ""},
        {"POST", "/2018-06-01/runtime/invocation/a-b/response", 0, HD_CALL_RESPONSE, "a-b"},
        {"POST", "/2018-06-01/runtime/invocation/a-b/error", 0, HD_CALL_ERROR, "a-b"},
        {"GET", "/2018-06-01/runtime/invocation/a-b/error", 405, 0, ""},
        {"POST", "/2018-06-01/runtime/invocation//response", 404, 0, ""},
        {"POST", "/2018-06-01/runtime/invocation/a/b/response", 404, 0, ""},
        {"POST", "/2018-06-01/runtime/invocation/response", 404, 0, ""},
        {"POST", "/2018-06-01/runtime/init/error", 0, HD_CALL_INIT_ERROR, ""},
        {"GET", "/2018-06-01/runtime/restore/next", 0, HD_CALL_RESTORE_NEXT, ""},
        {"POST", "/2018-06-01/runtime/restore/error", 0, HD_CALL_RESTORE_ERROR, ""},
        {"GET", "/ping", 0, HD_CALL_PING, ""},
        {"GET", "/2018-06-01/ping", 0, HD_CALL_PING, ""},
        {"POST", "/2020-01-01/extension/register", 0, HD_CALL_EXT_REGISTER, ""},
        {"GET", "/2020-01-01/extension/event/next", 0, HD_CALL_EXT_NEXT, ""},
        {"POST", "/2020-01-01/extension/init/error", 0, HD_CALL_EXT_INIT_ERROR, ""},
        {"POST", "/2020-01-01/extension/exit/error", 0, HD_CALL_EXT_EXIT_ERROR, ""},
        {"PUT", "/2022-07-01/telemetry", 0, HD_CALL_TELEMETRY, ""},
        {"PUT", "/2020-08-15/logs", 0, HD_CALL_LOGS, ""},
        {"GET", "/2018-06-02/runtime/invocation/next", 404, 0, ""},
        {"GET", "/2018-06-01/runtime/invocation/next/", 404, 0, ""},
        {"GET", "/", 404, 0, ""},
    };
    for (size_t i = 0; i < HD_COUNT(table); i++) {
        enum hd_call_kind kind = HD_CALL_NEXT;
        struct hd_str id = {NULL, 0};
        const char *allow = NULL;
        unsigned status =
            hd_calls_find(&kind, &id, &allow, hd_str(table[i].method), hd_str(table[i].path));
        if (status != table[i].status)
            fail_msg("%s %s: %u", table[i].method, table[i].path, status);
        if (status == 405)
            assert_non_null(allow);
        if (status != 0)
            continue;
        assert_int_equal(kind, table[i].kind);
        assert_true(hd_str_is(id, table[i].id));
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(paths_and_methods)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
