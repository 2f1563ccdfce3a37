/* pool/witness.h - what an instance writes while it has a request, and how it ended: for who holds
 * a place in it.
 *
 *   begin ─► what it wrote before is let go ─► done ─► lines are kept ─► end ─► all of them are
 *   here ─► done
 *
 * Exact, because both ends wait until the backend has read what the instance wrote so far. */
#pragma once

#include "core/buf.h"
#include "pool/pool.h"

enum {
    HD_WITNESS_TAIL_BYTES = 4096,
    HD_WITNESS_FLUSH_MS = 20, /* the backend is not waited for longer */
};

/** Inside the owner's struct; zeroed before begin, or before an end that had no begin. */
struct hd_witness {
    /** On the lease's loop, once after each begin and each end, never from inside. The owner leaves
     *  memory and lease alone until then. */
    void (*done)(struct hd_witness *w);
    struct hd_str id; /* lines of other ids are not kept; borrowed until the end is done */
    bool alone;       /* nobody else has a place there: lines without an id are kept too */

    /* out, after end */
    struct hd_buf tail;  /* the last lines, each with its line break; hd_witness_done() frees it */
    bool gone;           /* the instance is gone, */
    struct hd_error how; /* as its backend says; */
    bool exited;         /* its program ended */
    struct hd_exit_status exit; /* like this */

    /* the pool's */
    struct hd_list link;
    struct hd_instance *instance;
    struct hd_loop *loop;
    struct hd_timer timer;
    int stage;
    uint32_t wait_ms;
    bool listening, linked;
};

/** Begin to keep what the instance writes. @param lease  granted, and kept until the end is done.
 */
void hd_witness_begin(struct hd_witness *w, const struct hd_lease *lease);
/**
 * Gather the rest. After a begin, or without one: then only how it ended is told.
 * @param gone_within_ms  wait so long for the instance to be gone; 0: it is not expected to.
 */
void hd_witness_end(struct hd_witness *w, const struct hd_lease *lease, uint32_t gone_within_ms);
/** Free what it holds. No begin or end may be under way. */
void hd_witness_done(struct hd_witness *w);
