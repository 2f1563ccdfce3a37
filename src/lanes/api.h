/* lanes/api.h - the lanes over HTTP, for functions and for the command line:
 *
 *   POST /lanes/v1/events/{name}   POST /lanes/v1/tasks/{name}   GET /lanes/v1/status
 *   and for those who may administer: GET /lanes/v1/dlq, POST /lanes/v1/dlq/{retry,drop}
 *
 * One per loop. Functions reach it on loopback with a token that their environment holds; the admin
 * listener hands its requests over without one. */
#pragma once

#include "http/server.h"
#include "lanes/lanes.h"
#include "pool/alive.h"

enum { HD_LANE_SECRET_BYTES = 32, HD_LANE_TOKEN_MAX = 256 };

struct hd_lane_api;

struct hd_lane_api_options {
    struct hd_net *net;
    unsigned loop_index;
    struct hd_lanes *lanes;      /* borrowed */
    struct hd_store *store;      /* for dead letters; NULL: none */
    const unsigned char *secret; /* HD_LANE_SECRET_BYTES, of this node; copied */
    struct hd_alive *alive;      /* borrowed: whose tokens count */
};
/** @return 0 and *out, which listens on nothing yet; or HD_EIO. */
int hd_lane_api_new(struct hd_lane_api **out, const struct hd_lane_api_options *opt,
                    struct hd_error *err);
/** @param fd  takes ownership. */
int hd_lane_api_listen_fd(struct hd_lane_api *a, int fd, struct hd_error *err);
void hd_lane_api_drain(struct hd_lane_api *a);
unsigned hd_lane_api_open(const struct hd_lane_api *a);
void hd_lane_api_close(struct hd_lane_api *a, void (*done)(void *arg), void *arg);
void hd_lane_api_free(struct hd_lane_api *a); /* NULL is fine */

/** @return whether a path is one of these. */
bool hd_lane_api_is_path(struct hd_str path);
/** Serve a request that may do everything, as a server's on_request; on the loop of @p api. */
void hd_lane_api_admin(struct hd_lane_api *api, struct hd_exchange *ex, const struct hd_head *head,
                       struct hd_str body, bool end);

/** Write an instance's token: its function's name, its id, and proof that this node gave it. It
 *  counts as long as the instance lives. */
void hd_lane_api_token(char out[HD_LANE_TOKEN_MAX], const unsigned char *secret,
                       const char *function, const char *instance);
