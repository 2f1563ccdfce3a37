#include "lambda/async/async_private.h"

#include <stdio.h>

enum {
    WORKERS = 8,
    MAX_RUNNING = 256,
    MAX_EVENTS = 100000,
    SENDS_EACH = 4, /* deliveries to one destination at once */
    SENDS_ALL = 64,
};

static const struct hd_str events_prefix = HD_LIT(HD_ASYNC_QUEUE_PREFIX);
static const struct hd_str sends_prefix = HD_LIT(HD_ASYNC_SEND_PREFIX);

/* --- queues --- */

void hd_async_queue_name(char out[HD_ASYNC_QUEUE_CHARS], struct hd_str account,
                         struct hd_str region, struct hd_str name)
{
    snprintf(out, HD_ASYNC_QUEUE_CHARS, HD_ASYNC_QUEUE_PREFIX "%.*s/%.*s/%.*s", HD_FMT(account),
             HD_FMT(region), HD_FMT(name));
}

/* The last worker sends; a function is always at home on the same loop of the others. */
static struct hd_async_worker *home_of(struct hd_async *a, struct hd_str queue)
{
    if (hd_str_starts(queue, sends_prefix))
        return &a->workers[a->opt.n_loops];
    return &a->workers[hd_hash(queue.ptr, queue.len, 0) % a->opt.n_loops];
}

struct added {
    struct hd_async_worker *worker;
    struct hd_str queue; /* the table's */
};

static void on_added(void *arg)
{
    struct added *add = arg;
    hd_drain_add(add->worker->drain, add->queue);
    free(add);
}

void hd_async_know(struct hd_async *a, struct hd_str queue)
{
    struct hd_str name = {NULL, 0};
    pthread_mutex_lock(&a->lock);
    if (hd_map_get(&a->known, queue) == NULL) {
        name = hd_str_n(hd_strdup_n(queue), queue.len);
        hd_map_put(&a->known, name, (void *)name.ptr);
    }
    pthread_mutex_unlock(&a->lock);
    if (name.ptr == NULL)
        return;
    struct added *add = hd_new(struct added);
    add->worker = home_of(a, name);
    add->queue = name;
    hd_loop_post(add->worker->loop, on_added, add);
}

/* The store's lock is held: names are taken along, and looked at later. */
static void on_name(void *arg, struct hd_str queue)
{
    if (!hd_str_starts(queue, events_prefix) && !hd_str_starts(queue, sends_prefix))
        return;
    hd_buf_str(arg, queue);
    hd_buf_char(arg, '\n');
}

void hd_async_start(struct hd_async *a)
{
    struct hd_buf names;
    hd_buf_init(&names, SIZE_MAX / 2);
    hd_queue_names(a->opt.store, on_name, &names);
    struct hd_str name, rest = hd_buf_view(&names);
    while (hd_str_split(&name, &rest, '\n')) {
        if (name.len > 0)
            hd_async_know(a, name);
    }
    hd_buf_done(&names);
}

/* --- accepting --- */

struct accepting {
    struct hd_async *async;
    void (*done)(void *arg, const struct hd_error *err);
    void *arg;
};

static void on_accepted(void *arg, const struct hd_error *err)
{
    struct accepting *acc = arg;
    atomic_fetch_add(err == NULL ? &acc->async->counts.accepted : &acc->async->counts.refused, 1);
    acc->done(acc->arg, err);
    free(acc);
}

void hd_async_enqueue(struct hd_async *a, const struct hd_async_event *event, struct hd_loop *loop,
                      void (*done)(void *arg, const struct hd_error *err), void *arg)
{
    char queue[HD_ASYNC_QUEUE_CHARS];
    struct hd_buf meta;
    hd_async_queue_name(queue, event->account, event->region, event->name);
    hd_buf_init(&meta, HD_ASYNC_EVENT_BYTES);
    int64_t now = hd_async_now_ms(a);
    hd_async_meta_write(&meta, event, now);
    struct hd_queue_put item = {
        .queue = hd_str(queue),
        .id = hd_str(event->request_id),
        .meta = hd_buf_view(&meta),
        .body = event->payload,
        .first_unix_ms = now,
        .due_unix_ms = now,
        .max_items = a->opt.max_events,
    };
    struct accepting *acc = hd_new(struct accepting);
    *acc = (struct accepting){a, done, arg};
    hd_async_know(a, item.queue);
    hd_queue_put_one(a->opt.store, &item, loop, on_accepted, acc);
    hd_buf_done(&meta);
}

void hd_async_stats(struct hd_async *a, struct hd_async_stats *out)
{
    *out = (struct hd_async_stats){
        .accepted = atomic_load(&a->counts.accepted),
        .refused = atomic_load(&a->counts.refused),
        .attempts = atomic_load(&a->counts.attempts),
        .succeeded = atomic_load(&a->counts.succeeded),
        .function_errors = atomic_load(&a->counts.function_errors),
        .throttled = atomic_load(&a->counts.throttled),
        .system_errors = atomic_load(&a->counts.system_errors),
        .exhausted = atomic_load(&a->counts.exhausted),
        .expired = atomic_load(&a->counts.expired),
        .switched_off = atomic_load(&a->counts.switched_off),
        .loops_stopped = atomic_load(&a->counts.loops_stopped),
        .sent = atomic_load(&a->counts.sent),
        .send_failures = atomic_load(&a->counts.send_failures),
        .send_lost = atomic_load(&a->counts.send_lost),
    };
    size_t at = 0;
    struct hd_str queue;
    pthread_mutex_lock(&a->lock);
    while (hd_map_next(&a->known, &at, &queue, NULL)) {
        struct hd_queue_depth depth;
        if (!hd_str_starts(queue, events_prefix))
            continue;
        hd_queue_depth(a->opt.store, queue, &depth);
        out->queued += depth.queued;
        out->running += depth.running;
        bool older = out->oldest_unix_ms == 0 || depth.oldest_unix_ms < out->oldest_unix_ms;
        if (depth.oldest_unix_ms != 0 && older)
            out->oldest_unix_ms = depth.oldest_unix_ms;
    }
    pthread_mutex_unlock(&a->lock);
}

