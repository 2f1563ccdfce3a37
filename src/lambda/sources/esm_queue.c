/*  receive ──► claim ──some──► records ──► called ──► done, retry later, or dead
 *               ▲ └─none─► waiting ─► nothing came
 *               └── put, or due ──┘                                            */
#include "lambda/sources/esm_queue.h"

#include "core/clock.h"
#include "core/id.h"
#include "lambda/sources/esm_sqs_record.h"

#include <openssl/evp.h>
#include <stdio.h>

enum { MAX_RECEIVES = 5, RETRY_MS = 1000, RETRY_MAX_MS = 300000, CLAIM_MAX = 1000 };

struct hd_esm_queue {
    struct hd_esm_source source;
    struct hd_esm_queue_options opt;
};

struct active;

/* One poller's place. */
struct slot {
    struct active *active;
    unsigned index, max;
    bool claiming, again, waits, canceled;
    uint64_t until_ms;
    struct hd_timer timer;
    struct hd_list wanted, others;
    unsigned received;
};

/* One mapping. */
struct active {
    struct hd_esm_active base;
    struct hd_esm_queue *all;
    char *queue, *arn, *region, *account;
    struct slot *slots[HD_ESM_POLLERS_MAX];
};

static struct active *active_of(struct hd_esm_active *base)
{
    return hd_container_of(base, struct active, base);
}

static struct hd_loop *loop_of(const struct active *a)
{
    return a->all->source.opt.loop;
}

/* --- items as records --- */

static void md5_of(char out[33], struct hd_str s)
{
    unsigned char digest[16] = {0};
    size_t len = 0;
    /* a machine may not allow MD5: then there is none in the record */
    if (EVP_Q_digest(NULL, "MD5", NULL, s.ptr, s.len, digest, &len) == 1)
        hd_hex(out, digest, sizeof(digest));
    else
        out[0] = '\0';
}

static json_t *message_of(const struct active *a, const struct hd_queue_item *item)
{
    char handle[24], count[16], sent[24], now[24], md5[33];
    snprintf(handle, sizeof(handle), "%llu", (unsigned long long)item->seq);
    snprintf(count, sizeof(count), "%u", item->attempts + 1);
    snprintf(sent, sizeof(sent), "%lld", (long long)item->first_unix_ms);
    snprintf(now, sizeof(now), "%lld", (long long)hd_clock_unix_ms());
    md5_of(md5, item->body);
    json_t *body = json_stringn(item->body.ptr != NULL ? item->body.ptr : "", item->body.len);
    if (body == NULL)
        return NULL;
    return json_pack("{sssssos{ssssssss}ss}", "MessageId", "", "ReceiptHandle", handle, "Body",
                     body, "Attributes", "ApproximateReceiveCount", count, "SentTimestamp", sent,
                     "SenderId", a->account, "ApproximateFirstReceiveTimestamp", now, "MD5OfBody",
                     md5);
}

static void each(void *arg, const struct hd_queue_item *item)
{
    struct slot *s = arg;
    const struct active *a = s->active;
    json_t *message = message_of(a, item);
    if (message == NULL) { /* bytes that are no text can be no record's body */
        hd_queue_dead(a->all->opt.store, item->seq, item->attempts, hd_str("not UTF-8"));
        return;
    }
    json_object_set_new(message, "MessageId", json_stringn(item->id.ptr, item->id.len));
    json_t *record = hd_esm_sqs_record(message, a->arn, a->region);
    char *text = record != NULL ? json_dumps(record, JSON_COMPACT) : NULL;
    json_decref(message);
    if (text == NULL) {
        json_decref(record);
        hd_queue_dead(a->all->opt.store, item->seq, item->attempts, hd_str("its id is no text"));
        return;
    }
    struct hd_esm_record *r =
        hd_esm_record_new(json_string_value(json_object_get(record, "messageId")), NULL, text);
    r->seq = item->seq;
    r->attempts = item->attempts;
    json_t *view = hd_esm_sqs_view(record);
    hd_list_push(hd_esm_poll_wants(a->base.poll, view) ? &s->wanted : &s->others, &r->link);
    s->received++;
    json_decref(view);
    json_decref(record);
}

/* --- receiving --- */

