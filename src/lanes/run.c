/*  task:   one call
 *  event:  the hooks of one order (one of them, unless the event is parallel) ─► all done? ─► the
 *          next order ... ─► done
 * A hook that fails keeps the next ones from starting; what runs beside it is waited for. */
#include "lanes/run.h"

#include "core/clock.h"
#include "core/id.h"
#include "core/slab.h"
#include "invoke/xray.h"
#include "lanes/runtext.h"
#include "core/span.h"

enum {
    VALUE_BYTES_MAX = 64 << 20,
    EVENT_BYTES_MAX = 32 << 20,
    ANSWER_BYTES_MAX = 6291556,
    INLINE_BYTES = 512,
    KEPT = 256
};

struct hd_lane_runner {
    struct hd_lane_runner_options opt;
    struct hd_slab slab; /* of runs */
};

/* One function under way. */
struct leg {
    struct hd_lane_run *run;
    const struct hd_lane_hook *hook; /* NULL: the task's */
    struct hd_call *call;
    struct leg *next;
    char above[HD_TRACEPARENT_CHARS + 1]; /* the trace that it is part of; "": none */
    int64_t start_unix_ms;
};

struct hd_lane_run {
    struct hd_lane_runner *runner;
    const struct hd_lane_task *task; /* one of the two */
    const struct hd_lane_event *event;
    struct hd_lane_run_request request; /* its texts lie in the arena */
    struct hd_arena arena;
    const struct hd_typed *value; /* the payload as it is now, or the result */
    hd_lane_run_done_fn *done;
    void *arg;
    struct leg *legs; /* under way */
    size_t next_hook;
    unsigned hooks_run;
    bool failed, starting;
    bool streams;         /* the answer goes to request.stream */
    struct hd_buf answer; /* of a task that could have streamed and did not */
    struct hd_lane_error error;
    char first[INLINE_BYTES];
};

static void run_hooks(struct hd_lane_run *run);

/* --- beginning and end --- */

struct hd_lane_runner *hd_lane_runner_new(const struct hd_lane_runner_options *opt)
{
    struct hd_lane_runner *r = hd_new(struct hd_lane_runner);
    r->opt = *opt;
    hd_slab_init(&r->slab, sizeof(struct hd_lane_run), KEPT);
    return r;
}

void hd_lane_runner_free(struct hd_lane_runner *r)
{
    if (r != NULL)
        hd_slab_done(&r->slab);
    free(r);
}

static void run_free(struct hd_lane_run *run)
{
    hd_buf_done(&run->answer);
    hd_arena_done(&run->arena);
    hd_slab_put(&run->runner->slab, run);
}

static void finish(struct hd_lane_run *run)
{
    struct hd_buf text;
    struct hd_lane_run_result result = {
        .ok = !run->failed, .error = run->error, .hooks_run = run->hooks_run};
    hd_buf_init(&text, VALUE_BYTES_MAX);
    if (result.ok && !run->streams && (run->task != NULL || run->request.want_payload))
        hd_typed_write(&text, run->value != NULL ? run->value : hd_typed_undefined());
    if (hd_buf_failed(&text)) {
        result.ok = false;
        result.error = hd_runtext_internal(hd_str("the result is too large"));
    }
    result.value = hd_buf_view(&text);
    run->done(run->arg, &result);
    hd_buf_done(&text);
    run_free(run);
}

static void fail(struct hd_lane_run *run, struct hd_lane_error error)
{
    if (!run->failed) {
        run->failed = true;
        run->error = error;
    }
}

static void fail_text(struct hd_lane_run *run, const char *reason)
{
    fail(run, hd_runtext_internal(hd_arena_str(&run->arena, hd_str(reason))));
}

/* --- what a function answered --- */

/* A hook may say {"payload": V}: then that is what the next one gets. */
static void take_payload(struct hd_lane_run *run, const struct hd_typed *answer)
{
    const struct hd_typed *payload = hd_typed_get(answer, "payload");
    if (run->request.want_payload && payload != NULL)
        run->value = payload;
}

