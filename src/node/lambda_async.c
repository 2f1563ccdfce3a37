/* Asynchronous invocation in a node: its worker, where events end, and what is counted. */
#include "http/fetch.h"
#include "lambda/aws.h"
#include "lambda/async/destination.h"
#include "lanes/lanes.h"
#include "node/private.h"
#include "telemetry/promtext.h"

struct hd_node_async {
    struct hd_node *node;
    struct hd_aws *aws;
    struct hd_destinations *destinations;
    struct hd_async *async;
    struct hd_loop *loops[HD_NODE_LOOPS_MAX];
    struct hd_caller *callers[HD_NODE_LOOPS_MAX];
    void (*after)(void *node);
};

struct hd_aws *hd_node_async_aws(const struct hd_node *n)
{
    return n->async->aws;
}

struct hd_destinations *hd_node_async_destinations(const struct hd_node *n)
{
    return n->async->destinations;
}

/* --- event lanes as destinations --- */

struct emitting {
    void (*done)(void *arg, const struct hd_error *err);
    void *arg;
};

static void on_emitted(void *arg, const struct hd_lane_answer *answer)
{
    struct emitting *e = arg;
    struct hd_error err;
    bool good = answer->status >= 200 && answer->status <= 299;
    if (!good)
        hd_fail(&err, HD_EPROTO, "the lane answered %u: %.*s", answer->status,
                HD_FMT(answer->body));
    e->done(e->arg, good ? NULL : &err);
    free(e);
}

static void on_nowhere(void *arg)
{
    struct emitting *e = arg;
    struct hd_error err;
    hd_fail(&err, HD_ENOTFOUND, "this node has no lanes");
    e->done(e->arg, &err);
    free(e);
}

static void emit(void *arg, struct hd_str lane, struct hd_str id, struct hd_str json,
                 void (*done)(void *done_arg, const struct hd_error *err), void *done_arg)
{
    struct hd_node *n = arg;
    struct hd_lanes *lanes = hd_node_lanes_of(n);
    struct emitting *e = hd_new(struct emitting);
    *e = (struct emitting){done, done_arg};
    if (lanes == NULL) {
        hd_loop_post(n->workers[0].loop, on_nowhere, e);
        return;
    }
    struct hd_lane_message m = {.name = lane,
                                .body = json,
                                .request_id = id,
                                .source_kind = HD_LIT("lambda"),
                                .source_id = HD_LIT("destination")};
    hd_lanes_emit(lanes, 0, &m, on_emitted, e);
}

/* --- */

static int make_aws(struct hd_node_async *a, struct hd_error *err)
{
    const struct hd_node_options *o = a->node->opt;
    struct hd_aws_options opt = {
        .fetcher = a->node->fetcher,
        .endpoints = {[HD_AWS_SQS] = o->lambda_sqs_endpoint,
                      [HD_AWS_SNS] = o->lambda_sns_endpoint,
                      [HD_AWS_EVENTS] = o->lambda_events_endpoint,
                      [HD_AWS_S3] = o->lambda_s3_endpoint},
    };
    hd_aws_options_from_env(&opt);
    return hd_aws_new(&a->aws, &opt, err);
}

static void make_worker(struct hd_node_async *a)
{
    struct hd_node *n = a->node;
    const struct hd_node_options *o = n->opt;
    const struct hd_option_list *l = &o->lambda_async_delays;
    uint32_t *delays = hd_new_array(uint32_t, l->n + 1);
    for (size_t i = 0; i < l->n; i++) {
        uint64_t ms = 0;
        hd_str_to_u64(&ms, hd_str(l->items[i])); /* was checked */
        delays[i] = (uint32_t)ms;
    }
    for (unsigned i = 0; i < n->n_workers; i++) {
        a->loops[i] = n->workers[i].loop;
        a->callers[i] = n->workers[i].caller;
    }
    struct hd_async_options opt = {
        .store = n->store,
        .loops = a->loops,
        .callers = a->callers,
        .n_loops = n->n_workers,
        .targets = hd_node_targets(n),
        .view = hd_node_view,
        .view_arg = n,
        .destinations = a->destinations,
        .log = n->log,
        .workers = o->lambda_async_workers,
        .max_events = o->lambda_async_max_events,
        .delays_ms = delays,
        .n_delays = l->n,
    };
    a->async = hd_async_new(&opt);
    free(delays);
}

void hd_node_async_new(struct hd_node *n)
{
    n->async = hd_new(struct hd_node_async);
    n->async->node = n;
}

