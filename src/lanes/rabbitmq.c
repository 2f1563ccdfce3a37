/* rabbitmq.c - the loop's side: jobs go to the broker thread, news come back. */
#include "lanes/rabbitmq_private.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct hd_rabbit *of(struct hd_lane_source *q)
{
    return hd_container_of(q, struct hd_rabbit, base);
}

static void push(struct hd_rabbit *r, struct hd_rabbit_job *job)
{
    uint64_t one = 1;
    pthread_mutex_lock(&r->lock);
    bool first = hd_list_empty(&r->jobs);
    hd_list_push(&r->jobs, &job->link);
    pthread_mutex_unlock(&r->lock);
    /* A full counter is a wake-up as well. */
    if (first && write(r->wake_fd, &one, sizeof(one)) < 0)
        return;
}

static struct hd_rabbit_job *job_new(enum hd_rabbit_job_kind kind, struct hd_str id,
                                     struct hd_str body)
{
    struct hd_rabbit_job *job = hd_alloc(sizeof(*job) + id.len + body.len);
    char *texts = (char *)(job + 1);
    hd_list_init(&job->link);
    job->kind = kind;
    if (id.len > 0)
        memcpy(texts, id.ptr, id.len);
    if (body.len > 0)
        memcpy(texts + id.len, body.ptr, body.len);
    job->id = hd_str_n(texts, id.len);
    job->body = hd_str_n(texts + id.len, body.len);
    return job;
}

static void publish(struct hd_lane_source *q, struct hd_str id, struct hd_str body,
                    void (*done)(void *arg, const struct hd_error *err), void *arg)
{
    struct hd_rabbit *r = of(q);
    struct hd_rabbit_job *job = job_new(HD_RABBIT_PUBLISH, id, body);
    job->done = done;
    job->arg = arg;
    pthread_mutex_lock(&r->lock);
    bool refusing = r->refusing;
    struct hd_error why, err;
    if (refusing)
        why = r->stats.last_error;
    pthread_mutex_unlock(&r->lock);
    if (!refusing) {
        push(r, job);
        return;
    }
    hd_rabbit_unreachable(r, &why, &err); /* the thread may be connecting: not to be waited for */
    hd_rabbit_tell_published(r, job, &err);
}

void hd_rabbit_unreachable(const struct hd_rabbit *r, const struct hd_error *why,
                           struct hd_error *out)
{
    bool known = why->code != 0, busy = why->code == HD_EBUSY;
    hd_fail(out, HD_EBUSY, "the broker of the queue %s%s%s%s", r->base.config->name,
            busy ? "" : " cannot be reached", known ? ": " : "", known ? why->msg : "");
}

static void consume(struct hd_lane_source *q, uint32_t prefetch)
{
    struct hd_rabbit_job *job = job_new(HD_RABBIT_CONSUME, hd_str(""), hd_str(""));
    job->prefetch = prefetch;
    push(of(q), job);
}

static void cooldown(struct hd_lane_source *q)
{
    push(of(q), job_new(HD_RABBIT_COOLDOWN, hd_str(""), hd_str("")));
}

static void settle(struct hd_lane_source *q, uint64_t tag, enum hd_lane_settle how,
                   struct hd_str body)
{
    bool replace = how == HD_LANE_REPLACE;
    struct hd_rabbit_job *job = job_new(replace ? HD_RABBIT_PUBLISH : HD_RABBIT_SETTLE, hd_str(""),
                                        replace ? body : hd_str(""));
    job->tag = tag;
    job->how = how;
    push(of(q), job);
}

static void stats(struct hd_lane_source *q, struct hd_lane_queue_stats *out)
{
    struct hd_rabbit *r = of(q);
    pthread_mutex_lock(&r->lock);
    *out = r->stats;
    pthread_mutex_unlock(&r->lock);
    out->depth = out->dead = UINT64_MAX;
}

/* --- news --- */

static void take(struct hd_rabbit *r, struct hd_rabbit_news *n)
{
    switch (n->kind) {
    case HD_RABBIT_DELIVERY:
        r->events->on_delivery(r->arg, &r->base, &n->delivery);
        break;
    case HD_RABBIT_PUBLISHED:
        n->done(n->arg, n->ok ? NULL : &n->err);
        break;
    case HD_RABBIT_STATE:
        r->events->on_state(r->arg, &r->base, n->ok, n->ok ? NULL : &n->err);
        break;
    }
    free(n);
}

static void end(struct hd_rabbit *r)
{
    pthread_join(r->thread, NULL);
    void (*closed)(void *) = r->closed;
    void *arg = r->closed_arg;
    close(r->wake_fd);
    pthread_mutex_destroy(&r->lock);
    free(r);
    closed(arg);
}

void hd_rabbit_on_news(void *arg)
{
    struct hd_rabbit *r = arg;
    struct hd_list all, *l;
    hd_list_init(&all);
    pthread_mutex_lock(&r->lock);
    r->posted = false;
    bool ended = r->thread_ended;
    while ((l = hd_list_pop(&r->news)) != NULL)
        hd_list_push(&all, l);
    pthread_mutex_unlock(&r->lock);
    while ((l = hd_list_pop(&all)) != NULL) {
        struct hd_rabbit_news *n = hd_container_of(l, struct hd_rabbit_news, link);
        if (r->closing && n->kind != HD_RABBIT_PUBLISHED)
            free(n); /* nobody is there to take it; the broker has it still */
        else
            take(r, n);
    }
    if (ended && r->closing)
        end(r);
}

static void close_queue(struct hd_lane_source *q, void (*done)(void *arg), void *arg)
{
    struct hd_rabbit *r = of(q);
    uint64_t one = 1;
    r->closing = true;
    r->closed = done;
    r->closed_arg = arg;
    pthread_mutex_lock(&r->lock);
    r->quit = true;
    pthread_mutex_unlock(&r->lock);
    while (write(r->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

static const struct hd_lane_queue_ops ops = {.name = "rabbitmq",
                                             .publish = publish,
                                             .consume = consume,
                                             .cooldown = cooldown,
                                             .settle = settle,
                                             .stats = stats,
                                             .close = close_queue};

int hd_lane_rabbitmq_open(struct hd_lane_source **out, const struct hd_lane_queue_options *opt,
                          struct hd_error *err)
{
    struct hd_rabbit *r = hd_new(struct hd_rabbit);
    r->base = (struct hd_lane_source){.ops = &ops, .config = opt->config};
    r->loop = opt->loop;
    r->log = opt->log;
    r->events = opt->events;
    r->arg = opt->arg;
    hd_list_init(&r->jobs);
    hd_list_init(&r->news);
    hd_list_init(&r->pending);
    hd_list_init(&r->held);
    pthread_mutex_init(&r->lock, NULL);
    r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int sys = r->wake_fd < 0 ? errno : pthread_create(&r->thread, NULL, hd_rabbit_thread, r);
    if (sys != 0) {
        if (r->wake_fd >= 0)
            close(r->wake_fd);
        pthread_mutex_destroy(&r->lock);
        free(r);
        return hd_fail_sys(err, sys, "cannot start a broker thread");
    }
    *out = &r->base;
    return 0;
}
