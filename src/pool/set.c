#include "pool/private.h"

#include "core/clock.h"

static const struct hd_pool_set_events no_events;

int hd_pool_set_new(struct hd_pool_set **out, const struct hd_pool_set_options *opt,
                    struct hd_error *err)
{
    if (opt->n_loops < 1 || opt->n_loops > HD_POOL_LOOPS_MAX)
        return hd_fail(err, HD_EINVAL, "pools: %u loops: must be 1 to %d", opt->n_loops,
                       HD_POOL_LOOPS_MAX);
    for (unsigned i = 0; i < opt->n_loops; i++) {
        if (hd_loop_index(opt->loops[i]) != i)
            return hd_fail(err, HD_EINVAL, "pools: loop %u has the number %u", i,
                           hd_loop_index(opt->loops[i]));
    }
    struct hd_pool_set *set = hd_new(struct hd_pool_set);
    for (unsigned i = 0; i < opt->n_loops; i++)
        set->loops[i] = opt->loops[i];
    set->n_loops = opt->n_loops;
    set->control = opt->loops[0];
    set->backend = opt->backend;
    set->log = opt->log;
    set->alive = opt->alive;
    set->events = opt->events != NULL ? opt->events : &no_events;
    set->arg = opt->arg;
    set->memory_bytes = opt->memory_bytes;
    set->instance_bytes = opt->instance_bytes > 0 ? opt->instance_bytes : 64u << 20;
    set->lanes = opt->lanes > 0 ? opt->lanes : 2;
    set->prewarm = opt->prewarm;
    set->demand_lanes = opt->demand_lanes > 0 ? opt->demand_lanes : 4 * set->lanes;
    pthread_mutex_init(&set->lock, NULL);
    hd_map_init(&set->groups, 0);
    hd_rng_init(&set->rng, opt->seed);
    hd_list_init(&set->pools);
    hd_list_init(&set->wishes);
    hd_list_init(&set->samples);
    hd_list_init(&set->limited);
    *out = set;
    return 0;
}

/* --- versions --- */

static int check(const char *key, const struct hd_pool_limits *l, struct hd_error *err)
{
    const char *what = l->concurrency < 1        ? "concurrency must be at least 1"
                       : l->max < 1              ? "max must be at least 1"
                       : l->min > l->max         ? "min must be at most max"
                       : l->wait_ms < 1          ? "wait_ms must be at least 1"
                       : l->start_timeout_ms < 1 ? "start_timeout_ms must be at least 1"
                       : l->provisioned > l->max - l->min
                           ? "min and provisioned together must be at most max"
                           : NULL;
    if (what != NULL)
        return hd_fail(err, HD_EINVAL, "function %s: pool: %s", key, what);
    return 0;
}

static struct hd_pool_group *find_group(struct hd_pool_set *set, const char *key)
{
    struct hd_pool_group *g = hd_map_get(&set->groups, hd_str(key));
    if (g != NULL)
        return g;
    g = hd_pool_group_new(key);
    pthread_mutex_lock(&set->lock);
    hd_map_put(&set->groups, hd_str(g->key), g);
    pthread_mutex_unlock(&set->lock);
    return g;
}

/* The log counts in wall time; an order is all that is needed of it. */
static void note_last_use(struct hd_pool_group *g, const struct hd_pool_spec *spec, uint64_t now_ms)
{
    if (spec->last_used_unix_ms == 0)
        return;
    int64_t at_ms = (int64_t)now_ms - (hd_clock_unix_ms() - spec->last_used_unix_ms);
    if (at_ms > atomic_load_explicit(&g->used_ms, memory_order_relaxed))
        atomic_store_explicit(&g->used_ms, at_ms, memory_order_relaxed);
}

void hd_pool_set_counted(struct hd_pool *p, bool counted)
{
    counted = counted && p->limits.max_starting == 0;
    if (p->counted == counted)
        return;
    p->counted = counted;
    atomic_uint *count = &p->set->by_state[hd_pool_state(p)];
    if (counted)
        atomic_fetch_add(count, 1);
    else
        atomic_fetch_sub(count, 1);
}

static void prewarm(struct hd_pool_set *set, const struct hd_pool_spec *spec)
{
    struct hd_backend *b = spec->backend != NULL ? spec->backend : set->backend;
    if (spec->launch.lambda != NULL && set->prewarm > 0 && b->ops->prewarm != NULL)
        b->ops->prewarm(b, &spec->launch, set->prewarm);
}

int hd_pool_set_put(struct hd_pool_set *set, struct hd_pool **out, const struct hd_pool_spec *spec,
                    struct hd_error *err)
{
    int rc = check(spec->key, &spec->limits, err);
    if (rc < 0)
        return rc;
    if (set->closing)
        return hd_fail(err, HD_ECANCELED, "function %s: the node is ending", spec->key);
    struct hd_pool_group *g = find_group(set, spec->key);
    struct hd_pool *p = hd_pool_new(set, g, spec), *old = g->newest, *dropped = NULL;
    note_last_use(g, spec, hd_loop_now_ms(set->control));
    pthread_mutex_lock(&g->lock);
    if (old != NULL && spec->at_once) {
        dropped = old;
    } else if (old != NULL && old->n[HD_INSTANCE_READY] > 0) {
        p->previous = hd_pool_ref(old);
        p->eager = true;
    } else if (old != NULL) {
        dropped = old;
        p->previous = old->previous; /* with its reference */
        old->previous = NULL;
        p->eager |= p->previous != NULL || hd_pool_state(old) != HD_POOL_READY;
    }
    g->newest = hd_pool_ref(p);
    pthread_mutex_unlock(&g->lock);
    if (old != NULL)
        hd_pool_set_counted(old, false);
    hd_pool_set_counted(p, true);
    *out = hd_pool_ref(p);
    if (dropped != NULL)
        hd_pool_retire(dropped);
    hd_pool_unref(old); /* it was the newest */
    hd_pool_step(p);
    prewarm(set, spec);
    return 0;
}