static void claim(struct slot *s);

static void answer(struct slot *s, const struct hd_error *err)
{
    s->waits = false;
    hd_timer_stop(loop_of(s->active), &s->timer);
    struct hd_esm_poll *p = s->active->base.poll;
    hd_esm_poll_drop(p, &s->others, HD_ESM_DONE);
    hd_esm_poll_received(p, s->index, &s->wanted, s->received, err);
}

static void on_time(struct hd_timer *t)
{
    struct slot *s = hd_container_of(t, struct slot, timer);
    if (s->canceled || hd_loop_now_ms(loop_of(s->active)) >= s->until_ms)
        answer(s, NULL);
    else
        claim(s);
}

/* Nothing is there: wait for a put, for what becomes due, or for the end of the wait. */
static void wait_on(struct slot *s, int64_t next_due_unix_ms)
{
    struct hd_loop *loop = loop_of(s->active);
    uint64_t now = hd_loop_now_ms(loop);
    uint64_t ms = s->until_ms > now ? s->until_ms - now : 0;
    int64_t due = next_due_unix_ms == INT64_MAX ? INT64_MAX : next_due_unix_ms - hd_clock_unix_ms();
    if (due < (int64_t)ms)
        ms = due > 0 ? (uint64_t)due : 1;
    s->waits = true;
    hd_timer_start(loop, &s->timer, ms, on_time);
}

static void on_claimed(void *arg, int claimed, int64_t next_due_unix_ms, const struct hd_error *err)
{
    struct slot *s = arg;
    bool again = s->again;
    s->claiming = false;
    if (err != NULL || s->received > 0 || s->canceled ||
        hd_loop_now_ms(loop_of(s->active)) >= s->until_ms)
        answer(s, s->canceled ? NULL : err);
    else if (again || claimed > 0)
        claim(s);
    else
        wait_on(s, next_due_unix_ms);
}

static void claim(struct slot *s)
{
    const struct active *a = s->active;
    s->waits = false;
    s->again = false;
    s->claiming = true;
    hd_queue_claim(a->all->opt.store, hd_str(a->queue), s->max, loop_of(a), each, on_claimed, s);
}

/* Something was put into one of the queues. */
static void on_put(void *arg)
{
    struct hd_esm_queue *q = arg;
    hd_list_each(item, &q->source.active)
    {
        struct active *a = active_of(hd_container_of(item, struct hd_esm_active, link));
        for (unsigned i = 0; i < HD_ESM_POLLERS_MAX && a->slots[i] != NULL; i++) {
            struct slot *s = a->slots[i];
            s->again = true;
            if (s->waits && !s->canceled) {
                hd_timer_stop(loop_of(a), &s->timer);
                claim(s);
            }
        }
    }
}

/* --- as a feed --- */

static void receive(void *feed, unsigned poller, unsigned max, uint32_t wait_ms)
{
    struct active *a = active_of(feed);
    if (a->slots[poller] == NULL)
        a->slots[poller] = hd_new(struct slot);
    struct slot *s = a->slots[poller];
    *s = (struct slot){
        .active = a, .index = poller, .max = max, .until_ms = hd_loop_now_ms(loop_of(a)) + wait_ms};
    hd_list_init(&s->wanted);
    hd_list_init(&s->others);
    claim(s);
}

static void cancel(void *feed, unsigned poller)
{
    struct slot *s = active_of(feed)->slots[poller];
    s->canceled = true;
    if (s->waits)
        hd_timer_start(loop_of(s->active), &s->timer, 0, on_time);
}

static void settled(void *arg)
{
    hd_esm_poll_settled(arg);
}

static void settle_one(const struct active *a, const struct hd_esm_record *r,
                       enum hd_esm_settle how)
{
    struct hd_store *store = a->all->opt.store;
    uint32_t most = a->all->opt.max_receives != 0 ? a->all->opt.max_receives : MAX_RECEIVES;
    int64_t now = hd_clock_unix_ms();
    switch (how) {
    case HD_ESM_DONE:
        hd_queue_done(store, r->seq);
        return;
    case HD_ESM_RETURNED:
        hd_queue_retry(store, r->seq, r->attempts, now);
        return;
    case HD_ESM_FAILED:
        if (r->attempts + 1 >= most) {
            hd_queue_dead(store, r->seq, r->attempts + 1, hd_str("its function failed"));
        } else {
            int64_t ms = (int64_t)RETRY_MS << HD_MIN(r->attempts, 16u);
            hd_queue_retry(store, r->seq, r->attempts + 1, now + HD_MIN(ms, (int64_t)RETRY_MAX_MS));
        }
        return;
    }
}

