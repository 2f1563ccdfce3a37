/* lambda/door/urlevent.h - function URLs: whose URL a Host is, and an HTTP request as the event
 * that the function gets (payload format 2.0). Pure. lambda/door/urlanswer.h is the way back. */
#pragma once

#include "core/buf.h"

#include <heddle/invoke.h>

/** The parts of "<id>.lambda-url.<region>.<domain>[:port]". */
struct hd_url_host {
    struct hd_str id, region; /* as received: compare without regard to case */
    struct hd_str name;       /* all of it without the port */
    struct hd_str port;       /* digits; empty: none */
};
/**
 * Take a Host apart. Letters of any case; a dot at the end is fine.
 * @param domain  "localhost", "functions.example.com".
 * @return whether it is the host of a function URL below @p domain.
 */
bool hd_url_host_parse(struct hd_url_host *out, struct hd_str authority, struct hd_str domain);

/** Who signed, with AuthType AWS_IAM. */
struct hd_url_iam {
    struct hd_str access_key, account, arn, user_id;
};

/** All borrowed until return. */
struct hd_url_request {
    const struct hd_request_head *head; /* fields end-to-end; the path with its query */
    struct hd_str body;
    struct hd_str id;        /* of the URL */
    struct hd_str domain;    /* its host name, without a port */
    struct hd_str source_ip; /* the client's, behind trusted proxies too */
    struct hd_str scheme;    /* "http", "https": as the client spoke */
    uint16_t port;           /* where it connected to */
    struct hd_str protocol;  /* "HTTP/1.1" */
    struct hd_str trace;     /* X-Amzn-Trace-Id; empty: none */
    struct hd_str request_id;
    const struct hd_url_iam *iam; /* NULL: AuthType NONE */
    struct hd_str claims;         /* of a token that was verified, a JSON object; empty: none */
    int64_t now_unix_ms;
};

/**
 * Append the event's JSON. Text that is not UTF-8 has U+FFFD where it is broken; a body is text
 * only if its type says so and it is UTF-8, else it is base64.
 * @return 0; or HD_EBUSY: longer than @p out may become (answer 413).
 */
int hd_url_event(struct hd_buf *out, const struct hd_url_request *req, struct hd_error *err);
