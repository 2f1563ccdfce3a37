/*  start ──► GetQueueUrl, GetQueueAttributes (again after a failure) ──► ReceiveMessage, by each
 *  poller ──► records ──► called ──► DeleteMessageBatch, or nothing: they come again
 *  stop ──► long polls are taken back ──► what was not tried is made visible at once ──► stopped */
#include "lambda/sources/esm_sqs.h"

#include "lambda/sources/esm_sqs_record.h"
#include "lambda/sources/sqs.h"

#include <stdio.h>

enum { DELETE_TRIES = 5, RETRY_MS = 200, MARGIN_MS = 1000 };

struct hd_esm_sqs {
    struct hd_esm_source source;
    struct hd_aws *aws;
};

/* One poller's place: what it waits for. */
struct slot {
    struct active *active;
    unsigned index, max, wait_s;
    bool waits; /* for the queue's URL */
    bool canceled;
    struct hd_sqs_op *op;
};

/* One mapping. */
struct active {
    struct hd_esm_active base;
    struct hd_esm_sqs *sqs;
    char *url, *arn, *region, *account, *name;
    uint64_t visibility_ms;
    struct hd_sqs_op *lookup;
    bool lookup_canceled;
    struct hd_error why; /* the last lookup failed */
    struct slot *slots[HD_ESM_POLLERS_MAX];
};

static struct active *active_of(struct hd_esm_active *base)
{
    return hd_container_of(base, struct active, base);
}

static struct hd_loop *loop_of(const struct active *a)
{
    return a->sqs->source.opt.loop;
}

static struct hd_sqs_queue queue_of(const struct active *a)
{
    return (struct hd_sqs_queue){a->sqs->aws, hd_str(a->region), hd_str(a->url)};
}

/* --- receiving --- */

static void received(struct slot *s, struct hd_list *records, unsigned n,
                     const struct hd_error *err)
{
    hd_esm_poll_received(s->active->base.poll, s->index, records, n, err);
}

static void received_none(struct slot *s, const struct hd_error *err)
{
    struct hd_list none;
    hd_list_init(&none);
    received(s, &none, 0, s->canceled ? NULL : err);
}

static void add_record(struct slot *s, struct hd_list *wanted, struct hd_list *others,
                       const json_t *message)
{
    struct active *a = s->active;
    json_t *record = hd_esm_sqs_record(message, a->arn, a->region);
    char *text = record != NULL ? json_dumps(record, JSON_COMPACT) : NULL;
    if (text == NULL) {
        hd_log(a->sqs->source.opt.log, HD_ERROR, "a message without id, handle or body was left",
               hd_kv_str("queue", a->arn));
        json_decref(record);
        return;
    }
    struct hd_esm_record *r =
        hd_esm_record_new(json_string_value(json_object_get(record, "messageId")),
                          json_string_value(json_object_get(record, "receiptHandle")), text);
    if (a->visibility_ms > 0) /* it was hidden a little before we heard of it */
        r->held_until_ms = hd_loop_now_ms(loop_of(a)) + a->visibility_ms -
                           HD_MIN(a->visibility_ms / 2, (uint64_t)MARGIN_MS);
    bool wants = true;
    if (hd_esm_poll_mapping(a->base.poll)->n_filters > 0) {
        json_t *view = hd_esm_sqs_view(record);
        wants = hd_esm_poll_wants(a->base.poll, view);
        json_decref(view);
    }
    hd_list_push(wants ? wanted : others, &r->link);
    json_decref(record);
}

static void on_received(void *arg, const json_t *answer, const struct hd_aws_failure *failure)
{
    struct slot *s = arg;
    struct hd_list wanted, others;
    size_t i;
    json_t *message;
    s->op = NULL;
    if (failure != NULL) {
        if (strcmp(failure->type, "QueueDoesNotExist") == 0) { /* it may come again elsewhere */
            free(s->active->url);
            s->active->url = NULL;
        }
        received_none(s, &failure->error);
        return;
    }
    hd_list_init(&wanted);
    hd_list_init(&others);
    json_t *messages = json_object_get(answer, "Messages");
    json_array_foreach(messages, i, message) add_record(s, &wanted, &others, message);
    hd_esm_poll_drop(s->active->base.poll, &others, HD_ESM_DONE);
    received(s, &wanted, (unsigned)json_array_size(messages), NULL);
}

