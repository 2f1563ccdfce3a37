/*  take ──place free──► granted ──give──► (place free)
 *    │                     ▲
 *    └──queue──► waiting ──┤            a decision is posted to the waiter's loop; until it arrives
 *                          └► refused   there, leave() may still turn it away */
#include "pool/private.h"

#include "core/clock.h"

/* The least loaded, and of those the last used: a low load stays on few instances, so that the
 * others become idle and end; a high one is spread. `ready` is sorted by last use. An idle one that
 * is provisioned comes first. */
static struct hd_instance *pick(struct hd_pool *p)
{
    struct hd_instance *best = NULL;
    unsigned least = p->limits.concurrency;
    bool prefer = p->limits.provisioned > 0;
    hd_list_each(item, &p->ready)
    {
        struct hd_instance *i = hd_container_of(item, struct hd_instance, ready_link);
        unsigned load = atomic_load(&i->in_flight);
        bool better = load < least || (prefer && best != NULL && load == least && i->provisioned &&
                                       !best->provisioned);
        if (!better || i->ice != HD_ICE_WARM ||
            atomic_load_explicit(&i->suspicion, memory_order_relaxed) != HD_TRUSTED)
            continue;
        best = i;
        least = load;
        if (load == 0 && (!prefer || i->provisioned))
            break;
    }
    return best;
}

/* @return whether it was the first request there. */
static bool reserve(struct hd_instance *i, uint64_t now_ms)
{
    struct hd_pool *p = i->pool;
    atomic_fetch_add(&i->in_flight, 1);
    atomic_store_explicit(&i->last_used_ms, now_ms, memory_order_relaxed);
    if (p->ready.next != &i->ready_link) {
        hd_list_remove(&i->ready_link);
        hd_list_push_front(&p->ready, &i->ready_link);
    }
    uint64_t n = atomic_load_explicit(&i->requests, memory_order_relaxed) + 1;
    atomic_store_explicit(&i->requests, n, memory_order_relaxed);
    if (n == p->limits.recycle_requests)
        hd_pool_kick(p);
    hd_pool_count(&p->group->counters.requests);
    return n == 1;
}

static void hand_over(struct hd_lease *lease, struct hd_instance *i)
{
    lease->instance = i;
    lease->endpoint = &i->endpoint;
}

/* --- waiters --- */

static void waiter_free(struct hd_pool_waiter *w)
{
    hd_pool_unref(w->pool);
    hd_pool_group_unref(w->group);
    free(w);
}

static void unqueue(struct hd_pool_waiter *w)
{
    hd_list_remove(&w->link);
    atomic_fetch_sub(&w->pool->waiting, 1);
}

static void enqueue(struct hd_pool *p, struct hd_pool_waiter *w)
{
    w->pool = hd_pool_ref(p);
    hd_list_push(&p->queue, &w->link);
    p->next_deadline_ms = HD_MIN(p->next_deadline_ms, w->deadline_ms);
    atomic_fetch_add(&p->waiting, 1);
}

static void place_back(struct hd_instance *i, uint64_t now_ms)
{
    struct hd_pool *p = i->pool;
    atomic_store_explicit(&i->last_used_ms, now_ms, memory_order_relaxed);
    unsigned before = atomic_fetch_sub(&i->in_flight, 1);
    if (atomic_load(&p->waiting) > 0) {
        pthread_mutex_lock(&p->group->lock);
        hd_pool_serve(p);
        pthread_mutex_unlock(&p->group->lock);
    }
    if (before == 1 && atomic_load(&i->watched))
        hd_pool_kick(p);
}

static void on_decided(void *arg)
{
    struct hd_pool_waiter *w = arg;
    struct hd_lease *lease = w->lease;
    struct hd_instance *i = w->instance;
    if (lease == NULL) { /* it left while this was under way */
        if (i != NULL)
            place_back(i, hd_loop_now_ms(w->loop));
        waiter_free(w);
        return;
    }
    struct hd_error err = w->err;
    lease->waiter = NULL;
    lease->cold = w->cold;
    lease->waited_us = hd_clock_us() - w->asked_us;
    lease->first = w->first;
    lease->alone = w->alone;
    lease->start_code = w->start_code;
    lease->exited = w->exited;
    lease->exit = w->exit;
    if (i != NULL) {
        hand_over(lease, i);
        hd_pool_histogram_add(&w->group->counters.queue_wait, lease->waited_us);
    }
    waiter_free(w);
    lease->on_granted(lease, i != NULL ? NULL : &err);
}

