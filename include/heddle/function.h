/* heddle/function.h - a function written in C: one handler, called with one event at a time.
 *
 *     static int greet(struct hd_event *event, struct hd_reply *reply)
 *     {
 *         return hd_reply_str(reply, "{\"hello\":\"C\"}");
 *     }
 *     int main(int argc, char **argv)
 *     {
 *         return hd_function_main(argc, argv, greet, NULL);
 *     }
 *
 * Link with libheddle-function.a; it needs nothing but the C library. Everything here belongs to
 * the thread that calls hd_function_main(). */
#pragma once

#include <heddle/error.h>
#include <heddle/str.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hd_event; /* what the function is called with; the library's, dead when the handler returns
                  */
struct hd_reply; /* what it answers; the same */

/**
 * Answer one event: write the result, JSON for a Lambda function, to @p reply.
 * @return 0: what was written is the result. Anything else: the invocation failed; the caller gets
 *         the error of hd_reply_error(), or one that names the number.
 */
typedef int (*hd_function_fn)(struct hd_event *event, struct hd_reply *reply);

enum {
    HD_FUNCTION_OPTIONS = 1,                   /* this version of the options */
    HD_FUNCTION_ANSWER_MAX = 6 * 1048576 + 100 /* bytes of an answer that is not streamed */
};

struct hd_function_options {
    unsigned version; /* HD_FUNCTION_OPTIONS */
    void *arg;        /* yours: hd_event_arg() gives it back */
    /** Called once, with the function's environment in place, before the first event. Where it
     *  fails (below zero, best by hd_fail()) the caller that waits gets the error. NULL: nothing.
     */
    int (*on_init)(void *arg, struct hd_error *err);
    void (*on_exit)(void *arg); /* called before a regular end; NULL: nothing */
    size_t max_event_bytes;     /* longer events are refused; 0: 64 MiB */
};

/**
 * Serve events until this process is told to end, or, with nobody to serve, answer one.
 *
 * In this order: HEDDLE_DIRECT_SOCKET, HEDDLE_SOCKET or PORT in the environment: it is a heddle
 * instance. AWS_LAMBDA_RUNTIME_API: it is a client of the Lambda Runtime API, on AWS or anywhere
 * else. None of them: the event is argv[1], or standard input, and the result goes to standard
 * output, for trying a function by hand.
 * @param opt  NULL: nothing special.
 * @return what main() should return: 0; 1: the init or the one event failed; 64: wrong use; 69: who
 *         hands out the events is gone.
 */
int hd_function_main(int argc, char **argv, hd_function_fn handler,
                     const struct hd_function_options *opt);

/* The event ---------------------------------------------------------------------------------- */

/** @return the event's bytes, with a NUL behind them that does not count. Never empty: {} at
 *  least, but for an HTTP request. */
struct hd_str hd_event_body(const struct hd_event *event);
/** @return the request id; logs and callers know it. */
const char *hd_event_id(const struct hd_event *event);
/** @return milliseconds until the caller gets a timeout, 0 at least; INT64_MAX: there is no limit.
 */
int64_t hd_event_remaining_ms(const struct hd_event *event);
/** @return the ARN that was called, with its qualifier. This one and the next: empty where there
 *  is none. */
struct hd_str hd_event_arn(const struct hd_event *event);
struct hd_str hd_event_trace(const struct hd_event *event);          /* X-Ray trace header */
struct hd_str hd_event_client_context(const struct hd_event *event); /* JSON */
struct hd_str hd_event_identity(const struct hd_event *event);       /* JSON */
struct hd_str hd_event_tenant(const struct hd_event *event);
/** @return the arg of the options. */
void *hd_event_arg(const struct hd_event *event);

/**
 * Find a value in the event.
 * @param path  "user.name", "items.0.id"; a key that has a dot in it cannot be named.
 * @return the value as it stands in the JSON text, or empty: there is none.
 */
struct hd_str hd_event_get(const struct hd_event *event, const char *path);
/**
 * Find a string in the event and copy it, its escapes resolved, with a NUL at its end.
 * @param out  @p size bytes, 1 or more; "" on failure.
 * @return its length; HD_ENOTFOUND; HD_EINVAL: it is no string, or has a NUL in it; HD_EBUSY: it
 *         does not fit.
 */
int hd_event_text(const struct hd_event *event, const char *path, char *out, size_t size);

/** @return method, path with query, or a field's value of an HTTP request that came through the
 *  edge door; empty: it is an event, or has no such field. */
struct hd_str hd_event_method(const struct hd_event *event);
struct hd_str hd_event_path(const struct hd_event *event);
struct hd_str hd_event_field(const struct hd_event *event, const char *name);

/* The lanes ---------------------------------------------------------------------------------- */

enum { HD_LANE_OPTIONS = 1 }; /* this version of the options */

