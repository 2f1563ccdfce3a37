/* What calls functions without being asked: event source mappings and schedules. */
#include "core/id.h"
#include "lambda/async/destination.h"
#include "lambda/sources/esm_call.h"
#include "lambda/sources/esm_queue.h"
#include "lambda/sources/esm_rabbitmq.h"
#include "lambda/sources/esm_sqs.h"
#include "lambda/names.h"
#include "lambda/sources/schedule.h"
#include "lanes/lanes.h"
#include "node/private.h"
#include "telemetry/promtext.h"

struct hd_node_feeds {
    struct hd_node *node;
    struct hd_esm_call *call;
    struct hd_esm_queue *queues;
    struct hd_esm_sqs *sqs;
    struct hd_esm_rabbitmq *rabbitmq;
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

/* @return what stands behind "name=" in a list, or NULL. */
static const char *value_of(const struct hd_option_list *l, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < l->n; i++)
        if (strncmp(l->items[i], name, n) == 0 && l->items[i][n] == '=')
            return l->items[i] + n + 1;
    return NULL;
}

static const char *broker_url(void *arg, const char *broker)
{
    const struct hd_node *n = arg;
    return value_of(&n->opt->lambda_brokers, broker);
}

static const char *secret(void *arg, const char *name)
{
    const struct hd_node *n = arg;
    return value_of(&n->opt->lambda_secrets, name);
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
    struct hd_esm_rabbitmq_options brokers = {.url_of = broker_url, .secret_of = secret, .arg = n};
    s->rabbitmq = hd_esm_rabbitmq_new(&source, &brokers);
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
    hd_esm_rabbitmq_free(s->rabbitmq);
    hd_esm_sqs_free(s->sqs);
    hd_esm_queue_free(s->queues);
    hd_esm_call_free(s->call);
    free(s);
    n->feeds = NULL;
}

/* --- metrics --- */

enum { KINDS = 3 };

struct metric {
    const char *name, *type, *help;
    size_t at; /* a uint64_t in struct hd_esm_poll_stats */
};
#define COUNTER(name_, field, help_)                                                              \
    {                                                                                             \
        "heddle_event_source_" name_, "counter", help_, offsetof(struct hd_esm_poll_stats, field) \
    }

static void write_metric(struct hd_buf *out, const struct metric *m,
                         const struct hd_esm_poll_stats *stats, const char *const *kinds)
{
    hd_prom_metric(out, m->name, m->type, m->help);
    for (size_t i = 0; i < KINDS; i++) {
        const char *const labels[] = {"kind", kinds[i], NULL};
        uint64_t value;
        memcpy(&value, (const char *)&stats[i] + m->at, sizeof(value));
        hd_prom_u64(out, m->name, labels, value);
    }
}

static void write_gauge(struct hd_buf *out, const char *name, const char *help,
                        const unsigned *values, const char *const *kinds)
{
    hd_prom_metric(out, name, "gauge", help);
    for (size_t i = 0; i < KINDS; i++) {
        const char *const labels[] = {"kind", kinds[i], NULL};
        hd_prom_u64(out, name, labels, values[i]);
    }
}

struct schedule_sums {
    uint64_t runs, failures;
};

static void add_schedule(void *arg, const struct hd_schedule_info *info)
{
    struct schedule_sums *s = arg;
    s->runs += info->runs;
    s->failures += info->failures;
}

void hd_node_metrics_feeds(struct hd_node *n, struct hd_buf *out)
{
    static const char *const kinds[KINDS] = {"sqs", "queue", "rabbitmq"};
    static const struct metric metrics[] = {
        COUNTER("records_received_total", received, "Records that sources gave."),
        COUNTER("records_filtered_total", filtered, "Records that no filter wanted."),
        COUNTER("records_handled_total", records_ok, "Records that functions handled."),
        COUNTER("records_failed_total", records_failed,
                "Records of calls that failed; some come again."),
        COUNTER("records_given_up_total", given_up, "Records sent to on-failure destinations."),
        COUNTER("calls_total", calls, "Batches that functions were called with."),
        COUNTER("busy_total", busy, "Batches put off because a function could not run yet."),
        COUNTER("errors_total", source_errors, "Times a source could not be asked."),
    };
    struct hd_node_feeds *f = n->feeds;
    struct hd_esm_poll_stats stats[KINDS];
    if (f == NULL || f->schedules == NULL)
        return;
    hd_esm_sqs_stats(f->sqs, &stats[0]);
    hd_esm_queue_stats(f->queues, &stats[1]);
    hd_esm_rabbitmq_stats(f->rabbitmq, &stats[2]);
    for (size_t i = 0; i < HD_COUNT(metrics); i++)
        write_metric(out, &metrics[i], stats, kinds);
    const unsigned pollers[] = {stats[0].pollers, stats[1].pollers, stats[2].pollers};
    const unsigned calling[] = {stats[0].calling, stats[1].calling, stats[2].calling};
    write_gauge(out, "heddle_event_source_pollers", "Pollers at work.", pollers, kinds);
    write_gauge(out, "heddle_event_source_calling", "Batches that functions have.", calling, kinds);
    struct schedule_sums sums = {.runs = 0};
    hd_schedules_each(f->schedules, add_schedule, &sums);
    hd_prom_metric(out, "heddle_schedule_runs_total", "counter", "Scheduled runs accepted.");
    hd_prom_u64(out, "heddle_schedule_runs_total", NULL, sums.runs);
    hd_prom_metric(out, "heddle_schedule_refused_total", "counter",
                   "Scheduled runs that were not taken and tried again.");
    hd_prom_u64(out, "heddle_schedule_refused_total", NULL, sums.failures);
}