static void start_receive(struct slot *s)
{
    const struct hd_sqs_queue q = queue_of(s->active);
    s->waits = false;
    s->op = hd_sqs_receive(&q, s->max, s->wait_s, on_received, s);
}

/* --- where the queue is --- */

static void answer_waiting(struct active *a)
{
    for (unsigned i = 0; i < HD_ESM_POLLERS_MAX && a->slots[i] != NULL; i++) {
        struct slot *s = a->slots[i];
        if (!s->waits)
            continue;
        if (a->url != NULL && !s->canceled) {
            start_receive(s);
        } else {
            s->waits = false;
            received_none(s, &a->why);
        }
    }
}

/* The seconds that a received message is hidden; 0: unknown. */
static uint32_t visibility_of(const json_t *answer)
{
    const json_t *v = json_object_get(json_object_get(answer, "Attributes"), "VisibilityTimeout");
    uint64_t seconds = 0;
    hd_str_to_u64(&seconds, hd_str(json_string_value(v)));
    return (uint32_t)HD_MIN(seconds, (uint64_t)43200);
}

static void on_attributes(void *arg, const json_t *answer, const struct hd_aws_failure *failure)
{
    struct active *a = arg;
    a->lookup = NULL;
    if (failure != NULL) {
        a->why = failure->error;
        free(a->url);
        a->url = NULL;
    } else {
        a->visibility_ms = (uint64_t)visibility_of(answer) * 1000;
    }
    answer_waiting(a);
}

static void on_url(void *arg, const json_t *answer, const struct hd_aws_failure *failure)
{
    struct active *a = arg;
    const char *url = json_string_value(json_object_get(answer, "QueueUrl"));
    a->lookup = NULL;
    if (url != NULL) {
        free(a->url);
        a->url = hd_strdup(url);
        const struct hd_sqs_queue q = queue_of(a);
        a->lookup = hd_sqs_attributes(&q, on_attributes, a);
        return;
    }
    if (failure != NULL)
        a->why = failure->error;
    else
        hd_fail(&a->why, HD_EPROTO, "sqs: an answer to GetQueueUrl without QueueUrl");
    answer_waiting(a);
}

/* --- as a feed --- */

static void receive(void *feed, unsigned poller, unsigned max, uint32_t wait_ms)
{
    struct active *a = active_of(feed);
    if (a->slots[poller] == NULL)
        a->slots[poller] = hd_new(struct slot);
    struct slot *s = a->slots[poller];
    *s = (struct slot){.active = a,
                       .index = poller,
                       .max = max,
                       .wait_s = HD_MIN(wait_ms / 1000, (uint32_t)HD_SQS_WAIT_MAX_S)};
    if (a->url != NULL && a->lookup == NULL) {
        start_receive(s);
        return;
    }
    s->waits = true;
    if (a->lookup == NULL) {
        const struct hd_sqs_queue q = {a->sqs->aws, hd_str(a->region), {NULL, 0}};
        a->lookup = hd_sqs_get_url(&q, hd_str(a->name), hd_str(a->account), on_url, a);
    }
}

static void cancel(void *feed, unsigned poller)
{
    struct active *a = active_of(feed);
    struct slot *s = a->slots[poller];
    s->canceled = true;
    if (s->op != NULL)
        hd_sqs_cancel(s->op);
    else if (a->lookup != NULL && !a->lookup_canceled)
        hd_sqs_cancel(a->lookup);
    a->lookup_canceled = a->lookup != NULL;
}

/* Records on their way out, up to ten at a time. */
struct settling {
    struct active *active;
    struct hd_list records;
    enum hd_esm_settle how;
    unsigned tries;
    struct hd_timer timer;
};

