/* lanes/consumer.h - deliveries of one queue, from the message to its settlement. Control loop.
 *
 *   decode ─► a lane of ours? ─► token ─► event ─► payload ─► hooks ─► acknowledge
 *      └─ reject    └─ later, give back  └────┴───── reject       └─ again, after a delay; or
 * reject */
#pragma once

#include "lanes/metrics.h"
#include "lanes/queue.h"
#include "lanes/run.h"

struct hd_consumer;

struct hd_consumer_options {
    const struct hd_topology *topology; /* all borrowed */
    struct hd_lane_runner *runner;
    struct hd_lane_metrics *metrics;
    struct hd_loop *loop;
    struct hd_log *log;
};
struct hd_consumer *hd_consumer_new(const struct hd_consumer_options *opt,
                                    struct hd_lane_source *queue);
/** Nothing may be under way. NULL is fine. */
void hd_consumer_free(struct hd_consumer *c);
/** Begin to consume. */
void hd_consumer_start(struct hd_consumer *c);
/** A message came: for hd_lane_queue_events. */
void hd_consumer_deliver(struct hd_consumer *c, const struct hd_lane_delivery *d);
/** The connection broke: what is under way is not settled any more, it will come again. */
void hd_consumer_lost(struct hd_consumer *c);
/** Stop consuming, give back what waits; hooks that run are waited for. @p done later. */
void hd_consumer_cooldown(struct hd_consumer *c, void (*done)(void *arg), void *arg);
unsigned hd_consumer_active(const struct hd_consumer *c);
