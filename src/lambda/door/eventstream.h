/* lambda/door/eventstream.h - frames of application/vnd.amazon.eventstream, as
 * InvokeWithResponseStream sends them. Pure.
 *
 *   u32 total length, u32 length of headers, u32 CRC-32 of these 8 bytes,
 *   headers, payload, u32 CRC-32 of everything before it          all numbers big-endian
 *   header: u8 length of name, name, u8 type, value (a string: u16 length, bytes) */
#pragma once

#include "core/buf.h"

enum {
    HD_EVENTSTREAM_OVERHEAD = 16,         /* of a frame without headers and payload */
    HD_EVENTSTREAM_FRAME_MAX = 16 << 20,  /* of a whole frame */
    HD_EVENTSTREAM_HEADERS_MAX = 1 << 17, /* of all its headers */
    HD_EVENTSTREAM_CHUNK_MAX = 1 << 20,   /* of a payload that we send in one frame */
};

/** Types of header values, as on the wire. */
enum hd_eventstream_type {
    HD_EVENTSTREAM_TRUE,
    HD_EVENTSTREAM_FALSE,
    HD_EVENTSTREAM_BYTE,
    HD_EVENTSTREAM_SHORT,
    HD_EVENTSTREAM_INT,
    HD_EVENTSTREAM_LONG,
    HD_EVENTSTREAM_BYTES,
    HD_EVENTSTREAM_STRING,
    HD_EVENTSTREAM_TIMESTAMP, /* 8 bytes, milliseconds since 1970 */
    HD_EVENTSTREAM_UUID,      /* 16 bytes */
};

struct hd_eventstream_header {
    struct hd_str name;
    enum hd_eventstream_type type;
    struct hd_str value; /* the bytes as on the wire, without a length in front */
};

/* --- writing: everything is appended; hd_buf_failed() at the end tells --- */

/**
 * Begin a frame with @p n headers of type string (names of 1 to 255 bytes, values up to 65535);
 * append its payload to @p out, then end it.
 * @return what hd_eventstream_end() wants.
 */
size_t hd_eventstream_begin(struct hd_buf *out, const struct hd_eventstream_header *headers,
                            size_t n);
/** Fill in lengths and checksums. A frame over HD_EVENTSTREAM_FRAME_MAX makes the buffer failed. */
void hd_eventstream_end(struct hd_buf *out, size_t begin);

/** Send a piece of a function's answer: PayloadChunk frames, one for each HD_EVENTSTREAM_CHUNK_MAX
 *  bytes begun; nothing for nothing. */
void hd_eventstream_chunk(struct hd_buf *out, struct hd_str bytes);
/** @return how many bytes hd_eventstream_chunk() writes for @p bytes bytes. */
size_t hd_eventstream_chunk_bytes(size_t bytes);

/** How a streamed invocation ended; empty: not said. */
struct hd_eventstream_complete {
    struct hd_str error_code;    /* "Unhandled", "Function.ResponseSizeTooLarge" */
    struct hd_str error_details; /* the error's JSON, or text; bytes not UTF-8 become U+FFFD */
    struct hd_str log_tail;      /* raw; goes out as base64 */
};
/** Send the last frame, InvokeComplete; of error details that are longer than 1 MiB the beginning.
 */
void hd_eventstream_complete(struct hd_buf *out, const struct hd_eventstream_complete *end);

/* --- reading --- */

/** A frame that arrived whole; slices of what was read. */
struct hd_eventstream_frame {
    struct hd_str headers; /* checked, see hd_eventstream_next_header() */
    struct hd_str payload;
};

/**
 * Read the frame that begins at @p bytes.
 * @param max   refuse longer ones; at most HD_EVENTSTREAM_FRAME_MAX.
 * @param used  set on 1: bytes of the frame.
 * @return 1: *frame is filled; 0: more bytes are needed; HD_EPROTO: a checksum, a length or a
 *         header is wrong: the stream cannot be read any further.
 */
int hd_eventstream_read(struct hd_eventstream_frame *frame, size_t *used, struct hd_str bytes,
                        size_t max, struct hd_error *err);
/** Walk over the headers: begin with *rest = frame->headers. @return false at the end. */
bool hd_eventstream_next_header(struct hd_eventstream_header *header, struct hd_str *rest);
/** @return the value of a string header, or {NULL, 0}. */
struct hd_str hd_eventstream_string(const struct hd_eventstream_frame *frame, const char *name);
