#include "async_rig.h"

#include "invoke/admission.h"

#include <stdio.h>

enum { STILL_ROUNDS = 4 };

static const int64_t epoch_ms = 1700000000000;
static struct async_rig *rig; /* calls have no other way to it */
static _Atomic int64_t clock_ms;

int64_t async_rig_now(void)
{
    return clock_ms;
}

/* --- calls, in the place of invoke/call.c --- */

static char *keep(struct hd_str s)
{
    return hd_strdup_n(s);
}

struct hd_call *hd_call_start(struct hd_caller *c, struct hd_target *target,
                              const struct hd_call_request *request,
                              const struct hd_call_events *events, void *arg)
{
    struct hd_call *call = hd_new(struct hd_call);
    assert_null(c);
    call->rig = rig;
    call->target = hd_target_ref(target);
    call->events = events;
    call->arg = arg;
    call->event = keep(request->event);
    call->arn = keep(request->invoked_arn);
    call->context = keep(request->client_context);
    call->trace = keep(request->trace);
    call->source = hd_strdup(request->source);
    snprintf(call->request_id, sizeof(call->request_id), "%s", request->request_id);
    call->number = rig->n_calls++;
    rig->starts++;
    hd_list_init(&call->link);
    hd_list_push(&rig->calls, &call->link);
    if (rig->on_call != NULL)
        rig->on_call(call);
    return call;
}

static void call_free(struct hd_call *call)
{
    hd_list_remove(&call->link);
    hd_timer_stop(rig->store.loop, &call->timer);
    hd_target_unref(call->target);
    free(call->event);
    free(call->arn);
    free(call->context);
    free(call->trace);
    free(call->source);
    free(call);
}

void hd_call_cancel(struct hd_call *call, bool let_it_run)
{
    assert_false(let_it_run);
    rig->n_canceled++;
    call_free(call);
}

void async_rig_end(struct hd_call *call, enum hd_call_outcome outcome, const char *payload)
{
    struct hd_call_result result = {
        .outcome = outcome,
        .payload = hd_str(payload),
        .request_id = call->request_id,
        .xray = call->trace,
    };
    if (outcome == HD_CALL_FAILED || outcome == HD_CALL_THROTTLED)
        hd_fail(&result.error, HD_EBUSY, "made up");
    call->events->on_end(call->arg, &result);
    call_free(call);
}

struct hd_call *async_rig_call(struct async_rig *r)
{
    assert_false(hd_list_empty(&r->calls));
    return hd_container_of(r->calls.next, struct hd_call, link);
}

/* --- functions --- */

static struct hd_target *target_new(const char *name, const char *version)
{
    struct hd_target *t = hd_target_new();
    t->kind = HD_TARGET_LAMBDA;
    t->name = hd_strdup(name);
    t->version = hd_strdup(version);
    t->arn = hd_printf(ARN("%s"), name);
    return t;
}

static char *entry_str(struct hd_view_entry *e, const char *text)
{
    return text != NULL ? (char *)hd_arena_str(&e->arena, hd_str(text)).ptr : NULL;
}

