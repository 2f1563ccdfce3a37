/* topology_parse.c - the `lanes:` section as it is written; see doc/lanes.md for its keys. */
#include "lanes/topology_private.h"

#include <stdio.h>

static const char *const codecs[] = {"plain", "typed", NULL};

/* --- tasks --- */

static void read_task(struct hd_conf *c, const char *name, yaml_node_t *node, void *arg)
{
    static const struct hd_conf_key keys[] = {
        HD_CONF_KEY(struct hd_lane_task, function, STR),
        HD_CONF_KEY(struct hd_lane_task, wire_id, STR),
        HD_CONF_KEY(struct hd_lane_task, aliases, STRS),
        {.name = "codec",
         .kind = HD_CONF_WORD,
         .offset = offsetof(struct hd_lane_task, codec),
         .words = codecs},
        {.name = "timeout_ms",
         .kind = HD_CONF_U32,
         .offset = offsetof(struct hd_lane_task, timeout_ms),
         .min = 1},
    };
    struct hd_raw_topology *raw = arg;
    struct {
        struct hd_lane_task task;
        char *lane;
        bool remote;
    } all = {.task = {.timeout_ms = 30000}};
    struct hd_conf_key own[HD_COUNT(keys) + 2];
    memcpy(own, keys, sizeof(keys));
    own[HD_COUNT(keys)] = (struct hd_conf_key){
        .name = "lane", .kind = HD_CONF_STR, .offset = (size_t)((char *)&all.lane - (char *)&all)};
    own[HD_COUNT(keys) + 1] =
        (struct hd_conf_key){.name = "remote",
                             .kind = HD_CONF_BOOL,
                             .offset = (size_t)((char *)&all.remote - (char *)&all)};
    hd_conf_map(c, node, own, HD_COUNT(own), &all);
    struct hd_lane_task *task = hd_new(struct hd_lane_task);
    *task = all.task;
    task->name = hd_strdup(name);
    task->line = hd_conf_line(node);
    if (task->function != NULL && all.remote)
        hd_conf_problem(c, "config", task->line,
                        "is remote and has a function; one of the two is too much");
    if (task->function == NULL && !all.remote)
        task->function = hd_strdup(name);
    size_t n = raw->t->n_tasks;
    *HD_APPEND(raw->t->tasks, raw->t->n_tasks) = task;
    *HD_APPEND(raw->task_lanes, n) = all.lane;
}

/* --- events and hooks --- */

static void read_event(struct hd_conf *c, const char *name, yaml_node_t *node, void *arg)
{
    struct hd_raw_topology *raw = arg;
    struct {
        struct hd_lane_event event;
        char *lane;
    } all = {0};
    const struct hd_conf_key keys[] = {
        HD_CONF_KEY(struct hd_lane_event, wire_id, STR),
        HD_CONF_KEY(struct hd_lane_event, aliases, STRS),
        HD_CONF_KEY(struct hd_lane_event, parallel, BOOL),
        HD_CONF_KEY(struct hd_lane_event, transactional, BOOL),
        {.name = "lane", .kind = HD_CONF_STR, .offset = (size_t)((char *)&all.lane - (char *)&all)},
    };
    hd_conf_map(c, node, keys, HD_COUNT(keys), &all);
    struct hd_lane_event *event = hd_new(struct hd_lane_event);
    *event = all.event;
    event->name = hd_strdup(name);
    event->line = hd_conf_line(node);
    size_t n = raw->t->n_events;
    *HD_APPEND(raw->t->events, raw->t->n_events) = event;
    *HD_APPEND(raw->event_lanes, n) = all.lane;
}

