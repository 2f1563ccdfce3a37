/* http/fetch.h - outbound HTTP off the hot path (key sets, cloud APIs, container engines), by
 * libcurl on a loop. */
#pragma once

#include "core/loop.h"

#include <heddle/invoke.h>
#include <sys/types.h>

/** The connections of one loop. All of this header: its thread only. */
struct hd_fetcher;
/** One request under way. */
struct hd_fetch;

/** Who we are and whom we trust: paths of PEM files, NULL: nobody, and what the system trusts. */
struct hd_fetch_tls {
    const char *ca, *cert, *key;
};

/** All borrowed until hd_fetch_start() returns. */
struct hd_fetch_request {
    const char *method; /* NULL: "GET" */
    const char *url;    /* http:// or https:// */
    const struct hd_field *fields;
    size_t n_fields;
    struct hd_str body; /* ptr NULL: none */
    const int *body_fd; /* a file that is read from its start to its end as the body, instead;
                         * open until the end; NULL: none */
    const struct hd_fetch_tls *tls; /* NULL: what the system trusts */
    const char *unix_socket;        /* connect there, whatever the URL's host is; NULL: no */
    uint32_t timeout_ms;            /* from start to end, 1 or more */
    size_t max_body_bytes;          /* of the answer */
    uint32_t max_redirects; /* followed to http or https, from https to https only; 0: none */
    bool connect_only;      /* nothing is sent: see http/upgrade.h, which is who uses it */
    /** The body of an answer with status 200, as it comes, instead of in the result; NULL: the
     *  result has it. max_body_bytes is then for what comes in one turn. May start and cancel. */
    void (*on_part)(void *arg, struct hd_str bytes);
};

/** Valid during the callback. */
struct hd_fetch_result {
    unsigned status;   /* 100 to 599 */
    struct hd_str url; /* of the last redirect */
    struct hd_str body;
    const struct hd_field *fields; /* of the last answer; names as received */
    size_t n_fields;
};

/**
 * The end, exactly once, never from inside start or cancel. The fetch is gone when it returns; it
 * may start others.
 * @param result  NULL with an error, and only then.
 * @param err     HD_ETIMEOUT, HD_ECANCELED, HD_EPROTO (an answer over the limit), HD_EIO; or NULL.
 */
typedef void hd_fetch_done_fn(void *arg, const struct hd_fetch_result *result,
                              const struct hd_error *err);

/** @return never NULL; to be ended with hd_fetcher_close(). libcurl is loaded by the first fetch.
 */
struct hd_fetcher *hd_fetcher_new(struct hd_loop *loop);
struct hd_loop *hd_fetcher_loop(const struct hd_fetcher *f);
/** Cancel what is under way, close, free; then @p done, later. */
void hd_fetcher_close(struct hd_fetcher *f, void (*done)(void *arg), void *arg);
/** @return 0 and *out, valid until @p done; or HD_EINVAL or HD_EIO, and @p done is not called. */
int hd_fetch_start(struct hd_fetch **out, struct hd_fetcher *f,
                   const struct hd_fetch_request *request, hd_fetch_done_fn *done, void *arg,
                   struct hd_error *err);
/** Give up: done() follows with HD_ECANCELED, later. */
void hd_fetch_cancel(struct hd_fetch *fetch);
/**
 * With connect_only, done() comes twice: with a result when the connection is there, TLS and all,
 * and with HD_ECANCELED after hd_fetch_cancel(), which closes it. These three are for in between.
 * @return its socket, to be watched.
 */
int hd_fetch_socket(const struct hd_fetch *fetch);
/** Both: @return bytes; 0: none for now; or HD_EIO: broken, or (read) at its end. */
ssize_t hd_fetch_read(struct hd_fetch *fetch, char *into, size_t bytes, struct hd_error *err);
ssize_t hd_fetch_write(struct hd_fetch *fetch, struct hd_str bytes, struct hd_error *err);
/** @return the value of the first field of that name, or {NULL, 0}. ASCII case is ignored. */
struct hd_str hd_fetch_field(const struct hd_fetch_result *result, const char *name);
