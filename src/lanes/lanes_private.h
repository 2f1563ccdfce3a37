/* lanes/lanes_private.h - the lanes of a node, for the files that put them together: lanes.c
 * (life), router.c (emit and call), status.c (what can be seen). */
#pragma once

#include "core/id.h"
#include "core/slab.h"
#include "lanes/communicator.h"
#include "lanes/consumer.h"
#include "lanes/exposure.h"
#include "lanes/lanes.h"

#include <stdatomic.h>

/** What one loop has of its own. */
struct hd_lanes_loop {
    struct hd_lanes *lanes;
    struct hd_loop *loop;
    unsigned index;
    struct hd_lane_runner *runner;
    struct hd_rpc_client **clients; /* one a communicator, as they are called; NULL: not yet */
    struct hd_exposure *exposure;   /* NULL: none */
    struct hd_rng rng;
    uint64_t simulated; /* messages of mode local-simulated */
    struct hd_slab journeys;
    struct hd_list departures; /* router.c: what goes in the next turn */
    bool departing;
};

/** A queue that this node uses. */
struct hd_lanes_queue {
    struct hd_lanes *lanes;
    const struct hd_lane_queue *config;
    struct hd_lane_source *source;
    struct hd_consumer *consumer; /* NULL: this node only produces */
    bool connected;
};

struct hd_lanes {
    struct hd_lanes_options opt;
    struct hd_topology *topology;
    struct hd_lane_metrics *metrics;
    struct hd_lanes_loop loops[HD_POOL_LOOPS_MAX];
    struct hd_lanes_queue *queues; /* as topology->queues; source NULL: not used */
    uint16_t port;
    atomic_bool stopping; /* nothing is accepted any more */
    unsigned open_parts;  /* of cooldown and close */
    void (*done)(void *arg);
    void *done_arg;
};

/** router.c: make a loop ready. */
void hd_lanes_router_init(struct hd_lanes_loop *w);

/** One part less that cooldown or close waits for; the last one tells. Control loop. */
void hd_lanes_part_done(void *lanes);
/** Put a message on a queue; on the control loop. */
void hd_lanes_publish(struct hd_lanes *l, const struct hd_lane_queue *queue, struct hd_str id,
                      struct hd_str body, void (*done)(void *arg, const struct hd_error *err),
                      void *arg);
