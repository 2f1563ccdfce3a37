/* Functions of the folder as targets of calls with an event: found by name, from any loop. */
#include "core/id.h"
#include "invoke/admission.h"
#include "lambda/names.h"
#include "node/private.h"

struct hd_node_targets {
    struct hd_node *node;
    struct hd_targets find;
    pthread_mutex_t lock;
    struct hd_map by_name; /* struct hd_target, one reference each */
};

static struct hd_target *find(void *arg, struct hd_str name, struct hd_str qualifier,
                              struct hd_error *err)
{
    struct hd_node_targets *t = arg;
    struct hd_fn_name parts;
    if (hd_names_function(&parts, name) < 0) {
        hd_fail(err, HD_EINVAL, "%.*s: this is neither a function's name nor an ARN", HD_FMT(name));
        return NULL;
    }
    if (qualifier.len == 0)
        qualifier = parts.qualifier;
    pthread_mutex_lock(&t->lock);
    struct hd_target *found = hd_map_get(&t->by_name, parts.name);
    if (found != NULL && !hd_names_is_latest(qualifier))
        found = NULL; /* a folder has no versions */
    if (found != NULL)
        hd_target_ref(found);
    pthread_mutex_unlock(&t->lock);
    if (found == NULL)
        hd_fail(err, HD_ENOTFOUND, "there is no function %.*s", HD_FMT(name));
    return found;
}

const struct hd_targets *hd_node_targets(const struct hd_node *n)
{
    return &n->targets->find;
}

void hd_node_targets_new(struct hd_node *n)
{
    n->targets = hd_new(struct hd_node_targets);
    n->targets->node = n;
    n->targets->find = (struct hd_targets){.find = find, .arg = n->targets};
    pthread_mutex_init(&n->targets->lock, NULL);
    hd_map_init(&n->targets->by_name, 0);
}

static struct hd_target *target_of(const struct hd_node *n, const struct hd_route *r,
                                   const struct hd_target *old)
{
    const struct hd_function *fn = r->fn;
    struct hd_target *t = hd_target_new();
    t->kind = HD_TARGET_FOLDER;
    t->name = hd_strdup(fn->name);
    t->version = hd_strdup("$LATEST");
    t->arn = hd_names_make_arn("function", n->opt->lambda_account, n->opt->lambda_region, fn->name,
                               NULL);
    t->pool = r->pool != NULL ? hd_pool_ref(r->pool) : NULL;
    t->problem = hd_strdup(fn->problem);
    t->timeout_ms = hd_route_timeout_ms(r);
    t->memory_mb = fn->set.memory_mb;
    t->runtime = hd_strdup(hd_runtime_name(fn->runtime));
    t->admission = old != NULL ? hd_admission_ref(old->admission) : hd_admission_new(NULL);
    return t;
}

static void drop(struct hd_map *map)
{
    size_t at = 0;
    void *value;
    while (hd_map_next(map, &at, NULL, &value))
        hd_target_unref(value);
    hd_map_done(map);
}

void hd_node_targets_set(struct hd_node *n)
{
    struct hd_node_targets *t = n->targets;
    size_t count;
    struct hd_route *const *routes = hd_routes_all(n->routes, &count);
    struct hd_map made;
    hd_map_init(&made, 0);
    for (size_t i = 0; i < count; i++) {
        /* The control loop alone changes the map: reading it needs no lock. */
        const struct hd_target *old = hd_map_get(&t->by_name, hd_str(routes[i]->fn->name));
        struct hd_target *now = target_of(n, routes[i], old);
        hd_map_put(&made, hd_str(now->name), now);
    }
    pthread_mutex_lock(&t->lock);
    struct hd_map before = t->by_name;
    t->by_name = made;
    pthread_mutex_unlock(&t->lock);
    drop(&before);
}

void hd_node_targets_free(struct hd_node *n)
{
    struct hd_node_targets *t = n->targets;
    if (t == NULL)
        return;
    drop(&t->by_name);
    pthread_mutex_destroy(&t->lock);
    free(t);
    n->targets = NULL;
}
