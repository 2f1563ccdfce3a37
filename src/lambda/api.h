/* lambda/api.h - the management operations of the Lambda API: a request in, an answer out.
 *
 * The door (lambda/door.h) has read the whole body and knows who asks before it calls this; Invoke
 * and its kin never come here. Operations run on the control loop, over the catalog; what they
 * promise is on the disk before they answer. */
#pragma once

#include "core/buf.h"
#include "core/loop.h"

struct hd_api;

/** Who asks, and in which name space. */
struct hd_api_caller {
    struct hd_str account, region; /* the name space: 12 digits; "us-east-1" */
    struct hd_str principal;       /* ARN of the signer; empty: unsigned, or nothing was checked */
    bool checked;                  /* the signature was verified */
};

struct hd_api_request {
    struct hd_str method;
    struct hd_str path;  /* as on the wire, percent-encoded, without the query */
    struct hd_str query; /* as on the wire, without "?" */
    struct hd_str body;
    struct hd_str base_url;   /* "http://127.0.0.1:8766": where the caller reached us */
    struct hd_str request_id; /* UUID; also what the answer's x-amzn-RequestId will say */
    struct hd_api_caller caller;
};

struct hd_api_answer {
    unsigned status;
    const char *error_type; /* x-amzn-ErrorType; NULL: no error */
    struct hd_str body;     /* JSON; empty: none */
    const char *file;       /* instead of a body: a file to send, as application/zip; NULL: none */
    uint32_t retry_after_s; /* 0: none */
};

/** @return whether this path is one of the API's (it begins with a date, or is a download). */
bool hd_api_is_path(struct hd_str path);
/**
 * Carry it out. Any loop of the node.
 * @param request  copied.
 * @param done     on @p loop, exactly once, never from inside; the answer is borrowed until return.
 */
void hd_api_handle(struct hd_api *api, const struct hd_api_request *request, struct hd_loop *loop,
                   void (*done)(void *arg, const struct hd_api_answer *answer), void *arg);
