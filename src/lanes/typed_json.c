/* typed_json.c - JSON text to values, as JavaScript's JSON.parse sees it. */
#include "core/jsonscan.h"
#include "core/utf8.h"
#include "lanes/typed_private.h"

#include <math.h>
#include <stdio.h>

enum { SCRATCH = 16 };

struct cursor {
    const char *start, *p, *end;
    struct hd_arena *arena;
    struct hd_error *err;
    unsigned depth;
};

/* Items of an array or object while it is read; moved to the arena at its end. */
struct items {
    struct hd_typed **values, *first_values[SCRATCH];
    struct hd_str *names, first_names[SCRATCH];
    size_t n, cap;
};

static int parse_value(struct hd_typed **out, struct cursor *c);

struct hd_typed *hd_typed_new(struct hd_arena *arena, enum hd_typed_kind kind)
{
    struct hd_typed *v = hd_arena_alloc(arena, sizeof(*v));
    if (v != NULL)
        v->kind = kind;
    return v;
}

int hd_typed_no_room(struct hd_error *err)
{
    return hd_fail(err, HD_EBUSY, "the value takes more memory than is allowed for it");
}

static int bad(struct cursor *c, const char *what)
{
    return hd_fail(c->err, HD_EINVAL, "not JSON: %s at byte %zu", what, (size_t)(c->p - c->start));
}

static void skip_space(struct cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\n' || *c->p == '\r'))
        c->p++;
}

/* --- strings --- */

static int hex4(struct cursor *c, unsigned *out)
{
    unsigned value = 0;
    if (c->end - c->p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char d = *c->p++;
        unsigned digit;
        if (d >= '0' && d <= '9')
            digit = (unsigned)(d - '0');
        else if ((d | 0x20) >= 'a' && (d | 0x20) <= 'f')
            digit = (unsigned)((d | 0x20) - 'a') + 10;
        else
            return -1;
        value = value << 4 | digit;
    }
    *out = value;
    return 0;
}

/* An unpaired surrogate becomes three bytes as well (WTF-8), so that it can be written again. */
static char *put_utf8(char *to, unsigned point)
{
    if (point < 0x80) {
        *to++ = (char)point;
    } else if (point < 0x800) {
        *to++ = (char)(0xc0 | point >> 6);
        *to++ = (char)(0x80 | (point & 0x3f));
    } else if (point < 0x10000) {
        *to++ = (char)(0xe0 | point >> 12);
        *to++ = (char)(0x80 | (point >> 6 & 0x3f));
        *to++ = (char)(0x80 | (point & 0x3f));
    } else {
        *to++ = (char)(0xf0 | point >> 18);
        *to++ = (char)(0x80 | (point >> 12 & 0x3f));
        *to++ = (char)(0x80 | (point >> 6 & 0x3f));
        *to++ = (char)(0x80 | (point & 0x3f));
    }
    return to;
}

static int parse_escape(struct cursor *c, char **to)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    if (c->p == c->end)
        return bad(c, "a string that does not end");
    char e = *c->p++;
    const char *at = e != '\0' ? strchr(from, e) : NULL;
    unsigned point, low;
    if (at != NULL) {
        *(*to)++ = into[at - from];
        return 0;
    }
    if (e != 'u' || hex4(c, &point) < 0)
        return bad(c, "an escape that is none");
    const char *back = c->p;
    if (point >= 0xd800 && point < 0xdc00 && c->end - c->p >= 6 && c->p[0] == '\\' &&
        c->p[1] == 'u') {
        c->p += 2;
        if (hex4(c, &low) < 0)
            return bad(c, "an escape that is none");
        if (low >= 0xdc00 && low < 0xe000)
            point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
        else
            c->p = back;
    }
    *to = put_utf8(*to, point);
    return 0;
}