static void settle(void *feed, struct hd_list *records, enum hd_esm_settle how)
{
    const struct active *a = active_of(feed);
    hd_list_each(item, records)
        settle_one(a, hd_container_of(item, struct hd_esm_record, link), how);
    hd_esm_records_free(records);
    hd_loop_post(loop_of(a), settled, a->base.poll);
}

static void event(void *feed, struct hd_buf *out, const struct hd_list *records, size_t n)
{
    (void)feed;
    hd_esm_sqs_event(out, records, n);
}

static const struct hd_esm_feed_ops feed_ops = {.max_receive = CLAIM_MAX,
                                                .pollers = 2,
                                                .max_pollers = HD_ESM_POLLERS_MAX,
                                                .receive = receive,
                                                .cancel = cancel,
                                                .settle = settle,
                                                .event = event};

/* --- as a poller of mappings --- */

static bool takes(void *arg, const struct hd_esm_mapping *m)
{
    const struct hd_esm_queue *q = arg;
    hd_auto_free char *name =
        m->kind == HD_ESM_SQS ? q->opt.queue_of(q->opt.arg, m->source_name) : NULL;
    return name != NULL;
}

static bool is_used(const struct hd_esm_queue *q, const char *queue)
{
    hd_list_each(item, &q->source.active)
    {
        struct hd_esm_active *base = hd_container_of(item, struct hd_esm_active, link);
        if (strcmp(active_of(base)->queue, queue) == 0)
            return true;
    }
    return false;
}

static void free_one(struct hd_esm_active *base)
{
    struct active *a = active_of(base);
    if (!is_used(a->all, a->queue))
        hd_queue_unlisten(a->all->opt.store, hd_str(a->queue));
    for (unsigned i = 0; i < HD_ESM_POLLERS_MAX && a->slots[i] != NULL; i++)
        free(a->slots[i]);
    free(a->queue);
    free(a->arn);
    free(a->region);
    free(a->account);
    free(a);
}

static void start(void *arg, const struct hd_esm_mapping *m)
{
    struct hd_esm_queue *q = arg;
    struct active *a = hd_new(struct active);
    a->all = q;
    a->queue = q->opt.queue_of(q->opt.arg, m->source_name);
    if (a->queue == NULL) /* it was there when it was taken */
        a->queue = hd_strdup(m->source_name);
    a->arn = hd_strdup(m->source_arn);
    a->region = hd_strdup(m->region);
    a->account = hd_strdup(m->account);
    if (!is_used(q, a->queue))
        hd_queue_listen(q->opt.store, hd_str(a->queue), loop_of(a), on_put, q);
    hd_esm_source_start(&q->source, &a->base, m);
}

static void update(void *arg, const struct hd_esm_mapping *m)
{
    struct hd_esm_queue *q = arg;
    hd_esm_source_update(&q->source, m);
}

static void stop(void *arg, const char *uuid)
{
    struct hd_esm_queue *q = arg;
    hd_esm_source_stop(&q->source, uuid);
}

struct hd_esm_queue *hd_esm_queue_new(const struct hd_esm_source_options *source,
                                      const struct hd_esm_queue_options *opt)
{
    static const struct hd_esm_poller ops = {
        .name = "queue", .takes = takes, .start = start, .update = update, .stop = stop};
    struct hd_esm_queue *q = hd_new(struct hd_esm_queue);
    q->opt = *opt;
    hd_esm_source_init(&q->source, source, &feed_ops, NULL, free_one);
    hd_esm_offer(source->esm, &ops, q);
    return q;
}

void hd_esm_queue_free(struct hd_esm_queue *q)
{
    free(q);
}

void hd_esm_queue_stats(const struct hd_esm_queue *q, struct hd_esm_poll_stats *out)
{
    hd_esm_source_stats(&q->source, out);
}
