/* lanes/communicator.h - calling a peer over an RPC lane: pooled keep-alive connections, canonical
 * bodies, tokens over what is sent. One per loop and peer. No retry, no redirect. */
#pragma once

#include "http/client.h"
#include "lanes/rpcwire.h"

struct hd_rpc_client;
struct hd_rpc_call; /* one under way */

/** @return 0 and *out; or HD_EINVAL: base_url is not http://host[:port]/path. */
int hd_rpc_client_new(struct hd_rpc_client **out, struct hd_net *net,
                      const struct hd_communicator *peer, struct hd_error *err);
/** End the calls that are under way, close what is idle, then @p done, later, when it may be freed.
 */
void hd_rpc_client_close(struct hd_rpc_client *c, void (*done)(void *arg), void *arg);
void hd_rpc_client_free(struct hd_rpc_client *c); /* NULL is fine */

/** All borrowed until return. */
struct hd_rpc_call_request {
    bool is_event;
    struct hd_str id; /* canonical id of the task or event */
    const struct hd_rpc_lane *lane;
    struct hd_rpc_body body; /* with files ({"$file": {"base64", ...}}) it is sent as a form */
    struct hd_str octets;    /* tasks: sent as they are instead of the body; ptr NULL: none */
    const struct hd_lane_run_stream *stream; /* takes an answer that streams, which octets and
                                                forms may get; with done's arg. NULL: it is none */
    bool want_result;
    struct hd_str contexts; /* typed text of a map; empty: none */
    struct hd_str request_id, traceparent;
    uint32_t timeout_ms; /* shorter than the peer's; 0: the peer's. Of a stream: to its begin,
                            and from one piece to the next */
};

/**
 * Call. @p done exactly once, on this loop, never from inside; what it gets is borrowed until it
 * returns. Codes: the server's, HTTP_ERROR, INVALID_RESPONSE, REQUEST_TIMEOUT (408), or
 * UNREACHABLE.
 */
struct hd_rpc_call *hd_rpc_client_call(struct hd_rpc_client *c,
                                       const struct hd_rpc_call_request *request,
                                       void (*done)(void *arg, const struct hd_rpc_answer *answer),
                                       void *arg);
/** More of a stream may come, after on_data() returned false. */
void hd_rpc_client_resume(struct hd_rpc_call *call);
/** Nobody waits any more: the connection is closed, so that the peer hears of it. */
void hd_rpc_client_cancel(struct hd_rpc_call *call);
