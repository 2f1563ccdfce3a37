/* lanes/lanes.h - the lanes of a node as its other parts see them: emit an event, call a task,
 * without knowing where they go.
 *
 *   emit ─► event lane? ─► queue ─► (a consumer, here or elsewhere) ─► hooks
 *        ─► rpc lane?   ─► served here: hooks; else the communicator
 *        ─► neither     ─► hooks, here and now
 *   call ─► served or unassigned: the function; else the communicator */
#pragma once

#include "invoke/call.h"
#include "lanes/run.h"
#include "lanes/topology.h"
#include "store/store.h"

struct hd_lanes;
struct hd_journey; /* a call under way */

struct hd_lanes_options {
    struct hd_topology *topology;     /* takes ownership */
    struct hd_loop *const *loops;     /* [0] is the control loop */
    struct hd_net *const *nets;       /* one a loop */
    struct hd_caller *const *callers; /* one a loop */
    unsigned n_loops;
    const struct hd_targets *targets; /* to find functions by name */
    struct hd_store *store;
    struct hd_log *log;
    const char *files_dir; /* absolute; holds files of inputs while their task runs; copied; NULL:
                              such inputs are refused */
    const struct hd_lane_native *natives; /* functions in this process; borrowed */
    size_t n_natives;
    /** Make a listening socket for each loop, sharing one port. @return 0, or a code. */
    int (*listen)(void *arg, int *fds, unsigned n, const char *host, uint16_t *port,
                  struct hd_error *err);
    void *listen_arg;
};

/** @return 0 and *out; or HD_EINVAL, HD_EIO (a broker that cannot be reached, ...). */
int hd_lanes_new(struct hd_lanes **out, const struct hd_lanes_options *opt, struct hd_error *err);
/** The node is ready: consumers and the exposure start. Control loop.
 *  @return 0; or what listening fails with. */
int hd_lanes_start(struct hd_lanes *l, struct hd_error *err);
/** @return the loop that hd_lanes_status() and hd_lanes_metrics() are called on. */
struct hd_loop *hd_lanes_control(const struct hd_lanes *l);
/** @return where the exposure listens; 0: it does not. */
uint16_t hd_lanes_port(const struct hd_lanes *l);
/** Stop consuming and accepting; what is under way is finished and settled. @p done later. */
void hd_lanes_cooldown(struct hd_lanes *l, void (*done)(void *arg), void *arg);
/** After cooldown: close queues and connections. @p done later; then free. */
void hd_lanes_close(struct hd_lanes *l, void (*done)(void *arg), void *arg);
void hd_lanes_free(struct hd_lanes *l); /* NULL is fine */

/** Who asks, and with what; all borrowed until return. */
struct hd_lane_message {
    struct hd_str name;        /* local name, alias or wire id */
    struct hd_str body;        /* JSON; empty: undefined */
    bool octets;               /* tasks: the body is bytes of any kind */
    bool typed;                /* body and answer are typed text, else plain */
    bool want_payload;         /* events: the payload after all hooks */
    struct hd_str contexts;    /* JSON object: context id or name -> string; empty: none */
    struct hd_str request_id;  /* empty: a new one */
    struct hd_str traceparent; /* empty: none */
    struct hd_str cloud;       /* events: attributes of a CloudEvent, a JSON object; empty: none */
    struct hd_str source_kind, source_id;    /* "task", "app.tasks.x"; empty: runtime.api */
    const struct hd_lane_run_stream *stream; /* tasks: takes an answer that streams, with done's
                                                arg; static. NULL: such an answer is an error */
};

/** What became of it; borrowed until return. */
struct hd_lane_answer {
    unsigned status;    /* as the function-facing API says it */
    struct hd_str body; /* its JSON body */
    bool retryable;
    bool streamed; /* it went to the stream: all of it with status 200, else it broke off */
};
typedef void hd_lane_done_fn(void *arg, const struct hd_lane_answer *answer);

/** @p done on @p loop_index's loop, exactly once, never from inside. On that loop. */
void hd_lanes_emit(struct hd_lanes *l, unsigned loop_index, const struct hd_lane_message *m,
                   hd_lane_done_fn *done, void *arg);
/** @return what is under way until done() is called. */
struct hd_journey *hd_lanes_call(struct hd_lanes *l, unsigned loop_index,
                                 const struct hd_lane_message *m, hd_lane_done_fn *done, void *arg);
/** More of a stream may come, after on_data() returned false. */
void hd_lanes_call_resume(struct hd_journey *call);
/** Nobody waits any more: the function here, or the peer, is told; done() is not called. */
void hd_lanes_call_cancel(struct hd_journey *call);
/** Dead letters of an event lane's queue; NULL: the queue keeps none that we can show. */
const char *hd_lanes_queue_of(const struct hd_lanes *l, struct hd_str lane_or_queue);
/** @param queue  as hd_lanes_queue_of() has it. @return whether a lane of this node takes from it.
 */
bool hd_lanes_consumes(const struct hd_lanes *l, const char *queue);
/** Append the status JSON: profile, mode, lanes, queues, connections. Control loop. */
void hd_lanes_status(struct hd_lanes *l, struct hd_buf *out);
/** Append metrics in Prometheus text form. Control loop. */
void hd_lanes_metrics(struct hd_lanes *l, struct hd_buf *out);
