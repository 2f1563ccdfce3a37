#include "pool/private.h"

/* An instance is measured this often; so many of them in one turn, so that the loop goes on. */
enum { SAMPLE_MS = 2000, SAMPLE_TURN_MS = 250, SAMPLE_TURN = 32 };

/* --- memory and lanes --- */

/* Collect what may be evicted, least recently used first within each pool, never below min. */
static size_t find_idle(struct hd_pool *p, struct hd_pool_idle *idle, struct hd_instance **who)
{
    uint32_t spare = p->n[HD_INSTANCE_READY];
    size_t n = 0;
    uint32_t kept = p->limits.min + p->limits.provisioned;
    if (p->life != HD_LIFE_ACTIVE || spare <= kept)
        return 0;
    spare -= kept;
    pthread_mutex_lock(&p->group->lock);
    if (atomic_load(&p->waiting) > 0)
        spare = 0;
    for (struct hd_list *at = p->ready.prev; at != &p->ready && n < spare; at = at->prev) {
        struct hd_instance *i = hd_container_of(at, struct hd_instance, ready_link);
        if (atomic_load(&i->in_flight) > 0 || (i->provisioned && p->limits.provisioned > 0))
            continue;
        uint64_t used_ms = atomic_load_explicit(&i->last_used_ms, memory_order_relaxed);
        idle[n] = (struct hd_pool_idle){.last_used_ms = HD_MAX(used_ms, i->since_ms),
                                        .bytes = i->charge_bytes};
        who[n++] = i;
    }
    pthread_mutex_unlock(&p->group->lock);
    return n;
}

static void admit_idle(const struct hd_pool_node *node, struct hd_pool_wish *wishes,
                       size_t n_wishes, struct hd_pool_set *set)
{
    size_t n_idle = 0, cap = 0;
    hd_list_each(item, &set->pools) cap +=
        hd_container_of(item, struct hd_pool, link)->n[HD_INSTANCE_READY];
    hd_auto_free struct hd_pool_idle *idle = hd_new_array(struct hd_pool_idle, cap);
    hd_auto_free struct hd_instance **who = hd_new_array(struct hd_instance *, cap);
    hd_list_each(item, &set->pools) n_idle +=
        find_idle(hd_container_of(item, struct hd_pool, link), &idle[n_idle], &who[n_idle]);
    hd_pool_admit(node, wishes, n_wishes, idle, n_idle);
    for (size_t n = 0; n < n_idle; n++) {
        if (idle[n].evict) {
            hd_instance_evict(who[n]);
            hd_pool_kick(who[n]->pool);
        }
    }
}

static void grant(struct hd_pool *p, const struct hd_pool_wish *w)
{
    for (uint32_t n = 0; n < w->granted; n++)
        hd_instance_launch(p);
    p->wish -= HD_MIN(p->wish, w->granted); /* what it wishes for from here on is something new */
    uint64_t now_ms = hd_loop_now_ms(p->control);
    bool no_room = w->no_room && w->granted == 0;
    bool give_up = no_room && w->urgency == HD_URGENT_EAGER;
    if (!no_room)
        p->no_room_ms = 0;
    else if (p->no_room_ms == 0)
        p->no_room_ms = now_ms;
    /* What the old version takes is what the new one needs. */
    if (no_room && p->previous != NULL && now_ms >= p->no_room_ms + p->limits.start_timeout_ms)
        hd_pool_hand_over(p);
    if (give_up) {
        p->eager = false; /* it starts when somebody asks for it */
        hd_log(p->set->log, HD_INFO, "not started before it is asked for: no memory left",
               hd_kv_str("function", p->group->key));
    }
    if (w->granted > 0 || give_up)
        hd_pool_step(p);
}

static void admit(struct hd_pool_set *set);

static void on_retry(struct hd_timer *t)
{
    admit(hd_container_of(t, struct hd_pool_set, retry));
}