static int parse_string(struct hd_str *out, struct cursor *c)
{
    const char *begin = ++c->p;
    bool escaped = false;
    while (c->p += hd_json_plain(c->p, c->end), c->p < c->end && *c->p != '"') {
        unsigned char byte = (unsigned char)*c->p;
        if (byte < 0x20)
            return bad(c, "a control character in a string");
        if (byte == '\\') {
            escaped = true;
            c->p++;
        }
        size_t n = 1;
        if (byte >= 0x80)
            n = hd_utf8_len((const unsigned char *)c->p, (const unsigned char *)c->end);
        if (n == 0)
            return bad(c, "bytes that are not UTF-8");
        if (c->p < c->end)
            c->p += n;
    }
    if (c->p >= c->end)
        return bad(c, "a string that does not end");
    struct hd_str raw = hd_str_n(begin, (size_t)(c->p - begin));
    if (!escaped) {
        *out = raw.len > 0 ? raw : hd_str_n("", 0);
        c->p++;
        return 0;
    }
    char *text = hd_arena_alloc(c->arena, raw.len + 1), *to = text;
    if (text == NULL)
        return hd_typed_no_room(c->err);
    const char *end = c->p;
    for (c->p = begin; c->p < end;) {
        const char *next = memchr(c->p, '\\', (size_t)(end - c->p));
        size_t plain = (size_t)((next != NULL ? next : end) - c->p);
        memcpy(to, c->p, plain);
        to += plain;
        c->p += plain;
        if (next == NULL)
            break;
        c->p++;
        int rc = parse_escape(c, &to);
        if (rc < 0)
            return rc;
    }
    c->p = end + 1;
    *out = hd_str_n(text, (size_t)(to - text));
    return 0;
}

/* --- numbers --- */

static size_t digits(struct cursor *c)
{
    const char *begin = c->p;
    while (c->p < c->end && *c->p >= '0' && *c->p <= '9')
        c->p++;
    return (size_t)(c->p - begin);
}

static int parse_number(double *out, struct cursor *c)
{
    const char *begin = c->p;
    if (*c->p == '-')
        c->p++;
    const char *whole = c->p;
    size_t n = digits(c);
    if (n == 0 || (n > 1 && *whole == '0'))
        return bad(c, "a number that is none");
    bool integer = true;
    if (c->p < c->end && *c->p == '.') {
        integer = false;
        c->p++;
        if (digits(c) == 0)
            return bad(c, "a number that is none");
    }
    if (c->p < c->end && (*c->p == 'e' || *c->p == 'E')) {
        integer = false;
        c->p++;
        if (c->p < c->end && (*c->p == '+' || *c->p == '-'))
            c->p++;
        if (digits(c) == 0)
            return bad(c, "a number that is none");
    }
    if (integer && n <= 15) {
        int64_t value = 0;
        for (const char *p = whole; p < c->p; p++)
            value = value * 10 + (*p - '0');
        *out = *begin == '-' ? -(double)value : (double)value;
        return 0;
    }
    /* strtod wants an end that it can see; numbers of a kilobyte are somebody's joke. */
    char small[64];
    size_t len = (size_t)(c->p - begin);
    char *text = len < sizeof(small) ? small : hd_arena_alloc(c->arena, len + 1);
    if (text == NULL)
        return hd_typed_no_room(c->err);
    memcpy(text, begin, len);
    text[len] = '\0';
    *out = strtod(text, NULL);
    return 0;
}

/* --- arrays and objects --- */

static void items_grow(struct items *l)
{
    if (l->n < l->cap)
        return;
    size_t cap = l->cap * 2;
    struct hd_typed **values = hd_new_array(struct hd_typed *, cap);
    struct hd_str *names = hd_new_array(struct hd_str, cap);
    memcpy(values, l->values, l->n * sizeof(*values));
    memcpy(names, l->names, l->n * sizeof(*names));
    if (l->values != l->first_values) {
        free(l->values);
        free(l->names);
    }
    l->values = values;
    l->names = names;
    l->cap = cap;
}

