#include "shim/frame.h"

void hd_frame_init(struct hd_frame *f, struct hd_str token)
{
    hd_buf_init(&f->line, HD_FRAME_RECORD_MAX);
    f->token = token;
}

bool hd_frame_is_record(const struct hd_frame *f, struct hd_str line)
{
    size_t n = f->token.len;
    return n > 0 && line.len > n + 2 && line.ptr[0] == '\x1e' && line.ptr[n + 1] == ' ' &&
           hd_str_eq(hd_str_n(line.ptr + 1, n), f->token);
}

void hd_frame_done(struct hd_frame *f)
{
    hd_buf_done(&f->line);
}

static bool is_inside(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80; /* of a UTF-8 character, behind its first byte */
}

/* Where to cut a text of which @p next comes next: before the character that it belongs to. */
static size_t cut_at(struct hd_str s, char next)
{
    size_t at = s.len;
    if (!is_inside(next))
        return at;
    while (at > 0 && s.len - at < 3 && is_inside(s.ptr[at - 1]))
        at--;
    return at > 1 && !is_inside(s.ptr[at - 1]) ? at - 1 : s.len;
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

/* How long the line that begins here may be; takes so much of it that this can be known. */
static size_t max_of(struct hd_frame *f, struct hd_str *part)
{
    size_t needed = f->token.len + 3;
    if (f->line.len + part->len <= HD_FRAME_LINE_MAX)
        return HD_FRAME_LINE_MAX;
    if (f->line.len < needed) {
        size_t n = needed - f->line.len;
        hd_buf_add(&f->line, part->ptr, n);
        part->ptr += n;
        part->len -= n;
    }
    return hd_frame_is_record(f, hd_buf_view(&f->line)) ? HD_FRAME_RECORD_MAX : HD_FRAME_LINE_MAX;
}

/* Keep the start of a line; what is too much of it is reported. */
static void keep(struct hd_frame *f, struct hd_str part, hd_frame_fn on_line, void *arg)
{
    size_t max;
    while (f->line.len + part.len > (max = max_of(f, &part))) {
        size_t room = max - f->line.len;
        hd_buf_add(&f->line, part.ptr, room);
        size_t n = cut_at(hd_buf_view(&f->line), part.ptr[room]);
        on_line(arg, hd_str_n(f->line.ptr, n));
        hd_buf_consume(&f->line, n);
        part.ptr += room;
        part.len -= room;
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