static void settle_some(struct settling *s);

static void on_settle_timer(struct hd_timer *t)
{
    settle_some(hd_container_of(t, struct settling, timer));
}

static void forget_some(struct settling *s)
{
    for (size_t i = 0; i < HD_SQS_BATCH_MAX; i++) {
        struct hd_list *item = hd_list_pop(&s->records);
        if (item != NULL)
            hd_esm_record_free(hd_container_of(item, struct hd_esm_record, link));
    }
    s->tries = 0;
}

static void on_settled(void *arg, const json_t *answer, const struct hd_aws_failure *failure)
{
    struct settling *s = arg;
    bool retry = s->how == HD_ESM_DONE && s->tries < DELETE_TRIES &&
                 ((failure != NULL && failure->again) ||
                  json_array_size(json_object_get(answer, "Failed")) > 0);
    if (retry) { /* deleting twice is deleting once */
        uint64_t ms = (uint64_t)RETRY_MS << s->tries++;
        hd_timer_start(loop_of(s->active), &s->timer, ms, on_settle_timer);
        return;
    }
    if (failure != NULL && s->how == HD_ESM_DONE)
        hd_log(s->active->sqs->source.opt.log, HD_WARN,
               "handled messages could not be deleted and will come again",
               hd_kv_str("queue", s->active->arn), hd_kv_str("error", failure->error.msg));
    forget_some(s);
    settle_some(s);
}

static void settle_some(struct settling *s)
{
    struct active *a = s->active;
    struct hd_str handles[HD_SQS_BATCH_MAX];
    size_t n = 0;
    if (s->how == HD_ESM_FAILED || a->url == NULL) /* they come again by themselves */
        hd_esm_records_free(&s->records);
    hd_list_each(item, &s->records)
    {
        if (n == HD_SQS_BATCH_MAX)
            break;
        handles[n++] = hd_str(hd_container_of(item, struct hd_esm_record, link)->handle);
    }
    const struct hd_sqs_queue q = queue_of(a);
    if (n == 0) {
        free(s);
        hd_esm_poll_settled(a->base.poll);
    } else if (s->how == HD_ESM_DONE) {
        hd_sqs_delete(&q, handles, n, on_settled, s);
    } else {
        hd_sqs_visibility(&q, handles, n, 0, on_settled, s);
    }
}

static void settle(void *feed, struct hd_list *records, enum hd_esm_settle how)
{
    struct settling *s = hd_new(struct settling);
    s->active = active_of(feed);
    s->how = how;
    hd_list_init(&s->records);
    while (!hd_list_empty(records))
        hd_list_push(&s->records, hd_list_pop(records));
    hd_timer_start(loop_of(s->active), &s->timer, 0, on_settle_timer);
}

static void event(void *feed, struct hd_buf *out, const struct hd_list *records, size_t n)
{
    (void)feed;
    hd_esm_sqs_event(out, records, n);
}

static const struct hd_esm_feed_ops feed_ops = {.max_receive = HD_SQS_BATCH_MAX,
                                                .pollers = 2,
                                                .max_pollers = HD_ESM_POLLERS_MAX,
                                                .receive = receive,
                                                .cancel = cancel,
                                                .settle = settle,
                                                .event = event};

/* --- as a poller of mappings --- */

static bool takes(void *arg, const struct hd_esm_mapping *m)
{
    const struct hd_esm_sqs *s = arg;
    return m->kind == HD_ESM_SQS && hd_aws_knows(s->aws, HD_AWS_SQS);
}

static void free_one(struct hd_esm_active *base)
{
    struct active *a = active_of(base);
    for (unsigned i = 0; i < HD_ESM_POLLERS_MAX && a->slots[i] != NULL; i++)
        free(a->slots[i]);
    free(a->url);
    free(a->arn);
    free(a->region);
    free(a->account);
    free(a->name);
    free(a);
}

