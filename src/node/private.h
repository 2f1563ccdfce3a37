/* node/private.h - the parts of a node, for the files in this folder that put them together. */
#pragma once

#include "auth/jwks_source.h"
#include "functions/registry.h"
#include "functions/watch.h"
#include "gateway/door.h"
#include "lambda/door/door.h"
#include "lambda/door/edgecall.h"
#include "lambda/logs/logs.h"
#include "node/devkeys.h"
#include "node/gate.h"
#include "node/logtail.h"
#include "node/node.h"
#include "pool/docker/backend.h"
#include "pool/lambdaenv.h"
#include "pool/process/backend.h"
#include "pool/recheck.h"
#include "pool/set.h"

enum { HD_NODE_LOOPS_MAX = 64 };

enum hd_node_state {
    HD_NODE_STARTING, /* functions are found; the doors are shut */
    HD_NODE_SERVING,
    HD_NODE_DRAINING, /* no new work; what is under way is finished */
    HD_NODE_CLOSING,  /* everything ends */
};
const char *hd_node_state_name(enum hd_node_state s);

/** What one loop has of its own. */
struct hd_worker {
    struct hd_node *node;
    struct hd_loop *loop;
    struct hd_net *net;
    struct hd_channel *channel;
    struct hd_door *door;
    struct hd_server *server;
    int listen_fd; /* -1: given to the server */
    struct hd_caller *caller;
    struct hd_lambda_door *lambda;
    struct hd_edgecalls *edgecalls;
    struct hd_server *control; /* of the control listener */
    int control_fd;            /* as listen_fd */
    struct hd_error failure;   /* code 0: its server listens, or has not tried yet */
    _Atomic unsigned active;   /* requests under way, as of the last look */
};

struct hd_node_lanes; /* lanes.c */

/* Names of functions that changed. */
struct hd_ahead {
    struct hd_node *node;
    struct hd_timer calm;
    struct hd_strings names;
};

struct hd_node {
    const struct hd_node_options *opt;
    char *const *env;
    struct hd_log *log;
    struct hd_error failure; /* why it ends, if it does by itself */
    int exit_code;
    _Atomic int state; /* enum hd_node_state */
    uint64_t start_us; /* monotonic */
    int64_t start_unix_ms;

    struct hd_worker workers[HD_NODE_LOOPS_MAX]; /* [0] is the control loop */
    unsigned n_workers;
    uint16_t port, control_port;
    struct hd_gate *gate;

    /* functions; control loop */
    struct hd_defaults defaults;
    struct hd_option_list built_in_env;
    struct hd_registry *registry;
    struct hd_snapshot *snapshot;
    struct hd_routes *routes; /* of the folder, the newest */
    struct hd_routes *table;  /* those, and Lambda functions with an edge URL: what doors have */
    struct hd_map stats;      /* by name: struct hd_stats with a name, see deploy.c */
    struct hd_watch *watch;
    struct hd_reload *reload;
    struct hd_ahead ahead;
    uint64_t deploys, reloads, reload_failures;

    struct hd_node_targets *targets; /* the same for calls with an event */

    /* the Lambda API */
    struct hd_lambda_edge lambda;
    uint8_t credentials_key[HD_LAMBDAENV_KEY_BYTES]; /* what functions sign with follows from it */
    struct hd_alive *alive; /* instances: what they were given ends with them */
    struct hd_access_keys *access_keys;
    struct hd_store *store;
    struct hd_bundles *bundles;
    struct hd_api *api;
    struct hd_node_feeds *feeds;
    unsigned closing; /* parts that have not closed yet */
    struct hd_node_async *async;
    void (*after_lambda)(void *node);

    struct hd_node_lanes *lanes; /* NULL: heddle.yml has none */

    struct hd_backend *backend;
    struct hd_recheck *recheck; /* around it for functions that are reloaded; NULL: none is */
    struct hd_backend *docker;  /* for functions with Lambda semantics */
    const char **docker_images; /* of the settings, NULL-terminated */
    struct hd_pool_set *pools;
    struct hd_boot *boot;

    /* policies */
    struct hd_edge edge;
    struct hd_cors *cors;
    struct hd_trusted *trusted;
    struct hd_ratelimit *ratelimit;
    struct hd_verifier *verifier;
    struct hd_jwks_slot *jwks_slot;
    struct hd_fetcher *fetcher; /* of the control loop */
    struct hd_jwks_source *jwks_source;

    /* admin */
    struct hd_server *admin;
    bool has_admin_socket; /* made by us, removed by us */
    struct hd_logtail *logtail;
    struct hd_logstore *logstore; /* of Lambda functions, for CloudWatch Logs; NULL: off */
    struct hd_logs *logs;

    /* the end */
    uv_signal_t signals[4];
    unsigned open_signals;
    struct hd_timer shutdown_timer;
    uint64_t shutdown_due_ms, drain_began_ms;
    unsigned servers_open, halves_open, doors_shut;
    void (*after_policies)(void *node);
};

