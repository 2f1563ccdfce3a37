/*  PREAMBLE ──delimiter──► LINE_END ──CRLF──► HEAD ──blank line──► DATA ──delimiter──► LINE_END
 *                             └──"--"──► EPILOGUE, which is not looked at
 *
 * Text before a delimiter ends where CRLF "--" boundary begins, so the last bytes that could be the
 * beginning of one are held back. */
#include "lanes/multipart.h"

enum { DELIMITER_MAX = HD_MULTIPART_BOUNDARY_MAX + 4 };

struct hd_multipart {
    const struct hd_multipart_events *events;
    void *arg;
    char delimiter[DELIMITER_MAX]; /* CRLF "--" boundary */
    size_t delimiter_len;
    enum state { PREAMBLE, LINE_END, HEAD, DATA, EPILOGUE } state;
    struct hd_buf held; /* input that is not dealt with yet */
};

/* --- parameters of a field value --- */

/* Take one `; name=value` off. @return false at the end. *value lies in @p s or in @p memory. */
static bool parameter(struct hd_str *s, struct hd_str *name, struct hd_str *value, char *memory,
                      size_t room)
{
    *s = hd_str_trim(*s);
    if (s->len == 0 || *s->ptr != ';')
        return false;
    s->ptr++;
    s->len--;
    size_t equals = hd_str_find(*s, '=');
    if (equals == s->len)
        return false;
    *name = hd_str_trim(hd_str_n(s->ptr, equals));
    s->ptr += equals + 1;
    s->len -= equals + 1;
    if (s->len == 0 || *s->ptr != '"') {
        size_t end = hd_str_find(*s, ';');
        *value = hd_str_trim(hd_str_n(s->ptr, end));
        s->ptr += end;
        s->len -= end;
        return true;
    }
    size_t n = 0, i = 1;
    for (; i < s->len && s->ptr[i] != '"'; i++) {
        /* Browsers do not escape backslashes: only \" and \\ stand for something else. */
        if (s->ptr[i] == '\\' && i + 1 < s->len && (s->ptr[i + 1] == '"' || s->ptr[i + 1] == '\\'))
            i++;
        if (n < room)
            memory[n++] = s->ptr[i];
    }
    if (i == s->len)
        return false;
    *value = hd_str_n(memory, n);
    s->ptr += i + 1;
    s->len -= i + 1;
    return true;
}

int hd_multipart_boundary(struct hd_str *out, struct hd_str content_type)
{
    struct hd_str kind = hd_str("multipart/form-data"), name, value;
    char memory[HD_MULTIPART_BOUNDARY_MAX + 1];
    struct hd_str rest = hd_str_trim(content_type);
    size_t end = hd_str_find(rest, ';');
    if (!hd_str_eq_nocase(hd_str_trim(hd_str_n(rest.ptr, end)), kind))
        return HD_ENOTFOUND;
    rest = hd_str_n(rest.ptr + end, rest.len - end);
    while (parameter(&rest, &name, &value, memory, sizeof(memory))) {
        if (!hd_str_is_nocase(name, "boundary"))
            continue;
        if (value.len == 0 || value.len > HD_MULTIPART_BOUNDARY_MAX)
            return HD_EINVAL;
        /* As it stands in the text: a boundary has nothing that is escaped (RFC 2046). */
        const char *at = memmem(content_type.ptr, content_type.len, value.ptr, value.len);
        if (at == NULL)
            return HD_EINVAL;
        *out = hd_str_n(at, value.len);
        return 0;
    }
    return HD_EINVAL;
}

/* --- the parser --- */

struct hd_multipart *hd_multipart_new(struct hd_str boundary,
                                      const struct hd_multipart_events *events, void *arg)
{
    struct hd_multipart *m = hd_new(struct hd_multipart);
    m->events = events;
    m->arg = arg;
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, boundary.ptr, boundary.len);
    m->delimiter_len = 4 + boundary.len;
    hd_buf_init(&m->held, SIZE_MAX / 2);
    hd_buf_cstr(&m->held, "\r\n"); /* the first delimiter may begin the text */
    return m;
}

void hd_multipart_free(struct hd_multipart *m)
{
    if (m == NULL)
        return;
    hd_buf_done(&m->held);
    free(m);
}

bool hd_multipart_complete(const struct hd_multipart *m)
{
    return m->state == EPILOGUE;
}

/* Text up to the next delimiter goes to on_data. @return 1: the delimiter came; 0: more is needed.
 */
static int until_delimiter(struct hd_multipart *m)
{
    struct hd_str all = hd_buf_view(&m->held);
    const char *at = all.len > 0 ? memmem(all.ptr, all.len, m->delimiter, m->delimiter_len) : NULL;
    size_t text = at != NULL                    ? (size_t)(at - all.ptr)
                  : all.len >= m->delimiter_len ? all.len - (m->delimiter_len - 1)
                                                : 0;
    int rc = 0;
    if (text > 0 && m->state == DATA)
        rc = m->events->on_data(m->arg, hd_str_n(all.ptr, text));
    if (rc != 0)
        return rc;
    hd_buf_consume(&m->held, text + (at != NULL ? m->delimiter_len : 0));
    if (at != NULL && m->state == DATA)
        rc = m->events->on_part_end(m->arg);
    return rc != 0 ? rc : at != NULL;
}

