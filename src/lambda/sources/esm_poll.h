/* lambda/sources/esm_poll.h - what all event sources share: pollers that ask a source for records,
 * gather them into batches, have the function called, and settle what became of them. One object
 * for each mapping that is polled. No I/O of its own: sources and functions are behind two tables,
 * so that the whole runs against a virtual clock.
 *
 * A poller goes round: receive, until the batch is full or its window is over ─► call ─► settle.
 * There are few at first; while batches are full and all pollers are busy, one more begins, up to
 * the limit; when functions are throttled there are fewer, when a source is empty too. */
#pragma once

#include "core/buf.h"
#include "core/list.h"
#include "core/log.h"
#include "core/loop.h"
#include "lambda/sources/esm.h"

enum {
    HD_ESM_EVENT_BYTES = 6291456, /* of one invocation's event */
    HD_ESM_POLLERS_MAX = 1000,
};

/** One record that came from a source. */
struct hd_esm_record {
    struct hd_list link;
    char *json; /* as it stands in the event */
    size_t json_len;
    char *id;          /* what the function calls it by */
    char *handle;      /* the source's; NULL: none */
    uint64_t seq;      /* the source's */
    uint32_t attempts; /* deliveries so far; the source's */
    uint64_t
        held_until_ms; /* by the loop's clock: then it is not ours any more; UINT64_MAX: never */
};
/** @return a record that owns copies of @p id and @p handle (may be NULL), and @p json itself. */
struct hd_esm_record *hd_esm_record_new(const char *id, const char *handle, char *json);
void hd_esm_record_free(struct hd_esm_record *r);
/** Free all of a list. */
void hd_esm_records_free(struct hd_list *records);

struct hd_esm_poll;

/** What became of records. */
enum hd_esm_settle {
    HD_ESM_DONE,     /* handled, or no filter wanted them: delete */
    HD_ESM_FAILED,   /* the function failed: what the source does with such */
    HD_ESM_RETURNED, /* not tried: somebody else may have them at once */
};

/** A source. All on the loop; none of these calls back from inside. */
struct hd_esm_feed_ops {
    unsigned max_receive; /* records it gives at a time, at most */
    unsigned pollers;     /* to begin with, 1 or more */
    unsigned max_pollers; /* where the mapping sets no limit */
    bool keeps_failed;    /* records of failed calls stay with the poller, which tries some times */
    /** Ask for up to @p max records: hd_esm_poll_received() must follow, once, within @p wait_ms
     *  and some seconds. */
    void (*receive)(void *feed, unsigned poller, unsigned max, uint32_t wait_ms);
    /** Nobody waits any more: hd_esm_poll_received() follows soon, perhaps with records. */
    void (*cancel)(void *feed, unsigned poller);
    /** Takes ownership of @p records and leaves the list empty; hd_esm_poll_settled() follows. */
    void (*settle)(void *feed, struct hd_list *records, enum hd_esm_settle how);
    /** Write the event around the first @p n of @p records. */
    void (*event)(void *feed, struct hd_buf *out, const struct hd_list *records, size_t n);
};

/** How a call ended. */
enum hd_esm_called {
    HD_ESM_CALL_OK,
    HD_ESM_CALL_FAILED,  /* the function failed, or may have run */
    HD_ESM_CALL_BUSY,    /* throttled, not ready, no instance: it did not run */
    HD_ESM_CALL_MISSING, /* there is no such function */
};

/** How functions are called. As above. */
struct hd_esm_sink_ops {
    /** hd_esm_poll_called() must follow, once. @p event is borrowed until return. */
    void (*call)(void *sink, struct hd_esm_poll *p, unsigned poller, struct hd_str event);
    /** Give a record up to the mapping's on_failure; hd_esm_poll_gave_up() must follow. NULL: there
     *  is no such thing here. */
    void (*give_up)(void *sink, struct hd_esm_poll *p, unsigned poller,
                    const struct hd_esm_record *r);
};

struct hd_esm_poll_options {
    const struct hd_esm_mapping *mapping; /* copied */
    struct hd_loop *loop;
    struct hd_log *log; /* may be NULL */
    const struct hd_esm_feed_ops *feed_ops;
    void *feed;
    const struct hd_esm_sink_ops *sink_ops;
    void *sink;
    void (*on_result)(void *arg, const char *text); /* LastProcessingResult */
    void (*on_stopped)(void *arg);                  /* later, never from inside */
    void *arg;
    uint64_t seed; /* of jitter; 0: random */
};

/** @return pollers under way. */
struct hd_esm_poll *hd_esm_poll_new(const struct hd_esm_poll_options *opt);
/** Go on with other settings, from each poller's next batch on. */
void hd_esm_poll_update(struct hd_esm_poll *p, const struct hd_esm_mapping *m);
/** Receive nothing more; let calls end, settle everything, then on_stopped(). */
void hd_esm_poll_stop(struct hd_esm_poll *p);
/** After on_stopped(). NULL is fine. */
void hd_esm_poll_free(struct hd_esm_poll *p);

/** @return the mapping as it is now; valid until the next update. */
const struct hd_esm_mapping *hd_esm_poll_mapping(const struct hd_esm_poll *p);
/** @return whether a filter wants it. @param record  as filters see it; NULL: none can. */
bool hd_esm_poll_wants(const struct hd_esm_poll *p, const struct json_t *record);

/* --- what sources and sinks tell --- */

/**
 * @param records   taken over, the list is left empty; what no filter wants is not among them.
 * @param received  how many the source gave, with those that no filter wanted.
 * @param err       NULL, or why the source could not be asked: it is tried again, later.
 */
void hd_esm_poll_received(struct hd_esm_poll *p, unsigned poller, struct hd_list *records,
                          unsigned received, const struct hd_error *err);
void hd_esm_poll_settled(struct hd_esm_poll *p);
/** Records that no filter wanted, or that no event can be made of: settle them. The list is left
 *  empty. */
void hd_esm_poll_drop(struct hd_esm_poll *p, struct hd_list *records, enum hd_esm_settle how);
void hd_esm_poll_called(struct hd_esm_poll *p, unsigned poller, enum hd_esm_called how,
                        struct hd_str answer);
/** @param given  false: the destination could not be reached; it is tried again. */
void hd_esm_poll_gave_up(struct hd_esm_poll *p, unsigned poller, bool given);

/** Counted since the start, but for the last two. */
struct hd_esm_poll_stats {
    uint64_t received, filtered, calls, records_ok, records_failed, busy, source_errors, given_up;
    unsigned pollers, calling;
};
void hd_esm_poll_stats(const struct hd_esm_poll *p, struct hd_esm_poll_stats *out);
