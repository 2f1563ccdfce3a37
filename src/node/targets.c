/* Functions as targets of calls with an event, found by name from any loop: those of the folder,
 * and those of the Lambda API. */
#include "core/id.h"
#include "invoke/admission.h"
#include "lambda/names.h"
#include "node/private.h"

struct hd_node_targets {
    struct hd_node *node;
    struct hd_targets find, folder;
    pthread_mutex_t lock;  /* of what follows */
    struct hd_map by_name; /* of the folder: struct hd_target, one reference each */
    struct hd_view *view;  /* NULL: none yet */
    struct hd_rng rng;
};

static struct hd_target *find_folder(struct hd_node_targets *t, const struct hd_fn_name *name,
                                     struct hd_str qualifier)
{
    const struct hd_node_options *o = t->node->opt;
    bool here = (name->account.len == 0 || hd_str_is(name->account, o->lambda_account)) &&
                (name->region.len == 0 || hd_str_is(name->region, o->lambda_region));
    /* A folder has no versions. */
    return here && hd_names_is_latest(qualifier) ? hd_map_get(&t->by_name, name->name) : NULL;
}

/* @param err  set where there is such a function, and it cannot be called now. */
static struct hd_target *find_lambda(struct hd_node_targets *t, const struct hd_fn_name *name,
                                     struct hd_str qualifier, struct hd_error *err)
{
    const struct hd_node_options *o = t->node->opt;
    struct hd_str account = name->account.len > 0 ? name->account : hd_str(o->lambda_account);
    struct hd_str region = name->region.len > 0 ? name->region : hd_str(o->lambda_region);
    const struct hd_lambda_fn *fn =
        t->view != NULL ? hd_view_find(t->view, account, region, name->name) : NULL;
    if (fn == NULL)
        return NULL;
    double random = (double)(hd_rng_next(&t->rng) >> 11) / (double)(1ULL << 53);
    const struct hd_view_version *v = hd_view_resolve(fn, qualifier, random);
    if (v != NULL && v->state == HD_LAMBDA_PENDING) {
        hd_fail(err, HD_EBUSY, "function %.*s is being made ready", HD_FMT(name->name));
        return NULL;
    }
    return v != NULL ? v->target : NULL;
}

static struct hd_target *find(void *arg, struct hd_str name, struct hd_str qualifier,
                              struct hd_error *err)
{
    struct hd_node_targets *t = arg;
    struct hd_fn_name parts;
    struct hd_error why = {0};
    if (hd_names_function(&parts, name) < 0) {
        hd_fail(err, HD_EINVAL, "%.*s: this is neither a function's name nor an ARN", HD_FMT(name));
        return NULL;
    }
    if (qualifier.len == 0)
        qualifier = parts.qualifier;
    hd_fail(&why, HD_ENOTFOUND, "there is no function %.*s%s%.*s", HD_FMT(parts.name),
            qualifier.len > 0 ? ":" : "", (int)qualifier.len,
            qualifier.len > 0 ? qualifier.ptr : "");
    pthread_mutex_lock(&t->lock);
    /* A plain name is the folder's first; an ARN is one that the API gave. */
    struct hd_target *found = NULL;
    if (parts.account.len == 0)
        found = find_folder(t, &parts, qualifier);
    if (found == NULL)
        found = find_lambda(t, &parts, qualifier, &why);
    if (found == NULL && why.code == HD_ENOTFOUND)
        found = find_folder(t, &parts, qualifier);
    if (found != NULL)
        hd_target_ref(found);
    pthread_mutex_unlock(&t->lock);
    if (found == NULL && err != NULL)
        *err = why;
    return found;
}

/* For what the Lambda API has only. */
static struct hd_target *find_in_folder(void *arg, struct hd_str name, struct hd_str qualifier,
                                        struct hd_error *err)
{
    struct hd_node_targets *t = arg;
    struct hd_fn_name parts = {.name = name};
    pthread_mutex_lock(&t->lock);
    struct hd_target *found = find_folder(t, &parts, qualifier);
    if (found != NULL)
        hd_target_ref(found);
    pthread_mutex_unlock(&t->lock);
    if (found == NULL)
        hd_fail(err, HD_ENOTFOUND, "there is no function %.*s", HD_FMT(name));
    return found;
}

struct hd_view *hd_node_view(void *node)
{
    struct hd_node *n = node;
    pthread_mutex_lock(&n->targets->lock);
    struct hd_view *v = n->targets->view != NULL ? hd_view_ref(n->targets->view) : NULL;
    pthread_mutex_unlock(&n->targets->lock);
    return v;
}

void hd_node_set_view(struct hd_node *n, struct hd_view *view)
{
    pthread_mutex_lock(&n->targets->lock);
    struct hd_view *before = n->targets->view;
    n->targets->view = view;
    pthread_mutex_unlock(&n->targets->lock);
    hd_view_unref(before);
}

const struct hd_targets *hd_node_targets(const struct hd_node *n)
{
    return &n->targets->find;
}

const struct hd_targets *hd_node_targets_folder(const struct hd_node *n)
{
    return &n->targets->folder;
}

void hd_node_targets_new(struct hd_node *n)
{
    n->targets = hd_new(struct hd_node_targets);
    n->targets->node = n;
    n->targets->find = (struct hd_targets){.find = find, .arg = n->targets};
    n->targets->folder = (struct hd_targets){.find = find_in_folder, .arg = n->targets};
    hd_rng_init(&n->targets->rng, 0);
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
    hd_view_unref(t->view);
    pthread_mutex_destroy(&t->lock);
    free(t);
    n->targets = NULL;
}
