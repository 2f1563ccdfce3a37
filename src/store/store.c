#include "store/private.h"

#include "store/schema.h"
#include "store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { COPY_WAIT_MS = 10000 };

enum {
    GROUP_US = 1000,
    MAX_PENDING = 100000,
    MAX_PENDING_BYTES = 256 * 1048576,
    BATCH_JOBS = 8192,
    BATCH_BYTES = 32 * 1048576,
    REFRESH_MS = 250, /* how often the oldest items are looked up again */
    RETRY_MS = 500,   /* settles that could not be written */
    CHECKPOINT_FRAMES = 1000,
};

/* --- from any thread --- */

void hd_job_fail(struct hd_job *job, const struct hd_error *err)
{
    if (job->err == NULL)
        job->err = hd_new(struct hd_error);
    *job->err = *err;
}

static void finish_posted(void *arg)
{
    struct hd_job *job = arg;
    while (job != NULL) {
        struct hd_job *next = job->next;
        job->finish(job);
        job = next;
    }
}

static void refuse(struct hd_job *job)
{
    job->next = NULL;
    if (job->loop != NULL)
        hd_loop_post(job->loop, finish_posted, job);
    else
        job->finish(job);
}

static int admit(const struct hd_store *s, const struct hd_job *job, struct hd_error *err)
{
    if (s->closing)
        return hd_fail(err, HD_ECANCELED, "store: it is closed");
    if (job->kind == HD_JOB_TX && s->pending >= s->max_pending)
        return hd_fail(err, HD_EBUSY, "store: %u writes wait for the disk", s->max_pending);
    if (s->pending_bytes > 0 && s->pending_bytes + job->bytes > MAX_PENDING_BYTES)
        return hd_fail(err, HD_EBUSY, "store: %d MB wait for the disk", MAX_PENDING_BYTES >> 20);
    return 0;
}

void hd_store_hand(struct hd_store *s, struct hd_job *job)
{
    struct hd_error err;
    job->next = NULL;
    pthread_mutex_lock(&s->lock);
    int rc = job->err != NULL ? job->err->code : admit(s, job, &err);
    if (rc == 0) {
        *s->asked.last = job;
        s->asked.last = &job->next;
        s->asked.bytes += job->bytes;
        s->asked.promises += job->kind == HD_JOB_TX;
        s->n_asked++;
        s->pending++;
        s->pending_bytes += job->bytes;
        if (s->sleeping && (job->kind != HD_JOB_TX || s->asked.promises >= s->wanted))
            pthread_cond_signal(&s->wake);
    }
    pthread_mutex_unlock(&s->lock);
    if (rc == 0)
        return;
    if (job->err == NULL)
        hd_job_fail(job, &err);
    refuse(job);
}

static void settles_add(struct hd_settles *list, const struct hd_settle *settle)
{
    if (list->len == list->cap) {
        list->cap = list->cap > 0 ? list->cap * 2 : 64;
        list->all = hd_realloc_array(list->all, list->cap, sizeof(*list->all));
    }
    list->all[list->len++] = *settle;
}

static void settles_done(struct hd_settles *list)
{
    for (size_t i = 0; i < list->len; i++)
        free(list->all[i].reason);
    free(list->all);
    *list = (struct hd_settles){0};
}

void hd_store_settle(struct hd_store *s, const struct hd_settle *settle)
{
    pthread_mutex_lock(&s->lock);
    bool open = !s->closing;
    if (open) {
        settles_add(&s->asked.settles, settle);
        if (s->sleeping && s->asked.settles.len == 1)
            pthread_cond_signal(&s->wake);
    }
    pthread_mutex_unlock(&s->lock);
    if (!open)
        free(settle->reason);
}

void hd_store_stats(struct hd_store *s, struct hd_store_stats *out)
{
    *out = (struct hd_store_stats){
        .commits = atomic_load(&s->counters.commits),
        .writes = atomic_load(&s->counters.writes),
        .failures = atomic_load(&s->counters.failures),
        .syncs = atomic_load(&s->counters.syncs),
        .last_commit_us = atomic_load(&s->counters.last_commit_us),
    };
    pthread_mutex_lock(&s->lock);
    out->pending = s->pending;
    pthread_mutex_unlock(&s->lock);
    struct stat st;
    if (stat(s->path, &st) == 0)
        out->bytes = (uint64_t)st.st_size;
}

/* --- the writer's thread --- */

