/*         head            body complete, runtime free        answered        all asked again
 *  ─────────────► held ───────────────────────────► event ─────────────► event ────────► over
 *
 * One event is under way and one may wait for it: whoever sends them is told of an answer before
 * runtime and extensions are free again. */
#include "shim/shim.h"

#include "core/base64.h"

#include <stdio.h>

enum {
    EVENT_MAX = HD_ANSWER_MAX,
    GATE_MS = 20,                 /* an answer waits so long for the lines before it */
    NO_LIMIT_MS = 15 * 60 * 1000, /* told to runtimes where there is no limit */
    TRAILER_ERROR_MAX = 5000,     /* bytes of an error in a trailer, before base64 */
};

/* --- from the node --- */

static void set_next(struct hd_shim_event *ev, const char *name, char *value)
{
    for (char *c = value; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' '; /* of a JSON text: a line break between its parts */
    ev->next[ev->n_next].name = name;
    ev->next[ev->n_next++].value = value;
}

static char *decoded(struct hd_str base64)
{
    char *out = hd_alloc(hd_base64_bytes(base64.len) + 1);
    size_t n = 0;
    if (hd_base64_decode(out, &n, HD_BASE64, base64) < 0)
        n = 0;
    out[n] = '\0';
    return out;
}

static void map_fields(struct hd_shim_event *ev, const struct hd_head *head)
{
    static const struct {
        const char *from, *to;
        bool base64;
    } table[] = {
        {"x-heddle-arn", "Lambda-Runtime-Invoked-Function-Arn", false},
        {"x-heddle-trace", "Lambda-Runtime-Trace-Id", false},
        {"x-heddle-client-context", "Lambda-Runtime-Client-Context", true},
        {"x-heddle-identity", "Lambda-Runtime-Cognito-Identity", true},
        {"x-heddle-tenant", "Lambda-Runtime-Aws-Tenant-Id", false},
        {"content-type", "Content-Type", false},
    };
    ev->arn = ev->trace = "";
    for (size_t i = 0; i < HD_COUNT(table); i++) {
        const struct hd_field *f = hd_head_find(head, table[i].from);
        if (f == NULL || f->value.len == 0)
            continue;
        set_next(ev, table[i].to, table[i].base64 ? decoded(f->value) : hd_strdup_n(f->value));
        if (i == 0)
            ev->arn = ev->next[ev->n_next - 1].value;
        else if (i == 1)
            ev->trace = ev->next[ev->n_next - 1].value;
    }
    if (hd_head_find(head, "content-type") == NULL)
        set_next(ev, "Content-Type", hd_strdup("application/json"));
}

static void set_deadline(struct hd_shim_event *ev, const struct hd_head *head)
{
    struct hd_shim *s = ev->shim;
    const struct hd_field *f = hd_head_find(head, "x-heddle-deadline");
    uint64_t ms = 0;
    if (f != NULL && hd_str_to_u64(&ms, f->value) == 0 && ms > 0 && ms < UINT32_MAX) {
        ev->limit_ms = ms;
        ev->due_ms = hd_loop_now_ms(s->loop) + ms;
    } else {
        ms = s->load->timeout_ms > 0 ? s->load->timeout_ms : NO_LIMIT_MS;
    }
    ev->due_unix_ms = hd_clock_unix_ms() + (int64_t)ms;
}

static void free_event(struct hd_shim_event *ev)
{
    hd_timer_stop(ev->shim->loop, &ev->gate);
    hd_buf_done(&ev->body);
    hd_buf_done(&ev->answer);
    for (unsigned i = 0; i < ev->n_next; i++)
        free(ev->next[i].value);
    free(ev->gated_content_type);
    free(ev->gated_type);
    free(ev);
}

static void refuse(struct hd_exchange *ex, unsigned status, const char *why, bool undelivered)
{
    static const struct hd_field field = {HD_LIT("x-heddle-undelivered"), HD_LIT("1")};
    struct hd_buf b;
    hd_buf_init(&b, 1024);
    hd_buf_cstr(&b, "{\"ok\":false,\"message\":");
    hd_buf_json(&b, hd_str(why));
    hd_buf_cstr(&b, "}\n");
    hd_shim_answer_json(ex, status, hd_buf_view(&b), &field, undelivered ? 1 : 0);
    hd_buf_done(&b);
}

/* Nobody was given it, and nobody will be. */
static void drop_held(struct hd_shim *s, unsigned status, const char *why)
{
    struct hd_shim_event *ev = hd_steal(s->held);
    if (ev->up != NULL)
        refuse(ev->up, status, why, status == 503);
    free_event(ev);
}

void hd_shim_event_refuse(struct hd_shim *s, const char *why)
{
    if (s->held != NULL)
        drop_held(s, 503, why);
}

static void on_body(struct hd_exchange *ex, struct hd_str bytes, bool end)
{
    struct hd_shim_event *ev = ex->door;
    struct hd_shim *s = ev->shim;
    hd_buf_str(&ev->body, bytes);
    if (hd_buf_failed(&ev->body)) {
        drop_held(s, 413, "the event is larger than 6291556 bytes");
        return;
    }
    ev->whole = end;
    if (end)
        hd_shim_step(s);
}

static void on_bad_body(struct hd_exchange *ex, unsigned status, const char *why)
{
    struct hd_shim_event *ev = ex->door;
    drop_held(ev->shim, status, why);
}

static void on_writable(struct hd_exchange *ex)
{
    struct hd_shim_event *ev = ex->door;
    hd_shim_api_writable(ev->shim);
}

static void on_gone(struct hd_exchange *ex, enum hd_gone why)
{
    struct hd_shim_event *ev = ex->door;
    struct hd_shim *s = ev->shim;
    (void)why;
    ev->up = NULL;
    if (ev == s->held)
        drop_held(s, 503, "");
    else
        hd_shim_api_writable(s); /* the rest of a streamed answer is read and dropped */
}

static const struct hd_exchange_events events = {
    .on_body = on_body, .on_bad_body = on_bad_body, .on_writable = on_writable, .on_gone = on_gone};

/* An id goes into paths, fields and JSON as it is. */
static bool is_id(struct hd_str id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_' || c == '.';
        if (!plain)
            return false;
    }
    return id.len > 0 && id.len <= HD_RAPI_ID_MAX;
}