void hd_pool_serve(struct hd_pool *p)
{
    struct hd_instance *i;
    while (!hd_list_empty(&p->queue) && (i = pick(p)) != NULL) {
        struct hd_pool_waiter *w = hd_container_of(p->queue.next, struct hd_pool_waiter, link);
        unqueue(w);
        w->first = reserve(i, w->asked_ms);
        w->alone = p->limits.concurrency == 1;
        w->instance = i;
        hd_loop_post(w->loop, on_decided, w);
    }
}

void hd_pool_refuse(struct hd_pool_waiter *w, enum hd_pool_reject why, const struct hd_error *err)
{
    const struct hd_pool *p = w->pool;
    unqueue(w);
    w->err = *err;
    if (why == HD_REJECT_FAILED) {
        w->start_code = p->start_code;
        w->exited = p->exited;
        w->exit = p->exit;
    }
    hd_pool_count(&w->group->counters.rejections[why]);
    hd_loop_post(w->loop, on_decided, w);
}

void hd_pool_refuse_all(struct hd_pool *p, enum hd_pool_reject why, const struct hd_error *err)
{
    hd_list_each(item, &p->queue)
        hd_pool_refuse(hd_container_of(item, struct hd_pool_waiter, link), why, err);
}

void hd_pool_expire(struct hd_pool *p, uint64_t now_ms)
{
    if (now_ms < p->next_deadline_ms)
        return;
    uint64_t next = UINT64_MAX;
    hd_list_each(item, &p->queue)
    {
        struct hd_pool_waiter *w = hd_container_of(item, struct hd_pool_waiter, link);
        if (now_ms < w->deadline_ms) {
            next = HD_MIN(next, w->deadline_ms);
            continue;
        }
        struct hd_error err;
        hd_fail(&err, HD_ETIMEOUT, "function %s: no instance was free within %llu ms",
                p->group->key, (unsigned long long)(w->deadline_ms - w->asked_ms));
        hd_pool_refuse(w, HD_REJECT_TIMEOUT, &err);
    }
    p->next_deadline_ms = next;
}

static int fail_removed(const struct hd_pool_group *g, struct hd_error *err)
{
    return hd_fail(err, HD_ENOTFOUND, "function %s was removed", g->key);
}

static int fail_full(const struct hd_pool *p, struct hd_error *err)
{
    return hd_fail(err, HD_EBUSY, "function %s: the queue is full (%u requests wait)",
                   p->group->key, p->limits.queue_max);
}

void hd_pool_move_queue(struct hd_pool *from, struct hd_pool *to)
{
    struct hd_error err;
    if (to == NULL) {
        fail_removed(from->group, &err);
        hd_pool_refuse_all(from, HD_REJECT_REMOVED, &err);
        return;
    }
    hd_list_each(item, &from->queue)
    {
        struct hd_pool_waiter *w = hd_container_of(item, struct hd_pool_waiter, link);
        if (atomic_load(&to->waiting) >= to->limits.queue_max) {
            fail_full(to, &err);
            hd_pool_refuse(w, HD_REJECT_FULL, &err);
            continue;
        }
        unqueue(w);
        enqueue(to, w);
        hd_pool_unref(from); /* not the last one: the caller has one */
    }
    hd_pool_serve(to);
    hd_pool_kick(to);
}

/* --- the doors' side --- */

static int reject(struct hd_pool_group *g, enum hd_pool_reject why, int rc)
{
    hd_pool_count(&g->counters.rejections[why]);
    return rc;
}

