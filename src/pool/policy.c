#include "pool/policy.h"

#include "core/base.h"

/* What hd_pool_plan() counts while it walks over the instances. */
struct tally {
    uint32_t starting;
    uint32_t ready;       /* and stay so; those that are being replaced too */
    uint32_t replacing;   /* of `ready` */
    uint32_t provisioned; /* of `starting` and `ready` */
    uint32_t frozen;      /* of `ready`; those that are being thawed not */
    uint64_t room;        /* free places of those that get requests */
    bool successor;       /* one that is not being replaced is ready, and younger than the mark */
    uint64_t wake_ms;
};

static void wake_by(struct tally *t, uint64_t at_ms)
{
    t->wake_ms = HD_MIN(t->wake_ms, at_ms);
}

static void act(struct hd_instance_view *i, enum hd_pool_act act, enum hd_pool_recycle why)
{
    i->act = act;
    i->why = why;
}

static uint64_t idle_since(const struct hd_instance_view *i)
{
    return HD_MAX(i->last_used_ms, i->since_ms);
}

/* --- each instance for itself --- */

static void plan_starting(const struct hd_pool_view *v, struct tally *t, struct hd_instance_view *i,
                          uint64_t now_ms)
{
    uint64_t until = i->since_ms + v->limits->start_timeout_ms;
    bool wanted = v->life == HD_LIFE_ACTIVE || (v->life == HD_LIFE_CLOSING && v->waiting > 0);
    if (now_ms >= until || !wanted) {
        act(i, HD_ACT_KILL, HD_RECYCLE_REPLACED);
        return;
    }
    t->starting++;
    t->provisioned += i->provisioned;
    wake_by(t, until);
}

static bool is_over_cpu(const struct hd_pool_limits *l, const struct hd_instance_view *i)
{
    return l->cpu_ms > 0 && i->in_flight > 0 && i->request_cpu_us >= (uint64_t)l->cpu_ms * 1000;
}

static void ping(struct tally *t, struct hd_instance_view *i, uint64_t now_ms)
{
    i->act = HD_ACT_PING;
    wake_by(t, now_ms + HD_POOL_PING_MS + HD_POOL_RETRY_MS); /* should there be no answer at all */
}

/* @return whether it is on its way to or from standing still for too long. */
static bool hangs(struct tally *t, const struct hd_instance_view *i, uint64_t now_ms)
{
    uint64_t until;
    if (i->ice != HD_ICE_FREEZING && i->ice != HD_ICE_THAWING)
        return false;
    until = i->ice_since_ms + (i->ice == HD_ICE_FREEZING ? HD_POOL_FROZEN_MS : HD_POOL_THAWED_MS);
    wake_by(t, until);
    return now_ms >= until;
}

/* @return places that it has, or has as soon as who waits could notice. */
static uint32_t room_of(const struct hd_pool_view *v, struct tally *t,
                        const struct hd_instance_view *i, uint64_t now_ms)
{
    uint32_t places = v->limits->concurrency;
    uint64_t soon = i->ice_since_ms + HD_POOL_SOON_MS;
    if (i->suspicion != HD_TRUSTED || i->in_flight >= places || i->ice == HD_ICE_FROZEN)
        return 0;
    if (i->ice != HD_ICE_FREEZING)
        return places - i->in_flight;
    if (now_ms >= soon)
        return 0;
    wake_by(t, soon);
    return places;
}

