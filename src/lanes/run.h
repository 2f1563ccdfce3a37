/* lanes/run.h - run here what this node serves: a task's function, an event's hooks. One per loop.
 *
 * The exposure, the consumers and local emissions all come here; what they have in common is a
 * typed value going in, and a typed value or an error of the lanes' wire coming out. */
#pragma once

#include "invoke/call.h"
#include "lanes/topology.h"
#include "lanes/typed.h"

struct hd_lane_runner;
struct hd_lane_run; /* one under way */

/** A function inside this process, for programs that embed the node. */
struct hd_lane_native {
    const char *function; /* the name that tasks and hooks give */
    /** @param answer  what it returns, JSON; empty: nothing. @return 0; else the call failed. */
    int (*run)(void *arg, struct hd_str event, struct hd_str client_context, struct hd_buf *answer);
    void *arg;
};

struct hd_lane_runner_options {
    const struct hd_topology *topology; /* all borrowed */
    const struct hd_targets *targets;
    struct hd_caller *caller;
    struct hd_log *log;
    const struct hd_lane_native *natives;
    size_t n_natives;
};
struct hd_lane_runner *hd_lane_runner_new(const struct hd_lane_runner_options *opt);
/** Nothing may be under way. NULL is fine. */
void hd_lane_runner_free(struct hd_lane_runner *r);

/** Who takes an answer as it comes; with the `arg` of done(), before it, never from inside a call
 * of ours. A run is not canceled from inside these. */
struct hd_lane_run_stream {
    /** The function streams something else than JSON. */
    void (*on_head)(void *arg, struct hd_str content_type);
    /** @return false: enough for now; hd_lane_run_resume() later. */
    bool (*on_data)(void *arg, struct hd_str bytes);
};

/** What is run; all borrowed until return. */
struct hd_lane_run_request {
    const struct hd_typed *value; /* input or payload; NULL: undefined */
    struct hd_str contexts;       /* JSON object: canonical context id -> string; empty: none */
    struct hd_str request_id;     /* empty: a new one */
    struct hd_str traceparent;
    struct hd_str lane;                      /* empty: none, it came from this node */
    const struct hd_lane_run_stream *stream; /* tasks; static. NULL: all answers are values */
    /* events */
    struct hd_str message_id, source_kind, source_id, created_at;
    struct hd_str cloud; /* attributes of the CloudEvent that it came as; empty: it did not */
    uint32_t attempt;
    const struct hd_strings *only; /* ids of the hooks that may run; NULL: all */
    bool want_payload;             /* a hook may replace the payload for the next */
};

/** An error as it goes over the wire. */
struct hd_lane_error {
    unsigned status;  /* of HTTP */
    const char *code; /* "INTERNAL_ERROR", ... static */
    struct hd_str message;
    struct hd_str id;     /* canonical id of a declared error; empty: not one */
    struct hd_str data;   /* its JSON; with an id always an object */
    unsigned http_code;   /* 0: none */
    struct hd_str reason; /* for logs, never for the wire */
};

/** Borrowed until done() returns. */
struct hd_lane_run_result {
    bool ok;
    struct hd_str value; /* canonical typed text: result, or with want_payload the payload; of a
                            stream: nothing */
    struct hd_lane_error error;
    unsigned hooks_run; /* that succeeded */
};
typedef void hd_lane_run_done_fn(void *arg, const struct hd_lane_run_result *result);

/**
 * Begin. @p done exactly once, on this loop: later; or from inside, when all of it was native.
 * @return what is under way, for hd_lane_run_cancel(); NULL: done() has been called.
 */
struct hd_lane_run *hd_lane_run_task(struct hd_lane_runner *r, const struct hd_lane_task *task,
                                     const struct hd_lane_run_request *request,
                                     hd_lane_run_done_fn *done, void *arg);
/** Hooks run in their order, the first failure ends it; of a parallel event those of the same order
 *  run together. No hook is success. */
struct hd_lane_run *hd_lane_run_event(struct hd_lane_runner *r, const struct hd_lane_event *event,
                                      const struct hd_lane_run_request *request,
                                      hd_lane_run_done_fn *done, void *arg);
void hd_lane_run_resume(struct hd_lane_run *run);
/** Nobody waits any more; done() is not called. The functions are stopped. */
void hd_lane_run_cancel(struct hd_lane_run *run);