static void start(void *arg, const struct hd_esm_mapping *m)
{
    struct hd_esm_sqs *s = arg;
    struct active *a = hd_new(struct active);
    struct hd_aws_arn arn = {.region = hd_str(m->region)};
    hd_aws_arn_parse(&arn, hd_str(m->source_arn));
    a->sqs = s;
    a->arn = hd_strdup(m->source_arn);
    a->region = hd_strdup_n(arn.region);
    a->account = hd_strdup_n(arn.account);
    a->name = hd_strdup(m->source_name);
    hd_esm_source_start(&s->source, &a->base, m);
}

static void update(void *arg, const struct hd_esm_mapping *m)
{
    struct hd_esm_sqs *s = arg;
    hd_esm_source_update(&s->source, m);
}

static void stop(void *arg, const char *uuid)
{
    struct hd_esm_sqs *s = arg;
    hd_esm_source_stop(&s->source, uuid);
}

/* --- a look at a queue before there is a mapping --- */

struct probe {
    struct hd_esm_sqs *sqs;
    char *region, *url;
    hd_esm_probe_fn done;
    void *done_arg;
};

static void end_probe(struct probe *p, const json_t *answer, const struct hd_aws_failure *failure)
{
    struct hd_esm_probe result = {.visibility_timeout_s = visibility_of(answer)};
    if (failure != NULL)
        hd_fail(
            &result.err, failure->error.code,
            "Error occurred while ReceiveMessage. SQS Error Code: %s. SQS Error Message: %.140s",
            failure->type[0] != '\0' ? failure->type : "none", failure->error.msg);
    p->done(p->done_arg, &result);
    free(p->region);
    free(p->url);
    free(p);
}

static void on_probe_attributes(void *arg, const json_t *answer,
                                const struct hd_aws_failure *failure)
{
    end_probe(arg, answer, failure);
}

static void on_probe_url(void *arg, const json_t *answer, const struct hd_aws_failure *failure)
{
    struct probe *p = arg;
    const char *url = json_string_value(json_object_get(answer, "QueueUrl"));
    if (url == NULL) {
        end_probe(p, answer, failure);
        return;
    }
    p->url = hd_strdup(url);
    const struct hd_sqs_queue q = {p->sqs->aws, hd_str(p->region), hd_str(p->url)};
    hd_sqs_attributes(&q, on_probe_attributes, p);
}

static void probe(void *arg, const struct hd_esm_mapping *m, hd_esm_probe_fn done, void *done_arg)
{
    struct hd_esm_sqs *s = arg;
    struct probe *p = hd_new(struct probe);
    struct hd_aws_arn arn = {.region = hd_str(m->region)};
    hd_aws_arn_parse(&arn, hd_str(m->source_arn));
    *p = (struct probe){
        .sqs = s, .region = hd_strdup_n(arn.region), .done = done, .done_arg = done_arg};
    const struct hd_sqs_queue q = {s->aws, hd_str(p->region), {NULL, 0}};
    hd_sqs_get_url(&q, hd_str(m->source_name), arn.account, on_probe_url, p);
}

/* --- life --- */

struct hd_esm_sqs *hd_esm_sqs_new(const struct hd_esm_source_options *opt, struct hd_aws *aws)
{
    static const struct hd_esm_poller ops = {.name = "sqs",
                                             .takes = takes,
                                             .probe = probe,
                                             .start = start,
                                             .update = update,
                                             .stop = stop};
    struct hd_esm_sqs *s = hd_new(struct hd_esm_sqs);
    hd_esm_source_init(&s->source, opt, &feed_ops, NULL, free_one);
    s->aws = aws;
    hd_esm_offer(opt->esm, &ops, s);
    return s;
}

void hd_esm_sqs_free(struct hd_esm_sqs *s)
{
    free(s);
}

void hd_esm_sqs_stats(const struct hd_esm_sqs *s, struct hd_esm_poll_stats *out)
{
    hd_esm_source_stats(&s->source, out);
}
