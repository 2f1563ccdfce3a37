/* lambda/sources/esm_poll_private.h - the pollers of a mapping, for the sources that move them;
 * nobody else includes it. */
#pragma once

#include "core/id.h"
#include "lambda/sources/esm_poll.h"

enum {
    HD_ESM_PAUSE_MS = 1000,
    HD_ESM_PAUSE_MAX_MS = 60000,
    HD_ESM_BUSY_MS = 200,
    HD_ESM_BUSY_MAX_MS = 10000,
    HD_ESM_EVENT_OVERHEAD = 4096, /* what stands around the records */
};

enum hd_esm_worker_state {
    HD_ESM_OFF,
    HD_ESM_RECEIVING,
    HD_ESM_CALLING,
    HD_ESM_WAITING,
    HD_ESM_GIVING,
    HD_ESM_PAUSED,
};

struct hd_esm_worker {
    struct hd_esm_poll *poll;
    unsigned index;
    enum hd_esm_worker_state state;
    struct hd_timer timer;
    struct hd_list batch, spill; /* spill: came with it and is for the next one */
    unsigned n;                  /* records of the batch */
    unsigned take;               /* of them in this call: the first ones */
    unsigned tries;              /* calls without progress */
    unsigned failures;           /* of them those that failed */
    uint64_t asked_ms, wait_ms, window_ends_ms;
    size_t bytes;
};

struct hd_esm_poll {
    struct hd_esm_poll_options opt;
    struct hd_esm_mapping mapping; /* texts and filters are ours */
    char *texts[11];
    struct hd_rng rng;
    struct hd_esm_worker **pollers;
    unsigned limit, soft_limit, active, source_errors, failures;
    unsigned settling;
    bool stopping, told;
    struct hd_timer stopped;
    struct hd_esm_poll_stats stats;
};

static inline struct hd_esm_record *hd_esm_record_of(struct hd_list *item)
{
    return hd_container_of(item, struct hd_esm_record, link);
}

static inline uint64_t hd_esm_worker_now_ms(const struct hd_esm_worker *pl)
{
    return hd_loop_now_ms(pl->poll->opt.loop);
}

/* esm_poll.c: receiving */

/** The last batch is settled: receive the next one, or turn off if there are too many. */
void hd_esm_worker_begin(struct hd_esm_worker *pl);
/** Nothing to do for a while. */
void hd_esm_worker_pause(struct hd_esm_worker *pl, uint64_t ms);
/** The batch is empty; what spilled goes back. */
void hd_esm_worker_turn_off(struct hd_esm_worker *pl);
/** One more poller, if the limits permit and nobody has time. */
void hd_esm_poll_grow(struct hd_esm_poll *p);
/** Again as many as there were at the beginning. */
void hd_esm_poll_refill(struct hd_esm_poll *p);
bool hd_esm_worker_is_full(const struct hd_esm_worker *pl);
void hd_esm_poll_settle(struct hd_esm_poll *p, struct hd_list *records, enum hd_esm_settle how);
/** @return @p first_ms doubled @p times times, with jitter. */
uint64_t hd_esm_poll_backoff(struct hd_esm_poll *p, uint64_t first_ms, unsigned times,
                             uint64_t max_ms);

/* esm_poll_call.c: calling */

/** Have the function called with the batch, or the part of it that take says. */
void hd_esm_worker_call(struct hd_esm_worker *pl);
/** Nothing is gathered any more: give everything back, turn off. */
void hd_esm_worker_abandon(struct hd_esm_worker *pl);

/* esm_record.c */

void hd_esm_records_move(struct hd_list *to, struct hd_list *from);
