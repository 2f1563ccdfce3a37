/*  DOWN ──connected──► UP ──broken──► DOWN (unconfirmed publishes wait for the next connection, for
 *  a while; new ones are refused at once) ... ──quit──► what was published is confirmed ─► end */
#include "core/clock.h"
#include "core/id.h"
#include "lanes/rabbitmq_private.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

enum {
    IDLE_MS = 5000,         /* heartbeats are looked after at least so often */
    CONFIRM_MS = 10000,     /* a broker that confirms later is as good as gone */
    UNCONFIRMED_MS = 15000, /* a publish waits so long for a new connection */
    QUIT_MS = 5000,         /* and at the end for its confirm */
};

/* --- news --- */

static void tell(struct hd_rabbit *r, struct hd_rabbit_news *n)
{
    pthread_mutex_lock(&r->lock);
    hd_list_push(&r->news, &n->link);
    bool post = !r->posted;
    r->posted = true;
    pthread_mutex_unlock(&r->lock);
    if (post)
        hd_loop_post(r->loop, hd_rabbit_on_news, r);
}

void hd_rabbit_tell_delivery(struct hd_rabbit *r, const struct hd_lane_delivery *d)
{
    struct hd_rabbit_news *n = hd_alloc(sizeof(*n) + d->body.len);
    hd_list_init(&n->link);
    n->kind = HD_RABBIT_DELIVERY;
    n->delivery = *d;
    memcpy(n->body, d->body.ptr, d->body.len);
    n->delivery.body = hd_str_n(n->body, d->body.len);
    tell(r, n);
}

void hd_rabbit_tell_published(struct hd_rabbit *r, struct hd_rabbit_job *job,
                              const struct hd_error *err)
{
    if (job->done != NULL) {
        struct hd_rabbit_news *n = hd_alloc(sizeof(*n));
        hd_list_init(&n->link);
        n->kind = HD_RABBIT_PUBLISHED;
        n->done = job->done;
        n->arg = job->arg;
        n->ok = err == NULL;
        if (err != NULL)
            n->err = *err;
        tell(r, n);
    }
    free(job);
}

void hd_rabbit_tell_state(struct hd_rabbit *r, bool connected, const struct hd_error *why)
{
    struct hd_rabbit_news *n = hd_alloc(sizeof(*n));
    hd_list_init(&n->link);
    n->kind = HD_RABBIT_STATE;
    n->ok = connected;
    if (why != NULL)
        n->err = r->last_error = *why;
    tell(r, n);
}

/* @param refusing  nobody is to wait for a connection. */
static void note_stats(struct hd_rabbit *r, bool refusing)
{
    pthread_mutex_lock(&r->lock);
    r->stats.connected = r->conn != NULL;
    r->stats.blocked = r->blocked;
    r->stats.inflight = r->inflight;
    r->stats.last_error = r->last_error;
    r->refusing = (r->conn == NULL && refusing) || r->blocked;
    pthread_mutex_unlock(&r->lock);
}

/* --- jobs --- */

static bool take_jobs(struct hd_rabbit *r, struct hd_list *all)
{
    struct hd_list *l;
    uint64_t count;
    while (read(r->wake_fd, &count, sizeof(count)) > 0)
        ;
    hd_list_init(all);
    pthread_mutex_lock(&r->lock);
    bool quit = r->quit;
    while ((l = hd_list_pop(&r->jobs)) != NULL)
        hd_list_push(all, l);
    pthread_mutex_unlock(&r->lock);
    return quit;
}

static void refuse(struct hd_rabbit *r, struct hd_rabbit_job *job)
{
    struct hd_error err;
    hd_rabbit_unreachable(r, &r->last_error, &err);
    hd_rabbit_tell_published(r, job, &err);
}

static int do_job(struct hd_rabbit *r, struct hd_rabbit_job *job, struct hd_error *err)
{
    int rc = 0;
    switch (job->kind) {
    case HD_RABBIT_PUBLISH:
        if (job->how == HD_LANE_REPLACE && hd_rabbit_is_void(r, job->tag))
            hd_rabbit_tell_published(r, job, NULL); /* its original comes again by itself */
        else if (r->blocked && job->how == HD_LANE_REPLACE)
            hd_list_push(&r->held, &job->link); /* its original stays unsettled so long */
        else if (r->blocked)
            refuse(r, job);
        else if (r->conn != NULL)
            rc = hd_rabbit_send(r, job, err); /* it is on `pending`, or told */
        else if (r->refusing || job->how == HD_LANE_REPLACE)
            refuse(r, job);
        else
            hd_list_push(&r->pending, &job->link); /* the connection just broke: for the next one */
        return rc;
    case HD_RABBIT_SETTLE:
        if (r->conn != NULL)
            rc = hd_rabbit_settle(r, job->tag, job->how, err);
        break;
    case HD_RABBIT_CONSUME:
        r->want_consume = true;
        r->prefetch = job->prefetch;
        if (r->conn != NULL)
            rc = hd_rabbit_begin_consume(r, err);
        break;
    case HD_RABBIT_COOLDOWN:
        r->want_consume = false;
        if (r->conn != NULL)
            rc = hd_rabbit_end_consume(r, err);
        break;
    }
    free(job);
    return rc;
}

