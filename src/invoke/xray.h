/* invoke/xray.h - the X-Ray trace header of an invocation, tied to its W3C trace. Pure.
 *
 * Both say the same: the 32 digits of a W3C trace id are the 8 and 24 of a Root. */
#pragma once

#include "core/trace.h"

enum { HD_XRAY_CHARS = 400 }; /* with what a caller may add, and a NUL */

/**
 * Continue the trace of a caller, or begin one.
 * @param trace       set: the trace, with a new span for this invocation; its traceparent goes to
 *                    the function.
 * @param xray        set: "Root=1-...;Parent=...;Sampled=0", with the other parts of @p header
 *                    (Lineage, Self, ...) behind, as far as there is room.
 * @param header      X-Amzn-Trace-Id as received; empty or wrong: there is none.
 * @param traceparent as received; counts where there is no header with a Root.
 * @param now_unix_s  for a new Root.
 */
void hd_xray_continue(struct hd_trace *trace, char xray[HD_XRAY_CHARS], struct hd_str header,
                      struct hd_str traceparent, struct hd_rng *rng, int64_t now_unix_s);
/** @return the value of one part of a header, as "Root"; or an empty slice. */
struct hd_str hd_xray_part(struct hd_str header, const char *name);