static void plan_ready(const struct hd_pool_view *v, struct tally *t, struct hd_instance_view *i,
                       uint64_t now_ms)
{
    const struct hd_pool_limits *l = v->limits;
    if (is_over_cpu(l, i)) {
        act(i, HD_ACT_KILL, HD_RECYCLE_CPU);
        return;
    }
    if (i->ping_until_ms != 0 && now_ms >= i->ping_until_ms) {
        act(i, HD_ACT_KILL, HD_RECYCLE_UNANSWERED);
        return;
    }
    if (i->suspicion == HD_SUSPECT_DOOMED) {
        act(i, HD_ACT_KILL, HD_RECYCLE_ENDED);
        return;
    }
    if (i->suspicion == HD_SUSPECT_LEAVING) {
        act(i, i->in_flight == 0 ? HD_ACT_STOP : HD_ACT_DRAIN, HD_RECYCLE_EXITED);
        return;
    }
    /* With one request at a time the one that timed out still runs in there. */
    if (i->suspicion == HD_SUSPECT_TIMEOUT && l->concurrency == 1) {
        act(i, HD_ACT_KILL, HD_RECYCLE_TIMEOUT);
        return;
    }
    if (v->life == HD_LIFE_RETIRED || (v->life == HD_LIFE_CLOSING && v->waiting == 0)) {
        act(i, HD_ACT_DRAIN, HD_RECYCLE_REPLACED);
        return;
    }
    if (hangs(t, i, now_ms)) {
        act(i, HD_ACT_KILL, HD_RECYCLE_UNANSWERED);
        return;
    }
    if (i->ping_until_ms != 0)
        wake_by(t, i->ping_until_ms);
    else if (i->suspicion != HD_TRUSTED && i->ice == HD_ICE_WARM)
        ping(t, i, now_ms); /* what is frozen has nothing to be suspected of */
    t->ready++;
    t->provisioned += i->provisioned;
    if (i->replace_since_ms != 0)
        t->replacing++;
    t->frozen += i->ice == HD_ICE_FROZEN;
    t->room += room_of(v, t, i, now_ms);
}

/* --- frozen ones: thawed for who waits, before anything is started for them --- */

static void thaw(const struct hd_pool_view *v, struct tally *t, struct hd_instance_view *i)
{
    i->act = HD_ACT_THAW;
    t->frozen--;
    t->room += v->limits->concurrency;
}

/* Provisioned ones first, then the last used. */
static struct hd_instance_view *next_frozen(const struct hd_pool_view *v)
{
    struct hd_instance_view *best = NULL;
    for (size_t n = 0; n < v->n_instances; n++) {
        struct hd_instance_view *i = &v->instances[n];
        if (i->state != HD_INSTANCE_READY || i->ice != HD_ICE_FROZEN || i->act != HD_ACT_NONE)
            continue;
        if (best == NULL || i->provisioned > best->provisioned ||
            (i->provisioned == best->provisioned && idle_since(i) > idle_since(best)))
            best = i;
    }
    return best;
}

static void plan_thaw(const struct hd_pool_view *v, struct tally *t)
{
    struct hd_instance_view *i;
    bool all = v->limits->freeze_ms == 0;
    while (t->frozen > 0 && (all || v->waiting > t->room) && (i = next_frozen(v)) != NULL)
        thaw(v, t, i);
}

static void plan_freeze(const struct hd_pool_view *v, struct tally *t, uint64_t now_ms)
{
    uint32_t freeze_ms = v->limits->freeze_ms;
    if (freeze_ms == 0 || v->waiting > 0 || v->life != HD_LIFE_ACTIVE)
        return;
    for (size_t n = 0; n < v->n_instances; n++) {
        struct hd_instance_view *i = &v->instances[n];
        if (i->state != HD_INSTANCE_READY || i->ice != HD_ICE_WARM || i->act != HD_ACT_NONE ||
            i->suspicion != HD_TRUSTED)
            continue;
        uint64_t since = HD_MAX(idle_since(i), i->ice_since_ms);
        uint64_t due = (i->in_flight > 0 ? now_ms : since) + freeze_ms;
        due = HD_MAX(due, v->freeze_from_ms);
        if (now_ms >= due) {
            i->act = HD_ACT_FREEZE;
            due = now_ms + freeze_ms; /* if it is in use again */
        }
        wake_by(t, due);
    }
}

