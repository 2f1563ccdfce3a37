#include "pool/private.h"

#include "core/clock.h"

/* The one place where an instance changes its state. */
static void move(struct hd_instance *i, enum hd_instance_state to)
{
    struct hd_pool *p = i->pool;
    struct hd_pool_set *set = p->set;
    enum hd_instance_state from = i->state;
    pthread_mutex_lock(&p->group->lock);
    if (from == HD_INSTANCE_READY) {
        hd_list_remove(&i->ready_link);
        hd_instance_forget_ice(i);
    }
    i->state = to;
    if (to == HD_INSTANCE_READY) {
        hd_list_push_front(&p->ready, &i->ready_link);
        hd_pool_serve(p);
    } else if (to == HD_INSTANCE_GONE) {
        hd_list_remove(&i->link);
        hd_list_push(&p->gone, &i->link);
    }
    pthread_mutex_unlock(&p->group->lock);

    i->since_ms = hd_loop_now_ms(set->control);
    p->n[from]--;
    p->n[to]++;
    if (from == HD_INSTANCE_STARTING) {
        set->starting--;
        hd_pool_set_admit(set); /* a lane is free */
    }
    if (to == HD_INSTANCE_STOPPING)
        set->freeing_bytes += i->charge_bytes;
    if (to == HD_INSTANCE_GONE) {
        if (from == HD_INSTANCE_STOPPING)
            set->freeing_bytes -= i->charge_bytes;
        atomic_fetch_sub(&set->used_bytes, i->charge_bytes);
        i->charge_bytes = 0;
        hd_list_remove(&i->sample_link);
        hd_list_remove(&i->cpu_link);
        set->gone++;
        hd_pool_set_admit(set); /* memory is free */
    }
    if (to == HD_INSTANCE_DRAINING || to == HD_INSTANCE_GONE)
        atomic_store(&i->watched, true); /* before in_flight is looked at, see private.h */
}

static void log_event(const struct hd_instance *i, enum hd_log_level level, const char *msg,
                      const char *why)
{
    const struct hd_launch *l = &i->pool->launch;
    hd_log(i->pool->set->log, level, msg, hd_kv_str("function", l->function),
           hd_kv_str("version", l->version), hd_kv_int("instance", (int64_t)i->serial),
           hd_kv_str("reason", why));
}

/* --- what the backend reports --- */

/* It came up only to tell the first request what went wrong in its init (doc/host-protocol.md). If
 * nobody waits to hear it, there is nothing to keep it for. */
static void note_failed_init(struct hd_instance *i, const struct hd_declared *declared)
{
    struct hd_pool *p = i->pool;
    if (declared == NULL || declared->kind == NULL || strcmp(declared->kind, "init-failed") != 0)
        return;
    pthread_mutex_lock(&p->group->lock);
    hd_fail(&p->error, HD_EIO, "function %s: its init failed", p->group->key);
    if (atomic_load(&p->waiting) == 0)
        atomic_store(&i->suspicion, HD_SUSPECT_LEAVING);
    pthread_mutex_unlock(&p->group->lock);
    hd_pool_health_failed(&p->health, HD_FAILURE_SYSTEM, hd_rng_next(&p->set->rng),
                          hd_loop_now_ms(p->control));
}

static void on_ready(void *owner, const struct hd_endpoint *at, const struct hd_declared *declared)
{
    struct hd_instance *i = owner;
    struct hd_pool *p = i->pool;
    struct hd_pool_set *set = p->set;
    if (i->state != HD_INSTANCE_STARTING)
        return; /* it is being ended already */
    uint64_t us = hd_clock_us() - i->launched_us;
    i->endpoint = *at;
    i->init_us = us;
    if (declared != NULL && declared->concurrency > 0) {
        p->declared = (uint32_t)HD_MIN(declared->concurrency, (int64_t)UINT32_MAX);
        pthread_mutex_lock(&p->group->lock);
        p->limits.concurrency = HD_MIN(p->limits.concurrency, p->declared);
        pthread_mutex_unlock(&p->group->lock);
    }
    hd_pool_histogram_add(&p->group->counters.cold_start, us);
    atomic_store_explicit(&p->cold_start_us, HD_MAX(us, 1u), memory_order_relaxed);
    hd_pool_health_ready(&p->health);
    p->eager = false;
    note_failed_init(i, declared);
    hd_pool_ref(p);
    /* Before it can be taken: who may call it is part of what it declares. */
    if (declared != NULL && set->events->on_declared != NULL)
        set->events->on_declared(set->arg, p, declared);
    move(i, HD_INSTANCE_READY);
    hd_instance_measure(i);
    hd_list_push(&set->samples, &i->sample_link);
    hd_pool_set_sample(set);
    hd_instance_limit_cpu(i);
    log_event(i, HD_DEBUG, "instance ready", NULL);
    hd_pool_step(p);
    hd_pool_unref(p);
}

