/* core/log.h - structured log lines, written by a thread of their own so that a slow reader of
 * our output never stops a loop. */
#pragma once

#include "core/base.h"

enum hd_log_level { HD_DEBUG, HD_INFO, HD_WARN, HD_ERROR };
enum hd_log_format { HD_LOG_TEXT, HD_LOG_JSON };

struct hd_log;

struct hd_kv {
    const char *key;
    enum { HD_KV_STR, HD_KV_INT, HD_KV_MS, HD_KV_BOOL } kind;
    struct hd_str s;
    int64_t n; /* HD_KV_MS: microseconds */
};
static inline struct hd_kv hd_kv_slice(const char *key, struct hd_str value)
{
    struct hd_kv kv = {.key = key, .kind = HD_KV_STR, .s = value};
    return kv;
}
/** @param value  NUL-terminated, or NULL: then the field is left out. */
static inline struct hd_kv hd_kv_str(const char *key, const char *value)
{
    return hd_kv_slice(key, hd_str(value));
}
static inline struct hd_kv hd_kv_int(const char *key, int64_t value)
{
    struct hd_kv kv = {.key = key, .kind = HD_KV_INT, .n = value};
    return kv;
}
static inline struct hd_kv hd_kv_bool(const char *key, bool value)
{
    struct hd_kv kv = {.key = key, .kind = HD_KV_BOOL, .n = value};
    return kv;
}
/** A duration, written in milliseconds with a fraction. */
static inline struct hd_kv hd_kv_us(const char *key, uint64_t us)
{
    struct hd_kv kv = {.key = key, .kind = HD_KV_MS, .n = (int64_t)us};
    return kv;
}

struct hd_log_options {
    int fd; /* borrowed; written by the log's thread */
    enum hd_log_level level;
    enum hd_log_format format;
    bool color;        /* text format only */
    bool terminal;     /* fd is one, so a line can be taken back */
    unsigned flush_ms; /* longest wait of a line; 0: written at once */
    size_t max_bytes;  /* buffered at most; beyond it lines are dropped and counted */
};

/** @return 0 and *out, the caller's to free; or HD_EIO when there is no thread to be had. */
int hd_log_new(struct hd_log **out, const struct hd_log_options *opt, struct hd_error *err);
/** Write out what is buffered, for a second at most, and free. NULL is fine. */
void hd_log_free(struct hd_log *log);
void hd_log_set_level(struct hd_log *log, enum hd_log_level level);
bool hd_log_enabled(const struct hd_log *log, enum hd_log_level level);
enum hd_log_format hd_log_get_format(const struct hd_log *log);
bool hd_log_get_color(const struct hd_log *log);
bool hd_log_get_terminal(const struct hd_log *log);
/**
 * Keep a line standing below all others, until the next one; on what is no terminal: nothing.
 * @param text  copied, cut to the terminal's width; "": no such line any more. Any thread.
 */
void hd_log_status(struct hd_log *log, const char *text);
/** @return lines lost because the reader of the output was too slow. Any thread. */
uint64_t hd_log_dropped(const struct hd_log *log);
/** Write everything logged so far now, and wait until that is done or @p timeout_ms has passed; 0:
 * do not wait. */
void hd_log_flush(struct hd_log *log, unsigned timeout_ms);

/**
 * Log a constant message with variable fields. Any thread; never blocks on the output.
 * @param log  NULL: nothing happens.
 */
#define hd_log(log, level, msg, ...)                                                  \
    do {                                                                              \
        struct hd_log *hd_log_ = (log);                                               \
        if (hd_log_ != NULL && hd_log_enabled(hd_log_, (level))) {                    \
            const struct hd_kv hd_kvs_[] = {__VA_ARGS__ __VA_OPT__(, ){.key = NULL}}; \
            hd_log_write(hd_log_, (level), (msg), hd_kvs_, HD_COUNT(hd_kvs_) - 1);    \
        }                                                                             \
    } while (0)
void hd_log_write(struct hd_log *log, enum hd_log_level level, const char *msg,
                  const struct hd_kv *kvs, size_t n);
/** Append one finished line (with its line break), as it is. For access lines and terminal output.
 */
void hd_log_raw(struct hd_log *log, struct hd_str line);

HD_AUTO(hd_log)
