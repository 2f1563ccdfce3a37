/* http/server.h - HTTP/1.1 server side: connections in, exchanges out.
 *
 * An exchange is one request with its answer. What a door sees of it does not depend on HTTP/1.1.
 */
#pragma once

#include "core/list.h"
#include "http/stream.h"

struct hd_server;
struct hd_exchange;

struct hd_server_limits {
    struct hd_parse_limits parse;
    uint32_t head_ms;       /* from the first byte of a head (or accept) to its end; 408 */
    uint32_t body_gap_ms;   /* longest gap between body bytes; 0: none */
    uint32_t body_min_rate; /* bytes a second, judged after body_grace_ms; 0: none */
    uint32_t body_grace_ms;
    uint32_t keep_alive_ms;  /* idle between requests */
    uint32_t write_stall_ms; /* the client takes nothing of its answers; 0: for ever */
};

/** Why an exchange ended without its door: for logs. */
enum hd_gone { HD_GONE_CLIENT, HD_GONE_STALLED_WRITE, HD_GONE_SHUTDOWN };

/** What a door hears about its exchange. Never from inside a call of the door, but for on_body (and
 *  on_trailers, on_bad_body) from inside hd_exchange_pause(ex, false), and on_body from inside the
 *  hd_exchange_respond() that makes a tunnel. */
struct hd_exchange_events {
    /** More of the request's body. After 101: raw bytes; @p end: the client sends no more. */
    void (*on_body)(struct hd_exchange *ex, struct hd_str bytes, bool end);
    /** Trailers came: right before the on_body with @p end. NULL: they are dropped. */
    void (*on_trailers)(struct hd_exchange *ex, const struct hd_field *fields, size_t n);
    /** The body broke its framing (400) or came too slowly (408): answer with @p status. */
    void (*on_bad_body)(struct hd_exchange *ex, unsigned status, const char *why);
    /** All output is with the kernel, after a write returned false. */
    void (*on_writable)(struct hd_exchange *ex);
    /** The client is gone; the exchange is dead when this returns. */
    void (*on_gone)(struct hd_exchange *ex, enum hd_gone why);
};

/** Lies on the server's side; the door uses `door` and `events`, and reads the rest. */
struct hd_exchange {
    const struct hd_exchange_events *events; /* set by the door in on_request */
    void *door;                              /* the door's own */
    struct hd_net *net;
    struct hd_conn *conn;
    struct hd_trailers *trailers; /* NULL until there are some */
    bool head_request;            /* the method is HEAD */
    bool body_done;               /* the request's body is complete */
    bool responded;               /* the answer's head is out */
    bool expects;                 /* the client waits for 100 Continue */
    bool tunnel;                  /* after 101 */
    bool bodyless;                /* the answer has no body whatever the door writes */
    uint64_t body_in;             /* bytes of the request's body so far */
    uint64_t body_out;            /* bytes of the answer's body so far */
};

struct hd_server_options {
    struct hd_net *net;
    struct hd_server_limits limits;
    /**
     * A request came. The head is valid until return; keep what is needed. The door sets
     * ex->events first thing, then may answer at once or later.
     * @param body  the first bytes of the body; all of it if @p end.
     */
    void (*on_request)(void *user, struct hd_exchange *ex, const struct hd_head *head,
                       struct hd_str body, bool end);
    /** A request was refused by the protocol, before any door saw it. For counters and logs. */
    void (*on_refused)(void *user, unsigned status, const struct hd_error *why);
    /** May this peer connect? Also told when it is gone (@p closed). NULL: all may. */
    bool (*on_admit)(void *user, const struct sockaddr *peer, bool closed);
    void *user;
};

/** @return 0 and *out, the caller's to free after hd_server_close(). */
int hd_server_new(struct hd_server **out, const struct hd_server_options *opt,
                  struct hd_error *err);
/** Listen on a bound or fresh socket. @param fd  takes ownership; TCP or Unix, listening or not. */
int hd_server_listen_fd(struct hd_server *s, int fd, struct hd_error *err);
/** Stop accepting, close idle connections, tell busy ones `Connection: close`. Again is fine. */
void hd_server_drain(struct hd_server *s);
/** @return open connections. */
unsigned hd_server_open(const struct hd_server *s);
/** Close everything now; @p done later, when the server may be freed. */
void hd_server_close(struct hd_server *s, void (*done)(void *arg), void *arg);
void hd_server_free(struct hd_server *s); /* NULL is fine */

/** Numeric address of the client, or "unix"; valid during the exchange. */
const char *hd_exchange_peer(const struct hd_exchange *ex);
const struct sockaddr *hd_exchange_peer_addr(const struct hd_exchange *ex);
/** @return whether the client has closed both its directions, as far as is known already: nobody
 *  would read an answer. Asks the system. */
bool hd_exchange_peer_gone(const struct hd_exchange *ex);
/** Stop or resume on_body. */
void hd_exchange_pause(struct hd_exchange *ex, bool paused);
/** Send 100 Continue if the client waits for it and nothing was answered yet. */
void hd_exchange_continue(struct hd_exchange *ex);
/** Send an informational answer, 102 to 199; a client of HTTP/1.0, or one that does not even take
 *  what it has, gets none. */
void hd_exchange_info(struct hd_exchange *ex, const struct hd_response_head *head);
/**
 * Send the answer's head and the first bytes of its body in one write. Framing, Date and Connection
 * are added. Status 101 makes it a tunnel; its fields hold Upgrade.
 * @param end  all is said: the exchange is dead when this returns.
 * @return true: go on; false: wait for on_writable before the next write.
 */
bool hd_exchange_respond(struct hd_exchange *ex, const struct hd_response_head *head,
                         struct hd_str body, bool end);
/** Send more of the body; as above. */
bool hd_exchange_write(struct hd_exchange *ex, struct hd_str bytes, bool end);
/** Trailers for the end that comes next; dropped where the client cannot take them. Copied. */
void hd_exchange_trailers(struct hd_exchange *ex, const struct hd_field *fields, size_t n);
/** Break off in the middle of an answer so that the client notices; the exchange is dead. */
void hd_exchange_abort(struct hd_exchange *ex);
