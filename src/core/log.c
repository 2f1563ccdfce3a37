#include "core/log.h"

#include "core/buf.h"
#include "core/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { STATUS_MAX = 512 };

struct hd_log {
    struct hd_log_options opt;
    _Atomic int level;
    _Atomic uint64_t dropped;
    pthread_t thread;
    pthread_mutex_t lock; /* guards everything below */
    pthread_cond_t wake, written;
    struct hd_buf pending;
    uint64_t lines_in, lines_out; /* accepted, and done with */
    char status[STATUS_MAX];      /* what stands below the last line */
    bool new_status;
    bool stopping, sleeping, urgent;
};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

static struct timespec after_ms(unsigned ms)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec += ms / 1000;
    ts.tv_nsec += (long)(ms % 1000) * 1000000;
    if (ts.tv_nsec >= 1000000000) {
        ts.tv_sec++;
        ts.tv_nsec -= 1000000000;
    }
    return ts;
}

/* Write with the lock free; give up when stopping and the reader takes nothing for a second. */
static void write_all(struct hd_log *log, struct hd_str bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(log->opt.fd, bytes.ptr, bytes.len);
        if (n >= 0) {
            bytes = hd_str_n(bytes.ptr + n, bytes.len - (size_t)n);
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return; /* nobody reads our log any more; the service goes on */
        struct pollfd p = {.fd = log->opt.fd, .events = POLLOUT};
        pthread_mutex_lock(&log->lock);
        bool stopping = log->stopping;
        pthread_mutex_unlock(&log->lock);
        if (poll(&p, 1, 1000) == 0 && stopping)
            return;
    }
}

/* The status in the columns there are: a line that wraps could not be taken back. */
static void draw(struct hd_log *log, const char *status)
{
    struct winsize size = {0};
    ioctl(log->opt.fd, TIOCGWINSZ, &size);
    unsigned columns = size.ws_col > 0 ? size.ws_col : 80;
    size_t len = 0;
    for (unsigned used = 0; status[len] != '\0'; len++) {
        bool begins = ((unsigned char)status[len] & 0xc0) != 0x80;
        if (begins && ++used == columns)
            break;
    }
    write_all(log, hd_str(log->opt.color ? "\033[2m" : ""));
    write_all(log, hd_str_n(status, len));
    write_all(log, hd_str(log->opt.color ? "\033[0m" : ""));
}

static void *writer(void *arg)
{
    struct hd_log *log = arg;
    struct hd_buf out;
    char status[STATUS_MAX] = "";
    hd_buf_init(&out, log->opt.max_bytes);
    pthread_mutex_lock(&log->lock);
    for (;;) {
        while (log->pending.len == 0 && !log->new_status && !log->stopping) {
            log->sleeping = true;
            pthread_cond_wait(&log->wake, &log->lock);
            log->sleeping = false;
        }
        if (log->pending.len == 0 && !log->new_status)
            break;
        if (log->opt.flush_ms > 0 && !log->stopping) {
            struct timespec until = after_ms(log->opt.flush_ms);
            while (!log->stopping && !log->urgent && log->pending.len < log->opt.max_bytes / 4 &&
                   pthread_cond_timedwait(&log->wake, &log->lock, &until) == 0)
                ;
        }
        struct hd_buf swap = out;
        out = log->pending;
        log->pending = swap;
        hd_buf_clear(&log->pending);
        uint64_t upto = log->lines_in;
        bool shown = status[0] != '\0';
        memcpy(status, log->status, sizeof(status));
        log->new_status = log->urgent = false;
        pthread_mutex_unlock(&log->lock);
        if (shown)
            write_all(log, hd_str("\r\033[K"));
        write_all(log, hd_buf_view(&out));
        if (status[0] != '\0')
            draw(log, status);
        pthread_mutex_lock(&log->lock);
        log->lines_out = upto;
        pthread_cond_broadcast(&log->written);
    }
    pthread_mutex_unlock(&log->lock);
    hd_buf_done(&out);
    return NULL;
}

