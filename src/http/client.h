/* http/client.h - HTTP/1.1 client side: one connection that carries one request at a time, over and
 * over. Who owns the connections decides which one is used. */
#pragma once

#include "core/list.h"
#include "http/stream.h"

#include <heddle/sys/backend.h>

struct hd_client_conn;

/** How far a request had come when its connection broke: whether it may be sent again. */
enum hd_client_lost {
    HD_LOST_UNSENT,     /* the peer did not get a byte of it */
    HD_LOST_UNANSWERED, /* the peer may have it; not a byte of an answer had come */
    HD_LOST_ANSWERING,
};

/** What a request's owner hears, never from inside a call of the owner. */
struct hd_client_events {
    /**
     * A head came, with the first bytes of its body. Informational ones (1xx but 101) come first,
     * with @p end false. 101: both directions are raw bytes from here on.
     */
    void (*on_head)(void *owner, const struct hd_head *head, struct hd_str body, bool end);
    void (*on_body)(void *owner, struct hd_str bytes, bool end);
    /** Trailers came: right before the on_body with @p end. */
    void (*on_trailers)(void *owner, const struct hd_field *fields, size_t n);
    /** The request's body can go on after hd_client_write() returned false. */
    void (*on_writable)(void *owner);
    /** The connection broke or spoke nonsense; it closes itself. */
    void (*on_failed)(void *owner, const struct hd_error *err, enum hd_client_lost lost);
};

struct hd_client_request {
    struct hd_str head; /* the whole head as bytes; borrowed until return */
    bool chunked;       /* the body is sent chunked */
    bool head_method;   /* HEAD: the answer has no body */
    bool upgrade;       /* 101 is an answer that was asked for */
    struct hd_str last; /* chunked, and all of it is here: the last chunk, see http/trailer.h */
};

/** Begin to connect, within some seconds; a request may be sent at once, it waits.
 *  @p on_idle_gone: the peer closed the connection while it was idle; it closes itself.
 *  @return never NULL: failures come later. */
struct hd_client_conn *hd_client_connect(struct hd_net *net, const struct hd_endpoint *to,
                                         void (*on_idle_gone)(struct hd_client_conn *c));
/** Send a request on an idle connection. @p body is the first part of its body, all if @p end. */
void hd_client_send(struct hd_client_conn *c, const struct hd_client_request *req,
                    struct hd_str body, bool end, const struct hd_client_events *events,
                    void *owner);
/** Send more of the body. @return false: taken, but wait for on_writable before the next. */
bool hd_client_write(struct hd_client_conn *c, struct hd_str bytes, bool end);
/** Trailers for the end that comes next; dropped if the body is not chunked. Copied. */
void hd_client_trailers(struct hd_client_conn *c, const struct hd_field *fields, size_t n);
/** Stop or resume the flow of the answer. */
void hd_client_pause(struct hd_client_conn *c, bool paused);
/** @return whether it is idle and good for another request. Ask when `end` came. */
bool hd_client_reusable(const struct hd_client_conn *c);
/** Close, whatever goes on; nothing is told any more. */
void hd_client_close(struct hd_client_conn *c);
/** A place in the owner's list of idle connections. */
struct hd_list *hd_client_link(struct hd_client_conn *c);
struct hd_client_conn *hd_client_of(struct hd_list *link);
