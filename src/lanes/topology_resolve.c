/* topology_resolve.c - from names to pointers: wire ids, hooks, bindings, profile, assignment. */
#include "lanes/topology_private.h"

#include <fnmatch.h>
#include <math.h>

#define RESERVED_COUNT 7
static const char *const reserved[RESERVED_COUNT] = {"tasks", "events", "hooks",        "resources",
                                                     "tags",  "errors", "asyncContexts"};

/* --- ids --- */

static void check_local_name(struct hd_raw_topology *raw, const char *name, size_t line)
{
    bool bad = *name == '\0' || strchr(name, '.') != NULL || hd_str_trim(hd_str(name)).len == 0;
    for (size_t i = 0; i < RESERVED_COUNT; i++)
        bad = bad || strcmp(name, reserved[i]) == 0;
    if (bad)
        hd_conf_problem(&raw->conf, "config", line,
                        "\"%s\" cannot be a name: not blank, without dots, and none of tasks, "
                        "events, hooks, resources, tags, errors, asyncContexts",
                        name);
}

static void give_ids(struct hd_raw_topology *raw)
{
    struct hd_topology *t = raw->t;
    const char *ns = t->namespace_;
    for (size_t i = 0; i < t->n_tasks; i++) {
        check_local_name(raw, t->tasks[i]->name, t->tasks[i]->line);
        if (t->tasks[i]->wire_id == NULL)
            t->tasks[i]->wire_id = hd_printf("%s.tasks.%s", ns, t->tasks[i]->name);
    }
    for (size_t i = 0; i < t->n_events; i++) {
        check_local_name(raw, t->events[i]->name, t->events[i]->line);
        if (t->events[i]->wire_id == NULL)
            t->events[i]->wire_id = hd_printf("%s.events.%s", ns, t->events[i]->name);
    }
    for (size_t i = 0; i < t->n_errors; i++) {
        if (t->errors[i].wire_id == NULL)
            t->errors[i].wire_id = hd_printf("%s.errors.%s", ns, t->errors[i].error_type);
    }
    for (size_t i = 0; i < raw->context_names.n; i++) {
        const char *name = raw->context_names.items[i];
        if (strchr(name, '.') != NULL)
            hd_strings_add(&t->contexts, hd_str(name));
        else
            hd_strings_addf(&t->contexts, "%s.asyncContexts.%s", ns, name);
    }
}

/* A lane's contexts are named like the registered ones. */
static void give_contexts(struct hd_raw_topology *raw, struct hd_strings *names, size_t line)
{
    struct hd_strings ids = {0};
    if (names->items == NULL)
        return;
    hd_strings_give(&ids);
    for (size_t i = 0; i < names->n; i++) {
        bool is_id = strchr(names->items[i], '.') != NULL;
        hd_auto_free char *id =
            is_id ? hd_strdup(names->items[i])
                  : hd_printf("%s.asyncContexts.%s", raw->t->namespace_, names->items[i]);
        if (!hd_strings_has(&raw->t->contexts, hd_str(id)))
            hd_conf_problem(&raw->conf, "config", line,
                            "the context %s is not among lanes.contexts; add it there",
                            names->items[i]);
        hd_strings_add(&ids, hd_str(id));
    }
    hd_strings_done(names);
    *names = ids;
}

/* --- hooks --- */

static struct hd_lane_event *event_of(struct hd_topology *t, const char *name)
{
    return (struct hd_lane_event *)hd_topology_event(t, hd_str(name));
}

static int by_order(const void *a, const void *b)
{
    const struct hd_lane_hook *x = *(struct hd_lane_hook *const *)a;
    const struct hd_lane_hook *y = *(struct hd_lane_hook *const *)b;
    if (x->order != y->order)
        return x->order < y->order ? -1 : 1;
    return x->line < y->line ? -1 : x->line > y->line;
}

