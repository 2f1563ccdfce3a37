#include "invoke/platform.h"

#include "core/log.h"
#include "invoke/xray.h"

#include <inttypes.h>
#include <time.h>

void hd_platform_time(struct hd_buf *out, int64_t unix_ms)
{
    time_t s = (time_t)(unix_ms / 1000);
    struct tm tm;
    gmtime_r(&s, &tm);
    hd_buf_fmt(out, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1,
               tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(unix_ms % 1000));
}

static uint64_t mb(uint64_t bytes)
{
    return (bytes + (1 << 20) - 1) >> 20;
}

static uint64_t billed_ms(const struct hd_platform_report *r)
{
    return (r->duration_us + 999) / 1000;
}

/* "12.34", without the cost of printing a double: there is one of these in each invocation. */
static void add_ms(struct hd_buf *out, uint64_t us)
{
    uint64_t hundredths = (us + 5) / 10;
    char digits[2] = {(char)('0' + hundredths / 10 % 10), (char)('0' + hundredths % 10)};
    hd_buf_u64(out, hundredths / 100);
    hd_buf_char(out, '.');
    hd_buf_add(out, digits, sizeof(digits));
}

static bool is_sampled(const struct hd_platform_report *r)
{
    return hd_str_is(hd_xray_part(r->xray, "Sampled"), "1");
}

static bool is_good(const struct hd_platform_report *r)
{
    return strcmp(r->status, "success") == 0;
}

/* --- text --- */

static void text_report(struct hd_buf *out, const struct hd_target *t, const char *request_id,
                        const struct hd_platform_report *r)
{
    hd_buf_cstr(out, "REPORT RequestId: ");
    hd_buf_cstr(out, request_id);
    hd_buf_cstr(out, "\tDuration: ");
    add_ms(out, r->duration_us);
    hd_buf_cstr(out, " ms\tBilled Duration: ");
    hd_buf_u64(out, billed_ms(r));
    hd_buf_cstr(out, " ms\tMemory Size: ");
    hd_buf_u64(out, t->memory_mb);
    hd_buf_cstr(out, " MB\tMax Memory Used: ");
    hd_buf_u64(out, mb(r->peak_bytes));
    hd_buf_cstr(out, " MB\t");
    if (r->init_us > 0) {
        hd_buf_cstr(out, "Init Duration: ");
        add_ms(out, r->init_us);
        hd_buf_cstr(out, " ms\t");
    }
    if (is_sampled(r)) {
        hd_buf_cstr(out, "XRAY TraceId: ");
        hd_buf_str(out, hd_xray_part(r->xray, "Root"));
        hd_buf_cstr(out, "\tSegmentId: ");
        hd_buf_str(out, hd_xray_part(r->xray, "Parent"));
        hd_buf_cstr(out, "\tSampled: true\t");
    }
    if (!is_good(r)) {
        hd_buf_cstr(out, "Status: ");
        hd_buf_cstr(out, r->status);
        hd_buf_char(out, '\t');
    }
}

static void text_line(struct hd_buf *out, enum hd_platform_line line, const struct hd_target *t,
                      const char *request_id, const struct hd_platform_report *r)
{
    switch (line) {
    case HD_PLATFORM_INIT_START:
        hd_buf_cstr(out, "INIT_START Runtime Version: ");
        hd_buf_cstr(out, t->runtime != NULL ? t->runtime : "image");
        hd_buf_cstr(out, "\tRuntime Version ARN: ");
        hd_buf_cstr(out, t->runtime_arn != NULL ? t->runtime_arn : "");
        break;
    case HD_PLATFORM_START:
        hd_buf_cstr(out, "START RequestId: ");
        hd_buf_cstr(out, request_id);
        hd_buf_cstr(out, " Version: ");
        hd_buf_cstr(out, t->version);
        break;
    case HD_PLATFORM_END:
        hd_buf_cstr(out, "END RequestId: ");
        hd_buf_cstr(out, request_id);
        break;
    case HD_PLATFORM_REPORT:
        text_report(out, t, request_id, r);
        break;
    }
}

/* --- JSON --- */

static void json_status(struct hd_buf *out, const struct hd_platform_report *r)
{
    hd_buf_cstr(out, ",\"status\":\"");
    hd_buf_cstr(out, r->status);
    hd_buf_char(out, '"');
    if (r->error_type.len > 0) {
        hd_buf_cstr(out, ",\"errorType\":");
        hd_buf_json(out, r->error_type);
    }
}

static void json_duration(struct hd_buf *out, const struct hd_platform_report *r)
{
    hd_buf_cstr(out, ",\"metrics\":{\"durationMs\":");
    add_ms(out, r->duration_us);
}

