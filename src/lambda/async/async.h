/* lambda/async/async.h - asynchronous invocation: what was accepted is run, retried, and ends
 * somewhere.
 *
 *   accepted (on disk) ──► due ──► called ──ok──► Success ─────────────► its destination
 *                           ▲        ├── the function failed ─► again after a delay, or
 *                           │        │                          RetriesExhausted ─► destination,
 *                           │        │                                             dead letters
 *                           └────────┴── throttled, or it could not run: back-off, no attempt
 *                                        (too old: EventAgeExceeded; reservation 0: at once)
 *
 * Each function has a queue of its own (store/queue.h); the functions that have work take turns. A
 * process that is killed forgets nothing that it accepted. */
#pragma once

#include "invoke/call.h"
#include "lambda/deploy/view.h"
#include "store/queue.h"

struct hd_async;
struct hd_destinations; /* lambda/async/destination.h */

enum {
    HD_ASYNC_QUEUE_CHARS = 160, /* the longest name of a function's queue */
    HD_ASYNC_EVENT_BYTES = 1048576,
};

/** All borrowed as long as it lives, but the numbers. */
struct hd_async_options {
    struct hd_store *store;
    struct hd_loop *const *loops; /* each function is at home on one; [0] sends to destinations */
    struct hd_caller *const *callers; /* one a loop */
    unsigned n_loops;
    const struct hd_targets *targets; /* functions of the folder; NULL: none */
    /** @return the newest view, with a reference; or NULL: no function has settings. Any loop. */
    struct hd_view *(*view)(void *arg);
    void *view_arg;
    struct hd_destinations *destinations; /* NULL: events end without */
    struct hd_log *log;
    uint32_t workers;          /* of a function at once; 0: 8 */
    uint32_t max_running;      /* of all functions of a loop; 0: 256 */
    uint64_t max_events;       /* in the queue of a function; 0: 100000 */
    const uint32_t *delays_ms; /* copied; before the second attempt, the third, ... */
    size_t n_delays;           /* 0: 60 s, 120 s */
    int64_t (*clock)(void);    /* milliseconds since 1970; NULL: the wall clock. For simulations */
};

struct hd_async *hd_async_new(const struct hd_async_options *opt);
/** Begin; what an earlier process has accepted goes on. The loops run. */
void hd_async_start(struct hd_async *a);
/** Begin nothing any more, and wait for what runs. Accepting goes on, for the next process. @p done
 *  on loops[0], later. */
void hd_async_stop(struct hd_async *a, void (*done)(void *arg), void *arg);
/** Give up what still runs: the next process runs it again. @p done on loops[0], later; then free.
 *  Accepting has ended. */
void hd_async_close(struct hd_async *a, void (*done)(void *arg), void *arg);
void hd_async_free(struct hd_async *a); /* NULL is fine */

/** What is accepted; all borrowed until return. */
struct hd_async_event {
    struct hd_str account, region, name; /* the function; the door has found it */
    struct hd_str qualifier;             /* as asked for; empty: none. An alias stays one */
    struct hd_str payload;               /* JSON, checked by the door; empty: {} */
    const char *request_id;              /* UUID; kept over all attempts */
    struct hd_str client_context;        /* JSON text; empty: none */
    struct hd_str identity, tenant;      /* as in struct hd_call_request; empty: none */
    struct hd_str trace;                 /* X-Amzn-Trace-Id as received; empty: none */
    struct hd_str traceparent;
};

/**
 * Accept an event. Any loop.
 * @param done  on @p loop, exactly once, never from inside. NULL: it is on the disk, answer 202.
 *              HD_EBUSY: the function's queue, or the node, is full: 429. Else: 500.
 */
void hd_async_enqueue(struct hd_async *a, const struct hd_async_event *event, struct hd_loop *loop,
                      void (*done)(void *arg, const struct hd_error *err), void *arg);

/** Write the name of a function's queue: to purge it when the function is deleted, to show it. */
void hd_async_queue_name(char out[HD_ASYNC_QUEUE_CHARS], struct hd_str account,
                         struct hd_str region, struct hd_str name);

/** Counted since the start, but for the last three. */
struct hd_async_stats {
    uint64_t accepted, refused;
    uint64_t attempts, succeeded, function_errors, throttled, system_errors;
    uint64_t exhausted, expired, switched_off; /* ends: retries, age, reservation 0 */
    uint64_t loops_stopped;                    /* ends: a function that calls itself */
    uint64_t sent, send_failures, send_lost;   /* to destinations and dead-letter targets */
    uint64_t queued, running;                  /* events of all functions */
    int64_t oldest_unix_ms;                    /* accepted then, and still queued; 0: none */
};
/** Any thread. */
void hd_async_stats(struct hd_async *a, struct hd_async_stats *out);