static void attach_hooks(struct hd_raw_topology *raw)
{
    for (size_t i = 0; i < raw->n_hooks; i++) {
        struct hd_lane_hook *hook = raw->hooks[i].hook;
        struct hd_lane_event *event =
            raw->hooks[i].event != NULL ? event_of(raw->t, raw->hooks[i].event) : NULL;
        if (raw->hooks[i].event != NULL && event == NULL)
            hd_conf_problem(&raw->conf, "config", hook->line, "there is no event %s",
                            raw->hooks[i].event);
        if (event == NULL)
            continue;
        hook->event = event;
        *HD_APPEND(event->hooks, event->n_hooks) = hook;
    }
    for (size_t i = 0; i < raw->t->n_events; i++) {
        struct hd_lane_event *event = raw->t->events[i];
        if (event->n_hooks > 1)
            qsort(event->hooks, event->n_hooks, sizeof(*event->hooks), by_order);
    }
}

/* --- bindings --- */

struct hd_event_lane *hd_raw_event_lane(struct hd_topology *t, const char *id)
{
    return (struct hd_event_lane *)hd_topology_event_lane(t, hd_str(id));
}

struct hd_rpc_lane *hd_raw_rpc_lane(struct hd_topology *t, const char *id)
{
    for (size_t i = 0; i < t->n_rpc_lanes; i++) {
        if (strcmp(t->rpc_lanes[i]->id, id) == 0)
            return t->rpc_lanes[i];
    }
    return NULL;
}

static struct hd_lane_queue *queue_of(struct hd_topology *t, const char *name)
{
    for (size_t i = 0; i < t->n_queues; i++) {
        if (strcmp(t->queues[i]->name, name) == 0)
            return t->queues[i];
    }
    return NULL;
}

static struct hd_communicator *communicator_of(struct hd_topology *t, const char *name)
{
    for (size_t i = 0; i < t->n_communicators; i++) {
        if (strcmp(t->communicators[i]->name, name) == 0)
            return t->communicators[i];
    }
    return NULL;
}

static void check_retry(struct hd_raw_topology *raw, const struct hd_raw_binding *b)
{
    if (!(b->max_attempts >= 1) || b->max_attempts != floor(b->max_attempts) ||
        b->max_attempts > 1e9)
        hd_conf_problem(&raw->conf, "eventLanes-retryPolicyInvalid", b->line,
                        "max_attempts must be a whole number, 1 or more");
    if (!isfinite(b->retry_delay_ms) || b->retry_delay_ms < 0)
        hd_conf_problem(&raw->conf, "eventLanes-retryPolicyInvalid", b->line,
                        "retry_delay_ms must be 0 or more");
}

static void bind_event_lane(struct hd_raw_topology *raw, struct hd_raw_binding *b,
                            struct hd_event_lane *lane)
{
    struct hd_lane_queue *queue = b->queue != NULL ? queue_of(raw->t, b->queue) : NULL;
    if (lane->queue != NULL) {
        hd_conf_problem(&raw->conf, "eventLanes-duplicateBinding", b->line,
                        "the event lane %s is bound twice", lane->id);
        return;
    }
    if (queue == NULL) {
        hd_conf_problem(&raw->conf, "eventLanes-queueReferenceInvalid", b->line,
                        "%s is not one of lanes.queues", b->queue != NULL ? b->queue : "(nothing)");
        return;
    }
    check_retry(raw, b);
    lane->queue = queue;
    lane->prefetch = b->prefetch;
    lane->max_attempts = b->max_attempts >= 1 ? (uint32_t)b->max_attempts : 1;
    lane->retry_delay_ms = b->retry_delay_ms;
    lane->auth = b->auth;
    b->auth = (struct hd_lane_auth){0};
}

