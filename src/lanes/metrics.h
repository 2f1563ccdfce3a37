/* lanes/metrics.h - what happened on the lanes, counted per loop and read together. */
#pragma once

#include "core/buf.h"

struct hd_lane_metrics;

struct hd_lane_metrics *hd_lane_metrics_new(unsigned n_loops);
void hd_lane_metrics_free(struct hd_lane_metrics *m); /* NULL is fine */

enum hd_lane_count {
    HD_LANE_ENQUEUED,
    HD_LANE_RELAYED,
    HD_LANE_RETRIED,
    HD_LANE_REJECTED,
    HD_LANE_SKIPPED,
    HD_LANE_COUNTS
};
/** One event more. @param lane  its id in the topology: the same pointer each time. @param detail
 * of a rejection: its reason; else NULL. */
void hd_lane_metrics_event(struct hd_lane_metrics *m, unsigned loop_index, const char *lane,
                           enum hd_lane_count what, const char *detail);
/** One RPC more. @param dir "in" or "out". @param task  canonical id, as `lane` above. @param code
 * "OK", or an error's. */
void hd_lane_metrics_rpc(struct hd_lane_metrics *m, unsigned loop_index, const char *dir,
                         const char *task, const char *code, uint64_t us);
/** Append all of it in Prometheus text form. Any thread. */
void hd_lane_metrics_write(struct hd_lane_metrics *m, struct hd_buf *out);
