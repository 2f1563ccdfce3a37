/*  BEGIN ─► each transaction between savepoints ─► settles ─► COMMIT ─► reads ─► results
 *             └── failed: rolled back alone            └── failed: everything is undone, and then
 *                                                          each is tried by itself
 *
 * Promises are synced (synchronous=FULL: the write-ahead log is on the disk when COMMIT returns).
 * A batch of settles alone is not: what a power cut takes of them is delivered once more. */
#include "store/private.h"

#include "core/clock.h"
#include "store/schema.h"
#include "store/sqlite.h"

#include <stdio.h>

enum { RECORD_PUT, RECORD_DELETE, RECORD_DELETE_UNDER };
enum { TX_BEGIN, TX_COMMIT, TX_ROLLBACK, TX_SAVE, TX_RELEASE, TX_BACK };
_Static_assert(TX_BACK + 1 == HD_STATEMENTS_TX, "statements");

enum { HOPELESS = 3 /* single transactions that fail in a row before the rest is given up */ };

static const char *const record_names[] = {
    [HD_RECORD_META] = "meta",
    [HD_RECORD_FUNCTION] = "function",
    [HD_RECORD_VERSION] = "version",
    [HD_RECORD_ALIAS] = "alias",
    [HD_RECORD_POLICY] = "policy",
    [HD_RECORD_EVENT_CONFIG] = "event_config",
    [HD_RECORD_FUNCTION_URL] = "function_url",
    [HD_RECORD_PROVISIONED] = "provisioned",
    [HD_RECORD_LAYER] = "layer",
    [HD_RECORD_LAYER_VERSION] = "layer_version",
    [HD_RECORD_EVENT_SOURCE] = "event_source",
    [HD_RECORD_CODE_SIGNING] = "code_signing",
    [HD_RECORD_INSTANCE] = "instance",
    [HD_RECORD_SCHEDULE] = "schedule",
};
_Static_assert(HD_COUNT(record_names) == HD_RECORD_COUNT, "a name for each kind of record");

const char *hd_batch_record_name(enum hd_record kind)
{
    return record_names[kind];
}

/* --- statements --- */

static int prepare_record(struct hd_store *s, enum hd_record kind, struct hd_error *err)
{
    static const char *const forms[HD_STATEMENTS_RECORD] = {
        ("INSERT INTO record_%s(key, json) VALUES(?1, ?2)"
         " ON CONFLICT(key) DO UPDATE SET json=excluded.json"),
        "DELETE FROM record_%s WHERE key=?1",
        "DELETE FROM record_%s WHERE key>=?1 AND (?2 IS NULL OR key<?2)",
    };
    int rc = 0;
    for (int i = 0; rc == 0 && i < HD_STATEMENTS_RECORD; i++) {
        char sql[160];
        sqlite3_snprintf(sizeof(sql), sql, forms[i], record_names[kind]);
        rc = hd_sqlite_prepare(&s->record[kind][i], s->db, sql, err);
    }
    return rc;
}

static int on_wal(void *arg, sqlite3 *db, const char *name, int frames)
{
    struct hd_store *s = arg;
    if (frames < s->wal_moved)
        s->wal_moved = 0; /* it begins anew */
    s->wal_frames = frames - s->wal_moved;
    s->wrote = true;
    (void)db;
    (void)name;
    return SQLITE_OK;
}

int hd_batch_prepare(struct hd_store *s, struct hd_error *err)
{
    static const char *const sql[HD_STATEMENTS_TX] = {
        "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK", "SAVEPOINT tx", "RELEASE tx", "ROLLBACK TO tx",
    };
    int rc = 0;
    for (int i = 0; rc == 0 && i < HD_STATEMENTS_TX; i++)
        rc = hd_sqlite_prepare(&s->tx[i], s->db, sql[i], err);
    if (rc == 0)
        rc = hd_queues_open(&s->queues, s->db, s->clock, err);
    sqlite3_wal_hook(s->db, on_wal, s);
    s->synced = true;
    return rc;
}