void hd_shim_event_take(struct hd_shim *s, struct hd_exchange *ex, const struct hd_head *head,
                        struct hd_str body, bool end)
{
    const struct hd_field *mode = hd_head_find(head, "x-heddle-event");
    const struct hd_field *id = hd_head_find(head, "x-heddle-id");
    ex->events = &hd_shim_no_events;
    if (s->phase == HD_SHIM_EMPTY || s->phase == HD_SHIM_ENDING || s->phase == HD_SHIM_DIRECT ||
        s->held != NULL) {
        refuse(ex, 503,
               s->phase == HD_SHIM_EMPTY    ? "no function is loaded"
               : s->phase == HD_SHIM_ENDING ? "this instance ends"
                                            : "an instance takes one event at a time",
               true);
        return;
    }
    if (mode == NULL || id == NULL || !is_id(id->value)) {
        refuse(ex, 400, "this function takes events: x-heddle-event and x-heddle-id are needed",
               false);
        return;
    }
    struct hd_shim_event *ev = hd_new(struct hd_shim_event);
    ev->shim = s;
    ev->up = ex;
    ev->stream = hd_str_is(mode->value, "stream");
    ev->whole = end;
    memcpy(ev->id, id->value.ptr, id->value.len);
    hd_buf_init(&ev->body, EVENT_MAX);
    hd_buf_init(&ev->answer, HD_ANSWER_MAX);
    map_fields(ev, head);
    set_deadline(ev, head);
    ex->door = ev;
    ex->events = &events;
    s->held = ev;
    hd_exchange_continue(ex);
    on_body(ex, body, end);
}

/* --- to the runtime --- */

void hd_shim_event_give(struct hd_shim *s)
{
    struct hd_shim_event *ev = s->event;
    struct hd_field fields[HD_SHIM_NEXT_FIELDS + 2];
    char due[24];
    size_t n = 0;
    snprintf(due, sizeof(due), "%lld", (long long)ev->due_unix_ms);
    fields[n++] = (struct hd_field){HD_LIT("Lambda-Runtime-Aws-Request-Id"), hd_str(ev->id)};
    fields[n++] = (struct hd_field){HD_LIT("Lambda-Runtime-Deadline-Ms"), hd_str(due)};
    for (unsigned i = 0; i < ev->n_next; i++)
        fields[n++] = (struct hd_field){hd_str(ev->next[i].name), hd_str(ev->next[i].value)};
    bool front = s->front.state == HD_SHIM_FRONT_ON;
    if (!front)
        hd_rapi_give(&s->rapi, hd_str(ev->id));
    hd_shim_ext_invoke(s);
    struct hd_str body = ev->body.len > 0 ? hd_buf_view(&ev->body) : hd_str("{}");
    struct hd_response_head head = {
        .status = 200, .fields = fields, .n_fields = n, .body_bytes = (int64_t)body.len};
    hd_shim_telemetry(s, "platform.start", "{\"requestId\":\"%s\",\"version\":\"%s\"}", ev->id,
                      s->load->function_version);
    ev->began_us = hd_clock_us();
    if (front)
        hd_shim_front_give(s, fields, n, body);
    else
        hd_shim_api_give(s, &head, body);
    if (!front)
        hd_buf_done(&ev->body); /* else it may have to be given again */
}

