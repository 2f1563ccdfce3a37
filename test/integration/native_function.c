/* native_function.c - a function for test_native.py: what it does is said by the event's "do". */
#include <heddle/function.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int init(void *arg, struct hd_error *err)
{
    *(int *)arg += 1;
    if (getenv("INIT_FAILS") != NULL)
        return hd_fail(err, HD_EINVAL, "no table for \"%s\"", getenv("INIT_FAILS"));
    return 0;
}

static void bye(void *arg)
{
    fprintf(stderr, "bye %d\n", *(int *)arg);
}

static int field(struct hd_reply *r, const char *name, struct hd_str value)
{
    hd_reply_fmt(r, ",\"%s\":", name);
    return hd_reply_json(r, value);
}

static int context(struct hd_event *e, struct hd_reply *r)
{
    hd_reply_fmt(r, "{\"left\":%" PRId64 ",\"init\":%d", hd_event_remaining_ms(e),
                 *(int *)hd_event_arg(e));
    field(r, "id", hd_str(hd_event_id(e)));
    field(r, "arn", hd_event_arn(e));
    field(r, "trace", hd_event_trace(e));
    field(r, "client", hd_event_client_context(e));
    field(r, "identity", hd_event_identity(e));
    field(r, "tenant", hd_event_tenant(e));
    field(r, "value", hd_event_get(e, "a.1.b"));
    field(r, "env", hd_str(getenv("K")));
    field(r, "hidden",
          hd_str(getenv("HEDDLE_HOST_TOKEN") != NULL || getenv("HEDDLE_DIRECT_TOKEN") != NULL ||
                         getenv("HEDDLE_SOCKET") != NULL || getenv("HEDDLE_DIRECT_FD") != NULL
                     ? "no"
                     : "yes"));
    return hd_reply_str(r, "}");
}

static int stream(struct hd_event *e, struct hd_reply *r)
{
    char mode[20];
    hd_event_text(e, "mode", mode, sizeof(mode));
    hd_reply_content_type(r, "text/x");
    hd_reply_stream(r);
    if (hd_str_is(hd_str(mode), "early"))
        return hd_reply_error(r, "Early", "before the first byte");
    if (hd_str_is(hd_str(mode), "type"))
        hd_reply_content_type(r, "a\nb");
    if (hd_str_is(hd_str(mode), "empty"))
        return 0;
    if (hd_str_is(hd_str(mode), "http"))
        hd_reply_stream_http(r, "{\"statusCode\":201}");
    hd_reply_str(r, "one");
    hd_reply_flush(r);
    if (hd_str_is(hd_str(mode), "wait"))
        getchar();
    if (hd_str_is(hd_str(mode), "big")) {
        static char zeros[100000];
        for (int i = 0; i < 100; i++) {
            int rc = hd_reply_write(r, zeros, sizeof(zeros));
            if (rc != 0) {
                hd_event_log(e, HD_FUNCTION_WARN, "stopped with %d", rc);
                return rc;
            }
        }
    }
    if (hd_str_is(hd_str(mode), "midway"))
        return hd_reply_error(r, "Mid\tway", "after %s", "one");
    return hd_reply_str(r, "two");
}

static int big(struct hd_event *e, struct hd_reply *r)
{
    uint64_t n = 0;
    hd_str_to_u64(&n, hd_event_get(e, "n"));
    while (n-- > 0)
        hd_reply_str(r, "x");
    return hd_reply_str(r, "");
}