static void plan_draining(const struct hd_pool_view *v, struct tally *t, struct hd_instance_view *i,
                          uint64_t now_ms)
{
    uint32_t linger_ms = HD_MIN(v->limits->drain_ms, (uint32_t)HD_POOL_LINGER_MS);
    uint64_t until = i->since_ms + v->limits->drain_ms;
    uint64_t quiet = i->last_used_ms > 0 ? i->last_used_ms + linger_ms : 0;
    bool runs_on = i->suspicion == HD_SUSPECT_TIMEOUT && v->limits->concurrency == 1;
    if (i->suspicion == HD_SUSPECT_LEAVING)
        quiet = 0;
    if (is_over_cpu(v->limits, i)) {
        act(i, HD_ACT_KILL, HD_RECYCLE_CPU);
    } else if (runs_on || i->suspicion == HD_SUSPECT_DOOMED) {
        i->act = HD_ACT_KILL;
    } else if (now_ms >= until) {
        i->act = i->in_flight == 0 ? HD_ACT_STOP : HD_ACT_KILL;
    } else if (i->in_flight == 0 && now_ms >= quiet) {
        i->act = HD_ACT_STOP;
    } else {
        wake_by(t, i->in_flight == 0 ? HD_MIN(quiet, until) : until);
    }
}

static void plan_stopping(struct tally *t, struct hd_instance_view *i, uint64_t now_ms)
{
    if (i->stop_until_ms == 0)
        return;
    if (now_ms >= i->stop_until_ms)
        i->act = HD_ACT_KILL;
    else
        wake_by(t, i->stop_until_ms);
}

/* --- replace what served enough or grew too much: one at a time, the successor first --- */

static bool is_worn(const struct hd_pool_limits *l, struct hd_instance_view *i)
{
    if (l->recycle_requests > 0 && i->requests >= l->recycle_requests) {
        i->why = HD_RECYCLE_REQUESTS;
        return true;
    }
    if (l->recycle_rss_bytes > 0 && i->rss_bytes > l->recycle_rss_bytes) {
        i->why = HD_RECYCLE_RSS;
        return true;
    }
    return false;
}

static bool has_successor(const struct hd_pool_view *v, const struct hd_instance_view *old)
{
    for (size_t n = 0; n < v->n_instances; n++) {
        const struct hd_instance_view *i = &v->instances[n];
        if (i->state == HD_INSTANCE_READY && i->replace_since_ms == 0 &&
            i->since_ms >= old->replace_since_ms && i->suspicion == HD_TRUSTED &&
            i->act == HD_ACT_NONE)
            return true;
    }
    return false;
}

static uint32_t plan_replacements(const struct hd_pool_view *v, struct tally *t, uint64_t now_ms)
{
    uint32_t start = 0;
    for (size_t n = 0; n < v->n_instances; n++) {
        struct hd_instance_view *i = &v->instances[n];
        if (i->state != HD_INSTANCE_READY || i->act != HD_ACT_NONE)
            continue;
        if (i->replace_since_ms == 0) {
            if (t->replacing == 0 && is_worn(v->limits, i)) {
                i->act = HD_ACT_REPLACE;
                t->replacing++;
                start = t->starting == 0;
            }
            continue;
        }
        /* Where no successor can start (memory, failures) the old one is not kept for ever. */
        uint64_t patience = i->replace_since_ms + v->limits->start_timeout_ms;
        if (has_successor(v, i) || now_ms >= patience) {
            i->act = HD_ACT_DRAIN; /* `why` is still that of the mark */
            t->ready--;
            t->replacing--;
            continue;
        }
        start = t->starting == 0;
        wake_by(t, patience);
    }
    return start;
}

/* --- more --- */

