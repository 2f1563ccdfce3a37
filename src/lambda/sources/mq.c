/*  thread: DOWN ──connected──► UP ──broken──► DOWN ... ──quit──► settled, disconnected ──► ended
 *                ◄─back-off─┘                                                                  */
#include "lambda/sources/mq.h"

#include "broker/amqp.h"
#include "core/clock.h"
#include "core/id.h"
#include "lambda/sources/mq_record.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

enum { IDLE_MS = 5000, RETRY_MS = 500, RETRY_MAX_MS = 10000, TAG_BITS = 48 };

/* Something to do for the thread. */
struct job {
    struct hd_list link;
    enum { ACK, GIVE_BACK, PREFETCH } kind;
    uint64_t tag;
    uint16_t prefetch;
};

struct hd_mq {
    char *url, *user, *password, *vhost, *queue;
    struct hd_mq_options opt;
    pthread_t thread;
    int wake_fd;

    pthread_mutex_t lock;
    struct hd_list jobs, deliveries;
    bool posted, quit, ended, state_changed, connected;
    struct hd_error why;

    /* the loop's */
    void (*closed)(void *arg);
    void *closed_arg;

    /* the thread's */
    amqp_connection_state_t conn; /* NULL: down */
    uint64_t epoch;               /* of the connection, in the tags of its deliveries */
    unsigned failures;
    uint64_t next_try_ms;
    struct hd_rng rng;
};

void hd_mq_delivery_free(struct hd_mq_delivery *d)
{
    if (d == NULL)
        return;
    free(d->id);
    free(d->json);
    free(d);
}

/* --- the loop's side --- */

static void free_list(struct hd_list *deliveries)
{
    struct hd_list *item;
    while ((item = hd_list_pop(deliveries)) != NULL)
        hd_mq_delivery_free(hd_container_of(item, struct hd_mq_delivery, link));
}

static void end(struct hd_mq *mq)
{
    void (*closed)(void *) = mq->closed;
    void *arg = mq->closed_arg;
    struct hd_list *item;
    pthread_join(mq->thread, NULL);
    while ((item = hd_list_pop(&mq->jobs)) != NULL)
        free(hd_container_of(item, struct job, link));
    free_list(&mq->deliveries);
    pthread_mutex_destroy(&mq->lock);
    close(mq->wake_fd);
    if (mq->password != NULL)
        explicit_bzero(mq->password, strlen(mq->password));
    explicit_bzero(mq->url, strlen(mq->url));
    free(mq->url);
    free(mq->user);
    free(mq->password);
    free(mq->vhost);
    free(mq->queue);
    free(mq);
    closed(arg);
}

static void on_news(void *arg)
{
    struct hd_mq *mq = arg;
    struct hd_list deliveries, *item;
    hd_list_init(&deliveries);
    pthread_mutex_lock(&mq->lock);
    while ((item = hd_list_pop(&mq->deliveries)) != NULL)
        hd_list_push(&deliveries, item);
    bool changed = mq->state_changed, connected = mq->connected, ended = mq->ended;
    struct hd_error why = mq->why;
    mq->state_changed = false;
    mq->posted = false;
    pthread_mutex_unlock(&mq->lock);
    if (ended) {
        free_list(&deliveries);
        end(mq);
        return;
    }
    if (mq->closed != NULL) {
        free_list(&deliveries);
        return;
    }
    if (changed && !connected)
        mq->opt.on_state(mq->opt.arg, false, &why);
    else if (changed)
        mq->opt.on_state(mq->opt.arg, true, NULL);
    if (!hd_list_empty(&deliveries))
        mq->opt.on_deliveries(mq->opt.arg, &deliveries);
}