static void read_hook(struct hd_conf *c, yaml_node_t *node, void *arg)
{
    struct hd_raw_topology *raw = arg;
    struct {
        struct hd_lane_hook hook;
        char *event;
    } all = {0};
    const struct hd_conf_key keys[] = {
        HD_CONF_KEY(struct hd_lane_hook, id, STR),
        HD_CONF_KEY(struct hd_lane_hook, function, STR),
        HD_CONF_KEY(struct hd_lane_hook, order, I32),
        HD_CONF_KEY(struct hd_lane_hook, cloud_events, BOOL),
        {.name = "codec",
         .kind = HD_CONF_WORD,
         .offset = offsetof(struct hd_lane_hook, codec),
         .words = codecs},
        {.name = "event",
         .kind = HD_CONF_STR,
         .offset = (size_t)((char *)&all.event - (char *)&all)},
    };
    hd_conf_map(c, node, keys, HD_COUNT(keys), &all);
    struct hd_lane_hook *hook = hd_new(struct hd_lane_hook);
    *hook = all.hook;
    hook->line = hd_conf_line(node);
    if (hook->function == NULL)
        hook->function = hd_strdup(hook->id);
    if (hook->id == NULL)
        hook->id = hd_strdup(hook->function);
    if (hook->function == NULL)
        hd_conf_problem(c, "config", hook->line, "has no function");
    if (all.event == NULL)
        hd_conf_problem(c, "config", hook->line, "has no event");
    *HD_APPEND(raw->hooks, raw->n_hooks) = (struct hd_raw_hook){.hook = hook, .event = all.event};
}

/* --- lanes --- */

static void read_event_lane(struct hd_conf *c, const char *name, yaml_node_t *node, void *arg)
{
    static const struct hd_conf_key keys[] = {
        HD_CONF_KEY(struct hd_event_lane, apply_to, STRS),
        {.name = "async_contexts",
         .kind = HD_CONF_STRS,
         .offset = offsetof(struct hd_event_lane, contexts)},
        HD_CONF_KEY(struct hd_event_lane, produce, BOOL),
    };
    struct hd_raw_topology *raw = arg;
    struct hd_event_lane *lane = hd_new(struct hd_event_lane);
    lane->id = hd_strdup(name);
    lane->line = hd_conf_line(node);
    lane->max_attempts = 1;
    hd_conf_map(c, node, keys, HD_COUNT(keys), lane);
    lane->produce_given = hd_conf_get(c, node, "produce") != NULL;
    *HD_APPEND(raw->t->event_lanes, raw->t->n_event_lanes) = lane;
}

static void read_rpc_lane(struct hd_conf *c, const char *name, yaml_node_t *node, void *arg)
{
    static const struct hd_conf_key keys[] = {
        HD_CONF_KEY(struct hd_rpc_lane, apply_to, STRS),
        {.name = "async_contexts",
         .kind = HD_CONF_STRS,
         .offset = offsetof(struct hd_rpc_lane, contexts)},
    };
    struct hd_raw_topology *raw = arg;
    struct hd_rpc_lane *lane = hd_new(struct hd_rpc_lane);
    lane->id = hd_strdup(name);
    lane->line = hd_conf_line(node);
    hd_conf_map(c, node, keys, HD_COUNT(keys), lane);
    lane->contexts_given = lane->contexts.items != NULL;
    *HD_APPEND(raw->t->rpc_lanes, raw->t->n_rpc_lanes) = lane;
}

/* --- bindings and profiles --- */

static void read_pem(struct hd_conf *c, yaml_node_t *node, void *to)
{
    *(char **)to = hd_conf_file(c, node);
}

static void read_kid(struct hd_conf *c, const char *name, yaml_node_t *node, void *arg)
{
    struct hd_lane_auth *auth = arg;
    bool inline_pem = node->type == YAML_SCALAR_NODE &&
                      strncmp((const char *)node->data.scalar.value, "-----BEGIN", 10) == 0;
    char *pem = inline_pem ? hd_conf_text(c, node) : hd_conf_file(c, node);
    if (pem == NULL)
        return;
    size_t n = auth->n_kids;
    *HD_APPEND(auth->kids, n) = hd_strdup(name);
    *HD_APPEND(auth->kid_keys, auth->n_kids) = pem;
}

static void read_kids(struct hd_conf *c, yaml_node_t *node, void *to)
{
    hd_conf_each_entry(c, node, read_kid, to);
}