static void admit(struct hd_pool_set *set)
{
    struct hd_pool_node node = {
        .memory_bytes = set->memory_bytes,
        .used_bytes = atomic_load(&set->used_bytes),
        .freeing_bytes = set->freeing_bytes,
        .starting = set->starting,
        .lanes = set->lanes,
        .demand_lanes = set->demand_lanes,
    };
    /* Who waited may have been served or have left since the wish was made. */
    hd_list_each(item, &set->wishes)
    {
        struct hd_pool *p = hd_container_of(item, struct hd_pool, wish_link);
        if (p->urgency <= HD_URGENT_SCALE && atomic_load(&p->waiting) == 0)
            hd_pool_kick(p);
    }
    size_t n = 0, cap = 0;
    hd_list_each(item, &set->wishes) cap++;
    hd_auto_free struct hd_pool_wish *wishes = hd_new_array(struct hd_pool_wish, cap);
    hd_auto_free struct hd_pool **pools = hd_new_array(struct hd_pool *, cap);
    uint64_t wanted_bytes = node.used_bytes;
    hd_list_each(item, &set->wishes)
    {
        struct hd_pool *p = hd_container_of(item, struct hd_pool, wish_link);
        if (p->urgency <= HD_URGENT_SCALE && atomic_load(&p->waiting) == 0)
            continue;
        wishes[n] = (struct hd_pool_wish){
            .start = p->wish,
            .urgency = p->urgency,
            .used_ms = atomic_load_explicit(&p->group->used_ms, memory_order_relaxed),
            .bytes = hd_pool_estimate(p),
        };
        wanted_bytes += wishes[n].start * wishes[n].bytes;
        pools[n++] = hd_pool_ref(p);
    }
    if (set->memory_bytes > 0 && wanted_bytes > set->memory_bytes)
        admit_idle(&node, wishes, n, set);
    else
        hd_pool_admit(&node, wishes, n, NULL, 0);
    for (size_t i = 0; i < n; i++) {
        grant(pools[i], &wishes[i]);
        hd_pool_unref(pools[i]);
    }
    /* Nobody tells when an instance of another function becomes idle. */
    if (set->memory_bytes > 0 && !hd_list_empty(&set->wishes))
        hd_timer_start(set->control, &set->retry, HD_POOL_RETRY_MS, on_retry);
}

static void on_admit(void *arg)
{
    struct hd_pool_set *set = arg;
    set->admit_posted = false;
    if (!set->closed)
        admit(set);
    hd_pool_set_check_closed(set);
}

void hd_pool_set_admit(struct hd_pool_set *set)
{
    bool needed = !hd_list_empty(&set->wishes) ||
                  (set->memory_bytes > 0 && atomic_load(&set->used_bytes) > set->memory_bytes);
    if (set->admit_posted || !needed)
        return;
    set->admit_posted = true;
    hd_loop_post(set->control, on_admit, set);
}

/* --- measuring --- */

static void on_sample(struct hd_timer *t)
{
    struct hd_pool_set *set = hd_container_of(t, struct hd_pool_set, sample);
    uint64_t now_ms = hd_loop_now_ms(set->control);
    for (int n = 0; n < SAMPLE_TURN && !hd_list_empty(&set->samples); n++) {
        struct hd_instance *i = hd_container_of(set->samples.next, struct hd_instance, sample_link);
        if (i->sampled_ms > 0 && now_ms < i->sampled_ms + SAMPLE_MS)
            break;
        i->sampled_ms = now_ms;
        hd_list_remove(&i->sample_link);
        hd_list_push(&set->samples, &i->sample_link);
        hd_instance_measure(i);
    }
    hd_pool_set_admit(set);
    hd_pool_set_sample(set);
}

void hd_pool_set_sample(struct hd_pool_set *set)
{
    if (!hd_timer_active(&set->sample) && !hd_list_empty(&set->samples))
        hd_timer_start(set->control, &set->sample, SAMPLE_TURN_MS, on_sample);
}
