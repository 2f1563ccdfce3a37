/* lanes/topology_private.h - a topology between its reading and its checks: names where pointers
 * will be. */
#pragma once

#include "lanes/conf.h"

struct hd_raw_binding {
    char *lane, *queue, *communicator;
    struct hd_lane_auth auth;
    double max_attempts, retry_delay_ms;
    uint32_t prefetch;
    bool allow_async_context;
    size_t line;
};

struct hd_raw_consume {
    char *lane;
    bool limited;
    struct hd_strings only;
    size_t line;
};

struct hd_raw_profile {
    char *name;
    struct hd_raw_consume *consume;
    size_t n_consume;
    struct hd_strings serve;
    size_t line;
};

/** A hook before its event is known. */
struct hd_raw_hook {
    struct hd_lane_hook *hook;
    char *event;
};

struct hd_raw_topology {
    struct hd_conf conf;
    struct hd_topology *t;
    char **task_lanes, **event_lanes; /* of t->tasks and t->events: what `lane` says, or NULL */
    struct hd_raw_hook *hooks;
    size_t n_hooks;
    struct hd_raw_binding *bindings;
    size_t n_bindings;
    struct hd_raw_profile *profiles;
    size_t n_profiles;
    bool profiles_given, profile_given;
    struct hd_strings context_names; /* as written */
    size_t exposure_line, line;
};

/* topology_infra.c; `arg` is the hd_raw_topology */
void hd_raw_queue_read(struct hd_conf *c, const char *name, yaml_node_t *node, void *arg);
void hd_raw_communicator_read(struct hd_conf *c, const char *name, yaml_node_t *node, void *arg);
/** @param to  the hd_exposure_options. */
void hd_raw_exposure_read(struct hd_conf *c, yaml_node_t *node, void *to);

/** Read the section into @p raw. Problems are in raw->conf. */
void hd_topology_parse(struct hd_raw_topology *raw, yaml_node_t *lanes);
/** Resolve all names, and check all rules. */
void hd_topology_resolve(struct hd_raw_topology *raw);
/** The last part of resolving: the rules between what was resolved. */
void hd_topology_check(struct hd_raw_topology *raw);
/** What holds where nothing is written. */
void hd_topology_defaults(struct hd_topology *t);
struct hd_event_lane *hd_raw_event_lane(struct hd_topology *t, const char *id);
struct hd_rpc_lane *hd_raw_rpc_lane(struct hd_topology *t, const char *id);
/** @return whether an event is on the lane. */
bool hd_raw_event_lane_used(const struct hd_topology *t, const struct hd_event_lane *lane);
void hd_raw_topology_done(struct hd_raw_topology *raw);

/** Append to an array of ours that is counted. */
#define HD_APPEND(array, n) \
    (array = hd_realloc_array(array, (n) + 1, sizeof(*(array))), &(array)[(n)++])

/** A key whose name is its member's. */
#define HD_CONF_KEY(type, member, kind_)                                           \
    {                                                                              \
        .name = #member, .kind = HD_CONF_##kind_, .offset = offsetof(type, member) \
    }
