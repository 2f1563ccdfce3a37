/* One attempt of one event: look its function up as it is now, call it, decide. */
#include "lambda/async/async_private.h"

#include "invoke/admission.h"
#include "lambda/names.h"

enum {
    THROTTLED_MS = 1000, /* how long a function that is throttled is left alone */
    RECORD_BYTES = 64 << 20,
};

struct run {
    struct hd_list link;
    struct hd_async_worker *worker;
    struct hd_drain_item *item;
    struct hd_str account, region, name; /* slices of the queue's name */
    struct hd_async_meta meta;
    char *arn; /* unqualified */
    struct hd_view *view;
    const struct hd_lambda_fn *fn; /* of the view; NULL: a function of the folder, or none */
    const struct hd_view_event_config *config; /* of the view; NULL: none */
    struct hd_target *target;
    struct hd_call *call;
    struct hd_async_rules rules;
    struct hd_async_event_state state;
};

/* "lambda:account/region/name" */
static bool split_queue(struct run *r, struct hd_str queue)
{
    struct hd_str rest = hd_str_n(queue.ptr + sizeof(HD_ASYNC_QUEUE_PREFIX) - 1,
                                  queue.len - (sizeof(HD_ASYNC_QUEUE_PREFIX) - 1));
    return hd_str_split(&r->account, &rest, '/') && hd_str_split(&r->region, &rest, '/') &&
           hd_str_split(&r->name, &rest, '/');
}

static void run_free(struct run *r)
{
    struct hd_async_worker *w = r->worker;
    hd_list_remove(&r->link);
    hd_async_meta_done(&r->meta);
    hd_target_unref(r->target);
    hd_view_unref(r->view);
    free(r->arn);
    free(r);
    hd_async_maybe_idle(w);
}

/* --- the end --- */

static void count_end(struct hd_async *a, enum hd_async_end end)
{
    switch (end) {
    case HD_ASYNC_GOES_ON:
    case HD_ASYNC_SUCCESS:
        break;
    case HD_ASYNC_EXHAUSTED:
        atomic_fetch_add(&a->counts.exhausted, 1);
        break;
    case HD_ASYNC_EXPIRED:
        atomic_fetch_add(&a->counts.expired, 1);
        break;
    case HD_ASYNC_OFF:
        atomic_fetch_add(&a->counts.switched_off, 1);
        break;
    case HD_ASYNC_LOOP:
        atomic_fetch_add(&a->counts.loops_stopped, 1);
        break;
    }
}

static const char *some(const char *text)
{
    return text != NULL && text[0] != '\0' ? text : NULL;
}

static void add_delivery(struct hd_async_close_out *c, const struct run *r, const char *to,
                         const struct hd_async_ending *e, struct hd_str trace, bool dead_letter)
{
    unsigned i = c->n++;
    c->puts[i].queue = hd_printf(HD_ASYNC_SEND_PREFIX "%s", to);
    hd_buf_init(&c->puts[i].meta, 1 << 20);
    hd_buf_init(&c->puts[i].body, RECORD_BYTES);
    struct hd_buf message;
    hd_buf_init(&message, 4096);
    if (dead_letter)
        hd_async_error_message(&message, e);
    struct hd_async_delivery_meta meta = {
        .arn = hd_str(r->arn),
        .version = e->version,
        .error = hd_buf_view(&message),
        .trace = trace,
        .success = e->end == HD_ASYNC_SUCCESS,
        .dead_letter = dead_letter,
    };
    hd_async_delivery_write(&c->puts[i].meta, &meta);
    hd_buf_done(&message);
    if (dead_letter)
        hd_buf_str(&c->puts[i].body, e->payload);
    else
        hd_async_record_write(&c->puts[i].body, e);
}

static struct hd_str version_of(const struct run *r)
{
    if (r->target != NULL)
        return hd_str(r->target->version);
    bool fixed = hd_names_is_number(r->meta.qualifier);
    return fixed ? r->meta.qualifier : hd_str("$LATEST");
}

/* @param result  of the last attempt; NULL: it was not tried. */
static void end(struct run *r, enum hd_async_end how, uint32_t progress,
                const struct hd_call_result *result)
{
    struct hd_async_worker *w = r->worker;
    struct hd_async *a = w->async;
    bool good = how == HD_ASYNC_SUCCESS;
    const char *to =
        r->config != NULL ? some(good ? r->config->on_success : r->config->on_failure) : NULL;
    const char *dead = !good && r->fn != NULL ? some(r->fn->dead_letter_arn) : NULL;
    count_end(a, how);
    if (!good)
        hd_log(a->opt.log, HD_WARN,
               to == NULL && dead == NULL ? "event dropped" : "event not processed",
               hd_kv_str("function", r->arn), hd_kv_slice("request_id", r->item->id),
               hd_kv_str("condition", hd_async_condition(how)),
               hd_kv_int("attempts", hd_async_attempts(progress)));
    if ((to == NULL && dead == NULL) || a->opt.destinations == NULL) {
        hd_drain_done(w->drain, r->item);
        run_free(r);
        return;
    }
    struct hd_async_ending e = {
        .end = how,
        .request_id = r->item->id,
        .arn = hd_str(r->arn),
        .version = version_of(r),
        .attempts = hd_async_attempts(progress),
        .payload = r->item->body,
        .answered = result != NULL,
        .function_error = !good,
        .answer = result != NULL ? result->payload : hd_str(""),
        .now_unix_ms = hd_async_now_ms(a),
    };
    struct hd_str trace =
        result != NULL && result->xray != NULL ? hd_str(result->xray) : r->meta.trace;
    struct hd_async_close_out *c = hd_async_close_out_new(w, r->item);
    if (to != NULL)
        add_delivery(c, r, to, &e, trace, false);
    if (dead != NULL)
        add_delivery(c, r, dead, &e, trace, true);
    hd_drain_release(w->drain, r->item);
    run_free(r);
    hd_async_close_out(c);
}

/* --- the call --- */

static void not_run(struct run *r)
{
    struct hd_async_worker *w = r->worker;
    struct hd_async_verdict v = hd_async_after(&r->rules, &r->state, HD_ASYNC_NOT_RUN,
                                               hd_async_now_ms(w->async), hd_async_random(w));
    hd_drain_retry(w->drain, r->item, v.progress, v.due_unix_ms);
    run_free(r);
}

static void ran(struct run *r, enum hd_async_tried how, const struct hd_call_result *result)
{
    struct hd_async_worker *w = r->worker;
    struct hd_async_verdict v =
        hd_async_after(&r->rules, &r->state, how, hd_async_now_ms(w->async), 0);
    if (v.end != HD_ASYNC_GOES_ON) {
        end(r, v.end, v.progress, result);
        return;
    }
    hd_drain_retry(w->drain, r->item, v.progress, v.due_unix_ms);
    run_free(r);
}

static void on_end(void *arg, const struct hd_call_result *result)
{
    struct run *r = arg;
    struct hd_async *a = r->worker->async;
    r->call = NULL;
    switch (result->outcome) {
    case HD_CALL_OK:
        atomic_fetch_add(&a->counts.attempts, 1);
        atomic_fetch_add(&a->counts.succeeded, 1);
        ran(r, HD_ASYNC_OK, result);
        break;
    case HD_CALL_FUNCTION_ERROR:
        atomic_fetch_add(&a->counts.attempts, 1);
        atomic_fetch_add(&a->counts.function_errors, 1);
        ran(r, HD_ASYNC_FUNCTION_ERROR, result);
        break;
    case HD_CALL_THROTTLED:
        atomic_fetch_add(&a->counts.throttled, 1);
        hd_drain_hold(r->worker->drain, r->item->queue, THROTTLED_MS);
        not_run(r);
        break;
    case HD_CALL_FAILED:
        atomic_fetch_add(&a->counts.system_errors, 1);
        hd_log(a->opt.log, HD_WARN, "event could not be run, retrying",
               hd_kv_str("function", r->arn), hd_kv_slice("request_id", r->item->id),
               hd_kv_str("error", result->error.msg));
        not_run(r);
        break;
    }
}

static const struct hd_call_events call_events = {.on_end = on_end};

static void call(struct run *r)
{
    char request_id[HD_UUID_CHARS + 1];
    struct hd_buf arn, trace;
    hd_buf_init(&arn, 1024);
    hd_buf_init(&trace, 4096);
    hd_buf_cstr(&arn, r->arn);
    if (r->meta.qualifier.len > 0) {
        hd_buf_char(&arn, ':');
        hd_buf_str(&arn, r->meta.qualifier);
    }
    hd_lineage_add(&trace, r->meta.trace, hd_str(r->arn));
    size_t n = HD_MIN(r->item->id.len, (size_t)HD_UUID_CHARS);
    memcpy(request_id, r->item->id.ptr, n);
    request_id[n] = '\0';
    struct hd_call_request request = {
        .event = r->item->body,
        .request_id = request_id,
        .invoked_arn = hd_buf_view(&arn),
        .client_context = r->meta.client_context,
        .identity = r->meta.identity,
        .tenant = r->meta.tenant,
        .trace = hd_buf_view(&trace),
        .traceparent = r->meta.traceparent,
        .source = "async",
    };
    r->call = hd_call_start(r->worker->caller, r->target, &request, &call_events, r);
    hd_buf_done(&arn);
    hd_buf_done(&trace);
}

