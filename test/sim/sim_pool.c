/* sim_pool.c - the real pool against a virtual clock and a backend that is slow, dead, lying,
 * leaking and crashing; random arrivals, cancels, reloads and the end of the node.
 *
 *   sim_pool [SEED [RUNS]]     run seeds SEED, SEED + 1, ...; the failing one is printed */
#include "sim_backend.h"

#include "pool/private.h" /* to see that nobody waits in front of a free place */

#include <stdio.h>

enum {
    FUNCTIONS = 4,
    LEASES = 96,
    OLD_REFS = 8,
    STEPS = 1500,
    LAG_MS = 60, /* loops of the simulation may be this late */
};

struct function {
    char key[8];
    struct hd_pool *pool;          /* as in the newest snapshot; NULL: removed */
    struct hd_pool *old[OLD_REFS]; /* as in older snapshots that some loop still uses */
    struct hd_pool_limits limits;  /* of the newest */
    unsigned generation;
    unsigned oldest; /* generation that may answer a request which comes now */
    bool was_removed;
    uint64_t replaced_ms;
};

struct conn {
    struct hd_list link;
};

struct client {
    struct hd_lease lease;
    struct sim *sim;
    enum { FREE, WAITING, HELD } state;
    uint64_t due_ms; /* HELD: ends then; WAITING: leaves then, UINT64_MAX: is patient */
    uint64_t refused_by_ms;
    enum hd_lease_result how;
    unsigned oldest; /* generation that may answer */
    struct sim_handle *handle;
    struct conn *conn;
};

struct sim {
    uint64_t seed, now_ms;
    struct hd_rng rng;
    struct hd_loop *loops[SIM_LOOPS];
    uint64_t settled_ms;
    struct sim_backend backend;
    struct hd_pool_set *set;
    struct function functions[FUNCTIONS];
    struct client clients[LEASES];
    uint64_t memory_bytes;
    uint64_t takes, granted, refused, left, conns;
    bool closing, closed;
};

static uint64_t below(struct sim *s, uint64_t n)
{
    return hd_rng_below(&s->rng, n);
}

static bool chance(struct sim *s, unsigned percent)
{
    return below(s, 100) < percent;
}

/* --- the doors --- */

static void connect_to(struct client *c)
{
    struct hd_list *idle = hd_instance_conns(c->lease.instance, c->lease.loop);
    struct hd_list *item = hd_list_pop(idle);
    if (item != NULL) {
        c->conn = hd_container_of(item, struct conn, link);
        return;
    }
    c->conn = hd_new(struct conn);
    hd_list_init(&c->conn->link);
    c->sim->conns++;
}

static void disconnect(struct client *c)
{
    if (hd_instance_alive(c->lease.instance) && c->how == HD_LEASE_OK) {
        hd_list_push(hd_instance_conns(c->lease.instance, c->lease.loop), &c->conn->link);
    } else {
        free(c->conn);
        c->sim->conns--;
    }
    c->conn = NULL;
}

static void on_instance_gone(void *arg, struct hd_loop *loop, struct hd_instance *i)
{
    struct sim *s = arg;
    struct hd_list *item;
    sim_check(&s->backend, !hd_instance_alive(i), "a loop heard of the end before the end");
    while ((item = hd_list_pop(hd_instance_conns(i, loop))) != NULL) {
        free(hd_container_of(item, struct conn, link));
        s->conns--;
    }
}

