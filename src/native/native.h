/* native/native.h - what the parts of the function library share: the function, an event, a reply.
 */
#pragma once

#include "native/msgio.h"

#include <heddle/function.h>

enum {
    HD_NATIVE_EVENT_MAX = 64 << 20,
    HD_NATIVE_TYPE_MAX = 128, /* of a content type or error type, NUL included */
};

/** How log lines leave. */
struct hd_native_log {
    const char *token; /* opens a record of the host protocol; NULL: plain text */
    enum hd_native_log_style {
        HD_NATIVE_LOG_BARE, /* the message, no more */
        HD_NATIVE_LOG_TEXT, /* time, id, level and message with tabs between, as at Lambda */
        HD_NATIVE_LOG_JSON, /* the same as an object */
    } style;
    enum hd_function_level lowest;
};

/** The function. One per process. */
struct hd_native {
    hd_function_fn handler;
    struct hd_function_options opt;
    struct hd_native_log log;
};

/** Where an event's facts stand in the request, by field. */
struct hd_event_fields {
    const char *id, *arn, *trace, *client_context, *identity, *tenant;
    bool encoded; /* client_context and identity are base64 */
};

struct hd_event {
    const struct hd_native *function;
    struct hd_str body;
    const char *id;
    uint64_t deadline_us; /* monotonic; 0: none */
    bool http;
    struct hd_head *head; /* the request or answer that it came with; NULL: none */
    const struct hd_event_fields *fields;
    struct hd_event_decoded { /* once somebody has asked */
        struct hd_str client_context, identity;
    } * decoded;
};

/** What answers look like to who gets them. */
struct hd_reply_form {
    /** Append the head. @param bytes  of the body, or HD_BODY_UNKNOWN: chunked.
     *  @param failed  the body is the error's JSON. */
    int (*head)(struct hd_reply *r, struct hd_buf *out, int64_t bytes, bool failed,
                struct hd_error *err);
    const char *type_trailer, *body_trailer; /* tell a failure in mid-stream: type, base64 of the
                                              * JSON; NULL: the connection is broken off instead */
    const char *failure_body; /* what the caller gets instead of an error's JSON; NULL: that */
    bool ours; /* the host protocol: x-heddle-function-error and x-heddle-exit are told as well */
    bool bare; /* a terminal: no head, no framing */
};

struct hd_reply {
    int fd;
    const struct hd_reply_form *form;
    const struct hd_event *event;
    struct hd_buf out;    /* the answer, or what of a stream was not sent yet */
    struct hd_buf head;   /* of the answer */
    struct hd_buf error;  /* JSON; empty: none */
    struct hd_buf fields; /* HTTP: "name\0value\0" ... */
    char content_type[HD_NATIVE_TYPE_MAX], error_type[HD_NATIVE_TYPE_MAX];
    unsigned status; /* HTTP */
    bool streaming, begun, head_only, exits;
    int rc; /* what sticks */
};

/* reply.c */
void hd_reply_init(struct hd_reply *r, const struct hd_reply_form *form);
void hd_reply_done(struct hd_reply *r);
/** Begin to answer @p event on @p fd; what was there before is forgotten, its memory kept. */
void hd_reply_begin(struct hd_reply *r, const struct hd_event *event, int fd);
/**
 * End the answer.
 * @param rc  what the handler returned.
 * @return 0, or HD_ECANCELED: nobody gets it.
 */
int hd_reply_end(struct hd_reply *r, int rc);
/** Send an answer that was ended, and not streamed, again. @return as hd_reply_end(). */
int hd_reply_resend(struct hd_reply *r, int fd);
/** Append an error as JSON: {"errorType", "errorMessage"}. */
void hd_native_error_json(struct hd_buf *out, const char *type, struct hd_str message);
/** Call the handler and end the answer. @return as hd_reply_end(). */
int hd_native_run(const struct hd_native *fn, struct hd_event *event, struct hd_reply *r, int fd);

/* note.c */
/** Choose the style from AWS_LAMBDA_LOG_FORMAT and AWS_LAMBDA_LOG_LEVEL. */
void hd_native_log_init(struct hd_native_log *log, const char *token, bool lambda);
/** Write one line. @param id  NULL: none. */
void hd_native_log_write(const struct hd_native_log *log, enum hd_function_level level,
                         const char *id, struct hd_str text);

/* serve.c */
struct hd_serve_options {
    const char *path;  /* of a Unix socket, or NULL */
    uint16_t port;     /* TCP, when there is no path */
    const char *token; /* 32 hex digits; NULL: an `http` function: no control requests, no load */
    int ready_fd;      /* gets "direct\n" once it listens; -1: nobody is told */
    bool loaded;       /* the init is done, there is no load to wait for */
};
/** Serve the host protocol until SIGTERM. @return an exit code. */
int hd_native_serve(struct hd_native *fn, const struct hd_serve_options *opt);

/* load.c */
/**
 * Take the environment of a load request over.
 * @param lambda  set: it is a Lambda function.
 * @return 0, or HD_EPROTO.
 */
int hd_native_load(bool *lambda, struct hd_str body, struct hd_error *err);

/* rapi.c */
/** Answer events of the Runtime API at @p address ("host:port"). @return an exit code. */
int hd_native_rapi(struct hd_native *fn, const char *address);
/** Report that the init failed. */
void hd_native_rapi_init_error(struct hd_native *fn, const char *address,
                               const struct hd_error *why);