struct hd_target *hd_async_find(struct hd_async_worker *w, const struct hd_lambda_fn *fn,
                                struct hd_str arn, struct hd_str qualifier, struct hd_error *err)
{
    const struct hd_targets *folder = w->async->opt.targets;
    struct hd_target *found = NULL;
    if (folder != NULL)
        found = folder->find(folder->arg, arn, qualifier, err);
    if (found != NULL)
        return found;
    const struct hd_view_version *v =
        fn != NULL ? hd_view_resolve(fn, qualifier, hd_async_random(w)) : NULL;
    if (v != NULL && v->target != NULL)
        return hd_target_ref(v->target);
    if (fn == NULL)
        hd_fail(err, HD_ENOTFOUND, "there is no function %.*s", HD_FMT(arn));
    else
        hd_fail(err, HD_ENOTFOUND, "function %.*s has no %s \"%.*s\"", HD_FMT(arn),
                v != NULL ? "code yet for" : "version or alias", HD_FMT(qualifier));
    return NULL;
}

static void look_up(struct run *r)
{
    struct hd_async *a = r->worker->async;
    r->arn = hd_printf("arn:aws:lambda:%.*s:%.*s:function:%.*s", HD_FMT(r->region),
                       HD_FMT(r->account), HD_FMT(r->name));
    r->rules = (struct hd_async_rules){.max_retries = -1,
                                       .max_age_s = -1,
                                       .delays_ms = a->opt.delays_ms,
                                       .n_delays = a->opt.n_delays};
    r->view = a->opt.view != NULL ? a->opt.view(a->opt.view_arg) : NULL;
    if (r->view != NULL)
        r->fn = hd_view_find(r->view, r->account, r->region, r->name);
    if (r->fn != NULL) {
        struct hd_str latest = HD_LIT("$LATEST");
        r->config =
            hd_view_event_config(r->fn, r->meta.qualifier.len > 0 ? r->meta.qualifier : latest);
        r->rules.loops_allowed = r->fn->recursion_allowed;
        r->rules.off = r->fn->admission != NULL && hd_admission_is_off(r->fn->admission);
    }
    if (r->config != NULL) {
        r->rules.max_retries = r->config->max_retries;
        r->rules.max_age_s = r->config->max_age_s;
    }
    r->state = (struct hd_async_event_state){
        .progress = r->item->attempts,
        .first_unix_ms = r->item->first_unix_ms,
        .loops = hd_lineage_times(r->meta.trace, hd_str(r->arn)),
    };
}

static void find_and_call(struct run *r)
{
    struct hd_async *a = r->worker->async;
    struct hd_error err;
    r->target = hd_async_find(r->worker, r->fn, hd_str(r->arn), r->meta.qualifier, &err);
    if (r->target != NULL) {
        call(r);
        return;
    }
    atomic_fetch_add(&a->counts.system_errors, 1);
    hd_log(a->opt.log, HD_WARN, "event has no function to run, retrying",
           hd_kv_str("function", r->arn), hd_kv_slice("request_id", r->item->id),
           hd_kv_str("error", err.msg));
    not_run(r);
}

void hd_async_run_start(void *worker, struct hd_drain_item *item)
{
    struct hd_async_worker *w = worker;
    struct run *r = hd_new(struct run);
    r->worker = w;
    r->item = item;
    hd_list_init(&r->link);
    hd_list_push(&w->runs, &r->link);
    hd_async_meta_read(&r->meta, item->meta);
    if (!split_queue(r, hd_drain_queue_name(item->queue)))
        r->name = hd_str("?"); /* somebody else's name; nothing will be found */
    look_up(r);
    enum hd_async_end how = hd_async_before(&r->rules, &r->state, hd_async_now_ms(w->async));
    if (how != HD_ASYNC_GOES_ON)
        end(r, how, r->state.progress, NULL);
    else
        find_and_call(r);
}

uint32_t hd_async_run_room(void *worker, struct hd_str queue)
{
    struct hd_async *a = ((struct hd_async_worker *)worker)->async;
    struct run r = {0};
    struct hd_view *view = a->opt.view != NULL ? a->opt.view(a->opt.view_arg) : NULL;
    if (view == NULL)
        return UINT32_MAX;
    const struct hd_lambda_fn *fn =
        split_queue(&r, queue) ? hd_view_find(view, r.account, r.region, r.name) : NULL;
    uint32_t n =
        fn != NULL && fn->admission != NULL ? hd_admission_free(fn->admission) : UINT32_MAX;
    hd_view_unref(view);
    return n;
}

void hd_async_run_give_up(struct hd_async_worker *w)
{
    hd_list_each(link, &w->runs)
    {
        struct run *r = hd_container_of(link, struct run, link);
        hd_call_cancel(r->call, false);
        hd_drain_release(w->drain, r->item);
        free(r->item); /* not settled: the next process finds it */
        run_free(r);
    }
}
