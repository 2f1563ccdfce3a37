#include "call_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/socket.h>
#include <sys/un.h>

struct call_rig_instance {
    struct hd_list link;
    struct call_rig *rig;
    const struct hd_backend_events *events;
    void *owner;
    struct hd_server *server;
    struct hd_endpoint at;
    struct hd_timer timer, flush;
    void (*flushed)(void *owner);
    void *flush_owner;
    struct hd_exchange *held; /* a request that is not answered */
    struct hd_buf body;
    struct hd_error end;
    bool crashed, gone;
};

static struct call_rig_instance *last; /* who took the last request */

void call_rig_turn(struct call_rig *r)
{
    uv_run(hd_loop_uv(r->loop), UV_RUN_NOWAIT);
    usleep(500);
}

/* --- what an instance answers --- */

static void answer(struct hd_exchange *ex, unsigned status, const struct hd_field *fields, size_t n,
                   const char *body)
{
    struct hd_response_head head = {
        .status = status, .fields = fields, .n_fields = n, .body_bytes = (int64_t)strlen(body)};
    hd_exchange_respond(ex, &head, hd_str(body), true);
}

static void print_line(struct call_rig_instance *i, const char *text)
{
    i->events->on_line(i->owner, hd_str_n(NULL, 0), HD_INFO, hd_str(text));
}

static void stream(struct hd_exchange *ex, bool fail)
{
    static const struct hd_field fields[] = {{HD_LIT("x-heddle-stream"), HD_LIT("1")},
                                             {HD_LIT("content-type"), HD_LIT("text/event-stream")}};
    static const struct hd_field trailers[] = {
        {HD_LIT("x-heddle-function-error"), HD_LIT("Unhandled")},
        {HD_LIT("x-heddle-error-type"), HD_LIT("Function.Broke")},
        {HD_LIT("x-heddle-error-body"), HD_LIT("eyJlcnJvclR5cGUiOiJCcm9rZSJ9")}};
    struct hd_response_head head = {
        .status = 200, .fields = fields, .n_fields = 2, .body_bytes = HD_BODY_UNKNOWN};
    hd_exchange_respond(ex, &head, hd_str("one "), false);
    hd_exchange_write(ex, hd_str("two"), false);
    if (fail)
        hd_exchange_trailers(ex, trailers, 3);
    hd_exchange_write(ex, hd_str_n(NULL, 0), true);
}

static void crash(struct call_rig_instance *i, int signal, int code, bool oom);

static void serve(struct call_rig_instance *i, struct hd_exchange *ex, struct hd_str event)
{
    static const struct hd_field unhandled[] = {
        {HD_LIT("x-heddle-function-error"), HD_LIT("Unhandled")}};
    static const struct hd_field leaving[] = {
        {HD_LIT("x-heddle-function-error"), HD_LIT("Unhandled")},
        {HD_LIT("x-heddle-error-type"), HD_LIT("Runtime.ImportModuleError")},
        {HD_LIT("x-heddle-exit"), HD_LIT("1")}};
    last = i;
    i->rig->requests++;
    if (i->rig->stillborn) {
        answer(ex, 200, leaving, 3, "{\"errorMessage\":\"no module\"}");
    } else if (hd_str_is(event, "\"error\"")) {
        answer(ex, 200, unhandled, 1, "{\"errorType\":\"Oops\",\"errorMessage\":\"no\"}");
    } else if (hd_str_is(event, "\"print\"")) {
        print_line(i, "hello from the function");
        answer(ex, 200, NULL, 0, "1");
    } else if (hd_str_is(event, "\"exit\"")) {
        print_line(i, "about to leave");
        hd_exchange_abort(ex);
        crash(i, 0, 3, false);
    } else if (hd_str_is(event, "\"oom\"")) {
        hd_exchange_abort(ex);
        crash(i, 9, 0, true);
    } else if (hd_str_is(event, "\"mute\"")) {
        hd_exchange_abort(ex);
    } else if (hd_str_is(event, "\"hang\"")) {
        i->held = ex;
    } else if (hd_str_is(event, "\"stream\"")) {
        stream(ex, false);
    } else if (hd_str_is(event, "\"stream error\"")) {
        stream(ex, true);
    } else if (hd_str_is(event, "\"half\"")) {
        static const struct hd_field streams[] = {{HD_LIT("x-heddle-stream"), HD_LIT("1")}};
        struct hd_response_head head = {
            .status = 200, .fields = streams, .n_fields = 1, .body_bytes = HD_BODY_UNKNOWN};
        hd_exchange_respond(ex, &head, hd_str("half"), false);
        i->held = ex;
    } else if (hd_str_is(event, "\"undelivered\"") && (i->rig->always || i->rig->launched == 1)) {
        static const struct hd_field no[] = {{HD_LIT("x-heddle-undelivered"), HD_LIT("1")}};
        struct hd_response_head head = {
            .status = 503, .fields = no, .n_fields = 1, .body_bytes = 2};
        hd_exchange_respond(ex, &head, hd_str("{}"), true);
    } else if (hd_str_is(event, "\"http\"")) {
        answer(ex, 503, NULL, 0, "closed today");
    } else {
        struct hd_response_head head = {.status = 200, .body_bytes = (int64_t)event.len};
        hd_exchange_respond(ex, &head, event, true);
    }
}