static uint32_t plan_demand(const struct hd_pool_view *v, struct tally *t, uint32_t coming,
                            uint64_t now_ms)
{
    uint64_t places = (uint64_t)coming * v->limits->concurrency + t->room;
    if (v->waiting <= places)
        return 0;
    uint64_t need = (v->waiting - places + v->limits->concurrency - 1) / v->limits->concurrency;
    uint32_t have = t->ready + coming, at_once = v->limits->max_starting;
    if (at_once > 0)
        return (uint32_t)HD_MIN(need, at_once > coming ? at_once - coming : 0);
    if (have == 0)
        return (uint32_t)HD_MIN(need, v->ramp);
    /* Short requests free their places soon: give them a moment, then at most double. */
    uint64_t at = HD_MAX(v->oldest_ms, v->last_start_ms) + HD_POOL_SCALE_MS;
    if (now_ms >= at)
        return (uint32_t)HD_MIN(need, have);
    wake_by(t, at);
    return 0;
}

/* What is wanted although nobody waits. Instances on demand do not stand in for provisioned ones;
 * provisioned ones that are too many count as on demand. */
static uint32_t plan_base(const struct hd_pool_view *v, const struct tally *t, bool *keep)
{
    const struct hd_pool_limits *l = v->limits;
    uint32_t kept = HD_MIN(t->provisioned, l->provisioned);
    uint32_t others = t->ready + t->starting - kept, base = HD_MAX(l->min, v->eager ? 1u : 0u);
    *keep = l->min > others || l->provisioned > kept;
    return l->provisioned - kept + (base > others ? base - others : 0);
}

/* Starts that a back-off forbids are none: not before it is over. */
static uint32_t unless_blocked(const struct hd_pool_view *v, struct tally *t, uint32_t start,
                               uint64_t now_ms)
{
    if (start == 0 || now_ms >= v->blocked_until_ms)
        return start;
    wake_by(t, v->blocked_until_ms);
    return 0;
}

static void plan_starts(struct hd_pool_plan *plan, const struct hd_pool_view *v, struct tally *t,
                        uint64_t now_ms)
{
    const struct hd_pool_limits *l = v->limits;
    uint32_t have = t->ready + t->starting, start = 0, successors = 0;
    bool demand = v->life != HD_LIFE_RETIRED && v->waiting > 0, own = l->max_starting > 0;
    bool keep;
    plan->urgency = HD_URGENT_EAGER;
    if (v->life == HD_LIFE_ACTIVE) {
        start = plan_base(v, t, &keep);
        successors = plan_replacements(v, t, now_ms);
        if (successors > 0 || (start > 0 && v->replacing))
            plan->urgency = HD_URGENT_REPLACE;
        else if (keep)
            plan->urgency = HD_URGENT_KEEP;
        if (own) {
            start = unless_blocked(v, t, start, now_ms);
            successors = unless_blocked(v, t, successors, now_ms);
        }
    }
    if (demand) {
        uint32_t more = plan_demand(v, t, t->starting + start, now_ms);
        start += own && t->ready == 0 ? more : unless_blocked(v, t, more, now_ms);
        if (start > 0)
            plan->urgency = t->ready == 0 || own ? HD_URGENT_COLD : HD_URGENT_SCALE;
    }
    /* A successor may stand beside a full pool for as long as it takes to drain the old one. */
    start = HD_MIN(start, l->max > have ? l->max - have : 0);
    plan->start = HD_MAX(start, successors);
    if (!own)
        plan->start = unless_blocked(v, t, plan->start, now_ms);
}

/* --- less: the least recently used first, never below min --- */