static void json_report(struct hd_buf *out, const struct hd_target *t,
                        const struct hd_platform_report *r)
{
    json_duration(out, r);
    hd_buf_cstr(out, ",\"billedDurationMs\":");
    hd_buf_u64(out, billed_ms(r));
    hd_buf_cstr(out, ",\"memorySizeMB\":");
    hd_buf_u64(out, t->memory_mb);
    hd_buf_cstr(out, ",\"maxMemoryUsedMB\":");
    hd_buf_u64(out, mb(r->peak_bytes));
    if (r->init_us > 0) {
        hd_buf_cstr(out, ",\"initDurationMs\":");
        add_ms(out, r->init_us);
    }
    hd_buf_char(out, '}');
    if (is_sampled(r)) {
        hd_buf_cstr(out, ",\"tracing\":{\"type\":\"X-Amzn-Trace-Id\",\"spanId\":");
        hd_buf_json(out, hd_xray_part(r->xray, "Parent"));
        hd_buf_cstr(out, ",\"value\":");
        hd_buf_json(out, r->xray);
        hd_buf_char(out, '}');
    }
    json_status(out, r);
}

static void json_line(struct hd_buf *out, enum hd_platform_line line, const struct hd_target *t,
                      const char *request_id, int64_t now_unix_ms,
                      const struct hd_platform_report *r)
{
    static const char *const types[] = {
        [HD_PLATFORM_INIT_START] = "initStart",
        [HD_PLATFORM_START] = "start",
        [HD_PLATFORM_END] = "runtimeDone",
        [HD_PLATFORM_REPORT] = "report",
    };
    hd_buf_cstr(out, "{\"time\":\"");
    hd_platform_time(out, now_unix_ms);
    hd_buf_fmt(out, "\",\"type\":\"platform.%s\",\"record\":{", types[line]);
    if (line == HD_PLATFORM_INIT_START) {
        hd_buf_cstr(out,
                    "\"initializationType\":\"on-demand\",\"phase\":\"init\",\"runtimeVersion\":");
        hd_buf_json(out, hd_str(t->runtime != NULL ? t->runtime : "image"));
        hd_buf_cstr(out, ",\"runtimeVersionArn\":");
        hd_buf_json(out, hd_str(t->runtime_arn != NULL ? t->runtime_arn : ""));
        hd_buf_cstr(out, ",\"functionName\":");
        hd_buf_json(out, hd_str(t->name));
        hd_buf_cstr(out, ",\"functionVersion\":");
        hd_buf_json(out, hd_str(t->version));
    } else {
        hd_buf_cstr(out, "\"requestId\":\"");
        hd_buf_cstr(out, request_id);
        hd_buf_char(out, '"');
    }
    if (line == HD_PLATFORM_START) {
        hd_buf_cstr(out, ",\"version\":");
        hd_buf_json(out, hd_str(t->version));
    } else if (line == HD_PLATFORM_END) {
        json_duration(out, r);
        hd_buf_char(out, '}');
        json_status(out, r);
    } else if (line == HD_PLATFORM_REPORT) {
        json_report(out, t, r);
    }
    hd_buf_cstr(out, "}}");
}

void hd_platform_line(struct hd_buf *out, enum hd_platform_line line, const struct hd_target *t,
                      const char *request_id, int64_t now_unix_ms,
                      const struct hd_platform_report *report)
{
    if (!t->log_json)
        text_line(out, line, t, request_id, report);
    else if (t->log_level_system <= HD_INFO)
        json_line(out, line, t, request_id, now_unix_ms, report);
}

void hd_platform_timeout(struct hd_buf *out, const char *request_id, uint32_t timeout_ms,
                         int64_t now_unix_ms)
{
    hd_platform_time(out, now_unix_ms);
    hd_buf_fmt(out, " %s Task timed out after %.2f seconds", request_id, timeout_ms / 1000.0);
}

void hd_platform_exit(struct hd_buf *out, const struct hd_target *t, const char *request_id,
                      struct hd_str how, bool oom, uint64_t peak_bytes)
{
    hd_buf_fmt(out, "RequestId: %s Error: Runtime exited ", request_id);
    if (how.len > 0) {
        hd_buf_cstr(out, "with error: ");
        hd_buf_str(out, how);
    } else {
        hd_buf_cstr(out, "without providing a reason");
    }
    if (oom)
        hd_buf_fmt(out,
                   " (out of memory: the limit is %" PRIu32 " MB, the peak was %" PRIu64
                   " MB; see MemorySize)",
                   t->memory_mb, mb(peak_bytes));
}