static void on_body(struct hd_exchange *ex, struct hd_str bytes, bool end)
{
    struct call_rig_instance *i = ex->door;
    hd_buf_str(&i->body, bytes);
    if (end)
        serve(i, ex, hd_buf_view(&i->body));
}

static void on_bad_body(struct hd_exchange *ex, unsigned status, const char *why)
{
    (void)status;
    (void)why;
    hd_exchange_abort(ex);
}

static void on_writable(struct hd_exchange *ex)
{
    (void)ex;
}

static void on_exchange_gone(struct hd_exchange *ex, enum hd_gone why)
{
    struct call_rig_instance *i = ex->door;
    (void)why;
    i->held = NULL;
}

static const struct hd_exchange_events exchange_events = {.on_body = on_body,
                                                          .on_bad_body = on_bad_body,
                                                          .on_writable = on_writable,
                                                          .on_gone = on_exchange_gone};

static void on_request(void *user, struct hd_exchange *ex, const struct hd_head *head,
                       struct hd_str body, bool end)
{
    struct call_rig_instance *i = user;
    struct hd_buf text = {
        .ptr = i->rig->head, .cap = sizeof(i->rig->head), .max = sizeof(i->rig->head) - 1};
    ex->events = &exchange_events;
    ex->door = i;
    for (size_t n = 0; n < head->n_fields; n++)
        hd_buf_fmt(&text, "%.*s: %.*s\n", HD_FMT(head->fields[n].name),
                   HD_FMT(head->fields[n].value));
    i->rig->head[text.len] = '\0';
    hd_buf_clear(&i->body);
    hd_buf_str(&i->body, body);
    if (end)
        serve(i, ex, hd_buf_view(&i->body));
}

/* --- the backend --- */

static void on_server_closed(void *arg)
{
    struct call_rig_instance *i = arg;
    hd_server_free(i->server);
    hd_list_remove(&i->link);
    hd_buf_done(&i->body);
    i->rig->alive--;
    free(i);
}

static void vanish(struct call_rig_instance *i, const struct hd_error *err)
{
    if (i->gone)
        return;
    i->gone = true;
    hd_timer_stop(i->rig->loop, &i->timer);
    hd_timer_stop(i->rig->loop, &i->flush);
    if (last == i)
        last = NULL;
    i->events->on_gone(i->owner, err);
    if (i->server != NULL)
        hd_server_close(i->server, on_server_closed, i);
    else
        on_server_closed(i);
}

static void on_crashed(struct hd_timer *t)
{
    struct call_rig_instance *i = hd_container_of(t, struct call_rig_instance, timer);
    vanish(i, &i->end);
}

static void crash(struct call_rig_instance *i, int signal, int code, bool oom)
{
    const struct hd_exit_status how = {.signal = signal, .code = code, .oom = oom};
    hd_fail(&i->end, HD_EIO, "it crashed");
    i->events->on_exit(i->owner, &how);
    hd_timer_start(i->rig->loop, &i->timer, 5, on_crashed);
}

void call_rig_crash(struct call_rig *r, int signal, int code, bool oom)
{
    (void)r;
    assert_non_null(last);
    crash(last, signal, code, oom);
}

static void on_refused(struct hd_timer *t)
{
    struct call_rig_instance *i = hd_container_of(t, struct call_rig_instance, timer);
    const struct hd_exit_status how = {.code = 1};
    struct hd_error err;
    hd_fail(&err, HD_EINVAL, "function f: boot.js:3: it does not compile");
    if (!i->rig->silent_refusal)
        i->events->on_exit(i->owner, &how);
    vanish(i, &err);
}