int hd_pool_set_limits(struct hd_pool *p, const struct hd_pool_limits *limits, struct hd_error *err)
{
    int rc = check(p->group->key, limits, err);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&p->group->lock);
    p->limits = *limits;
    if (p->declared > 0)
        p->limits.concurrency = HD_MIN(p->limits.concurrency, p->declared);
    hd_pool_serve(p); /* there may be more places now */
    pthread_mutex_unlock(&p->group->lock);
    hd_pool_kick(p);
    return 0;
}

void hd_pool_set_remove(struct hd_pool_set *set, const char *key)
{
    pthread_mutex_lock(&set->lock);
    struct hd_pool_group *g = hd_map_remove(&set->groups, hd_str(key));
    pthread_mutex_unlock(&set->lock);
    if (g == NULL)
        return;
    pthread_mutex_lock(&g->lock);
    struct hd_pool *newest = g->newest;
    g->newest = NULL;
    pthread_mutex_unlock(&g->lock);
    hd_pool_set_counted(newest, false);
    hd_pool_retire(newest);
    hd_pool_unref(newest);
    hd_pool_group_unref(g);
}

struct hd_pool *hd_pool_set_get(struct hd_pool_set *set, const char *key)
{
    struct hd_pool *p = NULL;
    pthread_mutex_lock(&set->lock);
    struct hd_pool_group *g = hd_map_get(&set->groups, hd_str(key));
    if (g != NULL) {
        pthread_mutex_lock(&g->lock);
        p = g->newest != NULL ? hd_pool_ref(g->newest) : NULL;
        pthread_mutex_unlock(&g->lock);
    }
    pthread_mutex_unlock(&set->lock);
    return p;
}

/* --- the end --- */

static void on_closed(void *arg)
{
    struct hd_pool_set *set = arg;
    set->on_closed(set->closed_arg); /* may free the set */
}

void hd_pool_set_check_closed(struct hd_pool_set *set)
{
    if (!set->closing || set->closed || set->gone > 0 || set->admit_posted ||
        !hd_list_empty(&set->pools))
        return;
    set->closed = true;
    hd_timer_stop(set->control, &set->grace);
    hd_timer_stop(set->control, &set->retry);
    hd_timer_stop(set->control, &set->sample);
    hd_timer_stop(set->control, &set->cpu);
    hd_loop_post(set->control, on_closed, set);
}

static void on_grace_over(struct hd_timer *t)
{
    struct hd_pool_set *set = hd_container_of(t, struct hd_pool_set, grace);
    struct hd_error err;
    hd_fail(&err, HD_ECANCELED, "the node is ending");
    hd_list_each(item, &set->pools)
    {
        struct hd_pool *p = hd_container_of(item, struct hd_pool, link);
        pthread_mutex_lock(&p->group->lock);
        hd_pool_refuse_all(p, HD_REJECT_CLOSING, &err);
        pthread_mutex_unlock(&p->group->lock);
        hd_list_each(at, &p->instances) hd_instance_act(
            hd_container_of(at, struct hd_instance, link), HD_ACT_KILL, HD_RECYCLE_REPLACED);
        hd_pool_kick(p);
    }
}

void hd_pool_set_close(struct hd_pool_set *set, uint32_t grace_ms, void (*done)(void *arg),
                       void *arg)
{
    uint64_t until_ms = hd_loop_now_ms(set->control) + grace_ms;
    if (!set->closing) {
        set->closing = true;
        set->on_closed = done;
        set->closed_arg = arg;
        hd_list_each(item, &set->pools)
        {
            struct hd_pool *p = hd_container_of(item, struct hd_pool, link);
            pthread_mutex_lock(&p->group->lock);
            if (p->life == HD_LIFE_ACTIVE)
                p->life = HD_LIFE_CLOSING;
            pthread_mutex_unlock(&p->group->lock);
            hd_pool_kick(p);
        }
    } else if (hd_timer_active(&set->grace) && set->grace.due_ms <= until_ms) {
        return;
    }
    if (!set->closed)
        hd_timer_start(set->control, &set->grace, grace_ms, on_grace_over);
    hd_pool_set_check_closed(set);
}

void hd_pool_set_free(struct hd_pool_set *set)
{
    if (set == NULL)
        return;
    size_t at = 0;
    struct hd_str key;
    void *value;
    hd_list_each(item, &set->pools) hd_pool_end(hd_container_of(item, struct hd_pool, link));
    while (hd_map_next(&set->groups, &at, &key, &value)) {
        struct hd_pool_group *g = value;
        hd_pool_unref(g->newest);
        hd_pool_group_unref(g);
    }
    hd_map_done(&set->groups);
    pthread_mutex_destroy(&set->lock);
    free(set->views);
    free(set);
}