static void plan_idle(const struct hd_pool_view *v, struct tally *t, uint64_t now_ms)
{
    const struct hd_pool_limits *l = v->limits;
    uint32_t have = t->ready; /* one that starts may fail */
    uint32_t kept = 0;        /* provisioned ones, as many as are wanted */
    if (l->idle_ms == 0 || v->waiting > 0 || v->life != HD_LIFE_ACTIVE)
        return;
    for (size_t n = 0; n < v->n_instances; n++)
        kept += v->instances[n].provisioned && v->instances[n].state == HD_INSTANCE_READY;
    uint32_t spare = kept > l->provisioned ? kept - l->provisioned : 0; /* of the provisioned */
    kept -= spare;
    while (have > l->min + kept) {
        struct hd_instance_view *oldest = NULL;
        for (size_t n = 0; n < v->n_instances; n++) {
            struct hd_instance_view *i = &v->instances[n];
            if (i->state != HD_INSTANCE_READY ||
                (i->act != HD_ACT_NONE && i->act != HD_ACT_REPLACE))
                continue;
            if (i->provisioned && spare == 0)
                continue;
            if (i->in_flight > 0) /* it cannot be idle for long enough before this */
                wake_by(t, now_ms + l->idle_ms);
            else if (oldest == NULL || idle_since(i) < idle_since(oldest))
                oldest = i;
        }
        if (oldest == NULL)
            return;
        if (now_ms < idle_since(oldest) + l->idle_ms) {
            wake_by(t, idle_since(oldest) + l->idle_ms);
            return;
        }
        act(oldest, HD_ACT_STOP, HD_RECYCLE_IDLE);
        spare -= oldest->provisioned;
        have--;
    }
}

void hd_pool_plan(struct hd_pool_plan *plan, const struct hd_pool_view *v, uint64_t now_ms)
{
    struct tally t = {.wake_ms = v->next_deadline_ms};
    *plan = (struct hd_pool_plan){0};
    for (size_t n = 0; n < v->n_instances; n++) {
        struct hd_instance_view *i = &v->instances[n];
        i->act = HD_ACT_NONE;
        switch (i->state) {
        case HD_INSTANCE_STARTING:
            plan_starting(v, &t, i, now_ms);
            break;
        case HD_INSTANCE_READY:
            plan_ready(v, &t, i, now_ms);
            break;
        case HD_INSTANCE_DRAINING:
            plan_draining(v, &t, i, now_ms);
            break;
        case HD_INSTANCE_STOPPING:
            plan_stopping(&t, i, now_ms);
            break;
        case HD_INSTANCE_GONE:
            break;
        }
    }
    plan_thaw(v, &t);
    plan_starts(plan, v, &t, now_ms);
    plan_idle(v, &t, now_ms);
    plan_freeze(v, &t, now_ms);
    plan->next_wake_ms = t.wake_ms;
}

/* --- the node --- */

/* Mark the least recently used until @p bytes come free, or none is left. @return what comes. */
static uint64_t evict(struct hd_pool_idle *idle, size_t n_idle, uint64_t bytes)
{
    uint64_t freed = 0;
    while (freed < bytes) {
        struct hd_pool_idle *oldest = NULL;
        for (size_t n = 0; n < n_idle; n++) {
            if (!idle[n].evict && (oldest == NULL || idle[n].last_used_ms < oldest->last_used_ms))
                oldest = &idle[n];
        }
        if (oldest == NULL)
            break;
        oldest->evict = true;
        freed += oldest->bytes;
    }
    return freed;
}

static uint64_t evictable(const struct hd_pool_idle *idle, size_t n_idle)
{
    uint64_t bytes = 0;
    for (size_t n = 0; n < n_idle; n++)
        bytes += idle[n].evict ? 0 : idle[n].bytes;
    return bytes;
}

static struct hd_pool_wish *next_wish(struct hd_pool_wish *wishes, const bool *done, size_t n)
{
    struct hd_pool_wish *best = NULL;
    for (size_t i = 0; i < n; i++) {
        struct hd_pool_wish *w = &wishes[i];
        if (done[i])
            continue;
        if (best == NULL || w->urgency < best->urgency ||
            (w->urgency == best->urgency && w->used_ms > best->used_ms))
            best = w;
    }
    return best;
}

