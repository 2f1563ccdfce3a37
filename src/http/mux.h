/* http/mux.h - several streams of bytes inside one connection, each with its own back-pressure.
 * Both ends are ours: a node, and the shim in a container whose engine does not see the node's
 * files. Pure: bytes in, events and bytes out.
 *
 * A frame is its kind, three zeros, the stream's number, and its length or amount, the numbers 32
 * bits with the highest byte first; then the bytes of a DATA frame. */
#pragma once

#include "core/buf.h"

struct hd_mux;

enum {
    HD_MUX_WINDOW = 256 << 10, /* bytes that may be under way in one direction of one stream */
    HD_MUX_STREAMS_MAX = 64,
};

/** What the other end did. All may call everything below but feed and free. */
struct hd_mux_events {
    void (*on_open)(void *arg, uint32_t id);
    /** Bytes came; hd_mux_taken() when they are dealt with, so that more can come. */
    void (*on_data)(void *arg, uint32_t id, struct hd_str bytes);
    /** It is over in both directions; the number is free. */
    void (*on_close)(void *arg, uint32_t id);
    /** There is room again after there had been less than half of it. */
    void (*on_room)(void *arg, uint32_t id);
};

/** @param events  outlives it. @return to be freed. */
struct hd_mux *hd_mux_new(const struct hd_mux_events *events, void *arg);
void hd_mux_free(struct hd_mux *m); /* NULL is fine */
/** Take what came, in pieces of any size. @return 0, or HD_EPROTO: the other end is none of ours,
 *  and nothing more is to be given to it. */
int hd_mux_feed(struct hd_mux *m, struct hd_str bytes, struct hd_error *err);

/** Open a stream. @param id  not 0, and in use by neither end.
 *  @return false: there are HD_MUX_STREAMS_MAX. */
bool hd_mux_open(struct hd_mux *m, uint32_t id);
/** @return how many bytes may be sent; of a stream that is not open: 0. */
size_t hd_mux_room(const struct hd_mux *m, uint32_t id);
/** Send; at most as many bytes as there is room. */
void hd_mux_send(struct hd_mux *m, uint32_t id, struct hd_str bytes);
/** That many bytes of on_data are dealt with. Not open any more: fine. */
void hd_mux_taken(struct hd_mux *m, uint32_t id, size_t bytes);
/** End a stream after what was sent. Not open: fine. */
void hd_mux_close(struct hd_mux *m, uint32_t id);

/** @return what is to be sent to the other end; valid until the next call. */
struct hd_str hd_mux_out(const struct hd_mux *m);
/** So many bytes of it are sent. */
void hd_mux_sent(struct hd_mux *m, size_t bytes);
