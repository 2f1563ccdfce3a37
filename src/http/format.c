/* Two passes: one checks and counts, so that the second can write without a look at the room. */
#include "http/format.h"
#include "http/parse.h"
#include "http/scan.h"

enum { DIGITS_MAX = 20 };

static const struct hd_str blank = HD_LIT(" "), colon = HD_LIT(": "), line_end = HD_LIT("\r\n"),
                           version = HD_LIT("HTTP/1.1"), host = HD_LIT("Host: "),
                           length = HD_LIT("Content-Length: "),
                           chunked = HD_LIT("Transfer-Encoding: chunked\r\n"),
                           keep_alive = HD_LIT("Connection: keep-alive\r\n"),
                           closing = HD_LIT("Connection: close\r\n"),
                           upgrading = HD_LIT("Connection: upgrade\r\nUpgrade: "),
                           date = HD_LIT("Date: "), last_chunk = HD_LIT("0\r\n");

static inline char *put(char *at, struct hd_str s)
{
    if (s.len > 0)
        memcpy(at, s.ptr, s.len);
    return at + s.len;
}

static char *put_u64(char *at, uint64_t n)
{
    char digits[DIGITS_MAX];
    size_t first = sizeof(digits);
    do {
        digits[--first] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    return put(at, hd_str_n(digits + first, sizeof(digits) - first));
}

static inline char *put_field(char *at, const struct hd_field *f)
{
    return put(put(put(put(at, f->name), colon), f->value), line_end);
}

static bool is_token(struct hd_str s)
{
    return s.len > 0 && hd_scan_token(s.ptr, s.ptr + s.len) == s.ptr + s.len;
}

static bool is_value(struct hd_str s)
{
    return s.len == 0 || hd_scan_value(s.ptr, s.ptr + s.len) == s.ptr + s.len;
}

/* A value that can stand on a line of its own: not empty, no blanks at its ends. */
static bool is_solid(struct hd_str s)
{
    return s.len > 0 && is_value(s) && hd_str_trim(s).len == s.len;
}

static bool is_target(struct hd_str s)
{
    if (hd_str_is(s, "*"))
        return true;
    if (s.len == 0 || *s.ptr != '/')
        return false;
    const char *end = s.ptr + s.len;
    const char *at = hd_scan_path(s.ptr, end);
    return at == end || (*at == '?' && hd_scan_query(at, end) == end);
}

/* Fields that the writer makes itself. */
static inline bool is_own(struct hd_str name, bool request)
{
    if (name.len == 4)
        return request && hd_str_is_nocase(name, "host");
    if (name.len == 14)
        return hd_str_is_nocase(name, "content-length");
    return hd_is_hop_by_hop(name);
}

/* Add to *bytes what the fields need. */
static int measure(size_t *bytes, const struct hd_field *fields, size_t n, struct hd_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const struct hd_field *f = &fields[i];
        if (!is_token(f->name))
            return hd_fail(err, HD_EINVAL, "field %zu: its name is not a token", i + 1);
        if (!is_value(f->value))
            return hd_fail(err, HD_EINVAL, "field %zu (%.*s): control byte in its value", i + 1,
                           HD_FMT(f->name));
        *bytes += f->name.len + f->value.len + colon.len + line_end.len;
    }
    return 0;
}

/* All that follows the start line and is the same for both kinds; *bytes gets an upper bound. */
static int measure_rest(size_t *bytes, const struct hd_field *fields, size_t n,
                        const struct hd_format *how, struct hd_error *err)
{
    if (!is_value(how->date))
        return hd_fail(err, HD_EINVAL, "control byte in the date");
    if (how->connection == HD_CONNECTION_UPGRADE && !is_solid(how->upgrade))
        return hd_fail(err, HD_EINVAL, "an upgrade needs the name of a protocol");
    int rc = measure(bytes, fields, n, err);
    if (rc == 0)
        rc = measure(bytes, how->extra, how->n_extra, err);
    *bytes += date.len + how->date.len + line_end.len;
    *bytes += chunked.len + length.len + DIGITS_MAX;
    *bytes += upgrading.len + how->upgrade.len + line_end.len;
    *bytes += line_end.len;
    return rc;
}

static char *reserve(struct hd_buf *out, size_t bytes, struct hd_error *err)
{
    char *at = hd_buf_reserve(out, bytes);
    if (at == NULL)
        hd_fail(err, HD_EBUSY, "a head of %zu bytes does not fit the buffer", bytes);
    return at;
}

static char *put_rest(char *at, const struct hd_field *fields, size_t n, int64_t body_bytes,
                      const struct hd_format *how, bool request)
{
    bool dated = how->date.len == 0;
    for (size_t i = 0; i < n; i++) {
        const struct hd_field *f = &fields[i];
        if (is_own(f->name, request))
            continue;
        if (!dated && f->name.len == 4 && hd_str_is_nocase(f->name, "date"))
            dated = true;
        at = put_field(at, f);
    }
    for (size_t i = 0; i < how->n_extra; i++)
        at = put_field(at, &how->extra[i]);
    if (!dated)
        at = put(put(put(at, date), how->date), line_end);
    switch (how->framing) {
    case HD_FRAMING_NONE:
        break;
    case HD_FRAMING_LENGTH:
        at = put(put_u64(put(at, length), (uint64_t)body_bytes), line_end);
        break;
    case HD_FRAMING_CHUNKED:
        at = put(at, chunked);
        break;
    }
    switch (how->connection) {
    case HD_CONNECTION_DEFAULT:
        break;
    case HD_CONNECTION_KEEP_ALIVE:
        at = put(at, keep_alive);
        break;
    case HD_CONNECTION_CLOSE:
        at = put(at, closing);
        break;
    case HD_CONNECTION_UPGRADE:
        at = put(put(put(at, upgrading), how->upgrade), line_end);
        break;
    }
    return put(at, line_end);
}

