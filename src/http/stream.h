/* http/stream.h - one connection as a stream of bytes with back-pressure. HTTP sees this and not
 * the transport: TCP and Unix sockets today; a TLS layer has its place behind the same calls. */
#pragma once

#include "http/net.h"

#include <heddle/sys/backend.h>

struct hd_stream;

struct hd_stream_events {
    /** Bytes came; borrowed from the loop's read buffer until return. */
    void (*on_data)(struct hd_stream *s, struct hd_str bytes);
    /** The peer will send no more; it may still read. */
    void (*on_eof)(struct hd_stream *s);
    /** Broken, in either direction. Nothing but close makes sense now. @param status  UV_E*. */
    void (*on_error)(struct hd_stream *s, int status);
    /** All buffered output is with the kernel, after a write returned false. Also when a stream
     *  that was connecting is connected. */
    void (*on_writable)(struct hd_stream *s);
    /** After hd_stream_close(): the memory is yours again. */
    void (*on_closed)(struct hd_stream *s);
};

/** Lies inside a connection. Loop thread only. */
struct hd_stream {
    struct hd_watched watched;
    const struct hd_stream_events *events;
    struct hd_net *net;
    struct hd_buf *out; /* what the kernel did not take, or NULL */
    struct hd_later later;
    int failed; /* UV_E* that is still to be told */
    bool reading;
    bool unread; /* something may be there that nobody wanted yet */
    bool eof;    /* told */
    bool finish; /* end our direction after the last byte */
    bool connecting, closing, broken;
};

/** Take over a connected socket; it is made non-blocking, closed with the stream. @return 0, or
 *  UV_E* and the descriptor is still the caller's. */
int hd_stream_open(struct hd_stream *s, struct hd_net *net, int fd,
                   const struct hd_stream_events *events);
/** Begin to connect; what is written meanwhile waits. Failures come by on_error, later. */
void hd_stream_connect(struct hd_stream *s, struct hd_net *net, const struct hd_endpoint *to,
                       const struct hd_stream_events *events);
/** Start or stop the flow of on_data. It starts later, never from inside. */
void hd_stream_read(struct hd_stream *s, bool on);
/**
 * Write slices in order; borrowed until return.
 * @return true: all is with the kernel; false: the rest was copied, or the stream is broken: send
 * no more before on_writable (on_error comes later in the other case, never from inside).
 */
bool hd_stream_write(struct hd_stream *s, const struct hd_str *parts, unsigned n);
/** @return bytes that wait for the kernel. */
size_t hd_stream_pending(const struct hd_stream *s);
/** @return whether both directions are closed on the other side, or it is broken. Asks the system.
 */
bool hd_stream_peer_gone(const struct hd_stream *s);
/** Send the end of our direction once everything is written; reading goes on. */
void hd_stream_finish(struct hd_stream *s);
/** Close now; what is not written is lost. on_closed follows, once. Calling again is fine. */
void hd_stream_close(struct hd_stream *s);
/** Close so that the peer sees a reset, not an orderly end (TCP; a Unix socket just closes). */
void hd_stream_reset(struct hd_stream *s);

/** Frame a piece of a body as chunked: fills four parts. @param end  the last chunk follows it:
 *  @p last, HD_CHUNK_LAST or one with trailers. */
static inline void hd_frame_chunk(struct hd_str parts[4], char size[HD_CHUNK_BEGIN_MAX],
                                  struct hd_str body, bool end, struct hd_str last)
{
    bool any = body.len > 0;
    parts[0] = any ? hd_chunk_begin(size, body.len) : hd_str_n(NULL, 0);
    parts[1] = body;
    parts[2] = any ? hd_str(HD_CHUNK_END) : hd_str_n(NULL, 0);
    parts[3] = end ? last : hd_str_n(NULL, 0);
}
