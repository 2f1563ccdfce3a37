#include "store/private.h"

enum {
    ROOM = 488,               /* for a transaction whose size nobody knows yet */
    TX_BYTES = 512 * 1048576, /* more is a mistake */
};

struct hd_store_tx *hd_store_tx_new(struct hd_store *s, size_t bytes)
{
    struct hd_store_tx *tx = hd_alloc(sizeof(*tx) + bytes);
    tx->job.kind = HD_JOB_TX;
    tx->store = s;
    hd_buf_init_with(&tx->ops, tx->memory, bytes, TX_BYTES);
    return tx;
}

void hd_store_tx_add(struct hd_store_tx *tx, const struct hd_op *op)
{
    hd_buf_add(&tx->ops, op, sizeof(*op));
    for (size_t i = 0; i < HD_COUNT(op->strs); i++)
        hd_buf_str(&tx->ops, op->strs[i]);
    tx->n_ops++;
}

bool hd_store_tx_next(const struct hd_store_tx *tx, size_t *at, struct hd_op *op)
{
    if (*at >= tx->ops.len)
        return false;
    memcpy(op, tx->ops.ptr + *at, sizeof(*op));
    *at += sizeof(*op);
    for (size_t i = 0; i < HD_COUNT(op->strs); i++) {
        op->strs[i].ptr = tx->ops.ptr + *at;
        *at += op->strs[i].len;
    }
    return true;
}

struct hd_store_tx *hd_store_begin(struct hd_store *s)
{
    return hd_store_tx_new(s, ROOM);
}

void hd_store_put(struct hd_store_tx *tx, enum hd_record kind, struct hd_str key,
                  struct hd_str json)
{
    struct hd_op op = {.kind = HD_OP_PUT, .record = kind, .strs = {key, json}};
    hd_store_tx_add(tx, &op);
}

void hd_store_delete(struct hd_store_tx *tx, enum hd_record kind, struct hd_str key)
{
    struct hd_op op = {.kind = HD_OP_DELETE, .record = kind, .strs = {key}};
    hd_store_tx_add(tx, &op);
}

void hd_store_delete_under(struct hd_store_tx *tx, enum hd_record kind, struct hd_str prefix)
{
    struct hd_op op = {.kind = HD_OP_DELETE_UNDER, .record = kind, .strs = {prefix}};
    hd_store_tx_add(tx, &op);
}

static void tx_free(struct hd_store_tx *tx)
{
    hd_buf_done(&tx->ops);
    free(tx->job.err);
    free(tx);
}

void hd_store_rollback(struct hd_store_tx *tx)
{
    if (tx != NULL)
        tx_free(tx);
}

static void tx_finish(struct hd_job *job)
{
    struct hd_store_tx *tx = hd_container_of(job, struct hd_store_tx, job);
    if (job->loop != NULL && tx->done != NULL)
        tx->done(tx->arg, job->err);
    if (job->loop != NULL && tx->done_count != NULL)
        tx->done_count(tx->arg, job->err == NULL ? tx->count : 0, job->err);
    tx_free(tx);
}

void hd_store_commit(struct hd_store_tx *tx, struct hd_loop *loop,
                     void (*done)(void *arg, const struct hd_error *err), void *arg)
{
    tx->done = done;
    tx->arg = arg;
    hd_store_tx_hand(tx, loop);
}

void hd_store_tx_hand(struct hd_store_tx *tx, struct hd_loop *loop)
{
    bool waited = tx->done != NULL || tx->done_count != NULL;
    tx->job.loop = waited ? loop : NULL;
    tx->job.finish = tx_finish;
    tx->job.bytes = (uint32_t)(sizeof(*tx) + tx->ops.cap);
    if (hd_buf_failed(&tx->ops)) {
        struct hd_error err;
        hd_fail(&err, HD_EINVAL, "store: a transaction of more than %d MB", TX_BYTES >> 20);
        hd_job_fail(&tx->job, &err);
    }
    hd_store_hand(tx->store, &tx->job);
}