static void read_auth(struct hd_conf *c, yaml_node_t *node, void *to)
{
    static const char *const modes[] = {"none", "jwt_hmac", "jwt_asymmetric", NULL};
    static const char *const algorithms[] = {"EdDSA", "ES256", "RS256", NULL};
    static const enum hd_alg algs[] = {HD_ALG_EDDSA, HD_ALG_ES256, HD_ALG_RS256};
    struct {
        struct hd_lane_auth auth;
        unsigned algorithm;
    } all = {.auth = {.mode = HD_LANE_AUTH_HMAC, .token_ttl_ms = 60000, .clock_skew_ms = 30000}};
    const struct hd_conf_key keys[] = {
        {.name = "mode",
         .kind = HD_CONF_WORD,
         .offset = offsetof(struct hd_lane_auth, mode),
         .words = modes},
        {.name = "algorithm",
         .kind = HD_CONF_WORD,
         .offset = (size_t)((char *)&all.algorithm - (char *)&all),
         .words = algorithms},
        HD_CONF_KEY(struct hd_lane_auth, secret, STR),
        HD_CONF_KEY(struct hd_lane_auth, produce_secret, STR),
        HD_CONF_KEY(struct hd_lane_auth, consume_secret, STR),
        HD_CONF_KEY(struct hd_lane_auth, private_key, STR),
        {.name = "private_key_file",
         .kind = HD_CONF_CUSTOM,
         .offset = offsetof(struct hd_lane_auth, private_key),
         .read = read_pem},
        HD_CONF_KEY(struct hd_lane_auth, private_key_kid, STR),
        HD_CONF_KEY(struct hd_lane_auth, public_key, STR),
        {.name = "public_key_file",
         .kind = HD_CONF_CUSTOM,
         .offset = offsetof(struct hd_lane_auth, public_key),
         .read = read_pem},
        {.name = "public_keys_by_kid", .kind = HD_CONF_CUSTOM, .read = read_kids},
        HD_CONF_KEY(struct hd_lane_auth, header, STR),
        {.name = "token_ttl_ms",
         .kind = HD_CONF_U32,
         .offset = offsetof(struct hd_lane_auth, token_ttl_ms),
         .min = 1},
        HD_CONF_KEY(struct hd_lane_auth, clock_skew_ms, U32),
        HD_CONF_KEY(struct hd_lane_auth, accept_legacy_tokens, BOOL),
        HD_CONF_KEY(struct hd_lane_auth, kid_fallback, BOOL),
    };
    hd_conf_map(c, node, keys, HD_COUNT(keys), &all);
    all.auth.alg = all.auth.mode == HD_LANE_AUTH_ASYMMETRIC ? algs[all.algorithm] : HD_ALG_HS256;
    all.auth.ttl_given = hd_conf_get(c, node, "token_ttl_ms") != NULL;
    if (all.auth.header == NULL)
        all.auth.header = hd_strdup("authorization");
    for (char *p = all.auth.header; *p != '\0'; p++) {
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p | 0x20);
    }
    hd_lane_auth_done(to);
    *(struct hd_lane_auth *)to = all.auth;
}

static void read_binding(struct hd_conf *c, yaml_node_t *node, void *arg)
{
    static const struct hd_conf_key keys[] = {
        HD_CONF_KEY(struct hd_raw_binding, lane, STR),
        HD_CONF_KEY(struct hd_raw_binding, queue, STR),
        HD_CONF_KEY(struct hd_raw_binding, communicator, STR),
        {.name = "auth",
         .kind = HD_CONF_CUSTOM,
         .offset = offsetof(struct hd_raw_binding, auth),
         .read = read_auth},
        HD_CONF_KEY(struct hd_raw_binding, prefetch, U32),
        HD_CONF_KEY(struct hd_raw_binding, max_attempts, F64),
        HD_CONF_KEY(struct hd_raw_binding, retry_delay_ms, F64),
        HD_CONF_KEY(struct hd_raw_binding, allow_async_context, BOOL),
    };
    struct hd_raw_topology *raw = arg;
    struct hd_raw_binding b = {.max_attempts = 1, .line = hd_conf_line(node)};
    hd_conf_map(c, node, keys, HD_COUNT(keys), &b);
    if (b.lane == NULL)
        hd_conf_problem(c, "config", b.line, "has no lane");
    *HD_APPEND(raw->bindings, raw->n_bindings) = b;
}