static void on_ready(struct hd_timer *t)
{
    struct call_rig_instance *i = hd_container_of(t, struct call_rig_instance, timer);
    struct call_rig *r = i->rig;
    struct hd_server_options opt = {
        .net = r->net,
        .limits = {.parse = {.max_head_bytes = 65536, .max_target_bytes = 1024, .max_fields = 64},
                   .head_ms = 60000,
                   .keep_alive_ms = 60000},
        .on_request = on_request,
        .user = i};
    struct hd_error err;
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    memcpy(addr.sun_path, i->at.address, sizeof(i->at.address));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(hd_server_new(&i->server, &opt, &err), 0);
    assert_int_equal(hd_server_listen_fd(i->server, fd, &err), 0);
    if (r->garbage != NULL)
        print_line(i, r->garbage);
    const struct hd_declared declared = {.is_public = -1,
                                         .timeout_ms = -1,
                                         .concurrency = -1,
                                         .kind = r->stillborn ? "init-failed" : "lambda"};
    i->events->on_ready(i->owner, &i->at, &declared);
}

static struct hd_instance_handle *launch(struct hd_backend *b, const struct hd_launch *what,
                                         const struct hd_backend_events *events, void *owner)
{
    struct call_rig *r = hd_container_of(b, struct call_rig, base);
    struct call_rig_instance *i = hd_new(struct call_rig_instance);
    *i = (struct call_rig_instance){.rig = r, .events = events, .owner = owner};
    hd_list_push(&r->instances, &i->link);
    hd_buf_init(&i->body, 65536);
    i->at.kind = HD_ENDPOINT_UNIX;
    snprintf(i->at.address, sizeof(i->at.address), "%s/%u", r->dir, ++r->launched);
    r->alive++;
    if (!r->never_ready)
        hd_timer_start(r->loop, &i->timer, 1, r->refuses ? on_refused : on_ready);
    (void)what;
    return (struct hd_instance_handle *)i;
}

static void on_told(struct hd_timer *t)
{
    vanish(hd_container_of(t, struct call_rig_instance, timer), NULL);
}

static void terminate(struct hd_instance_handle *h, uint32_t grace_ms)
{
    struct call_rig_instance *i = (struct call_rig_instance *)h;
    i->rig->killed += grace_ms == 0;
    hd_timer_start(i->rig->loop, &i->timer, 1, on_told);
}

static void ping(struct hd_instance_handle *h, uint32_t within_ms,
                 void (*done)(void *owner, int rc), void *owner)
{
    (void)h;
    (void)within_ms;
    done(owner, 0);
}

static void on_flushed(struct hd_timer *t)
{
    struct call_rig_instance *i = hd_container_of(t, struct call_rig_instance, flush);
    i->flushed(i->flush_owner);
}

static void flush_output(struct hd_instance_handle *h, void (*done)(void *owner), void *owner)
{
    struct call_rig_instance *i = (struct call_rig_instance *)h;
    i->flushed = done;
    i->flush_owner = owner;
    hd_timer_start(i->rig->loop, &i->flush, CALL_RIG_FLUSH_MS, on_flushed);
}

static uint64_t rss(struct hd_instance_handle *h)
{
    (void)h;
    return 45 << 20;
}

static uint64_t cpu(struct hd_instance_handle *h)
{
    (void)h;
    return 0;
}

static const struct hd_backend_ops ops = {.name = "rig",
                                          .launch = launch,
                                          .terminate = terminate,
                                          .ping = ping,
                                          .flush_output = flush_output,
                                          .rss_bytes = rss,
                                          .cpu_us = cpu};

/* --- the rig --- */

static void on_instance_gone(void *arg, struct hd_loop *loop, struct hd_instance *i)
{
    (void)arg;
    hd_channel_drop(loop, i);
}

static void on_line(void *arg, const struct hd_call_line *line)
{
    struct call_rig *r = arg;
    size_t len = strlen(r->lines);
    snprintf(r->lines + len, sizeof(r->lines) - len, "%.*s\n", HD_FMT(line->text));
}