void async_rig_function(struct async_rig *r, const struct async_settings *s)
{
    struct hd_view_entry *e = hd_view_entry_new();
    struct hd_view_version *versions = hd_arena_alloc(&e->arena, 2 * sizeof(*versions));
    struct hd_view_alias *alias = hd_arena_alloc(&e->arena, sizeof(*alias));
    struct hd_view_event_config *config = hd_arena_alloc(&e->arena, sizeof(*config));
    versions[0] =
        (struct hd_view_version){"$LATEST", HD_LAMBDA_ACTIVE, target_new(s->name, "$LATEST")};
    versions[1] = (struct hd_view_version){"1", HD_LAMBDA_ACTIVE, target_new(s->name, "1")};
    *alias = (struct hd_view_alias){.name = "prod", .main = &versions[1]};
    *config = (struct hd_view_event_config){
        .qualifier = entry_str(e, s->qualifier != NULL ? s->qualifier : "$LATEST"),
        .max_retries = s->max_retries,
        .max_age_s = s->max_age_s,
        .on_success = entry_str(e, s->on_success),
        .on_failure = entry_str(e, s->on_failure),
    };
    e->fn = (struct hd_lambda_fn){
        .account = ACCOUNT,
        .region = REGION,
        .name = entry_str(e, s->name),
        .versions = versions,
        .n_versions = 2,
        .aliases = alias,
        .n_aliases = 1,
        .event_configs = config,
        .n_event_configs = 1,
        .dead_letter_arn = entry_str(e, s->dead_letter),
        .recursion_allowed = s->loops_allowed,
        .admission = hd_admission_new(NULL),
    };
    hd_admission_set(e->fn.admission, s->off ? 0 : -1, 0);
    char key[128], arn[160];
    snprintf(key, sizeof(key), "%s/%s/%s", ACCOUNT, REGION, s->name);
    snprintf(arn, sizeof(arn), ARN("%s"), s->name);
    e->key = entry_str(e, key);
    e->fn.arn = entry_str(e, arn);
    struct hd_view *next = hd_view_copy(r->view);
    hd_view_put(next, e);
    hd_view_entry_unref(e);
    hd_view_unref(r->view);
    r->view = next;
}

void async_rig_remove(struct async_rig *r, const char *name)
{
    char key[128];
    snprintf(key, sizeof(key), "%s/%s/%s", ACCOUNT, REGION, name);
    struct hd_view *next = hd_view_copy(r->view);
    hd_view_remove(next, key);
    hd_view_unref(r->view);
    r->view = next;
}

static struct hd_view *on_view(void *arg)
{
    return hd_view_ref(((struct async_rig *)arg)->view);
}

/* Functions of the folder. */
static struct hd_target *on_find(void *arg, struct hd_str name, struct hd_str qualifier,
                                 struct hd_error *err)
{
    struct async_rig *r = arg;
    static const struct hd_str prefix = HD_LIT(ARN(""));
    if (!r->folder || !hd_str_starts(name, prefix) || qualifier.len > 0) {
        hd_fail(err, HD_ENOTFOUND, "there is no function %.*s", HD_FMT(name));
        return NULL;
    }
    hd_auto_free char *text = hd_strdup_n(hd_str_n(name.ptr + prefix.len, name.len - prefix.len));
    return target_new(text, "$LATEST");
}

/* --- lanes --- */

struct emitted {
    void (*done)(void *arg, const struct hd_error *err);
    void *arg;
    int rc;
};

static void on_emitted(void *arg)
{
    struct emitted *e = arg;
    struct hd_error err;
    if (e->rc < 0)
        hd_fail(&err, e->rc, "made up");
    e->done(e->arg, e->rc < 0 ? &err : NULL);
    free(e);
}

static void on_emit(void *arg, struct hd_str lane, struct hd_str id, struct hd_str json,
                    void (*done)(void *done_arg, const struct hd_error *err), void *done_arg)
{
    struct async_rig *r = arg;
    struct emitted *e = hd_new(struct emitted);
    *e = (struct emitted){.done = done, .arg = done_arg};
    e->rc = r->on_emit != NULL ? r->on_emit(r, lane, id, json) : 0;
    r->starts++;
    if (e->rc == ASYNC_RIG_WAITS)
        r->emission = e;
    else
        hd_loop_post(r->store.loop, on_emitted, e);
}

void async_rig_emitted(struct async_rig *r)
{
    assert_non_null(r->emission);
    on_emitted(hd_steal(r->emission));
}

/* --- time --- */

static int still_of(struct async_rig *r)
{
    struct hd_store_stats stats;
    hd_store_stats(r->store.store, &stats);
    return (int)stats.writes + r->starts;
}