static void begin(struct client *c)
{
    struct sim *s = c->sim;
    struct sim_handle *h = sim_handle_at(&s->backend, c->lease.endpoint);
    c->state = HELD;
    c->handle = h;
    s->granted++;
    sim_check(&s->backend, h->was_ready, "a place in an instance that was never ready");
    sim_check(&s->backend, !h->leaving, "a place in an instance that said that it ends");
    sim_check(&s->backend, !h->iced, "a place in an instance that is frozen");
    uint64_t generation = 0;
    struct hd_str name = hd_str(h->version->name);
    hd_str_to_u64(&generation, hd_str_n(name.ptr + 3, name.len - 3)); /* "f0.12" */
    sim_check(&s->backend, generation >= c->oldest, "a version that was replaced at once served");
    sim_check(&s->backend, ++h->held <= h->concurrency, "more requests than concurrency allows");
    connect_to(c);
    bool answers = h->mood != SIM_LYING;
    c->how = answers ? (chance(s, 2) ? HD_LEASE_TIMEOUT : HD_LEASE_OK) : HD_LEASE_TIMEOUT;
    if (chance(s, 5))
        c->how = HD_LEASE_CANCELED;
    if (h->own && chance(s, 2))
        c->how = HD_LEASE_END;
    if (h->mood == SIM_STILLBORN || (h->own && chance(s, 2)))
        c->how = HD_LEASE_EXITS;
    c->due_ms = s->now_ms + (chance(s, 80) ? below(s, 60) : below(s, 1500));
}

static void end(struct client *c)
{
    struct sim_handle *h = c->handle;
    if (c->how == HD_LEASE_EXITS)
        sim_handle_leave(h);
    if (h->gone && c->how != HD_LEASE_CANCELED)
        c->how = HD_LEASE_BROKEN;
    h->held--;
    disconnect(c);
    c->state = FREE;
    hd_pool_give(&c->lease, c->how);
}

static void on_granted(struct hd_lease *lease, const struct hd_error *err)
{
    struct client *c = hd_container_of(lease, struct client, lease);
    struct sim *s = c->sim;
    sim_check(&s->backend, c->state == WAITING, "a second outcome for one request");
    sim_check(&s->backend, s->now_ms <= c->refused_by_ms, "a wait that did not end in time");
    if (err == NULL) {
        begin(c);
        return;
    }
    sim_check(&s->backend, lease->instance == NULL && err->msg[0] != 0, "a refusal without words");
    sim_check(&s->backend,
              err->code == HD_ETIMEOUT || err->code == HD_EIO || err->code == HD_ENOTFOUND ||
                  err->code == HD_ECANCELED || err->code == HD_EBUSY,
              "a refusal with an unknown code");
    sim_check(&s->backend, err->code != HD_EIO || lease->start_code != 0,
              "a start that failed without a reason");
    c->state = FREE;
    s->refused++;
}

static void arrive(struct sim *s, struct client *c)
{
    struct function *f = &s->functions[below(s, FUNCTIONS)];
    struct hd_pool *p = chance(s, 85) ? f->pool : f->old[below(s, OLD_REFS)];
    if (p == NULL)
        return;
    struct hd_pool *previous = chance(s, 10) ? hd_pool_previous(p) : NULL;
    c->lease.wait_ms = chance(s, 50) ? 0 : (uint32_t)below(s, 3000) + 1;
    c->lease.on_granted = on_granted;
    c->state = WAITING;
    c->due_ms = chance(s, 20) ? s->now_ms + below(s, 400) : UINT64_MAX;
    c->refused_by_ms = s->now_ms + (c->lease.wait_ms > 0 ? c->lease.wait_ms : 5000) + LAG_MS;
    s->takes++;
    c->oldest = f->oldest;
    struct hd_error err;
    int rc = hd_pool_take(previous != NULL ? previous : p, &c->lease, s->loops[below(s, SIM_LOOPS)],
                          &err);
    hd_pool_unref(previous);
    if (rc == 1) {
        begin(c);
    } else if (rc < 0) {
        sim_check(&s->backend, err.msg[0] != 0, "a refusal without words");
        sim_check(&s->backend, rc != HD_EIO || f->limits.max_starting == 0,
                  "a request was refused without an attempt of its own");
        c->state = FREE;
        s->refused++;
    }
}

