/* lanes/rabbitmq_private.h - a RabbitMQ queue: the loop's side (rabbitmq.c), the broker thread
 * (rabbitmq_thread.c), and what goes over the connection (rabbitmq_wire.c).
 *
 *   loop ──jobs──► thread ──AMQP──► broker
 *   loop ◄─news─── thread ◄────────
 * Jobs and news are handed over as whole lists under a lock, with one wake-up for many. */
#pragma once

#include "core/list.h"
#include "lanes/acks.h"
#include "lanes/queue.h"

#include <pthread.h>
#include <amqp.h>

enum hd_rabbit_job_kind {
    HD_RABBIT_PUBLISH,
    HD_RABBIT_SETTLE,
    HD_RABBIT_CONSUME,
    HD_RABBIT_COOLDOWN
};

/** Something to do for the thread. One allocation: the texts lie behind it. */
struct hd_rabbit_job {
    struct hd_list link;
    enum hd_rabbit_job_kind kind;
    struct hd_str id, body;
    /* publish */
    void (*done)(void *arg, const struct hd_error *err);
    void *arg;
    uint64_t seq, sent_ms; /* the confirm that it waits for, since when; 0: not sent yet */
    bool retried, returned;
    /* settle; a publish of REPLACE has the original's tag, which is acknowledged once it is
     * confirmed */
    uint64_t tag;
    enum hd_lane_settle how;
    uint32_t prefetch;
};

/** Something that happened, for the loop. */
struct hd_rabbit_news {
    struct hd_list link;
    enum { HD_RABBIT_DELIVERY, HD_RABBIT_PUBLISHED, HD_RABBIT_STATE } kind;
    struct hd_lane_delivery delivery; /* its body lies behind */
    void (*done)(void *arg, const struct hd_error *err);
    void *arg;
    bool ok; /* published, or connected */
    struct hd_error err;
    char body[];
};

struct hd_rabbit {
    struct hd_lane_source base;
    struct hd_loop *loop;
    struct hd_log *log;
    const struct hd_lane_queue_events *events;
    void *arg;
    pthread_t thread;
    int wake_fd;

    pthread_mutex_t lock;
    struct hd_list jobs, news;
    bool posted, quit, thread_ended;
    bool refusing; /* the last attempt to connect failed, or the broker is short of something:
                    * nobody waits until that is over */
    struct hd_lane_queue_stats stats; /* as the thread last said */

    /* the loop's own */
    bool closing;
    void (*closed)(void *arg);
    void *closed_arg;

    /* the thread's own */
    amqp_connection_state_t conn; /* NULL: not connected */
    uint16_t epoch;               /* of the connection: in the tags of its deliveries */
    struct hd_list pending;       /* publishes that are not confirmed, in order */
    uint64_t next_seq;            /* the next publish's */
    uint64_t inflight;
    struct hd_acks acks; /* of this connection */
    bool blocked;        /* the broker reads nothing that is published */
    uint64_t blocked_ms; /* since when; or until when it was */
    struct hd_list held; /* what takes the place of messages, until it is not any more */
    bool want_consume, consuming;
    uint32_t prefetch;
    struct hd_error last_error;
};

/* rabbitmq.c */
/** What is said of a publish that nobody can take. Any thread. */
void hd_rabbit_unreachable(const struct hd_rabbit *r, const struct hd_error *why,
                           struct hd_error *out);
/** Take the news. Posted to the loop. */
void hd_rabbit_on_news(void *rabbit);

/* rabbitmq_thread.c */
void *hd_rabbit_thread(void *rabbit);
/** Tell the loop. Thread; what was published also the loop itself. */
void hd_rabbit_tell_delivery(struct hd_rabbit *r, const struct hd_lane_delivery *d);
void hd_rabbit_tell_published(struct hd_rabbit *r, struct hd_rabbit_job *job,
                              const struct hd_error *err);
void hd_rabbit_tell_state(struct hd_rabbit *r, bool connected, const struct hd_error *why);

/* rabbitmq_wire.c; the thread only. What fails says why and leaves the connection to be closed. */
int hd_rabbit_connect(struct hd_rabbit *r, struct hd_error *err);
void hd_rabbit_disconnect(struct hd_rabbit *r);
int hd_rabbit_send(struct hd_rabbit *r, struct hd_rabbit_job *job, struct hd_error *err);
/** @return whether a delivery is of an earlier connection: the broker has it again. */
bool hd_rabbit_is_void(const struct hd_rabbit *r, uint64_t tag);
int hd_rabbit_settle(struct hd_rabbit *r, uint64_t tag, enum hd_lane_settle how,
                     struct hd_error *err);
/** Send the acknowledgements that go together; settling may leave them to this. */
int hd_rabbit_flush(struct hd_rabbit *r, struct hd_error *err);
int hd_rabbit_begin_consume(struct hd_rabbit *r, struct hd_error *err);
int hd_rabbit_end_consume(struct hd_rabbit *r, struct hd_error *err);
/** Deal with everything that has arrived. */
int hd_rabbit_receive(struct hd_rabbit *r, struct hd_error *err);