void async_rig_still(struct async_rig *r)
{
    for (int rounds = 0, before = still_of(r); rounds < STILL_ROUNDS; rounds++) {
        rig_settled(&r->store);
        int after = still_of(r);
        if (after != before)
            rounds = 0;
        before = after;
    }
}

void async_rig_pass(struct async_rig *r, int64_t ms)
{
    int64_t end = clock_ms + ms;
    async_rig_still(r);
    while (clock_ms < end) {
        uint64_t next = hd_loop_next_ms(r->store.loop);
        int64_t at = next == UINT64_MAX ? end : epoch_ms + (int64_t)next;
        clock_ms = HD_MAX(HD_MIN(at, end), clock_ms);
        hd_loop_advance(r->store.loop, (uint64_t)(clock_ms - epoch_ms));
        async_rig_still(r);
    }
}

/* --- life --- */

void async_rig_init(struct async_rig *r)
{
    *r = (struct async_rig){0};
    rig = r;
    rig_init(&r->store);
    r->store.clock = async_rig_now;
    clock_ms = epoch_ms + 1;
    hd_list_init(&r->calls);
    r->view = hd_view_new();
    r->targets = (struct hd_targets){.find = on_find, .arg = r};
    struct hd_destinations_options opt = {.loop = r->store.loop, .emit = on_emit, .emit_arg = r};
    r->destinations = hd_destinations_new(&opt);
}

static void begin(struct async_rig *r)
{
    static struct hd_caller *const callers[] = {NULL};
    struct hd_async_options opt = {
        .store = r->store.store,
        .loops = &r->store.loop,
        .callers = callers,
        .n_loops = 1,
        .targets = &r->targets,
        .view = on_view,
        .view_arg = r,
        .destinations = r->destinations,
        .workers = r->workers,
        .max_running = r->max_running,
        .max_events = r->max_events,
        .clock = async_rig_now,
    };
    r->async = hd_async_new(&opt);
    hd_async_start(r->async);
}

void async_rig_open(struct async_rig *r)
{
    rig_open(&r->store);
    begin(r);
}

static void on_flag(void *arg)
{
    *(bool *)arg = true;
}

void async_rig_close(struct async_rig *r)
{
    bool closed = false;
    if (r->async == NULL)
        return;
    hd_async_close(r->async, on_flag, &closed);
    rig_until(&r->store, &closed);
    hd_async_free(r->async);
    r->async = NULL;
    assert_true(hd_list_empty(&r->calls));
}

void async_rig_crash(struct async_rig *r)
{
    async_rig_close(r);
    rig_crash(&r->store);
    begin(r);
}

void async_rig_done(struct async_rig *r)
{
    async_rig_close(r);
    rig_done(&r->store);
    hd_destinations_free(r->destinations);
    hd_view_unref(r->view);
}

/* --- events --- */

struct outcome {
    bool done;
    int code;
};

static void on_accepted(void *arg, const struct hd_error *err)
{
    struct outcome *o = arg;
    assert_false(o->done);
    o->done = true;
    o->code = err != NULL ? err->code : 0;
}

int async_rig_event_of(struct async_rig *r, const struct hd_async_event *event)
{
    struct outcome o = {0};
    hd_async_enqueue(r->async, event, r->store.loop, on_accepted, &o);
    assert_false(o.done);
    rig_until(&r->store, &o.done);
    return o.code;
}

int async_rig_event(struct async_rig *r, const char *name, const char *id, const char *payload)
{
    struct hd_async_event event = {
        .account = HD_LIT(ACCOUNT),
        .region = HD_LIT(REGION),
        .name = hd_str(name),
        .request_id = id,
        .payload = hd_str(payload),
    };
    return async_rig_event_of(r, &event);
}

struct hd_async_stats async_rig_stats(struct async_rig *r)
{
    struct hd_async_stats stats;
    hd_async_stats(r->async, &stats);
    return stats;
}
