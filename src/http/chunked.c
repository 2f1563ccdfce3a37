/* The chunked coding, byte by byte but for the data (RFC 9112 section 7.1).
 *
 *   SIZE_FIRST ─hex─► SIZE ─CR─► SIZE_LF ─► DATA ─► DATA_CR ─► DATA_LF ─┐
 *        ▲             │ ";"       ▲   └─ size 0 ─► TRAILER ─► ...      │
 *        │             ▼           │                  │ CR              │
 *        │            EXT ... ─CR──┘                  ▼                 │
 *        └─────────────────────────────────────  END_LF ─► DONE  ◄─ not │ ─ size 0
 *        └──────────────────────────────────────────────────────────────┘                */
#include "http/parse.h"
#include "http/scan.h"

enum state {
    SIZE_FIRST, /* the first digit of a chunk size */
    SIZE,
    EXT_BLANK, /* blanks before ";" */
    EXT_BEGIN, /* after ";", blanks and then a name */
    EXT_NAME,
    EXT_NAME_BLANK, /* blanks after a name */
    EXT_EQUALS,     /* after "=", blanks and then a value */
    EXT_VALUE,
    EXT_QUOTED,
    EXT_ESCAPED, /* after a backslash in a quoted value */
    EXT_QUOTED_END,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER, /* where a trailer line or the empty line begins */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
    DONE,
    BROKEN,
};

