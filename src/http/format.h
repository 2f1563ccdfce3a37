/* http/format.h - message heads, chunk framing and dates as bytes. Everything that goes out is made
 * here from its parts, nothing is passed through raw. Pure. */
#pragma once

#include "core/buf.h"

#include <heddle/invoke.h>

/** How the body is framed; see hd_request_framing() and hd_response_framing(). */
enum hd_framing {
    HD_FRAMING_NONE,    /* no field: no body follows, or it goes until the connection closes */
    HD_FRAMING_LENGTH,  /* Content-Length: body_bytes of the head, 0 or more */
    HD_FRAMING_CHUNKED, /* Transfer-Encoding: chunked */
};

/** What Connection says. */
enum hd_connection {
    HD_CONNECTION_DEFAULT,    /* no field: HTTP/1.1 keeps the connection */
    HD_CONNECTION_KEEP_ALIVE, /* "keep-alive": for HTTP/1.0 clients that asked for it */
    HD_CONNECTION_CLOSE,
    HD_CONNECTION_UPGRADE, /* with `upgrade` as the value of Upgrade */
};

struct hd_format {
    enum hd_framing framing;
    enum hd_connection connection;
    struct hd_str upgrade;        /* "websocket", ...; not empty with HD_CONNECTION_UPGRADE */
    struct hd_str date;           /* value of Date unless the head has its own; empty: none */
    const struct hd_field *extra; /* fields after those of the head */
    size_t n_extra;
};

/** @return what suits a request: chunked for a body of unknown length; no field for an empty one
 *  unless the method usually has a body (POST, PUT, PATCH). */
enum hd_framing hd_request_framing(const struct hd_request_head *head);
/**
 * @return what suits a response. HD_FRAMING_NONE for 1xx and 204; for 304 and answers to HEAD the
 *         length which body_bytes announces, if it does (0 on 304: it does not); for a body of
 *         unknown length chunked, or NONE for a client of HTTP/1.0: then the connection must close.
 * @param to_head  it answers HEAD.
 * @param minor    of the client's HTTP/1.x.
 */
enum hd_framing hd_response_framing(const struct hd_response_head *head, bool to_head,
                                    unsigned minor);

/**
 * Append a head with all its line breaks, as HTTP/1.1.
 * Fields among head->fields which the writer is answerable for are left out: Content-Length, Host
 * (requests) and what is hop-by-hop. Those in `extra` are written as they are.
 * @param out  also a fixed span: {.ptr = span, .cap = n, .max = n}, which is never reallocated.
 * @return 0; HD_EINVAL and nothing appended: the method, target or status is none, a name is not a
 *         token, or a value has a control byte (CR, LF, NUL, ...); HD_EBUSY: the ceiling of @p out.
 */
int hd_format_request(struct hd_buf *out, const struct hd_request_head *head,
                      const struct hd_format *how, struct hd_error *err);
/** Same; an empty reason becomes the usual one of the status. */
int hd_format_response(struct hd_buf *out, const struct hd_response_head *head,
                       const struct hd_format *how, struct hd_error *err);

enum { HD_CHUNK_BEGIN_MAX = 18 };
/** Write the size line of a chunk of @p bytes, 1 or more (0 would end the body).
 *  @return a slice of @p out. After the data comes HD_CHUNK_END. */
struct hd_str hd_chunk_begin(char out[HD_CHUNK_BEGIN_MAX], uint64_t bytes);
#define HD_CHUNK_END "\r\n"
#define HD_CHUNK_LAST "0\r\n\r\n"
/** Append the last chunk with a trailer section. @return as hd_format_request(). */
int hd_format_trailers(struct hd_buf *out, const struct hd_field *fields, size_t n,
                       struct hd_error *err);

enum { HD_DATE_CHARS = 29 };
/** Write an IMF-fixdate (RFC 9110 section 5.6.7) and a NUL: "Sun, 06 Nov 1994 08:49:37 GMT".
 *  @param unix_s  0 to the end of the year 9999; beyond, the nearest of them. */
void hd_date_format(char out[HD_DATE_CHARS + 1], int64_t unix_s);

/** The date as last formatted; zeroed is ready. One per loop. */
struct hd_date {
    int64_t unix_s;
    char text[HD_DATE_CHARS + 1];
};
/** @return the date of @p unix_s, formatted only when the second has changed; valid until then. */
static inline struct hd_str hd_date_at(struct hd_date *d, int64_t unix_s)
{
    if (d->unix_s != unix_s || d->text[0] == '\0') {
        d->unix_s = unix_s;
        hd_date_format(d->text, unix_s);
    }
    return hd_str_n(d->text, HD_DATE_CHARS);
}
