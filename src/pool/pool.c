#include "pool/private.h"

const char *hd_pool_state_name(enum hd_pool_state state)
{
    switch (state) {
    case HD_POOL_QUEUED:
        return "queued";
    case HD_POOL_LOADING:
        return "loading";
    case HD_POOL_READY:
        return "ready";
    case HD_POOL_FAILED:
        break;
    }
    return "failed";
}

/* --- groups --- */

struct hd_pool_group *hd_pool_group_new(const char *key)
{
    struct hd_pool_group *g = hd_new(struct hd_pool_group);
    g->key = hd_strdup(key);
    g->used_ms = INT64_MIN;
    atomic_init(&g->refs, 1);
    pthread_mutex_init(&g->lock, NULL);
    hd_list_init(&g->versions);
    return g;
}

struct hd_pool_group *hd_pool_group_ref(struct hd_pool_group *g)
{
    atomic_fetch_add_explicit(&g->refs, 1, memory_order_relaxed);
    return g;
}

void hd_pool_group_unref(struct hd_pool_group *g)
{
    if (atomic_fetch_sub(&g->refs, 1) > 1)
        return;
    pthread_mutex_destroy(&g->lock);
    free(g->key);
    free(g);
}

/* --- pools --- */

struct hd_pool *hd_pool_new(struct hd_pool_set *set, struct hd_pool_group *group,
                            const struct hd_pool_spec *spec)
{
    struct hd_pool *p = hd_new(struct hd_pool);
    p->set = set;
    p->control = set->control;
    p->group = hd_pool_group_ref(group);
    p->backend = spec->backend != NULL ? spec->backend : set->backend;
    atomic_init(&p->refs, 2);
    hd_launch_copy(&p->launch, &spec->launch);
    p->limits = spec->limits;
    p->eager = spec->eager;
    p->next_deadline_ms = UINT64_MAX;
    atomic_init(&p->state, HD_POOL_QUEUED);
    hd_list_init(&p->ready);
    hd_list_init(&p->queue);
    hd_list_init(&p->instances);
    hd_list_init(&p->gone);
    hd_list_init(&p->wish_link);
    hd_list_init(&p->link);
    hd_list_init(&p->version_link);
    hd_list_push(&set->pools, &p->link);
    pthread_mutex_lock(&group->lock);
    hd_list_push(&group->versions, &p->version_link);
    pthread_mutex_unlock(&group->lock);
    return p;
}

struct hd_pool *hd_pool_ref(struct hd_pool *p)
{
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

/* What it is linked into has references, so the last one frees plain memory, on any thread. */
void hd_pool_unref(struct hd_pool *p)
{
    if (p == NULL || atomic_fetch_sub(&p->refs, 1) > 1)
        return;
    hd_pool_group_unref(p->group);
    hd_launch_done(&p->launch);
    free(p);
}

static void on_kick(void *arg)
{
    struct hd_pool *p = arg;
    atomic_store(&p->kicked, false); /* before it looks: a kick from now on posts again */
    hd_pool_step(p);
    hd_pool_unref(p);
}

void hd_pool_kick(struct hd_pool *p)
{
    if (!atomic_exchange(&p->kicked, true))
        hd_loop_post(p->control, on_kick, hd_pool_ref(p));
}

const char *hd_pool_key(const struct hd_pool *p)
{
    return p->group->key;
}

const struct hd_launch_lambda *hd_pool_lambda(const struct hd_pool *p)
{
    return p->launch.lambda;
}

const char *hd_pool_function(const struct hd_pool *p)
{
    return p->launch.function;
}

const char *hd_pool_version(const struct hd_pool *p)
{
    return p->launch.version;
}

enum hd_pool_state hd_pool_state(const struct hd_pool *p)
{
    return (enum hd_pool_state)atomic_load_explicit(&p->state, memory_order_relaxed);
}

enum hd_pool_state hd_pool_newest_state(struct hd_pool *p)
{
    pthread_mutex_lock(&p->group->lock);
    const struct hd_pool *now = p->life == HD_LIFE_RETIRED ? p->group->newest : p;
    enum hd_pool_state state = hd_pool_state(now != NULL ? now : p);
    pthread_mutex_unlock(&p->group->lock);
    return state;
}

void hd_pool_error(struct hd_pool *p, struct hd_error *err)
{
    pthread_mutex_lock(&p->group->lock);
    *err = p->error;
    pthread_mutex_unlock(&p->group->lock);
}

struct hd_pool *hd_pool_previous(struct hd_pool *p)
{
    pthread_mutex_lock(&p->group->lock);
    /* Who holds a version that was replaced meanwhile is served by the newest, as in take(). */
    const struct hd_pool *now = p->life == HD_LIFE_RETIRED ? p->group->newest : p;
    struct hd_pool *previous =
        now != NULL && now->previous != NULL ? hd_pool_ref(now->previous) : NULL;
    pthread_mutex_unlock(&p->group->lock);
    return previous;
}

/* --- instances --- */

struct hd_list *hd_instance_conns(struct hd_instance *i, const struct hd_loop *loop)
{
    return &i->conns[hd_loop_index(loop)];
}

bool hd_instance_alive(const struct hd_instance *i)
{
    return atomic_load(&i->alive);
}

uint64_t hd_instance_serial(const struct hd_instance *i)
{
    return i->serial;
}

uint64_t hd_instance_init_us(const struct hd_instance *i)
{
    return i->init_us;
}

const char *hd_instance_log_stream(const struct hd_instance *i)
{
    return i->log_stream;
}

struct hd_pool *hd_instance_pool(const struct hd_instance *i)
{
    return i->pool;
}

bool hd_instance_provisioned(const struct hd_instance *i)
{
    return i->provisioned;
}

uint64_t hd_instance_peak_bytes(const struct hd_instance *i)
{
    return atomic_load_explicit(&i->peak_bytes, memory_order_relaxed);
}

enum hd_instance_fate hd_instance_fate(const struct hd_instance *i)
{
    return (enum hd_instance_fate)atomic_load(&i->fate);
}
