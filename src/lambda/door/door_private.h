/* lambda/door/door_private.h - one request to the Lambda doors, for the sources of the door; nobody
 * else includes it. */
#pragma once

#include "core/arena.h"
#include "http/net.h"
#include "lambda/door/door.h"
#include "lambda/door/invocation.h"
#include "lambda/door/urlanswer.h"

enum {
    HD_DOOR_BODY_MAX = 70167211, /* of an operation's request */
    HD_DOOR_HEAD_ROOM = 2048,    /* for a head that must be kept, before memory is asked for */
    HD_DOOR_FIELDS_MAX = 16,     /* of our answers */
};

struct hd_lambda_door {
    const struct hd_lambda_edge *edge;
    struct hd_net *net;
    struct hd_caller *caller;
    struct hd_view *view; /* NULL: none yet */
    struct hd_slab requests;
    struct hd_sigv4_keys *keys;
    struct hd_list pending; /* requests for functions that are being made ready */
    struct hd_buf frame;    /* of an event stream, while it is written */
    unsigned active;
};

/** A request's head and body as they are at hand: the parser's, or copies. */
struct hd_door_view {
    struct hd_str method, target, path, query, host; /* target: path with its query */
    const struct hd_field *fields;
    size_t n_fields;
    struct hd_str body;
};

struct hd_door_file;

struct hd_door_request {
    struct hd_lambda_door *door;
    struct hd_exchange *ex; /* NULL once it is answered or gone */
    struct hd_list link;    /* in the door's pending */
    struct hd_timer timer;
    struct hd_door_view at; /* what is kept of the request; in `memory` and `body` */
    struct hd_arena memory;
    struct hd_buf body;
    uint64_t body_max;
    struct hd_call *call;
    struct hd_door_file *file;
    struct hd_target *target; /* that is called, with a reference */
    bool kept;                /* `at` is filled */
    bool responded;           /* the answer's head is out */
    bool busy;                /* somebody has it and will come back: it cannot be freed */
    bool url;                 /* a function URL's */
    struct hd_str logs;       /* an operation of CloudWatch Logs, in `memory`; empty: none */
    bool hashed;              /* `hash` is the body's */
    bool dropping;            /* the body is too large: it is read to its end, and then refused */
    unsigned char hash[HD_SHA256_BYTES];
    enum hd_invoke_op op;
    struct hd_invocation_ask ask;
    struct hd_who who;
    /* streams */
    struct hd_pace pace;
    bool waits;    /* for the time of its next bytes */
    bool too_much; /* was streamed: the rest is dropped */
    struct hd_url_prelude prelude;
    bool in_prelude;
    /* function URLs */
    struct hd_url_cors_answer cors;
    bool cors_given;
    struct hd_str url_id; /* in `memory` */
    char id[HD_UUID_CHARS + 1];
    char room[HD_DOOR_HEAD_ROOM];
};

/* door.c: life and answers */

/** Answer with a head and a whole body, and be done. */
void hd_door_reply(struct hd_door_request *r, unsigned status, const struct hd_field *fields,
                   size_t n, struct hd_str body);
/** The same as the service's error. @param reason  of a throttle; else NULL. */
void hd_door_fail(struct hd_door_request *r, enum hd_api_error e, struct hd_str message,
                  const char *reason);
__attribute__((format(printf, 3, 4))) void hd_door_failf(struct hd_door_request *r,
                                                         enum hd_api_error e, const char *fmt, ...);
/** Nothing is under way any more: count and free. */
void hd_door_end(struct hd_door_request *r);
/** Keep what @p v has: the parser's bytes go. */
void hd_door_keep(struct hd_door_request *r, const struct hd_door_view *v);

/* door_invoke.c */

/** An Invoke of any form; the caller is known. */
void hd_door_invoke(struct hd_door_request *r, const struct hd_door_view *v);
/** Wait for the function, which is Pending, and look again then; what the request has is kept. */
void hd_door_wait(struct hd_door_request *r);
/** There is a new view: who waits for a function to be ready looks again. */
void hd_door_look_again(struct hd_lambda_door *d);
/** Say that it failed, as the service does, where no payload does. */
void hd_door_not_run(struct hd_door_request *r, const struct hd_call_result *result);
/** @return how a qualified function is written in messages, for the caller to free. */
char *hd_door_arn(const struct hd_door_request *r, struct hd_str name, struct hd_str qualifier);

/* door_stream.c */

/** Before a piece of a stream is sent. @return whether it may be; if not, r->too_much is set. */
bool hd_door_may_stream(struct hd_door_request *r, size_t bytes);
/** After it is sent. @param flows  what sending said. @return whether more may come at once; else
 *  the call is resumed when it may. */
bool hd_door_streamed(struct hd_door_request *r, bool flows);
extern const struct hd_call_events hd_door_stream_events;
/** A streamed call was started: its answer may begin. */
void hd_door_stream_started(struct hd_door_request *r);

/* door_url.c */

/** The request's body is complete. */
void hd_door_url_ready(struct hd_door_request *r, const struct hd_door_view *v);

/* door_file.c */

/** Answer with a file, and be done. */
void hd_door_send_file(struct hd_door_request *r, const char *path);
/** The client can take more of it. */
void hd_door_file_writable(struct hd_door_request *r);
/** The client is gone. */
void hd_door_file_gone(struct hd_door_request *r);
