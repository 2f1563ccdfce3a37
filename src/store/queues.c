#include "store/queues_private.h"

#include "core/clock.h"
#include "store/sqlite.h"

#include <limits.h>

enum {
    SEQ_BLOCK = 65536, /* numbers that are reserved with one write */
    RUNS_KEPT = 4096,
    LOST_ALONE = 2,      /* processes that died with an item, from when on it is taken alone */
    LOOK_AGAIN_MS = 100, /* at what waits for that */
};

static const char *const statements[HD_Q_COUNT] = {
    [HD_Q_ROW] = "INSERT INTO queue(name) VALUES(?1) ON CONFLICT(name) DO UPDATE SET name=name"
                 " RETURNING id",
    [HD_Q_SEQ] = "UPDATE counter SET value=?1 WHERE name='seq'",
    [HD_Q_PUT] = "INSERT INTO item(seq, queue, dead, due, first, attempts, id, meta, body)"
                 " VALUES(?1, ?2, 0, ?3, ?4, ?5, ?6, ?7, ?8)",
    [HD_Q_DELETE] = "DELETE FROM item WHERE seq=?1",
    [HD_Q_RETRY] = "UPDATE item SET due=?2, attempts=?3 WHERE seq=?1 RETURNING first",
    [HD_Q_DEAD] = "UPDATE item SET dead=1, attempts=?2, reason=?3 WHERE seq=?1",
    [HD_Q_PURGE] = "DELETE FROM item WHERE queue=?1",
    [HD_Q_REQUEUE_ONE] = "UPDATE item SET dead=0, attempts=0, reason=NULL, due=?2"
                         " WHERE queue=?1 AND dead=1 AND seq=?3",
    [HD_Q_REQUEUE_ALL] = "UPDATE item SET dead=0, attempts=0, reason=NULL, due=?2"
                         " WHERE queue=?1 AND dead=1",
    [HD_Q_DROP_ONE] = "DELETE FROM item WHERE queue=?1 AND dead=1 AND seq=?3",
    [HD_Q_DROP_ALL] = "DELETE FROM item WHERE queue=?1 AND dead=1",
    [HD_Q_CLAIM] = "SELECT seq, due, first, attempts, id, meta, body FROM item"
                   " WHERE queue=?1 AND dead=0 AND (due, first, seq)>(?2, ?3, ?4)"
                   " ORDER BY due, first, seq",
    [HD_Q_LIST] = "SELECT seq, due, first, attempts, id, meta, body, reason FROM item"
                  " WHERE queue=?1 AND dead=1 AND seq>?2 ORDER BY seq LIMIT ?3",
    [HD_Q_OLDEST] = "SELECT seq, first FROM item WHERE queue=?1 AND dead=0"
                    " ORDER BY due, first LIMIT ?2",
};

static const struct hd_queue_key first_key = {.due = INT64_MIN};

static int key_cmp(const struct hd_queue_key *a, const struct hd_queue_key *b)
{
    if (a->due != b->due)
        return a->due < b->due ? -1 : 1;
    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    return a->seq < b->seq ? -1 : a->seq > b->seq;
}

static int failed(const struct hd_queues *qs, int rc, struct hd_str queue, struct hd_error *err)
{
    return hd_sqlite_fail(err, qs->db, rc, "queue %.*s", HD_FMT(queue));
}

/* --- memory --- */

struct hd_queue_state *hd_queues_state(struct hd_queues *qs, struct hd_str name)
{
    struct hd_queue_state *q = hd_map_get(&qs->by_name, name);
    if (q != NULL)
        return q;
    q = hd_new(struct hd_queue_state);
    q->name = hd_str_n(hd_strdup_n(name), name.len);
    q->cursor = first_key;
    q->noted = hd_str_starts(name, hd_str("lane:"));
    hd_list_init(&q->runs);
    hd_list_init(&q->touched);
    hd_list_init(&q->stale);
    pthread_mutex_lock(&qs->lock);
    hd_map_put(&qs->by_name, q->name, q);
    pthread_mutex_unlock(&qs->lock);
    return q;
}

void hd_queues_touch(struct hd_queues *qs, struct hd_queue_state *q)
{
    if (hd_list_empty(&q->touched))
        hd_list_push(&qs->touched, &q->touched);
    if (hd_list_empty(&q->stale))
        hd_list_push(&qs->stale, &q->stale);
}

