#include "shim/shim.h"

#include "shim/calls.h"

#include <jansson.h>
#include <stdio.h>

enum { BODY_MAX = 256 << 10 };

/* A call of an extension whose body, or answer, is still to come. */
struct call {
    struct hd_shim *shim;
    struct hd_exchange *ex;
    enum hd_call_kind kind;
    struct hd_ext *ext;
    struct hd_buf body;
    char name[HD_EXT_NAME_MAX + 2]; /* of the field; longer ones are cut, and so refused */
    char room[HD_FAILURE_TYPE_MAX + 1];
    const char *type;
    bool wants_account;
};

static struct hd_exchange **place_of(struct hd_shim *s, const struct hd_ext *x)
{
    return &s->ext_next[x - s->exts.v];
}

static void free_call(struct call *c)
{
    if (c->ext != NULL && *place_of(c->shim, c->ext) == c->ex)
        *place_of(c->shim, c->ext) = NULL;
    hd_buf_done(&c->body);
    free(c);
}

static void refuse(struct hd_exchange *ex, enum hd_ext_verdict v)
{
    const char *text, *type = hd_ext_error(v, &text);
    hd_shim_api_error(ex, v == HD_EXT_BAD_REQUEST ? 400 : 403, type, text);
}

/* --- register --- */

static enum hd_ext_verdict read_events(unsigned *events, struct hd_str body)
{
    json_t *json = json_loadb(body.ptr != NULL ? body.ptr : "", body.len, 0, NULL);
    const json_t *list = json_object_get(json, "events");
    enum hd_ext_verdict v = json_is_object(json) && (list == NULL || json_is_array(list))
                                ? HD_EXT_OK
                                : HD_EXT_BAD_REQUEST;
    *events = 0;
    for (size_t i = 0; v == HD_EXT_OK && i < json_array_size(list); i++) {
        struct hd_str e = hd_str(json_string_value(json_array_get(list, i)));
        if (hd_str_is(e, "INVOKE"))
            *events |= HD_EXT_INVOKE;
        else if (hd_str_is(e, "SHUTDOWN"))
            *events |= HD_EXT_SHUTDOWN;
        else
            v = HD_EXT_BAD_EVENT;
    }
    json_decref(json);
    return v;
}

static void registered(struct hd_shim *s, struct hd_exchange *ex, const struct hd_ext *x,
                       bool account)
{
    const struct hd_loadreq *l = s->load;
    struct hd_field id = {HD_LIT("Lambda-Extension-Identifier"), hd_str(x->id)};
    struct hd_buf b;
    hd_buf_init(&b, 64 << 10);
    hd_buf_cstr(&b, "{\"functionName\":");
    hd_buf_json(&b, hd_str(l->function_name));
    hd_buf_cstr(&b, ",\"functionVersion\":");
    hd_buf_json(&b, hd_str(l->function_version));
    hd_buf_cstr(&b, ",\"handler\":");
    hd_buf_json(&b, hd_str(l->handler));
    if (account && l->account != NULL) {
        hd_buf_cstr(&b, ",\"accountId\":");
        hd_buf_json(&b, hd_str(l->account));
    }
    hd_buf_cstr(&b, "}\n");
    hd_shim_answer_json(ex, 200, hd_buf_view(&b), &id, 1);
    hd_buf_done(&b);
}

static void new_id(struct hd_shim *s, char id[HD_UUID_CHARS + 1])
{
    hd_uuid7(id, &s->net->rng, hd_net_unix_ms(s->net));
}

static void enlist(struct call *c)
{
    struct hd_shim *s = c->shim;
    struct hd_exchange *ex = c->ex;
    struct hd_ext *x = NULL;
    char id[HD_UUID_CHARS + 1];
    unsigned events;
    bool account = c->wants_account;
    enum hd_ext_verdict v = read_events(&events, hd_buf_view(&c->body));
    new_id(s, id);
    if (v == HD_EXT_OK)
        v = s->load == NULL ? HD_EXT_CLOSED
                            : hd_exts_register(&s->exts, &x, hd_str(c->name), events, id);
    free_call(c);
    if (v != HD_EXT_OK) {
        refuse(ex, v);
        return;
    }
    registered(s, ex, x, account);
    hd_shim_step(s);
}

/* --- errors that an extension reports --- */

