#include "shim/frame.h"

void hd_frame_init(struct hd_frame *f)
{
    hd_buf_init(&f->line, HD_FRAME_LINE_MAX);
}

void hd_frame_done(struct hd_frame *f)
{
    hd_buf_done(&f->line);
}

/* Where to cut a text that is too long: not inside of a UTF-8 character, if that is what it is. */
static size_t cut_at(struct hd_str s, size_t max)
{
    size_t at = max;
    while (at > 0 && max - at < 4 && ((unsigned char)s.ptr[at] & 0xc0) == 0x80)
        at--;
    return at > 0 && max - at < 4 ? at : max;
}

static void report(struct hd_str line, hd_frame_fn on_line, void *arg)
{
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    on_line(arg, line);
}

void hd_frame_flush(struct hd_frame *f, hd_frame_fn on_line, void *arg)
{
    if (f->line.len > 0)
        report(hd_buf_view(&f->line), on_line, arg);
    hd_buf_done(&f->line);
}

/* Keep the start of a line; what is too much of it is reported. */
static void keep(struct hd_frame *f, struct hd_str part, hd_frame_fn on_line, void *arg)
{
    while (f->line.len + part.len > HD_FRAME_LINE_MAX) {
        size_t room = HD_FRAME_LINE_MAX - f->line.len;
        size_t n = cut_at(part, room);
        hd_buf_add(&f->line, part.ptr, n);
        on_line(arg, hd_buf_view(&f->line));
        hd_buf_clear(&f->line);
        part.ptr += n;
        part.len -= n;
    }
    hd_buf_str(&f->line, part);
}

void hd_frame_feed(struct hd_frame *f, struct hd_str bytes, hd_frame_fn on_line, void *arg)
{
    while (bytes.len > 0) {
        size_t n = hd_str_find(bytes, '\n');
        struct hd_str part = hd_str_n(bytes.ptr, n);
        bool whole = n < bytes.len;
        bytes.ptr += whole ? n + 1 : n;
        bytes.len -= whole ? n + 1 : n;
        if (whole && f->line.len == 0 && n <= HD_FRAME_LINE_MAX) {
            report(part, on_line, arg);
            continue;
        }
        keep(f, part, on_line, arg);
        if (whole) {
            report(hd_buf_view(&f->line), on_line, arg);
            hd_buf_done(&f->line);
        }
    }
}

void hd_frame_record(struct hd_buf *out, struct hd_str token, struct hd_str id, const char *level,
                     struct hd_str msg, int64_t unix_ms)
{
    hd_buf_char(out, '\x1e');
    hd_buf_str(out, token);
    hd_buf_cstr(out, " {\"id\":");
    if (id.len > 0)
        hd_buf_json(out, id);
    else
        hd_buf_cstr(out, "null");
    hd_buf_fmt(out, ",\"level\":\"%s\",\"msg\":", level);
    hd_buf_json(out, msg);
    hd_buf_fmt(out, ",\"ts\":%lld}\n", (long long)unix_ms);
}