static struct hd_queue_change *note(struct hd_queues *qs, const struct hd_queue_change *change)
{
    if (qs->journal_len == qs->journal_cap) {
        qs->journal_cap = qs->journal_cap > 0 ? qs->journal_cap * 2 : 64;
        qs->journal = hd_realloc_array(qs->journal, qs->journal_cap, sizeof(*qs->journal));
    }
    qs->journal[qs->journal_len] = *change;
    return &qs->journal[qs->journal_len++];
}

static void count(struct hd_queue_state *q, struct hd_queue_counts by, int sign)
{
    q->now.queued += sign * by.queued;
    q->now.running += sign * by.running;
    q->now.dead += sign * by.dead;
}

static void note_count(struct hd_queues *qs, struct hd_queue_state *q, struct hd_queue_counts by)
{
    struct hd_queue_change change = {.kind = HD_CHANGE_COUNT, .queue = q, .by = by};
    note(qs, &change);
    count(q, by, 1);
}

static void note_free(struct hd_queues *qs, struct hd_queue_state *q, struct hd_queue_key key)
{
    struct hd_queue_change change = {.kind = HD_CHANGE_FREE, .queue = q, .key = key};
    note(qs, &change);
}

static void note_settled(struct hd_queues *qs, struct hd_queue_run *run)
{
    struct hd_queue_change change = {.kind = HD_CHANGE_SETTLED, .queue = run->queue, .run = run};
    run->settled = true;
    note(qs, &change);
}

static void run_free(struct hd_queues *qs, struct hd_queue_run *run)
{
    if (run->queue->noted)
        hd_claims_end(qs->claims, run->seq);
    if (run->alone)
        run->queue->alone = false;
    hd_map_remove(&qs->running, hd_queues_seq_key(&run->seq));
    hd_list_remove(&run->link);
    hd_slab_put(&qs->runs, run);
}

void hd_queues_undo(struct hd_queues *qs, size_t mark)
{
    while (qs->journal_len > mark) {
        struct hd_queue_change *change = &qs->journal[--qs->journal_len];
        switch (change->kind) {
        case HD_CHANGE_COUNT:
            count(change->queue, change->by, -1);
            break;
        case HD_CHANGE_ROW:
            change->queue->id = 0;
            break;
        case HD_CHANGE_SETTLED:
            change->run->settled = false;
            break;
        case HD_CHANGE_FREE:
            break;
        }
    }
}

/* Items that become free before the cursor take it back with them. */
static void set_free(struct hd_queue_state *q, struct hd_queue_key key)
{
    q->notify = true;
    if (key.first > 0 && (q->came_first == 0 || key.first < q->came_first))
        q->came_first = key.first;
    if (key_cmp(&key, &q->cursor) > 0)
        return;
    q->cursor = key;
    if (q->cursor.seq > 0)
        q->cursor.seq--;
}

void hd_queues_apply(struct hd_queues *qs)
{
    for (size_t i = 0; i < qs->journal_len; i++) {
        struct hd_queue_change *change = &qs->journal[i];
        hd_queues_touch(qs, change->queue);
        if (change->kind == HD_CHANGE_SETTLED)
            run_free(qs, change->run);
        else if (change->kind == HD_CHANGE_FREE)
            set_free(change->queue, change->key);
    }
    qs->journal_len = 0;
}

/* --- writing --- */

static int give_row(struct hd_queues *qs, struct hd_queue_state *q, struct hd_error *err)
{
    sqlite3_stmt *st = qs->st[HD_Q_ROW];
    hd_sqlite_text(st, 1, q->name);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        q->id = sqlite3_column_int64(st, 0);
    rc = hd_sqlite_run(st);
    if (rc != SQLITE_OK) {
        q->id = 0;
        return failed(qs, rc, q->name, err);
    }
    struct hd_queue_change change = {.kind = HD_CHANGE_ROW, .queue = q};
    note(qs, &change);
    return 0;
}

/* Numbers are never given twice, also when all items are gone: they may be written down. */
static int reserve(struct hd_queues *qs, struct hd_error *err)
{
    uint64_t limit = qs->next_seq + SEQ_BLOCK;
    sqlite3_bind_int64(qs->st[HD_Q_SEQ], 1, (int64_t)limit);
    int rc = hd_sqlite_run(qs->st[HD_Q_SEQ]);
    if (rc != SQLITE_OK)
        return hd_sqlite_fail(err, qs->db, rc, "queues");
    qs->seq_limit = limit;
    return 0;
}

