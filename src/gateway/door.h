/* gateway/door.h - the edge door: HTTP requests for functions, with the policies in front of them.
 *
 * route ─► CORS ─► body limit ─► who is it ─► rate limit ─► may he ─► breaker ─► the pool's channel
 *
 * One door per loop. What all doors share is in struct hd_edge and immutable, or safe to share. */
#pragma once

#include "auth/verifier.h"
#include "core/log.h"
#include "gateway/clientip.h"
#include "gateway/cors.h"
#include "gateway/ratelimit.h"
#include "gateway/route.h"
#include "http/server.h"
#include "pool/channel.h"

struct hd_identity;

/** Who asks for a function that is called with an event; all borrowed. */
struct hd_edge_asks {
    struct hd_str function;
    const char *id;                /* UUID of the request */
    const char *ip;                /* of the client */
    const struct hd_identity *who; /* NULL: nobody was verified */
};

/** Configuration of all edge doors of a node; outlives them. */
struct hd_edge {
    struct hd_str prefix; /* "/functions/v1": one leading slash, none at the end */
    const struct hd_cors *cors;
    const struct hd_trusted *trusted; /* proxies */
    struct hd_ratelimit *ratelimit;   /* NULL: off */
    struct hd_verifier *verifier;
    struct hd_log *log;
    struct hd_str via;         /* value for Via: "1.1 heddle" */
    uint32_t warmup_grace_ms;  /* wait for a first start before the warming answer */
    uint32_t total_timeout_ms; /* to the end of an answer; 0: none */
    uint32_t fresh_wait_ms;    /* wait for a reloaded version before the stale one answers */
    bool hot_reload;           /* the older version may answer while the newer one loads */
    bool dev;                  /* errors say more */
    bool access_log;
    enum hd_log_level span_level; /* of the records that tell spans */
    bool compat;                  /* also send the reference's header names */
    bool tls;                     /* clients come by https */
    /** Everything that is not under the prefix. */
    void (*on_other)(void *arg, struct hd_exchange *ex, const struct hd_head *head);
    /** Counts for the warming answer. */
    void (*warmup)(void *arg, uint32_t *total, uint32_t *ready, uint32_t *loading, uint32_t *queued,
                   uint32_t *failed);
    /**
     * Make @p inv one that calls a function with an event (hd_route.by_event);
     * hd_invocation_start() comes next. NULL: there are no such routes. Its on_error says
     * HD_ETIMEOUT: it took too long; HD_EIO: it failed; HD_EPROTO: its answer cannot be sent;
     * HD_EBUSY: a limit of concurrency, or, with EAGAIN behind it, it is being made ready;
     * HD_ENOTFOUND: it is gone; HD_EINVAL: it cannot run, or, with E2BIG behind it, the event is
     * too long.
     */
    void (*attach)(void *arg, unsigned loop_index, struct hd_invocation *inv,
                   const struct hd_edge_asks *asks);
    void *arg;
};

struct hd_door;

/** @param loop_index  this door's share of the counters. */
struct hd_door *hd_door_new(const struct hd_edge *edge, struct hd_net *net,
                            struct hd_channel *channel, unsigned loop_index);
/** Free; no request may be under way. NULL is fine. */
void hd_door_free(struct hd_door *d);
/** Take a table for requests from now on; those under way keep theirs. On the door's loop. */
void hd_door_set_routes(struct hd_door *d, struct hd_routes *routes);
/** For struct hd_server_options: on_request with the door as `user`. */
void hd_door_request(void *door, struct hd_exchange *ex, const struct hd_head *head,
                     struct hd_str body, bool end);
/** @return requests under way. */
unsigned hd_door_active(const struct hd_door *d);
