#include "pool/private.h"

/* A plan is made again when carrying it out changed something; this often at most in one step. */
enum { ROUNDS = 4 };

/* --- views for the policy --- */

static size_t view_instances(struct hd_pool *p)
{
    struct hd_pool_set *set = p->set;
    size_t n = 0;
    for (int s = 0; s < HD_INSTANCE_GONE; s++)
        n += p->n[s];
    if (n > set->views_cap) {
        free(set->views);
        set->views_cap = n * 2;
        set->views = hd_new_array(struct hd_instance_view, set->views_cap);
    }
    struct hd_instance_view *v = set->views;
    hd_list_each(item, &p->instances)
    {
        struct hd_instance *i = hd_container_of(item, struct hd_instance, link);
        *v++ = (struct hd_instance_view){
            .state = i->state,
            .since_ms = i->since_ms,
            .in_flight = atomic_load(&i->in_flight),
            .last_used_ms = atomic_load_explicit(&i->last_used_ms, memory_order_relaxed),
            .requests = atomic_load_explicit(&i->requests, memory_order_relaxed),
            .rss_bytes = atomic_load_explicit(&i->rss_bytes, memory_order_relaxed),
            .request_cpu_us = i->request_cpu_us,
            .suspicion = (enum hd_suspicion)atomic_load(&i->suspicion),
            .ice = i->ice,
            .ice_since_ms = i->ice_since_ms,
            .provisioned = i->provisioned,
            .ping_until_ms = i->ping_until_ms,
            .replace_since_ms = i->replace_since_ms,
            .stop_until_ms = i->stop_until_ms,
            .why = i->why,
        };
    }
    return n;
}

static void plan(struct hd_pool *p, struct hd_pool_plan *out, uint64_t now_ms)
{
    struct hd_pool_view v = {
        .limits = &p->limits,
        .life = p->life,
        .eager = p->eager,
        .replacing = p->previous != NULL,
        .freeze_from_ms = p->freeze_from_ms,
        .n_instances = view_instances(p),
        .last_start_ms = p->last_start_ms,
        .blocked_until_ms = p->health.blocked_until_ms,
        .ramp = p->set->lanes,
    };
    v.instances = p->set->views;
    pthread_mutex_lock(&p->group->lock);
    v.waiting = atomic_load(&p->waiting);
    v.next_deadline_ms = p->next_deadline_ms;
    if (v.waiting > 0)
        v.oldest_ms = hd_container_of(p->queue.next, struct hd_pool_waiter, link)->asked_ms;
    pthread_mutex_unlock(&p->group->lock);
    hd_pool_plan(out, &v, now_ms);
}

/* Forget old failures when something works. */
static void note_proofs(struct hd_pool *p, uint64_t now_ms)
{
    if (p->health.strikes == 0)
        return;
    hd_list_each(item, &p->instances)
    {
        struct hd_instance *i = hd_container_of(item, struct hd_instance, link);
        if (i->state == HD_INSTANCE_READY &&
            (atomic_load(&i->served) || now_ms >= i->since_ms + HD_POOL_STABLE_MS))
            hd_pool_health_proved(&p->health, i->since_ms);
    }
}

/* --- what the others see --- */

static enum hd_pool_state judge(struct hd_pool *p)
{
    if (p->n[HD_INSTANCE_READY] > 0)
        return HD_POOL_READY;
    if (p->n[HD_INSTANCE_STARTING] > 0)
        return HD_POOL_LOADING;
    if (p->health.failed)
        return HD_POOL_FAILED;
    bool wanted = p->eager || p->limits.min > 0 || atomic_load(&p->waiting) > 0;
    return wanted && p->life == HD_LIFE_ACTIVE ? HD_POOL_QUEUED : HD_POOL_READY;
}

static void publish(struct hd_pool *p)
{
    enum hd_pool_state old = hd_pool_state(p), now = judge(p);
    uint64_t refuse_until_ms = now == HD_POOL_FAILED ? p->health.blocked_until_ms : 0;
    if (refuse_until_ms != p->refuse_until_ms) {
        pthread_mutex_lock(&p->group->lock);
        p->refuse_until_ms = refuse_until_ms;
        pthread_mutex_unlock(&p->group->lock);
    }
    if (now == old)
        return;
    atomic_store(&p->state, now);
    if (!p->counted)
        return;
    struct hd_pool_set *set = p->set;
    atomic_fetch_sub(&set->by_state[old], 1);
    atomic_fetch_add(&set->by_state[now], 1);
    if (set->events->on_state != NULL)
        set->events->on_state(set->arg, p, now, now == HD_POOL_FAILED ? &p->error : NULL);
}

void hd_pool_hand_over(struct hd_pool *p)
{
    struct hd_pool *previous = p->previous;
    pthread_mutex_lock(&p->group->lock);
    p->previous = NULL;
    pthread_mutex_unlock(&p->group->lock);
    hd_pool_retire(previous);
    hd_pool_unref(previous);
}

/* --- the step --- */

static void wish(struct hd_pool *p, const struct hd_pool_plan *plan)
{
    bool changed = plan->start > p->wish || (plan->start > 0 && plan->urgency != p->urgency);
    p->wish = plan->start;
    p->urgency = plan->urgency;
    if (p->wish == 0) {
        hd_list_remove(&p->wish_link);
        return;
    }
    if (hd_list_empty(&p->wish_link))
        hd_list_push(&p->set->wishes, &p->wish_link);
    if (changed)
        hd_pool_set_admit(p->set);
}

