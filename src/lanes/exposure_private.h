/* lanes/exposure_private.h - one request to the exposure, shared by its files: exposure.c decides
 * who may ask what, exposure_call.c reads the body and runs it, exposure_form.c takes forms with
 * files apart, exposure_answer.c answers. */
#pragma once

#include "core/id.h"
#include "lanes/exposure.h"
#include "lanes/rpcwire.h"

enum {
    HD_RPC_CONTEXT_MAX = 16 * 1024,
    HD_RPC_FIELDS = 10,           /* that an answer of ours has, at most */
    HD_RPC_VALUES_MAX = 64 << 20, /* of an input that was read, or an answer */
};

struct hd_exposure {
    struct hd_exposure_loop opt;
    const struct hd_exposure_options *config;
    struct hd_server *server;
    struct hd_rng rng;
    struct hd_list requests; /* struct hd_rpc */
    unsigned spools;         /* folders of files that are not removed yet */
    bool server_closed;
    void (*closed)(void *arg);
    void *closed_arg;
};

struct hd_rpc_form;   /* a form with files that is being read; exposure_form.c */
struct hd_rpc_stream; /* an answer that streams; exposure_answer.c */

/** How the body of a task's request is read. */
enum hd_rpc_mode { HD_RPC_JSON, HD_RPC_FORM, HD_RPC_OCTETS };

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
    bool *freed; /* set when it is freed; NULL: nobody asks */
    struct hd_lane_run *run;
    struct hd_rpc_form *form;     /* NULL: the body is none */
    struct hd_rpc_stream *stream; /* NULL: the answer does not stream */
    enum hd_rpc_mode mode;
    bool body_complete, waiting; /* waiting: for the validator; the body stands still */
    bool in_base;
};

/* exposure.c */

/** @return the claims that the request's token must make. */
struct hd_lane_claims hd_rpc_claims(const struct hd_rpc *r);
/** For hd_spool_free() of a request's files; the exposure counts them. */
void hd_exposure_spool_gone(void *exposure);
/** Its last use: what it had is freed. */
void hd_rpc_free(struct hd_rpc *r);

/* exposure_answer.c */

/** Answer and forget. @p body  JSON. */
void hd_rpc_answer(struct hd_rpc *r, unsigned status, struct hd_str body, const char *code);
void hd_rpc_refuse(struct hd_rpc *r, struct hd_lane_error error);
/** Answer an OPTIONS request. */
void hd_rpc_preflight(struct hd_rpc *r);
/** Count how it ended. */
void hd_rpc_count(const struct hd_rpc *r, const char *code);
/** What came of the run: answer. For hd_lane_run_task() and its sister, with the request. */
void hd_rpc_on_ran(void *request, const struct hd_lane_run_result *result);
/** How an answer that streams goes out. */
extern const struct hd_lane_run_stream hd_rpc_streaming;
void hd_rpc_stream_free(struct hd_rpc_stream *s); /* NULL is fine */

/* exposure_call.c */

/** It may ask this: take what came of the body. */
void hd_rpc_begin(struct hd_rpc *r, struct hd_str body, bool end);
void hd_rpc_body(struct hd_rpc *r, struct hd_str bytes, bool end);
/** Run the task or the event's hooks. */
void hd_rpc_run(struct hd_rpc *r, struct hd_arena *arena, const struct hd_rpc_body *body);

/* exposure_form.c */

/** Begin to read a form. @return false: it was refused. */
bool hd_rpc_form_begin(struct hd_rpc *r);
/** More of it; ends in a run or a refusal. */
void hd_rpc_form_feed(struct hd_rpc *r, struct hd_str bytes, bool end);
/** Also while files are still written. NULL is fine. */
void hd_rpc_form_free(struct hd_rpc_form *f);
