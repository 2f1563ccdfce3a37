#include "native/jsonread.h"

#include <limits.h>

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
        at++;
    return at;
}

/* @return behind the string that begins at @p at, or NULL. */
static const char *skip_string(const char *at, const char *end)
{
    for (at++; at < end; at++) {
        if (*at == '"')
            return at + 1;
        if (*at == '\\')
            at++;
    }
    return NULL;
}

/* @return behind the value that begins at @p at, or NULL. */
static const char *skip_value(const char *at, const char *end)
{
    size_t depth = 0;
    while (at < end) {
        if (*at == '"') {
            at = skip_string(at, end);
            if (at == NULL || depth == 0)
                return at;
        } else if (*at == '{' || *at == '[') {
            depth++;
            at++;
        } else if (*at == '}' || *at == ']') {
            if (depth == 0)
                return NULL;
            at++;
            if (--depth == 0)
                return at;
        } else if (depth > 0) {
            at++;
        } else { /* a number, true, false, null */
            const char *begin = at;
            while (at < end && strchr(" \t\r\n,:{}[]\"", *at) == NULL)
                at++;
            return at > begin ? at : NULL;
        }
    }
    return NULL;
}

void hd_jsonread_init(struct hd_jsonread *r, struct hd_str value)
{
    *r = (struct hd_jsonread){0};
    if (value.len == 0)
        return;
    const char *end = value.ptr + value.len, *at = skip_blanks(value.ptr, end);
    if (at == end || (*at != '{' && *at != '['))
        return;
    *r = (struct hd_jsonread){.at = at + 1, .end = end, .object = *at == '{'};
}

bool hd_jsonread_next(struct hd_jsonread *r, struct hd_str *key, struct hd_str *value)
{
    const char *at = r->at;
    r->at = NULL;
    *key = (struct hd_str){NULL, 0};
    if (at == NULL)
        return false;
    at = skip_blanks(at, r->end);
    if (r->object) {
        const char *behind = at < r->end && *at == '"' ? skip_string(at, r->end) : NULL;
        if (behind == NULL)
            return false;
        *key = hd_str_n(at, (size_t)(behind - at));
        at = skip_blanks(behind, r->end);
        if (at == r->end || *at != ':')
            return false;
        at = skip_blanks(at + 1, r->end);
    }
    const char *behind = skip_value(at, r->end);
    if (behind == NULL)
        return false;
    *value = hd_str_n(at, (size_t)(behind - at));
    at = skip_blanks(behind, r->end);
    if (at < r->end && *at == ',')
        r->at = at + 1;
    return true;
}

/* A key without its quotes; escapes are left as they are. */
static bool key_is(struct hd_str key, struct hd_str name)
{
    return hd_str_eq(hd_str_n(key.ptr + 1, key.len - 2), name);
}

struct hd_str hd_jsonread_find(struct hd_str json, const char *path)
{
    struct hd_str rest = hd_str(path), part;
    while (hd_str_split(&part, &rest, '.')) {
        struct hd_jsonread r;
        hd_jsonread_init(&r, json);
        bool object = r.object, found = false;
        uint64_t index = 0, wanted = UINT64_MAX;
        if (!object && hd_str_to_u64(&wanted, part) < 0)
            return hd_str_n(NULL, 0);
        struct hd_str key;
        while (!found && hd_jsonread_next(&r, &key, &json))
            found = object ? key_is(key, part) : index++ == wanted;
        if (!found)
            return hd_str_n(NULL, 0);
    }
    return json;
}

/* Four hex digits. @return the number, or -1. */
static int read_hex4(const char *at, const char *end)
{
    if (end - at < 4)
        return -1;
    int n = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i], lower = (char)(c | 0x20);
        if (c >= '0' && c <= '9')
            n = n * 16 + (c - '0');
        else if (lower >= 'a' && lower <= 'f')
            n = n * 16 + (lower - 'a' + 10);
        else
            return -1;
    }
    return n;
}

/* Read what stands behind a backslash. @return the code point with *at behind it, or -1. */
static int32_t read_escape(const char **at, const char *end)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (*at == end)
        return -1;
    char c = *(*at)++;
    const char *plain = c != '\0' ? strchr(from, c) : NULL;
    if (plain != NULL)
        return to[plain - from];
    int high = c == 'u' ? read_hex4(*at, end) : -1;
    if (high < 0)
        return -1;
    *at += 4;
    if (high < 0xd800 || high > 0xdfff)
        return high;
    if (high > 0xdbff || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u')
        return -1;
    int low = read_hex4(*at + 2, end);
    if (low < 0xdc00 || low > 0xdfff)
        return -1;
    *at += 6;
    return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

static size_t put_utf8(char out[4], int32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

static int read_string(char *out, size_t size, struct hd_str value)
{
    if (value.len < 2 || value.ptr[0] != '"' || value.ptr[value.len - 1] != '"')
        return HD_EINVAL;
    const char *at = value.ptr + 1, *end = value.ptr + value.len - 1;
    size_t used = 0;
    while (at < end) {
        char bytes[4] = {*at++};
        size_t n = 1;
        if (bytes[0] == '\\') {
            int32_t c = read_escape(&at, end);
            if (c < 0)
                return HD_EINVAL;
            n = put_utf8(bytes, c);
        }
        if (bytes[0] == '\0')
            return HD_EINVAL;
        if (used + n >= size || used + n > INT_MAX)
            return HD_EBUSY;
        memcpy(out + used, bytes, n);
        used += n;
    }
    out[used] = '\0';
    return (int)used;
}

int hd_jsonread_string(char *out, size_t size, struct hd_str value)
{
    int rc = read_string(out, size, value);
    if (rc < 0)
        out[0] = '\0';
    return rc;
}
