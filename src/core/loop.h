/* core/loop.h - a thread with a libuv loop: timers without handles, and posts from other threads.
 */
#pragma once

#include "core/base.h"
#include "core/ready.h"

#include <uv.h>

struct hd_loop;

/**
 * Make a loop that nobody runs yet.
 * @param index  0 for the control loop; doors use it to find their own share of something.
 * @return 0 and *out, the caller's to free, or HD_EIO.
 */
int hd_loop_new(struct hd_loop **out, unsigned index, struct hd_error *err);
/** Free a loop that does not run. Its handles must be closed; NULL is fine. */
void hd_loop_free(struct hd_loop *l);
/** Run on this thread until hd_loop_stop(). Runs what was posted before, and before the stop. */
void hd_loop_run(struct hd_loop *l);
/** Run on a thread of its own. @return 0, or HD_EIO. */
int hd_loop_start(struct hd_loop *l, struct hd_error *err);
/** Ask the loop to end after what was posted so far. Any thread. */
void hd_loop_stop(struct hd_loop *l);
/** Wait for the thread of hd_loop_start(). */
void hd_loop_join(struct hd_loop *l);

uv_loop_t *hd_loop_uv(struct hd_loop *l);
/** @return the part that watches sockets; see core/ready.h. */
struct hd_ready *hd_loop_ready(struct hd_loop *l);
unsigned hd_loop_index(const struct hd_loop *l);
/** @return monotonic milliseconds, as of this turn of the loop. Loop thread. */
uint64_t hd_loop_now_ms(const struct hd_loop *l);

/** Run @p fn on the loop's thread, later, in the order of posting. Any thread; never blocks. */
void hd_loop_post(struct hd_loop *l, void (*fn)(void *arg), void *arg);

/**
 * A deadline inside another struct; zeroed is stopped. No handle to close, no allocation, and
 * moving a running one later costs a store. Loop thread only, as all of this.
 */
struct hd_timer {
    void (*fn)(struct hd_timer *t);
    uint64_t due_ms;
    uint64_t key_ms; /* as sorted; due_ms may be later */
    uint32_t slot;   /* place in the heap + 1; 0: stopped */
};
/** Start or move: @p fn runs once, @p delay_ms from now or a little later, never from inside. */
void hd_timer_start(struct hd_loop *l, struct hd_timer *t, uint64_t delay_ms,
                    void (*fn)(struct hd_timer *t));
/** Stop; a stopped one is fine. */
void hd_timer_stop(struct hd_loop *l, struct hd_timer *t);
static inline bool hd_timer_active(const struct hd_timer *t)
{
    return t->slot != 0;
}

/* --- virtual time, for simulations: the loop is not run, it is moved on --- */

/** Stop the clock at @p now_ms. Before the first timer. */
void hd_loop_set_virtual(struct hd_loop *l, uint64_t now_ms);
/**
 * Move the clock of a virtual loop on to @p now_ms, run what was posted and the timers that are
 * due; once round, so call it again with the same time until nothing ran.
 * @return whether anything ran.
 */
bool hd_loop_advance(struct hd_loop *l, uint64_t now_ms);
/** @return when to advance a virtual loop at the latest: a timer's time; UINT64_MAX: none runs. */
uint64_t hd_loop_next_ms(const struct hd_loop *l);

HD_AUTO(hd_loop)
