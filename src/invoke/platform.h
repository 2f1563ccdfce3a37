/* invoke/platform.h - the lines that the platform writes around an invocation: INIT_START, START,
 * END, REPORT, timeouts; as text or as JSON records. Pure. */
#pragma once

#include "core/buf.h"
#include "invoke/target.h"

/** How it went, for REPORT. */
struct hd_platform_report {
    uint64_t duration_us, init_us; /* init_us 0: it was no cold start */
    uint64_t peak_bytes;           /* 0: unknown */
    const char *status;            /* "success", "error", "timeout" */
    struct hd_str error_type;      /* JSON only; may be empty */
    struct hd_str xray;            /* the trace header; shown if it is sampled */
};

/** Which line, for filters: those of lower levels than the target wants are not written. */
enum hd_platform_line {
    HD_PLATFORM_INIT_START,
    HD_PLATFORM_START,
    HD_PLATFORM_END, /* JSON: platform.runtimeDone */
    HD_PLATFORM_REPORT,
};

/**
 * Append a line, without its line break; nothing where the target does not want it.
 * @param report  for END and REPORT; else NULL.
 */
void hd_platform_line(struct hd_buf *out, enum hd_platform_line line, const struct hd_target *t,
                      const char *request_id, int64_t now_unix_ms,
                      const struct hd_platform_report *report);
/** Append "<time> <id> Task timed out after 3.00 seconds". */
void hd_platform_timeout(struct hd_buf *out, const char *request_id, uint32_t timeout_ms,
                         int64_t now_unix_ms);
/** Append "RequestId: <id> Error: Runtime exited with error: ...", and with @p oom that it was for
 *  its memory: limit and peak. */
void hd_platform_exit(struct hd_buf *out, const struct hd_target *t, const char *request_id,
                      struct hd_str how, bool oom, uint64_t peak_bytes);
/** Append "2026-03-12T19:03:58.123Z". */
void hd_platform_time(struct hd_buf *out, int64_t unix_ms);