static void run_client(struct sim *s, struct client *c)
{
    if (c->state == HELD && (s->now_ms >= c->due_ms || c->handle->gone)) {
        end(c);
    } else if (c->state == WAITING && s->now_ms >= c->due_ms) {
        hd_pool_leave(&c->lease);
        c->state = FREE;
        s->left++;
    }
}

/* --- the operator --- */

static void forget(struct sim *s, struct function *f)
{
    struct hd_pool **slot = &f->old[below(s, OLD_REFS)];
    hd_pool_unref(*slot);
    *slot = f->pool;
    f->pool = NULL;
}

static void deploy(struct sim *s, struct function *f)
{
    char version[24];
    struct hd_pool_limits *l = &f->limits;
    snprintf(version, sizeof(version), "%u", ++f->generation);
    *l = (struct hd_pool_limits){
        .concurrency = chance(s, 40) ? 1 : 1 + (uint32_t)below(s, 20),
        .max = 1 + (uint32_t)below(s, 6),
        .idle_ms = chance(s, 80) ? 100 + (uint32_t)below(s, 5000) : 0,
        .queue_max = (uint32_t)below(s, 40),
        .wait_ms = 5000,
        .start_timeout_ms = 500 + (uint32_t)below(s, 1500),
        .recycle_requests = chance(s, 30) ? 1 + (uint32_t)below(s, 50) : 0,
        .recycle_rss_bytes = chance(s, 30) ? 100u << 20 : 0,
        .drain_ms = (uint32_t)below(s, 3000),
    };
    l->freeze_ms = chance(s, 40) ? 1 + (uint32_t)below(s, 1000) : 0;
    l->min = chance(s, 30) ? (uint32_t)below(s, l->max + 1) : 0;
    bool own = chance(s, 40);
    if (own) {
        l->concurrency = 1;
        l->max_starting = 1 + (uint32_t)below(s, 4);
        l->provisioned = (uint32_t)below(s, l->max - l->min + 1);
        l->stop_ms = 1 + (uint32_t)below(s, 500);
        f->oldest = f->generation;
    }
    const struct hd_launch_lambda lambda = {.name = f->key};
    const char *const env[] = {"SECRET=x", NULL};
    struct hd_pool_spec spec = {
        .key = f->key,
        .launch = {.function = f->key,
                   .version = version,
                   .env = env,
                   .lambda = own ? &lambda : NULL},
        .limits = *l,
        .eager = !own && chance(s, 50),
        .at_once = own,
        .last_used_unix_ms = (int64_t)below(s, 1000),
    };
    if (f->pool != NULL)
        forget(s, f);
    struct hd_error err;
    int rc = hd_pool_set_put(s->set, &f->pool, &spec, &err);
    sim_check(&s->backend, rc == 0, err.msg);
    f->replaced_ms = s->now_ms;
}

static void operate(struct sim *s)
{
    struct function *f = &s->functions[below(s, FUNCTIONS)];
    if (f->pool != NULL && chance(s, 10)) {
        hd_pool_set_remove(s->set, f->key);
        forget(s, f);
        f->was_removed = true;
    } else {
        deploy(s, f);
    }
}

/* --- time --- */

/* Let some loops run, or all of them until nothing is left to do. */
static void turn(struct sim *s, bool settle)
{
    bool again = true;
    for (int round = 0; again; round++) {
        sim_check(&s->backend, round < 1000, "the loops never come to rest");
        again = false;
        for (unsigned n = 0; n < SIM_LOOPS; n++) {
            if (settle || chance(s, 60))
                again |= hd_loop_advance(s->loops[n], s->now_ms);
        }
        again &= settle;
    }
    if (settle)
        s->settled_ms = s->now_ms;
}

/* --- what must hold at any time --- */

/* Who waits may be about to be served by what is warming up already. */
static bool may_thaw(const struct hd_pool *p)
{
    uint64_t coming = 0;
    hd_list_each(item, &p->instances)
    {
        const struct hd_instance *i = hd_container_of(item, struct hd_instance, link);
        coming += i->ice == HD_ICE_THAWING || i->ice == HD_ICE_FREEZING ? p->limits.concurrency : 0;
    }
    return atomic_load(&p->kicked) || p->waiting <= coming;
}

