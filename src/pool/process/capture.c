#include "pool/process/capture.h"

#include "core/log.h"

#include <jansson.h>

enum { ID_MAX = 64, UTF8_MAX = 4 };

void hd_capture_init(struct hd_capture *c, struct hd_str token, int raw_level)
{
    *c = (struct hd_capture){.token = token, .raw_level = raw_level};
    hd_buf_init(&c->line, HD_CAPTURE_RECORD_MAX);
}

void hd_capture_done(struct hd_capture *c)
{
    hd_buf_done(&c->line);
}

/* Cut to what one line may have, never inside a UTF-8 sequence, and mark the cut. */
static void report(struct hd_str id, int level, struct hd_str text, bool cut, hd_capture_fn on_line,
                   void *arg)
{
    static const char mark[] = "…";
    char out[HD_CAPTURE_TEXT_MAX + sizeof(mark)];
    if (text.len <= HD_CAPTURE_TEXT_MAX && !cut) {
        on_line(arg, id, level, text);
        return;
    }
    size_t n = HD_MIN(text.len, (size_t)HD_CAPTURE_TEXT_MAX);
    while (n > 0 && n < text.len && ((unsigned char)text.ptr[n] & 0xc0) == 0x80)
        n--;
    if (n > 0)
        memcpy(out, text.ptr, n);
    memcpy(out + n, mark, sizeof(mark) - 1);
    on_line(arg, id, level, hd_str_n(out, n + sizeof(mark) - 1));
}

static int level_of(const char *name)
{
    static const char *const names[] = {
        [HD_DEBUG] = "debug", [HD_INFO] = "info", [HD_WARN] = "warn", [HD_ERROR] = "error"};
    for (size_t i = 0; name != NULL && i < HD_COUNT(names); i++)
        if (strcmp(name, names[i]) == 0)
            return (int)i;
    return HD_INFO;
}

static bool fit_for_id(struct hd_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~')
            return false;
    return s.len <= ID_MAX;
}

/* @return whether @p json was a record. */
static bool report_record(struct hd_str json, hd_capture_fn on_line, void *arg)
{
    json_t *rec = json_loadb(json.ptr, json.len, JSON_ALLOW_NUL, NULL);
    const json_t *msg = json_object_get(rec, "msg"), *id = json_object_get(rec, "id");
    bool ok = json_is_string(msg);
    if (ok) {
        struct hd_str who = {NULL, 0};
        if (json_is_string(id))
            who = hd_str_n(json_string_value(id), json_string_length(id));
        if (!fit_for_id(who))
            who = hd_str_n(NULL, 0);
        report(who, level_of(json_string_value(json_object_get(rec, "level"))),
               hd_str_n(json_string_value(msg), json_string_length(msg)), false, on_line, arg);
    }
    json_decref(rec);
    return ok;
}

static void flush(struct hd_capture *c, hd_capture_fn on_line, void *arg)
{
    struct hd_str line = hd_buf_view(&c->line);
    bool cut = c->cut;
    if (line.len > 0 && line.ptr[line.len - 1] == '\r' && !cut)
        line.len--;
    size_t head = 1 + c->token.len + 1;
    if (c->token.len > 0 && line.len > head && line.ptr[0] == '\x1e' && line.ptr[head - 1] == ' ' &&
        hd_str_eq_secret(hd_str_n(line.ptr + 1, c->token.len), c->token)) {
        line = hd_str_n(line.ptr + head, line.len - head); /* the token is shown to nobody */
        if (!cut && report_record(line, on_line, arg))
            line.len = 0;
    }
    if (line.len > 0)
        report(hd_str_n(NULL, 0), c->raw_level, line, cut, on_line, arg);
    hd_buf_clear(&c->line);
    c->cut = false;
}

static void append(struct hd_capture *c, struct hd_str part)
{
    if (part.len == 0)
        return;
    char first = c->line.len > 0 ? c->line.ptr[0] : part.ptr[0];
    size_t max = first == '\x1e' && c->token.len > 0
                     ? HD_CAPTURE_RECORD_MAX
                     : HD_CAPTURE_TEXT_MAX + UTF8_MAX; /* so that the cut sees what is behind it */
    size_t room = max - c->line.len;
    if (part.len > room) {
        part.len = room;
        c->cut = true;
    }
    hd_buf_str(&c->line, part);
}

void hd_capture_feed(struct hd_capture *c, struct hd_str bytes, hd_capture_fn on_line, void *arg)
{
    while (bytes.len > 0) {
        size_t n = hd_str_find(bytes, '\n');
        append(c, hd_str_n(bytes.ptr, n));
        if (n == bytes.len)
            return;
        flush(c, on_line, arg);
        bytes = hd_str_n(bytes.ptr + n + 1, bytes.len - n - 1);
    }
}

void hd_capture_flush(struct hd_capture *c, hd_capture_fn on_line, void *arg)
{
    if (c->line.len > 0 && c->line.ptr[0] != '\x1e')
        flush(c, on_line, arg);
}

void hd_capture_end(struct hd_capture *c, hd_capture_fn on_line, void *arg)
{
    flush(c, on_line, arg);
}
