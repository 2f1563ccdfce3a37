#include "http/path.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    const char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The byte at *at, unescaped, and the cursor behind it; -1: a broken escape. */
static int next_byte(const char **at, const char *end)
{
    const char *p = *at;
    if (*p != '%') {
        *at = p + 1;
        return (unsigned char)*p;
    }
    if (end - p < 3)
        return -1;
    const int high = hex_value(p[1]), low = hex_value(p[2]);
    if (high < 0 || low < 0)
        return -1;
    *at = p + 3;
    return high * 16 + low;
}

int hd_path_decode(char *out, struct hd_str in)
{
    if (in.len == 0)
        return 0;
    const char *at = in.ptr, *end = in.ptr + in.len;
    int n = 0;
    while (at < end) {
        const int byte = next_byte(&at, end);
        if (byte < 0)
            return HD_EINVAL;
        out[n++] = (char)byte;
    }
    return n;
}

/* Whether a segment is "." or "..", escaped or not. */
static bool is_dots(struct hd_str segment)
{
    const char *at = segment.ptr, *end = segment.ptr + segment.len;
    size_t n = 0;
    while (at < end) {
        if (next_byte(&at, end) != '.' || ++n > 2)
            return false;
    }
    return n > 0;
}

static int check_name(struct hd_str name, struct hd_error *err)
{
    const char *at = name.ptr, *end = name.ptr + name.len;
    while (at < end) {
        const size_t where = (size_t)(at - name.ptr);
        const int byte = next_byte(&at, end);
        if (byte < 0)
            return hd_fail(err, HD_EINVAL, "function name, byte %zu: broken percent-escape", where);
        if (byte == '/' || byte == '\\')
            return hd_fail(err, HD_EINVAL, "function name, byte %zu: escaped slash or backslash",
                           where);
        if (byte < 0x20 || byte == 0x7f)
            return hd_fail(err, HD_EINVAL, "function name, byte %zu: control byte", where);
    }
    if (is_dots(name))
        return hd_fail(err, HD_EINVAL, "function name: a dot segment is no name");
    return 0;
}

int hd_path_split(struct hd_path *out, struct hd_str path, struct hd_str prefix,
                  struct hd_error *err)
{
    if (!hd_str_starts(path, prefix) || path.len < prefix.len + 2 || path.ptr[prefix.len] != '/')
        return 0;
    const struct hd_str tail = hd_str_n(path.ptr + prefix.len + 1, path.len - prefix.len - 1);
    const size_t slash = hd_str_find(tail, '/');
    const struct hd_str name = hd_str_n(tail.ptr, slash);
    if (name.len == 0)
        return 0;
    int rc = check_name(name, err);
    if (rc < 0)
        return rc;
    out->name = name;
    out->rest = hd_str_n(tail.ptr + slash, tail.len - slash);
    out->dots = false;
    struct hd_str segment, segments = out->rest;
    while (!out->dots && hd_str_split(&segment, &segments, '/'))
        out->dots = is_dots(segment);
    return 1;
}