/* What is true whenever no message is under way. */
static void check_settled(struct sim *s, const struct hd_pool *p)
{
    sim_check(&s->backend, p->life != HD_LIFE_RETIRED || p->waiting == 0,
              "somebody waits for an old version");
    const struct hd_pool_limits *l = &p->limits;
    uint32_t starting = p->n[HD_INSTANCE_STARTING];
    bool may_start = !atomic_load(&p->kicked) && !p->set->admit_posted && l->max_starting > 0 &&
                     s->memory_bytes == 0 && p->life == HD_LIFE_ACTIVE &&
                     p->n[HD_INSTANCE_READY] == 0 && starting < HD_MIN(l->max, l->max_starting) &&
                     s->backend.starting < p->set->lanes;
    sim_check(&s->backend, !may_start || starting >= p->waiting,
              "somebody waits, and nothing is started for it");
    hd_list_each(item, &p->instances)
    {
        const struct hd_instance *i = hd_container_of(item, struct hd_instance, link);
        bool room = i->in_flight < p->limits.concurrency && i->suspicion == HD_TRUSTED &&
                    i->ice == HD_ICE_WARM;
        sim_check(&s->backend, i->ice != HD_ICE_FROZEN || p->waiting == 0 || may_thaw(p),
                  "somebody waits in front of one that is frozen");
        sim_check(&s->backend, i->state != HD_INSTANCE_READY || !room || p->waiting == 0,
                  "somebody waits in front of a free place");
        sim_check(&s->backend,
                  i->state != HD_INSTANCE_DRAINING || i->in_flight > 0 ||
                      s->now_ms <= HD_MAX(i->last_used_ms, i->since_ms) + HD_POOL_LINGER_MS,
                  "a drained instance is not ended");
    }
}

static void check_report(void *arg, const struct hd_pool_report *r)
{
    struct sim *s = arg;
    struct function *f = &s->functions[r->key[1] - '0'];
    struct hd_pool_stats now;
    hd_pool_stats(r->pool, &now);
    const struct hd_pool_limits *l = &f->limits;
    /* One more may stand beside a full pool: the successor of one that is recycled. */
    uint32_t surge = l->recycle_requests > 0 || l->recycle_rss_bytes > 0 ? 1 : 0;
    sim_check(&s->backend, now.starting + now.idle + now.frozen + now.busy <= l->max + surge,
              "more instances than max");
    /* For each frozen one another may wait; and that may end instead of being thawed. */
    sim_check(&s->backend, now.waiting <= l->queue_max + (l->freeze_ms > 0 ? l->max + surge : 0),
              "a queue longer than queue_max");
    sim_check(&s->backend,
              l->max_starting == 0 || now.starting <= l->max_starting + l->min + l->provisioned,
              "more starts at once than max_starting");
    if (r->stats.state == HD_POOL_FAILED)
        sim_check(&s->backend, r->error.msg[0] != 0, "failed, and nobody knows why");
    if (s->settled_ms == s->now_ms) {
        hd_list_each(item, &r->pool->group->versions)
            check_settled(s, hd_container_of(item, struct hd_pool, version_link));
    }
}

static void check_all(struct sim *s)
{
    hd_pool_set_each(s->set, check_report, s);
    struct hd_pool_warmup w;
    uint32_t there = 0;
    for (int n = 0; n < FUNCTIONS; n++)
        there += s->functions[n].pool != NULL && s->functions[n].limits.max_starting == 0;
    hd_pool_set_warmup(s->set, &w);
    sim_check(&s->backend, w.total == there, "the warm-up counts do not add up");
}

/* --- what must hold when all is calm: healthy backend, no requests, time enough --- */