static int check_put(const struct hd_queue_state *q, const struct hd_queue_put *item,
                     struct hd_error *err)
{
    if (item->id.len == 0 || item->id.len > 64)
        return hd_fail(err, HD_EINVAL, "queue %.*s: an id of %zu bytes; it must have 1 to 64",
                       HD_FMT(item->queue), item->id.len);
    uint64_t held = (uint64_t)(q->now.queued + q->now.running);
    if (item->max_items > 0 && held >= item->max_items)
        return hd_fail(err, HD_EBUSY, "queue %.*s: it is full, %llu wait in it",
                       HD_FMT(item->queue), (unsigned long long)held);
    return 0;
}

int hd_queues_put(struct hd_queues *qs, const struct hd_queue_put *item, struct hd_error *err)
{
    struct hd_queue_state *q = hd_queues_state(qs, item->queue);
    int rc = check_put(q, item, err);
    if (rc == 0 && q->id == 0)
        rc = give_row(qs, q, err);
    if (rc == 0 && qs->next_seq == qs->seq_limit)
        rc = reserve(qs, err);
    if (rc < 0)
        return rc;
    int64_t now = qs->clock();
    struct hd_queue_key key = {.due = item->due_unix_ms > 0 ? item->due_unix_ms : now,
                               .first = item->first_unix_ms > 0 ? item->first_unix_ms : now,
                               .seq = qs->next_seq};
    sqlite3_stmt *st = qs->st[HD_Q_PUT];
    sqlite3_bind_int64(st, 1, (int64_t)key.seq);
    sqlite3_bind_int64(st, 2, q->id);
    sqlite3_bind_int64(st, 3, key.due);
    sqlite3_bind_int64(st, 4, key.first);
    sqlite3_bind_int64(st, 5, item->attempts);
    hd_sqlite_text(st, 6, item->id);
    hd_sqlite_text(st, 7, item->meta);
    hd_sqlite_blob(st, 8, item->body);
    int done = hd_sqlite_run(st);
    if (done != SQLITE_OK)
        return failed(qs, done, q->name, err);
    qs->next_seq++;
    note_count(qs, q, (struct hd_queue_counts){.queued = 1});
    note_free(qs, q, key);
    return 0;
}

static struct hd_queue_run *under_way(const struct hd_queues *qs, uint64_t seq)
{
    struct hd_queue_run *run = hd_map_get(&qs->running, hd_queues_seq_key(&seq));
    return run != NULL && !run->settled ? run : NULL;
}

int hd_queues_done(struct hd_queues *qs, uint64_t seq, struct hd_error *err)
{
    struct hd_queue_run *run = under_way(qs, seq);
    if (run == NULL)
        return 0;
    sqlite3_bind_int64(qs->st[HD_Q_DELETE], 1, (int64_t)seq);
    int rc = hd_sqlite_run(qs->st[HD_Q_DELETE]);
    if (rc != SQLITE_OK)
        return failed(qs, rc, run->queue->name, err);
    note_count(qs, run->queue, (struct hd_queue_counts){.running = -1});
    note_settled(qs, run);
    return 0;
}

int hd_queues_retry(struct hd_queues *qs, uint64_t seq, uint32_t attempts, int64_t due_unix_ms,
                    struct hd_error *err)
{
    struct hd_queue_run *run = under_way(qs, seq);
    if (run == NULL)
        return 0;
    sqlite3_stmt *st = qs->st[HD_Q_RETRY];
    struct hd_queue_key key = {.due = due_unix_ms, .seq = seq};
    sqlite3_bind_int64(st, 1, (int64_t)seq);
    sqlite3_bind_int64(st, 2, due_unix_ms);
    sqlite3_bind_int64(st, 3, attempts);
    if (sqlite3_step(st) == SQLITE_ROW)
        key.first = sqlite3_column_int64(st, 0);
    int rc = hd_sqlite_run(st);
    if (rc != SQLITE_OK)
        return failed(qs, rc, run->queue->name, err);
    note_count(qs, run->queue, (struct hd_queue_counts){.queued = 1, .running = -1});
    note_settled(qs, run);
    note_free(qs, run->queue, key);
    return 0;
}

