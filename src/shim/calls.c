#include "shim/calls.h"

#define RUNTIME "/2018-06-01/runtime/"
#define EXTENSION "/2020-01-01/extension/"

unsigned hd_calls_find(enum hd_call_kind *call, struct hd_str *id, const char **allow,
                       struct hd_str method, struct hd_str path)
{
    static const struct {
        const char *head, *tail; /* with a tail, one segment stands between them */
        const char *method;
        enum hd_call_kind call;
    } table[] = {
        {RUNTIME "invocation/next", NULL, "GET", HD_CALL_NEXT},
        {RUNTIME "invocation/", "/response", "POST", HD_CALL_RESPONSE},
        {RUNTIME "invocation/", "/error", "POST", HD_CALL_ERROR},
        {RUNTIME "init/error", NULL, "POST", HD_CALL_INIT_ERROR},
        {RUNTIME "restore/next", NULL, "GET", HD_CALL_RESTORE_NEXT},
        {RUNTIME "restore/error", NULL, "POST", HD_CALL_RESTORE_ERROR},
        {"/2018-06-01/ping", NULL, "GET", HD_CALL_PING},
        {"/ping", NULL, "GET", HD_CALL_PING},
        {EXTENSION "register", NULL, "POST", HD_CALL_EXT_REGISTER},
        {EXTENSION "event/next", NULL, "GET", HD_CALL_EXT_NEXT},
        {EXTENSION "init/error", NULL, "POST", HD_CALL_EXT_INIT_ERROR},
        {EXTENSION "exit/error", NULL, "POST", HD_CALL_EXT_EXIT_ERROR},
        {"/2022-07-01/telemetry", NULL, "PUT", HD_CALL_TELEMETRY},
        {"/2020-08-15/logs", NULL, "PUT", HD_CALL_LOGS},
    };
    for (size_t i = 0; i < HD_COUNT(table); i++) {
        struct hd_str head = hd_str(table[i].head), tail = hd_str(table[i].tail);
        struct hd_str middle = {NULL, 0};
        if (tail.len == 0 && !hd_str_eq(path, head))
            continue;
        if (tail.len > 0) {
            if (!hd_str_starts(path, head) || !hd_str_ends(path, tail) ||
                path.len <= head.len + tail.len)
                continue;
            middle = hd_str_n(path.ptr + head.len, path.len - head.len - tail.len);
            if (hd_str_find(middle, '/') < middle.len)
                continue;
        }
        if (!hd_str_is(method, table[i].method)) {
            *allow = table[i].method;
            return 405;
        }
        *call = table[i].call;
        *id = middle;
        return 0;
    }
    return 404;
}
