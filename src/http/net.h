/* http/net.h - what all connections of one loop share: one read buffer, the Date, random ids. */
#pragma once

#include "core/clock.h"
#include "core/id.h"
#include "core/loop.h"
#include "core/slab.h"
#include "http/format.h"
#include "http/parse.h"

enum { HD_NET_READ_BYTES = 64 * 1024 };

/** Loop thread only. Counters are read by other threads, relaxed. */
struct hd_net {
    struct hd_loop *loop;
    struct hd_rng rng;
    /** Bytes of the connection that is being read; nothing else may read meanwhile. */
    char read_bytes[HD_NET_READ_BYTES];
    /** The head being handled; its slices point to the bytes it was parsed from. */
    struct hd_head head;
    struct hd_date date;
    uint64_t clock_read_ms; /* see hd_net_unix_ms() */
    int64_t clock_offset_ms;
    struct hd_slab exchanges, client_conns;
    /** Open connections of this loop's clients, for metrics. */
    _Atomic uint32_t open_client;
};

/** @return wall clock, milliseconds since 1970, as of this turn of the loop. Costs no system call.
 */
static inline int64_t hd_net_unix_ms(struct hd_net *n)
{
    uint64_t now = hd_loop_now_ms(n->loop);
    if (now - n->clock_read_ms >= 1000 || n->clock_read_ms == 0) {
        n->clock_read_ms = now;
        n->clock_offset_ms = hd_clock_unix_ms() - (int64_t)now;
    }
    return (int64_t)now + n->clock_offset_ms;
}

struct hd_net *hd_net_new(struct hd_loop *loop);
void hd_net_free(struct hd_net *n); /* NULL is fine; all its connections are closed */
