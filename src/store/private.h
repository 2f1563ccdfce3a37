/* store/private.h - what the files of the store share: transactions, jobs, and the writer.
 *
 *   any thread ──hd_store_hand()──► jobs ──writer's thread──► one SQLite transaction ──► loops
 *                                                              └──► claims and lists read after it
 */
#pragma once

#include "core/buf.h"
#include "store/queue.h"
#include "store/queues.h"
#include "store/store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

enum hd_op_kind {
    HD_OP_PUT,          /* strs: key, json */
    HD_OP_DELETE,       /* key */
    HD_OP_DELETE_UNDER, /* prefix */
    HD_OP_ITEM,         /* queue, id, meta, body; numbers: due, first, attempts, max_items */
    HD_OP_DONE,         /* numbers: seq */
    HD_OP_PURGE,        /* queue */
    HD_OP_REQUEUE,      /* queue; numbers: seq */
    HD_OP_DROP,         /* queue; numbers: seq */
};

/** One thing to do, as it lies in a transaction: this, then the bytes of its strings. */
struct hd_op {
    enum hd_op_kind kind;
    enum hd_record record;
    struct hd_str strs[4];
    int64_t numbers[4];
};

enum hd_job_kind { HD_JOB_TX, HD_JOB_READ };

/** What is handed to the writer; lies first in what it is part of. */
struct hd_job {
    struct hd_job *next;
    enum hd_job_kind kind;
    uint32_t bytes;       /* about how much memory it holds */
    struct hd_loop *loop; /* NULL: nobody waits */
    struct hd_error *err; /* NULL: it went well; the job's own */
    /** Tell and free it: on `loop`, or on the writer's thread where nobody waits. */
    void (*finish)(struct hd_job *job);
    /** HD_JOB_READ: read what is committed. Writer's thread. */
    int (*read)(struct hd_job *job, struct hd_queues *qs, struct hd_error *err);
};

struct hd_store_tx {
    struct hd_job job;
    struct hd_store *store;
    void (*done)(void *arg, const struct hd_error *err);
    void (*done_count)(void *arg, int count, const struct hd_error *err); /* or this */
    void *arg;
    uint32_t n_ops;
    int count;         /* rows that OP_REQUEUE and OP_DROP touched */
    struct hd_buf ops; /* begins in `memory` */
    char memory[];
};

/** How a delivery ended: nobody waits for it. */
struct hd_settle {
    enum hd_settle_kind { HD_SETTLE_DONE, HD_SETTLE_RETRY, HD_SETTLE_DEAD } kind;
    uint32_t attempts;
    uint64_t seq;
    int64_t due_unix_ms;
    char *reason; /* its own */
};

struct hd_settles {
    struct hd_settle *all;
    size_t len, cap;
};

/** What the writer takes in one go. */
struct hd_batch {
    struct hd_job *first;
    struct hd_job **last;
    struct hd_settles settles;
    uint32_t promises; /* transactions in it */
    uint64_t bytes;
};

enum { HD_STATEMENTS_RECORD = 3, HD_STATEMENTS_TX = 6 };

struct hd_store {
    char *path;
    struct hd_log *log;
    int lock_fd; /* holds "<path>.lock" */
    uint32_t group_us, max_pending;
    int64_t (*clock)(void);
    pthread_t thread;
    bool started, joined;

    /* of the writer's thread; `db_lock` is held while it, or hd_store_each(), uses the database */
    pthread_mutex_t db_lock;
    sqlite3 *db;
    sqlite3_stmt *record[HD_RECORD_COUNT][HD_STATEMENTS_RECORD];
    sqlite3_stmt *tx[HD_STATEMENTS_TX];
    struct hd_queues queues;
    bool wrote;                /* the last commit changed something */
    bool synced;               /* what PRAGMA synchronous says: FULL */
    bool failing;              /* the last commit did not work; said so in the log */
    bool broken;               /* a sync failed: nothing can be promised any more */
    int wal_frames, wal_moved; /* of the write-ahead log: not in the database yet; already there */
    uint32_t last_promises;

    /* `lock` guards these */
    pthread_mutex_t lock;
    pthread_cond_t wake, finished;
    struct hd_batch asked;
    uint64_t n_asked, n_finished; /* jobs ever */
    uint32_t wanted;              /* wake the writer when so many promises wait */
    bool sleeping, closing, closed;
    struct hd_loop *close_loop;
    void (*close_done)(void *arg);
    void *close_arg;
    uint64_t pending, pending_bytes;

    struct {
        _Atomic uint64_t commits, writes, failures, syncs, last_commit_us;
    } counters;
};

/* --- tx.c --- */

/** @return a transaction with room for @p bytes of strings. */
struct hd_store_tx *hd_store_tx_new(struct hd_store *s, size_t bytes);
void hd_store_tx_add(struct hd_store_tx *tx, const struct hd_op *op);
/** Hand it to the writer; `done` or `done_count` is set. */
void hd_store_tx_hand(struct hd_store_tx *tx, struct hd_loop *loop);
/** Read the next op: *at starts with 0. @return false at the end. */
bool hd_store_tx_next(const struct hd_store_tx *tx, size_t *at, struct hd_op *op);

/* --- store.c: from any thread to the writer --- */

void hd_store_hand(struct hd_store *s, struct hd_job *job);
/** Takes settle->reason. */
void hd_store_settle(struct hd_store *s, const struct hd_settle *settle);
/** Give the job its error. */
void hd_job_fail(struct hd_job *job, const struct hd_error *err);

/* --- batch.c: the writer's work --- */

/** @return the end of its table's name. */
const char *hd_batch_record_name(enum hd_record kind);
int hd_batch_prepare(struct hd_store *s, struct hd_error *err);
void hd_batch_finalize(struct hd_store *s);
/** Carry it out, all of it; the jobs have their results then. What could not be settled stays in
 *  batch->settles, for later. */
void hd_batch_work(struct hd_store *s, struct hd_batch *batch);
/** Move what is in the write-ahead log into the database. */
void hd_batch_checkpoint(struct hd_store *s, bool all);