static void wake(struct hd_mq *mq)
{
    uint64_t one = 1;
    while (write(mq->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

static void add_job(struct hd_mq *mq, const struct job *job)
{
    struct job *j = hd_new(struct job);
    *j = *job;
    hd_list_init(&j->link);
    pthread_mutex_lock(&mq->lock);
    bool first = hd_list_empty(&mq->jobs);
    hd_list_push(&mq->jobs, &j->link);
    pthread_mutex_unlock(&mq->lock);
    if (first)
        wake(mq);
}

void hd_mq_settle(struct hd_mq *mq, uint64_t tag, bool ack)
{
    add_job(mq, &(struct job){.kind = ack ? ACK : GIVE_BACK, .tag = tag});
}

void hd_mq_set_prefetch(struct hd_mq *mq, uint16_t prefetch)
{
    add_job(mq, &(struct job){.kind = PREFETCH, .prefetch = prefetch});
}

void hd_mq_close(struct hd_mq *mq, void (*done)(void *arg), void *arg)
{
    mq->closed = done;
    mq->closed_arg = arg;
    pthread_mutex_lock(&mq->lock);
    mq->quit = true;
    pthread_mutex_unlock(&mq->lock);
    wake(mq);
}

/* --- the thread's side: telling --- */

/* Under the lock. @return whether the loop has to be told. */
static bool must_post(struct hd_mq *mq)
{
    bool post = !mq->posted;
    mq->posted = true;
    return post;
}

static void tell_state(struct hd_mq *mq, const struct hd_error *why)
{
    pthread_mutex_lock(&mq->lock);
    mq->state_changed = true;
    mq->connected = why == NULL;
    if (why != NULL) { /* what is on its way to the loop is the broker's again */
        mq->why = *why;
        free_list(&mq->deliveries);
    }
    bool post = must_post(mq);
    pthread_mutex_unlock(&mq->lock);
    if (post)
        hd_loop_post(mq->opt.loop, on_news, mq);
}

static void tell_delivery(struct hd_mq *mq, struct hd_mq_delivery *d)
{
    pthread_mutex_lock(&mq->lock);
    hd_list_push(&mq->deliveries, &d->link);
    bool post = must_post(mq);
    pthread_mutex_unlock(&mq->lock);
    if (post)
        hd_loop_post(mq->opt.loop, on_news, mq);
}

/* --- what goes over the connection --- */

static int look_for_queue(amqp_connection_state_t conn, const char *queue, struct hd_error *err)
{
    char what[300];
    snprintf(what, sizeof(what), "looking for the queue %.200s", queue);
    amqp_queue_declare(conn, HD_AMQP_CHANNEL, amqp_cstring_bytes(queue), 1, 0, 0, 0,
                       amqp_empty_table);
    return hd_amqp_check(amqp_get_rpc_reply(conn), what, err);
}

static int consume(struct hd_mq *mq, struct hd_error *err)
{
    amqp_basic_qos(mq->conn, HD_AMQP_CHANNEL, 0, mq->opt.prefetch, 0);
    int rc = hd_amqp_check(amqp_get_rpc_reply(mq->conn), "setting the prefetch", err);
    if (rc < 0)
        return rc;
    amqp_basic_consume(mq->conn, HD_AMQP_CHANNEL, amqp_cstring_bytes(mq->queue),
                       amqp_cstring_bytes("heddle"), 0, 0, 0, amqp_empty_table);
    return hd_amqp_check(amqp_get_rpc_reply(mq->conn), "consuming", err);
}

static struct hd_amqp_address address_of(const struct hd_mq_options *o)
{
    return (struct hd_amqp_address){o->url, o->user, o->password, o->vhost};
}

static void lose(struct hd_mq *mq, const struct hd_error *why)
{
    bool was_up = mq->conn != NULL;
    hd_amqp_close(mq->conn);
    mq->conn = NULL;
    if (was_up || mq->failures == 0) {
        hd_log(mq->opt.log, HD_WARN, "no connection to the broker, trying again",
               hd_kv_str("queue", mq->queue), hd_kv_str("error", why->msg));
        tell_state(mq, why);
    }
    uint64_t wait = (uint64_t)RETRY_MS << HD_MIN(mq->failures, 8u);
    wait = HD_MIN(wait, (uint64_t)RETRY_MAX_MS);
    mq->next_try_ms = hd_clock_ms() + wait / 2 + hd_rng_below(&mq->rng, wait / 2 + 1);
    mq->failures++;
}

static void try_connect(struct hd_mq *mq)
{
    struct hd_error err = {.code = 0};
    if (hd_clock_ms() < mq->next_try_ms)
        return;
    const struct hd_amqp_address to = address_of(&mq->opt);
    int rc = hd_amqp_open(&mq->conn, &to, &err);
    if (rc < 0)
        mq->conn = NULL;
    mq->epoch++;
    if (rc == 0)
        rc = look_for_queue(mq->conn, mq->queue, &err);
    if (rc == 0)
        rc = consume(mq, &err);
    if (rc < 0) {
        hd_amqp_close(mq->conn);
        mq->conn = NULL;
        lose(mq, &err);
        return;
    }
    mq->failures = 0;
    tell_state(mq, NULL);
}

static void deliver(struct hd_mq *mq, const amqp_envelope_t *e)
{
    const amqp_basic_properties_t *p = &e->message.properties;
    struct hd_str body = hd_amqp_str(e->message.body);
    struct hd_mq_delivery *d = hd_new(struct hd_mq_delivery);
    json_t *record = hd_mq_record(p, body, e->redelivered != 0);
    hd_list_init(&d->link);
    d->tag = mq->epoch << TAG_BITS | e->delivery_tag;
    d->redelivered = e->redelivered != 0;
    d->json = json_dumps(record, JSON_COMPACT);
    d->id = (p->_flags & AMQP_BASIC_MESSAGE_ID_FLAG) != 0 && p->message_id.len > 0
                ? hd_strdup_n(hd_amqp_str(p->message_id))
                : hd_printf("%llu", (unsigned long long)d->tag);
    json_decref(record);
    tell_delivery(mq, d);
}

static int on_frame(struct hd_mq *mq, struct hd_error *err)
{
    struct timeval now = {0};
    amqp_frame_t frame;
    int status = amqp_simple_wait_frame_noblock(mq->conn, &frame, &now);
    if (status == AMQP_STATUS_TIMEOUT)
        return 1;
    if (status != AMQP_STATUS_OK)
        return hd_amqp_check_status(status, "receiving", err);
    if (frame.frame_type != AMQP_FRAME_METHOD)
        return 0;
    if (frame.payload.method.id == AMQP_BASIC_CANCEL_METHOD)
        return hd_fail(err, HD_EIO, "the broker took the queue %.100s away", mq->queue);
    return hd_amqp_unexpected(&frame.payload.method, "receiving", err);
}

/* Everything that has arrived, and heartbeats. */
static int receive(struct hd_mq *mq, struct hd_error *err)
{
    struct timeval now = {0};
    for (;;) {
        amqp_envelope_t e;
        amqp_maybe_release_buffers(mq->conn);
        amqp_rpc_reply_t reply = amqp_consume_message(mq->conn, &e, &now, 0);
        if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
            deliver(mq, &e);
            amqp_destroy_envelope(&e);
            continue;
        }
        bool other = reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION &&
                     reply.library_error == AMQP_STATUS_UNEXPECTED_STATE;
        if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION &&
            reply.library_error == AMQP_STATUS_TIMEOUT)
            return 0;
        int rc = other ? on_frame(mq, err) : hd_amqp_check(reply, "receiving", err);
        if (rc != 0)
            return rc > 0 ? 0 : rc;
    }
}

static int settle(struct hd_mq *mq, const struct job *j, struct hd_error *err)
{
    uint64_t own = j->tag & ((UINT64_C(1) << TAG_BITS) - 1);
    if (j->tag >> TAG_BITS != mq->epoch)
        return 0; /* of an earlier connection: the broker has it again */
    int status = j->kind == ACK ? amqp_basic_ack(mq->conn, HD_AMQP_CHANNEL, own, 0)
                                : amqp_basic_nack(mq->conn, HD_AMQP_CHANNEL, own, 0, 1);
    return hd_amqp_check_status(status, "settling", err);
}

/* A prefetch is for consumers that come after it. */
static int consume_again(struct hd_mq *mq, struct hd_error *err)
{
    amqp_basic_cancel(mq->conn, HD_AMQP_CHANNEL, amqp_cstring_bytes("heddle"));
    int rc = hd_amqp_check(amqp_get_rpc_reply(mq->conn), "changing the prefetch", err);
    return rc == 0 ? consume(mq, err) : rc;
}

static int do_job(struct hd_mq *mq, const struct job *j, struct hd_error *err)
{
    if (j->kind != PREFETCH)
        return mq->conn != NULL ? settle(mq, j, err) : 0;
    mq->opt.prefetch = j->prefetch;
    return mq->conn != NULL ? consume_again(mq, err) : 0;
}

/* --- the thread --- */

static void wait_for_something(const struct hd_mq *mq)
{
    uint64_t now = hd_clock_ms();
    int ms = IDLE_MS;
    struct pollfd fds[] = {
        {.fd = mq->wake_fd, .events = POLLIN},
        {.fd = mq->conn != NULL ? amqp_get_sockfd(mq->conn) : -1, .events = POLLIN}};
    if (mq->conn == NULL)
        ms = mq->next_try_ms > now ? (int)(mq->next_try_ms - now) : 0;
    else if (amqp_frames_enqueued(mq->conn) || amqp_data_in_buffer(mq->conn))
        ms = 0;
    poll(fds, HD_COUNT(fds), ms);
}

/* @return whether to end. */
static bool do_jobs(struct hd_mq *mq)
{
    struct hd_list jobs, *item;
    struct hd_error err = {.code = 0};
    uint64_t count;
    while (read(mq->wake_fd, &count, sizeof(count)) > 0)
        ;
    hd_list_init(&jobs);
    pthread_mutex_lock(&mq->lock);
    bool quit = mq->quit;
    while ((item = hd_list_pop(&mq->jobs)) != NULL)
        hd_list_push(&jobs, item);
    pthread_mutex_unlock(&mq->lock);
    while ((item = hd_list_pop(&jobs)) != NULL) {
        struct job *j = hd_container_of(item, struct job, link);
        if (do_job(mq, j, &err) < 0)
            lose(mq, &err);
        free(j);
    }
    return quit;
}

static void *thread_main(void *arg)
{
    struct hd_mq *mq = arg;
    struct hd_error err = {.code = 0};
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL); /* signals are the loop's */
    hd_rng_init(&mq->rng, 0);
    while (!do_jobs(mq)) {
        if (mq->conn == NULL)
            try_connect(mq);
        else if (receive(mq, &err) < 0)
            lose(mq, &err);
        wait_for_something(mq);
    }
    hd_amqp_close(mq->conn);
    pthread_mutex_lock(&mq->lock);
    mq->ended = true;
    bool post = must_post(mq);
    pthread_mutex_unlock(&mq->lock);
    if (post) /* else one is on its way, and sees it */
        hd_loop_post(mq->opt.loop, on_news, mq);
    return NULL;
}

