/* lambda/sources/mq.h - a queue in RabbitMQ, consumed on a thread of its own: connects, and again
 * after it lost the connection; deliveries come to a loop as records that functions understand.
 *
 *   loop ──settle──► thread ──AMQP──► broker
 *   loop ◄─records── thread ◄────────           whole lists under a lock, one wake-up for many */
#pragma once

#include "core/list.h"
#include "core/log.h"
#include "core/loop.h"

struct hd_mq;

/** One message; its receiver frees it with hd_mq_delivery_free(). */
struct hd_mq_delivery {
    struct hd_list link;
    uint64_t tag; /* for hd_mq_settle(); void after the connection was lost */
    bool redelivered;
    char *id;   /* the message's, or the tag */
    char *json; /* the record: basicProperties, redelivered, data */
};
void hd_mq_delivery_free(struct hd_mq_delivery *d);

/** All copied. */
struct hd_mq_options {
    const char *url, *user, *password; /* user NULL: as the URL says */
    const char *vhost, *queue;
    uint16_t prefetch; /* messages that are not settled, at most */
    struct hd_loop *loop;
    struct hd_log *log; /* may be NULL */
    /** On the loop; the list is emptied by the receiver. */
    void (*on_deliveries)(void *arg, struct hd_list *deliveries);
    /** On the loop. Connected; or not any more (@p why), and what was delivered comes again. */
    void (*on_state)(void *arg, bool connected, const struct hd_error *why);
    void *arg;
};

/** @return 0 and *out, not connected yet; or HD_EIO: there is no thread to be had. */
int hd_mq_open(struct hd_mq **out, const struct hd_mq_options *opt, struct hd_error *err);
/** @param ack  false: give it back to the queue. Loop. */
void hd_mq_settle(struct hd_mq *mq, uint64_t tag, bool ack);
/** Have others of that many, from now on. Loop. */
void hd_mq_set_prefetch(struct hd_mq *mq, uint16_t prefetch);
/** Settle what was asked for, disconnect (the broker takes back the rest), free; then @p done on
 *  the loop, later. No other callback follows. */
void hd_mq_close(struct hd_mq *mq, void (*done)(void *arg), void *arg);

/** Look whether the queue is there: blocks for some seconds. Any thread.
 *  @return 0; HD_ENOTFOUND, HD_EDENIED, HD_EINVAL, HD_EIO. */
int hd_mq_look(const struct hd_mq_options *opt, struct hd_error *err);
