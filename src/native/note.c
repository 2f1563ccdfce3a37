/* Log lines of a native function: records of the host protocol, or plain text. */
#include "core/clock.h"
#include "native/native.h"

#include <time.h>
#include <unistd.h>

enum { RECORD_TEXT_MAX = 8192 };

static const char *const names[] = {"DEBUG", "INFO", "WARN", "ERROR"};
static const char *const record_levels[] = {"debug", "info", "warn", "error"};

void hd_native_log_init(struct hd_native_log *log, const char *token, bool lambda)
{
    struct hd_str format = hd_str(getenv("AWS_LAMBDA_LOG_FORMAT"));
    struct hd_str level = hd_str(getenv("AWS_LAMBDA_LOG_LEVEL"));
    *log = (struct hd_native_log){.token = token};
    if (!lambda)
        return;
    log->style = hd_str_is_nocase(format, "JSON") ? HD_NATIVE_LOG_JSON : HD_NATIVE_LOG_TEXT;
    for (size_t i = 0; i < HD_COUNT(names); i++) {
        if (hd_str_is_nocase(level, names[i]))
            log->lowest = (enum hd_function_level)i;
    }
    if (hd_str_is_nocase(level, "FATAL"))
        log->lowest = HD_FUNCTION_ERROR;
}

static void put_time(struct hd_buf *b)
{
    int64_t now_ms = hd_clock_unix_ms();
    time_t s = now_ms / 1000;
    struct tm tm;
    gmtime_r(&s, &tm);
    hd_buf_fmt(b, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1,
               tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(now_ms % 1000));
}

/* Append a message that stays on one line. */
static void put_line(struct hd_buf *b, struct hd_str text)
{
    size_t from = b->len;
    hd_buf_str(b, text);
    for (size_t i = from; i < b->len; i++) {
        if (b->ptr[i] == '\n')
            b->ptr[i] = '\r';
    }
}

static void put_styled(struct hd_buf *b, const struct hd_native_log *log,
                       enum hd_function_level level, const char *id, struct hd_str text)
{
    switch (log->style) {
    case HD_NATIVE_LOG_BARE:
        put_line(b, text);
        break;
    case HD_NATIVE_LOG_TEXT:
        put_time(b);
        hd_buf_fmt(b, "\t%s\t%s\t", id != NULL ? id : "undefined", names[level]);
        put_line(b, text);
        break;
    case HD_NATIVE_LOG_JSON:
        hd_buf_cstr(b, "{\"timestamp\":\"");
        put_time(b);
        hd_buf_fmt(b, "\",\"level\":\"%s\",\"requestId\":", names[level]);
        if (id != NULL)
            hd_buf_json(b, hd_str(id));
        else
            hd_buf_cstr(b, "null");
        hd_buf_cstr(b, ",\"message\":");
        hd_buf_json(b, text);
        hd_buf_char(b, '}');
        break;
    }
}

static void write_all(struct hd_str s)
{
    while (s.len > 0) {
        ssize_t n = write(STDERR_FILENO, s.ptr, s.len);
        if (n <= 0)
            return; /* nobody reads any more */
        s = hd_str_n(s.ptr + n, s.len - (size_t)n);
    }
}

/* As much of the text as a record may have, cut between characters. */
static struct hd_str piece_of(struct hd_str text)
{
    size_t n = HD_MIN(text.len, (size_t)RECORD_TEXT_MAX);
    size_t cut = n;
    while (n < text.len && cut > n - 4 && ((unsigned char)text.ptr[cut] & 0xc0) == 0x80)
        cut--;
    return hd_str_n(text.ptr, cut);
}

static void put_record(struct hd_buf *b, const struct hd_native_log *log,
                       enum hd_function_level level, const char *id, struct hd_str piece)
{
    hd_buf_fmt(b, "\x1e%s {\"id\":", log->token);
    if (id != NULL)
        hd_buf_json(b, hd_str(id));
    else
        hd_buf_cstr(b, "null");
    hd_buf_fmt(b, ",\"level\":\"%s\",\"msg\":", record_levels[level]);
    hd_buf_json(b, piece);
    hd_buf_fmt(b, ",\"ts\":%lld}\n", (long long)hd_clock_unix_ms());
}

void hd_native_log_write(const struct hd_native_log *log, enum hd_function_level level,
                         const char *id, struct hd_str text)
{
    if (level < log->lowest)
        return;
    char memory[1024], wire_memory[1024];
    struct hd_buf line, wire;
    hd_buf_init_with(&line, memory, sizeof(memory), SIZE_MAX);
    hd_buf_init_with(&wire, wire_memory, sizeof(wire_memory), SIZE_MAX);
    put_styled(&line, log, level, id, text);
    struct hd_str rest = hd_buf_view(&line);
    if (log->token == NULL) {
        hd_buf_str(&wire, rest);
        hd_buf_char(&wire, '\n');
    } else {
        do {
            struct hd_str piece = piece_of(rest);
            put_record(&wire, log, level, id, piece);
            rest = hd_str_n(rest.ptr + piece.len, rest.len - piece.len);
        } while (rest.len > 0);
    }
    write_all(hd_buf_view(&wire));
    hd_buf_done(&line);
    hd_buf_done(&wire);
}
