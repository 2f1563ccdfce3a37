/* lambda/sources/esm_call.h - batches of event sources as calls of functions: the sink behind
 * pollers. */
#pragma once

#include "invoke/call.h"
#include "lambda/sources/esm_poll.h"

struct hd_esm_call;

/** All borrowed, on one loop. */
struct hd_esm_call_options {
    struct hd_loop *loop;
    struct hd_caller *caller;
    const struct hd_targets *targets;
    /**
     * Send what is given up to a destination.
     * @param record  JSON, borrowed until return.
     * @param done    once, later; NULL: the destination has it.
     */
    void (*give_up)(void *arg, const struct hd_esm_mapping *m, struct hd_str record,
                    void (*done)(void *done_arg, const struct hd_error *err), void *done_arg);
    void *arg; /* give_up NULL: there are no destinations */
};

struct hd_esm_call *hd_esm_call_new(const struct hd_esm_call_options *opt);
/** No call may be under way. NULL is fine. */
void hd_esm_call_free(struct hd_esm_call *c);

/** What pollers call by; the sink is the struct hd_esm_call. */
extern const struct hd_esm_sink_ops hd_esm_call_ops;
