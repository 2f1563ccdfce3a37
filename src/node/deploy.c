/* From what a scan found to pools and routes. A function whose version did not change keeps its
 * instances and what it declared; its counters it keeps in any case. */
#include "node/private.h"

#include <stdatomic.h>
#include <stdio.h>

enum {
    CONCURRENCY_SCRIPT = 100, /* an event loop serves many at once */
    CONCURRENCY_OTHER = 32,
    QUEUE_WAIT_MS = 30000, /* for a place in a warm but busy function */
    EAGER_MAX = 64,        /* more functions than this are started when they are asked for */
};

/* A function's counters, with the name that the map's key lies in. */
struct named_stats {
    struct hd_stats *stats;
    char name[HD_FUNCTION_NAME_MAX + 1];
};

struct hd_stats *hd_node_stats(struct hd_node *n, const char *name)
{
    struct named_stats *s = hd_map_get(&n->stats, hd_str(name));
    if (s == NULL) {
        s = hd_new(struct named_stats);
        snprintf(s->name, sizeof(s->name), "%s", name);
        s->stats = hd_stats_new(n->n_workers);
        hd_map_put(&n->stats, hd_str(s->name), s);
    }
    return s->stats;
}

void hd_node_forget_stats(struct hd_node *n, const char *name)
{
    struct named_stats *s = hd_map_remove(&n->stats, hd_str(name));
    if (s == NULL)
        return;
    hd_stats_unref(s->stats);
    free(s);
}

static uint32_t concurrency_of(const struct hd_function *fn)
{
    if (fn->set.concurrency > 0)
        return fn->set.concurrency;
    return fn->runtime == HD_RUNTIME_HTTP ? CONCURRENCY_OTHER : CONCURRENCY_SCRIPT;
}

static const char *const *list(const struct hd_strings *l)
{
    return (const char *const *)l->items;
}

struct hd_launch hd_node_launch(const struct hd_node *n, const struct hd_function *fn)
{
    const struct hd_settings *set = &fn->set;
    return (struct hd_launch){.function = fn->name,
                              .version = fn->version,
                              .runtime = hd_runtime_name(fn->runtime),
                              .root = hd_registry_root(n->registry),
                              .dir = fn->dir,
                              .entry = fn->entry,
                              .handler = fn->handler,
                              .import_map = fn->import_map,
                              .argv = list(&fn->argv),
                              .health_path = fn->health_path,
                              .env = (const char *const *)fn->env,
                              .net = list(&set->allow_net),
                              .read = list(&set->allow_read),
                              .write = list(&set->allow_write),
                              .memory_mb = set->memory_mb,
                              .cpu_ms = set->cpu_ms,
                              .timeout_ms = set->timeout_ms,
                              .dev = n->opt->dev,
                              .prefix = n->opt->route_prefix};
}

static struct hd_pool_spec spec_of(struct hd_node *n, const struct hd_function *fn, bool eager)
{
    const struct hd_settings *set = &fn->set;
    return (struct hd_pool_spec){
        .key = fn->name,
        .launch = hd_node_launch(n, fn),
        .limits = {.concurrency = concurrency_of(fn),
                   .min = HD_MIN(set->min_instances, HD_MAX(set->max_instances, 1U)),
                   .max = HD_MAX(set->max_instances, 1U),
                   .idle_ms = set->idle_ms,
                   .queue_max = set->queue_max,
                   .wait_ms = QUEUE_WAIT_MS,
                   .start_timeout_ms = n->opt->start_timeout_ms,
                   .recycle_requests = set->recycle_requests,
                   .recycle_rss_bytes = (uint64_t)set->recycle_rss_mb << 20,
                   .cpu_ms = set->cpu_ms,
                   .drain_ms = n->opt->hmr_drain_ms},
        .backend = n->recheck != NULL ? hd_recheck_backend(n->recheck) : NULL,
        .eager = eager || set->min_instances > 0,
    };
}

struct hd_breaker *hd_node_breaker(const struct hd_function *fn)
{
    struct hd_breaker *b = NULL;
    struct hd_breaker_options opt = {.window = fn->set.error_window,
                                     .error_rate = fn->set.error_rate,
                                     .cooldown_ms = fn->set.cooldown_ms,
                                     .half_open_probes = fn->set.half_open_probes};
    if (fn->set.error_rate > 0 && hd_breaker_new(&b, &opt, NULL) == 0)
        return b;
    return NULL;
}

/* What the same version declared before is still true; another one's, as long as it answers. */
static void carry_over(struct hd_route *to, const struct hd_route *from)
{
    hd_route_copy_declared(to, from, strcmp(to->fn->version, from->fn->version) == 0);
}

