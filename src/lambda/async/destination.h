/* lambda/async/destination.h - to send what became of an invocation to where its function's
 * settings say: one try. Functions as destinations are not its business: they have queues of their
 * own. */
#pragma once

#include "core/loop.h"

#include <heddle/error.h>

struct hd_aws;
struct hd_fetcher;
struct hd_destinations; /* one loop's */

/** All borrowed as long as it lives. */
struct hd_destinations_options {
    struct hd_loop *loop;
    struct hd_fetcher *fetcher; /* of the loop; for URLs */
    struct hd_aws *aws;         /* of the loop; queues, topics, buses, buckets. NULL: none */
    /** Put a message into an event lane; @p done on the loop, exactly once, never from inside.
     *  NULL: there are no lanes. */
    void (*emit)(void *arg, struct hd_str lane, struct hd_str id, struct hd_str json,
                 void (*done)(void *done_arg, const struct hd_error *err), void *done_arg);
    void *emit_arg;
    uint32_t timeout_ms; /* of one try over HTTP; 0: 10000 */
};

/** All borrowed until hd_destinations_send() returns. */
struct hd_destination_message {
    struct hd_str to;   /* an ARN, an URL, "lane:name" */
    struct hd_str id;   /* of the request */
    struct hd_str body; /* the record, or the event of a dead letter */
    struct hd_str arn;  /* the function, qualified */
    bool success;       /* how it ended */
    bool dead_letter;
    struct hd_str error; /* dead letters: the message */
};

struct hd_destinations *hd_destinations_new(const struct hd_destinations_options *opt);
/** Nothing may be under way. NULL is fine. */
void hd_destinations_free(struct hd_destinations *d);
/** Send. @p done on the loop, exactly once, never from inside; NULL: it is there. */
void hd_destinations_send(struct hd_destinations *d, const struct hd_destination_message *m,
                          void (*done)(void *arg, const struct hd_error *err), void *arg);
/** End what is under way: done() follows with HD_ECANCELED where it can be taken back, or is an
 *  emission into a lane, which may go on. */
void hd_destinations_cancel(struct hd_destinations *d);
