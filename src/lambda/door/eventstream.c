#include "lambda/door/eventstream.h"

#include "core/base64.h"
#include "core/crc32.h"

#include <assert.h>

enum {
    PRELUDE = 12,
    TRAILER = 4,
    DETAILS_MAX = 1 << 20, /* of an error; as JSON it may take six times as much */
};

static void store_u32(char *at, size_t n)
{
    const unsigned char bytes[4] = {(unsigned char)(n >> 24), (unsigned char)(n >> 16),
                                    (unsigned char)(n >> 8), (unsigned char)n};
    memcpy(at, bytes, sizeof(bytes));
}

static uint32_t load_u32(const char *at)
{
    const unsigned char *b = (const unsigned char *)at;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static size_t load_u16(const char *at)
{
    const unsigned char *b = (const unsigned char *)at;
    return (size_t)b[0] << 8 | b[1];
}

static uint32_t checksum(const char *ptr, size_t len)
{
    return hd_crc32(0, ptr, len);
}

/* --- writing --- */

size_t hd_eventstream_begin(struct hd_buf *out, const struct hd_eventstream_header *headers,
                            size_t n)
{
    size_t begin = out->len;
    hd_buf_add(out, (char[PRELUDE]){0}, PRELUDE);
    for (size_t i = 0; i < n; i++) {
        const struct hd_eventstream_header *h = &headers[i];
        assert(h->name.len >= 1 && h->name.len <= UINT8_MAX && h->value.len <= UINT16_MAX);
        hd_buf_char(out, (char)h->name.len);
        hd_buf_str(out, h->name);
        hd_buf_char(out, HD_EVENTSTREAM_STRING);
        hd_buf_char(out, (char)(h->value.len >> 8));
        hd_buf_char(out, (char)(h->value.len & 0xff));
        hd_buf_str(out, h->value);
    }
    if (!out->failed)
        store_u32(out->ptr + begin + 4, out->len - begin - PRELUDE);
    return begin;
}

void hd_eventstream_end(struct hd_buf *out, size_t begin)
{
    hd_buf_add(out, (char[TRAILER]){0}, TRAILER);
    if (out->failed)
        return;
    char *frame = out->ptr + begin;
    size_t total = out->len - begin;
    if (total > HD_EVENTSTREAM_FRAME_MAX) {
        out->failed = true;
        return;
    }
    store_u32(frame, total);
    store_u32(frame + 8, checksum(frame, 8));
    store_u32(frame + total - TRAILER, checksum(frame, total - TRAILER));
}

#define STRING_HEADER(n, v)                                                  \
    {                                                                        \
        .name = HD_LIT(n), .type = HD_EVENTSTREAM_STRING, .value = HD_LIT(v) \
    }

static const struct hd_eventstream_header chunk_headers[] = {
    STRING_HEADER(":message-type", "event"),
    STRING_HEADER(":event-type", "PayloadChunk"),
    STRING_HEADER(":content-type", "application/octet-stream"),
};

static const struct hd_eventstream_header complete_headers[] = {
    STRING_HEADER(":message-type", "event"),
    STRING_HEADER(":event-type", "InvokeComplete"),
    STRING_HEADER(":content-type", "application/json"),
};

void hd_eventstream_chunk(struct hd_buf *out, struct hd_str bytes)
{
    while (bytes.len > 0) {
        size_t n = HD_MIN(bytes.len, (size_t)HD_EVENTSTREAM_CHUNK_MAX);
        size_t begin = hd_eventstream_begin(out, chunk_headers, HD_COUNT(chunk_headers));
        hd_buf_add(out, bytes.ptr, n);
        hd_eventstream_end(out, begin);
        bytes = hd_str_n(bytes.ptr + n, bytes.len - n);
    }
}

size_t hd_eventstream_chunk_bytes(size_t bytes)
{
    size_t head = HD_EVENTSTREAM_OVERHEAD;
    for (size_t i = 0; i < HD_COUNT(chunk_headers); i++)
        head += 4 + chunk_headers[i].name.len + chunk_headers[i].value.len;
    return bytes + (bytes + HD_EVENTSTREAM_CHUNK_MAX - 1) / HD_EVENTSTREAM_CHUNK_MAX * head;
}

/* Cut at the end of a character. */
static struct hd_str shorten(struct hd_str s, size_t max)
{
    if (s.len <= max)
        return s;
    while (max > 0 && ((unsigned char)s.ptr[max] & 0xc0) == 0x80)
        max--;
    return hd_str_n(s.ptr, max);
}

void hd_eventstream_complete(struct hd_buf *out, const struct hd_eventstream_complete *end)
{
    size_t begin = hd_eventstream_begin(out, complete_headers, HD_COUNT(complete_headers));
    const char *comma = "";
    const struct {
        const char *name;
        struct hd_str value;
    } members[] = {{"ErrorCode", end->error_code},
                   {"ErrorDetails", shorten(end->error_details, DETAILS_MAX)}};
    hd_buf_char(out, '{');
    for (size_t i = 0; i < HD_COUNT(members); i++) {
        if (members[i].value.len == 0)
            continue;
        hd_buf_fmt(out, "%s\"%s\":", comma, members[i].name);
        hd_buf_json(out, members[i].value);
        comma = ",";
    }
    if (end->log_tail.len > 0) {
        hd_buf_fmt(out, "%s\"LogResult\":\"", comma);
        size_t chars = hd_base64_chars(HD_BASE64, end->log_tail.len);
        char *room = hd_buf_reserve(out, chars);
        if (room != NULL)
            hd_buf_commit(out,
                          hd_base64_encode(room, HD_BASE64, end->log_tail.ptr, end->log_tail.len));
        hd_buf_char(out, '"');
    }
    hd_buf_char(out, '}');
    hd_eventstream_end(out, begin);
}

/* --- reading --- */

/* Cut one header off *rest. @return 1, or HD_EPROTO. */
static int cut_header(struct hd_eventstream_header *h, struct hd_str *rest, struct hd_error *err)
{
    static const uint8_t fixed[] = {
        [HD_EVENTSTREAM_TRUE] = 0,      [HD_EVENTSTREAM_FALSE] = 0, [HD_EVENTSTREAM_BYTE] = 1,
        [HD_EVENTSTREAM_SHORT] = 2,     [HD_EVENTSTREAM_INT] = 4,   [HD_EVENTSTREAM_LONG] = 8,
        [HD_EVENTSTREAM_TIMESTAMP] = 8, [HD_EVENTSTREAM_UUID] = 16};
    const char *at = rest->ptr, *end = rest->ptr + rest->len;
    size_t name = (unsigned char)*at++;
    if (name == 0 || (size_t)(end - at) < name + 1)
        return hd_fail(err, HD_EPROTO, "event stream: a header's name has an impossible length");
    h->name = hd_str_n(at, name);
    at += name;
    unsigned type = (unsigned char)*at++;
    size_t value;
    if (type > HD_EVENTSTREAM_UUID)
        return hd_fail(err, HD_EPROTO, "event stream: header %.*s: type %u is none",
                       HD_FMT(h->name), type);
    h->type = (enum hd_eventstream_type)type;
    if (type == HD_EVENTSTREAM_BYTES || type == HD_EVENTSTREAM_STRING) {
        value = end - at >= 2 ? load_u16(at) : SIZE_MAX;
        at += value != SIZE_MAX ? 2 : 0;
    } else {
        value = fixed[type];
    }
    if ((size_t)(end - at) < value)
        return hd_fail(err, HD_EPROTO, "event stream: header %.*s: its value is cut off",
                       HD_FMT(h->name));
    h->value = hd_str_n(at, value);
    *rest = hd_str_n(at + value, (size_t)(end - at) - value);
    return 1;
}

static int check_headers(struct hd_str headers, struct hd_error *err)
{
    struct hd_eventstream_header h;
    while (headers.len > 0) {
        int rc = cut_header(&h, &headers, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int hd_eventstream_read(struct hd_eventstream_frame *frame, size_t *used, struct hd_str bytes,
                        size_t max, struct hd_error *err)
{
    if (bytes.len < PRELUDE)
        return 0;
    size_t total = load_u32(bytes.ptr), headers = load_u32(bytes.ptr + 4);
    if (load_u32(bytes.ptr + 8) != checksum(bytes.ptr, 8))
        return hd_fail(err, HD_EPROTO, "event stream: the checksum of a frame's lengths is wrong");
    if (total < HD_EVENTSTREAM_OVERHEAD || total - HD_EVENTSTREAM_OVERHEAD < headers ||
        headers > HD_EVENTSTREAM_HEADERS_MAX)
        return hd_fail(err, HD_EPROTO,
                       "event stream: a frame of %zu bytes cannot have %zu bytes of headers", total,
                       headers);
    if (total > max || total > HD_EVENTSTREAM_FRAME_MAX)
        return hd_fail(err, HD_EPROTO, "event stream: a frame of %zu bytes, the limit is %zu",
                       total, HD_MIN(max, (size_t)HD_EVENTSTREAM_FRAME_MAX));
    if (bytes.len < total)
        return 0;
    if (load_u32(bytes.ptr + total - TRAILER) != checksum(bytes.ptr, total - TRAILER))
        return hd_fail(err, HD_EPROTO, "event stream: the checksum of a frame is wrong");
    frame->headers = hd_str_n(bytes.ptr + PRELUDE, headers);
    frame->payload =
        hd_str_n(bytes.ptr + PRELUDE + headers, total - HD_EVENTSTREAM_OVERHEAD - headers);
    int rc = check_headers(frame->headers, err);
    if (rc < 0)
        return rc;
    *used = total;
    return 1;
}

bool hd_eventstream_next_header(struct hd_eventstream_header *header, struct hd_str *rest)
{
    return rest->len > 0 && cut_header(header, rest, NULL) > 0;
}

struct hd_str hd_eventstream_string(const struct hd_eventstream_frame *frame, const char *name)
{
    struct hd_eventstream_header h;
    struct hd_str rest = frame->headers;
    while (hd_eventstream_next_header(&h, &rest))
        if (h.type == HD_EVENTSTREAM_STRING && hd_str_is(h.name, name))
            return h.value;
    return hd_str_n(NULL, 0);
}