static void wait_us(struct hd_store *s, uint64_t us)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec += (time_t)(us / 1000000);
    ts.tv_nsec += (long)(us % 1000000) * 1000;
    if (ts.tv_nsec >= 1000000000) {
        ts.tv_sec++;
        ts.tv_nsec -= 1000000000;
    }
    s->sleeping = true;
    pthread_cond_timedwait(&s->wake, &s->lock, &ts);
    s->sleeping = false;
}

static bool is_empty(const struct hd_batch *b)
{
    return b->first == NULL && b->settles.len == 0;
}

/* Whoever came alone last time is not made to wait. Otherwise as many as last time are expected:
 * they have had their answers and ask again about now. To wait longer than a commit takes would not
 * pay. */
static void gather(struct hd_store *s)
{
    bool only_settles = s->asked.first == NULL;
    bool expected = s->asked.promises > 0 && s->asked.promises < s->last_promises;
    if (s->closing || s->group_us == 0 || (!only_settles && !expected))
        return;
    s->wanted = only_settles ? 1 : s->last_promises;
    uint64_t commit_us = atomic_load(&s->counters.last_commit_us);
    wait_us(s, only_settles ? s->group_us : HD_MIN((uint64_t)s->group_us, commit_us));
    s->wanted = 0;
}

static void take(struct hd_store *s, struct hd_batch *b)
{
    *b = (struct hd_batch){.first = s->asked.first, .settles = s->asked.settles};
    s->asked.settles = (struct hd_settles){0};
    b->last = &b->first;
    unsigned jobs = 0;
    struct hd_job *job = b->first;
    for (; job != NULL && jobs < BATCH_JOBS && b->bytes < BATCH_BYTES; job = job->next) {
        b->bytes += job->bytes;
        b->promises += job->kind == HD_JOB_TX;
        b->last = &job->next;
        jobs++;
    }
    *b->last = NULL;
    s->asked.first = job;
    if (job == NULL)
        s->asked.last = &s->asked.first;
    s->asked.bytes -= b->bytes;
    s->asked.promises -= b->promises;
    s->last_promises = b->promises;
}

/* One post a loop, in the order in which they were asked for. */
static unsigned deliver(struct hd_job *job, uint64_t *bytes)
{
    enum { LOOPS = 32 };
    struct {
        struct hd_loop *loop;
        struct hd_job *first, **last;
    } to[LOOPS];
    unsigned n = 0, jobs = 0;
    *bytes = 0;
    while (job != NULL) {
        struct hd_job *next = job->next;
        job->next = NULL;
        jobs++;
        *bytes += job->bytes;
        unsigned i = 0;
        while (i < n && to[i].loop != job->loop)
            i++;
        if (job->loop == NULL) {
            job->finish(job);
        } else if (i < n) {
            *to[i].last = job;
            to[i].last = &job->next;
        } else if (n < LOOPS) {
            to[n].loop = job->loop;
            to[n].first = job;
            to[n++].last = &job->next;
        } else {
            hd_loop_post(job->loop, finish_posted, job);
        }
        job = next;
    }
    for (unsigned i = 0; i < n; i++)
        hd_loop_post(to[i].loop, finish_posted, to[i].first);
    return jobs;
}

static void keep_settles(struct hd_store *s, struct hd_settles *left)
{
    for (size_t i = 0; i < left->len; i++)
        settles_add(&s->asked.settles, &left->all[i]);
    left->len = 0;
    settles_done(left);
}

static void work(struct hd_store *s)
{
    struct hd_batch batch;
    uint64_t bytes;
    take(s, &batch);
    pthread_mutex_unlock(&s->lock);
    pthread_mutex_lock(&s->db_lock);
    hd_batch_work(s, &batch);
    pthread_mutex_unlock(&s->db_lock);
    hd_queues_publish(&s->queues);
    unsigned jobs = deliver(batch.first, &bytes);
    if (s->wal_frames >= CHECKPOINT_FRAMES) {
        pthread_mutex_lock(&s->db_lock);
        hd_batch_checkpoint(s, false);
        pthread_mutex_unlock(&s->db_lock);
    }
    pthread_mutex_lock(&s->lock);
    s->pending -= jobs;
    s->pending_bytes -= bytes;
    s->n_finished += jobs;
    pthread_cond_broadcast(&s->finished);
    if (batch.settles.len == 0) {
        settles_done(&batch.settles);
        return;
    }
    keep_settles(s, &batch.settles);
    if (s->asked.first == NULL && !s->closing)
        wait_us(s, RETRY_MS * 1000);
}