static void read_hooks_only(struct hd_conf *c, yaml_node_t *node, void *to)
{
    static const struct hd_conf_key keys[] = {HD_CONF_KEY(struct hd_raw_consume, only, STRS)};
    struct hd_raw_consume *entry = to;
    hd_conf_map(c, node, keys, HD_COUNT(keys), entry);
    entry->limited = entry->only.items != NULL;
}

/* `{lane: orders, hooks: {only: [...]}}`, or just the lane's name. */
static void read_consume_item(struct hd_conf *c, yaml_node_t *node, void *arg)
{
    static const struct hd_conf_key keys[] = {
        HD_CONF_KEY(struct hd_raw_consume, lane, STR),
        {.name = "hooks", .kind = HD_CONF_CUSTOM, .read = read_hooks_only},
    };
    struct hd_raw_profile *profile = arg;
    struct hd_raw_consume entry = {.line = hd_conf_line(node)};
    if (node->type == YAML_SCALAR_NODE)
        entry.lane = hd_conf_text(c, node);
    else
        hd_conf_map(c, node, keys, HD_COUNT(keys), &entry);
    if (entry.lane == NULL)
        hd_conf_problem(c, "eventLanes-invalidId", entry.line, "has no lane");
    *HD_APPEND(profile->consume, profile->n_consume) = entry;
}

static void read_consume(struct hd_conf *c, yaml_node_t *node, void *to)
{
    hd_conf_each_item(c, node, read_consume_item, to);
}

static void read_profile(struct hd_conf *c, const char *name, yaml_node_t *node, void *arg)
{
    static const struct hd_conf_key keys[] = {
        {.name = "consume", .kind = HD_CONF_CUSTOM, .read = read_consume},
        HD_CONF_KEY(struct hd_raw_profile, serve, STRS),
    };
    struct hd_raw_topology *raw = arg;
    struct hd_raw_profile p = {.name = hd_strdup(name), .line = hd_conf_line(node)};
    hd_conf_map(c, node, keys, HD_COUNT(keys), &p);
    *HD_APPEND(raw->profiles, raw->n_profiles) = p;
}

/* --- errors --- */

static void read_error(struct hd_conf *c, const char *name, yaml_node_t *node, void *arg)
{
    struct {
        struct hd_lane_error_type error;
        uint32_t http_code;
    } all = {0};
    const struct hd_conf_key keys[] = {
        HD_CONF_KEY(struct hd_lane_error_type, wire_id, STR),
        {.name = "http_code",
         .kind = HD_CONF_U32,
         .offset = (size_t)((char *)&all.http_code - (char *)&all),
         .min = 400,
         .max = 599},
    };
    struct hd_raw_topology *raw = arg;
    hd_conf_map(c, node, keys, HD_COUNT(keys), &all);
    all.error.error_type = hd_strdup(name);
    all.error.http_code = all.http_code;
    *HD_APPEND(raw->t->errors, raw->t->n_errors) = all.error;
}

/* --- the section --- */

static void read_tasks(struct hd_conf *c, yaml_node_t *node, void *to)
{
    hd_conf_each_entry(c, node, read_task, to);
}

static void read_events(struct hd_conf *c, yaml_node_t *node, void *to)
{
    hd_conf_each_entry(c, node, read_event, to);
}

static void read_hooks(struct hd_conf *c, yaml_node_t *node, void *to)
{
    hd_conf_each_item(c, node, read_hook, to);
}

static void read_event_lanes(struct hd_conf *c, yaml_node_t *node, void *to)
{
    hd_conf_each_entry(c, node, read_event_lane, to);
}

static void read_rpc_lanes(struct hd_conf *c, yaml_node_t *node, void *to)
{
    hd_conf_each_entry(c, node, read_rpc_lane, to);
}

static void read_queues(struct hd_conf *c, yaml_node_t *node, void *to)
{
    hd_conf_each_entry(c, node, hd_raw_queue_read, to);
}

static void read_communicators(struct hd_conf *c, yaml_node_t *node, void *to)
{
    hd_conf_each_entry(c, node, hd_raw_communicator_read, to);
}

static void read_bindings(struct hd_conf *c, yaml_node_t *node, void *to)
{
    hd_conf_each_item(c, node, read_binding, to);
}

