#include "gateway/access.h"

#include "core/buf.h"

#include <time.h>

enum { PATH_SHOWN = 80, USER_SHOWN = 8, LINE_ROOM = 1024, LINE_MAX_BYTES = 4096 };

/* Peer text in a line for people: harmless characters only, and not too many. */
static void add_clean(struct hd_buf *b, struct hd_str s)
{
    size_t n = HD_MIN(s.len, (size_t)PATH_SHOWN);
    for (size_t i = 0; i < n; i++) {
        char c = s.ptr[i];
        bool harmless = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '/' || c == '-';
        hd_buf_char(b, harmless ? c : '_');
    }
    if (s.len > n)
        hd_buf_cstr(b, "\xe2\x80\xa6");
}

static void add_ms(struct hd_buf *b, uint64_t us)
{
    char fraction[4] = {'.', (char)('0' + us / 100 % 10), (char)('0' + us / 10 % 10),
                        (char)('0' + us % 10)};
    hd_buf_u64(b, us / 1000);
    hd_buf_add(b, fraction, sizeof(fraction));
}

static void text_line(struct hd_buf *b, bool color, const struct hd_access *a)
{
    const char *dim = color ? "\033[2m" : "", *off = color ? "\033[0m" : "";
    const char *tag = color ? "\033[36m" : "";
    const char *paint = !color             ? ""
                        : a->status >= 500 ? "\033[31m"
                        : a->status >= 400 ? "\033[33m"
                                           : "\033[32m";
    hd_buf_cstr(b, tag);
    hd_buf_cstr(b, "[heddle]");
    hd_buf_cstr(b, off);
    hd_buf_char(b, ' ');
    hd_buf_str(b, a->method);
    hd_buf_char(b, ' ');
    hd_buf_str(b, a->prefix);
    hd_buf_char(b, '/');
    hd_buf_str(b, a->function);
    add_clean(b, a->path);
    hd_buf_cstr(b, " \xe2\x86\x92 ");
    hd_buf_cstr(b, paint);
    hd_buf_u64(b, a->status);
    hd_buf_cstr(b, off);
    hd_buf_char(b, ' ');
    hd_buf_cstr(b, dim);
    hd_buf_char(b, '(');
    add_ms(b, a->took_us);
    hd_buf_cstr(b, "ms");
    if (a->cold)
        hd_buf_cstr(b, " cold");
    if (a->stale)
        hd_buf_cstr(b, " stale");
    hd_buf_char(b, ')');
    if (a->user.len > 0) {
        hd_buf_cstr(b, " [user:");
        add_clean(b, hd_str_n(a->user.ptr, HD_MIN(a->user.len, (size_t)USER_SHOWN)));
        hd_buf_char(b, ']');
    }
    if (a->reason != NULL) {
        hd_buf_char(b, ' ');
        hd_buf_cstr(b, a->reason);
    }
    hd_buf_cstr(b, off);
    hd_buf_char(b, '\n');
}

static void json_str(struct hd_buf *b, const char *key, struct hd_str value)
{
    hd_buf_cstr(b, key);
    hd_buf_json(b, value);
}

static void json_line(struct hd_buf *b, const char *second, int64_t ms, const struct hd_access *a)
{
    char millis[5] = {'.', (char)('0' + ms / 100 % 10), (char)('0' + ms / 10 % 10),
                      (char)('0' + ms % 10), 'Z'};
    hd_buf_cstr(b, "{\"ts\":\"");
    hd_buf_cstr(b, second);
    hd_buf_add(b, millis, sizeof(millis));
    hd_buf_cstr(b, a->status >= 500 ? "\",\"level\":\"error\",\"msg\":\"request\",\"id\":\""
                                    : "\",\"level\":\"info\",\"msg\":\"request\",\"id\":\"");
    hd_buf_cstr(b, a->id);
    hd_buf_char(b, '"');
    json_str(b, ",\"method\":", a->method);
    json_str(b, ",\"fn\":", a->function);
    json_str(b, ",\"path\":", a->path);
    hd_buf_cstr(b, ",\"status\":");
    hd_buf_u64(b, a->status);
    hd_buf_cstr(b, ",\"ms\":");
    add_ms(b, a->took_us);
    hd_buf_cstr(b, ",\"wait_ms\":");
    add_ms(b, a->waited_us);
    if (a->user.len > 0)
        json_str(b, ",\"user\":", a->user);
    hd_buf_cstr(b, ",\"ip\":\"");
    hd_buf_cstr(b, a->ip);
    hd_buf_cstr(b, "\",\"bytes_in\":");
    hd_buf_u64(b, a->bytes_in);
    hd_buf_cstr(b, ",\"bytes_out\":");
    hd_buf_u64(b, a->bytes_out);
    hd_buf_cstr(b, a->cold ? ",\"cold\":true" : ",\"cold\":false");
    if (a->stale)
        hd_buf_cstr(b, ",\"stale\":true");
    if (a->reason != NULL)
        json_str(b, ",\"reason\":", hd_str(a->reason));
    hd_buf_cstr(b, "}\n");
}

static const char *second(struct hd_access_clock *clock, int64_t unix_s)
{
    if (clock->unix_s != unix_s || clock->text[0] == '\0') {
        time_t t = (time_t)unix_s;
        struct tm tm;
        gmtime_r(&t, &tm);
        strftime(clock->text, sizeof(clock->text), "%Y-%m-%dT%H:%M:%S", &tm);
        clock->unix_s = unix_s;
    }
    return clock->text;
}

void hd_access_log(struct hd_log *log, struct hd_access_clock *clock, int64_t now_unix_ms,
                   const struct hd_access *a)
{
    if (log == NULL || !hd_log_enabled(log, a->status >= 500 ? HD_ERROR : HD_INFO))
        return;
    char room[LINE_ROOM];
    struct hd_buf line;
    hd_buf_init_with(&line, room, sizeof(room), LINE_MAX_BYTES);
    if (hd_log_get_format(log) == HD_LOG_JSON)
        json_line(&line, second(clock, now_unix_ms / 1000), now_unix_ms % 1000, a);
    else
        text_line(&line, hd_log_get_color(log), a);
    if (hd_buf_failed(&line)) { /* a very long path: the line without it */
        struct hd_access shorter = *a;
        shorter.path = hd_str_n(a->path.ptr, HD_MIN(a->path.len, (size_t)PATH_SHOWN));
        hd_buf_done(&line);
        hd_buf_init_with(&line, room, sizeof(room), LINE_MAX_BYTES);
        if (hd_log_get_format(log) == HD_LOG_JSON)
            json_line(&line, second(clock, now_unix_ms / 1000), now_unix_ms % 1000, &shorter);
        else
            text_line(&line, hd_log_get_color(log), &shorter);
    }
    hd_log_raw(log, hd_buf_view(&line));
    hd_buf_done(&line);
}
