/* test_pool_threads.c - real loops on real threads hammer one set: takes, gives, leaves, reloads
 * and crashes at once. Made for the thread sanitizer; the counts must come out right without. */
#include "core/id.h"
#include "pool/set.h"
#include "test.h"

#include <stdatomic.h>

enum { LOOPS = 3, CLIENTS = 24, TAKES = 3000, DEPLOYS = 40, CONCURRENCY = 3 };

/* --- a backend on the control loop that is ready at once, and crashes now and then --- */

struct fake {
    struct hd_list link;
    struct fake_backend *backend;
    const struct hd_backend_events *events;
    void *owner;
    atomic_int held;
    atomic_bool ended;
    bool ready, told;
    struct hd_timer timer;
};

struct fake_backend {
    struct hd_backend base;
    struct hd_loop *loop;
    struct hd_rng rng;
    struct hd_list fakes;
    unsigned alive, wrong;
    bool steady; /* nothing crashes */
};

static void fake_vanish(struct hd_timer *t)
{
    struct fake *f = hd_container_of(t, struct fake, timer);
    struct hd_error err;
    atomic_store(&f->ended, true);
    f->backend->alive--;
    hd_fail(&err, HD_EIO, "killed by SIGKILL");
    f->events->on_gone(f->owner, f->told ? NULL : &err);
}

static void fake_ready(struct hd_timer *t)
{
    struct fake *f = hd_container_of(t, struct fake, timer);
    struct hd_endpoint at = {.kind = HD_ENDPOINT_UNIX};
    memcpy(at.address, &f, sizeof(f)); /* the clients count what is in flight in there */
    f->ready = true;
    if (!f->backend->steady && hd_rng_below(&f->backend->rng, 3) == 0)
        hd_timer_start(f->backend->loop, t, hd_rng_below(&f->backend->rng, 30), fake_vanish);
    f->events->on_ready(f->owner, &at, NULL);
}

static struct hd_instance_handle *fake_launch(struct hd_backend *base, const struct hd_launch *what,
                                              const struct hd_backend_events *events, void *owner)
{
    struct fake_backend *b = hd_container_of(base, struct fake_backend, base);
    struct fake *f = hd_new(struct fake);
    f->backend = b;
    f->events = events;
    f->owner = owner;
    hd_list_push(&b->fakes, &f->link);
    b->alive++;
    hd_timer_start(b->loop, &f->timer, 1, fake_ready);
    (void)what;
    return (struct hd_instance_handle *)f;
}

static void fake_terminate(struct hd_instance_handle *h, uint32_t grace_ms)
{
    struct fake *f = (struct fake *)h;
    if (grace_ms > 0 && atomic_load(&f->held) > 0)
        f->backend->wrong++; /* a polite end is for what nobody uses */
    f->told = true;
    hd_timer_start(f->backend->loop, &f->timer, 1, fake_vanish);
}

static void fake_ping(struct hd_instance_handle *h, uint32_t within_ms,
                      void (*done)(void *owner, int rc), void *owner)
{
    /* Never answered: the pool must not depend on it. */
    (void)h;
    (void)within_ms;
    (void)done;
    (void)owner;
}

static uint64_t fake_number(struct hd_instance_handle *h)
{
    (void)h;
    return 1 << 20;
}

static const struct hd_backend_ops fake_ops = {.name = "fake",
                                               .launch = fake_launch,
                                               .terminate = fake_terminate,
                                               .ping = fake_ping,
                                               .rss_bytes = fake_number,
                                               .cpu_us = fake_number};

/* --- clients: each loop has some, each takes, holds for a turn or two, and gives --- */

struct client {
    struct hd_lease lease;
    struct door *door;
    struct hd_timer timer;
    struct fake *held;
    bool busy; /* it has no outcome yet */
};

struct door {
    struct hd_loop *loop;
    struct test *test;
    struct hd_rng rng;
    struct client clients[CLIENTS];
    unsigned asked, granted, refused, left, wrong, waiting, finished;
};

