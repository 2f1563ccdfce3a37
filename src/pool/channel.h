/* pool/channel.h - how an instance takes its work: the invoker over a pool. One per loop.
 *
 * start ─► take a lease (wait in the queue) ─► an idle connection, or a new one ─► request ─►
 * answer ─► the connection back to the instance's idle list ─► give the lease back. */
#pragma once

#include "http/client.h"
#include "pool/pool.h"

#include <heddle/invoke.h>

struct hd_channel;

struct hd_channel *hd_channel_new(struct hd_net *net);
/** Free; no call may be under way. NULL is fine. */
void hd_channel_free(struct hd_channel *ch);

struct hd_channel_options {
    uint32_t wait_ms; /* longest wait for an instance; 0: the pool's limit */
    bool stale_ok;    /* when that is over, or it does not start, an older version may answer */
    /** Asked once there is an instance, so that what the code declared is known, before it gets the
     *  request. @p stale: an older version will answer. Not 0: the invocation fails with that code.
     *  NULL: not asked. */
    int (*before)(struct hd_invocation *inv, bool stale);
};

/**
 * Make @p inv one that the pool serves; hd_invocation_start() comes next, or nothing. A request
 * whose instance breaks before a byte of the answer is tried once more on another one, if its
 * method is idempotent (RFC 9110 section 9.2.2), or the instance did not get a byte of it, and its
 * body is still at hand.
 * @param pool  borrowed until return.
 */
void hd_channel_attach(struct hd_channel *ch, struct hd_invocation *inv, struct hd_pool *pool,
                       const struct hd_channel_options *opt);

/** How it went so far; valid from on_response or on_error on, kept in the invocation. */
struct hd_channel_report {
    uint64_t waited_us; /* for an instance */
    bool cold;          /* it waited for a start */
    bool dispatched;    /* an instance had it: a failure is the instance's */
    bool stale;         /* an older version answered */
    uint8_t retries;
    enum hd_instance_fate fate; /* of an instance that broke; after `dispatched` */
};
/** @return the report of the call whose event is being delivered. Valid inside the callback. */
const struct hd_channel_report *hd_channel_last(const struct hd_channel *ch);

/* For who talks to an instance in another way than by an invocation: connections to the instance of
 * a lease. On its loop. */
/** @return an idle one, or a new one that begins to connect. */
struct hd_client_conn *hd_channel_connect(struct hd_net *net, const struct hd_lease *lease);
/** The last request on it is over: keep it for the next, if it is good for that; else close it.
 *  Before the lease is given back. */
void hd_channel_keep(const struct hd_lease *lease, struct hd_client_conn *conn);

/** Close this loop's idle connections to an instance that is gone. */
void hd_channel_drop(const struct hd_loop *loop, struct hd_instance *instance);