void hd_batch_finalize(struct hd_store *s)
{
    if (s->db == NULL)
        return;
    for (int kind = 0; kind < HD_RECORD_COUNT; kind++) {
        for (int i = 0; i < HD_STATEMENTS_RECORD; i++)
            sqlite3_finalize(s->record[kind][i]);
    }
    for (int i = 0; i < HD_STATEMENTS_TX; i++)
        sqlite3_finalize(s->tx[i]);
    hd_queues_close(&s->queues);
    sqlite3_close(s->db); /* checkpoints, and takes the log away */
    s->db = NULL;
}

static int step(struct hd_store *s, sqlite3_stmt *st, struct hd_error *err)
{
    int rc = hd_sqlite_run(st);
    return rc == SQLITE_OK ? 0 : hd_sqlite_fail(err, s->db, rc, "store");
}

/* --- records --- */

/* The smallest text that is greater than all that begin with it. */
static bool after_prefix(char *copy, size_t *len)
{
    while (*len > 0 && (unsigned char)copy[*len - 1] == 0xff)
        (*len)--;
    if (*len == 0)
        return false;
    copy[*len - 1] = (char)((unsigned char)copy[*len - 1] + 1);
    return true;
}

static int delete_under(struct hd_store *s, sqlite3_stmt *st, struct hd_str prefix,
                        struct hd_error *err)
{
    hd_auto_free char *end = hd_strdup_n(prefix);
    size_t len = prefix.len;
    hd_sqlite_text(st, 1, prefix);
    if (after_prefix(end, &len))
        hd_sqlite_text(st, 2, hd_str_n(end, len));
    else
        sqlite3_bind_null(st, 2);
    return step(s, st, err);
}

static int record_op(struct hd_store *s, const struct hd_op *op, struct hd_error *err)
{
    if (s->record[op->record][0] == NULL) {
        int rc = prepare_record(s, op->record, err);
        if (rc < 0)
            return rc;
    }
    sqlite3_stmt **st = s->record[op->record];
    switch (op->kind) {
    case HD_OP_PUT:
        hd_sqlite_text(st[RECORD_PUT], 1, op->strs[0]);
        hd_sqlite_text(st[RECORD_PUT], 2, op->strs[1]);
        return step(s, st[RECORD_PUT], err);
    case HD_OP_DELETE:
        hd_sqlite_text(st[RECORD_DELETE], 1, op->strs[0]);
        return step(s, st[RECORD_DELETE], err);
    default:
        return delete_under(s, st[RECORD_DELETE_UNDER], op->strs[0], err);
    }
}

static int counted(struct hd_store_tx *tx, int rc)
{
    tx->count += rc > 0 ? rc : 0;
    return rc < 0 ? rc : 0;
}

static int run_op(struct hd_store *s, struct hd_store_tx *tx, const struct hd_op *op,
                  struct hd_error *err)
{
    struct hd_queues *qs = &s->queues;
    uint64_t seq = (uint64_t)op->numbers[0];
    switch (op->kind) {
    case HD_OP_PUT:
    case HD_OP_DELETE:
    case HD_OP_DELETE_UNDER:
        return record_op(s, op, err);
    case HD_OP_ITEM: {
        struct hd_queue_put item = {.queue = op->strs[0],
                                    .id = op->strs[1],
                                    .meta = op->strs[2],
                                    .body = op->strs[3],
                                    .due_unix_ms = op->numbers[0],
                                    .first_unix_ms = op->numbers[1],
                                    .attempts = (uint32_t)op->numbers[2],
                                    .max_items = (uint64_t)op->numbers[3]};
        return hd_queues_put(qs, &item, err);
    }
    case HD_OP_DONE:
        return hd_queues_done(qs, seq, err);
    case HD_OP_PURGE:
        return hd_queues_purge(qs, op->strs[0], err);
    case HD_OP_REQUEUE:
        return counted(tx, hd_queues_requeue(qs, op->strs[0], seq, err));
    case HD_OP_DROP:
        return counted(tx, hd_queues_drop(qs, op->strs[0], seq, err));
    }
    return hd_fail(err, HD_EINVAL, "store: there is no such operation");
}