static void bind_rpc_lane(struct hd_raw_topology *raw, struct hd_raw_binding *b,
                          struct hd_rpc_lane *lane)
{
    struct hd_communicator *peer =
        b->communicator != NULL ? communicator_of(raw->t, b->communicator) : NULL;
    if (lane->communicator != NULL) {
        hd_conf_problem(&raw->conf, "rpcLane-duplicateBinding", b->line,
                        "the RPC lane %s is bound twice", lane->id);
        return;
    }
    if (peer == NULL) {
        hd_conf_problem(&raw->conf, "rpcLane-communicatorResourceInvalid", b->line,
                        "%s is not one of lanes.communicators",
                        b->communicator != NULL ? b->communicator : "(nothing)");
        return;
    }
    lane->communicator = peer;
    lane->allow_async_context = b->allow_async_context;
    lane->auth = b->auth;
    b->auth = (struct hd_lane_auth){0};
}

static void bind_all(struct hd_raw_topology *raw)
{
    for (size_t i = 0; i < raw->n_bindings; i++) {
        struct hd_raw_binding *b = &raw->bindings[i];
        struct hd_event_lane *event = b->lane != NULL ? hd_raw_event_lane(raw->t, b->lane) : NULL;
        struct hd_rpc_lane *rpc = b->lane != NULL ? hd_raw_rpc_lane(raw->t, b->lane) : NULL;
        if (event != NULL)
            bind_event_lane(raw, b, event);
        else if (rpc != NULL)
            bind_rpc_lane(raw, b, rpc);
        else if (b->lane != NULL)
            hd_conf_problem(&raw->conf,
                            b->queue != NULL ? "eventLanes-invalidId" : "rpcLane-invalidId",
                            b->line, "there is no lane %s under event_lanes or rpc_lanes", b->lane);
    }
}

/* --- profile --- */

static void serve_lane(struct hd_raw_topology *raw, const char *id, size_t line)
{
    struct hd_rpc_lane *lane = hd_raw_rpc_lane(raw->t, id);
    if (lane == NULL)
        hd_conf_problem(&raw->conf, "rpcLane-invalidId", line, "there is no RPC lane %s", id);
    else
        lane->served = true;
}

static void consume_lane(struct hd_raw_topology *raw, const struct hd_raw_consume *entry)
{
    struct hd_event_lane *lane =
        entry->lane != NULL ? hd_raw_event_lane(raw->t, entry->lane) : NULL;
    if (lane == NULL && entry->lane != NULL)
        hd_conf_problem(&raw->conf, "eventLanes-invalidId", entry->line,
                        "there is no event lane %s", entry->lane);
    if (lane == NULL)
        return;
    lane->consumed = true;
    lane->hooks_limited = entry->limited;
    if (entry->limited)
        lane->hooks_only = hd_strings_copy(&entry->only);
}

/* Without any profile one node is all there is: it consumes and serves everything. */
static void take_everything(struct hd_topology *t)
{
    if (t->profile == NULL)
        t->profile = hd_strdup("default");
    for (size_t i = 0; i < t->n_event_lanes; i++)
        t->event_lanes[i]->consumed = true;
    for (size_t i = 0; i < t->n_rpc_lanes; i++)
        t->rpc_lanes[i]->served = true;
}

static void take_profile(struct hd_raw_topology *raw)
{
    struct hd_topology *t = raw->t;
    const struct hd_raw_profile *active = NULL;
    if (!raw->profiles_given && !raw->profile_given) {
        take_everything(t);
        return;
    }
    if (t->profile == NULL)
        t->profile = hd_strdup("default");
    for (size_t i = 0; i < raw->n_profiles; i++) {
        if (strcmp(raw->profiles[i].name, t->profile) == 0)
            active = &raw->profiles[i];
    }
    bool rpc_only = t->n_event_lanes == 0 && t->n_rpc_lanes > 0;
    if (active == NULL && (!rpc_only || t->mode == HD_LANES_NETWORK)) {
        hd_conf_problem(&raw->conf,
                        rpc_only ? "rpcLane-profileNotFound" : "eventLanes-profileNotFound",
                        raw->line, "there is no profile %s under lanes.profiles", t->profile);
        return;
    }
    if (active == NULL)
        return;
    for (size_t i = 0; i < active->n_consume; i++)
        consume_lane(raw, &active->consume[i]);
    for (size_t i = 0; i < active->serve.n; i++)
        serve_lane(raw, active->serve.items[i], active->line);
}

