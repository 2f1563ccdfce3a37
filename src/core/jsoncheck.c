#include "core/jsoncheck.h"

#include "core/utf8.h"

struct reader {
    const unsigned char *begin, *at, *end;
    struct hd_error *err;
    unsigned depth;
    uint64_t in_object[HD_JSON_DEPTH_MAX / 64 + 1]; /* a bit for each level: object, else array */
};

static int refuse(const struct reader *r, const char *what)
{
    size_t offset = (size_t)(r->at - r->begin);
    if (r->at >= r->end)
        return hd_fail(r->err, HD_EINVAL, "unexpected end at byte %zu: %s", offset, what);
    return hd_fail(r->err, HD_EINVAL, "unexpected byte 0x%02x at byte %zu: %s", *r->at, offset,
                   what);
}

static void skip_blanks(struct reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r'))
        r->at++;
}

static bool is_digit(const struct reader *r)
{
    return r->at < r->end && *r->at >= '0' && *r->at <= '9';
}

static int read_digits(struct reader *r)
{
    if (!is_digit(r))
        return refuse(r, "a digit is wanted");
    while (is_digit(r))
        r->at++;
    return 0;
}

static int read_number(struct reader *r)
{
    if (*r->at == '-')
        r->at++;
    if (r->at < r->end && *r->at == '0')
        r->at++;
    else if (read_digits(r) < 0)
        return HD_EINVAL;
    if (r->at < r->end && *r->at == '.') {
        r->at++;
        if (read_digits(r) < 0)
            return HD_EINVAL;
    }
    if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
        r->at++;
        if (r->at < r->end && (*r->at == '+' || *r->at == '-'))
            r->at++;
        return read_digits(r);
    }
    return 0;
}

static int read_escape(struct reader *r)
{
    r->at++;
    if (r->at < r->end && *r->at == 'u') {
        r->at++;
        for (int n = 0; n < 4; n++, r->at++) {
            unsigned c = r->at < r->end ? *r->at | 0x20u : 0;
            if (!is_digit(r) && (c < 'a' || c > 'f'))
                return refuse(r, "four hex digits are wanted after \\u");
        }
        return 0;
    }
    if (r->at >= r->end || strchr("\"\\/bfnrt", *r->at) == NULL || *r->at == '\0')
        return refuse(r, "no such escape");
    r->at++;
    return 0;
}

static int read_string(struct reader *r)
{
    r->at++;
    for (;;) {
        while (r->at < r->end && *r->at >= 0x20 && *r->at < 0x80 && *r->at != '"' && *r->at != '\\')
            r->at++;
        if (r->at >= r->end)
            return refuse(r, "a string does not end");
        if (*r->at == '"') {
            r->at++;
            return 0;
        }
        if (*r->at == '\\') {
            if (read_escape(r) < 0)
                return HD_EINVAL;
            continue;
        }
        size_t len = *r->at < 0x80 ? 0 : hd_utf8_len(r->at, r->end);
        if (len == 0)
            return refuse(r, *r->at < 0x20 ? "a control character in a string must be escaped"
                                           : "not UTF-8");
        r->at += len;
    }
}

static int read_word(struct reader *r, const char *word)
{
    for (; *word != '\0'; word++, r->at++) {
        if (r->at >= r->end || *r->at != (unsigned char)*word)
            return refuse(r, "a value is wanted");
    }
    return 0;
}

static int read_scalar(struct reader *r)
{
    if (r->at >= r->end)
        return refuse(r, "a value is wanted");
    switch (*r->at) {
    case '"':
        return read_string(r);
    case 't':
        return read_word(r, "true");
    case 'f':
        return read_word(r, "false");
    case 'n':
        return read_word(r, "null");
    default:
        if (*r->at == '-' || is_digit(r))
            return read_number(r);
        return refuse(r, "a value is wanted");
    }
}

static bool in_object(const struct reader *r)
{
    return (r->in_object[(r->depth - 1) / 64] >> ((r->depth - 1) % 64)) & 1;
}

/* A member's name and colon. */
static int read_name(struct reader *r)
{
    skip_blanks(r);
    if (r->at >= r->end || *r->at != '"')
        return refuse(r, "a member's name in quotes is wanted");
    if (read_string(r) < 0)
        return HD_EINVAL;
    skip_blanks(r);
    if (r->at >= r->end || *r->at != ':')
        return refuse(r, "a colon is wanted");
    r->at++;
    return 0;
}

/* Go into an object or array. @return 1: there is something in it; 0: it was empty. */
static int enter(struct reader *r)
{
    bool object = *r->at == '{';
    uint64_t bit = (uint64_t)1 << (r->depth % 64);
    if (r->depth == HD_JSON_DEPTH_MAX)
        return refuse(r, "nested too deep");
    r->at++;
    skip_blanks(r);
    if (r->at < r->end && *r->at == (object ? '}' : ']')) {
        r->at++;
        return 0;
    }
    if (object)
        r->in_object[r->depth / 64] |= bit;
    else
        r->in_object[r->depth / 64] &= ~bit;
    r->depth++;
    return object && read_name(r) < 0 ? HD_EINVAL : 1;
}

/* After a value: leave what ends here. @return 1: another value follows; 0: all is over. */
static int go_on(struct reader *r)
{
    while (r->depth > 0) {
        bool object = in_object(r);
        skip_blanks(r);
        if (r->at >= r->end || (*r->at != ',' && *r->at != (object ? '}' : ']')))
            return refuse(r, object ? "a comma or } is wanted" : "a comma or ] is wanted");
        if (*r->at++ == ',')
            return object && read_name(r) < 0 ? HD_EINVAL : 1;
        r->depth--;
    }
    return 0;
}

int hd_json_check(struct hd_str text, struct hd_error *err)
{
    static const unsigned char nothing;
    struct reader r;
    r.begin = r.at = text.len > 0 ? (const unsigned char *)text.ptr : &nothing;
    r.end = r.begin + text.len;
    r.err = err;
    r.depth = 0;
    int more = 1;
    while (more > 0) {
        skip_blanks(&r);
        int rc = r.at < r.end && (*r.at == '{' || *r.at == '[') ? enter(&r) : read_scalar(&r);
        if (rc < 0)
            return rc;
        if (rc == 0)
            more = go_on(&r);
    }
    skip_blanks(&r);
    if (more == 0 && r.at != r.end)
        return refuse(&r, "nothing may follow the value");
    return more;
}
