/* lambda/async/async_private.h - what the files of the asynchronous worker share. */
#pragma once

#include "core/clock.h"
#include "core/id.h"
#include "core/map.h"
#include "lambda/async/async.h"
#include "lambda/async/async_policy.h"
#include "lambda/async/async_record.h"
#include "lambda/async/destination.h"
#include "lambda/async/drain.h"

#include <pthread.h>
#include <stdatomic.h>

#define HD_ASYNC_QUEUE_PREFIX "lambda:"
#define HD_ASYNC_SEND_PREFIX "lambda-to:"

/** One loop's part: the functions that are at home there; or, the last one, the destinations. */
struct hd_async_worker {
    struct hd_async *async;
    struct hd_loop *loop;
    struct hd_caller *caller;
    bool sends; /* to destinations; it calls no functions */
    struct hd_drain *drain;
    struct hd_rng rng;
    struct hd_list runs; /* calls and sends under way */
    struct hd_list ends; /* being written */
    bool stopping, idle; /* nothing begins; nothing is under way any more */
    bool giving_up;
};

struct hd_async {
    struct hd_async_options opt;
    uint32_t *delays_ms;
    struct hd_async_worker *workers; /* n_loops, and the sender */
    unsigned n_workers;
    pthread_mutex_t lock; /* guards these */
    struct hd_map known;  /* queue names, each its own value */
    /* of loops[0] */
    unsigned busy; /* workers that are not idle */
    bool stopping;
    void (*on_stopped)(void *arg);
    void *stopped_arg;
    void (*on_closed)(void *arg);
    void *closed_arg;
    struct {
        _Atomic uint64_t accepted, refused, attempts, succeeded, function_errors, throttled,
            system_errors, exhausted, expired, switched_off, loops_stopped, sent, send_failures,
            send_lost;
    } counts;
};

/** An event that ended: its number goes, and its deliveries come, in one transaction. */
struct hd_async_close_out {
    struct hd_list link;
    struct hd_async_worker *worker;
    struct hd_drain_item *item; /* its own */
    struct hd_timer again;
    unsigned n;
    struct {
        char *queue; /* its own */
        struct hd_buf meta, body;
        uint64_t max_items;
        char id[HD_UUID_CHARS + 1]; /* "": the item's */
    } puts[2];
};

static inline int64_t hd_async_now_ms(const struct hd_async *a)
{
    return a->opt.clock != NULL ? a->opt.clock() : hd_clock_unix_ms();
}
/** @return in [0, 1). */
static inline double hd_async_random(struct hd_async_worker *w)
{
    return (double)(hd_rng_next(&w->rng) >> 11) / (double)(1ULL << 53);
}

/** See to it that somebody works off the queue. Any thread. */
void hd_async_know(struct hd_async *a, struct hd_str queue);
/** A worker's last work may be over. Its loop. */
void hd_async_maybe_idle(struct hd_async_worker *w);

/* --- async_run.c --- */
void hd_async_run_start(void *worker, struct hd_drain_item *item);
uint32_t hd_async_run_room(void *worker, struct hd_str queue);
void hd_async_run_give_up(struct hd_async_worker *w);

/** Find what to call now: a function of the folder first. @param fn  of the newest view; may be
 *  NULL. @return with a reference; or NULL and *err. */
struct hd_target *hd_async_find(struct hd_async_worker *w, const struct hd_lambda_fn *fn,
                                struct hd_str arn, struct hd_str qualifier, struct hd_error *err);

/* --- async_send.c --- */
void hd_async_send_start(void *worker, struct hd_drain_item *item);
void hd_async_send_give_up(struct hd_async_worker *w);

/* --- async_end.c --- */
/** Begin; takes the item, whose place is free at once. */
struct hd_async_close_out *hd_async_close_out_new(struct hd_async_worker *w,
                                                  struct hd_drain_item *item);
/** Write it, again and again until it is on the disk or given up; then it is freed. */
void hd_async_close_out(struct hd_async_close_out *c);
void hd_async_close_out_give_up(struct hd_async_worker *w);
