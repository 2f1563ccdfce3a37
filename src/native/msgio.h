/* native/msgio.h - HTTP/1.1 messages on one socket, one after the other, as the server and the
 * client of the function library need them. */
#pragma once

#include "core/buf.h"
#include "http/parse.h"

struct iovec;

/** Reads messages. `head` and `body` are slices of its memory, valid from a 1 of read until next.
 */
struct hd_msgio {
    int fd; /* its own; -1: closed */
    struct hd_head head;
    struct hd_str body; /* with a NUL behind it that does not count */
    size_t max_body_bytes;
    bool response; /* which kind of message comes in */
    /* its own */
    struct hd_buf in, plain; /* bytes as they came; a chunked body without its framing */
    size_t head_bytes, chunk_at, used;
    const char *parsed_at; /* where `in` was when the head was parsed; NULL: no head yet */
    struct hd_chunked chunked;
    char behind; /* the byte that the NUL took the place of */
    bool whole, continued, eof;
};

/** @param fd  taken over. */
void hd_msgio_init(struct hd_msgio *m, int fd, size_t max_body_bytes, bool response);
void hd_msgio_done(struct hd_msgio *m); /* closes */
/**
 * Read what is there, once.
 * @param wait    block until something is.
 * @param status  set on HD_EPROTO and HD_EBUSY: what to answer to a request before closing.
 * @return 1: a whole message; 0: more is to come; HD_ECANCELED: the peer closed between two
 *         messages; HD_EPROTO, HD_EBUSY (too long), HD_EIO (it broke off).
 */
int hd_msgio_read(struct hd_msgio *m, bool wait, unsigned *status, struct hd_error *err);
/** Forget the message. @return as hd_msgio_read(): 1 if the next one is here already. */
int hd_msgio_next(struct hd_msgio *m, unsigned *status, struct hd_error *err);
/** @return whether a message has begun to arrive. */
bool hd_msgio_busy(const struct hd_msgio *m);
/** Write all of it, waiting if need be. @p iov is used up. @return 0, or HD_ECANCELED: the peer is
 *  gone. */
int hd_msgio_write(int fd, struct iovec *iov, int n);