static int take_locked(struct hd_pool *p, struct hd_lease *lease, uint64_t now_ms,
                       struct hd_error *err)
{
    struct hd_pool_group *g = p->group;
    if (p->life == HD_LIFE_RETIRED)
        p = g->newest;
    if (p == NULL)
        return reject(g, HD_REJECT_REMOVED, fail_removed(g, err));
    if (p->life != HD_LIFE_ACTIVE)
        return reject(g, HD_REJECT_CLOSING, hd_fail(err, HD_ECANCELED, "the node is ending"));
    struct hd_instance *i = hd_list_empty(&p->queue) ? pick(p) : NULL;
    if (i != NULL) {
        lease->first = reserve(i, now_ms);
        lease->alone = p->limits.concurrency == 1;
        hand_over(lease, i);
        return 1;
    }
    bool cold = hd_list_empty(&p->ready);
    if (cold && p->limits.max_starting == 0 && now_ms < p->refuse_until_ms) {
        if (err != NULL)
            *err = p->error;
        lease->start_code = p->start_code;
        lease->exited = p->exited;
        lease->exit = p->exit;
        return reject(g, HD_REJECT_FAILED, HD_EIO);
    }
    if (atomic_load(&p->waiting) >= (uint64_t)p->limits.queue_max + p->frozen)
        return reject(g, HD_REJECT_FULL, fail_full(p, err));

    struct hd_pool_waiter *w = hd_new(struct hd_pool_waiter);
    uint32_t wait_ms = lease->wait_ms > 0 ? lease->wait_ms : p->limits.wait_ms;
    *w = (struct hd_pool_waiter){.lease = lease,
                                 .loop = lease->loop,
                                 .group = hd_pool_group_ref(g),
                                 .asked_ms = now_ms,
                                 .asked_us = hd_clock_us(),
                                 .deadline_ms = now_ms + wait_ms,
                                 .cold = cold};
    hd_list_init(&w->link);
    lease->waiter = w;
    enqueue(p, w);
    hd_pool_serve(p); /* a place may have come free before `waiting` was seen */
    hd_pool_kick(p);
    return 0;
}

int hd_pool_take(struct hd_pool *p, struct hd_lease *lease, struct hd_loop *loop,
                 struct hd_error *err)
{
    struct hd_pool_group *g = p->group;
    uint64_t now_ms = hd_loop_now_ms(loop);
    lease->loop = loop;
    lease->instance = NULL;
    lease->endpoint = NULL;
    lease->waited_us = 0;
    lease->cold = lease->first = lease->exited = false;
    lease->start_code = 0;
    lease->waiter = NULL;
    atomic_store_explicit(&g->used_ms, (int64_t)now_ms, memory_order_relaxed);
    pthread_mutex_lock(&g->lock);
    int rc = take_locked(p, lease, now_ms, err);
    pthread_mutex_unlock(&g->lock);
    return rc;
}

void hd_pool_leave(struct hd_lease *lease)
{
    struct hd_pool_waiter *w = lease->waiter;
    if (w == NULL)
        return;
    lease->waiter = NULL;
    w->lease = NULL;
    pthread_mutex_lock(&w->group->lock);
    bool queued = !hd_list_empty(&w->link);
    if (queued) {
        unqueue(w);
        hd_pool_kick(w->pool); /* what it wished for may not be needed any more */
    }
    pthread_mutex_unlock(&w->group->lock);
    hd_pool_count(&w->group->counters.left);
    if (queued)
        waiter_free(w);
}

void hd_pool_give(struct hd_lease *lease, enum hd_lease_result how)
{
    struct hd_instance *i = lease->instance;
    lease->instance = NULL;
    lease->endpoint = NULL;
    switch (how) {
    case HD_LEASE_OK:
        if (!atomic_load_explicit(&i->served, memory_order_relaxed))
            atomic_store_explicit(&i->served, true, memory_order_relaxed);
        break;
    case HD_LEASE_CANCELED:
        break;
    case HD_LEASE_TIMEOUT:
        atomic_store(&i->suspicion, HD_SUSPECT_TIMEOUT);
        hd_pool_kick(i->pool);
        break;
    case HD_LEASE_BROKEN: {
        int trusted = HD_TRUSTED;
        atomic_compare_exchange_strong(&i->suspicion, &trusted, HD_SUSPECT_BROKEN);
        hd_pool_kick(i->pool);
        break;
    }
    case HD_LEASE_EXITS:
        atomic_store(&i->suspicion, HD_SUSPECT_LEAVING);
        hd_pool_kick(i->pool);
        break;
    case HD_LEASE_END:
        atomic_store(&i->suspicion, HD_SUSPECT_DOOMED);
        hd_pool_kick(i->pool);
        break;
    }
    place_back(i, hd_loop_now_ms(lease->loop));
}
