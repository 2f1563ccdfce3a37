/* What calls functions without being asked: event source mappings and schedules. */
#include "core/id.h"
#include "lambda/destination.h"
#include "lambda/esm_call.h"
#include "lambda/esm_queue.h"
#include "lambda/esm_sqs.h"
#include "lambda/names.h"
#include "lambda/schedule.h"
#include "lanes/lanes.h"
#include "node/private.h"

struct hd_node_feeds {
    struct hd_node *node;
    struct hd_esm_call *call;
    struct hd_esm_queue *queues;
    struct hd_esm_sqs *sqs;
    struct hd_schedules *schedules;
};

/* --- event sources --- */

/* A queue of our own is offered where no lane of this node takes from it. */
static char *queue_of(void *arg, const char *name)
{
    struct hd_node *n = arg;
    struct hd_lanes *lanes = hd_node_lanes_of(n);
    const char *queue = lanes != NULL ? hd_lanes_queue_of(lanes, hd_str(name)) : NULL;
    if (queue == NULL || hd_lanes_consumes(lanes, queue))
        return NULL;
    return hd_printf("lane:%s", queue);
}

static void give_up(void *arg, const struct hd_esm_mapping *m, struct hd_str record,
                    void (*done)(void *done_arg, const struct hd_error *err), void *done_arg)
{
    struct hd_node *n = arg;
    struct hd_destination_message message = {.to = hd_str(m->on_failure),
                                             .id = hd_str(m->uuid),
                                             .body = record,
                                             .arn = hd_str(m->function_arn)};
    hd_destinations_send(hd_node_async_destinations(n), &message, done, done_arg);
}

static void make_pollers(struct hd_node_feeds *s)
{
    struct hd_node *n = s->node;
    struct hd_loop *loop = n->workers[0].loop;
    struct hd_esm_call_options call = {.loop = loop,
                                       .caller = n->workers[0].caller,
                                       .targets = hd_node_targets(n),
                                       .give_up = give_up,
                                       .arg = n};
    s->call = hd_esm_call_new(&call);
    struct hd_esm_source_options source = {.esm = hd_api_esm(n->api),
                                           .loop = loop,
                                           .log = n->log,
                                           .sink_ops = &hd_esm_call_ops,
                                           .sink = s->call};
    struct hd_esm_queue_options own = {.store = n->store, .queue_of = queue_of, .arg = n};
    s->queues = hd_esm_queue_new(&source, &own);
    s->sqs = hd_esm_sqs_new(&source, hd_node_async_aws(n));
}

/* --- schedules --- */

/* A run is an event like those that Invoke accepts: from here on it is not lost. */
static void run(void *arg, const struct hd_schedule_run *run,
                void (*done)(void *done_arg, const struct hd_error *err), void *done_arg)
{
    struct hd_node *n = arg;
    struct hd_fn_name name = {.name = hd_str(run->function)};
    char id[HD_UUID_CHARS + 1];
    hd_names_function(&name, hd_str(run->function));
    hd_uuid4(id, &n->workers[0].net->rng);
    struct hd_async_event event = {
        .account = name.account.len > 0 ? name.account : hd_str(n->opt->lambda_account),
        .region = name.region.len > 0 ? name.region : hd_str(n->opt->lambda_region),
        .name = name.name,
        .qualifier = name.qualifier,
        .payload = run->event,
        .request_id = id};
    hd_async_enqueue(n->lambda.async, &event, n->workers[0].loop, done, done_arg);
}

static int make_schedules(struct hd_node_feeds *s, struct hd_error *err)
{
    struct hd_node *n = s->node;
    struct hd_schedules_options opt = {.loop = n->workers[0].loop,
                                       .store = n->store,
                                       .log = n->log,
                                       .account = n->opt->lambda_account,
                                       .region = n->opt->lambda_region,
                                       .lines = (const char *const *)n->opt->schedules.items,
                                       .run = run,
                                       .arg = n};
    int rc = hd_schedules_new(&s->schedules, &opt, err);
    return rc < 0 ? hd_wrap(err, rc, "schedules") : 0;
}

int hd_node_feeds_new(struct hd_node *n, struct hd_error *err)
{
    n->feeds = hd_new(struct hd_node_feeds);
    n->feeds->node = n;
    make_pollers(n->feeds);
    return make_schedules(n->feeds, err);
}

void hd_node_feeds_start(struct hd_node *n)
{
    hd_schedules_start(n->feeds->schedules);
}

void hd_node_feeds_drain(struct hd_node *n)
{
    if (n->feeds != NULL && n->feeds->schedules != NULL)
        hd_schedules_stop(n->feeds->schedules);
}

void hd_node_feeds_free(struct hd_node *n)
{
    struct hd_node_feeds *s = n->feeds;
    if (s == NULL)
        return;
    hd_schedules_free(s->schedules);
    hd_esm_sqs_free(s->sqs);
    hd_esm_queue_free(s->queues);
    hd_esm_call_free(s->call);
    free(s);
    n->feeds = NULL;
}