int hd_log_new(struct hd_log **out, const struct hd_log_options *opt, struct hd_error *err)
{
    struct hd_log *log = hd_new(struct hd_log);
    log->opt = *opt;
    atomic_init(&log->level, (int)opt->level);
    hd_buf_init(&log->pending, opt->max_bytes);
    pthread_mutex_init(&log->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&log->wake, &attr);
    pthread_cond_init(&log->written, &attr);
    pthread_condattr_destroy(&attr);
    int rc = pthread_create(&log->thread, NULL, writer, log);
    if (rc != 0) {
        free(log);
        return hd_fail_sys(err, rc, "log: thread");
    }
    *out = log;
    return 0;
}

void hd_log_free(struct hd_log *log)
{
    if (log == NULL)
        return;
    pthread_mutex_lock(&log->lock);
    log->stopping = true;
    pthread_cond_signal(&log->wake);
    pthread_mutex_unlock(&log->lock);
    pthread_join(log->thread, NULL);
    pthread_cond_destroy(&log->wake);
    pthread_cond_destroy(&log->written);
    pthread_mutex_destroy(&log->lock);
    hd_buf_done(&log->pending);
    free(log);
}

void hd_log_set_level(struct hd_log *log, enum hd_log_level level)
{
    atomic_store_explicit(&log->level, (int)level, memory_order_relaxed);
}

bool hd_log_enabled(const struct hd_log *log, enum hd_log_level level)
{
    return (int)level >= atomic_load_explicit(&log->level, memory_order_relaxed);
}

enum hd_log_format hd_log_get_format(const struct hd_log *log)
{
    return log->opt.format;
}

bool hd_log_get_color(const struct hd_log *log)
{
    return log->opt.color;
}

bool hd_log_get_terminal(const struct hd_log *log)
{
    return log->opt.terminal;
}

void hd_log_status(struct hd_log *log, const char *text)
{
    if (log == NULL || !log->opt.terminal)
        return;
    pthread_mutex_lock(&log->lock);
    snprintf(log->status, sizeof(log->status), "%s", text);
    log->new_status = true;
    bool wake = log->sleeping;
    pthread_mutex_unlock(&log->lock);
    if (wake)
        pthread_cond_signal(&log->wake);
}

uint64_t hd_log_dropped(const struct hd_log *log)
{
    return atomic_load_explicit(&log->dropped, memory_order_relaxed);
}

void hd_log_flush(struct hd_log *log, unsigned timeout_ms)
{
    if (log == NULL)
        return;
    struct timespec until = after_ms(timeout_ms);
    pthread_mutex_lock(&log->lock);
    uint64_t upto = log->lines_in;
    log->urgent = log->pending.len > 0;
    pthread_cond_signal(&log->wake);
    while (log->lines_out < upto && pthread_cond_timedwait(&log->written, &log->lock, &until) == 0)
        ;
    pthread_mutex_unlock(&log->lock);
}

void hd_log_raw(struct hd_log *log, struct hd_str line)
{
    if (log == NULL)
        return;
    pthread_mutex_lock(&log->lock);
    if (line.len > log->opt.max_bytes - log->pending.len) {
        atomic_fetch_add_explicit(&log->dropped, 1, memory_order_relaxed);
    } else {
        hd_buf_str(&log->pending, line);
        log->lines_in++;
    }
    /* A writer that waits for more lines is left alone: it wakes by itself. */
    bool wake = log->sleeping || log->pending.len >= log->opt.max_bytes / 4;
    pthread_mutex_unlock(&log->lock);
    if (wake)
        pthread_cond_signal(&log->wake);
}

static void add_ms(struct hd_buf *b, int64_t us)
{
    hd_buf_fmt(b, "%" PRId64 ".%03" PRId64, us / 1000, us % 1000);
}