struct test {
    struct hd_loop *loops[LOOPS];
    struct door doors[LOOPS];
    struct fake_backend backend;
    struct hd_pool_set *set;
    struct hd_timer deploy;
    unsigned deploys;
    atomic_uint doors_done;
    bool closed;
    struct hd_pool_counters counters;
};

static void ask(struct client *c);

static void on_hold_over(struct hd_timer *t)
{
    struct client *c = hd_container_of(t, struct client, timer);
    enum hd_lease_result how = HD_LEASE_OK;
    if (!hd_instance_alive(c->lease.instance) || hd_rng_below(&c->door->rng, 200) == 0)
        how = HD_LEASE_BROKEN;
    atomic_fetch_sub(&c->held->held, 1);
    hd_pool_give(&c->lease, how);
    c->busy = false;
    ask(c);
}

static void hold(struct client *c)
{
    struct door *d = c->door;
    memcpy(&c->held, c->lease.endpoint->address, sizeof(c->held));
    d->granted++;
    if (atomic_fetch_add(&c->held->held, 1) >= CONCURRENCY)
        d->wrong++;
    if (hd_rng_below(&d->rng, 4) > 0) {
        on_hold_over(&c->timer);
        return;
    }
    hd_timer_start(d->loop, &c->timer, 1, on_hold_over);
}

static void on_granted(struct hd_lease *lease, const struct hd_error *err)
{
    struct client *c = hd_container_of(lease, struct client, lease);
    c->door->waiting--;
    if (!c->busy)
        c->door->wrong++; /* it had left, or it had its outcome */
    if (err == NULL) {
        hold(c);
        return;
    }
    c->door->refused++;
    c->busy = false;
    ask(c);
}

static void on_asked_again(struct hd_timer *t)
{
    ask(hd_container_of(t, struct client, timer));
}

static void start_close(void *arg);

static void ask(struct client *c)
{
    struct door *d = c->door;
    struct test *test = d->test;
    if (d->asked == TAKES) {
        if (++d->finished == CLIENTS && atomic_fetch_add(&test->doors_done, 1) == LOOPS - 1)
            hd_loop_post(test->loops[0], start_close, test);
        return;
    }
    struct hd_pool *p = hd_pool_set_get(test->set, "f");
    d->asked++;
    c->busy = true;
    c->lease.wait_ms = 2000;
    c->lease.on_granted = on_granted;
    int rc = hd_pool_take(p, &c->lease, d->loop, NULL);
    hd_pool_unref(p);
    if (rc == 1) {
        /* From a timer, so that the stack does not grow. */
        memcpy(&c->held, c->lease.endpoint->address, sizeof(c->held));
        d->granted++;
        if (atomic_fetch_add(&c->held->held, 1) >= CONCURRENCY)
            d->wrong++;
        hd_timer_start(d->loop, &c->timer, 1, on_hold_over);
    } else if (rc < 0) {
        d->refused++;
        c->busy = false;
        hd_timer_start(d->loop, &c->timer, 1, on_asked_again);
    } else {
        d->waiting++;
        if (hd_rng_below(&d->rng, 10) == 0) {
            hd_pool_leave(&c->lease);
            d->waiting--;
            d->left++;
            c->busy = false;
            hd_timer_start(d->loop, &c->timer, 1, on_asked_again);
        }
    }
}

static void open_door(void *arg)
{
    struct door *d = arg;
    for (int n = 0; n < CLIENTS; n++) {
        d->clients[n].door = d;
        ask(&d->clients[n]);
    }
}

/* --- the operator, on the control loop --- */

static void deploy(struct test *t)
{
    char version[16];
    snprintf(version, sizeof(version), "%u", ++t->deploys);
    struct hd_pool_spec spec = {
        .key = "f",
        .launch = {.function = "f", .version = version},
        .limits = {.concurrency = CONCURRENCY,
                   .max = 6,
                   .idle_ms = 5,
                   .queue_max = 1000,
                   .wait_ms = 2000,
                   .start_timeout_ms = 1000,
                   .recycle_requests = 50,
                   .drain_ms = 200},
        .eager = true,
    };
    struct hd_pool *p;
    assert_int_equal(hd_pool_set_put(t->set, &p, &spec, NULL), 0);
    hd_pool_unref(p);
}