static void read_profiles(struct hd_conf *c, yaml_node_t *node, void *to)
{
    struct hd_raw_topology *raw = to;
    raw->profiles_given = true;
    hd_conf_each_entry(c, node, read_profile, to);
}

static void read_errors(struct hd_conf *c, yaml_node_t *node, void *to)
{
    hd_conf_each_entry(c, node, read_error, to);
}

static void read_exposures(struct hd_conf *c, yaml_node_t *node, void *to)
{
    struct hd_raw_topology *raw = to;
    raw->exposure_line = hd_conf_line(node);
    hd_raw_exposure_read(c, node, &raw->t->exposure);
}

struct own {
    char *profile, *namespace_, *prefix;
    unsigned mode;
    bool debug;
};

/* Sections are read by themselves, each in its turn: here they are only known. */
static void known(struct hd_conf *c, yaml_node_t *node, void *to)
{
    (void)c;
    (void)node;
    (void)to;
}

static void settle_own(struct hd_raw_topology *raw, struct own *own)
{
    struct hd_topology *t = raw->t;
    t->mode = own->mode;
    t->debug = own->debug;
    t->profile = own->profile;
    raw->profile_given = own->profile != NULL;
    t->namespace_ = own->namespace_ != NULL ? own->namespace_ : hd_strdup("app");
    t->relay_prefix = own->prefix != NULL ? own->prefix : hd_strdup("runner.event-lanes.relay");
}

void hd_topology_parse(struct hd_raw_topology *raw, yaml_node_t *lanes)
{
    static const char *const modes[] = {"network", "transparent", "local-simulated", NULL};
    static const struct hd_conf_key own_keys[] = {
        HD_CONF_KEY(struct own, profile, STR),
        {.name = "namespace", .kind = HD_CONF_STR, .offset = offsetof(struct own, namespace_)},
        {.name = "relay_source_prefix",
         .kind = HD_CONF_STR,
         .offset = offsetof(struct own, prefix)},
        {.name = "mode",
         .kind = HD_CONF_WORD,
         .offset = offsetof(struct own, mode),
         .words = modes},
        HD_CONF_KEY(struct own, debug, BOOL),
    };
    static const struct {
        const char *name;
        void (*read)(struct hd_conf *c, yaml_node_t *node, void *to);
    } sections[] = {{"tasks", read_tasks},
                    {"events", read_events},
                    {"hooks", read_hooks},
                    {"errors", read_errors},
                    {"event_lanes", read_event_lanes},
                    {"rpc_lanes", read_rpc_lanes},
                    {"queues", read_queues},
                    {"communicators", read_communicators},
                    {"profiles", read_profiles},
                    {"bindings", read_bindings},
                    {"exposure", read_exposures}};
    /* The keys of all of it in one table over both structs, side by side. */
    struct {
        struct own own;
        struct hd_strings contexts;
    } all = {0};
    struct hd_conf_key keys[HD_COUNT(own_keys) + HD_COUNT(sections) + 1];
    size_t n = 0;
    for (; n < HD_COUNT(own_keys); n++)
        keys[n] = own_keys[n];
    for (size_t i = 0; i < HD_COUNT(sections); i++)
        keys[n++] =
            (struct hd_conf_key){.name = sections[i].name, .kind = HD_CONF_CUSTOM, .read = known};
    keys[n++] = (struct hd_conf_key){.name = "contexts",
                                     .kind = HD_CONF_STRS,
                                     .offset = (size_t)((char *)&all.contexts - (char *)&all)};
    raw->line = hd_conf_line(lanes);
    hd_conf_map(&raw->conf, lanes, keys, n, &all);
    raw->context_names = all.contexts;
    settle_own(raw, &all.own);
    for (size_t i = 0; i < HD_COUNT(sections); i++) {
        yaml_node_t *node = hd_conf_get(&raw->conf, lanes, sections[i].name);
        size_t was = strlen(raw->conf.key);
        if (node == NULL)
            continue;
        snprintf(raw->conf.key + was, sizeof(raw->conf.key) - was, ".%s", sections[i].name);
        sections[i].read(&raw->conf, node, raw);
        raw->conf.key[was] = '\0';
    }
}