int hd_node_async_start(struct hd_node *n, struct hd_error *err)
{
    struct hd_node_async *a = n->async;
    int rc = make_aws(a, err);
    if (rc < 0)
        return rc;
    struct hd_destinations_options opt = {.loop = n->workers[0].loop,
                                          .fetcher = n->fetcher,
                                          .aws = a->aws,
                                          .emit = emit,
                                          .emit_arg = n};
    a->destinations = hd_destinations_new(&opt);
    make_worker(a);
    n->lambda.async = a->async;
    n->lambda.enqueue = hd_async_enqueue;
    hd_async_start(a->async);
    return 0;
}

static void on_stopped(void *arg)
{
    (void)arg; /* calls are looked at anyway */
}

void hd_node_async_drain(struct hd_node *n)
{
    if (n->async != NULL && n->async->async != NULL)
        hd_async_stop(n->async->async, on_stopped, NULL);
}

static void on_closed(void *arg)
{
    struct hd_node_async *a = arg;
    a->after(a->node);
}

void hd_node_async_close(struct hd_node *n, void (*then)(void *node))
{
    struct hd_node_async *a = n->async;
    if (a == NULL || a->async == NULL) {
        then(n);
        return;
    }
    a->after = then;
    hd_async_close(a->async, on_closed, a);
}

void hd_node_async_free(struct hd_node *n)
{
    struct hd_node_async *a = n->async;
    if (a == NULL)
        return;
    hd_async_free(a->async);
    hd_destinations_free(a->destinations);
    hd_aws_free(a->aws);
    free(a);
    n->async = NULL;
}

/* --- metrics --- */

static void one(struct hd_buf *out, const char *name, const char *type, const char *help,
                uint64_t value)
{
    hd_prom_metric(out, name, type, help);
    hd_prom_u64(out, name, NULL, value);
}

static void ends(struct hd_buf *out, const struct hd_async_stats *s)
{
    const struct {
        const char *condition;
        uint64_t n;
    } all[] = {{"Success", s->succeeded},
               {"RetriesExhausted", s->exhausted},
               {"EventAgeExceeded", s->expired},
               {"ZeroReservedConcurrency", s->switched_off},
               {"RecursiveLoop", s->loops_stopped}};
    hd_prom_metric(out, "heddle_lambda_async_ended_total", "counter",
                   "Events that ended, and how.");
    for (size_t i = 0; i < HD_COUNT(all); i++) {
        const char *const labels[] = {"condition", all[i].condition, NULL};
        hd_prom_u64(out, "heddle_lambda_async_ended_total", labels, all[i].n);
    }
}

void hd_node_metrics_async(struct hd_node *n, struct hd_buf *out)
{
    struct hd_async_stats s;
    if (n->async == NULL || n->async->async == NULL)
        return;
    hd_async_stats(n->async->async, &s);
    one(out, "heddle_lambda_async_accepted_total", "counter", "Events accepted.", s.accepted);
    one(out, "heddle_lambda_async_refused_total", "counter",
        "Events that were not accepted: a queue is full, or the disk.", s.refused);
    one(out, "heddle_lambda_async_attempts_total", "counter", "Events that a function got.",
        s.attempts);
    one(out, "heddle_lambda_async_function_errors_total", "counter",
        "Attempts that ended in an error of the function.", s.function_errors);
    one(out, "heddle_lambda_async_throttles_total", "counter",
        "Attempts put off by a limit of concurrency.", s.throttled);
    one(out, "heddle_lambda_async_system_errors_total", "counter",
        "Attempts put off because the function could not be run.", s.system_errors);
    ends(out, &s);
    one(out, "heddle_lambda_destination_sent_total", "counter",
        "Messages that a destination or a dead-letter target took.", s.sent);
    one(out, "heddle_lambda_destination_failures_total", "counter",
        "Tries to send one that did not work.", s.send_failures);
    one(out, "heddle_lambda_destination_lost_total", "counter",
        "Messages given up; they are kept in the store.", s.send_lost);
    one(out, "heddle_lambda_async_queued", "gauge", "Events that wait.", s.queued);
    one(out, "heddle_lambda_async_running", "gauge", "Events taken from their queue.", s.running);
    int64_t age_ms = s.oldest_unix_ms > 0 ? hd_clock_unix_ms() - s.oldest_unix_ms : 0;
    hd_prom_metric(out, "heddle_lambda_async_oldest_seconds", "gauge",
                   "Age of the oldest event that waits.");
    hd_prom_f64(out, "heddle_lambda_async_oldest_seconds", NULL,
                (double)HD_MAX(age_ms, (int64_t)0) / 1000);
}