static void on_deploy(struct hd_timer *timer)
{
    struct test *t = hd_container_of(timer, struct test, deploy);
    deploy(t);
    if (t->deploys < DEPLOYS)
        hd_timer_start(t->loops[0], timer, 10, on_deploy);
}

static void count(void *arg, const struct hd_pool_report *r)
{
    struct test *t = arg;
    t->counters = r->counters;
}

static void on_closed(void *arg)
{
    struct test *t = arg;
    t->closed = true;
    hd_pool_set_each(t->set, count, t);
    for (int n = 0; n < LOOPS; n++)
        hd_loop_stop(t->loops[n]);
}

static void start_close(void *arg)
{
    struct test *t = arg;
    hd_timer_stop(t->loops[0], &t->deploy);
    hd_pool_set_close(t->set, 2000, on_closed, t);
}

static void every_request_has_one_outcome_under_threads(void **state)
{
    static struct test t;
    t.backend.base.ops = &fake_ops;
    hd_list_init(&t.backend.fakes);
    hd_rng_init(&t.backend.rng, 7);
    for (unsigned n = 0; n < LOOPS; n++) {
        assert_int_equal(hd_loop_new(&t.loops[n], n, NULL), 0);
        t.doors[n].loop = t.loops[n];
        t.doors[n].test = &t;
        hd_rng_init(&t.doors[n].rng, n + 1);
    }
    t.backend.loop = t.loops[0];
    struct hd_pool_set_options opt = {.loops = t.loops,
                                      .n_loops = LOOPS,
                                      .backend = &t.backend.base,
                                      .memory_bytes = 5 << 20,
                                      .instance_bytes = 1 << 20};
    assert_int_equal(hd_pool_set_new(&t.set, &opt, NULL), 0);
    deploy(&t);
    hd_timer_start(t.loops[0], &t.deploy, 10, on_deploy);
    for (int n = 0; n < LOOPS; n++)
        hd_loop_post(t.loops[n], open_door, &t.doors[n]);
    for (int n = 1; n < LOOPS; n++)
        assert_int_equal(hd_loop_start(t.loops[n], NULL), 0);
    hd_loop_run(t.loops[0]);
    for (int n = 1; n < LOOPS; n++)
        hd_loop_join(t.loops[n]);

    unsigned asked = 0, granted = 0, refused = 0, left = 0;
    for (int n = 0; n < LOOPS; n++) {
        const struct door *d = &t.doors[n];
        assert_int_equal(d->wrong, 0);
        assert_int_equal(d->waiting, 0);
        asked += d->asked;
        granted += d->granted;
        refused += d->refused;
        left += d->left;
    }
    assert_true(t.closed);
    assert_int_equal(asked, LOOPS * TAKES);
    assert_int_equal(asked, granted + refused + left);
    assert_true(granted > asked / 2);
    assert_int_equal(t.counters.left, left);
    assert_in_range(t.counters.requests, granted, granted + left);
    assert_int_equal(t.backend.alive, 0);
    assert_int_equal(t.backend.wrong, 0);
    assert_int_equal(hd_pool_set_memory(t.set), 0);
    hd_pool_set_free(t.set);
    for (int n = 0; n < LOOPS; n++)
        hd_loop_free(t.loops[n]);
    struct hd_list *item;
    while ((item = hd_list_pop(&t.backend.fakes)) != NULL)
        free(hd_container_of(item, struct fake, link));
    (void)state;
}

/* --- one place, two loops that want it at the same time, over and over --- */

enum { HANDOFFS = 20000 };

struct rival {
    struct hd_lease lease;
    struct handoff *h;
    struct hd_loop *loop;
    unsigned asked, granted;
};

