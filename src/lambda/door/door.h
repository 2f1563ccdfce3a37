/* lambda/door/door.h - the Lambda API over HTTP: who asks, bodies, Invoke in its three forms, and
 * everything else handed to lambda/api/api.h. And function URLs, on the public listener.
 *
 * head, body ─► who is it ─┬► Invoke: name ─► function, version ─► may he ─► call ─► answer
 *                          └► an operation of the API ─► answer
 *
 * One door per loop. What all doors share is in struct hd_lambda_edge and immutable, or safe to
 * share. */
#pragma once

#include "core/log.h"
#include "http/server.h"
#include "invoke/call.h"
#include "lambda/api/api.h"
#include "lambda/async/async.h"
#include "lambda/logs/logs.h"
#include "lambda/door/pace.h"
#include "lambda/deploy/view.h"
#include "lambda/who.h"

/** Configuration of all Lambda doors of a node; outlives them. */
struct hd_lambda_edge {
    struct hd_api *api;
    struct hd_async *async;
    /** hd_async_enqueue(); NULL: asynchronous invocations are refused. */
    void (*enqueue)(struct hd_async *a, const struct hd_async_event *event, struct hd_loop *loop,
                    void (*done)(void *arg, const struct hd_error *err), void *arg);
    struct hd_log *log;
    struct hd_who_rules who;
    const struct hd_targets *targets; /* functions of the folder; NULL: none */
    const char *host_name;            /* of the control listener, beside localhost and addresses */
    const char *url_domain;           /* of function URLs */
    bool url_open;                    /* a URL without authorization needs no policy statement */
    uint16_t public_port;             /* where they are served */
    struct hd_pace_rules pace;        /* of streamed answers */
    struct hd_logs *logs;             /* CloudWatch Logs, on the control listener */
    /** Everything on the control listener that is not of the API. */
    void (*on_other)(void *arg, struct hd_exchange *ex, const struct hd_head *head);
    /** The client's address behind trusted proxies: at most HD_IPADDR_CHARS characters and a NUL.
     */
    void (*client_ip)(void *arg, const struct hd_exchange *ex, const struct hd_field *fields,
                      size_t n, char *out);
    void *arg; /* of both */
};

struct hd_lambda_door;

struct hd_lambda_door *hd_lambda_door_new(const struct hd_lambda_edge *edge, struct hd_net *net,
                                          struct hd_caller *caller);
/** Free; no request may be under way. NULL is fine. */
void hd_lambda_door_free(struct hd_lambda_door *d);
/** Take a view for requests from now on. @param view  its reference becomes the door's. On the
 *  door's loop. */
void hd_lambda_door_set_view(struct hd_lambda_door *d, struct hd_view *view);
/** For struct hd_server_options of the control listener: on_request with the door as `user`. */
void hd_lambda_door_request(void *door, struct hd_exchange *ex, const struct hd_head *head,
                            struct hd_str body, bool end);
/** A request on the public listener. @return whether its Host is that of a function URL; else
 *  nothing has happened. */
bool hd_lambda_door_url(struct hd_lambda_door *d, struct hd_exchange *ex,
                        const struct hd_head *head, struct hd_str body, bool end);
/** The node ends: who waits for a function to be ready does not any more. Again is fine. */
void hd_lambda_door_close(struct hd_lambda_door *d);
/** @return requests under way. */
unsigned hd_lambda_door_active(const struct hd_lambda_door *d);