int hd_queues_dead(struct hd_queues *qs, uint64_t seq, uint32_t attempts, struct hd_str reason,
                   struct hd_error *err)
{
    struct hd_queue_run *run = under_way(qs, seq);
    if (run == NULL)
        return 0;
    sqlite3_stmt *st = qs->st[HD_Q_DEAD];
    sqlite3_bind_int64(st, 1, (int64_t)seq);
    sqlite3_bind_int64(st, 2, attempts);
    hd_sqlite_text(st, 3, reason);
    int rc = hd_sqlite_run(st);
    if (rc != SQLITE_OK)
        return failed(qs, rc, run->queue->name, err);
    note_count(qs, run->queue, (struct hd_queue_counts){.dead = 1, .running = -1});
    note_settled(qs, run);
    return 0;
}

int hd_queues_purge(struct hd_queues *qs, struct hd_str queue, struct hd_error *err)
{
    struct hd_queue_state *q = hd_map_get(&qs->by_name, queue);
    if (q == NULL || q->id == 0)
        return 0;
    sqlite3_bind_int64(qs->st[HD_Q_PURGE], 1, q->id);
    int rc = hd_sqlite_run(qs->st[HD_Q_PURGE]);
    if (rc != SQLITE_OK)
        return failed(qs, rc, queue, err);
    hd_list_each(link, &q->runs)
    {
        struct hd_queue_run *run = hd_container_of(link, struct hd_queue_run, link);
        if (!run->settled)
            note_settled(qs, run);
    }
    note_count(qs, q, (struct hd_queue_counts){-q->now.queued, -q->now.running, -q->now.dead});
    return 0;
}

/* One of the dead, or all. */
static int move_dead(struct hd_queues *qs, struct hd_queue_state *q, int statement, uint64_t seq,
                     int64_t due, struct hd_error *err)
{
    sqlite3_stmt *st = qs->st[statement];
    sqlite3_clear_bindings(st);
    sqlite3_bind_int64(st, 1, q->id);
    if (sqlite3_bind_parameter_count(st) >= 2)
        sqlite3_bind_int64(st, 2, due);
    if (seq != 0)
        sqlite3_bind_int64(st, 3, (int64_t)seq);
    int rc = hd_sqlite_run(st);
    return rc == SQLITE_OK ? sqlite3_changes(qs->db) : failed(qs, rc, q->name, err);
}

int hd_queues_requeue(struct hd_queues *qs, struct hd_str queue, uint64_t seq, struct hd_error *err)
{
    struct hd_queue_state *q = hd_map_get(&qs->by_name, queue);
    if (q == NULL || q->id == 0)
        return 0;
    int64_t due = qs->clock();
    int n = move_dead(qs, q, seq != 0 ? HD_Q_REQUEUE_ONE : HD_Q_REQUEUE_ALL, seq, due, err);
    if (n <= 0)
        return n;
    note_count(qs, q, (struct hd_queue_counts){.queued = n, .dead = -n});
    note_free(qs, q, (struct hd_queue_key){.due = due, .first = INT64_MIN});
    return n;
}

int hd_queues_drop(struct hd_queues *qs, struct hd_str queue, uint64_t seq, struct hd_error *err)
{
    struct hd_queue_state *q = hd_map_get(&qs->by_name, queue);
    if (q == NULL || q->id == 0)
        return 0;
    int n = move_dead(qs, q, seq != 0 ? HD_Q_DROP_ONE : HD_Q_DROP_ALL, seq, 0, err);
    if (n > 0)
        note_count(qs, q, (struct hd_queue_counts){.dead = -n});
    return n;
}

/* --- reading --- */

static struct hd_queue_item row_item(sqlite3_stmt *st, struct hd_str queue)
{
    return (struct hd_queue_item){.seq = (uint64_t)sqlite3_column_int64(st, 0),
                                  .due_unix_ms = sqlite3_column_int64(st, 1),
                                  .first_unix_ms = sqlite3_column_int64(st, 2),
                                  .attempts = (uint32_t)sqlite3_column_int64(st, 3),
                                  .id = hd_sqlite_bytes(st, 4),
                                  .meta = hd_sqlite_bytes(st, 5),
                                  .body = hd_sqlite_bytes(st, 6),
                                  .queue = queue};
}