static void on_crashed(struct hd_instance *i, uint64_t ready_ms, const struct hd_error *err)
{
    struct hd_pool *p = i->pool;
    bool served = atomic_load_explicit(&i->served, memory_order_relaxed);
    hd_pool_count(&p->group->counters.crashes);
    log_event(i, HD_WARN, "instance ended by itself", err->msg);
    /* Several that end together are one failure: only a later start says something new. */
    if (p->health.strikes == 0 || ready_ms > p->health.strike_ms)
        hd_pool_health_crashed(&p->health, served, hd_rng_next(&p->set->rng),
                               hd_loop_now_ms(p->control));
    if (p->n[HD_INSTANCE_READY] + p->n[HD_INSTANCE_STARTING] == 0 && p->limits.max_starting == 0)
        p->eager = true; /* the next request shall not have to wait for it */
    hd_pool_note_end(p, err, i);
    hd_pool_blame(p, 0, err);
}

/* It said that it would. */
static void on_left(struct hd_instance *i)
{
    hd_pool_count(&i->pool->group->counters.recycles[HD_RECYCLE_EXITED]);
    log_event(i, HD_DEBUG, "instance ended", hd_pool_recycle_name(HD_RECYCLE_EXITED));
}

static void on_gone(void *owner, const struct hd_error *err)
{
    struct hd_instance *i = owner;
    struct hd_pool *p = i->pool;
    enum hd_instance_state from = i->state;
    uint64_t since_ms = i->since_ms;
    struct hd_error unsaid;
    if (err == NULL) {
        hd_fail(&unsaid, HD_EIO, "function %s: the instance ended by itself", p->group->key);
        err = &unsaid;
    }
    atomic_store(&i->alive, false);
    hd_alive_end(p->set->alive, i->id);
    i->handle = NULL;
    move(i, HD_INSTANCE_GONE);
    hd_witness_gone(i, err);
    switch (from) {
    case HD_INSTANCE_STARTING:
        /* A fault of the function's own is told with the state it leads to. */
        log_event(i,
                  hd_pool_failure_of(err) == HD_FAILURE_LOAD && p->limits.max_starting == 0
                      ? HD_DEBUG
                      : HD_WARN,
                  "instance did not start", err->msg);
        hd_pool_failed(p, hd_pool_failure_of(err), err, i);
        break;
    case HD_INSTANCE_READY:
        if (atomic_load(&i->suspicion) == HD_SUSPECT_LEAVING)
            on_left(i);
        else
            on_crashed(i, since_ms, err);
        break;
    case HD_INSTANCE_DRAINING:
        log_event(i, HD_INFO, "instance ended by itself while it drained", err->msg);
        break;
    case HD_INSTANCE_STOPPING:
    case HD_INSTANCE_GONE:
        log_event(i, HD_DEBUG, "instance ended", NULL);
        break;
    }
    hd_pool_ref(p);
    hd_instance_reap(i);
    hd_pool_step(p);
    hd_pool_unref(p);
}

static void on_line(void *owner, struct hd_str id, int level, struct hd_str text)
{
    struct hd_instance *i = owner;
    struct hd_pool_set *set = i->pool->set;
    hd_witness_line(i, id, text);
    if (set->events->on_line != NULL)
        set->events->on_line(set->arg, i, id, level, text);
}

static void on_exit_told(void *owner, const struct hd_exit_status *how)
{
    struct hd_instance *i = owner;
    i->exited = true;
    i->exit = *how;
    if (how->oom)
        hd_pool_count(&i->pool->group->counters.ooms);
}

static void on_pinged(void *owner, int rc)
{
    struct hd_instance *i = owner;
    struct hd_pool *p = i->pool;
    if (i->state != HD_INSTANCE_READY || i->ping_until_ms == 0)
        return;
    if (rc == HD_EIO)
        return; /* on_gone follows, and says why; if not, the ping's time runs out */
    if (rc < 0) {
        i->ping_until_ms = hd_loop_now_ms(p->control);
    } else {
        i->ping_until_ms = 0;
        pthread_mutex_lock(&p->group->lock);
        atomic_store(&i->suspicion, HD_TRUSTED);
        hd_pool_serve(p);
        pthread_mutex_unlock(&p->group->lock);
    }
    hd_pool_step(p);
}

