/* pool/process/hostclient.h - one small HTTP request to an instance's control interface or health
 * path. */
#pragma once

#include "core/loop.h"

#include <heddle/sys/backend.h>

struct hd_hostcall;

enum { HD_HOSTCALL_REQUEST_MAX = 4 << 20, HD_HOSTCALL_ANSWER_MAX = 4 << 20 };

struct hd_hostcall_request {
    struct hd_endpoint at[2]; /* where; with two, the one that takes the connection */
    unsigned n_at;            /* 1 or 2 */
    bool retry;               /* not listening yet: try again until the deadline */
    const char *method, *path;
    const char *token;  /* x-heddle-token, or NULL */
    struct hd_str body; /* JSON, or empty: none */
    uint32_t within_ms; /* for all of it, 1 or more */
};

struct hd_hostcall_answer {
    int rc; /* 0: there is an answer; HD_ETIMEOUT, HD_EPROTO or HD_EIO: there is none, see err */
    unsigned status;
    struct hd_str body;
    const struct hd_endpoint *at; /* which one answered */
    const struct hd_error *err;
};

/**
 * Start it; everything is copied. @p done is called exactly once, later; what it is given is valid
 * until it returns, and the call is gone then. Loop thread.
 */
struct hd_hostcall *hd_hostcall_start(struct hd_loop *loop, const struct hd_hostcall_request *req,
                                      void (*done)(void *arg, const struct hd_hostcall_answer *a),
                                      void *arg);
/** Forget it: done is not called. NULL is fine. Its memory goes back when its handle is closed. */
void hd_hostcall_cancel(struct hd_hostcall *c);
