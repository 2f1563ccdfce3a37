/* lanes/delivery.h - what becomes of a message, decided without doing anything: attempts, retries,
 * poison, lanes that nobody here consumes. */
#pragma once

#include "lanes/queue.h"

/** Why a message can never be dealt with: it is rejected at once. */
enum hd_poison {
    HD_POISON_NONE,
    HD_POISON_UNDECODABLE,
    HD_POISON_TOKEN,
    HD_POISON_UNKNOWN_EVENT,
    HD_POISON_OTHER_LANE,
    HD_POISON_PAYLOAD,
    HD_POISON_DEADLY,   /* each node that takes it dies */
    HD_POISON_INACTIVE, /* came too often to a node that does not consume its lane */
};
/** @return "undecodable", ...: the label of metrics and the reason of dead letters. */
const char *hd_poison_name(enum hd_poison p);

/** @return the number of this delivery, 1 for the first: one more than the most anybody counted. */
uint32_t hd_delivery_attempt(uint32_t remembered, uint32_t in_envelope, uint32_t by_broker);

/** @return whether a message is not to be tried again because nodes died of it: as often as it may
 *  be tried, but three times at least, since a node may die of something else.
 *  @param lost       nodes that died with it under way, where that is known.
 *  @param delivered  how often the queue gave it out before and never heard what came of it; of
 * that 20 are too many, for a connection breaks more often than a node dies. */
bool hd_delivery_is_deadly(uint32_t lost, uint32_t delivered, uint32_t max_attempts);

struct hd_delivery_verdict {
    enum hd_lane_settle settle;
    uint64_t wait_ms; /* before it is settled so */
};
/** After the hooks. @param attempt  of this delivery. */
struct hd_delivery_verdict hd_delivery_after(bool ok, uint32_t attempt, uint32_t max_attempts,
                                             double retry_delay_ms);
/** For a lane that this node does not consume: given back after 1 s, 2 s, ... 30 s, and the 21st
 * time rejected. @param skips  how often it was here before. */
struct hd_delivery_verdict hd_delivery_skip(uint32_t skips);
/** @return what the consumer asks the queue for: the largest wish of its lanes; 0: none has one. */
uint32_t hd_delivery_prefetch(const struct hd_topology *t, const struct hd_lane_queue *queue);
