/* invoke/call.h - call a function with an event: JSON in, JSON or a stream out.
 *
 * This is what the Lambda API, function URLs, the async queue, event sources, schedules and lanes
 * share. The edge door does not need it: there the HTTP request itself is the input.
 *
 * admission ─► a place in the pool ─► the event to the instance (doc/host-protocol.md, "Events") ─►
 * answer ─► what it logged is gathered ─► on_end, exactly once ─► the place is free */
#pragma once

#include "invoke/target.h"
#include "http/net.h"

#include <heddle/invoke.h>

struct hd_caller; /* one per loop */
struct hd_call;   /* one call under way */

/** How a call ended. */
enum hd_call_outcome {
    HD_CALL_OK,
    HD_CALL_FUNCTION_ERROR, /* the function failed; the payload says how */
    HD_CALL_THROTTLED,      /* it did not run: a limit of concurrency; `reason` names it */
    HD_CALL_FAILED,         /* it did not run, or we do not know: `error` says why */
};

struct hd_call_request {
    struct hd_str event;          /* JSON, checked by the door; empty: {} */
    const char *request_id;       /* UUID; NULL: a new one */
    struct hd_str invoked_arn;    /* as the caller wrote it, with its qualifier; empty: target's */
    struct hd_str client_context; /* JSON text; empty: none */
    struct hd_str identity;       /* Cognito identity JSON; empty: none */
    struct hd_str tenant;
    struct hd_str trace; /* X-Ray trace header; empty: made from traceparent, or new */
    struct hd_str traceparent;
    const char *source;  /* "lambda", "url", "async", "esm", "schedule", "rpc-lane", ... static */
    uint32_t timeout_ms; /* shorter than the target's; 0: the target's */
    bool want_stream;    /* the caller takes the answer as it comes */
    bool want_tail;      /* gather the last 4096 bytes of what it logged */
    uint64_t max_answer_bytes; /* of a collected answer; 0: the caller's */
};

struct hd_call_head {
    bool streaming;             /* the function streams */
    struct hd_str content_type; /* as the function said; empty: none */
    const struct hd_target *target;
};

struct hd_call_result {
    enum hd_call_outcome outcome;
    struct hd_str payload;    /* collected: the answer or the error's JSON; streamed: the error's
                               * JSON or empty */
    struct hd_str error_type; /* HD_CALL_FUNCTION_ERROR: "Runtime.ExitError", ...; may be empty */
    struct hd_str tail;       /* raw log text, if it was wanted */
    struct hd_error error;    /* HD_CALL_FAILED, _THROTTLED */
    const char *reason;       /* HD_CALL_THROTTLED: AWS's Reason */
    bool delivered;           /* an instance had it: it may have run */
    uint64_t duration_us;     /* from the event's delivery to the end */
    uint64_t init_us;         /* of the instance, if this was the first call there; else 0 */
    uint64_t waited_us;       /* for a place */
    const char *request_id;
    const char *xray; /* the trace header that the function saw */
};

/** On the caller's loop, never from inside a call of ours. A call is not canceled from inside
 * these.
 */
struct hd_call_events {
    /** It has a place and is delivered. Not called where that was so when hd_call_start() returned:
     *  see hd_call_is_placed(). May be NULL. */
    void (*on_placed)(void *arg);
    /** want_stream only: an answer begins. Not called when it failed before its first byte. */
    void (*on_head)(void *arg, const struct hd_call_head *head);
    /** want_stream only. @return false: enough for now; hd_call_resume() later. */
    bool (*on_data)(void *arg, struct hd_str bytes);
    /** It is over; the call is dead when this returns. */
    void (*on_end)(void *arg, const struct hd_call_result *result);
};

/**
 * Begin. A call that was delivered is never made again; one that no instance got is tried once more
 * on another one.
 * @return a call under way. @p target is referenced as long as it lasts; everything else of
 *  @p request is copied or used before return. Always ends in on_end or hd_call_cancel().
 */
struct hd_call *hd_call_start(struct hd_caller *c, struct hd_target *target,
                              const struct hd_call_request *request,
                              const struct hd_call_events *events, void *arg);
/** @return whether an instance has it, or had it. */
bool hd_call_is_placed(const struct hd_call *call);
void hd_call_resume(struct hd_call *call);
/** Nobody waits any more: no event follows. @p let_it_run: the function finishes, as the service
 *  does for a caller that hung up; else its instance is stopped. */
void hd_call_cancel(struct hd_call *call, bool let_it_run);

/** A line that the platform wrote about a call, START to REPORT. */
struct hd_call_line {
    struct hd_str function, id, text;
    struct hd_str arn, group, stream; /* stream: of the instance; empty: it got none */
    int level;                        /* enum hd_log_level */
    int64_t unix_ms;
};

struct hd_caller_options {
    struct hd_net *net;
    struct hd_loop *control;
    /** Lines come in order, those of one loop, some time after they were written. Control loop. May
     *  be NULL. */
    void (*on_line)(void *arg, const struct hd_call_line *line);
    void *arg;
    uint32_t queue_wait_ms;    /* for a place; 0: the pool's limit */
    uint64_t max_answer_bytes; /* of a collected answer; 0: 6291556 */
};
struct hd_caller *hd_caller_new(const struct hd_caller_options *opt);
/** No call may be under way. NULL is fine. */
void hd_caller_free(struct hd_caller *c);
unsigned hd_caller_active(const struct hd_caller *c);
