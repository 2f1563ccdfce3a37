#include "lanes/delivery.h"

enum {
    SKIP_FIRST_MS = 1000,
    SKIP_LONGEST_MS = 30000,
    SKIPS_MAX = 20,
    LOST_MAX = 3,
    DELIVERED_MAX = 20
};

const char *hd_poison_name(enum hd_poison p)
{
    switch (p) {
    case HD_POISON_NONE:
        return "none";
    case HD_POISON_UNDECODABLE:
        return "undecodable";
    case HD_POISON_TOKEN:
        return "unauthorized";
    case HD_POISON_UNKNOWN_EVENT:
        return "unknown_event";
    case HD_POISON_OTHER_LANE:
        return "other_lane";
    case HD_POISON_PAYLOAD:
        return "payload";
    case HD_POISON_DEADLY:
        return "node_died";
    case HD_POISON_INACTIVE:
        return "inactive_lane";
    }
    return "none";
}

uint32_t hd_delivery_attempt(uint32_t remembered, uint32_t in_envelope, uint32_t by_broker)
{
    uint32_t most = HD_MAX(HD_MAX(remembered, in_envelope), by_broker);
    return most < UINT32_MAX ? most + 1 : most;
}

bool hd_delivery_is_deadly(uint32_t lost, uint32_t delivered, uint32_t max_attempts)
{
    return lost >= HD_MAX(max_attempts, (uint32_t)LOST_MAX) ||
           delivered >= HD_MAX(max_attempts, (uint32_t)DELIVERED_MAX);
}

struct hd_delivery_verdict hd_delivery_after(bool ok, uint32_t attempt, uint32_t max_attempts,
                                             double retry_delay_ms)
{
    if (ok)
        return (struct hd_delivery_verdict){.settle = HD_LANE_ACK};
    if (attempt >= max_attempts)
        return (struct hd_delivery_verdict){.settle = HD_LANE_REJECT};
    return (struct hd_delivery_verdict){.settle = HD_LANE_REPLACE,
                                        .wait_ms = (uint64_t)retry_delay_ms};
}

struct hd_delivery_verdict hd_delivery_skip(uint32_t skips)
{
    if (skips >= SKIPS_MAX)
        return (struct hd_delivery_verdict){.settle = HD_LANE_REJECT};
    uint64_t wait = (uint64_t)SKIP_FIRST_MS << HD_MIN(skips, 10U);
    return (struct hd_delivery_verdict){.settle = HD_LANE_RETURN,
                                        .wait_ms = HD_MIN(wait, (uint64_t)SKIP_LONGEST_MS)};
}

uint32_t hd_delivery_prefetch(const struct hd_topology *t, const struct hd_lane_queue *queue)
{
    uint32_t most = 0;
    for (size_t i = 0; i < t->n_event_lanes; i++) {
        const struct hd_event_lane *lane = t->event_lanes[i];
        if (lane->queue == queue && lane->consumed)
            most = HD_MAX(most, lane->prefetch);
    }
    return most;
}