/* --- life --- */

static void worker_init(struct hd_async *a, struct hd_async_worker *w, unsigned index)
{
    bool sends = index == a->opt.n_loops;
    w->async = a;
    w->sends = sends;
    w->loop = a->opt.loops[sends ? 0 : index];
    w->caller = sends ? NULL : a->opt.callers[index];
    hd_rng_init(&w->rng, 0);
    hd_list_init(&w->runs);
    hd_list_init(&w->ends);
    struct hd_drain_options opt = {
        .store = a->opt.store,
        .loop = w->loop,
        .max_each = sends ? SENDS_EACH : a->opt.workers,
        .max_all = sends ? SENDS_ALL : a->opt.max_running,
        .clock = a->opt.clock,
        .start = sends ? hd_async_send_start : hd_async_run_start,
        .room = sends ? NULL : hd_async_run_room,
        .arg = w,
    };
    w->drain = hd_drain_new(&opt);
}

struct hd_async *hd_async_new(const struct hd_async_options *opt)
{
    struct hd_async *a = hd_new(struct hd_async);
    a->opt = *opt;
    a->opt.workers = opt->workers > 0 ? opt->workers : WORKERS;
    a->opt.max_running = opt->max_running > 0 ? opt->max_running : MAX_RUNNING;
    a->opt.max_events = opt->max_events > 0 ? opt->max_events : MAX_EVENTS;
    if (opt->n_delays > 0) {
        a->delays_ms = hd_new_array(uint32_t, opt->n_delays);
        memcpy(a->delays_ms, opt->delays_ms, opt->n_delays * sizeof(*a->delays_ms));
        a->opt.delays_ms = a->delays_ms;
    }
    pthread_mutex_init(&a->lock, NULL);
    hd_map_init(&a->known, 0);
    a->n_workers = opt->n_loops + 1;
    a->workers = hd_new_array(struct hd_async_worker, a->n_workers);
    for (unsigned i = 0; i < a->n_workers; i++)
        worker_init(a, &a->workers[i], i);
    return a;
}

static void told(struct hd_async *a)
{
    void (*stopped)(void *) = a->on_stopped, (*closed)(void *) = a->on_closed;
    if (a->busy > 0)
        return;
    a->on_stopped = a->on_closed = NULL;
    if (stopped != NULL)
        stopped(a->stopped_arg);
    if (closed != NULL)
        closed(a->closed_arg);
}

static void on_worker_idle(void *arg)
{
    struct hd_async *a = arg;
    a->busy--;
    told(a);
}

void hd_async_maybe_idle(struct hd_async_worker *w)
{
    if (!w->idle || !hd_list_empty(&w->runs) || !hd_list_empty(&w->ends))
        return;
    w->idle = false; /* said once */
    hd_loop_post(w->async->opt.loops[0], on_worker_idle, w->async);
}

static void on_drained(void *arg)
{
    struct hd_async_worker *w = arg;
    w->idle = true;
    hd_async_maybe_idle(w);
}

static void stop_worker(void *arg)
{
    struct hd_async_worker *w = arg;
    if (w->stopping)
        return;
    w->stopping = true;
    hd_drain_close(w->drain, on_drained, w);
}

static void give_up_worker(void *arg)
{
    struct hd_async_worker *w = arg;
    w->giving_up = true;
    if (w->sends)
        hd_async_send_give_up(w);
    else
        hd_async_run_give_up(w);
    hd_async_close_out_give_up(w);
    hd_async_maybe_idle(w);
}

static void stop_all(struct hd_async *a)
{
    if (a->stopping)
        return;
    a->stopping = true;
    a->busy = a->n_workers;
    for (unsigned i = 0; i < a->n_workers; i++)
        hd_loop_post(a->workers[i].loop, stop_worker, &a->workers[i]);
}

static void on_told(void *arg)
{
    told(arg);
}

void hd_async_stop(struct hd_async *a, void (*done)(void *arg), void *arg)
{
    a->on_stopped = done;
    a->stopped_arg = arg;
    stop_all(a);
    if (a->busy == 0)
        hd_loop_post(a->opt.loops[0], on_told, a);
}

void hd_async_close(struct hd_async *a, void (*done)(void *arg), void *arg)
{
    a->on_closed = done;
    a->closed_arg = arg;
    stop_all(a);
    if (a->busy == 0) {
        hd_loop_post(a->opt.loops[0], on_told, a);
        return;
    }
    for (unsigned i = 0; i < a->n_workers; i++)
        hd_loop_post(a->workers[i].loop, give_up_worker, &a->workers[i]);
}

void hd_async_free(struct hd_async *a)
{
    size_t at = 0;
    void *value;
    if (a == NULL)
        return;
    for (unsigned i = 0; i < a->n_workers; i++)
        hd_drain_free(a->workers[i].drain);
    while (hd_map_next(&a->known, &at, NULL, &value))
        free(value);
    hd_map_done(&a->known);
    pthread_mutex_destroy(&a->lock);
    free(a->delays_ms);
    free(a->workers);
    free(a);
}