static const struct hd_backend_events backend_events = {
    .on_ready = on_ready, .on_gone = on_gone, .on_line = on_line, .on_exit = on_exit_told};

/* --- what is done to it --- */

uint64_t hd_pool_estimate(const struct hd_pool *p)
{
    uint64_t bytes = p->group->instance_bytes;
    if (bytes == 0)
        bytes = p->set->instance_bytes;
    if (p->launch.memory_mb > 0)
        bytes = HD_MIN(bytes, (uint64_t)p->launch.memory_mb << 20);
    return bytes;
}

/* @return whether one that is launched now is to be a provisioned one. */
static bool lacks_provisioned(struct hd_pool *p)
{
    uint32_t n = 0;
    hd_list_each(item, &p->instances)
    {
        const struct hd_instance *i = hd_container_of(item, struct hd_instance, link);
        n += i->provisioned && i->state <= HD_INSTANCE_READY && i->replace_since_ms == 0;
    }
    return n < p->limits.provisioned;
}

static void begin_life(struct hd_instance *i)
{
    const struct hd_launch *l = &i->pool->launch;
    const char *role = l->lambda != NULL ? l->lambda->role : NULL;
    const char *slash =
        role != NULL ? strrchr(role, '/') : NULL; /* paths are no part of the name */
    hd_alive_draw(i->id);
    hd_alive_begin(i->pool->set->alive, i->id, l->lambda != NULL ? l->lambda->name : l->function,
                   slash != NULL ? slash + 1 : NULL);
}

/* What only this one gets in its environment: a copy of the whole, to be wiped. */
static struct hd_strings own_env(const struct hd_pool_set *set, const struct hd_launch *what)
{
    struct hd_strings env = {0};
    if (set->events->on_launch == NULL)
        return env;
    hd_strings_give(&env);
    for (const char *const *p = what->env; p != NULL && *p != NULL; p++)
        hd_strings_add(&env, hd_str(*p));
    set->events->on_launch(set->arg, what, &env);
    return env;
}

static struct hd_instance_handle *launch(struct hd_instance *i)
{
    struct hd_pool *p = i->pool;
    struct hd_launch what = p->launch;
    struct hd_launch_lambda lambda;
    if (what.lambda != NULL) {
        lambda = *what.lambda;
        lambda.provisioned = i->provisioned;
        hd_lambdaenv_stream(i->log_stream, lambda.qualifier, hd_clock_unix_ms() / 1000);
        lambda.log_stream = i->log_stream;
        what.lambda = &lambda;
    }
    what.instance = i->id;
    struct hd_strings env = own_env(p->set, &what);
    if (env.items != NULL)
        what.env = (const char *const *)env.items;
    struct hd_instance_handle *h = p->backend->ops->launch(p->backend, &what, &backend_events, i);
    for (size_t k = 0; k < env.n; k++)
        explicit_bzero(env.items[k], strlen(env.items[k]));
    hd_strings_done(&env);
    return h;
}

void hd_instance_launch(struct hd_pool *p)
{
    struct hd_pool_set *set = p->set;
    struct hd_instance *i =
        hd_alloc(sizeof(struct hd_instance) + set->n_loops * sizeof(struct hd_list));
    i->serial = ++set->serial;
    i->pool = hd_pool_ref(p);
    i->state = HD_INSTANCE_STARTING;
    i->since_ms = p->last_start_ms = hd_loop_now_ms(set->control);
    i->launched_us = hd_clock_us();
    i->charge_bytes = hd_pool_estimate(p);
    atomic_init(&i->alive, true);
    begin_life(i);
    hd_list_init(&i->ready_link);
    hd_list_init(&i->sample_link);
    hd_list_init(&i->cpu_link);
    hd_list_init(&i->witnesses);
    i->provisioned = p->limits.provisioned > 0 && lacks_provisioned(p);
    for (unsigned l = 0; l < set->n_loops; l++)
        hd_list_init(&i->conns[l]);
    pthread_mutex_lock(&p->group->lock);
    hd_list_push(&p->instances, &i->link);
    pthread_mutex_unlock(&p->group->lock);
    p->n[HD_INSTANCE_STARTING]++;
    set->starting++;
    atomic_fetch_add(&set->used_bytes, i->charge_bytes);
    struct hd_pool_counters *c = &p->group->counters;
    hd_pool_count(&c->launches);
    if (p->n[HD_INSTANCE_READY] == 0 && atomic_load(&p->waiting) > 0)
        hd_pool_count(&c->cold_starts);
    log_event(i, HD_DEBUG, "instance starting", NULL);
    i->handle = launch(i);
}