static void report(struct call *c)
{
    struct hd_shim *s = c->shim;
    struct hd_exchange *ex = c->ex;
    bool init = c->kind == HD_CALL_EXT_INIT_ERROR;
    enum hd_ext_verdict v = hd_ext_error_report(c->ext, init);
    struct hd_failure f = {0};
    if (v == HD_EXT_OK)
        hd_failure_set(&f,
                       c->type != NULL ? c->type
                       : init          ? "Extension.InitError"
                                       : "Extension.ExitError",
                       "extension %s reported an error: %.*s", c->ext->name,
                       (int)HD_MIN(c->body.len, (size_t)400),
                       c->body.ptr != NULL ? c->body.ptr : "");
    free_call(c);
    if (v != HD_EXT_OK) {
        refuse(ex, v);
        return;
    }
    hd_shim_answer_json(ex, 202, hd_str("{\"status\":\"OK\"}\n"), NULL, 0);
    hd_shim_failed(s, &f);
    hd_failure_done(&f);
}

/* --- telemetry --- */

static void subscribe(struct call *c)
{
    struct hd_shim *s = c->shim;
    struct hd_exchange *ex = c->ex;
    struct hd_error err = {0};
    bool logs = c->kind == HD_CALL_LOGS, closed = s->exts.closed;
    int rc = closed ? 0 : hd_shim_subscribe(s, c->ext, logs, hd_buf_view(&c->body), &err);
    free_call(c);
    if (closed)
        hd_shim_api_error(ex, 403,
                          logs ? "Logs.SubscriptionClosed" : "Telemetry.SubscriptionClosed",
                          "Extensions can subscribe during init only, and init is over");
    else if (rc < 0)
        hd_shim_api_error(ex, 400, "ValidationError", err.msg);
    else
        hd_shim_answer_json(ex, 200, hd_str("\"OK\""), NULL, 0);
}

static void on_body(struct hd_exchange *ex, struct hd_str bytes, bool end)
{
    struct call *c = ex->door;
    hd_buf_str(&c->body, bytes);
    if (hd_buf_failed(&c->body)) {
        free_call(c);
        hd_shim_api_error(ex, 413, "RequestEntityTooLarge", "The body is too large");
    } else if (end && c->kind == HD_CALL_EXT_REGISTER) {
        enlist(c);
    } else if (end && (c->kind == HD_CALL_TELEMETRY || c->kind == HD_CALL_LOGS)) {
        subscribe(c);
    } else if (end) {
        report(c);
    }
}

static void on_bad_body(struct hd_exchange *ex, unsigned status, const char *why)
{
    free_call(ex->door);
    hd_shim_api_error(ex, status, "TruncatedHTTPRequest", why);
}

static void on_writable(struct hd_exchange *ex)
{
    (void)ex;
}

static void on_gone(struct hd_exchange *ex, enum hd_gone why)
{
    struct call *c = ex->door;
    (void)why;
    if (c->kind == HD_CALL_EXT_NEXT)
        hd_ext_next_lost(c->ext);
    free_call(c);
}

static const struct hd_exchange_events events = {
    .on_body = on_body, .on_bad_body = on_bad_body, .on_writable = on_writable, .on_gone = on_gone};

/* --- requests --- */

static void tell_ready(struct hd_shim *s, const struct hd_ext *x)
{
    struct hd_buf name;
    hd_buf_init(&name, 1024);
    hd_buf_json(&name, hd_str(x->name));
    hd_shim_telemetry(
        s, "platform.extension", "{\"name\":%.*s,\"state\":\"Ready\",\"events\":[%s%s%s]}",
        HD_FMT(hd_buf_view(&name)), (x->events & HD_EXT_INVOKE) != 0 ? "\"INVOKE\"" : "",
        x->events == (HD_EXT_INVOKE | HD_EXT_SHUTDOWN) ? "," : "",
        (x->events & HD_EXT_SHUTDOWN) != 0 ? "\"SHUTDOWN\"" : "");
    hd_buf_done(&name);
}

static void next(struct call *c)
{
    struct hd_shim *s = c->shim;
    struct hd_exchange *ex = c->ex;
    bool first = c->ext->phase == HD_EXT_REGISTERED;
    enum hd_ext_verdict v = hd_ext_next(c->ext);
    if (v != HD_EXT_OK) {
        free_call(c);
        refuse(ex, v);
        return;
    }
    *place_of(s, c->ext) = ex;
    if (first)
        tell_ready(s, c->ext);
    if (s->phase == HD_SHIM_ENDING && s->end_step == HD_END_EXTENSIONS)
        hd_shim_ext_shutdown(s); /* it was busy when the others were told */
    else
        hd_shim_step(s);
}

