#include "telemetry/promtext.h"

#include <stdio.h>

void hd_prom_metric(struct hd_buf *out, const char *name, const char *type, const char *help)
{
    hd_buf_fmt(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_value(struct hd_buf *out, const char *value)
{
    for (; *value != '\0'; value++) {
        if (*value == '\\' || *value == '"')
            hd_buf_char(out, '\\');
        if (*value == '\n')
            hd_buf_cstr(out, "\\n");
        else
            hd_buf_char(out, *value);
    }
}

static void add_name(struct hd_buf *out, const char *name, const char *suffix,
                     const char *const *labels, const char *le)
{
    hd_buf_cstr(out, name);
    hd_buf_cstr(out, suffix);
    char sep = '{';
    for (; labels != NULL && labels[0] != NULL; labels += 2) {
        hd_buf_char(out, sep);
        hd_buf_cstr(out, labels[0]);
        hd_buf_cstr(out, "=\"");
        add_value(out, labels[1]);
        hd_buf_char(out, '"');
        sep = ',';
    }
    if (le != NULL) {
        hd_buf_fmt(out, "%cle=\"%s\"", sep, le);
        sep = ',';
    }
    hd_buf_cstr(out, sep == ',' ? "} " : " ");
}

void hd_prom_u64(struct hd_buf *out, const char *name, const char *const *labels, uint64_t value)
{
    add_name(out, name, "", labels, NULL);
    hd_buf_u64(out, value);
    hd_buf_char(out, '\n');
}

void hd_prom_f64(struct hd_buf *out, const char *name, const char *const *labels, double value)
{
    add_name(out, name, "", labels, NULL);
    hd_buf_fmt(out, "%.9g\n", value);
}

void hd_prom_histogram(struct hd_buf *out, const char *name, const char *const *labels,
                       const uint64_t *bounds_us, const uint64_t *buckets, size_t n,
                       uint64_t sum_us)
{
    uint64_t total = 0;
    for (size_t i = 0; i < n; i++) {
        char le[32] = "+Inf";
        total += buckets[i];
        if (i < n - 1)
            snprintf(le, sizeof(le), "%.9g", (double)bounds_us[i] / 1e6);
        add_name(out, name, "_bucket", labels, le);
        hd_buf_u64(out, total);
        hd_buf_char(out, '\n');
    }
    add_name(out, name, "_sum", labels, NULL);
    hd_buf_fmt(out, "%.9g\n", (double)sum_us / 1e6);
    add_name(out, name, "_count", labels, NULL);
    hd_buf_u64(out, total);
    hd_buf_char(out, '\n');
}
