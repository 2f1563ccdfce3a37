/* invoke/private.h - a call under way, for the sources that carry it; nobody else includes it. */
#pragma once

#include "core/log.h"
#include "http/client.h"
#include "invoke/admission.h"
#include "invoke/call.h"
#include "invoke/fault.h"
#include "invoke/lines.h"
#include "invoke/platform.h"
#include "invoke/wire.h"
#include "invoke/xray.h"
#include "pool/witness.h"

enum {
    HD_CALL_EVENT_KEPT = 2048, /* an event up to this size needs no memory of its own */
    HD_CALL_TAIL_BYTES = 4096, /* of the log that the caller gets */
    HD_CALL_TEXT_BYTES = 256 * 1024,
};

enum hd_call_stage {
    HD_CALL_WAITING,
    HD_CALL_LISTENING,
    HD_CALL_RUNNING,
    HD_CALL_SETTLING,
    HD_CALL_LATER,
};

struct hd_caller {
    struct hd_caller_options opt;
    struct hd_slab calls;
    struct hd_lines *lines;
    unsigned active;
};

struct hd_call {
    struct hd_caller *caller;
    struct hd_target *target;
    const struct hd_call_events *events; /* NULL: nobody waits any more */
    void *arg;
    struct hd_admission_slot slot;
    struct hd_lease lease;
    struct hd_client_conn *conn;
    struct hd_timer timer; /* the deadline; or LATER's end */
    struct hd_witness witness;
    struct hd_buf head, event, answer, text; /* text: START and INIT_START, for the tail */
    struct hd_wire_answer wire;
    struct hd_call_result result;
    enum hd_call_failure failure;
    enum hd_call_stage stage;
    struct hd_trace trace;
    uint64_t sent_us, ended_us, max_answer_bytes;
    uint32_t timeout_ms;
    unsigned tries;
    bool want_stream, want_tail, streaming, paused, begun, too_large, stop, timed_out, broken;
    bool init_again; /* the second start of an init that took too long */
    bool starting;   /* hd_call_start() has not returned */
    bool placed;     /* an instance has it, or had it */
    bool again;      /* no instance got it: another one is tried */
    bool leaving;    /* that instance said that it ends */
    bool quiet;      /* no lines: nobody reads the log of such a call */
    char request_id[HD_UUID_CHARS + 1];
    char xray[HD_XRAY_CHARS];
    char head_bytes[1024], event_bytes[HD_CALL_EVENT_KEPT];
};

static inline struct hd_loop *hd_call_loop(const struct hd_call *c)
{
    return c->caller->opt.net->loop;
}

static inline int64_t hd_call_unix_ms(const struct hd_call *c)
{
    return hd_net_unix_ms(c->caller->opt.net);
}

/* outcome.c: what the result is */

/** It did not run, or nobody knows. */
void hd_call_failed(struct hd_call *c, enum hd_call_outcome outcome, const struct hd_error *err,
                    const char *reason);
void hd_call_timed_out(struct hd_call *c);
/** The connection broke; the witness has said what became of the instance. */
void hd_call_broken(struct hd_call *c);
/** It was refused a place. */
void hd_call_refused(struct hd_call *c, const struct hd_error *err);
/** A whole answer came. @param body  all of it; of a stream: what was not passed on. */
void hd_call_answered(struct hd_call *c, struct hd_str body);

/* ending.c: lines, and the one way out */

/** Write a line about the call to the log. */
void hd_call_log(struct hd_call *c, int level, struct hd_str text);
/** Write a platform line to the log and to the text for the tail. */
void hd_call_platform(struct hd_call *c, enum hd_platform_line line,
                      const struct hd_platform_report *report);
/** It is over: tells, counts, gives everything back, and frees it after on_end. */
void hd_call_over(struct hd_call *c);
/** The same in a turn of its own, from inside of a call of the owner. */
void hd_call_over_later(struct hd_call *c);
/** Give back and free, and nobody is told. */
void hd_call_drop(struct hd_call *c);