struct handoff {
    struct hd_loop *loops[LOOPS];
    struct rival rivals[2];
    struct fake_backend backend;
    struct hd_pool_set *set;
    struct hd_pool *pool;
    atomic_uint inside, wrong, refused, over;
};

static void on_handoff_closed(void *arg)
{
    struct handoff *h = arg;
    for (int n = 0; n < LOOPS; n++)
        hd_loop_stop(h->loops[n]);
}

static void end_handoff(void *arg)
{
    struct handoff *h = arg;
    hd_pool_unref(h->pool);
    hd_pool_set_close(h->set, 100, on_handoff_closed, h);
}

static void want(void *arg);

static void use_and_give(struct rival *r)
{
    struct handoff *h = r->h;
    r->granted++;
    if (atomic_fetch_add(&h->inside, 1) > 0)
        atomic_fetch_add(&h->wrong, 1);
    atomic_fetch_sub(&h->inside, 1);
    hd_pool_give(&r->lease, HD_LEASE_OK);
    hd_loop_post(r->loop, want, r);
}

static void on_turn(struct hd_lease *lease, const struct hd_error *err)
{
    struct rival *r = hd_container_of(lease, struct rival, lease);
    if (err == NULL) {
        use_and_give(r);
        return;
    }
    atomic_fetch_add(&r->h->refused, 1);
    hd_loop_post(r->loop, want, r);
}

static void want(void *arg)
{
    struct rival *r = arg;
    if (r->asked == HANDOFFS || atomic_load(&r->h->refused) > 0) {
        if (atomic_fetch_add(&r->h->over, 1) == 1)
            hd_loop_post(r->h->loops[0], end_handoff, r->h);
        return;
    }
    r->asked++;
    r->lease.on_granted = on_turn;
    if (hd_pool_take(r->h->pool, &r->lease, r->loop, NULL) == 1)
        use_and_give(r);
}

static void a_place_that_is_given_while_another_asks_is_not_lost(void **state)
{
    static struct handoff h;
    h.backend = (struct fake_backend){.base.ops = &fake_ops, .steady = true};
    hd_list_init(&h.backend.fakes);
    for (unsigned n = 0; n < LOOPS; n++)
        assert_int_equal(hd_loop_new(&h.loops[n], n, NULL), 0);
    h.backend.loop = h.loops[0];
    struct hd_pool_set_options opt = {
        .loops = h.loops, .n_loops = LOOPS, .backend = &h.backend.base};
    struct hd_pool_spec spec = {
        .key = "f",
        .launch = {.function = "f", .version = "1"},
        .limits = {.concurrency = 1,
                   .max = 1,
                   .queue_max = 10,
                   .wait_ms = 2000, /* what is lost is found out by this */
                   .start_timeout_ms = 1000},
    };
    assert_int_equal(hd_pool_set_new(&h.set, &opt, NULL), 0);
    assert_int_equal(hd_pool_set_put(h.set, &h.pool, &spec, NULL), 0);
    for (unsigned n = 0; n < 2; n++) {
        h.rivals[n] = (struct rival){.h = &h, .loop = h.loops[n + 1]};
        hd_loop_post(h.loops[n + 1], want, &h.rivals[n]);
    }
    for (int n = 1; n < LOOPS; n++)
        assert_int_equal(hd_loop_start(h.loops[n], NULL), 0);
    hd_loop_run(h.loops[0]);
    for (int n = 1; n < LOOPS; n++)
        hd_loop_join(h.loops[n]);
    assert_int_equal(h.refused, 0);
    assert_int_equal(h.wrong, 0);
    assert_int_equal(h.rivals[0].granted + h.rivals[1].granted, 2 * HANDOFFS);
    hd_pool_set_free(h.set);
    for (int n = 0; n < LOOPS; n++)
        hd_loop_free(h.loops[n]);
    free(hd_container_of(hd_list_pop(&h.backend.fakes), struct fake, link));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_has_one_outcome_under_threads),
        cmocka_unit_test(a_place_that_is_given_while_another_asks_is_not_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
