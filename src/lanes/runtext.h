/* lanes/runtext.h - what functions are given of a lane's message, and what their answers mean.
 * Pure. */
#pragma once

#include "lanes/run.h"

/** Append the event of a function: the value in its codec. @p value NULL: undefined. */
void hd_runtext_value(struct hd_buf *out, const struct hd_typed *value, enum hd_lane_codec codec);
/** Append a CloudEvents 1.0 envelope (structured JSON) around an event's payload. */
void hd_runtext_cloud_event(struct hd_buf *out, const struct hd_lane_event *event,
                            const struct hd_lane_run_request *request);
/** Append the client context of a task's function; `{"heddle": {...}}`. */
void hd_runtext_task_context(struct hd_buf *out, const struct hd_lane_task *task,
                             const struct hd_lane_run_request *request);
/** Same for a hook's. */
void hd_runtext_hook_context(struct hd_buf *out, const struct hd_lane_hook *hook,
                             const struct hd_lane_run_request *request);

/**
 * Read what a function answered, in its codec; nothing is undefined.
 * @return 0; HD_EINVAL: it is not JSON, or not typed text.
 */
int hd_runtext_answer(struct hd_typed **out, struct hd_arena *arena, struct hd_str answer,
                      enum hd_lane_codec codec, struct hd_error *err);
/**
 * Take a function's error JSON apart: a declared error keeps its message and data, all others
 * reveal nothing.
 * @param out  texts lie in @p arena.
 */
void hd_runtext_error(struct hd_lane_error *out, struct hd_arena *arena,
                      const struct hd_topology *topology, struct hd_str payload);
/** What everything else becomes. */
struct hd_lane_error hd_runtext_internal(struct hd_str reason);