static void on_wake(struct hd_timer *t)
{
    hd_pool_step(hd_container_of(t, struct hd_pool, wake));
}

static bool carry_out(struct hd_pool *p)
{
    bool changed = false;
    const struct hd_instance_view *v = p->set->views;
    hd_list_each(item, &p->instances)
    {
        struct hd_instance *i = hd_container_of(item, struct hd_instance, link);
        changed |= hd_instance_act(i, v->act, v->why);
        v++;
    }
    return changed;
}

static void plan_and_act(struct hd_pool *p, struct hd_pool_plan *todo, uint64_t now_ms)
{
    for (int round = 0; round < ROUNDS; round++) {
        plan(p, todo, now_ms);
        if (!carry_out(p))
            return;
    }
}

static bool is_over(struct hd_pool *p)
{
    return p->life != HD_LIFE_ACTIVE && hd_list_empty(&p->instances) &&
           atomic_load(&p->waiting) == 0;
}

void hd_pool_step(struct hd_pool *p)
{
    hd_list_each(item, &p->gone) hd_instance_reap(hd_container_of(item, struct hd_instance, link));
    if (hd_list_empty(&p->link))
        return; /* it has ended */
    struct hd_pool_plan todo;
    uint64_t now_ms = hd_loop_now_ms(p->control);
    pthread_mutex_lock(&p->group->lock);
    hd_pool_expire(p, now_ms);
    pthread_mutex_unlock(&p->group->lock);
    note_proofs(p, now_ms);
    plan_and_act(p, &todo, now_ms);
    publish(p);
    if (p->previous != NULL && hd_pool_state(p) == HD_POOL_READY) {
        hd_pool_hand_over(p);
        plan_and_act(p, &todo, now_ms); /* it replaces nothing any more */
        publish(p);
    }
    wish(p, &todo);
    if (is_over(p)) {
        hd_pool_end(p);
        return;
    }
    if (todo.next_wake_ms == UINT64_MAX)
        hd_timer_stop(p->control, &p->wake);
    else
        hd_timer_start(p->control, &p->wake,
                       todo.next_wake_ms > now_ms ? todo.next_wake_ms - now_ms : 0, on_wake);
}

/* Each launch is somebody's: its failure is told to the first who waits. Where others are ready who
 * waits goes on waiting for those. */
static void blame_one(struct hd_pool *p)
{
    if (p->n[HD_INSTANCE_READY] == 0 && !hd_list_empty(&p->queue))
        hd_pool_refuse(hd_container_of(p->queue.next, struct hd_pool_waiter, link),
                       HD_REJECT_FAILED, &p->error);
}

void hd_pool_blame(struct hd_pool *p, uint32_t launches, const struct hd_error *err)
{
    bool alone = p->n[HD_INSTANCE_READY] + p->n[HD_INSTANCE_STARTING] == 0;
    if (p->health.failed)
        p->eager = false; /* from now on it is tried when somebody asks */
    pthread_mutex_lock(&p->group->lock);
    p->error = *err;
    p->error.code = HD_EIO;
    if (p->limits.max_starting > 0) {
        if (launches > 0)
            blame_one(p);
        pthread_mutex_unlock(&p->group->lock);
        return;
    }
    hd_list_each(item, &p->queue)
    {
        struct hd_pool_waiter *w = hd_container_of(item, struct hd_pool_waiter, link);
        w->failures += launches;
        if (alone && (p->health.failed || w->failures >= HD_POOL_WAIT_FAILURES))
            hd_pool_refuse(w, HD_REJECT_FAILED, &p->error);
    }
    pthread_mutex_unlock(&p->group->lock);
}

void hd_pool_note_end(struct hd_pool *p, const struct hd_error *err, const struct hd_instance *i)
{
    pthread_mutex_lock(&p->group->lock);
    p->start_code = err->code;
    p->exited = i->exited;
    p->exit = i->exit;
    pthread_mutex_unlock(&p->group->lock);
}

void hd_pool_failed(struct hd_pool *p, enum hd_pool_failure why, const struct hd_error *err,
                    const struct hd_instance *i)
{
    hd_pool_note_end(p, err, i);
    hd_pool_count(&p->group->counters.failures[why]);
    hd_pool_health_failed(&p->health, why, hd_rng_next(&p->set->rng), hd_loop_now_ms(p->control));
    hd_pool_blame(p, 1, err);
}

void hd_pool_retire(struct hd_pool *p)
{
    struct hd_pool *previous = p->previous;
    pthread_mutex_lock(&p->group->lock);
    p->life = HD_LIFE_RETIRED;
    p->previous = NULL;
    hd_pool_move_queue(p, p->group->newest);
    pthread_mutex_unlock(&p->group->lock);
    if (previous != NULL) {
        hd_pool_retire(previous);
        hd_pool_unref(previous);
    }
    hd_pool_step(p);
}

void hd_pool_end(struct hd_pool *p)
{
    struct hd_pool_set *set = p->set;
    hd_timer_stop(set->control, &p->wake);
    hd_list_remove(&p->wish_link);
    hd_list_remove(&p->link);
    pthread_mutex_lock(&p->group->lock);
    hd_list_remove(&p->version_link);
    struct hd_pool *previous = p->previous;
    p->previous = NULL;
    pthread_mutex_unlock(&p->group->lock);
    hd_pool_unref(previous);
    hd_pool_unref(p); /* the set's list */
    hd_pool_unref(p); /* the group's */
    hd_pool_set_check_closed(set);
}