/* Emit or call as the event says, and answer what came of it. */
static int lanes(struct hd_event *e, struct hd_reply *r, bool emits)
{
    char name[100], contexts[200], id[200];
    uint64_t timeout_ms = 0;
    struct hd_lane_options opt = {.version = HD_LANE_OPTIONS};
    struct hd_lane_outcome out;
    struct hd_error err = {0};
    hd_event_text(e, "name", name, sizeof(name));
    hd_str_to_u64(&timeout_ms, hd_event_get(e, "timeoutMs"));
    opt.timeout_ms = (uint32_t)timeout_ms;
    struct hd_str given = hd_event_get(e, "contexts");
    snprintf(contexts, sizeof(contexts), "%.*s", HD_FMT(given));
    opt.contexts = given.len > 0 ? contexts : NULL;
    if (hd_event_text(e, "requestId", id, sizeof(id)) >= 0)
        opt.request_id = id;
    struct hd_str value = hd_event_get(e, "value");
    int rc = emits ? hd_event_emit(e, name, value, &opt, &out, &err)
                   : hd_event_call(e, name, value, &opt, &out, &err);
    hd_reply_status(r, 200);
    if (rc == 0 && emits) {
        hd_reply_str(r, "{\"result\":{\"messageId\":");
        hd_reply_json(r, hd_str(out.message_id));
        if (out.result.len > 0)
            hd_reply_fmt(r, ",\"result\":%.*s", HD_FMT(out.result));
        return hd_reply_str(r, "}}");
    }
    if (rc == 0)
        return hd_reply_fmt(r, "{\"result\":%.*s}", HD_FMT(out.result));
    const char *kind = out.id[0] != '\0'   ? "LaneTypedError"
                       : rc == HD_ETIMEOUT ? "LaneTimeout"
                       : rc == HD_EBUSY    ? "LaneUnavailable"
                                           : "LaneError";
    hd_reply_fmt(r, "{\"error\":{\"kind\":\"%s\",\"rc\":\"%s\",\"status\":%u,\"retryable\":%s",
                 kind, hd_code_name(rc), out.status, out.retryable ? "true" : "false");
    field(r, "code", hd_str(out.code));
    field(r, "id", hd_str(out.id));
    field(r, "message", hd_str(err.msg));
    if (out.data.len > 0)
        hd_reply_fmt(r, ",\"data\":%.*s", HD_FMT(out.data));
    return hd_reply_str(r, "}}");
}

static int http(struct hd_event *e, struct hd_reply *r)
{
    char what[20];
    if (hd_event_text(e, "lanes", what, sizeof(what)) >= 0)
        return lanes(e, r, hd_str_is(hd_str(what), "emit"));
    hd_reply_status(r, 201);
    hd_reply_content_type(r, "text/plain");
    hd_reply_field(r, "X-Name", hd_event_field(e, "x-bad").len > 0 ? "a\nb" : "value");
    hd_reply_fmt(r, "%.*s %.*s %.*s %.*s", HD_FMT(hd_event_method(e)), HD_FMT(hd_event_path(e)),
                 HD_FMT(hd_event_field(e, "x-mine")), HD_FMT(hd_event_body(e)));
    return hd_event_field(e, "x-heddle-id").len > 0 ? -1 : 0;
}

static int handle(struct hd_event *e, struct hd_reply *r)
{
    char what[20];
    if (hd_event_method(e).len > 0)
        return http(e, r);
    if (hd_event_text(e, "do", what, sizeof(what)) < 0)
        return hd_reply_write(r, hd_event_body(e).ptr, hd_event_body(e).len);
    struct hd_str w = hd_str(what);
    if (hd_str_is(w, "context"))
        return context(e, r);
    if (hd_str_is(w, "stream"))
        return stream(e, r);
    if (hd_str_is(w, "big"))
        return big(e, r);
    if (hd_str_is(w, "lanes")) {
        hd_event_text(e, "lanes", what, sizeof(what));
        return lanes(e, r, hd_str_is(hd_str(what), "emit"));
    }
    if (hd_str_is(w, "error"))
        return hd_reply_error(r, "NoUser", "user \"%s\" is not there", "ü");
    if (hd_str_is(w, "code"))
        return -5;
    if (hd_str_is(w, "log")) {
        hd_event_log(e, HD_FUNCTION_DEBUG, "quiet");
        hd_event_log(e, HD_FUNCTION_WARN, "two\nlines %d", 7);
        hd_event_log(e, HD_FUNCTION_ERROR, "%09000d", 1);
        fprintf(stderr, "raw\n");
        return 0;
    }
    if (hd_str_is(w, "exit"))
        _exit(3);
    if (hd_str_is(w, "sleep"))
        getchar();
    return hd_reply_str(r, "null");
}

int main(int argc, char **argv)
{
    int inits = 0;
    const struct hd_function_options opt = {.version = HD_FUNCTION_OPTIONS,
                                            .arg = &inits,
                                            .on_init = init,
                                            .on_exit = bye,
                                            .max_event_bytes = 1 << 20};
    return hd_function_main(argc, argv, handle, &opt);
}