void call_rig_start(struct call_rig *r, const struct hd_pool_limits *limits)
{
    static const struct hd_pool_set_events events = {.on_instance_gone = on_instance_gone};
    struct hd_error err;
    *r = (struct call_rig){.base.ops = &ops};
    hd_list_init(&r->instances);
    snprintf(r->dir, sizeof(r->dir), "/tmp/heddle-call-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    assert_int_equal(hd_loop_new(&r->loop, 0, &err), 0);
    r->net = hd_net_new(r->loop);
    struct hd_pool_set_options opt = {
        .loops = &r->loop, .n_loops = 1, .backend = &r->base, .events = &events, .arg = r};
    assert_int_equal(hd_pool_set_new(&r->set, &opt, &err), 0);
    struct hd_pool_spec spec = {
        .key = "f", .launch = {.function = "f", .version = "1"}, .limits = *limits};
    assert_int_equal(hd_pool_set_put(r->set, &r->pool, &spec, &err), 0);
    r->quota = hd_account_quota_new(10);
    r->target = hd_target_new();
    r->target->kind = HD_TARGET_LAMBDA;
    r->target->name = hd_strdup("f");
    r->target->version = hd_strdup("$LATEST");
    r->target->arn = hd_strdup("arn:aws:lambda:us-east-1:000000000000:function:f");
    r->target->pool = hd_pool_ref(r->pool);
    r->target->timeout_ms = 3000;
    r->target->memory_mb = 128;
    r->target->runtime = hd_strdup("nodejs22.x");
    r->target->admission = hd_admission_new(r->quota);
    struct hd_caller_options how = {
        .net = r->net, .control = r->loop, .on_line = on_line, .arg = r};
    r->caller = hd_caller_new(&how);
}

static void on_closed(void *arg)
{
    bool *closed = arg;
    *closed = true;
}

void call_rig_stop(struct call_rig *r)
{
    bool closed = false;
    assert_int_equal(hd_caller_active(r->caller), 0);
    assert_int_equal(hd_account_quota_running(r->quota), 0);
    assert_int_equal(hd_admission_running(r->target->admission), 0);
    hd_pool_set_close(r->set, 100, on_closed, &closed);
    call_rig_until(r, closed && r->alive == 0);
    hd_target_unref(r->target);
    hd_account_quota_unref(r->quota);
    hd_pool_unref(r->pool);
    hd_pool_set_free(r->set);
    for (int n = 0; n < 20; n++) /* connections close */
        call_rig_turn(r);
    hd_caller_free(r->caller);
    hd_loop_free(r->loop);
    hd_net_free(r->net);
    hd_auto_free char *command = hd_printf("rm -rf %s", r->dir);
    assert_int_equal(system(command), 0);
}

unsigned call_rig_ready(struct call_rig *r)
{
    struct hd_pool_stats s;
    hd_pool_stats(r->pool, &s);
    return s.idle + s.busy;
}

/* --- calls --- */

static void on_head(void *arg, const struct hd_call_head *head)
{
    struct call_rig_outcome *o = arg;
    o->heads++;
    o->streaming = head->streaming;
}

static bool on_data(void *arg, struct hd_str bytes)
{
    struct call_rig_outcome *o = arg;
    assert_true(o->data_bytes + bytes.len < sizeof(o->data));
    memcpy(o->data + o->data_bytes, bytes.ptr, bytes.len);
    o->data_bytes += bytes.len;
    return !o->hold;
}

static void copy(char *to, size_t room, struct hd_str from)
{
    snprintf(to, room, "%.*s", HD_FMT(from));
}

static void on_end(void *arg, const struct hd_call_result *result)
{
    struct call_rig_outcome *o = arg;
    o->ends++;
    o->outcome = result->outcome;
    copy(o->payload, sizeof(o->payload), result->payload);
    copy(o->tail, sizeof(o->tail), result->tail);
    copy(o->type, sizeof(o->type), result->error_type);
    copy(o->error, sizeof(o->error), hd_str(result->error.msg));
    copy(o->reason, sizeof(o->reason), hd_str(result->reason));
    copy(o->request_id, sizeof(o->request_id), hd_str(result->request_id));
    copy(o->xray, sizeof(o->xray), hd_str(result->xray));
    o->code = result->error.code;
    o->delivered = result->delivered;
    o->duration_us = result->duration_us;
    o->init_us = result->init_us;
}

static const struct hd_call_events call_events = {
    .on_head = on_head, .on_data = on_data, .on_end = on_end};

struct hd_call *call_rig_call(struct call_rig *r, const char *event,
                              const struct hd_call_request *request, struct call_rig_outcome *out)
{
    struct hd_call_request how = request != NULL ? *request : (struct hd_call_request){0};
    how.event = hd_str(event);
    *out = (struct call_rig_outcome){0};
    return hd_call_start(r->caller, r->target, &how, &call_events, out);
}