static bool refresh(struct hd_store *s)
{
    pthread_mutex_unlock(&s->lock);
    pthread_mutex_lock(&s->db_lock);
    bool more = hd_queues_refresh(&s->queues);
    pthread_mutex_unlock(&s->db_lock);
    pthread_mutex_lock(&s->lock);
    return more;
}

static void *run(void *arg)
{
    struct hd_store *s = arg;
    bool stale = false;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (is_empty(&s->asked) && !s->closing) {
            if (stale) {
                wait_us(s, REFRESH_MS * 1000);
                if (is_empty(&s->asked))
                    stale = refresh(s);
            } else {
                s->sleeping = true;
                pthread_cond_wait(&s->wake, &s->lock);
                s->sleeping = false;
            }
        }
        if (is_empty(&s->asked))
            break;
        gather(s);
        bool last = s->closing;
        work(s);
        stale = true;
        if (last && s->asked.first == NULL)
            break; /* settles that cannot be written now never will */
    }
    settles_done(&s->asked.settles);
    void (*done)(void *) = s->close_done;
    struct hd_loop *loop = s->close_loop;
    pthread_mutex_unlock(&s->lock);
    pthread_mutex_lock(&s->db_lock);
    hd_batch_finalize(s);
    pthread_mutex_unlock(&s->db_lock);
    pthread_mutex_lock(&s->lock);
    s->closed = true;
    pthread_cond_broadcast(&s->finished);
    pthread_mutex_unlock(&s->lock);
    if (done != NULL)
        hd_loop_post(loop, done, s->close_arg);
    return NULL;
}

/* --- life --- */

/* The folder is made where only it is missing. */
static int make_folder(const char *path, struct hd_error *err)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path)
        return 0;
    hd_auto_free char *dir = hd_strdup_n(hd_str_n(path, (size_t)(slash - path)));
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return hd_fail_sys(err, errno, "%s", dir);
    return 0;
}

/* A lock of its own beside the database: SQLite's would be gone with the first close() of any other
 * descriptor of it in this process, and would keep out whoever only wants to read. */
static int lock_file(int *out, const char *path, struct hd_error *err)
{
    hd_auto_free char *name = hd_printf("%s.lock", path);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return hd_fail_sys(err, errno, "%s", name);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int sys = errno;
        char pid[24] = "";
        ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);
        close(fd);
        if (sys != EWOULDBLOCK)
            return hd_fail_sys(err, sys, "%s", name);
        return hd_fail(err, HD_EBUSY,
                       "%s: another heddle (process %.*s) works with it; end that one, or name "
                       "another database",
                       path, n > 0 ? (int)strcspn(pid, "\n") : 1, n > 0 ? pid : "?");
    }
    char pid[24];
    int len = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)len, 0) < 0) {
        /* nobody but a reader of the message above misses it */
    }
    *out = fd;
    return 0;
}

static void locks_init(struct hd_store *s)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->db_lock, NULL);
    pthread_cond_init(&s->wake, &attr);
    pthread_cond_init(&s->finished, NULL);
    pthread_condattr_destroy(&attr);
}

static int open_database(struct hd_store *s, struct hd_error *err)
{
    int rc = make_folder(s->path, err);
    if (rc == 0)
        rc = lock_file(&s->lock_fd, s->path, err);
    if (rc == 0)
        rc = hd_schema_open(&s->db, s->path, err);
    if (rc < 0)
        return rc;
    rc = hd_schema_migrate(s->db, hd_schema_steps, hd_schema_version(), err);
    if (rc >= 0 && rc < hd_schema_version())
        hd_log(s->log, HD_INFO, "database made ready", hd_kv_str("file", s->path),
               hd_kv_int("from_schema", rc), hd_kv_int("schema", hd_schema_version()));
    if (rc >= 0)
        rc = hd_batch_prepare(s, err);
    return rc < 0 ? hd_wrap(err, rc, "%s", s->path) : 0;
}

