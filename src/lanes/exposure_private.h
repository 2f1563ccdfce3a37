/* lanes/exposure_private.h - one request to the exposure, shared by its two files: exposure.c
 * decides who may ask what, exposure_call.c reads the body, runs it and answers. */
#pragma once

#include "core/id.h"
#include "lanes/exposure.h"
#include "lanes/rpcwire.h"

enum {
    HD_RPC_ID_MAX = 128, /* of a request id that is taken over */
    HD_RPC_CONTEXT_MAX = 16 * 1024,
    HD_RPC_FIELDS = 10, /* that an answer of ours has, at most */
};

struct hd_exposure {
    struct hd_exposure_loop opt;
    const struct hd_exposure_options *config;
    struct hd_server *server;
    struct hd_rng rng;
    struct hd_list requests; /* struct hd_rpc */
};

/* The stages of a request; what a stage needs of the head was kept by the one before. */
struct hd_rpc {
    struct hd_exposure *exposure;
    struct hd_exchange *ex; /* NULL: answered, or gone */
    struct hd_list link;
    struct hd_arena arena; /* texts of the head */
    struct hd_buf body;
    uint64_t start_us;
    const struct hd_lane_task *task; /* one of the two */
    const struct hd_lane_event *event;
    const struct hd_rpc_lane *lane;
    struct hd_str *lane_tokens; /* of each RPC lane: its header's value, until the lane is known */
    struct hd_str id, method, path, origin, token, contexts, traceparent, content_type;
    struct hd_str asked_headers; /* Access-Control-Request-Headers */
    struct hd_call *validation;
    struct hd_lane_run *run;
    bool body_complete, waiting; /* waiting: for the validator; the body stands still */
    bool in_base;
};

/* exposure.c */

/** Answer and forget. @p body  JSON. */
void hd_rpc_answer(struct hd_rpc *r, unsigned status, struct hd_str body, const char *code);
void hd_rpc_refuse(struct hd_rpc *r, struct hd_lane_error error);
/** @return the claims that the request's token must make. */
struct hd_lane_claims hd_rpc_claims(const struct hd_rpc *r);

/* exposure_call.c */

/** It may ask this: take what came of the body. */
void hd_rpc_begin(struct hd_rpc *r, struct hd_str body, bool end);
void hd_rpc_body(struct hd_rpc *r, struct hd_str bytes, bool end);