/* Behind a delimiter: blanks and a line end, or "--". */
static int line_end(struct hd_multipart *m, struct hd_error *err)
{
    struct hd_str all = hd_buf_view(&m->held);
    size_t i = 0;
    if (all.len >= 2 && all.ptr[0] == '-' && all.ptr[1] == '-') {
        m->state = EPILOGUE;
        return 1;
    }
    while (i < all.len && (all.ptr[i] == ' ' || all.ptr[i] == '\t'))
        i++;
    if (all.len - i < 2 && i < HD_MULTIPART_BOUNDARY_MAX &&
        (all.len == i || all.ptr[i] == '\r' || (i == 0 && all.ptr[0] == '-')))
        return 0;
    if (all.len - i < 2 || all.ptr[i] != '\r' || all.ptr[i + 1] != '\n')
        return hd_fail(err, HD_EPROTO, "multipart: a delimiter without a line end behind it");
    /* Its line end stays: a head that is empty ends with it. */
    hd_buf_consume(&m->held, i);
    m->state = HEAD;
    return 1;
}

static void disposition(struct hd_part *part, struct hd_str value, char *memory, size_t room)
{
    struct hd_str name, text;
    size_t end = hd_str_find(value, ';');
    struct hd_str rest = hd_str_n(value.ptr + end, value.len - end);
    while (parameter(&rest, &name, &text, memory, room)) {
        if (hd_str_is_nocase(name, "name"))
            part->name = text;
        else if (hd_str_is_nocase(name, "filename"))
            part->filename = text;
        if (text.ptr == memory) {
            memory += text.len;
            room -= text.len;
        }
    }
}

static int tell_part(struct hd_multipart *m, struct hd_str head, struct hd_error *err)
{
    struct hd_part part = {0};
    char memory[2048];
    struct hd_str line;
    while (hd_str_split(&line, &head, '\n')) {
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        size_t colon = hd_str_find(line, ':');
        if (line.len == 0)
            continue;
        if (colon == line.len)
            return hd_fail(err, HD_EPROTO, "multipart: a line in a part's head without a colon");
        struct hd_str name = hd_str_n(line.ptr, colon);
        struct hd_str value = hd_str_trim(hd_str_n(line.ptr + colon + 1, line.len - colon - 1));
        if (hd_str_is_nocase(name, "content-disposition"))
            disposition(&part, value, memory, sizeof(memory));
        else if (hd_str_is_nocase(name, "content-type"))
            part.content_type = value;
    }
    return m->events->on_part(m->arg, &part);
}

static int head(struct hd_multipart *m, struct hd_error *err)
{
    struct hd_str all = hd_buf_view(&m->held);
    const char *end = memmem(all.ptr, all.len, "\r\n\r\n", 4);
    if (end == NULL && all.len > HD_MULTIPART_HEAD_MAX)
        return hd_fail(err, HD_EPROTO, "multipart: a part's head of more than %d bytes",
                       HD_MULTIPART_HEAD_MAX);
    if (end == NULL)
        return 0;
    size_t n = (size_t)(end - all.ptr);
    int rc = tell_part(m, hd_str_n(all.ptr, n), err);
    if (rc != 0)
        return rc;
    hd_buf_consume(&m->held, n + 4);
    m->state = DATA;
    return 1;
}

/* @return above 0: go on; 0: more is needed. */
static int step(struct hd_multipart *m, struct hd_error *err)
{
    int rc = 0;
    switch (m->state) {
    case PREAMBLE:
    case DATA:
        rc = until_delimiter(m);
        if (rc == 1)
            m->state = LINE_END;
        return rc;
    case LINE_END:
        return line_end(m, err);
    case HEAD:
        return head(m, err);
    case EPILOGUE:
        hd_buf_clear(&m->held);
        return 0;
    }
    return 0;
}

int hd_multipart_feed(struct hd_multipart *m, struct hd_str bytes, struct hd_error *err)
{
    int rc;
    hd_buf_str(&m->held, bytes);
    do
        rc = step(m, err);
    while (rc > 0);
    return rc;
}

/* --- writing --- */

/* As browsers write a name (HTML, "multipart form data"): what would end it is escaped. */
static void write_name(struct hd_buf *out, struct hd_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (c == '"' || c == '\r' || c == '\n' || c == '\0')
            hd_buf_fmt(out, "%%%02X", (unsigned)c);
        else
            hd_buf_char(out, c);
    }
}

static bool one_line(struct hd_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.ptr[i] < ' ')
            return false;
    }
    return s.len > 0;
}

static void write_delimiter(struct hd_buf *out, struct hd_str boundary)
{
    hd_buf_cstr(out, out->len > 0 ? "\r\n--" : "--");
    hd_buf_str(out, boundary);
}

void hd_multipart_write_part(struct hd_buf *out, struct hd_str boundary, const struct hd_part *part)
{
    write_delimiter(out, boundary);
    hd_buf_cstr(out, "\r\nContent-Disposition: form-data; name=\"");
    write_name(out, part->name);
    if (part->filename.ptr != NULL) {
        hd_buf_cstr(out, "\"; filename=\"");
        write_name(out, part->filename);
    }
    hd_buf_cstr(out, "\"\r\n");
    if (one_line(part->content_type)) {
        hd_buf_cstr(out, "Content-Type: ");
        hd_buf_str(out, part->content_type);
        hd_buf_cstr(out, "\r\n");
    }
    hd_buf_cstr(out, "\r\n");
}

void hd_multipart_write_end(struct hd_buf *out, struct hd_str boundary)
{
    write_delimiter(out, boundary);
    hd_buf_cstr(out, "--\r\n");
}