/* --- transactions --- */

static struct hd_store_tx *tx_of(struct hd_job *job)
{
    return hd_container_of(job, struct hd_store_tx, job);
}

/* A single statement undoes itself; a put is two at the most, and the first of them may stay. */
static bool needs_savepoint(const struct hd_store_tx *tx)
{
    return tx->n_ops > 1;
}

/* @return an error only if the whole of it is lost; the transaction's own stays with it. */
static int run_tx(struct hd_store *s, struct hd_store_tx *tx, struct hd_error *err)
{
    struct hd_error own = {0};
    struct hd_op op;
    size_t at = 0, mark = hd_queues_mark(&s->queues);
    bool save = needs_savepoint(tx);
    int rc = save ? step(s, s->tx[TX_SAVE], err) : 0;
    if (rc < 0)
        return rc;
    tx->count = 0;
    while (rc == 0 && hd_store_tx_next(tx, &at, &op))
        rc = run_op(s, tx, &op, &own);
    if (rc == 0)
        return save ? step(s, s->tx[TX_RELEASE], err) : 0;
    hd_job_fail(&tx->job, &own);
    hd_queues_undo(&s->queues, mark);
    if (sqlite3_get_autocommit(s->db) != 0) { /* SQLite has rolled back everything */
        *err = own;
        return rc;
    }
    rc = save ? step(s, s->tx[TX_BACK], err) : 0;
    return rc == 0 && save ? step(s, s->tx[TX_RELEASE], err) : rc;
}

static int run_settle(struct hd_store *s, const struct hd_settle *settle, struct hd_error *err)
{
    struct hd_queues *qs = &s->queues;
    switch (settle->kind) {
    case HD_SETTLE_DONE:
        return hd_queues_done(qs, settle->seq, err);
    case HD_SETTLE_RETRY:
        return hd_queues_retry(qs, settle->seq, settle->attempts, settle->due_unix_ms, err);
    case HD_SETTLE_DEAD:
        return hd_queues_dead(qs, settle->seq, settle->attempts, hd_str(settle->reason), err);
    }
    return 0;
}

