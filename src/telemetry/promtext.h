/* telemetry/promtext.h - the Prometheus text exposition format, version 0.0.4. Pure. */
#pragma once

#include "core/buf.h"

/** Begin a metric: its HELP and TYPE lines. @param type  "counter", "gauge" or "histogram". */
void hd_prom_metric(struct hd_buf *out, const char *name, const char *type, const char *help);
/**
 * One sample. @param labels  pairs of name and value, ended by a NULL name; values are escaped.
 */
void hd_prom_u64(struct hd_buf *out, const char *name, const char *const *labels, uint64_t value);
void hd_prom_f64(struct hd_buf *out, const char *name, const char *const *labels, double value);
/**
 * The samples of a histogram whose bounds are microseconds, as seconds.
 * @param bounds_us  @p n - 1 upper bounds; the last of @p buckets has none.
 * @param buckets    @p n counts, each its own.
 */
void hd_prom_histogram(struct hd_buf *out, const char *name, const char *const *labels,
                       const uint64_t *bounds_us, const uint64_t *buckets, size_t n,
                       uint64_t sum_us);
