/* gateway/request.h - one request for a function, from the door's policies to its end; private to
 * the edge door. */
#pragma once

#include "core/span.h"
#include "gateway/access.h"
#include "gateway/answer.h"
#include "gateway/door.h"

enum {
    HD_REQUEST_PATH_KEPT = 200,
    HD_REQUEST_METHOD_KEPT = 24,
    HD_REQUEST_ORIGIN_KEPT = 272, /* a longer one is no origin of a browser */
    HD_REQUEST_OWN_FIELDS = 24,   /* fields that the gateway adds, at most */
};

/* A table as one loop uses it: freed when replaced and its last request is done. */
struct hd_table {
    struct hd_routes *routes;
    unsigned active;
    bool replaced;
};

struct hd_door {
    const struct hd_edge *edge;
    struct hd_net *net;
    struct hd_channel *channel;
    unsigned loop_index, active;
    struct hd_table *table;
    struct hd_slab requests;
    struct hd_token_cache *tokens;
    struct hd_access_clock clock;
    struct hd_field in[HD_HEAD_FIELDS_MAX + HD_REQUEST_OWN_FIELDS];
    struct hd_field out[HD_HEAD_FIELDS_MAX + HD_REQUEST_OWN_FIELDS];
};

struct hd_edge_request {
    struct hd_invocation inv;
    struct hd_exchange *ex; /* NULL once it is answered or gone */
    struct hd_door *door;
    struct hd_table *table;
    struct hd_route *route;
    struct hd_stats_share *stats;
    struct hd_identity *who; /* NULL: nobody was verified */
    struct hd_timer timer;
    struct hd_cors_answer cors;
    struct hd_channel_report report;
    struct hd_span span;
    uint64_t start_us, total_due_ms, body_left, pass;
    const char *reason; /* why we answered ourselves */
    unsigned status;
    enum hd_auth auth;
    bool started;                        /* the invoker has it */
    bool responded;                      /* the answer's head is out */
    bool paused_out;                     /* the client is slower than the function */
    char origin[HD_REQUEST_ORIGIN_KEPT]; /* the cors fields refer to it */
    char id[HD_UUID_CHARS + 1];
    char ip[HD_IPADDR_CHARS + 1];
    uint8_t method_len, path_len;
    char line[HD_REQUEST_METHOD_KEPT + HD_REQUEST_PATH_KEPT];
};

/** Make one for an exchange; it is counted as under way from here on. */
struct hd_edge_request *hd_request_new(struct hd_door *d, struct hd_exchange *ex,
                                       struct hd_route *route);
/** Hand it to the pool, or to who calls it with an event. @p opt  of the pool's channel. @p head
 * and
 *  @p body as for hd_invocation_start(). */
void hd_request_start(struct hd_edge_request *r, const struct hd_channel_options *opt,
                      const struct hd_request_head *head, struct hd_str body, bool end);

/* Our own answers; the request is over when one of these returns. */
void hd_request_answer(struct hd_edge_request *r, enum hd_reject reject, const struct hd_answer *a,
                       const struct hd_field *more, size_t n_more);
void hd_request_answer_plain(struct hd_edge_request *r, enum hd_reject reject, unsigned status,
                             const char *error, const char *reason, uint32_t retry_after_s);
void hd_request_answer_unauthorized(struct hd_edge_request *r);
void hd_request_answer_too_large(struct hd_edge_request *r);
void hd_request_answer_failed(struct hd_edge_request *r, const char *why);

void hd_table_leave(struct hd_table *t);