bool hd_shim_event_take_back(struct hd_shim *s)
{
    if (s->held != NULL || s->event == NULL || s->event->up == NULL)
        return false;
    s->held = hd_steal(s->event);
    return true;
}

/* The most memory that the runtime's process had, in MB. */
static unsigned max_memory_mb(const struct hd_shim *s)
{
    char path[40], text[4096];
    unsigned long kb = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)s->programs[HD_SHIM_RUNTIME].pid);
    FILE *f = fopen(path, "re");
    size_t n = f != NULL ? fread(text, 1, sizeof(text) - 1, f) : 0;
    text[n] = '\0';
    const char *line = strstr(text, "\nVmHWM:");
    if (line != NULL)
        kb = strtoul(line + 7, NULL, 10);
    if (f != NULL)
        fclose(f);
    return (unsigned)((kb + 1023) / 1024);
}

void hd_shim_event_report(struct hd_shim *s)
{
    struct hd_shim_event *ev = s->event;
    char init[60] = "";
    if (ev == NULL || ev->reported || s->exts.n == 0)
        return;
    ev->reported = true;
    const char *status = ev->status != NULL ? ev->status : "failure";
    if (s->init_took_ms > 0)
        snprintf(init, sizeof(init), ",\"initDurationMs\":%llu",
                 (unsigned long long)s->init_took_ms);
    s->init_took_ms = 0;
    double ms = (double)ev->took_us / 1000;
    hd_shim_telemetry(s, "platform.runtimeDone",
                      "{\"requestId\":\"%s\",\"status\":\"%s\",\"metrics\":{\"durationMs\":%.3f,"
                      "\"producedBytes\":%llu}}",
                      ev->id, status, ms, (unsigned long long)ev->produced);
    hd_shim_telemetry(s, "platform.end", "{\"requestId\":\"%s\"}", ev->id);
    hd_shim_telemetry(s, "platform.report",
                      "{\"requestId\":\"%s\",\"status\":\"%s\",\"metrics\":{\"durationMs\":%.3f,"
                      "\"billedDurationMs\":%llu,\"memorySizeMB\":%u,\"maxMemoryUsedMB\":%u%s}}",
                      ev->id, status, ms, (unsigned long long)((ev->took_us + 999) / 1000),
                      s->load->memory_mb, max_memory_mb(s), init);
}

void hd_shim_event_over(struct hd_shim *s)
{
    hd_shim_drain_output(s);
    hd_shim_event_report(s);
    hd_shim_sink_forgive(s);
    hd_timer_stop(s->loop, &s->deadline);
    free_event(hd_steal(s->event));
}

void hd_shim_event_free(struct hd_shim *s)
{
    if (s->event != NULL)
        free_event(hd_steal(s->event));
}

/* --- the answer --- */

static void ended(struct hd_shim_event *ev, size_t produced, const char *status)
{
    ev->answered = true;
    ev->produced += produced;
    ev->status = status;
    ev->took_us = ev->began_us != 0 ? hd_clock_us() - ev->began_us : 0;
}

static void send_answer(struct hd_shim_event *ev, struct hd_str body, const char *content_type,
                        const char *type, bool exits)
{
    struct hd_field fields[4];
    size_t n = 0;
    ended(ev, body.len,
          type == NULL                            ? "success"
          : strcmp(type, "Sandbox.Timedout") == 0 ? "timeout"
          : exits                                 ? "failure"
                                                  : "error");
    if (ev->up == NULL)
        return;
    fields[n++] = (struct hd_field){
        HD_LIT("content-type"), hd_str(content_type != NULL ? content_type : "application/json")};
    if (type != NULL)
        fields[n++] = (struct hd_field){HD_LIT("x-heddle-function-error"), HD_LIT("Unhandled")};
    if (type != NULL && type[0] != '\0')
        fields[n++] = (struct hd_field){HD_LIT("x-heddle-error-type"), hd_str(type)};
    if (exits)
        fields[n++] = (struct hd_field){HD_LIT("x-heddle-exit"), HD_LIT("1")};
    struct hd_response_head head = {
        .status = 200, .fields = fields, .n_fields = n, .body_bytes = (int64_t)body.len};
    hd_exchange_respond(hd_steal(ev->up), &head, body, true);
}