enum hd_framing hd_request_framing(const struct hd_request_head *head)
{
    if (head->body_bytes < 0)
        return HD_FRAMING_CHUNKED;
    const struct hd_str m = head->method;
    return head->body_bytes > 0 || hd_str_is(m, "POST") || hd_str_is(m, "PUT") ||
                   hd_str_is(m, "PATCH")
               ? HD_FRAMING_LENGTH
               : HD_FRAMING_NONE;
}

enum hd_framing hd_response_framing(const struct hd_response_head *head, bool to_head,
                                    unsigned minor)
{
    if (head->status < 200 || head->status == 204)
        return HD_FRAMING_NONE;
    if (head->status == 304)
        return head->body_bytes > 0 ? HD_FRAMING_LENGTH : HD_FRAMING_NONE;
    if (head->body_bytes >= 0)
        return HD_FRAMING_LENGTH;
    return to_head || minor == 0 ? HD_FRAMING_NONE : HD_FRAMING_CHUNKED;
}

static int check_length(const struct hd_format *how, int64_t body_bytes, struct hd_error *err)
{
    if (how->framing == HD_FRAMING_LENGTH && body_bytes < 0)
        return hd_fail(err, HD_EINVAL, "a body of unknown length has no Content-Length");
    return 0;
}

int hd_format_request(struct hd_buf *out, const struct hd_request_head *head,
                      const struct hd_format *how, struct hd_error *err)
{
    if (!is_token(head->method))
        return hd_fail(err, HD_EINVAL, "the method is not a token");
    if (!is_target(head->path))
        return hd_fail(err, HD_EINVAL, "the path is not a request target");
    if (head->authority.len > 0 && !is_solid(head->authority))
        return hd_fail(err, HD_EINVAL, "the authority is not a Host value");
    size_t bytes = head->method.len + blank.len + head->path.len + blank.len + version.len +
                   line_end.len + host.len + head->authority.len + line_end.len;
    int rc = check_length(how, head->body_bytes, err);
    if (rc == 0)
        rc = measure_rest(&bytes, head->fields, head->n_fields, how, err);
    if (rc < 0)
        return rc;
    char *const begin = reserve(out, bytes, err);
    if (begin == NULL)
        return HD_EBUSY;
    char *at = put(put(begin, head->method), blank);
    at = put(put(put(put(at, head->path), blank), version), line_end);
    /* Always there (RFC 9112 section 3.2), with an empty value when the authority is not known. */
    at = put(put(put(at, host), head->authority), line_end);
    at = put_rest(at, head->fields, head->n_fields, head->body_bytes, how, true);
    hd_buf_commit(out, (size_t)(at - begin));
    return 0;
}

int hd_format_response(struct hd_buf *out, const struct hd_response_head *head,
                       const struct hd_format *how, struct hd_error *err)
{
    const struct hd_str reason =
        head->reason.len > 0 ? head->reason : hd_str(hd_status_reason(head->status));
    if (head->status < 100 || head->status > 599)
        return hd_fail(err, HD_EINVAL, "the status %u is not in 100 to 599", head->status);
    if (!is_value(reason))
        return hd_fail(err, HD_EINVAL, "control byte in the reason");
    size_t bytes = version.len + blank.len + 3 + blank.len + reason.len + line_end.len;
    int rc = check_length(how, head->body_bytes, err);
    if (rc == 0)
        rc = measure_rest(&bytes, head->fields, head->n_fields, how, err);
    if (rc < 0)
        return rc;
    char *const begin = reserve(out, bytes, err);
    if (begin == NULL)
        return HD_EBUSY;
    char *at = put_u64(put(put(begin, version), blank), head->status);
    at = put(put(put(at, blank), reason), line_end);
    at = put_rest(at, head->fields, head->n_fields, head->body_bytes, how, false);
    hd_buf_commit(out, (size_t)(at - begin));
    return 0;
}

struct hd_str hd_chunk_begin(char out[HD_CHUNK_BEGIN_MAX], uint64_t bytes)
{
    static const char hex[] = "0123456789abcdef";
    size_t at = HD_CHUNK_BEGIN_MAX;
    out[--at] = '\n';
    out[--at] = '\r';
    do {
        out[--at] = hex[bytes & 15];
        bytes >>= 4;
    } while (bytes > 0);
    return hd_str_n(out + at, HD_CHUNK_BEGIN_MAX - at);
}

int hd_format_trailers(struct hd_buf *out, const struct hd_field *fields, size_t n,
                       struct hd_error *err)
{
    size_t bytes = last_chunk.len + line_end.len;
    int rc = measure(&bytes, fields, n, err);
    if (rc < 0)
        return rc;
    char *const begin = reserve(out, bytes, err);
    if (begin == NULL)
        return HD_EBUSY;
    char *at = put(begin, last_chunk);
    for (size_t i = 0; i < n; i++)
        at = put_field(at, &fields[i]);
    at = put(at, line_end);
    hd_buf_commit(out, (size_t)(at - begin));
    return 0;
}