int hd_store_open(struct hd_store **out, const struct hd_store_options *opt, struct hd_error *err)
{
    struct hd_store *s = hd_new(struct hd_store);
    s->path = hd_strdup(opt->path);
    s->log = opt->log;
    s->group_us = opt->group_us > 0 ? opt->group_us : GROUP_US;
    s->max_pending = opt->max_pending > 0 ? opt->max_pending : MAX_PENDING;
    s->clock = opt->clock;
    s->lock_fd = -1;
    s->asked.last = &s->asked.first;
    locks_init(s);
    int rc = open_database(s, err);
    if (rc == 0) {
        int sys = pthread_create(&s->thread, NULL, run, s);
        s->started = sys == 0;
        if (sys != 0)
            rc = hd_fail_sys(err, sys, "store: thread");
    }
    if (rc < 0) {
        hd_store_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

static void start_close(struct hd_store *s, struct hd_loop *loop, void (*done)(void *arg),
                        void *arg)
{
    pthread_mutex_lock(&s->lock);
    s->closing = true;
    s->close_loop = loop;
    s->close_done = done;
    s->close_arg = arg;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

void hd_store_close(struct hd_store *s, struct hd_loop *loop, void (*done)(void *arg), void *arg)
{
    start_close(s, loop, done, arg);
}

void hd_store_free(struct hd_store *s)
{
    if (s == NULL)
        return;
    if (s->started) {
        pthread_mutex_lock(&s->lock);
        bool closing = s->closing;
        pthread_mutex_unlock(&s->lock);
        if (!closing)
            start_close(s, NULL, NULL, NULL);
        pthread_join(s->thread, NULL);
    } else {
        hd_batch_finalize(s);
    }
    hd_queues_free(&s->queues);
    if (s->lock_fd >= 0)
        close(s->lock_fd); /* and so unlocked; the file stays, or a third could lock another one */
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->db_lock);
    pthread_cond_destroy(&s->wake);
    pthread_cond_destroy(&s->finished);
    free(s->path);
    free(s);
}

/* --- reading --- */

static int read_all(struct hd_store *s, sqlite3_stmt *st,
                    int (*each)(void *arg, struct hd_str key, struct hd_str json), void *arg,
                    struct hd_error *err)
{
    int step, rc = 0;
    while (rc == 0 && (step = sqlite3_step(st)) != SQLITE_DONE) {
        if (step != SQLITE_ROW)
            return hd_sqlite_fail(err, s->db, step, "%s", s->path);
        rc = each(arg, hd_sqlite_bytes(st, 0), hd_sqlite_bytes(st, 1));
    }
    return rc;
}

int hd_store_each(struct hd_store *s, enum hd_record kind,
                  int (*each)(void *arg, struct hd_str key, struct hd_str json), void *arg,
                  struct hd_error *err)
{
    pthread_mutex_lock(&s->lock);
    uint64_t upto = s->n_asked;
    while (s->n_finished < upto && !s->closed)
        pthread_cond_wait(&s->finished, &s->lock);
    bool closed = s->closed;
    pthread_mutex_unlock(&s->lock);
    if (closed)
        return hd_fail(err, HD_ECANCELED, "store: it is closed");
    char sql[96];
    sqlite3_snprintf(sizeof(sql), sql, "SELECT key, json FROM record_%s ORDER BY key",
                     hd_batch_record_name(kind));
    sqlite3_stmt *st = NULL;
    pthread_mutex_lock(&s->db_lock);
    int rc = hd_sqlite_prepare(&st, s->db, sql, err);
    if (rc == 0)
        rc = read_all(s, st, each, arg, err);
    sqlite3_finalize(st);
    pthread_mutex_unlock(&s->db_lock);
    return rc;
}

int hd_store_check(const char *path, struct hd_error *err)
{
    sqlite3 *db = NULL;
    int opened = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    int rc = opened == SQLITE_OK ? hd_schema_check(db, err)
                                 : hd_sqlite_fail(err, db, opened, "cannot be opened");
    sqlite3_close(db);
    return rc < 0 ? hd_wrap(err, rc, "%s", path) : 0;
}

int hd_store_copy(const char *path, const char *to, struct hd_error *err)
{
    sqlite3 *db = NULL;
    int opened = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    int rc = 0;
    if (opened != SQLITE_OK) {
        rc = hd_sqlite_fail(err, db, opened, "cannot be opened");
    } else {
        char *sql = sqlite3_mprintf("VACUUM INTO %Q", to);
        sqlite3_busy_timeout(db, COPY_WAIT_MS);
        rc = sql != NULL ? hd_sqlite_exec(db, sql, err) : hd_fail(err, HD_EIO, "no memory");
        sqlite3_free(sql);
    }
    sqlite3_close(db);
    return rc < 0 ? hd_wrap(err, rc, "%s", path) : 0;
}