static void check_calm(void *arg, const struct hd_pool_report *r)
{
    struct sim *s = arg;
    const struct hd_pool_limits *l = &s->functions[r->key[1] - '0'].limits;
    uint32_t ready = r->stats.idle + r->stats.frozen + r->stats.busy;
    sim_check(&s->backend, r->stats.in_flight == 0 && r->stats.waiting == 0,
              "something is in flight, and nobody is there");
    struct hd_pool *previous = hd_pool_previous(r->pool);
    hd_pool_unref(previous);
    if (previous != NULL) { /* the newest failed for good, and the older one serves by its limits */
        sim_check(&s->backend, r->stats.state == HD_POOL_FAILED, "two versions without need");
        return;
    }
    sim_check(&s->backend, l->freeze_ms > 0 ? r->stats.idle == 0 : r->stats.frozen == 0,
              "idle instances are not frozen, or frozen ones not thawed");
    if (s->memory_bytes == 0)
        sim_check(&s->backend, ready >= l->min + l->provisioned, "fewer than min");
    /* Where nothing is ever idle for too long, others may be in their place. */
    sim_check(&s->backend,
              s->memory_bytes > 0 || l->idle_ms == 0 || r->stats.provisioned == l->provisioned,
              "not as many provisioned as there should be");
    if (l->idle_ms > 0)
        sim_check(&s->backend, ready <= l->min + l->provisioned, "idle instances were not stopped");
    sim_check(&s->backend, r->stats.draining == 0, "an old version did not go");
}

static void calm_down(struct sim *s)
{
    s->backend.healthy = true;
    for (int n = 0; n < LEASES; n++) {
        struct client *c = &s->clients[n];
        if (c->state != FREE)
            c->due_ms = s->now_ms;
    }
    for (uint64_t until = s->now_ms + 120000; s->now_ms < until;) {
        for (int n = 0; n < LEASES; n++)
            run_client(s, &s->clients[n]);
        turn(s, true);
        uint64_t next = until;
        for (unsigned n = 0; n < SIM_LOOPS; n++)
            next = HD_MIN(next, hd_loop_next_ms(s->loops[n]));
        s->now_ms = HD_MAX(next, s->now_ms + 1);
    }
    turn(s, true);
    hd_pool_set_each(s->set, check_calm, s);
}

/* --- the end --- */

static void check_end(void *arg, const struct hd_pool_report *r)
{
    struct sim *s = arg;
    const struct hd_pool_counters *c = &r->counters;
    uint64_t failures = 0, recycles = 0;
    for (int n = 0; n < HD_FAILURE_COUNT; n++)
        failures += c->failures[n];
    for (int n = 0; n < HD_RECYCLE_COUNT; n++)
        recycles += c->recycles[n];
    sim_check(&s->backend, c->launches == c->cold_start.count + failures + c->abandoned,
              "launches do not add up");
    sim_check(&s->backend, c->cold_start.count == c->crashes + recycles + c->evictions,
              "ends do not add up");
    sim_check(&s->backend, r->stats.in_flight == 0 && r->stats.waiting == 0, "not over");
}

struct sum {
    uint64_t requests, rejections, left;
    bool whole;
};

/* Over all runs: a simulation in which nothing happens shows nothing. */
static uint64_t all_runs[sizeof(struct hd_pool_counters) / sizeof(uint64_t)];

static void add_up(void *arg, const struct hd_pool_report *r)
{
    struct sum *sum = arg;
    const uint64_t *counters = (const uint64_t *)&r->counters;
    for (size_t n = 0; n < HD_COUNT(all_runs); n++)
        all_runs[n] += counters[n];
    sum->requests += r->counters.requests;
    sum->left += r->counters.left;
    for (int n = 0; n < HD_REJECT_COUNT; n++)
        sum->rejections += r->counters.rejections[n];
}

static void on_closed(void *arg)
{
    struct sim *s = arg;
    sim_check(&s->backend, !s->closed, "closed twice");
    s->closed = true;
}

