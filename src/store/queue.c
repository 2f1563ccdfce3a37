#include "store/private.h"

enum { CLAIM_BYTES = 16 * 1048576 /* of bodies at once; one item is always given */ };

/* --- puts --- */

static struct hd_op put_op(const struct hd_queue_put *item)
{
    return (struct hd_op){
        .kind = HD_OP_ITEM,
        .strs = {item->queue, item->id, item->meta, item->body},
        .numbers = {item->due_unix_ms, item->first_unix_ms, item->attempts,
                    (int64_t)item->max_items},
    };
}

void hd_queue_put(struct hd_store_tx *tx, const struct hd_queue_put *item)
{
    struct hd_op op = put_op(item);
    hd_store_tx_add(tx, &op);
}

void hd_queue_put_one(struct hd_store *s, const struct hd_queue_put *item, struct hd_loop *loop,
                      void (*done)(void *arg, const struct hd_error *err), void *arg)
{
    struct hd_op op = put_op(item);
    size_t bytes = sizeof(op);
    for (size_t i = 0; i < HD_COUNT(op.strs); i++)
        bytes += op.strs[i].len;
    struct hd_store_tx *tx = hd_store_tx_new(s, bytes);
    hd_store_tx_add(tx, &op);
    hd_store_commit(tx, loop, done, arg);
}

void hd_queue_purge(struct hd_store_tx *tx, struct hd_str queue)
{
    struct hd_op op = {.kind = HD_OP_PURGE, .strs = {queue}};
    hd_store_tx_add(tx, &op);
}

/* --- settles --- */

void hd_queue_done(struct hd_store *s, uint64_t seq)
{
    struct hd_settle settle = {.kind = HD_SETTLE_DONE, .seq = seq};
    hd_store_settle(s, &settle);
}

void hd_queue_retry(struct hd_store *s, uint64_t seq, uint32_t attempts, int64_t due_unix_ms)
{
    struct hd_settle settle = {
        .kind = HD_SETTLE_RETRY, .seq = seq, .attempts = attempts, .due_unix_ms = due_unix_ms};
    hd_store_settle(s, &settle);
}

void hd_queue_dead(struct hd_store *s, uint64_t seq, uint32_t attempts, struct hd_str reason)
{
    struct hd_settle settle = {
        .kind = HD_SETTLE_DEAD, .seq = seq, .attempts = attempts, .reason = hd_strdup_n(reason)};
    hd_store_settle(s, &settle);
}

void hd_queue_done_in(struct hd_store_tx *tx, uint64_t seq)
{
    struct hd_op op = {.kind = HD_OP_DONE, .numbers = {(int64_t)seq}};
    hd_store_tx_add(tx, &op);
}

/* --- claims and lists: items are copied on the writer's thread, handed out on the loop --- */

struct reading {
    struct hd_job job;
    struct hd_buf items; /* struct hd_queue_item, id, meta, body, reason; again */
    int n;
    int64_t next_due_unix_ms;
    bool dead;
    uint64_t after_seq;
    uint32_t max;
    void (*each)(void *arg, const struct hd_queue_item *item);
    void (*claimed)(void *arg, int n, int64_t next_due_unix_ms, const struct hd_error *err);
    void (*listed)(void *arg, int n, const struct hd_error *err);
    void *arg;
    struct hd_str queue;
    char name[];
};

static void copy(void *arg, const struct hd_queue_item *item)
{
    struct reading *r = arg;
    struct hd_queue_item c = *item;
    hd_buf_add(&r->items, &c, sizeof(c));
    hd_buf_str(&r->items, item->id);
    hd_buf_str(&r->items, item->meta);
    hd_buf_str(&r->items, item->body);
    hd_buf_str(&r->items, item->reason);
}

static struct hd_str cut(const char **at, size_t len)
{
    struct hd_str s = hd_str_n(*at, len);
    *at += len;
    return s;
}

static void hand_out(struct reading *r)
{
    const char *at = r->items.ptr, *end = r->items.len > 0 ? at + r->items.len : at;
    while (at < end) {
        struct hd_queue_item c;
        memcpy(&c, at, sizeof(c));
        at += sizeof(c);
        c.queue = r->queue;
        c.id = cut(&at, c.id.len);
        c.meta = cut(&at, c.meta.len);
        c.body = cut(&at, c.body.len);
        c.reason = cut(&at, c.reason.len);
        r->each(r->arg, &c);
    }
}

