#include "lambda/sources/esm_call.h"

struct hd_esm_call {
    struct hd_esm_call_options opt;
};

/* One under way. */
struct under_way {
    struct hd_esm_call *sink;
    struct hd_esm_poll *poll;
    unsigned poller;
    struct hd_timer soon; /* it ended before it began: said in the next turn */
    enum hd_esm_called how;
};

struct hd_esm_call *hd_esm_call_new(const struct hd_esm_call_options *opt)
{
    struct hd_esm_call *c = hd_new(struct hd_esm_call);
    c->opt = *opt;
    return c;
}

void hd_esm_call_free(struct hd_esm_call *c)
{
    free(c);
}

static struct under_way *begin(struct hd_esm_call *c, struct hd_esm_poll *p, unsigned poller)
{
    struct under_way *u = hd_new(struct under_way);
    *u = (struct under_way){.sink = c, .poll = p, .poller = poller};
    return u;
}

static void end(struct under_way *u, enum hd_esm_called how, struct hd_str answer)
{
    hd_esm_poll_called(u->poll, u->poller, how, answer);
    free(u);
}

static void on_soon(struct hd_timer *t)
{
    struct under_way *u = hd_container_of(t, struct under_way, soon);
    end(u, u->how, hd_str_n(NULL, 0));
}

static void on_end(void *arg, const struct hd_call_result *result)
{
    enum hd_esm_called how = HD_ESM_CALL_FAILED;
    switch (result->outcome) {
    case HD_CALL_OK:
        how = HD_ESM_CALL_OK;
        break;
    case HD_CALL_FUNCTION_ERROR:
        break;
    case HD_CALL_THROTTLED:
        how = HD_ESM_CALL_BUSY;
        break;
    case HD_CALL_FAILED: /* after delivery it may have run: not a second time by us */
        how = result->delivered ? HD_ESM_CALL_FAILED : HD_ESM_CALL_BUSY;
        break;
    }
    end(arg, how, result->payload);
}

static void call(void *sink, struct hd_esm_poll *p, unsigned poller, struct hd_str event)
{
    static const struct hd_call_events events = {.on_end = on_end};
    struct hd_esm_call *c = sink;
    const struct hd_esm_mapping *m = hd_esm_poll_mapping(p);
    struct under_way *u = begin(c, p, poller);
    struct hd_error err = {.code = 0};
    struct hd_target *target =
        c->opt.targets->find(c->opt.targets->arg, hd_str(m->function_arn), hd_str_n(NULL, 0), &err);
    if (target == NULL) {
        u->how = err.code == HD_EBUSY ? HD_ESM_CALL_BUSY : HD_ESM_CALL_MISSING;
        hd_timer_start(c->opt.loop, &u->soon, 0, on_soon);
        return;
    }
    const struct hd_call_request req = {
        .event = event, .invoked_arn = hd_str(m->function_arn), .source = "esm"};
    hd_call_start(c->opt.caller, target, &req, &events, u);
    hd_target_unref(target);
}

/* --- what is given up --- */

static void on_given(void *arg, const struct hd_error *err)
{
    struct under_way *u = arg;
    hd_esm_poll_gave_up(u->poll, u->poller, err == NULL);
    free(u);
}

static void on_nowhere(struct hd_timer *t)
{
    struct under_way *u = hd_container_of(t, struct under_way, soon);
    struct hd_error err = {.code = HD_ENOTFOUND};
    on_given(u, &err);
}

static void give_up(void *sink, struct hd_esm_poll *p, unsigned poller,
                    const struct hd_esm_record *r)
{
    struct hd_esm_call *c = sink;
    struct under_way *u = begin(c, p, poller);
    if (c->opt.give_up == NULL)
        hd_timer_start(c->opt.loop, &u->soon, 0, on_nowhere);
    else
        c->opt.give_up(c->opt.arg, hd_esm_poll_mapping(p), hd_str_n(r->json, r->json_len), on_given,
                       u);
}

const struct hd_esm_sink_ops hd_esm_call_ops = {.call = call, .give_up = give_up};
