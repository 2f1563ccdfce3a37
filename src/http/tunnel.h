/* http/tunnel.h - connections carried through one pair of byte streams (http/mux.h): the node takes
 * local connections in, and the shim at the other end connects each of them to the instance.
 *
 *   node: local connection ─► stream ═══ carrier ═══ stream ─► connection to the host: shim
 *      connection to lanes ◄─ stream ═══ carrier ═══ stream ◄─ local connection
 *         output of the instance ◄── HD_TUNNEL_OUT, _ERR ◄── pipes of its program              */
#pragma once

#include "http/mux.h"
#include "http/net.h"

#include <heddle/sys/backend.h>

struct hd_tunnel;

/** Streams that the shim opens, once each; those of connections are numbered by who opens them. */
enum {
    HD_TUNNEL_OUT = 1,
    HD_TUNNEL_ERR = 2,
    HD_TUNNEL_NODE_FIRST = 16,
    HD_TUNNEL_SHIM_FIRST = 1 << 30
};

struct hd_tunnel_options {
    struct hd_net *net;
    /** Give bytes to the carrier. @return how many it took; after less than all, call
     *  hd_tunnel_writable() when it takes more. */
    size_t (*send)(void *arg, struct hd_str bytes);
    /** Output came: node. */
    void (*on_output)(void *arg, uint32_t which, struct hd_str bytes);
    /** Shim: output can go on; and a connection's data is about to be sent: what was put out before
     *  goes first. */
    void (*on_room)(void *arg);
    void (*on_turn)(void *arg);
    void *arg;
    bool shim; /* which end this is */
    /** Where to connect what the other end takes in: the shim again and again, until somebody
     *  listens. Copied. NULL: nowhere. */
    const struct hd_endpoint *to;
};

/** Listen on a Unix socket, for connections to adopt; w->on_ready is told as long as somebody
 * waits.
 *  @return 0; HD_EINVAL: the path is too long; HD_EIO. */
int hd_listen_local(struct hd_watched *w, struct hd_loop *loop, const char *path,
                    struct hd_error *err);
/** @return never NULL. Loop thread, as all of it. */
struct hd_tunnel *hd_tunnel_new(const struct hd_tunnel_options *opt);
/** Close all connections, free; then @p done, later. No callback comes any more. */
void hd_tunnel_close(struct hd_tunnel *t, void (*done)(void *arg), void *arg);
/** Bytes came from the carrier. @return 0, or HD_EPROTO: only close is of use. */
int hd_tunnel_feed(struct hd_tunnel *t, struct hd_str bytes, struct hd_error *err);
/** The carrier takes bytes again. */
void hd_tunnel_writable(struct hd_tunnel *t);
/** @return whether all is with the carrier. */
bool hd_tunnel_is_flushed(const struct hd_tunnel *t);
/** Carry a local connection; the descriptor, which does not block, is the tunnel's. */
void hd_tunnel_adopt(struct hd_tunnel *t, int fd);
/** Shim: begin both streams of output. */
void hd_tunnel_open_output(struct hd_tunnel *t);
/** Shim: @return how many bytes of output may be sent. */
size_t hd_tunnel_output_room(const struct hd_tunnel *t, uint32_t which);
/** Shim: send output, at most that many. It goes before what connections carry after it. */
void hd_tunnel_output(struct hd_tunnel *t, uint32_t which, struct hd_str bytes);