/* --- assignment: apply_to decides, else what the definition says --- */

static bool names(const char *pattern, const char *name, const char *wire_id,
                  const struct hd_strings *aliases)
{
    if (fnmatch(pattern, name, 0) == 0 || fnmatch(pattern, wire_id, 0) == 0)
        return true;
    return hd_strings_has(aliases, hd_str(pattern));
}

static bool names_task(const struct hd_topology *t, const char *pattern)
{
    for (size_t i = 0; i < t->n_tasks; i++) {
        if (names(pattern, t->tasks[i]->name, t->tasks[i]->wire_id, &t->tasks[i]->aliases))
            return true;
    }
    return false;
}

static void claim_event(struct hd_raw_topology *raw, struct hd_event_lane *lane,
                        struct hd_lane_event *event)
{
    if (event->event_lane != NULL && event->event_lane != lane)
        hd_conf_problem(&raw->conf, "eventLanes-assignmentConflict", lane->line,
                        "the event %s is claimed by the event lanes %s and %s", event->name,
                        event->event_lane->id, lane->id);
    else
        event->event_lane = lane;
}

static void claim_rpc_event(struct hd_raw_topology *raw, struct hd_rpc_lane *lane,
                            struct hd_lane_event *event)
{
    if (event->event_lane != NULL)
        hd_conf_problem(&raw->conf, "eventLanes-rpcLaneConflict", lane->line,
                        "the event %s is claimed by the event lane %s and the RPC lane %s",
                        event->name, event->event_lane->id, lane->id);
    else if (event->rpc_lane != NULL && event->rpc_lane != lane)
        hd_conf_problem(&raw->conf, "rpcLane-eventAssignmentConflict", lane->line,
                        "the event %s is claimed by the RPC lanes %s and %s", event->name,
                        event->rpc_lane->id, lane->id);
    else
        event->rpc_lane = lane;
}

static void claim_task(struct hd_raw_topology *raw, struct hd_rpc_lane *lane,
                       struct hd_lane_task *task)
{
    if (task->lane != NULL && task->lane != lane)
        hd_conf_problem(&raw->conf, "rpcLane-taskAssignmentConflict", lane->line,
                        "the task %s is claimed by the RPC lanes %s and %s", task->name,
                        task->lane->id, lane->id);
    else
        task->lane = lane;
}

static bool blank(struct hd_raw_topology *raw, const char *prefix, const char *pattern, size_t line)
{
    if (hd_str_trim(hd_str(pattern)).len > 0)
        return false;
    hd_auto_free char *id = hd_printf("%s-applyToInvalidTarget", prefix);
    hd_conf_problem(&raw->conf, id, line, "apply_to has an empty name");
    return true;
}

static void apply_event_lane(struct hd_raw_topology *raw, struct hd_event_lane *lane,
                             const char *pattern)
{
    struct hd_topology *t = raw->t;
    bool found = false;
    if (blank(raw, "eventLanes", pattern, lane->line))
        return;
    for (size_t i = 0; i < t->n_events; i++) {
        struct hd_lane_event *e = t->events[i];
        if (!names(pattern, e->name, e->wire_id, &e->aliases))
            continue;
        found = true;
        claim_event(raw, lane, e);
    }
    if (!found && names_task(t, pattern))
        hd_conf_problem(&raw->conf, "eventLanes-applyToTargetType", lane->line,
                        "%s is a task; event lanes carry events", pattern);
    else if (!found)
        hd_conf_problem(&raw->conf, "eventLanes-applyToTargetNotFound", lane->line,
                        "there is no event %s", pattern);
}

