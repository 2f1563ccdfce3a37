/* lanes/topology.h - the `lanes:` section, read, checked whole and resolved: which task and event
 * is on which lane, what this node serves and consumes. Immutable once made; any thread. */
#pragma once

#include "functions/strings.h"
#include "lanes/token.h"

enum hd_lanes_mode { HD_LANES_NETWORK, HD_LANES_TRANSPARENT, HD_LANES_LOCAL_SIMULATED };
enum hd_lane_codec { HD_CODEC_PLAIN, HD_CODEC_TYPED };

struct hd_lane_queue; /* an entry of `queues:` */

/** A task: a function that others call, or that we call elsewhere. */
struct hd_lane_task {
    char *name, *wire_id;
    struct hd_strings aliases;
    char *function; /* NULL: remote */
    enum hd_lane_codec codec;
    uint32_t timeout_ms;
    struct hd_rpc_lane *lane; /* resolved; NULL: unassigned, local */
    bool served;              /* by this node: its lane is in the profile's `serve` */
    size_t line;
};

/** A function subscribed to an event. */
struct hd_lane_hook {
    char *id, *function;
    struct hd_lane_event *event;
    int32_t order;
    enum hd_lane_codec codec;
    bool cloud_events; /* gets a CloudEvents 1.0 envelope */
    size_t line;
};

struct hd_lane_event {
    char *name, *wire_id;
    struct hd_strings aliases;
    bool parallel, transactional;
    struct hd_event_lane *event_lane; /* resolved; at most one of the two */
    struct hd_rpc_lane *rpc_lane;
    struct hd_lane_hook **hooks; /* sorted by order, then as written */
    size_t n_hooks;
    size_t line;
};

struct hd_event_lane {
    char *id;
    struct hd_strings apply_to, contexts; /* contexts: wire ids */
    bool produce_given, produce;
    /* of its binding; queue NULL: unbound */
    struct hd_lane_queue *queue;
    struct hd_lane_auth auth;
    struct hd_lane_keys *keys;
    uint32_t prefetch; /* 0: the queue's */
    uint32_t max_attempts;
    double retry_delay_ms;
    /* of the active profile */
    bool consumed;
    bool hooks_limited;           /* hooks.only was given */
    struct hd_strings hooks_only; /* ids */
    size_t line;
};

struct hd_rpc_lane {
    char *id;
    struct hd_strings apply_to, contexts;
    bool contexts_given;
    struct hd_communicator *communicator; /* NULL: unbound */
    struct hd_lane_auth auth;
    struct hd_lane_keys *keys;
    bool allow_async_context;
    bool served;
    size_t line;
};

/** A peer that is called. */
struct hd_communicator {
    char *name, *base_url, *token, *token_header;
    uint32_t timeout_ms, pool;
    size_t line;
};

enum hd_lane_driver { HD_DRIVER_SQLITE, HD_DRIVER_MEMORY, HD_DRIVER_RABBITMQ };
enum hd_queue_assert { HD_QUEUE_ACTIVE, HD_QUEUE_PASSIVE };

struct hd_lane_queue {
    char *name; /* of the entry */
    enum hd_lane_driver driver;
    char *url; /* rabbitmq */
    char *queue_name;
    bool durable, quorum;
    enum hd_queue_assert declare;
    struct hd_strings arguments; /* "key=value", extra arguments; value as JSON */
    int64_t message_ttl_ms;      /* -1: none */
    bool dead_letter;
    char *dlq_queue, *dlq_exchange, *dlq_routing_key; /* NULL: not given */
    uint32_t prefetch;
    bool publish_confirm;
    bool reconnect, give_up;
    uint32_t reconnect_attempts, reconnect_initial_ms, reconnect_max_ms;
    uint64_t max_messages; /* memory, sqlite: 0: no limit */
    uint32_t concurrency;  /* memory, sqlite: deliveries at once; 1 */
    size_t line;
};

struct hd_lane_error_type {
    char *error_type, *wire_id; /* what functions throw; canonical id on the wire */
    unsigned http_code;         /* 0: none */
};

struct hd_exposure_options {
    bool given;
    char *base_path, *host;
    uint16_t port;
    struct hd_strings tokens;
    char *token_header, *validator; /* validator: a function's name, or NULL */
    bool allow_anonymous;
    struct hd_strings cors_origins; /* not given: "*" */
    bool cors_credentials, cors_given, cors_vary;
    struct hd_strings cors_headers, cors_methods;
    uint32_t cors_max_age_s; /* 0: none */
    uint64_t json_bytes, file_bytes, field_bytes, octet_bytes;
    uint32_t files, fields;
    uint32_t parts;           /* of a form; 0: as many as files and fields */
    uint64_t multipart_bytes; /* of a form, all of it; 0: what its other limits come to */
    uint32_t head_ms;         /* for a request's head */
    uint32_t gap_ms;          /* longest gap in a body, and how long its rate is not looked at */
    uint32_t min_rate;        /* of a body, bytes a second; 0: any */
    bool discovery;
};

struct hd_topology {
    bool given; /* there is a lanes: section */
    enum hd_lanes_mode mode;
    char *profile, *namespace_, *relay_prefix;
    bool debug;
    struct hd_lane_task **tasks;
    size_t n_tasks;
    struct hd_lane_event **events;
    size_t n_events;
    struct hd_event_lane **event_lanes;
    size_t n_event_lanes;
    struct hd_rpc_lane **rpc_lanes;
    size_t n_rpc_lanes;
    struct hd_lane_queue **queues;
    size_t n_queues;
    struct hd_communicator **communicators;
    size_t n_communicators;
    struct hd_lane_error_type *errors;
    size_t n_errors;
    struct hd_strings contexts; /* all registered: wire ids */
    struct hd_exposure_options exposure;
    struct hd_strings warnings; /* "heddle.yml:12: ..." */
};

/** One finding; the first is what starting fails with. */
struct hd_topology_problem {
    char *id;   /* "eventLanes-bindingNotFound", or "config" */
    char *text; /* "heddle.yml:12: lanes.bindings[0].lane: ..." */
};

/**
 * Read and check a file's `lanes:` section (YAML or JSON).
 * @param env  for ${NAME} and ${NAME:-default}: "NAME=value", NULL-terminated.
 * @return 0 and *out (given is false where there is no section); HD_EINVAL: all problems that were
 *         found are in @p problems (may be NULL), the first in @p err.
 */
int hd_topology_read(struct hd_topology **out, const char *path, struct hd_str text,
                     char *const *env, struct hd_topology_problem **problems, size_t *n_problems,
                     struct hd_error *err);
void hd_topology_problems_free(struct hd_topology_problem *problems, size_t n);
void hd_topology_free(struct hd_topology *t); /* NULL is fine */

/** @return the task or event with that wire id, alias, local name, or unambiguous last part. */
const struct hd_lane_task *hd_topology_task(const struct hd_topology *t, struct hd_str id);
const struct hd_lane_event *hd_topology_event(const struct hd_topology *t, struct hd_str id);
const struct hd_event_lane *hd_topology_event_lane(const struct hd_topology *t, struct hd_str id);
/** @return the declared error of a function's errorType, or NULL. */
const struct hd_lane_error_type *hd_topology_error(const struct hd_topology *t,
                                                   struct hd_str error_type);