static void terminate(struct hd_instance *i, uint32_t grace_ms)
{
    i->stop_until_ms = grace_ms > 0 ? hd_loop_now_ms(i->pool->control) + grace_ms : 0;
    i->pool->backend->ops->terminate(i->handle, grace_ms);
}

static void stop_starting(struct hd_instance *i)
{
    struct hd_pool *p = i->pool;
    uint64_t waited_ms = hd_loop_now_ms(p->control) - i->since_ms;
    bool late = waited_ms >= p->limits.start_timeout_ms;
    move(i, HD_INSTANCE_STOPPING);
    terminate(i, 0);
    if (!late) {
        hd_pool_count(&p->group->counters.abandoned);
        return;
    }
    struct hd_error err;
    hd_fail(&err, HD_ETIMEOUT, "function %s did not become ready within %u ms", p->group->key,
            p->limits.start_timeout_ms);
    log_event(i, HD_WARN, "instance did not start", err.msg);
    hd_pool_failed(p, HD_FAILURE_TIMEOUT, &err, i);
}

/* Take it out of service. @return false if it was to be idle and is not. */
static bool withdraw(struct hd_instance *i, enum hd_instance_state to, bool only_idle)
{
    struct hd_pool *p = i->pool;
    /* Once it is out of `ready` nobody can reserve it; until then one may have just done so. */
    pthread_mutex_lock(&p->group->lock);
    bool ok = !only_idle || atomic_load(&i->in_flight) == 0;
    if (ok)
        hd_list_remove(&i->ready_link);
    pthread_mutex_unlock(&p->group->lock);
    if (ok)
        move(i, to);
    return ok;
}

static void end_ready(struct hd_instance *i, enum hd_pool_recycle why)
{
    static const enum hd_log_level levels[HD_RECYCLE_COUNT] = {
        [HD_RECYCLE_REQUESTS] = HD_INFO,   [HD_RECYCLE_RSS] = HD_WARN,
        [HD_RECYCLE_TIMEOUT] = HD_WARN,    [HD_RECYCLE_CPU] = HD_WARN,
        [HD_RECYCLE_UNANSWERED] = HD_WARN, [HD_RECYCLE_IDLE] = HD_DEBUG,
        [HD_RECYCLE_REPLACED] = HD_DEBUG,  [HD_RECYCLE_EXITED] = HD_DEBUG,
        [HD_RECYCLE_ENDED] = HD_INFO,
    };
    struct hd_pool *p = i->pool;
    i->why = why;
    hd_pool_count(&p->group->counters.recycles[why]);
    log_event(i, levels[why], "instance recycled", hd_pool_recycle_name(why));
}

static bool kill_now(struct hd_instance *i, enum hd_pool_recycle why)
{
    struct hd_pool *p = i->pool;
    atomic_store(&i->fate, why == HD_RECYCLE_CPU ? HD_FATE_CPU : HD_FATE_RECYCLED);
    switch (i->state) {
    case HD_INSTANCE_STARTING:
        stop_starting(i);
        return true;
    case HD_INSTANCE_READY:
        end_ready(i, why);
        withdraw(i, HD_INSTANCE_STOPPING, false);
        if (why != HD_RECYCLE_REPLACED && p->limits.max_starting == 0 &&
            p->n[HD_INSTANCE_READY] + p->n[HD_INSTANCE_STARTING] == 0)
            p->eager = true; /* it was in use: replace it */
        break;
    case HD_INSTANCE_DRAINING:
        move(i, HD_INSTANCE_STOPPING);
        break;
    case HD_INSTANCE_STOPPING:
        break;
    case HD_INSTANCE_GONE:
        return false;
    }
    terminate(i, 0);
    return true;
}

static bool stop(struct hd_instance *i, enum hd_pool_recycle why)
{
    uint64_t now_ms = hd_loop_now_ms(i->pool->control);
    const struct hd_pool_limits *l = &i->pool->limits;
    uint32_t grace_ms = l->stop_ms > 0 ? l->stop_ms : l->drain_ms;
    if (i->state == HD_INSTANCE_READY) {
        if (!withdraw(i, HD_INSTANCE_STOPPING, true))
            return false;
        end_ready(i, why);
    } else {
        uint64_t spent = now_ms - i->since_ms;
        uint32_t left_ms = spent < l->drain_ms ? l->drain_ms - (uint32_t)spent : 0;
        grace_ms = HD_MIN(grace_ms, left_ms);
        move(i, HD_INSTANCE_STOPPING);
    }
    terminate(i, grace_ms);
    return true;
}