static void take_answer(struct hd_lane_run *run, const struct hd_lane_hook *hook,
                        struct hd_str answer)
{
    struct hd_typed *value = NULL;
    struct hd_error err;
    bool needed = hook == NULL || run->request.want_payload;
    enum hd_lane_codec codec = hook != NULL ? hook->codec : run->task->codec;
    run->hooks_run += hook != NULL;
    if (!needed)
        return; /* what a hook answers is nobody's business */
    struct hd_str own = hd_arena_str(&run->arena, answer);
    int rc = own.ptr == NULL ? hd_fail(&err, HD_EBUSY, "the answer is too large")
                             : hd_runtext_answer(&value, &run->arena, own, codec, &err);
    if (rc < 0 && hook == NULL)
        fail_text(run, err.msg);
    else if (rc == 0 && hook == NULL)
        run->value = value;
    else if (rc == 0)
        take_payload(run, value);
}

static void tell_span(const struct leg *leg, const struct hd_call_result *result)
{
    const struct hd_lane_runner *r = leg->run->runner;
    const struct hd_lane_event *event = leg->hook != NULL ? leg->hook->event : NULL;
    const struct hd_lane_task *task = leg->run->task;
    const struct hd_rpc_lane *rpc = event != NULL ? event->rpc_lane : task->lane;
    struct hd_span span;
    if (leg->above[0] == '\0' || result->xray == NULL)
        return;
    hd_span_made(&span, hd_str(leg->above), hd_xray_part(hd_str(result->xray), "Parent"),
                 leg->start_unix_ms);
    const struct hd_span_end end = {.name = event != NULL ? "hook" : "task",
                                    .lane = event != NULL && event->event_lane != NULL
                                                ? event->event_lane->id
                                            : rpc != NULL ? rpc->id
                                                          : "",
                                    .of = hd_str(event != NULL ? leg->hook->id : task->wire_id),
                                    .id = hd_str(result->request_id),
                                    .failed = result->outcome != HD_CALL_OK,
                                    .end_unix_ms = hd_clock_unix_ms()};
    hd_span_tell(&span, r->opt.log, r->opt.topology->debug ? HD_INFO : HD_DEBUG, &end);
}

static void on_end(void *arg, const struct hd_call_result *result)
{
    struct leg *leg = arg, **at;
    struct hd_lane_run *run = leg->run;
    struct hd_lane_error error;
    tell_span(leg, result);
    for (at = &run->legs; *at != leg; at = &(*at)->next)
        ;
    *at = leg->next;
    switch (result->outcome) {
    case HD_CALL_OK:
        if (hd_buf_failed(&run->answer))
            fail_text(run, "the answer is too large");
        else if (!run->streams)
            take_answer(run, leg->hook,
                        run->answer.len > 0 ? hd_buf_view(&run->answer) : result->payload);
        break;
    case HD_CALL_FUNCTION_ERROR:
        hd_runtext_error(&error, &run->arena, run->runner->opt.topology, result->payload);
        fail(run, error);
        break;
    case HD_CALL_THROTTLED:
        fail_text(run, result->reason != NULL ? result->reason : "throttled");
        break;
    case HD_CALL_FAILED:
        fail_text(run, result->error.msg);
        break;
    }
    free(leg);
    if (run->legs != NULL)
        return;
    if (run->task != NULL || run->failed)
        finish(run);
    else
        run_hooks(run);
}

/* --- an answer as it comes --- */

static bool is_json(struct hd_str content_type)
{
    struct hd_str kind = hd_str_trim(hd_str_n(content_type.ptr, hd_str_find(content_type, ';')));
    return hd_str_is_nocase(kind, "application/json") ||
           (kind.len > 5 && hd_str_is_nocase(hd_str_n(kind.ptr + kind.len - 5, 5), "+json"));
}

/* JSON is a value however it comes; anything else that streams goes on as a stream. */
static void on_head(void *arg, const struct hd_call_head *head)
{
    struct leg *leg = arg;
    struct hd_lane_run *run = leg->run;
    run->streams = head->streaming && !is_json(head->content_type);
    hd_buf_init(&run->answer, ANSWER_BYTES_MAX);
    if (run->streams)
        run->request.stream->on_head(run->arg, head->content_type);
}

static bool on_data(void *arg, struct hd_str bytes)
{
    struct leg *leg = arg;
    struct hd_lane_run *run = leg->run;
    if (run->streams)
        return run->request.stream->on_data(run->arg, bytes);
    hd_buf_str(&run->answer, bytes);
    return true;
}

