/* lambda/async/async_policy.h - what becomes of an event that was accepted: run it now, later, or
 * no more. Pure.
 *
 * An event's progress is one number that its queue keeps: attempts that the function has seen, and
 * how often in a row it could not even be tried. */
#pragma once

#include "core/buf.h"

/** Limits of one function, and of the node. */
struct hd_async_rules {
    int32_t max_retries;       /* 0 to 2; -1: 2 */
    int32_t max_age_s;         /* -1: 21600 */
    const uint32_t *delays_ms; /* before the second attempt, the third; the last one repeats */
    size_t n_delays;           /* 0: 60 s, 120 s */
    bool off;                  /* its reserved concurrency is 0 */
    bool loops_allowed;
};

/** How it ended. */
enum hd_async_end {
    HD_ASYNC_GOES_ON,
    HD_ASYNC_SUCCESS,
    HD_ASYNC_EXHAUSTED,
    HD_ASYNC_EXPIRED,
    HD_ASYNC_OFF,
    HD_ASYNC_LOOP,
};
/** @return the record's "condition". */
const char *hd_async_condition(enum hd_async_end end);

enum hd_async_tried {
    HD_ASYNC_OK,
    HD_ASYNC_FUNCTION_ERROR,
    HD_ASYNC_NOT_RUN, /* throttled, or the system failed: it does not count */
};

struct hd_async_event_state {
    uint32_t progress;
    int64_t first_unix_ms; /* when it was accepted */
    uint32_t loops;        /* how often the function is in the event's lineage */
};

struct hd_async_verdict {
    enum hd_async_end end;
    uint32_t progress;   /* to be kept */
    int64_t due_unix_ms; /* HD_ASYNC_GOES_ON: when to try again */
};

/** @return how often the function has seen it. */
uint32_t hd_async_attempts(uint32_t progress);

/** Ask before an attempt. @return HD_ASYNC_GOES_ON: try. */
enum hd_async_end hd_async_before(const struct hd_async_rules *rules,
                                  const struct hd_async_event_state *event, int64_t now_unix_ms);
/**
 * Say how an attempt went.
 * @param random  in [0, 1): spreads those that could not run.
 */
struct hd_async_verdict hd_async_after(const struct hd_async_rules *rules,
                                       const struct hd_async_event_state *event,
                                       enum hd_async_tried how, int64_t now_unix_ms, double random);

enum { HD_ASYNC_SENDS_MAX = 20 /* to a destination, about an hour of them */ };
/** @return how long to wait after a try that did not work: 1 s, doubling to 300 s, and up to a
 *  quarter more. @param tries  so far, 1 or more. */
uint32_t hd_async_backoff_ms(uint32_t tries, double random);

/* --- lineage: which functions an event has come through, "Lineage=<hash>:<times>|..." --- */

enum { HD_LINEAGE_MAX = 16 /* times that a function may cause itself */ };

/** @return how often a function is in a trace header's lineage. @param arn  unqualified. */
uint32_t hd_lineage_times(struct hd_str header, struct hd_str arn);
/** Append the header with the function once more in its lineage, the newest in front. */
void hd_lineage_add(struct hd_buf *out, struct hd_str header, struct hd_str arn);