static void start_run(struct hd_queues *qs, struct hd_queue_state *q, uint64_t seq, bool alone)
{
    struct hd_queue_run *run = hd_slab_take(&qs->runs);
    run->seq = seq;
    run->queue = q;
    run->settled = false;
    run->alone = q->alone = alone;
    if (q->noted)
        hd_claims_begin(qs->claims, seq);
    hd_list_init(&run->link);
    hd_list_push(&q->runs, &run->link);
    hd_map_put(&qs->running, hd_queues_seq_key(&run->seq), run);
    count(q, (struct hd_queue_counts){.queued = -1, .running = 1}, 1);
}

/* Take back the newest @p n. */
static void unclaim(struct hd_queues *qs, struct hd_queue_state *q, int n)
{
    while (n-- > 0) {
        run_free(qs, hd_container_of(q->runs.prev, struct hd_queue_run, link));
        count(q, (struct hd_queue_counts){.queued = 1, .running = -1}, 1);
    }
}

int hd_queues_claim(struct hd_queues *qs, struct hd_str queue, uint32_t max, size_t max_bytes,
                    void (*each)(void *arg, const struct hd_queue_item *item), void *arg,
                    int64_t *next_due_unix_ms, struct hd_error *err)
{
    struct hd_queue_state *q = hd_map_get(&qs->by_name, queue);
    *next_due_unix_ms = INT64_MAX;
    if (q == NULL || q->now.queued == 0)
        return 0;
    sqlite3_stmt *st = qs->st[HD_Q_CLAIM];
    struct hd_queue_key at = q->cursor;
    int64_t now = qs->clock();
    if (q->alone) {
        *next_due_unix_ms = now + LOOK_AGAIN_MS;
        return 0;
    }
    sqlite3_bind_int64(st, 1, q->id);
    sqlite3_bind_int64(st, 2, at.due);
    sqlite3_bind_int64(st, 3, at.first);
    sqlite3_bind_int64(st, 4, (int64_t)at.seq);
    size_t bytes = 0;
    int n = 0, rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        struct hd_queue_key key = {.due = sqlite3_column_int64(st, 1),
                                   .first = sqlite3_column_int64(st, 2),
                                   .seq = (uint64_t)sqlite3_column_int64(st, 0)};
        if (hd_map_get(&qs->running, hd_queues_seq_key(&key.seq)) == NULL) {
            if (key.due > now || (uint32_t)n == max || bytes >= max_bytes) {
                *next_due_unix_ms = key.due;
                break;
            }
            struct hd_queue_item item = row_item(st, q->name);
            item.lost = q->noted ? hd_claims_lost(qs->claims, key.seq) : 0;
            bool alone = item.lost >= LOST_ALONE;
            if (q->alone || (alone && q->now.running > 0)) {
                *next_due_unix_ms = now + LOOK_AGAIN_MS;
                break;
            }
            start_run(qs, q, key.seq, alone);
            each(arg, &item);
            bytes += item.body.len + item.meta.len;
            n++;
        }
        at = key;
    }
    int reset = sqlite3_reset(st);
    if (rc != SQLITE_ROW && reset != SQLITE_OK) {
        unclaim(qs, q, n);
        return failed(qs, reset, queue, err);
    }
    q->cursor = at;
    hd_queues_touch(qs, q);
    return n;
}

int hd_queues_list_dead(struct hd_queues *qs, struct hd_str queue, uint64_t after_seq, uint32_t max,
                        size_t max_bytes, void (*each)(void *arg, const struct hd_queue_item *item),
                        void *arg, struct hd_error *err)
{
    struct hd_queue_state *q = hd_map_get(&qs->by_name, queue);
    if (q == NULL || q->id == 0)
        return 0;
    sqlite3_stmt *st = qs->st[HD_Q_LIST];
    sqlite3_bind_int64(st, 1, q->id);
    sqlite3_bind_int64(st, 2, (int64_t)after_seq);
    sqlite3_bind_int64(st, 3, max);
    size_t bytes = 0;
    int n = 0, rc = SQLITE_DONE;
    while (bytes < max_bytes && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        struct hd_queue_item item = row_item(st, q->name);
        item.reason = hd_sqlite_bytes(st, 7);
        each(arg, &item);
        bytes += item.body.len + item.meta.len;
        n++;
    }
    int reset = sqlite3_reset(st);
    return reset == SQLITE_OK ? n : failed(qs, reset, queue, err);
}