static int begin(struct hd_store *s, bool promised, struct hd_error *err)
{
    int rc = 0;
    if (s->broken)
        return hd_fail(err, HD_EIO,
                       "store: %s: the disk could not keep what it was given; look after the disk, "
                       "then start again",
                       s->path);
    if (promised != s->synced)
        rc = hd_sqlite_exec(
            s->db, promised ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", err);
    if (rc == 0) {
        s->synced = promised;
        rc = step(s, s->tx[TX_BEGIN], err);
    }
    return rc;
}

static void undo_all(struct hd_store *s)
{
    /* After a failed sync the kernel may have dropped what earlier commits wrote, and tells once.
     */
    if (hd_sqlite_lost_sync(s->db))
        s->broken = true;
    if (sqlite3_get_autocommit(s->db) == 0)
        hd_sqlite_run(s->tx[TX_ROLLBACK]);
    hd_queues_undo(&s->queues, 0);
}

static int commit(struct hd_store *s, uint64_t writes, struct hd_error *err)
{
    s->wrote = false;
    int rc = step(s, s->tx[TX_COMMIT], err);
    if (rc < 0)
        return rc;
    hd_queues_apply(&s->queues);
    atomic_fetch_add(&s->counters.commits, 1);
    atomic_fetch_add(&s->counters.writes, writes);
    atomic_fetch_add(&s->counters.syncs, s->synced && s->wrote);
    return 0;
}

/* Jobs from @p first, @p n of them or all; and the settles, if any. All or nothing. */
static int try_together(struct hd_store *s, struct hd_job *first, unsigned n,
                        struct hd_settles *settles, struct hd_error *err)
{
    uint64_t writes = 0;
    bool promised = false;
    struct hd_job *job = first;
    for (unsigned i = 0; i < n && job != NULL; i++, job = job->next)
        promised = promised || (job->kind == HD_JOB_TX && job->err == NULL);
    int rc = begin(s, promised, err);
    job = first;
    for (unsigned i = 0; rc == 0 && i < n && job != NULL; i++, job = job->next) {
        if (job->kind != HD_JOB_TX || job->err != NULL)
            continue;
        rc = run_tx(s, tx_of(job), err);
        writes += tx_of(job)->n_ops;
    }
    for (size_t i = 0; rc == 0 && i < settles->len; i++, writes++)
        rc = run_settle(s, &settles->all[i], err);
    if (rc == 0)
        rc = commit(s, writes, err);
    if (rc < 0) {
        undo_all(s);
        return rc;
    }
    for (size_t i = 0; i < settles->len; i++)
        free(settles->all[i].reason);
    settles->len = 0;
    return 0;
}

/* One of them may be too large for the disk, the others not. Settles come first: they free. A
 * database that another process holds has been waited for long enough. */
static void try_each(struct hd_store *s, struct hd_batch *batch, const struct hd_error *why)
{
    struct hd_settles none = {0};
    struct hd_error err = *why;
    unsigned failed = 0;
    if (batch->settles.len > 0 && why->code != HD_EBUSY)
        try_together(s, NULL, 0, &batch->settles, &err);
    for (struct hd_job *job = batch->first; job != NULL; job = job->next) {
        if (job->kind != HD_JOB_TX)
            continue;
        free(job->err);
        job->err = NULL;
        bool hopeless = failed >= HOPELESS || s->broken || why->code == HD_EBUSY;
        if (!hopeless && try_together(s, job, 1, &none, &err) == 0) {
            failed = job->err == NULL ? 0 : failed;
            continue;
        }
        failed++;
        hd_job_fail(job, &err);
    }
}

static void tell(struct hd_store *s, int rc, const struct hd_error *err)
{
    if (rc < 0)
        atomic_fetch_add(&s->counters.failures, 1);
    if (rc < 0 && !s->failing)
        hd_log(s->log, HD_ERROR, "writes to the database fail", hd_kv_str("error", err->msg));
    else if (rc == 0 && s->failing)
        hd_log(s->log, HD_INFO, "writes to the database work again", hd_kv_str("file", s->path));
    s->failing = rc < 0;
}

static void write_batch(struct hd_store *s, struct hd_batch *batch)
{
    struct hd_error err = {0};
    uint64_t start = hd_clock_us();
    int rc = try_together(s, batch->first, UINT32_MAX, &batch->settles, &err);
    tell(s, rc, &err);
    if (rc < 0) {
        if (err.code != HD_EBUSY)
            hd_batch_checkpoint(s, true); /* the log may hold the space that is missing */
        try_each(s, batch, &err);
    }
    atomic_store(&s->counters.last_commit_us, hd_clock_us() - start);
}

void hd_batch_work(struct hd_store *s, struct hd_batch *batch)
{
    if (batch->promises > 0 || batch->settles.len > 0)
        write_batch(s, batch);
    for (struct hd_job *job = batch->first; job != NULL; job = job->next) {
        struct hd_error err = {0};
        if (job->kind == HD_JOB_READ && job->read(job, &s->queues, &err) < 0)
            hd_job_fail(job, &err);
    }
}

void hd_batch_checkpoint(struct hd_store *s, bool all)
{
    if (s->broken)
        return;
    int mode = all ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;
    int left = 0, moved = 0;
    int rc = sqlite3_wal_checkpoint_v2(s->db, NULL, mode, &left, &moved);
    if (rc != SQLITE_OK && hd_sqlite_lost_sync(s->db))
        s->broken = true;
    atomic_fetch_add(&s->counters.syncs, 2); /* of the log, and of the database */
    if (rc == SQLITE_OK && moved > 0)
        s->wal_moved = moved;
    s->wal_frames = 0;
}