void hd_pool_admit(const struct hd_pool_node *node, struct hd_pool_wish *wishes, size_t n_wishes,
                   struct hd_pool_idle *idle, size_t n_idle)
{
    uint64_t used = node->used_bytes, freeing = node->freeing_bytes, budget = node->memory_bytes;
    unsigned starting = node->starting;
    hd_auto_free bool *done = hd_new_array(bool, n_wishes);
    for (size_t i = 0; i < n_wishes; i++) {
        wishes[i].granted = 0;
        wishes[i].no_room = false;
    }
    for (size_t i = 0; i < n_idle; i++)
        idle[i].evict = false;
    if (budget > 0 && used - freeing > budget) /* instances grew */
        freeing += evict(idle, n_idle, used - freeing - budget);
    for (struct hd_pool_wish *w; (w = next_wish(wishes, done, n_wishes)) != NULL;) {
        unsigned lanes = node->lanes;
        if (w->urgency == HD_URGENT_COLD)
            lanes += node->demand_lanes;
        done[w - wishes] = true;
        while (w->granted < w->start && starting < lanes) {
            uint64_t ceiling = budget + (w->urgency == HD_URGENT_REPLACE ? w->bytes : 0);
            if (budget > 0 && used > 0 && used + w->bytes > ceiling) {
                uint64_t lacking = used + w->bytes - ceiling;
                if (lacking <= freeing)
                    break; /* it is on its way */
                lacking -= freeing;
                /* What nobody waits for does not push others out. */
                if (w->urgency == HD_URGENT_EAGER || evictable(idle, n_idle) < lacking)
                    w->no_room = true;
                else
                    freeing += evict(idle, n_idle, lacking);
                break;
            }
            w->granted++;
            starting++;
            used += w->bytes;
        }
        if (starting >= node->lanes + node->demand_lanes)
            return;
    }
}

/* --- failures --- */

enum hd_pool_failure hd_pool_failure_of(const struct hd_error *err)
{
    if (err->code == HD_EINVAL || err->code == HD_ENOTFOUND)
        return HD_FAILURE_LOAD; /* its own fault, or its runtime is not there */
    return err->code == HD_ETIMEOUT ? HD_FAILURE_TIMEOUT : HD_FAILURE_SYSTEM;
}

/* Doubles with each of @p times from @p base_ms, up to the ceiling, and 20 % around it. */
static uint64_t backoff(uint64_t base_ms, uint32_t times, uint64_t dice)
{
    uint64_t ms = base_ms << HD_MIN(times, 16u);
    ms = HD_MIN(ms, (uint64_t)HD_POOL_BACKOFF_MAX_MS);
    return ms - ms / 5 + dice % (ms * 2 / 5 + 1);
}

void hd_pool_health_failed(struct hd_pool_health *h, enum hd_pool_failure why, uint64_t dice,
                           uint64_t now_ms)
{
    uint64_t base = why == HD_FAILURE_LOAD ? HD_POOL_BACKOFF_LOAD_MS : HD_POOL_BACKOFF_MS;
    uint64_t until_ms = now_ms + backoff(base, h->strikes, dice);
    h->blocked_until_ms = HD_MAX(h->blocked_until_ms, until_ms);
    h->strikes++;
    h->strike_ms = now_ms;
    if (why == HD_FAILURE_LOAD || h->strikes >= HD_POOL_STRIKES_FAILED)
        h->failed = true;
}

void hd_pool_health_crashed(struct hd_pool_health *h, bool served, uint64_t dice, uint64_t now_ms)
{
    h->strike_ms = now_ms;
    if (!served ||
        h->strikes < 2) /* one that works, if not for long, is slowed down, not given up */
        h->strikes++;
    if (h->strikes > 1) {
        uint64_t until_ms = now_ms + backoff(HD_POOL_BACKOFF_MS, h->strikes - 2, dice);
        h->blocked_until_ms = HD_MAX(h->blocked_until_ms, until_ms);
    }
    if (!served && h->strikes >= HD_POOL_STRIKES_FAILED)
        h->failed = true;
}

void hd_pool_health_ready(struct hd_pool_health *h)
{
    h->failed = false;
}

void hd_pool_health_proved(struct hd_pool_health *h, uint64_t since_ms)
{
    if (since_ms > h->strike_ms) { /* in the same millisecond the order is not known */
        h->strikes = 0;
        h->failed = false;
    }
}