static int read_items(struct hd_job *job, struct hd_queues *qs, struct hd_error *err)
{
    struct reading *r = hd_container_of(job, struct reading, job);
    if (r->dead)
        r->n = hd_queues_list_dead(qs, r->queue, r->after_seq, r->max, CLAIM_BYTES, copy, r, err);
    else
        r->n =
            hd_queues_claim(qs, r->queue, r->max, CLAIM_BYTES, copy, r, &r->next_due_unix_ms, err);
    if (r->n < 0)
        hd_buf_clear(&r->items);
    return r->n < 0 ? r->n : 0;
}

static void finish_reading(struct hd_job *job)
{
    struct reading *r = hd_container_of(job, struct reading, job);
    int n = job->err == NULL ? r->n : 0;
    if (job->loop != NULL && job->err == NULL)
        hand_out(r);
    if (job->loop != NULL && r->claimed != NULL)
        r->claimed(r->arg, n, r->next_due_unix_ms, job->err);
    if (job->loop != NULL && r->listed != NULL)
        r->listed(r->arg, n, job->err);
    hd_buf_done(&r->items);
    free(job->err);
    free(r);
}

static struct reading *reading_new(struct hd_str queue, uint32_t max, struct hd_loop *loop,
                                   void (*each)(void *arg, const struct hd_queue_item *item),
                                   void *arg)
{
    struct reading *r = hd_alloc(sizeof(*r) + queue.len + 1);
    r->job.kind = HD_JOB_READ;
    r->job.loop = loop;
    r->job.read = read_items;
    r->job.finish = finish_reading;
    r->job.bytes = sizeof(*r);
    r->next_due_unix_ms = INT64_MAX;
    r->max = max;
    r->each = each;
    r->arg = arg;
    memcpy(r->name, queue.ptr, queue.len);
    r->queue = hd_str_n(r->name, queue.len);
    hd_buf_init(&r->items, SIZE_MAX / 2);
    return r;
}

void hd_queue_claim(struct hd_store *s, struct hd_str queue, uint32_t max, struct hd_loop *loop,
                    void (*each)(void *arg, const struct hd_queue_item *item),
                    void (*done)(void *arg, int claimed, int64_t next_due_unix_ms,
                                 const struct hd_error *err),
                    void *arg)
{
    struct reading *r = reading_new(queue, max, loop, each, arg);
    r->claimed = done;
    hd_store_hand(s, &r->job);
}

void hd_queue_dead_list(struct hd_store *s, struct hd_str queue, uint64_t after_seq, uint32_t max,
                        struct hd_loop *loop,
                        void (*each)(void *arg, const struct hd_queue_item *item),
                        void (*done)(void *arg, int listed, const struct hd_error *err), void *arg)
{
    struct reading *r = reading_new(queue, max, loop, each, arg);
    r->dead = true;
    r->after_seq = after_seq;
    r->listed = done;
    hd_store_hand(s, &r->job);
}

/* --- the dead --- */

static void move_dead(struct hd_store *s, enum hd_op_kind kind, struct hd_str queue, uint64_t seq,
                      struct hd_loop *loop,
                      void (*done)(void *arg, int count, const struct hd_error *err), void *arg)
{
    struct hd_store_tx *tx = hd_store_begin(s);
    struct hd_op op = {.kind = kind, .strs = {queue}, .numbers = {(int64_t)seq}};
    hd_store_tx_add(tx, &op);
    tx->done_count = done;
    tx->arg = arg;
    hd_store_tx_hand(tx, loop);
}

void hd_queue_dead_requeue(struct hd_store *s, struct hd_str queue, uint64_t seq,
                           struct hd_loop *loop,
                           void (*done)(void *arg, int moved, const struct hd_error *err),
                           void *arg)
{
    move_dead(s, HD_OP_REQUEUE, queue, seq, loop, done, arg);
}

void hd_queue_dead_drop(struct hd_store *s, struct hd_str queue, uint64_t seq, struct hd_loop *loop,
                        void (*done)(void *arg, int dropped, const struct hd_error *err), void *arg)
{
    move_dead(s, HD_OP_DROP, queue, seq, loop, done, arg);
}

/* --- what is known of a queue --- */

void hd_queue_listen(struct hd_store *s, struct hd_str queue, struct hd_loop *loop,
                     void (*fn)(void *arg), void *arg)
{
    hd_queues_listen(&s->queues, queue, loop, fn, arg);
}

void hd_queue_unlisten(struct hd_store *s, struct hd_str queue)
{
    hd_queues_unlisten(&s->queues, queue);
}

void hd_queue_depth(struct hd_store *s, struct hd_str queue, struct hd_queue_depth *out)
{
    hd_queues_depth(&s->queues, queue, out);
}

void hd_queue_names(struct hd_store *s, void (*each)(void *arg, struct hd_str queue), void *arg)
{
    hd_queues_names(&s->queues, each, arg);
}