static void send_gated(struct hd_shim_event *ev)
{
    ev->gated = false;
    hd_timer_stop(ev->shim->loop, &ev->gate);
    send_answer(ev, hd_buf_view(&ev->answer), ev->gated_content_type, ev->gated_type,
                ev->gated_exits);
    hd_shim_step(ev->shim);
}

static void on_gate(struct hd_timer *t)
{
    send_gated(hd_container_of(t, struct hd_shim_event, gate));
}

void hd_shim_event_step(struct hd_shim *s)
{
    if (s->event != NULL && s->event->gated && s->sink.out.len == 0)
        send_gated(s->event);
}

void hd_shim_event_answer(struct hd_shim *s, struct hd_str body, const char *content_type,
                          const char *type, bool exits)
{
    struct hd_shim_event *ev = s->event;
    if (ev == NULL || ev->answered || ev->gated)
        return;
    if (hd_shim_drain_output(s)) {
        send_answer(ev, body, content_type, type, exits);
        return;
    }
    ev->gated = true;
    ev->gated_exits = exits;
    ev->gated_content_type = hd_strdup(content_type);
    ev->gated_type = hd_strdup(type);
    hd_buf_str(&ev->answer, body);
    hd_timer_start(s->loop, &ev->gate, GATE_MS, on_gate);
}

void hd_shim_event_fault(struct hd_shim *s, const struct hd_failure *f, bool exits)
{
    struct hd_shim_event *ev = s->event;
    if (ev == NULL)
        return;
    if (ev->head_sent) {
        hd_shim_event_stream_end(s, f, exits);
        return;
    }
    struct hd_buf body;
    hd_buf_init(&body, HD_ANSWER_MAX);
    hd_failure_json(&body, f, hd_str(ev->id));
    hd_shim_event_answer(s, hd_buf_view(&body), NULL, f->type, exits);
    hd_buf_done(&body);
}

bool hd_shim_event_stream(struct hd_shim *s, struct hd_str bytes, const char *content_type)
{
    struct hd_shim_event *ev = s->event;
    ev->produced += bytes.len;
    if (ev->up == NULL)
        return true;
    if (ev->head_sent)
        return bytes.len == 0 || hd_exchange_write(ev->up, bytes, false);
    struct hd_field fields[] = {
        {HD_LIT("content-type"),
         hd_str(content_type != NULL ? content_type : "application/octet-stream")},
        {HD_LIT("x-heddle-stream"), HD_LIT("1")}};
    struct hd_response_head head = {.status = 200,
                                    .fields = fields,
                                    .n_fields = HD_COUNT(fields),
                                    .body_bytes = HD_BODY_UNKNOWN};
    ev->head_sent = true;
    return hd_exchange_respond(ev->up, &head, bytes, false);
}

/* An error that is too long for a trailer says its type and no more. */
static void trailer_body(struct hd_buf *out, const struct hd_failure *f, const char *id)
{
    struct hd_buf json;
    hd_buf_init(&json, HD_ANSWER_MAX);
    hd_failure_json(&json, f, hd_str(id));
    if (json.len > TRAILER_ERROR_MAX) {
        hd_buf_clear(&json);
        hd_failure_api_json(&json, f->type, "the error was longer than can be told here");
    }
    char *room = hd_buf_reserve(out, hd_base64_chars(HD_BASE64, json.len));
    if (room != NULL)
        hd_buf_commit(out, hd_base64_encode(room, HD_BASE64, json.ptr, json.len));
    hd_buf_done(&json);
}

void hd_shim_event_stream_end(struct hd_shim *s, const struct hd_failure *f, bool exits)
{
    struct hd_shim_event *ev = s->event;
    if (ev == NULL || ev->answered)
        return;
    (void)exits; /* the answer's head is out: the node sees the instance end */
    hd_shim_drain_output(s);
    ended(ev, 0,
          f == NULL                                  ? "success"
          : strcmp(f->type, "Sandbox.Timedout") == 0 ? "timeout"
                                                     : "error");
    if (ev->up == NULL)
        return;
    struct hd_buf body;
    hd_buf_init(&body, HD_ANSWER_MAX);
    if (f != NULL) {
        trailer_body(&body, f, ev->id);
        struct hd_field fields[] = {{HD_LIT("x-heddle-function-error"), HD_LIT("Unhandled")},
                                    {HD_LIT("x-heddle-error-type"), hd_str(f->type)},
                                    {HD_LIT("x-heddle-error-body"), hd_buf_view(&body)}};
        hd_exchange_trailers(ev->up, fields, HD_COUNT(fields));
    }
    hd_exchange_write(hd_steal(ev->up), hd_str_n(NULL, 0), true);
    hd_buf_done(&body);
}