/* ahead.c: functions are prepared before they are called */

/** Prepare some of what @p scan added or changed, a little later. Control loop. */
void hd_node_ahead(struct hd_node *n, const struct hd_scan *scan);
/** Prepare nothing any more. */
void hd_node_ahead_stop(struct hd_node *n);

/* deploy.c: from a scan to pools and routes */

/** Make what @p scan found true: pools for new versions, a new table for all doors. Control loop,
 *  or before the loops run. */
void hd_node_deploy(struct hd_node *n, const struct hd_scan *scan);
/** Forget all functions. */
void hd_node_undeploy(struct hd_node *n);
/** Note what the code of a function declared. */
void hd_node_declared(struct hd_node *n, struct hd_pool *p, const struct hd_declared *d);

/** @return the counters of a function, made when they are not there. Control loop. */
struct hd_stats *hd_node_stats(struct hd_node *n, const char *name);
/** It is gone. */
void hd_node_forget_stats(struct hd_node *n, const char *name);
/** @return a breaker as the settings say, the caller's; NULL: none. */
struct hd_breaker *hd_node_breaker(const struct hd_function *fn);

/** What a backend is told of a function; borrows from it. */
struct hd_launch hd_node_launch(const struct hd_node *n, const struct hd_function *fn);

/* edgeroutes.c: what the edge doors serve */

/** The folder's routes or the Lambda functions changed: make the doors' table. Control loop, or
 *  before the loops run. */
void hd_node_edge_routes(struct hd_node *n);
void hd_node_edge_routes_free(struct hd_node *n);
/** For struct hd_edge. */
void hd_node_edge_attach(void *node, unsigned loop_index, struct hd_invocation *inv,
                         const struct hd_edge_asks *asks);

/* targets.c: functions of the folder for calls with an event */

struct hd_node_targets;
void hd_node_targets_new(struct hd_node *n);
/** The routes changed. Control loop, or before the loops run. */
void hd_node_targets_set(struct hd_node *n);
void hd_node_targets_free(struct hd_node *n);
/** @return how all functions are found. */
const struct hd_targets *hd_node_targets(const struct hd_node *n);
/** @return how those of the folder alone are found. */
const struct hd_targets *hd_node_targets_folder(const struct hd_node *n);
/** @return the newest view of the Lambda functions, with a reference; NULL: none yet. Any loop. */
struct hd_view *hd_node_view(void *node);
/** @param view  its reference is taken over. Control loop. */
void hd_node_set_view(struct hd_node *n, struct hd_view *view);

/* lambda.c */

/** Open store and bundles, make the API and the doors. After the pools; before the loops run. */
int hd_node_lambda(struct hd_node *n, struct hd_error *err);
/** Take no more operations; @p then, later or at once. Before the pools close. */
void hd_node_lambda_stop(struct hd_node *n, void (*then)(void *node));
/** Close what is kept; @p then. After the pools are closed. */
void hd_node_lambda_close(struct hd_node *n, void (*then)(void *node));
void hd_node_lambda_done(struct hd_node *n);
/** @return requests and calls under way. The worker's loop. */
unsigned hd_worker_lambda_active(const struct hd_worker *w);

/* lanes.c */

/** Read the lanes, open their queues. After hd_node_lambda(); before the loops run. */
int hd_node_lanes(struct hd_node *n, struct hd_error *err);
/** The doors open: consume and serve. Control loop; again is fine. */
void hd_node_lanes_start(struct hd_node *n);
/** Take nothing new; what is under way goes on. Again is fine. */
void hd_node_lanes_cooldown(struct hd_node *n);
/** Close all of it; @p then. After the pools are closed, before the store is. */
void hd_node_lanes_close(struct hd_node *n, void (*then)(void *node));
void hd_node_lanes_done(struct hd_node *n);
/** @return NULL: there are none. */
struct hd_lanes *hd_node_lanes_of(const struct hd_node *n);
/** @return where the exposure listens; 0: it does not. */
uint16_t hd_node_lanes_port(const struct hd_node *n);
/** @return @p env with the address of the lanes, for hd_node_lanes_env_free(). */
char **hd_node_lanes_env(const struct hd_node *n, char *const *env);
/** Append the token of an instance that is launched. */
void hd_node_lanes_token(const struct hd_node *n, const struct hd_launch *what,
                         struct hd_strings *env);
void hd_node_lanes_env_free(char **env);
/** Serve a request of the admin listener. @return false: it is not for the lanes. */
bool hd_node_lanes_request(struct hd_node *n, struct hd_exchange *ex, const struct hd_head *head,
                           struct hd_str body, bool end);
void hd_node_lanes_metrics(struct hd_node *n, struct hd_buf *out);

/* sources.c: event sources and schedules */