void hd_shim_ext_request(struct hd_shim *s, struct hd_exchange *ex, int call,
                         const struct hd_head *head, struct hd_str body, bool end)
{
    const struct hd_field *id = hd_head_find(head, "Lambda-Extension-Identifier");
    const struct hd_field *name = hd_head_find(head, "Lambda-Extension-Name");
    const struct hd_field *type = hd_head_find(head, "Lambda-Extension-Function-Error-Type");
    const struct hd_field *wants = hd_head_find(head, "Lambda-Extension-Accept-Feature");
    struct hd_ext *x = NULL;
    if (call != HD_CALL_EXT_REGISTER) {
        enum hd_ext_verdict v =
            hd_exts_caller(&s->exts, &x, id != NULL ? id->value : hd_str_n(NULL, 0));
        bool reports = call == HD_CALL_EXT_INIT_ERROR || call == HD_CALL_EXT_EXIT_ERROR;
        if (v == HD_EXT_OK && reports && type == NULL)
            v = HD_EXT_NO_HEADER;
        if (v != HD_EXT_OK) {
            refuse(ex, v);
            return;
        }
    }
    struct call *c = hd_new(struct call);
    *c = (struct call){.shim = s, .ex = ex, .kind = (enum hd_call_kind)call, .ext = x};
    hd_buf_init(&c->body, BODY_MAX);
    if (name != NULL)
        memcpy(c->name, name->value.ptr, HD_MIN(name->value.len, sizeof(c->name) - 1));
    if (type != NULL)
        c->type = hd_failure_type(type->value, NULL, c->room);
    c->wants_account = wants != NULL && hd_str_is_nocase(wants->value, "accountId");
    ex->door = c;
    ex->events = &events;
    if (call == HD_CALL_EXT_NEXT) {
        next(c);
    } else {
        hd_exchange_continue(ex);
        on_body(ex, body, end);
    }
}

/* --- events --- */

/* Answer the open call of @p x. */
static void give(struct hd_shim *s, struct hd_ext *x, struct hd_str json)
{
    struct hd_exchange *ex = *place_of(s, x);
    char id[HD_UUID_CHARS + 1];
    new_id(s, id);
    struct hd_field field = {HD_LIT("Lambda-Extension-Event-Identifier"), hd_str(id)};
    free_call(ex->door);
    hd_ext_given(x);
    hd_shim_answer_json(ex, 200, json, &field, 1);
}

void hd_shim_ext_invoke(struct hd_shim *s)
{
    const struct hd_shim_event *ev = s->event;
    struct hd_buf b;
    if (s->exts.n == 0)
        return;
    hd_buf_init(&b, 64 << 10);
    hd_buf_fmt(&b, "{\"eventType\":\"INVOKE\",\"deadlineMs\":%lld,\"requestId\":",
               (long long)ev->due_unix_ms);
    hd_buf_json(&b, hd_str(ev->id));
    hd_buf_cstr(&b, ",\"invokedFunctionArn\":");
    hd_buf_json(&b, hd_str(ev->arn));
    hd_buf_cstr(&b, ",\"tracing\":{\"type\":\"X-Amzn-Trace-Id\",\"value\":");
    hd_buf_json(&b, hd_str(ev->trace));
    hd_buf_cstr(&b, "}}");
    for (unsigned i = 0; i < s->exts.n; i++)
        if ((s->exts.v[i].events & HD_EXT_INVOKE) != 0 && s->ext_next[i] != NULL)
            give(s, &s->exts.v[i], hd_buf_view(&b));
    hd_buf_done(&b);
}

void hd_shim_ext_shutdown(struct hd_shim *s)
{
    static const char *const reasons[] = {[HD_SHIM_SPINDOWN] = "spindown",
                                          [HD_SHIM_TIMEOUT] = "timeout",
                                          [HD_SHIM_FAILURE] = "failure"};
    struct hd_buf b;
    hd_buf_init(&b, 256);
    hd_buf_fmt(
        &b, "{\"eventType\":\"SHUTDOWN\",\"shutdownReason\":\"%s\",\"deadlineMs\":%lld}",
        reasons[s->reason],
        (long long)(hd_net_unix_ms(s->net) + (int64_t)(s->end_due_ms - hd_loop_now_ms(s->loop))));
    for (unsigned i = 0; i < s->exts.n; i++)
        if ((s->exts.v[i].events & HD_EXT_SHUTDOWN) != 0 && s->ext_next[i] != NULL)
            give(s, &s->exts.v[i], hd_buf_view(&b));
    hd_buf_done(&b);
}

void hd_shim_ext_drop(struct hd_shim *s)
{
    for (unsigned i = 0; i < s->exts.n; i++) {
        struct hd_exchange *ex = s->ext_next[i];
        if (ex == NULL)
            continue;
        free_call(ex->door);
        hd_exchange_abort(ex);
    }
}