static void close_down(struct sim *s)
{
    uint32_t grace_ms = (uint32_t)below(s, 4000);
    s->closing = true;
    hd_pool_set_close(s->set, grace_ms, on_closed, s);
    for (uint64_t until = s->now_ms + grace_ms + 3000; !s->closed; s->now_ms += 1 + below(s, 20)) {
        sim_check(&s->backend, s->now_ms < until, "the end did not come in time");
        for (int n = 0; n < LEASES; n++) {
            struct client *c = &s->clients[n];
            run_client(s, c);
            if (c->state == FREE && chance(s, 1))
                arrive(s, c);
        }
        turn(s, chance(s, 30) || s->now_ms > s->settled_ms + LAG_MS / 2);
    }
    turn(s, true);
}

static void check_totals(struct sim *s)
{
    struct sum sum = {.whole = true};
    for (int n = 0; n < FUNCTIONS; n++)
        sum.whole &= !s->functions[n].was_removed;
    sim_check(&s->backend, s->takes == s->granted + s->refused + s->left, "a request was lost");
    sim_check(&s->backend, s->backend.alive == 0, "an instance outlived the set");
    sim_check(&s->backend, s->conns == 0, "a connection was leaked");
    sim_check(&s->backend, hd_pool_set_memory(s->set) == 0, "memory is charged to nobody");
    if (!sum.whole)
        return; /* the totals of a function go with it */
    hd_pool_set_each(s->set, check_end, s);
    hd_pool_set_each(s->set, add_up, &sum);
    sim_check(&s->backend, sum.left == s->left, "leavers do not add up");
    /* Who left may have been counted as granted or refused before. */
    sim_check(&s->backend,
              sum.requests >= s->granted && sum.rejections >= s->refused &&
                  sum.requests + sum.rejections <= s->takes,
              "outcomes do not add up");
}

/* --- one run --- */

static bool recycles(const struct sim_backend *b, const char *function)
{
    const struct sim *s = hd_container_of(b, struct sim, backend);
    const struct hd_pool_limits *l = &s->functions[function[1] - '0'].limits;
    return l->recycle_requests > 0 || l->recycle_rss_bytes > 0;
}

static void setup(struct sim *s, uint64_t seed)
{
    static const struct hd_pool_set_events events = {.on_instance_gone = on_instance_gone};
    *s = (struct sim){.seed = seed, .now_ms = 1000};
    hd_rng_init(&s->rng, seed);
    for (unsigned n = 0; n < SIM_LOOPS; n++) {
        if (hd_loop_new(&s->loops[n], n, NULL) < 0)
            abort();
        hd_loop_set_virtual(s->loops[n], s->now_ms);
    }
    s->memory_bytes = chance(s, 50) ? (200 + below(s, 800)) << 20 : 0;
    struct hd_pool_set_options opt = {
        .loops = s->loops,
        .n_loops = SIM_LOOPS,
        .backend = &s->backend.base,
        .memory_bytes = s->memory_bytes,
        .lanes = 1 + (unsigned)below(s, 4),
        .demand_lanes = 1 + (unsigned)below(s, 8),
        .seed = seed + 1,
        .events = &events,
        .arg = s,
    };
    sim_backend_init(&s->backend, s->loops[0], seed, opt.lanes + opt.demand_lanes);
    s->backend.max_failing = (unsigned)below(s, 60);
    struct hd_error err;
    int rc = hd_pool_set_new(&s->set, &opt, &err);
    sim_check(&s->backend, rc == 0, err.msg);
    s->backend.set = s->set;
    s->backend.memory_bytes = s->memory_bytes;
    s->backend.recycles = recycles;
    for (int n = 0; n < FUNCTIONS; n++) {
        snprintf(s->functions[n].key, sizeof(s->functions[n].key), "f%d", n);
        deploy(s, &s->functions[n]);
    }
    for (int n = 0; n < LEASES; n++)
        s->clients[n].sim = s;
}