bool hd_instance_act(struct hd_instance *i, enum hd_pool_act act, enum hd_pool_recycle why)
{
    switch (act) {
    case HD_ACT_NONE:
        break;
    case HD_ACT_PING:
        /* A backend that never answers is not waited for. */
        i->ping_until_ms = hd_loop_now_ms(i->pool->control) + HD_POOL_PING_MS + HD_POOL_RETRY_MS;
        i->pool->backend->ops->ping(i->handle, HD_POOL_PING_MS, on_pinged, i);
        break;
    case HD_ACT_FREEZE:
        return hd_instance_freeze(i);
    case HD_ACT_THAW:
        hd_instance_thaw(i);
        return true;
    case HD_ACT_REPLACE:
        i->replace_since_ms = hd_loop_now_ms(i->pool->control);
        i->why = why;
        return true;
    case HD_ACT_DRAIN:
        end_ready(i, why);
        withdraw(i, HD_INSTANCE_DRAINING, false);
        return true;
    case HD_ACT_STOP:
        return stop(i, why);
    case HD_ACT_KILL:
        return kill_now(i, why);
    }
    return false;
}

void hd_instance_evict(struct hd_instance *i)
{
    if (i->state != HD_INSTANCE_READY || !withdraw(i, HD_INSTANCE_STOPPING, true))
        return;
    hd_pool_count(&i->pool->group->counters.evictions);
    log_event(i, HD_INFO, "instance evicted", "memory");
    terminate(i, HD_MIN(i->pool->limits.drain_ms, (uint32_t)HD_POOL_LINGER_MS));
}

void hd_instance_measure(struct hd_instance *i)
{
    struct hd_pool_set *set = i->pool->set;
    struct hd_pool_group *g = i->pool->group;
    if (i->state != HD_INSTANCE_READY && i->state != HD_INSTANCE_DRAINING)
        return;
    const struct hd_backend_ops *ops = i->pool->backend->ops;
    uint64_t rss = ops->rss_bytes(i->handle);
    uint64_t peak = ops->peak_bytes != NULL ? ops->peak_bytes(i->handle) : 0;
    peak = HD_MAX(HD_MAX(peak, rss), hd_instance_peak_bytes(i));
    atomic_store_explicit(&i->peak_bytes, peak, memory_order_relaxed);
    atomic_store_explicit(&i->cpu_us, ops->cpu_us(i->handle), memory_order_relaxed);
    if (rss == 0)
        return;
    atomic_store_explicit(&i->rss_bytes, rss, memory_order_relaxed);
    atomic_fetch_add(&set->used_bytes, rss - i->charge_bytes); /* may wrap: it is a sum */
    i->charge_bytes = rss;
    /* Quick to rise and slow to fall: better one instance too few than too many. */
    g->instance_bytes = rss > g->instance_bytes ? rss : (g->instance_bytes * 7 + rss) / 8;
    if (i->pool->limits.recycle_rss_bytes > 0 && rss > i->pool->limits.recycle_rss_bytes)
        hd_pool_kick(i->pool);
}

/* --- the end: a round over the loops, see private.h --- */

struct notice {
    struct hd_instance *instance;
    struct hd_loop *loop;
};

static void on_round_done(void *arg)
{
    struct hd_instance *i = arg;
    if (--i->acks > 0)
        return;
    i->told = true;
    if (!i->quiet) {
        hd_instance_reap(i);
        return;
    }
    struct hd_pool *p = i->pool;
    struct hd_pool_set *set = p->set;
    hd_list_remove(&i->link);
    free(i);
    hd_pool_unref(p);
    set->gone--;
    hd_pool_set_check_closed(set);
}

static void on_notice(void *arg)
{
    struct notice *n = arg;
    struct hd_instance *i = n->instance;
    struct hd_pool_set *set = i->pool->set;
    if (!i->told && set->events->on_instance_gone != NULL)
        set->events->on_instance_gone(set->arg, n->loop, i);
    free(n);
    hd_loop_post(set->control, on_round_done, i);
}

void hd_instance_reap(struct hd_instance *i)
{
    struct hd_pool_set *set = i->pool->set;
    bool quiet = atomic_load(&i->in_flight) == 0;
    if (i->acks > 0 || (i->told && !quiet))
        return;
    i->quiet = quiet;
    i->acks = set->n_loops;
    for (unsigned l = 0; l < set->n_loops; l++) {
        struct notice *n = hd_new(struct notice);
        *n = (struct notice){.instance = i, .loop = set->loops[l]};
        hd_loop_post(set->loops[l], on_notice, n);
    }
}