/* --- life --- */

static int load_counts(struct hd_queues *qs, struct hd_error *err)
{
    sqlite3_stmt *st = NULL;
    int rc = hd_sqlite_prepare(&st, qs->db,
                               "SELECT q.id, q.name, i.dead, i.n FROM queue q JOIN ("
                               "SELECT queue, 0 AS dead, count(*) AS n FROM item WHERE dead=0"
                               " GROUP BY queue UNION ALL "
                               "SELECT queue, 1, count(*) FROM item WHERE dead=1 GROUP BY queue"
                               ") i ON i.queue=q.id",
                               err);
    if (rc < 0)
        return rc;
    int step;
    while ((step = sqlite3_step(st)) == SQLITE_ROW) {
        struct hd_queue_state *q = hd_queues_state(qs, hd_sqlite_bytes(st, 1));
        q->id = sqlite3_column_int64(st, 0);
        int64_t n = sqlite3_column_int64(st, 3);
        if (sqlite3_column_int(st, 2) == 0)
            q->now.queued = n;
        else
            q->now.dead = n;
        hd_queues_touch(qs, q);
    }
    if (step != SQLITE_DONE)
        rc = hd_sqlite_fail(err, qs->db, step, "queues");
    sqlite3_finalize(st);
    return rc;
}

static bool is_there(void *arg, uint64_t seq)
{
    sqlite3_stmt *st = arg;
    sqlite3_bind_int64(st, 1, (int64_t)seq);
    bool found = sqlite3_step(st) == SQLITE_ROW;
    sqlite3_reset(st);
    return found;
}

/* Without it everything works, but for items with which each process dies. */
static int open_claims(struct hd_queues *qs, struct hd_error *err)
{
    const char *file = sqlite3_db_filename(qs->db, "main");
    sqlite3_stmt *st = NULL;
    struct hd_error none;
    hd_auto_free char *path = hd_printf("%s-claims", file != NULL ? file : "");
    if (file == NULL || file[0] == '\0' || hd_claims_open(&qs->claims, path, &none) < 0)
        return 0;
    int rc = hd_sqlite_prepare(&st, qs->db, "SELECT 1 FROM item WHERE seq=?1 AND dead=0", err);
    if (rc == 0)
        hd_claims_sweep(qs->claims, is_there, st);
    sqlite3_finalize(st);
    return rc;
}

int hd_queues_open(struct hd_queues *qs, sqlite3 *db, int64_t (*clock)(void), struct hd_error *err)
{
    int64_t seq = 0;
    *qs = (struct hd_queues){.db = db, .clock = clock != NULL ? clock : hd_clock_unix_ms};
    hd_list_init(&qs->touched);
    hd_list_init(&qs->stale);
    hd_map_init(&qs->by_name, 0);
    hd_map_init(&qs->running, 0);
    hd_map_init(&qs->listeners, 0);
    hd_slab_init(&qs->runs, sizeof(struct hd_queue_run), RUNS_KEPT);
    pthread_mutex_init(&qs->lock, NULL);
    int rc = hd_sqlite_exec(
        db, "DELETE FROM queue WHERE NOT EXISTS(SELECT 1 FROM item WHERE queue=queue.id)", err);
    for (int i = 0; rc == 0 && i < HD_Q_COUNT; i++)
        rc = hd_sqlite_prepare(&qs->st[i], db, statements[i], err);
    if (rc == 0)
        rc = load_counts(qs, err);
    if (rc == 0)
        rc = hd_sqlite_int(&seq, db, "SELECT value FROM counter WHERE name='seq'", err);
    qs->next_seq = qs->seq_limit = (uint64_t)seq;
    if (rc == 0)
        rc = open_claims(qs, err);
    if (rc < 0)
        return rc;
    while (hd_queues_refresh(qs))
        ;
    hd_queues_publish(qs);
    return 0;
}

void hd_queues_close(struct hd_queues *qs)
{
    for (int i = 0; i < HD_Q_COUNT; i++)
        sqlite3_finalize(qs->st[i]);
    memset((void *)qs->st, 0, sizeof(qs->st));
    hd_claims_close(hd_steal(qs->claims));
}