void hd_lane_run_resume(struct hd_lane_run *run)
{
    if (run->streams && run->legs != NULL)
        hd_call_resume(run->legs->call);
}

/* --- asking a function --- */

static const struct hd_lane_native *native_of(const struct hd_lane_runner *r, const char *function)
{
    for (size_t i = 0; i < r->opt.n_natives; i++) {
        if (strcmp(r->opt.natives[i].function, function) == 0)
            return &r->opt.natives[i];
    }
    return NULL;
}

static void run_native(struct hd_lane_run *run, const struct hd_lane_hook *hook,
                       const struct hd_lane_native *native, struct hd_str event,
                       struct hd_str context)
{
    struct hd_buf answer;
    hd_buf_init(&answer, VALUE_BYTES_MAX);
    if (native->run(native->arg, event, context, &answer) != 0 || hd_buf_failed(&answer))
        fail_text(run, "the function failed");
    else
        take_answer(run, hook, hd_buf_view(&answer));
    hd_buf_done(&answer);
}

static void run_call(struct hd_lane_run *run, const struct hd_lane_hook *hook, const char *function,
                     uint32_t timeout_ms, struct hd_str event, struct hd_str context)
{
    static const struct hd_call_events events = {
        .on_head = on_head, .on_data = on_data, .on_end = on_end};
    const struct hd_targets *targets = run->runner->opt.targets;
    struct hd_error err = {0};
    struct hd_target *target =
        targets->find(targets->arg, hd_str(function), hd_str_n(NULL, 0), &err);
    if (target == NULL) {
        fail_text(run, err.msg);
        return;
    }
    struct leg *leg = hd_new(struct leg);
    leg->run = run;
    leg->hook = hook;
    leg->next = run->legs;
    run->legs = leg;
    if (run->request.traceparent.len == HD_TRACEPARENT_CHARS) {
        memcpy(leg->above, run->request.traceparent.ptr, HD_TRACEPARENT_CHARS);
        leg->start_unix_ms = hd_clock_unix_ms();
    }
    struct hd_call_request request = {.event = event,
                                      .client_context = context,
                                      .traceparent = run->request.traceparent,
                                      .source = hook != NULL ? "event-lane" : "rpc-lane",
                                      .want_stream = run->request.stream != NULL,
                                      .timeout_ms = timeout_ms};
    leg->call = hd_call_start(run->runner->opt.caller, target, &request, &events, leg);
    hd_target_unref(target);
}

static void ask(struct hd_lane_run *run, const struct hd_lane_hook *hook)
{
    char small_event[2048], small_context[512];
    struct hd_buf event, context;
    const char *function = hook != NULL ? hook->function : run->task->function;
    hd_buf_init_with(&event, small_event, sizeof(small_event), EVENT_BYTES_MAX);
    hd_buf_init_with(&context, small_context, sizeof(small_context), EVENT_BYTES_MAX);
    struct hd_lane_run_request request = run->request;
    request.value = run->value;
    if (hook != NULL && hook->cloud_events)
        hd_runtext_cloud_event(&event, hook->event, &request);
    else
        hd_runtext_value(&event, run->value, hook != NULL ? hook->codec : run->task->codec);
    if (hook != NULL)
        hd_runtext_hook_context(&context, hook, &request);
    else
        hd_runtext_task_context(&context, run->task, &request);
    const struct hd_lane_native *native = native_of(run->runner, function);
    if (hd_buf_failed(&event) || hd_buf_failed(&context))
        fail_text(run, "the event is too large for a function");
    else if (native != NULL)
        run_native(run, hook, native, hd_buf_view(&event), hd_buf_view(&context));
    else
        run_call(run, hook, function, hook != NULL ? 0 : run->task->timeout_ms, hd_buf_view(&event),
                 hd_buf_view(&context));
    hd_buf_done(&event);
    hd_buf_done(&context);
}

/* --- events --- */

static bool may_run(const struct hd_lane_run *run, const struct hd_lane_hook *hook)
{
    return run->request.only == NULL || hd_strings_has(run->request.only, hd_str(hook->id));
}