static void json_line(struct hd_buf *b, enum hd_log_level level, const char *msg,
                      const struct hd_kv *kvs, size_t n, const char *ts)
{
    hd_buf_fmt(b, "{\"ts\":\"%s\",\"level\":\"%s\",\"msg\":", ts, level_names[level]);
    hd_buf_json(b, hd_str(msg));
    for (size_t i = 0; i < n; i++) {
        const struct hd_kv *kv = &kvs[i];
        if (kv->kind == HD_KV_STR && kv->s.ptr == NULL)
            continue;
        hd_buf_char(b, ',');
        hd_buf_json(b, hd_str(kv->key));
        hd_buf_char(b, ':');
        switch (kv->kind) {
        case HD_KV_STR:
            hd_buf_json(b, kv->s);
            break;
        case HD_KV_INT:
            hd_buf_fmt(b, "%" PRId64, kv->n);
            break;
        case HD_KV_MS:
            add_ms(b, kv->n);
            break;
        case HD_KV_BOOL:
            hd_buf_cstr(b, kv->n ? "true" : "false");
            break;
        }
    }
    hd_buf_cstr(b, "}\n");
}

static bool is_plain(struct hd_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '=')
            return false;
    }
    return s.len > 0;
}

static bool has_lines(struct hd_str s)
{
    return s.len > 0 && memchr(s.ptr, '\n', s.len) != NULL;
}

/* A text of several lines, a stack for example: below the line, as it was meant to be read. */
static void indented(struct hd_buf *b, struct hd_str s)
{
    struct hd_str line;
    while (hd_str_split(&line, &s, '\n')) {
        if (line.len == 0)
            continue;
        hd_buf_cstr(b, "      ");
        hd_buf_printable(b, line);
        hd_buf_char(b, '\n');
    }
}

static void text_line(struct hd_buf *b, bool color, enum hd_log_level level, const char *msg,
                      const struct hd_kv *kvs, size_t n)
{
    static const char *const paint[] = {"\033[2m", "\033[36m", "\033[33m", "\033[31m"};
    const char *dim = color ? "\033[2m" : "", *off = color ? "\033[0m" : "";
    hd_buf_fmt(b, "%s%-5s%s %s", color ? paint[level] : "", level_names[level], off, msg);
    for (size_t i = 0; i < n; i++) {
        const struct hd_kv *kv = &kvs[i];
        if (kv->kind == HD_KV_STR && (kv->s.ptr == NULL || has_lines(kv->s)))
            continue;
        hd_buf_fmt(b, "  %s%s=%s", dim, kv->key, off);
        switch (kv->kind) {
        case HD_KV_STR:
            if (is_plain(kv->s))
                hd_buf_str(b, kv->s);
            else
                hd_buf_json(b, kv->s);
            break;
        case HD_KV_INT:
            hd_buf_fmt(b, "%" PRId64, kv->n);
            break;
        case HD_KV_MS:
            add_ms(b, kv->n);
            hd_buf_cstr(b, "ms");
            break;
        case HD_KV_BOOL:
            hd_buf_cstr(b, kv->n ? "yes" : "no");
            break;
        }
    }
    hd_buf_char(b, '\n');
    for (size_t i = 0; i < n; i++)
        if (kvs[i].kind == HD_KV_STR && has_lines(kvs[i].s))
            indented(b, kvs[i].s);
}

void hd_log_write(struct hd_log *log, enum hd_log_level level, const char *msg,
                  const struct hd_kv *kvs, size_t n)
{
    struct hd_buf line;
    hd_buf_init(&line, 64 * 1024);
    if (log->opt.format == HD_LOG_JSON) {
        int64_t ms = hd_clock_unix_ms();
        time_t s = (time_t)(ms / 1000);
        struct tm tm;
        gmtime_r(&s, &tm);
        char ts[40], day[24];
        strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(ts, sizeof(ts), "%s.%03dZ", day, (int)(ms % 1000));
        json_line(&line, level, msg, kvs, n, ts);
    } else {
        text_line(&line, log->opt.color, level, msg, kvs, n);
    }
    if (hd_buf_failed(&line))
        atomic_fetch_add_explicit(&log->dropped, 1, memory_order_relaxed);
    else
        hd_log_raw(log, hd_buf_view(&line));
    hd_buf_done(&line);
}