struct hd_lane_options {
    unsigned version;        /* HD_LANE_OPTIONS */
    uint32_t timeout_ms;     /* 0: 30 s; never longer than the event has left */
    const char *contexts;    /* JSON object of async contexts, by name or id; NULL: the event's */
    const char *request_id;  /* NULL: the event's */
    const char *traceparent; /* NULL: the event's, so that one trace holds them all */
    bool typed;              /* the value is typed text, and so is the result */
};

/** What came of it. The slices are the library's, until the next of these calls. */
struct hd_lane_outcome {
    unsigned status;      /* of HTTP; 0: there was no answer */
    struct hd_str result; /* JSON of a task's result, or of an event's payload; empty: none */
    struct hd_str data;   /* JSON of a declared error's data */
    char message_id[64];  /* of an event on a queue; "" where there is none, as in the next two */
    char code[64];        /* "NOT_FOUND", "INTERNAL_ERROR", ... */
    char id[256];         /* of a declared error */
    bool retryable;       /* the same request may work later */
};

/**
 * Emit an event, or call a task, through the lanes of the node; waits.
 * @param name   of the event or task, or its id on the wire.
 * @param value  JSON; empty: undefined.
 * @param opt    NULL: nothing special.
 * @param out    NULL: nobody asks; else set, also on failure.
 * @return 0: it is safe, or here is the result; HD_EINVAL: there are no lanes, or an option is
 *         wrong; HD_ENOTFOUND: no such event or task; HD_ETIMEOUT: it may have happened all the
 *         same; HD_EBUSY: a queue, a peer or the node cannot be reached now; HD_EPROTO: the answer
 *         makes no sense; HD_EIO: it failed, `out` says how.
 */
int hd_event_emit(const struct hd_event *event, const char *name, struct hd_str value,
                  const struct hd_lane_options *opt, struct hd_lane_outcome *out,
                  struct hd_error *err);
int hd_event_call(const struct hd_event *event, const char *name, struct hd_str value,
                  const struct hd_lane_options *opt, struct hd_lane_outcome *out,
                  struct hd_error *err);

/* The reply ---------------------------------------------------------------------------------- */

/**
 * Append to the answer; copied. Failures stick, so that calls may be chained and the last one
 * returned: the handler's result then says it all.
 * @return 0; HD_EBUSY: more than HD_FUNCTION_ANSWER_MAX (not when streaming), the caller gets
 *         Function.ResponseSizeTooLarge; HD_ECANCELED: streaming, and the caller has left.
 */
int hd_reply_write(struct hd_reply *reply, const void *bytes, size_t len);
int hd_reply_str(struct hd_reply *reply, const char *text);
int hd_reply_fmt(struct hd_reply *reply, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/** Same, as a JSON string with its quotes. */
int hd_reply_json(struct hd_reply *reply, struct hd_str text);
/**
 * Fail the invocation: `return hd_reply_error(reply, "NoSuchUser", "user %d is not there", id);`
 * What was written before is forgotten, or, when streaming, followed by the error.
 * @param type  the errorType of the JSON that the caller gets.
 * @return -1.
 */
int hd_reply_error(struct hd_reply *reply, const char *type, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/** Say what is sent, before the first byte is: at most 127 bytes, else cut. Default:
 *  application/json, or application/octet-stream when streaming. */
void hd_reply_content_type(struct hd_reply *reply, const char *type);
/**
 * Stream: from now on what is written goes out in chunks, as soon as there is enough of it or
 * hd_reply_flush() says so.
 * @return as hd_reply_write().
 */
int hd_reply_stream(struct hd_reply *reply);
/**
 * Stream the answer of an HTTP request to a function URL.
 * @param head  JSON: {"statusCode": 200, "headers": {...}, "cookies": [...]}.
 * @return as hd_reply_write().
 */
int hd_reply_stream_http(struct hd_reply *reply, const char *head);
/** Send what was written so far; streaming only, else nothing happens. @return as
 *  hd_reply_write(). */
int hd_reply_flush(struct hd_reply *reply);

/** Of the answer to an HTTP request, before the first byte goes out; no effect on events. @p
 *  status is 200 to 599. A name or value that HTTP forbids fails the invocation. */
void hd_reply_status(struct hd_reply *reply, unsigned status);
void hd_reply_field(struct hd_reply *reply, const char *name, const char *value);

/* The log ------------------------------------------------------------------------------------ */

enum hd_function_level { HD_FUNCTION_DEBUG, HD_FUNCTION_INFO, HD_FUNCTION_WARN, HD_FUNCTION_ERROR };

/** Write one line to the function's log, with the id of the event. What the program prints to
 *  standard output and standard error is logged as well, without it. */
void hd_event_log(const struct hd_event *event, enum hd_function_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif
