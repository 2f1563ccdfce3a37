/* heddle/invoke.h - the one invocation between every door and every invoker: request head, body
 * stream, response head, body stream, with back-pressure both ways. */
#pragma once

#include <heddle/error.h>
#include <heddle/str.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One header field; the value is without blanks at its ends. */
struct hd_field {
    struct hd_str name, value;
};

enum {
    HD_BODY_NONE = 0,     /* a body of 0 bytes */
    HD_BODY_UNKNOWN = -1, /* as long as the stream is */
};

/** What is asked; all borrowed until hd_invocation_start() returns. */
struct hd_request_head {
    struct hd_str method;
    struct hd_str path;            /* origin-form with query, as the function sees it */
    struct hd_str authority;       /* Host; empty: none */
    const struct hd_field *fields; /* end-to-end fields, without Host and framing */
    size_t n_fields;
    int64_t body_bytes;    /* 0 or more, or HD_BODY_UNKNOWN */
    struct hd_str upgrade; /* "websocket", ...: the door can tunnel; empty: no */
};

/** What is answered; all borrowed until the callback returns. */
struct hd_response_head {
    unsigned status;               /* 100 to 599 */
    struct hd_str reason;          /* may be empty */
    const struct hd_field *fields; /* end-to-end fields, without framing */
    size_t n_fields;
    int64_t body_bytes;    /* 0 or more, or HD_BODY_UNKNOWN */
    struct hd_str upgrade; /* status 101: what the connection becomes */
};

struct hd_invocation;

/**
 * What an invoker tells the door, on the loop of the invocation and never from inside a call of the
 * door. Order: on_info*, on_response, on_body*; or on_error at any time, last.
 * After `end` or on_error the invoker has forgotten the invocation.
 */
struct hd_invocation_events {
    /** An informational answer, 100 to 199 but 101. */
    void (*on_info)(struct hd_invocation *inv, const struct hd_response_head *head);
    /**
     * The answer's head with the first bytes of its body, so that both fit one write.
     * Status 101: from here on both directions are raw bytes.
     * @param end  the body is complete; nothing follows.
     */
    void (*on_response)(struct hd_invocation *inv, const struct hd_response_head *head,
                        struct hd_str body, bool end);
    /** @param end  as in on_response; bytes may be empty then. */
    void (*on_body)(struct hd_invocation *inv, struct hd_str bytes, bool end);
    /** Trailers of the answer: right before the on_body with @p end. NULL: they are dropped. */
    void (*on_trailers)(struct hd_invocation *inv, const struct hd_field *fields, size_t n);
    /** The invoker can take request body again after hd_invocation_write() returned false. */
    void (*on_writable)(struct hd_invocation *inv);
    /** It failed; whether the answer's head went out is for the door to know. */
    void (*on_error)(struct hd_invocation *inv, const struct hd_error *err);
};

/** How an invoker carries it out. */
struct hd_invoker_ops {
    void (*start)(struct hd_invocation *inv, const struct hd_request_head *head, struct hd_str body,
                  bool end);
    bool (*write)(struct hd_invocation *inv, struct hd_str bytes, bool end);
    void (*trailers)(struct hd_invocation *inv, const struct hd_field *fields,
                     size_t n); /* or NULL */
    void (*pause)(struct hd_invocation *inv, bool paused);
    void (*cancel)(struct hd_invocation *inv, int why);
};

/** Lies inside the door's own struct; the door keeps it alive until `end`, on_error or cancel. */
struct hd_invocation {
    const struct hd_invocation_events *events; /* the door's */
    const struct hd_invoker_ops *ops;          /* the invoker's */
    void *impl;                                /* the invoker's state, NULL when it has none */
};

/**
 * Hand it over. @p body is the first part of the request's body, all of it if @p end.
 * Events come later, never from inside.
 */
static inline void hd_invocation_start(struct hd_invocation *inv,
                                       const struct hd_request_head *head, struct hd_str body,
                                       bool end)
{
    inv->ops->start(inv, head, body, end);
}
/**
 * Send more of the request's body; borrowed until return.
 * @return false: taken, but wait for on_writable before the next one.
 */
static inline bool hd_invocation_write(struct hd_invocation *inv, struct hd_str bytes, bool end)
{
    return inv->ops->write(inv, bytes, end);
}
/** Trailers of the request's body, for the end that comes next. Copied; dropped where the invoker
 *  has no way to send them. */
static inline void hd_invocation_trailers(struct hd_invocation *inv, const struct hd_field *fields,
                                          size_t n)
{
    if (inv->ops->trailers != NULL)
        inv->ops->trailers(inv, fields, n);
}
/** Stop or resume the flow of the answer; a little more may come after a pause. */
static inline void hd_invocation_pause(struct hd_invocation *inv, bool paused)
{
    inv->ops->pause(inv, paused);
}
/**
 * Take it back: no event follows, and the invoker forgets it before this returns.
 * @param why  HD_ECANCELED: the client went away; HD_ETIMEOUT: too slow, the instance is suspect.
 */
static inline void hd_invocation_cancel(struct hd_invocation *inv, int why)
{
    inv->ops->cancel(inv, why);
}

#ifdef __cplusplus
}
#endif
