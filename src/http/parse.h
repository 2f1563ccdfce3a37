/* http/parse.h - HTTP/1.1 message heads and chunked framing, strictly by RFC 9112. Pure: bytes in,
 * slices of the same bytes out. */
#pragma once

#include "core/base.h"

#include <heddle/invoke.h>

enum { HD_HEAD_FIELDS_MAX = 128 };

struct hd_parse_limits {
    uint32_t max_head_bytes;   /* start line and fields with all line breaks */
    uint32_t max_target_bytes; /* of a request target */
    uint32_t max_fields;       /* at most HD_HEAD_FIELDS_MAX */
};

/** Fields that decide framing and connection, found while parsing. */
struct hd_head {
    uint8_t minor; /* HTTP/1.x: 0 or 1 */
    /* request */
    struct hd_str method, target; /* target is origin-form ("/..."), or "*" for OPTIONS */
    struct hd_str path, query; /* target cut at the first '?'; query without it, ptr NULL if none */
    struct hd_str host;        /* the one Host field's value; ptr NULL if none (1.0 only) */
    /* response */
    unsigned status;
    struct hd_str reason;
    /* both */
    struct hd_field fields[HD_HEAD_FIELDS_MAX]; /* all of them, in order, as received */
    size_t n_fields;
    int64_t body_bytes;     /* 0 or more; HD_BODY_UNKNOWN: chunked, or (responses) until close */
    int64_t declared_bytes; /* Content-Length as it stands, also where no body follows (answers to
                               HEAD, 304); HD_BODY_UNKNOWN if there is none */
    bool chunked;
    bool keep_alive;          /* what version and Connection say together */
    bool expect_continue;     /* Expect: 100-continue, and a body is to come */
    bool upgrade;             /* Connection: upgrade together with one Upgrade field; 1.1 only */
    struct hd_str upgrade_to; /* value of Upgrade, if `upgrade` */
    bool connection_names;    /* Connection has options besides close, keep-alive and upgrade */
};

/**
 * Parse a request head that begins at @p bytes. One empty line in front of it (CRLF) is skipped.
 * Nothing is remembered between calls: after a 0, calling again is worth it only when a line feed
 * has arrived or max_head_bytes are there, so that a slow sender costs one parse a line.
 * Targets: origin-form only ("*" for OPTIONS); the other forms are a proxy's and get a 400. Which
 * bytes a target may have is said in http/scan.h. HTTP/1.2 to 1.9 are taken as 1.1.
 * @param used    set on success: bytes of the head, empty line included.
 * @param status  set on HD_EPROTO: what to answer: 400, 414 (target), 417 (Expect has something
 *                else than 100-continue), 431 (head size, number of fields), 501
 *                (Transfer-Encoding, method length) or 505.
 * @return 1: *head is filled (slices of @p bytes); 0: more bytes are needed; HD_EPROTO: refuse and
 *         close; the message names the rule and the byte offset. Unless 1, *head is garbage.
 */
int hd_parse_request(struct hd_head *head, size_t *used, unsigned *status, struct hd_str bytes,
                     const struct hd_parse_limits *limits, struct hd_error *err);

/**
 * Parse a response head. 1xx, 204 and 304 have no body. The blank after the status may be missing
 * where there is no reason.
 * @param to_head  it answers HEAD: there is no body whatever it says.
 * @return as above; HD_EPROTO: the peer is not to be trusted.
 */
int hd_parse_response(struct hd_head *head, size_t *used, struct hd_str bytes, bool to_head,
                      const struct hd_parse_limits *limits, struct hd_error *err);

/** Ceilings of the chunked coding, all answered with HD_EPROTO. */
enum {
    HD_CHUNK_LINE_MAX = 256,     /* size line with its extensions */
    HD_CHUNK_TRAILER_MAX = 8192, /* trailer section, line breaks included */
};

/** Decoder of the chunked coding (RFC 9112 section 7.1); zeroed is ready. Extensions are checked
 *  and dropped. */
struct hd_chunked {
    uint8_t state;
    uint8_t digits;      /* of the chunk size so far */
    uint64_t left;       /* of the current chunk */
    uint32_t line_bytes; /* of the current size line or trailer section, bounded */
};
enum { HD_CHUNKED_MORE = 0, HD_CHUNKED_END = 1, HD_CHUNKED_TRAILER = 2 };
/**
 * Take the next step: skip framing, find the next piece of data.
 * @param data   set: a slice of @p bytes; empty if there was none in it.
 * @param used   set: how many bytes were consumed, @p data included. Call again with the rest while
 *               it is more than 0 and the result is not HD_CHUNKED_END.
 * @return HD_CHUNKED_MORE; HD_CHUNKED_TRAILER: @p data is not of the body, but a piece of the
 *         trailer section, checked, line breaks included, without the empty line at its end;
 *         HD_CHUNKED_END: the body is complete, trailers included; HD_EPROTO, and the decoder
 *         stays refusing.
 */
int hd_chunked_next(struct hd_chunked *c, struct hd_str *data, size_t *used, struct hd_str bytes,
                    struct hd_error *err);

/** @return whether @p name is hop-by-hop and must not be forwarded (RFC 9110 section 7.6.1):
 *  Connection, Keep-Alive, Proxy-Connection, Proxy-Authenticate, Proxy-Authorization, TE, Trailer,
 *  Transfer-Encoding, Upgrade. */
bool hd_is_hop_by_hop(struct hd_str name);
/** @return whether @p name stands in the Connection fields of @p head: hop-by-hop as well. */
bool hd_is_connection_option(const struct hd_head *head, struct hd_str name);
/** @return the first field of that name, or NULL. ASCII case is ignored. */
const struct hd_field *hd_head_find(const struct hd_head *head, const char *name);
/** @return "OK", "Not Found", ... for a status, or "". Static. */
const char *hd_status_reason(unsigned status);
