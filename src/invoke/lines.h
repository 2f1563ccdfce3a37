/* invoke/lines.h - lines that one loop writes and the control loop reads: many in one post. */
#pragma once

#include "invoke/call.h"

struct hd_lines;

/** @param on_line  on the control loop; as in struct hd_caller_options. */
struct hd_lines *hd_lines_new(struct hd_loop *control,
                              void (*on_line)(void *arg, const struct hd_call_line *line),
                              void *arg);
/** All copied. One thread. When the control loop is too slow, lines are dropped and counted. */
void hd_lines_add(struct hd_lines *l, const struct hd_call_line *line);
/** @return lines that were dropped. Any thread. */
uint64_t hd_lines_dropped(const struct hd_lines *l);
/** The loops do not run any more; what was not read is lost. NULL is fine. */
void hd_lines_free(struct hd_lines *l);