static void apply_rpc_lane(struct hd_raw_topology *raw, struct hd_rpc_lane *lane,
                           const char *pattern)
{
    struct hd_topology *t = raw->t;
    bool found = false;
    if (blank(raw, "rpcLane", pattern, lane->line))
        return;
    for (size_t i = 0; i < t->n_tasks; i++) {
        struct hd_lane_task *task = t->tasks[i];
        if (!names(pattern, task->name, task->wire_id, &task->aliases))
            continue;
        found = true;
        claim_task(raw, lane, task);
    }
    for (size_t i = 0; i < t->n_events; i++) {
        struct hd_lane_event *e = t->events[i];
        if (!names(pattern, e->name, e->wire_id, &e->aliases))
            continue;
        found = true;
        claim_rpc_event(raw, lane, e);
    }
    if (!found)
        hd_conf_problem(&raw->conf, "rpcLane-applyToTargetNotFound", lane->line,
                        "there is no task or event %s", pattern);
}

static void own_lane_of_task(struct hd_raw_topology *raw, size_t i)
{
    struct hd_lane_task *task = raw->t->tasks[i];
    const char *id = raw->task_lanes[i];
    if (id == NULL || task->lane != NULL)
        return;
    task->lane = hd_raw_rpc_lane(raw->t, id);
    if (task->lane == NULL && hd_raw_event_lane(raw->t, id) != NULL)
        hd_conf_problem(&raw->conf, "eventLanes-applyToTargetType", task->line,
                        "the task %s is on the event lane %s; event lanes carry events", task->name,
                        id);
    else if (task->lane == NULL)
        hd_conf_problem(&raw->conf, "rpcLane-invalidId", task->line, "there is no RPC lane %s", id);
}

/* What the definition says loses without a word against the other system's apply_to. */
static void own_lane_of_event(struct hd_raw_topology *raw, size_t i)
{
    struct hd_lane_event *event = raw->t->events[i];
    const char *id = raw->event_lanes[i];
    if (id == NULL || event->event_lane != NULL || event->rpc_lane != NULL)
        return;
    event->event_lane = hd_raw_event_lane(raw->t, id);
    if (event->event_lane == NULL)
        event->rpc_lane = hd_raw_rpc_lane(raw->t, id);
    if (event->event_lane == NULL && event->rpc_lane == NULL)
        hd_conf_problem(&raw->conf, "eventLanes-invalidId", event->line, "there is no lane %s", id);
}

static void assign(struct hd_raw_topology *raw)
{
    struct hd_topology *t = raw->t;
    for (size_t i = 0; i < t->n_event_lanes; i++) {
        for (size_t j = 0; j < t->event_lanes[i]->apply_to.n; j++)
            apply_event_lane(raw, t->event_lanes[i], t->event_lanes[i]->apply_to.items[j]);
    }
    for (size_t i = 0; i < t->n_rpc_lanes; i++) {
        for (size_t j = 0; j < t->rpc_lanes[i]->apply_to.n; j++)
            apply_rpc_lane(raw, t->rpc_lanes[i], t->rpc_lanes[i]->apply_to.items[j]);
    }
    for (size_t i = 0; i < t->n_tasks; i++)
        own_lane_of_task(raw, i);
    for (size_t i = 0; i < t->n_events; i++)
        own_lane_of_event(raw, i);
    for (size_t i = 0; i < t->n_tasks; i++)
        t->tasks[i]->served = t->tasks[i]->lane != NULL && t->tasks[i]->lane->served;
}

void hd_topology_resolve(struct hd_raw_topology *raw)
{
    struct hd_topology *t = raw->t;
    give_ids(raw);
    for (size_t i = 0; i < t->n_event_lanes; i++)
        give_contexts(raw, &t->event_lanes[i]->contexts, t->event_lanes[i]->line);
    for (size_t i = 0; i < t->n_rpc_lanes; i++)
        give_contexts(raw, &t->rpc_lanes[i]->contexts, t->rpc_lanes[i]->line);
    attach_hooks(raw);
    bind_all(raw);
    take_profile(raw);
    assign(raw);
    hd_topology_check(raw);
}