/* Start hooks until one is under way, of a parallel event all of its order; or it is over. */
static void run_hooks(struct hd_lane_run *run)
{
    const struct hd_lane_event *event = run->event;
    while (!run->failed && run->next_hook < event->n_hooks) {
        const struct hd_lane_hook *hook = event->hooks[run->next_hook];
        bool same_order = run->next_hook > 0 && event->parallel &&
                          event->hooks[run->next_hook - 1]->order == hook->order;
        if (run->legs != NULL && !same_order)
            break;
        run->next_hook++;
        if (may_run(run, hook))
            ask(run, hook);
    }
    if (run->legs == NULL && !run->starting)
        finish(run);
}

/* --- from outside --- */

static struct hd_str keep(struct hd_lane_run *run, struct hd_str s)
{
    return s.len > 0 ? hd_arena_str(&run->arena, s) : s;
}

/* The value and the texts are the caller's only until it returns: native functions need no more. */
static bool keep_request(struct hd_lane_run *run)
{
    struct hd_lane_run_request *q = &run->request;
    struct hd_buf text;
    struct hd_typed *copy = NULL;
    hd_buf_init(&text, VALUE_BYTES_MAX);
    if (run->value != NULL)
        hd_typed_write(&text, run->value);
    struct hd_str own = hd_arena_str(&run->arena, hd_buf_view(&text));
    bool ok = !hd_buf_failed(&text) && own.ptr != NULL;
    if (ok && run->value != NULL)
        ok = hd_typed_read(&copy, &run->arena, own, NULL) == 0;
    hd_buf_done(&text);
    run->value = copy;
    q->contexts = keep(run, q->contexts);
    q->request_id = keep(run, q->request_id);
    q->traceparent = keep(run, q->traceparent);
    q->lane = keep(run, q->lane);
    q->message_id = keep(run, q->message_id);
    q->source_kind = keep(run, q->source_kind);
    q->source_id = keep(run, q->source_id);
    q->created_at = keep(run, q->created_at);
    q->cloud = keep(run, q->cloud);
    return ok;
}

static struct hd_lane_run *run_new(struct hd_lane_runner *r,
                                   const struct hd_lane_run_request *request,
                                   hd_lane_run_done_fn *done, void *arg)
{
    struct hd_lane_run *run = hd_slab_take(&r->slab);
    memset(run, 0, offsetof(struct hd_lane_run, first));
    run->runner = r;
    run->request = *request;
    run->value = request->value;
    run->done = done;
    run->arg = arg;
    run->starting = true;
    hd_arena_init(&run->arena, run->first, sizeof(run->first), (size_t)4 * VALUE_BYTES_MAX);
    return run;
}

/* More hooks follow the ones that were started, or the payload goes back: what is only borrowed is
 * needed longer. */
static void keep_for_later(struct hd_lane_run *run)
{
    bool later =
        run->event != NULL && (run->next_hook < run->event->n_hooks || run->request.want_payload);
    if (run->legs != NULL && later && !keep_request(run))
        fail_text(run, "the event is too large");
}

static struct hd_lane_run *settle(struct hd_lane_run *run)
{
    run->starting = false;
    keep_for_later(run);
    if (run->legs != NULL)
        return run;
    finish(run);
    return NULL;
}

struct hd_lane_run *hd_lane_run_task(struct hd_lane_runner *r, const struct hd_lane_task *task,
                                     const struct hd_lane_run_request *request,
                                     hd_lane_run_done_fn *done, void *arg)
{
    struct hd_lane_run *run = run_new(r, request, done, arg);
    run->task = task;
    ask(run, NULL);
    return settle(run);
}

struct hd_lane_run *hd_lane_run_event(struct hd_lane_runner *r, const struct hd_lane_event *event,
                                      const struct hd_lane_run_request *request,
                                      hd_lane_run_done_fn *done, void *arg)
{
    struct hd_lane_run *run = run_new(r, request, done, arg);
    run->event = event;
    run_hooks(run);
    return settle(run);
}

void hd_lane_run_cancel(struct hd_lane_run *run)
{
    while (run->legs != NULL) {
        struct leg *leg = run->legs;
        run->legs = leg->next;
        hd_call_cancel(leg->call, false);
        free(leg);
    }
    run_free(run);
}
