/* cli/fetch.h - one HTTP request of a command, blocking: to the public port, or to the admin
 * socket of a running node. */
#pragma once

#include "core/buf.h"

struct hd_fetch {
    const char *socket;        /* path of a Unix socket, or NULL: TCP as the URL says */
    const char *url;           /* "http://127.0.0.1:3100/functions/v1/hello?x" */
    const char *method;        /* "GET" */
    const char *const *fields; /* "name: value", NULL-terminated, or NULL */
    struct hd_str body;        /* sent if has_body */
    bool has_body;
    int body_fd;                 /* streamed as the body if 0 or more; has_body must be false */
    unsigned connect_timeout_ms; /* 0: 5 s */
    unsigned timeout_ms;         /* for the whole answer; 0: none, for what follows a log */
    /** The final answer's status, before its body. */
    void (*on_status)(void *arg, unsigned status, const char *reason);
    /** One header field of it, "name: value" without a line break; may be NULL. */
    void (*on_field)(void *arg, struct hd_str line);
    /** A part of the body. @return false: enough. */
    bool (*on_body)(void *arg, struct hd_str bytes);
    void *arg;
};

/**
 * Send it and hand out the answer. Proxies and redirects are not followed.
 * @return the status, 100 to 599; HD_ENOTFOUND: nobody listens there (or the name does not exist);
 *         HD_ETIMEOUT; HD_ECANCELED: on_body said so; HD_EPROTO; HD_EIO.
 */
int hd_fetch_send(const struct hd_fetch *request, struct hd_error *err);
