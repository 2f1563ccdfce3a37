/* lambda/door/edgecall.h - the invoker behind the edge URL of a Lambda function: an HTTP request
 * becomes an event of payload format 2.0, the result an HTTP answer, as for function URLs. Who may,
 * and how often, is the edge door's business.
 *
 * start, write ─► the whole body ─► event ─► call ─┬► result ─► answer
 *                                                  └► stream ─► (prelude) head ─► pieces */
#pragma once

#include "http/net.h"
#include "invoke/call.h"

struct hd_edgecalls; /* one per loop */

struct hd_edgecalls_options {
    struct hd_net *net;
    struct hd_caller *caller;
    const struct hd_targets *targets;
    struct hd_log *log;
    uint16_t port; /* of the public listener, for the event */
};
struct hd_edgecalls *hd_edgecalls_new(const struct hd_edgecalls_options *opt);
/** No call may be under way. NULL is fine. */
void hd_edgecalls_free(struct hd_edgecalls *e);

/** Borrowed until hd_invocation_start() returns. */
struct hd_edgecall {
    struct hd_str function;
    const char *request_id; /* UUID */
    const char *client_ip;
    struct hd_str claims; /* of the verified token, base64url of a JSON object; empty: none */
};
/**
 * Make @p inv one that calls a function; hd_invocation_start() comes next. Its head has the path as
 * the edge door gives it, "/<name>[/<rest>]": the event has the rest. Whether the function streams
 * decides how it is answered. What on_error says: see hd_edge.attach (gateway/door.h).
 */
void hd_edgecalls_attach(struct hd_edgecalls *e, struct hd_invocation *inv,
                         const struct hd_edgecall *what);