static bool same_version(const struct hd_route *old, const struct hd_function *fn)
{
    return old != NULL && old->pool != NULL && strcmp(old->fn->version, fn->version) == 0;
}

/* @return the function's pool with a reference; or NULL: it cannot run, and that was said. */
static struct hd_pool *pool_of(struct hd_node *n, const struct hd_function *fn,
                               const struct hd_route *old, bool eager)
{
    struct hd_error err;
    int rc = 0;
    struct hd_pool *pool = NULL;
    if (fn->problem != NULL) {
        hd_pool_set_remove(n->pools, fn->name);
        rc = hd_fail(&err, HD_EINVAL, "%s", fn->problem);
    } else {
        struct hd_pool_spec spec = spec_of(n, fn, eager);
        char **env = hd_node_lanes_env(n, fn->env);
        spec.launch.env = (const char *const *)env;
        if (same_version(old, fn)) {
            rc = hd_pool_set_limits(old->pool, &spec.limits, &err);
            pool = rc == 0 ? hd_pool_ref(old->pool) : NULL;
        } else {
            rc = hd_pool_set_put(n->pools, &pool, &spec, &err);
        }
        hd_node_lanes_env_free(env);
    }
    if (rc < 0)
        hd_log(n->log, HD_ERROR, "function cannot run", hd_kv_str("function", fn->name),
               hd_kv_str("error", err.msg));
    return pool;
}

static struct hd_route *route_of(struct hd_node *n, const struct hd_function *fn, bool eager)
{
    struct hd_route *old = n->routes != NULL ? hd_routes_find(n->routes, hd_str(fn->name)) : NULL;
    if (old != NULL && old->fn == fn)
        return hd_route_ref(old);
    struct hd_pool *pool = pool_of(n, fn, old, eager);
    struct hd_route *r = hd_route_new(fn, pool, hd_node_breaker(fn), hd_node_stats(n, fn->name));
    if (old != NULL)
        carry_over(r, old);
    hd_pool_unref(pool);
    return r;
}

static void say(struct hd_node *n, const struct hd_function *fn)
{
    for (size_t i = 0; i < fn->warnings.n; i++)
        hd_log(n->log, HD_WARN, fn->warnings.items[i], hd_kv_str("function", fn->name));
}

static bool is_new(const struct hd_node *n, const struct hd_function *fn)
{
    return n->snapshot == NULL || hd_snapshot_find(n->snapshot, hd_str(fn->name)) != fn;
}

void hd_node_deploy(struct hd_node *n, const struct hd_scan *scan)
{
    size_t count;
    const struct hd_function *const *all = hd_snapshot_all(scan->snapshot, &count);
    bool eager = !n->opt->lazy && count <= EAGER_MAX;
    struct hd_route **routes = hd_new_array(struct hd_route *, count);
    for (size_t i = 0; i < scan->notes.n; i++)
        hd_log(n->log, HD_WARN, scan->notes.items[i]);
    for (size_t i = 0; i < count; i++) {
        if (is_new(n, all[i]))
            say(n, all[i]);
        routes[i] = route_of(n, all[i], eager);
    }
    for (size_t i = 0; i < scan->removed.n; i++) {
        hd_pool_set_remove(n->pools, scan->removed.items[i]);
        hd_node_forget_stats(n, scan->removed.items[i]);
    }
    struct hd_routes *old = n->routes;
    n->routes = hd_routes_new(routes, count);
    hd_routes_unref(old);
    struct hd_snapshot *before = n->snapshot;
    n->snapshot = hd_snapshot_ref(scan->snapshot);
    hd_snapshot_unref(before);
    n->deploys++;
    hd_node_targets_set(n);
    hd_node_edge_routes(n);
    if (!eager)
        hd_node_ahead(n, scan);
}

void hd_node_undeploy(struct hd_node *n)
{
    size_t at = 0;
    void *value;
    hd_routes_unref(n->routes);
    n->routes = NULL;
    hd_node_edge_routes_free(n);
    hd_snapshot_unref(n->snapshot);
    n->snapshot = NULL;
    while (hd_map_next(&n->stats, &at, NULL, &value)) {
        struct named_stats *s = value;
        hd_stats_unref(s->stats);
        free(s);
    }
    hd_map_done(&n->stats);
}

void hd_node_declared(struct hd_node *n, struct hd_pool *p, const struct hd_declared *d)
{
    struct hd_route *r =
        n->routes != NULL ? hd_routes_find(n->routes, hd_str(hd_pool_key(p))) : NULL;
    if (r != NULL && r->pool == p)
        hd_route_declare(r, d);
}