/* --- connecting --- */

/* Their originals come again by themselves. */
static void drop_held(struct hd_rabbit *r)
{
    struct hd_list *l;
    while ((l = hd_list_pop(&r->held)) != NULL)
        hd_rabbit_tell_published(r, hd_container_of(l, struct hd_rabbit_job, link), NULL);
}

static void lose(struct hd_rabbit *r, const struct hd_error *why)
{
    drop_held(r);
    hd_rabbit_disconnect(r);
    r->consuming = false;
    r->inflight = 0;
    hd_rabbit_tell_state(r, false, why);
    note_stats(r, false);
}

static void give_up_pending(struct hd_rabbit *r, const struct hd_error *why)
{
    hd_list_each(l, &r->pending)
    {
        struct hd_rabbit_job *job = hd_container_of(l, struct hd_rabbit_job, link);
        struct hd_error err;
        if (r->conn != NULL && job->how == HD_LANE_REPLACE)
            continue; /* nobody waits for it but its original */
        hd_fail(&err, why->code == HD_EBUSY ? HD_EBUSY : HD_EIO,
                "not confirmed by the broker of the queue %s: %s", r->base.config->name, why->msg);
        hd_list_remove(&job->link);
        hd_rabbit_tell_published(r, job, &err);
    }
}

/* Nobody waits for a connection that cannot be made; what was sent may be there, and waits. */
static void refuse_unsent(struct hd_rabbit *r)
{
    hd_list_each(l, &r->pending)
    {
        struct hd_rabbit_job *job = hd_container_of(l, struct hd_rabbit_job, link);
        if (job->seq > 0)
            continue;
        hd_list_remove(&job->link);
        refuse(r, job);
    }
}

/* @return false: no, and it is dealt with. */
static bool once_more(struct hd_rabbit *r, struct hd_rabbit_job *job)
{
    struct hd_error twice;
    if (job->how == HD_LANE_REPLACE) {
        hd_rabbit_tell_published(r, job, NULL); /* its original comes again by itself */
        return false;
    }
    if (job->seq == 0)
        return true; /* never sent yet */
    if (job->retried) {
        hd_fail(&twice, HD_EIO, "not confirmed by the broker, twice");
        hd_rabbit_tell_published(r, job, &twice);
        return false;
    }
    job->retried = true;
    return true;
}

/* What the last connection did not confirm is sent once more: it may be there twice then. */
static int resend(struct hd_rabbit *r, struct hd_error *err)
{
    struct hd_list again, *l;
    int rc = 0;
    hd_list_init(&again);
    while ((l = hd_list_pop(&r->pending)) != NULL)
        hd_list_push(&again, l);
    while ((l = hd_list_pop(&again)) != NULL) {
        struct hd_rabbit_job *job = hd_container_of(l, struct hd_rabbit_job, link);
        if (rc < 0)
            hd_list_push(&r->pending, &job->link);
        else if (once_more(r, job))
            rc = hd_rabbit_send(r, job, err);
    }
    return rc;
}

static int come_up(struct hd_rabbit *r, struct hd_error *err)
{
    r->epoch++;
    r->next_seq = 1;
    int rc = hd_rabbit_connect(r, err);
    if (rc == 0)
        rc = resend(r, err);
    if (rc == 0 && r->want_consume)
        rc = hd_rabbit_begin_consume(r, err);
    if (rc < 0) {
        hd_rabbit_disconnect(r);
        return rc;
    }
    r->last_error = (struct hd_error){0};
    hd_rabbit_tell_state(r, true, NULL);
    note_stats(r, false);
    return 0;
}

/* --- the thread --- */

struct life {
    struct hd_rabbit *r;
    struct hd_rng rng;
    uint32_t attempts; /* in a row that failed */
    uint64_t next_try_ms, down_since_ms, quit_since_ms;
    bool gave_up;
};

static void try_connect(struct life *life)
{
    struct hd_rabbit *r = life->r;
    const struct hd_lane_queue *c = r->base.config;
    struct hd_error err = {0};
    uint64_t now = hd_clock_ms();
    if (life->gave_up || now < life->next_try_ms)
        return;
    if (come_up(r, &err) == 0) {
        life->attempts = 0;
        life->down_since_ms = 0;
        return;
    }
    if (life->down_since_ms == 0)
        life->down_since_ms = now;
    if (life->attempts == 0)
        hd_log(r->log, HD_WARN, "cannot connect to the broker, trying again",
               hd_kv_str("queue", c->name), hd_kv_str("error", err.msg));
    life->attempts++;
    r->last_error = err;
    note_stats(r, true);
    refuse_unsent(r);
    life->gave_up = !c->reconnect || (c->give_up && life->attempts >= c->reconnect_attempts);
    uint64_t delay = (uint64_t)c->reconnect_initial_ms << HD_MIN(life->attempts - 1, 16U);
    delay = HD_MIN(delay, (uint64_t)c->reconnect_max_ms);
    life->next_try_ms = hd_clock_ms() + delay / 2 + hd_rng_below(&life->rng, delay / 2 + 1);
    if (life->gave_up)
        hd_log(r->log, HD_ERROR, "gave up connecting to the broker", hd_kv_str("queue", c->name),
               hd_kv_str("error", err.msg));
}