static int items_keep(struct hd_typed *v, struct items *l, bool named, struct cursor *c)
{
    v->n = l->n;
    if (l->n == 0)
        return 0;
    v->items = hd_arena_alloc(c->arena, l->n * sizeof(*v->items));
    if (v->items == NULL)
        return hd_typed_no_room(c->err);
    memcpy(v->items, l->values, l->n * sizeof(*v->items));
    if (!named)
        return 0;
    v->names = hd_arena_alloc(c->arena, l->n * sizeof(*v->names));
    if (v->names == NULL)
        return hd_typed_no_room(c->err);
    memcpy(v->names, l->names, l->n * sizeof(*v->names));
    return hd_typed_order(v, c->arena) < 0 ? hd_typed_no_room(c->err) : 0;
}

static int parse_member(struct items *l, bool named, struct cursor *c)
{
    items_grow(l);
    skip_space(c);
    if (named) {
        if (c->p == c->end || *c->p != '"')
            return bad(c, "a member without a name");
        int rc = parse_string(&l->names[l->n], c);
        if (rc < 0)
            return rc;
        skip_space(c);
        if (c->p == c->end || *c->p != ':')
            return bad(c, "a member without a colon");
        c->p++;
    }
    int rc = parse_value(&l->values[l->n], c);
    if (rc == 0)
        l->n++;
    return rc;
}

static int parse_members(struct items *l, bool named, char close, struct cursor *c)
{
    c->p++;
    skip_space(c);
    if (c->p < c->end && *c->p == close) {
        c->p++;
        return 0;
    }
    for (;;) {
        int rc = parse_member(l, named, c);
        if (rc < 0)
            return rc;
        skip_space(c);
        if (c->p == c->end)
            return bad(c, "the end, where more should come");
        char next = *c->p;
        if (next != ',' && next != close)
            return bad(c, "something else than a comma");
        c->p++;
        if (next == close)
            return 0;
    }
}

static int parse_many(struct hd_typed *v, bool named, struct cursor *c)
{
    struct items l = {.cap = SCRATCH};
    l.values = l.first_values;
    l.names = l.first_names;
    int rc = parse_members(&l, named, named ? '}' : ']', c);
    if (rc == 0)
        rc = items_keep(v, &l, named, c);
    if (l.values != l.first_values) {
        free(l.values);
        free(l.names);
    }
    return rc;
}

static bool take_word(struct cursor *c, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(c->end - c->p) < n || memcmp(c->p, word, n) != 0)
        return false;
    c->p += n;
    return true;
}

static int parse_value(struct hd_typed **out, struct cursor *c)
{
    int rc = 0;
    skip_space(c);
    if (c->p == c->end)
        return bad(c, "the end, where a value should come");
    if (c->depth > HD_TYPED_DEPTH_MAX)
        return hd_fail(c->err, HD_EINVAL, "nested deeper than %d", HD_TYPED_DEPTH_MAX);
    struct hd_typed *v = hd_typed_new(c->arena, HD_TYPED_NULL);
    if (v == NULL)
        return hd_typed_no_room(c->err);
    c->depth++;
    if (*c->p == '{' || *c->p == '[') {
        v->kind = *c->p == '{' ? HD_TYPED_OBJECT : HD_TYPED_ARRAY;
        rc = parse_many(v, v->kind == HD_TYPED_OBJECT, c);
    } else if (*c->p == '"') {
        v->kind = HD_TYPED_STRING;
        rc = parse_string(&v->text, c);
    } else if (take_word(c, "true")) {
        v->kind = HD_TYPED_TRUE;
    } else if (take_word(c, "false")) {
        v->kind = HD_TYPED_FALSE;
    } else if (*c->p == '-' || (*c->p >= '0' && *c->p <= '9')) {
        v->kind = HD_TYPED_NUMBER;
        rc = parse_number(&v->number, c);
    } else if (!take_word(c, "null")) {
        rc = bad(c, "something that is no value");
    }
    c->depth--;
    *out = v;
    return rc;
}

int hd_typed_parse(struct hd_typed **out, struct hd_arena *arena, struct hd_str json,
                   struct hd_error *err)
{
    struct cursor c = {
        .start = json.ptr, .p = json.ptr, .end = json.ptr + json.len, .arena = arena, .err = err};
    int rc = parse_value(out, &c);
    if (rc < 0)
        return rc;
    skip_space(&c);
    return c.p == c.end ? 0 : bad(&c, "something after the value");
}