struct hd_node_feeds;
/** After asynchronous invocation has begun; before the loops run. */
int hd_node_feeds_new(struct hd_node *n, struct hd_error *err);
/** Right before the loops run. */
void hd_node_feeds_start(struct hd_node *n);
/** Begin nothing new; pollers stop with the API. */
void hd_node_feeds_drain(struct hd_node *n);
void hd_node_feeds_free(struct hd_node *n);
void hd_node_metrics_feeds(struct hd_node *n, struct hd_buf *out);

/* lambda_async.c: asynchronous invocation */

void hd_node_async_new(struct hd_node *n);
/** Begin. After the API; the loops need not run yet. */
int hd_node_async_start(struct hd_node *n, struct hd_error *err);
struct hd_aws;
struct hd_destinations;
/** @return what sends, of the control loop; after it has begun. */
struct hd_aws *hd_node_async_aws(const struct hd_node *n);
struct hd_destinations *hd_node_async_destinations(const struct hd_node *n);
/** Begin no more calls; those that run end by themselves. */
void hd_node_async_drain(struct hd_node *n);
/** Break off what still runs, it stays in the store; @p then, later or at once. */
void hd_node_async_close(struct hd_node *n, void (*then)(void *node));
void hd_node_async_free(struct hd_node *n);
void hd_node_metrics_async(struct hd_node *n, struct hd_buf *out);

/* policies.c */

int hd_node_policies(struct hd_node *n, struct hd_error *err);
/** Stop fetching keys; @p then, later. Control loop. */
void hd_node_policies_stop(struct hd_node *n, void (*then)(void *node));
void hd_node_policies_done(struct hd_node *n);

/* boot.c: progress of the first starts */

struct hd_boot *hd_boot_new(struct hd_node *n);
void hd_boot_free(struct hd_boot *b);
/** The first starts are asked for: tell how they go. Control loop, or before it runs. */
void hd_boot_begin(struct hd_boot *b);
/** The node ends before they are over; again is fine. */
void hd_boot_end(struct hd_boot *b);
/** A pool's state changed. */
void hd_boot_state(struct hd_boot *b, struct hd_pool *p, enum hd_pool_state state,
                   const struct hd_error *why);
/** @return whether the first starts are over, one way or the other. */
bool hd_boot_settled(const struct hd_boot *b);

/** Keep a line for CloudWatch Logs. @param arn  of the function: where its name space is. */
void hd_node_keep_log(struct hd_node *n, struct hd_str arn, struct hd_str group,
                      struct hd_str stream, struct hd_str text, int64_t unix_ms);

/* output.c */

/** Log what a function printed. @param id  of the request; empty: of none. */
void hd_node_output(struct hd_log *log, struct hd_str function, struct hd_str id,
                    enum hd_log_level level, struct hd_str text);

/* reload.c: hot reload */

int hd_node_watch(struct hd_node *n, struct hd_error *err);
void hd_node_unwatch(struct hd_node *n);
/** Look at everything again (SIGHUP, admin). */
void hd_node_rescan(struct hd_node *n);

/* site.c and metrics.c: everything that is not a function */

void hd_site_request(void *node, struct hd_exchange *ex, const struct hd_head *head);
/** Same for the admin listener, which needs no key. */
void hd_admin_request(void *node, struct hd_exchange *ex, const struct hd_head *head,
                      struct hd_str body, bool end);
/** What on the control listener is not of the Lambda API. */
void hd_control_request(void *node, struct hd_exchange *ex, const struct hd_head *head);
void hd_node_metrics(struct hd_node *n, struct hd_buf *out);
/** metrics_lambda.c: what is counted of Lambda functions and of the store. */
void hd_node_metrics_lambda(struct hd_node *n, struct hd_buf *out);

/* instances.c */

/** Which instances are meant: one, those of a function, or all. */
struct hd_node_which {
    uint64_t serial;                         /* 0: not said */
    char function[HD_FUNCTION_NAME_MAX + 1]; /* empty: not said */
    bool wrong;                              /* what was said is nothing of that kind */
};
void hd_node_which(struct hd_node_which *out, struct hd_str id, struct hd_str function);
/** Append a list of all instances as JSON. Control loop, as below. */
void hd_node_instances(struct hd_node *n, struct hd_buf *out);
void hd_node_drain_instances(struct hd_node *n, const struct hd_node_which *which,
                             struct hd_buf *out);

/* shutdown.c */

int hd_node_signals(struct hd_node *n, struct hd_error *err);
/** Begin to end, in phases; again is fine. @param why  for the log. */
void hd_node_shutdown(struct hd_node *n, const char *why);
/** End what a failed start made; the control loop ends when it is done. */
void hd_node_abandon(struct hd_node *n);
/** Tell that it serves: a line for programs, or for people. */
void hd_node_say_ready(struct hd_node *n);
/** Write where a client of this machine reaches a listener. */
void hd_node_url_of(char *out, size_t room, const char *host, uint16_t port);
/** Open the doors to the public, and say so when they are; again is fine. Control loop. */
void hd_node_open(struct hd_node *n);
