#include "esm_rig.h"

#include "core/clock.h"
#include "lambda/sources/esm.h"

enum { WAIT_MS = 60000 };

struct esm_call {
    struct esm_rig *rig;
    struct hd_esm_poll *poll;
    unsigned poller;
    struct hd_timer timer;
};

/* --- the sink --- */

static void end_call(struct hd_timer *t)
{
    struct esm_call *c = hd_container_of(t, struct esm_call, timer);
    struct esm_rig *r = c->rig;
    r->calling--;
    r->ended++;
    hd_esm_poll_called(c->poll, c->poller, r->how, hd_str(r->answer));
    free(c);
}

static void call(void *sink, struct hd_esm_poll *p, unsigned poller, struct hd_str event)
{
    struct esm_rig *r = sink;
    struct esm_call *c = hd_new(struct esm_call);
    *c = (struct esm_call){.rig = r, .poll = p, .poller = poller};
    assert_true(r->n_events < ESM_EVENTS);
    json_t *root = json_loadb(event.ptr, event.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    if (root == NULL)
        fail_msg("no JSON: %.*s", HD_FMT(event));
    r->events[r->n_events++] = root;
    r->calling++;
    r->most_calling = HD_MAX(r->most_calling, r->calling);
    if (r->hold)
        r->held[r->n_held++] = c;
    else
        hd_timer_start(r->lr.loop, &c->timer, 0, end_call);
}

static const struct hd_esm_sink_ops sink_ops = {.call = call};

void esm_rig_release(struct esm_rig *r)
{
    unsigned n = r->n_held;
    r->n_held = 0;
    for (unsigned i = 0; i < n; i++)
        hd_timer_start(r->lr.loop, &r->held[i]->timer, 0, end_call);
}

const json_t *esm_rig_record(const struct esm_rig *r, unsigned event, unsigned record)
{
    return event < r->n_events
               ? json_array_get(json_object_get(r->events[event], "Records"), record)
               : NULL;
}

/* --- waiting --- */

struct tick {
    struct hd_timer timer;
    struct hd_loop *loop;
};

static void on_tick(struct hd_timer *t)
{
    struct tick *tick = hd_container_of(t, struct tick, timer);
    hd_timer_start(tick->loop, t, 5, on_tick);
}

void esm_rig_until(struct esm_rig *r, bool (*so)(void *arg), void *arg)
{
    struct tick tick = {.loop = r->lr.loop};
    uint64_t end = hd_clock_ms() + WAIT_MS;
    hd_timer_start(r->lr.loop, &tick.timer, 5, on_tick);
    while (!so(arg) && hd_clock_ms() < end)
        uv_run(hd_loop_uv(r->lr.loop), UV_RUN_ONCE);
    hd_timer_stop(r->lr.loop, &tick.timer);
    if (!so(arg))
        fail_msg("waited too long");
}

static bool is_past(void *arg)
{
    return hd_clock_ms() >= *(const uint64_t *)arg;
}

void esm_rig_turn(struct esm_rig *r, unsigned ms)
{
    uint64_t end = hd_clock_ms() + ms;
    esm_rig_until(r, is_past, &end);
}

void esm_rig_events(struct esm_rig *r, unsigned n)
{
    lr_until(&r->lr, &r->n_events, n);
}

struct wanted_state {
    struct esm_rig *rig;
    const char *state;
};

static bool has_state(void *arg)
{
    const struct wanted_state *w = arg;
    hd_auto_free char *line = hd_printf("GET " ESM_PATH "/%s", w->rig->uuid);
    lr_ask(&w->rig->lr, line, NULL);
    if (w->rig->lr.status == 404)
        return w->state[0] == '\0';
    return strcmp(lr_text(&w->rig->lr, "State"), w->state) == 0;
}

void esm_rig_state(struct esm_rig *r, const char *state)
{
    struct wanted_state wanted = {r, state};
    esm_rig_until(r, has_state, &wanted);
}

/* --- life --- */

void esm_rig_start(struct esm_rig *r)
{
    *r = (struct esm_rig){.answer = ""};
    op_start(&r->lr);
    r->source = (struct hd_esm_source_options){
        .esm = hd_api_esm(r->lr.api), .loop = r->lr.loop, .sink_ops = &sink_ops, .sink = r};
}

void esm_rig_map(struct esm_rig *r, const char *arn, const char *more)
{
    hd_auto_free char *body =
        hd_printf("{\"FunctionName\":\"demo\",\"EventSourceArn\":\"%s\"%s}", arn, more);
    op_ok(&r->lr, 202, "POST " ESM_PATH, body);
    snprintf(r->uuid, sizeof(r->uuid), "%s", lr_text(&r->lr, "UUID"));
}

void esm_rig_close(struct esm_rig *r)
{
    r->hold = false;
    esm_rig_release(r);
    lr_close(&r->lr);
    assert_int_equal(r->calling, 0);
}

void esm_rig_done(struct esm_rig *r)
{
    for (unsigned i = 0; i < r->n_events; i++)
        json_decref(r->events[i]);
    lr_open(&r->lr); /* lr_done() closes */
    lr_done(&r->lr);
}