static uint64_t all_freezes, all_thaws;

static void teardown(struct sim *s)
{
    all_freezes += s->backend.freezes;
    all_thaws += s->backend.thaws;
    for (int n = 0; n < FUNCTIONS; n++) {
        hd_pool_unref(s->functions[n].pool);
        for (int o = 0; o < OLD_REFS; o++)
            hd_pool_unref(s->functions[n].old[o]);
    }
    hd_pool_set_free(s->set);
    for (unsigned n = 0; n < SIM_LOOPS; n++)
        hd_loop_free(s->loops[n]);
    sim_backend_done(&s->backend);
}

static void run(uint64_t seed)
{
    static struct sim s;
    setup(&s, seed);
    unsigned load = 1 + (unsigned)below(&s, 8), reloads = chance(&s, 70) ? 1 : 20;
    for (int step = 0; step < STEPS; step++) {
        s.now_ms += below(&s, 20);
        for (int n = 0; n < LEASES; n++) {
            run_client(&s, &s.clients[n]);
            if (s.clients[n].state == FREE && below(&s, 400) < load)
                arrive(&s, &s.clients[n]);
        }
        if (below(&s, 300) < reloads)
            operate(&s);
        turn(&s, chance(&s, 30) || s.now_ms > s.settled_ms + LAG_MS / 2);
        check_all(&s);
        if (below(&s, 200) == 0)
            load = 1 + (unsigned)below(&s, chance(&s, 20) ? 60 : 8);
    }
    if (chance(&s, 50))
        calm_down(&s);
    close_down(&s);
    check_totals(&s);
    teardown(&s);
}

static void print_totals(void)
{
    struct hd_pool_counters c;
    memcpy(&c, all_runs, sizeof(c));
    printf(
        "requests %llu, launches %llu, cold starts %llu, crashes %llu, evictions %llu, left %llu\n",
        (unsigned long long)c.requests, (unsigned long long)c.launches,
        (unsigned long long)c.cold_starts, (unsigned long long)c.crashes,
        (unsigned long long)c.evictions, (unsigned long long)c.left);
    printf("rejected:");
    for (int n = 0; n < HD_REJECT_COUNT; n++)
        printf(" %s %llu", hd_pool_reject_name((enum hd_pool_reject)n),
               (unsigned long long)c.rejections[n]);
    printf("\nfailed:");
    for (int n = 0; n < HD_FAILURE_COUNT; n++)
        printf(" %s %llu", hd_pool_failure_name((enum hd_pool_failure)n),
               (unsigned long long)c.failures[n]);
    printf(" abandoned %llu\nrecycled:", (unsigned long long)c.abandoned);
    for (int n = 0; n < HD_RECYCLE_COUNT; n++)
        printf(" %s %llu", hd_pool_recycle_name((enum hd_pool_recycle)n),
               (unsigned long long)c.recycles[n]);
    printf("\nfrozen %llu, thawed %llu\n", (unsigned long long)all_freezes,
           (unsigned long long)all_thaws);
}

int main(int argc, char **argv)
{
    uint64_t first = 1, runs = 300;
    if (argc > 1 && hd_str_to_u64(&first, hd_str(argv[1])) < 0) {
        fprintf(stderr, "usage: sim_pool [SEED [RUNS]]\n");
        return 64;
    }
    if (argc > 1)
        runs = 1;
    if (argc > 2 && hd_str_to_u64(&runs, hd_str(argv[2])) < 0) {
        fprintf(stderr, "usage: sim_pool [SEED [RUNS]]\n");
        return 64;
    }
    for (uint64_t n = 0; n < runs; n++)
        run(first + n);
    print_totals();
    printf("seeds %llu to %llu: all claims hold\n", (unsigned long long)first,
           (unsigned long long)(first + runs - 1));
    return 0;
}