static int __attribute__((cold, noinline))
refuse(struct hd_chunked *c, const char *why, struct hd_error *err)
{
    const bool trailer = c->state >= TRAILER && c->state <= END_LF;
    const bool data = c->state == DATA_CR || c->state == DATA_LF;
    c->state = BROKEN;
    if (data)
        return hd_fail(err, HD_EPROTO, "chunked body, after chunk data: %s", why);
    return hd_fail(err, HD_EPROTO, "chunked body, %s, byte %u: %s",
                   trailer ? "trailer section" : "chunk size line", c->line_bytes - 1, why);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* What may follow an extension, or the size: the next state, or BROKEN. */
static enum state after_ext(char byte)
{
    if (byte == ';')
        return EXT_BEGIN;
    return byte == '\r' ? SIZE_LF : BROKEN;
}

static enum state ext_step(enum state at, char byte)
{
    switch (at) {
    case EXT_BLANK: /* blanks are for a ";" only */
        return is_blank(byte) ? EXT_BLANK : byte == ';' ? EXT_BEGIN : BROKEN;
    case EXT_BEGIN:
        if (is_blank(byte))
            return EXT_BEGIN;
        return hd_char_is(byte, HD_CHAR_TOKEN) ? EXT_NAME : BROKEN;
    case EXT_NAME:
        if (hd_char_is(byte, HD_CHAR_TOKEN))
            return EXT_NAME;
        if (is_blank(byte))
            return EXT_NAME_BLANK;
        return byte == '=' ? EXT_EQUALS : after_ext(byte);
    case EXT_NAME_BLANK:
        if (is_blank(byte))
            return EXT_NAME_BLANK;
        return byte == '=' ? EXT_EQUALS : byte == ';' ? EXT_BEGIN : BROKEN;
    case EXT_EQUALS:
        if (is_blank(byte))
            return EXT_EQUALS;
        return hd_char_is(byte, HD_CHAR_TOKEN) ? EXT_VALUE : byte == '"' ? EXT_QUOTED : BROKEN;
    case EXT_VALUE:
        if (hd_char_is(byte, HD_CHAR_TOKEN))
            return EXT_VALUE;
        return is_blank(byte) ? EXT_BLANK : after_ext(byte);
    case EXT_QUOTED:
        if (byte == '"')
            return EXT_QUOTED_END;
        if (byte == '\\')
            return EXT_ESCAPED;
        return hd_char_is(byte, HD_CHAR_VALUE) ? EXT_QUOTED : BROKEN;
    case EXT_ESCAPED:
        return hd_char_is(byte, HD_CHAR_VALUE) ? EXT_QUOTED : BROKEN;
    case EXT_QUOTED_END:
        return is_blank(byte) ? EXT_BLANK : after_ext(byte);
    default:
        return BROKEN;
    }
}

/* One more digit of the size. @return whether it still fits. */
static bool add_digit(struct hd_chunked *c, char byte)
{
    const unsigned digit =
        byte <= '9' ? (unsigned)(byte - '0') : (unsigned)((byte | 0x20) - 'a' + 10);
    if (c->digits == 16 || c->left > (uint64_t)INT64_MAX >> 4)
        return false;
    c->left = c->left << 4 | digit;
    c->digits++;
    return true;
}

static int size_step(struct hd_chunked *c, char byte, struct hd_error *err)
{
    if (c->line_bytes > HD_CHUNK_LINE_MAX)
        return refuse(c, "the line is longer than the limit", err);
    if (c->state <= SIZE && hd_char_is(byte, HD_CHAR_HEX)) {
        if (!add_digit(c, byte))
            return refuse(c, "the chunk size is too large", err);
        c->state = SIZE;
        return 0;
    }
    if (c->state == SIZE_FIRST)
        return refuse(c, "a chunk size must begin with a hexadecimal digit", err);
    if (c->state == SIZE_LF) {
        if (byte != '\n')
            return refuse(c, "bare CR", err);
        c->state = c->left > 0 ? DATA : TRAILER;
        c->line_bytes = 0;
        c->digits = 0;
        return 0;
    }
    const enum state next = c->state != SIZE ? ext_step(c->state, byte)
                            : is_blank(byte) ? EXT_BLANK
                                             : after_ext(byte);
    if (next == BROKEN)
        return refuse(c, byte == '\n' ? "bare LF" : "a byte that does not belong there", err);
    c->state = (uint8_t)next;
    return 0;
}

static int trailer_step(struct hd_chunked *c, char byte, struct hd_error *err)
{
    if (c->line_bytes > HD_CHUNK_TRAILER_MAX)
        return refuse(c, "it is longer than the limit", err);
    if (byte == '\n' && c->state != TRAILER_LF && c->state != END_LF)
        return refuse(c, "bare LF", err);
    switch ((enum state)c->state) {
    case TRAILER:
        if (byte != '\r' && !hd_char_is(byte, HD_CHAR_TOKEN))
            return refuse(c, "a field name must begin here", err);
        c->state = byte == '\r' ? END_LF : TRAILER_NAME;
        return 0;
    case TRAILER_NAME:
        if (byte != ':' && !hd_char_is(byte, HD_CHAR_TOKEN))
            return refuse(c, "a byte that does not belong in a field name", err);
        if (byte == ':')
            c->state = TRAILER_VALUE;
        return 0;
    case TRAILER_VALUE:
        if (byte != '\r' && !hd_char_is(byte, HD_CHAR_VALUE))
            return refuse(c, "a byte that does not belong in a field value", err);
        if (byte == '\r')
            c->state = TRAILER_LF;
        return 0;
    default:
        if (byte != '\n')
            return refuse(c, "bare CR", err);
        c->state = c->state == END_LF ? DONE : TRAILER;
        return 0;
    }
}

static bool in_trailers(const struct hd_chunked *c, char byte)
{
    return c->state >= TRAILER && c->state <= TRAILER_LF && !(c->state == TRAILER && byte == '\r');
}

/* Take a run of trailer lines. */
static int trailer_run(struct hd_chunked *c, struct hd_str *run, size_t *used, struct hd_str bytes,
                       struct hd_error *err)
{
    size_t at = 0;
    int rc = 0;
    while (rc == 0 && at < bytes.len && in_trailers(c, bytes.ptr[at])) {
        c->line_bytes++;
        rc = trailer_step(c, bytes.ptr[at++], err);
    }
    *used += at;
    if (rc < 0)
        return rc;
    *run = hd_str_n(bytes.ptr, at);
    return HD_CHUNKED_TRAILER;
}

int hd_chunked_next(struct hd_chunked *c, struct hd_str *data, size_t *used, struct hd_str bytes,
                    struct hd_error *err)
{
    size_t at = 0;
    int rc = 0;
    *data = hd_str_n(NULL, 0);
    while (at < bytes.len && rc == 0 && c->state != DONE) {
        if (c->state == BROKEN) {
            rc = hd_fail(err, HD_EPROTO, "chunked body: it was refused before");
        } else if (c->state == DATA) {
            const size_t left = bytes.len - at;
            const size_t n = c->left < left ? (size_t)c->left : left;
            *data = hd_str_n(bytes.ptr + at, n);
            c->left -= n;
            if (c->left == 0)
                c->state = DATA_CR;
            at += n;
            break;
        } else if (c->state == DATA_CR || c->state == DATA_LF) {
            if (bytes.ptr[at] != (c->state == DATA_CR ? '\r' : '\n'))
                rc = refuse(c, "CRLF must stand here", err);
            else
                c->state = c->state == DATA_CR ? DATA_LF : SIZE_FIRST;
            at++;
        } else if (in_trailers(c, bytes.ptr[at])) {
            rc = trailer_run(c, data, &at, hd_str_n(bytes.ptr + at, bytes.len - at), err);
        } else {
            c->line_bytes++;
            rc = c->state < DATA ? size_step(c, bytes.ptr[at], err)
                                 : trailer_step(c, bytes.ptr[at], err);
            at++;
        }
    }
    *used = at;
    return rc != 0 ? rc : c->state == DONE ? HD_CHUNKED_END : HD_CHUNKED_MORE;
}