static int wait_ms(const struct life *life)
{
    if (life->r->conn != NULL) {
        int beat_ms = amqp_get_heartbeat(life->r->conn) * 1000 / 2;
        int idle = !hd_list_empty(&life->r->pending) ? 500 : IDLE_MS;
        return life->quit_since_ms > 0 ? 20 : HD_MIN(idle, beat_ms);
    }
    if (life->gave_up)
        return IDLE_MS;
    uint64_t now = hd_clock_ms();
    return life->next_try_ms > now ? (int)(life->next_try_ms - now) : 0;
}

static void wait_for_something(const struct life *life)
{
    struct hd_rabbit *r = life->r;
    struct pollfd fds[] = {
        {.fd = r->wake_fd, .events = POLLIN},
        {.fd = r->conn != NULL ? amqp_get_sockfd(r->conn) : -1, .events = POLLIN}};
    bool more = r->conn != NULL && (amqp_frames_enqueued(r->conn) || amqp_data_in_buffer(r->conn));
    poll(fds, 2, more ? 0 : wait_ms(life));
}

static bool confirms_late(const struct hd_rabbit *r)
{
    if (r->conn == NULL || r->blocked || hd_list_empty(&r->pending))
        return false;
    const struct hd_rabbit_job *oldest =
        hd_container_of(r->pending.next, struct hd_rabbit_job, link);
    return hd_clock_ms() - HD_MAX(oldest->sent_ms, r->blocked_ms) > CONFIRM_MS;
}

static void work(struct life *life, struct hd_list *jobs)
{
    struct hd_rabbit *r = life->r;
    struct hd_error err = {0};
    struct hd_list *l;
    int rc = 0;
    while ((l = hd_list_pop(jobs)) != NULL) {
        rc = do_job(r, hd_container_of(l, struct hd_rabbit_job, link), &err);
        if (rc < 0) {
            lose(r, &err);
            life->down_since_ms = hd_clock_ms();
        }
    }
    if (r->conn != NULL && (hd_rabbit_flush(r, &err) < 0 || hd_rabbit_receive(r, &err) < 0 ||
                            hd_rabbit_flush(r, &err) < 0)) {
        lose(r, &err);
        life->down_since_ms = hd_clock_ms();
    }
    if (confirms_late(r)) {
        hd_fail(&err, HD_ETIMEOUT, "the broker does not confirm what it gets");
        lose(r, &err);
        life->down_since_ms = hd_clock_ms();
    }
    if (r->conn == NULL && life->down_since_ms > 0 &&
        hd_clock_ms() - life->down_since_ms > UNCONFIRMED_MS)
        give_up_pending(r, &r->last_error);
    if (r->blocked && hd_clock_ms() - r->blocked_ms > UNCONFIRMED_MS)
        give_up_pending(r, &r->last_error); /* they may be taken all the same, later */
    note_stats(r, life->attempts > 0);
}

static bool may_end(const struct life *life)
{
    const struct hd_rabbit *r = life->r;
    if (life->quit_since_ms == 0)
        return false;
    return r->conn == NULL || hd_list_empty(&r->pending) ||
           hd_clock_ms() - life->quit_since_ms > QUIT_MS;
}

void *hd_rabbit_thread(void *arg)
{
    struct hd_rabbit *r = arg;
    struct life life = {.r = r};
    struct hd_list jobs;
    struct hd_error ended;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL); /* signals are the loop's */
    hd_rng_init(&life.rng, 0);
    while (!may_end(&life)) {
        if (r->conn == NULL && life.quit_since_ms == 0)
            try_connect(&life);
        wait_for_something(&life);
        bool quit = take_jobs(r, &jobs);
        work(&life, &jobs);
        if (quit && life.quit_since_ms == 0)
            life.quit_since_ms = hd_clock_ms();
    }
    hd_fail(&ended, HD_ECANCELED, "the node is stopping");
    drop_held(r);
    hd_rabbit_disconnect(r);
    give_up_pending(r, &ended);
    pthread_mutex_lock(&r->lock);
    r->thread_ended = true;
    bool post = !r->posted; /* else the one that is under way sees it */
    r->posted = true;
    pthread_mutex_unlock(&r->lock);
    if (post)
        hd_loop_post(r->loop, hd_rabbit_on_news, r);
    return NULL;
}