int hd_mq_open(struct hd_mq **out, const struct hd_mq_options *opt, struct hd_error *err)
{
    struct hd_mq *mq = hd_new(struct hd_mq);
    mq->opt = *opt;
    mq->opt.url = mq->url = hd_strdup(opt->url);
    mq->opt.user = mq->user = hd_strdup(opt->user);
    mq->opt.password = mq->password = hd_strdup(opt->password);
    mq->opt.vhost = mq->vhost = hd_strdup(opt->vhost);
    mq->opt.queue = mq->queue = hd_strdup(opt->queue);
    hd_list_init(&mq->jobs);
    hd_list_init(&mq->deliveries);
    pthread_mutex_init(&mq->lock, NULL);
    mq->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = mq->wake_fd >= 0 ? pthread_create(&mq->thread, NULL, thread_main, mq) : errno;
    if (rc == 0) {
        *out = mq;
        return 0;
    }
    if (mq->wake_fd >= 0)
        close(mq->wake_fd);
    pthread_mutex_destroy(&mq->lock);
    free(mq->url);
    free(mq->user);
    free(mq->password);
    free(mq->vhost);
    free(mq->queue);
    free(mq);
    return hd_fail_sys(err, rc, "a thread for the queue %s", opt->queue);
}

int hd_mq_look(const struct hd_mq_options *opt, struct hd_error *err)
{
    amqp_connection_state_t conn = NULL;
    const struct hd_amqp_address to = address_of(opt);
    int rc = hd_amqp_open(&conn, &to, err);
    if (rc < 0)
        return rc;
    rc = look_for_queue(conn, opt->queue, err);
    hd_amqp_close(conn);
    return rc;
}
