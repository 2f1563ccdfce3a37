/* http/conn.h - one HTTP/1.1 client connection; private to the server. conn.c reads and waits,
 * exchange.c is what doors call. */
#pragma once

#include "core/buf.h"
#include "http/server.h"

#include <netinet/in.h>

struct hd_server {
    struct hd_server_options opt;
    struct hd_list conns;
    struct hd_list listeners;
    unsigned open;
    bool draining, closing;
    struct hd_buf out; /* heads are formatted here */
    void (*on_done)(void *arg);
    void *on_done_arg;
};

enum hd_conn_phase { HD_CONN_IDLE, HD_CONN_HEAD, HD_CONN_BUSY, HD_CONN_LINGER };
enum hd_body_framing { HD_FRAMED_LENGTH, HD_FRAMED_CHUNKED, HD_FRAMED_RAW };

struct hd_conn {
    struct hd_stream stream;
    struct hd_list link;
    struct hd_server *server;
    struct hd_exchange *ex; /* in BUSY, until the answer is complete */
    struct hd_timer timer;
    struct hd_buf in;       /* bytes read and not used yet; no memory when idle */
    uint64_t read_ms;       /* the last bytes of the request's body */
    uint64_t body_since_ms; /* when it began, or could go on */
    uint64_t wrote_ms;      /* when output moved last */
    size_t unsent;          /* as seen by the last look at output that waits */
    int64_t body_left;
    struct hd_chunked chunked;
    enum hd_conn_phase phase : 8;
    enum hd_body_framing framing : 8;
    bool keep_alive, minor_1, paused, processing, eof, chunked_out, bad_body;
    uint32_t lingered;
    union {
        struct sockaddr any;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
    } peer;
    char peer_text[INET6_ADDRSTRLEN];
};

enum {
    HD_CONN_WATCH_MS = 1000, /* how often a connection that something waits for is looked at */
};

/* Make a connection of an accepted socket. */
void hd_conn_new(struct hd_server *s, int fd, const struct sockaddr_storage *peer);
/* Close it if it is idle; else tell its next answer to. */
void hd_conn_drain(struct hd_conn *c);
/* Close it whatever it does; its door hears on_gone. */
void hd_conn_abort(struct hd_conn *c);
/* The last one was closed: tell hd_server_close(). */
void hd_server_conn_gone(struct hd_server *s);

struct hd_conn *hd_conn_of(struct hd_list *link);

/* --- for exchange.c --- */

/* Look at it after @p delay_ms, whatever it does then. */
void hd_conn_look(struct hd_conn *c, uint64_t delay_ms);
/* Use what waits in `in`, then decide whether to read. */
void hd_conn_process(struct hd_conn *c);
/* The answer is complete: free the exchange, and go on with the connection. */
void hd_conn_answered(struct hd_conn *c);
/* Free the exchange; the connection has none any more. */
void hd_conn_forget(struct hd_conn *c);

static inline uint64_t hd_conn_now_ms(struct hd_conn *c)
{
    return hd_loop_now_ms(c->stream.net->loop);
}
