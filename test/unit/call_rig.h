/* call_rig.h - the real pool and caller on one loop, and instances that are HTTP servers in the
 * same program: what they do is said by the event. */
#pragma once

#include "http/server.h"
#include "invoke/admission.h"
#include "invoke/call.h"
#include "pool/channel.h"
#include "pool/set.h"
#include "test.h"

enum { CALL_RIG_DEADLINE_MS = 10000, CALL_RIG_FLUSH_MS = 2 };

struct call_rig_instance;

struct call_rig {
    struct hd_backend base;
    struct hd_loop *loop;
    struct hd_net *net;
    struct hd_pool_set *set;
    struct hd_pool *pool;
    struct hd_target *target;
    struct hd_account_quota *quota;
    struct hd_caller *caller;
    char dir[64];
    struct hd_list instances;
    unsigned launched, requests, alive, killed;
    char body[65536];  /* of the last request */
    char head[2048];   /* its fields, a line each */
    char lines[16384]; /* what the platform logged */
    /* how instances behave */
    bool refuses;        /* ends before it is ready, with exit code 1 */
    bool silent_refusal; /* same, but nobody knows how */
    bool never_ready;
    bool stillborn;
    bool always;         /* "undelivered" is said by every instance, not by the first only */
    const char *garbage; /* printed before the first request */
};

/** One call's story. */
struct call_rig_outcome {
    unsigned heads, ends;
    bool streaming, hold;
    enum hd_call_outcome outcome;
    char data[65536];
    size_t data_bytes;
    char payload[65536], tail[8192], type[128], error_type[128], error[240], reason[128];
    char request_id[40], xray[400];
    int code;
    bool delivered;
    uint64_t duration_us, init_us;
};

void call_rig_start(struct call_rig *r, const struct hd_pool_limits *limits);
/** End everything; every place and every admission must be back. */
void call_rig_stop(struct call_rig *r);
void call_rig_turn(struct call_rig *r);
/** Begin a call. @p request may be NULL. */
struct hd_call *call_rig_call(struct call_rig *r, const char *event,
                              const struct hd_call_request *request, struct call_rig_outcome *out);
/** The instance that took the last request ends as if by itself. */
void call_rig_crash(struct call_rig *r, int signal, int code, bool oom);
/** @return instances of the pool that are ready. */
unsigned call_rig_ready(struct call_rig *r);

#define call_rig_until(r, condition)                         \
    do {                                                     \
        for (int left = CALL_RIG_DEADLINE_MS * 2;; left--) { \
            if (condition)                                   \
                break;                                       \
            assert_true(left > 0);                           \
            call_rig_turn(r);                                \
        }                                                    \
    } while (0)
