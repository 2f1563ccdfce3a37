/* lanes/journey.h - one emission or call under way, and how it is answered. For router.c. */
#pragma once

#include "lanes/lanes_private.h"
#include "core/span.h"

enum { HD_JOURNEY_VALUES_MAX = 64 << 20, HD_JOURNEY_INLINE = 1024 };

struct hd_journey {
    struct hd_lanes_loop *loop;
    struct hd_list link; /* while it waits for the next turn */
    struct hd_arena arena;
    struct hd_lane_message m; /* its texts lie in the arena */
    const struct hd_lane_task *task;
    const struct hd_lane_event *event;
    struct hd_typed *value;
    struct hd_str id, contexts; /* of the message; contexts: those that the lane lets pass */
    struct hd_buf envelope;
    struct hd_span span;     /* "emit" or "call" */
    struct hd_error failure; /* of publishing */
    bool failed;
    struct hd_lane_run *run;  /* of a task, here ... */
    struct hd_rpc_call *call; /* ... or at a peer; else it did not depart yet */
    uint64_t called_us;       /* when the peer was called */
    bool streams;             /* the answer goes to m.stream */
    bool canceled;            /* nobody waits for the refusal */
    hd_lane_done_fn *done;
    void *arg;
    char first_arena[HD_JOURNEY_INLINE],
        first_envelope[HD_JOURNEY_INLINE]; /* small messages need no more */
};

void hd_journey_free(struct hd_journey *j);

/* Answers: the last use of it. */

void hd_journey_answer(struct hd_journey *j, unsigned status, struct hd_str body, bool retryable);
void hd_journey_error(struct hd_journey *j, const struct hd_lane_error *error, bool retryable);
void hd_journey_refuse(struct hd_journey *j, unsigned status, const char *code, const char *message,
                       bool retryable);
/** With a result as the asker wants to see it: typed text, or ordinary JSON; empty: none. */
void hd_journey_value(struct hd_journey *j, struct hd_str value);

/** What follows is below a span of ours, if there is a trace. */
void hd_journey_begin_span(struct hd_journey *j);
void hd_journey_end_span(const struct hd_journey *j, const char *name, const char *lane,
                         bool failed);
