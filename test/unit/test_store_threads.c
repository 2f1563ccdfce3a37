/* test_store_threads.c - loops on threads of their own put, claim and settle at once, while others
 * look. Made for the thread sanitizer; the counts must come out right without. */
#include "core/id.h"
#include "store_rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { LOOPS = 3, PUTS = 1500, WINDOW = 32, CLAIM = 16 };

struct door {
    struct hd_loop *loop;
    struct test *test;
    struct hd_rng rng;
    char queue[8];
    int asked, kept, claims; /* claims under way */
    struct hd_timer again;
};

struct test {
    struct hd_store *store;
    struct door doors[LOOPS];
    atomic_int kept, delivered, retried, failures, left;
    atomic_bool over;
};

static void put(struct door *d);

static void on_kept(void *arg, const struct hd_error *err)
{
    struct door *d = arg;
    if (err != NULL)
        atomic_fetch_add(&d->test->failures, 1);
    atomic_fetch_add(&d->test->kept, 1);
    put(d);
}

/* Everybody puts into everybody's queue. */
static void put(struct door *d)
{
    char id[24];
    if (d->asked == PUTS)
        return;
    snprintf(id, sizeof(id), "%d", d->asked++);
    struct hd_queue_put item = {.queue = hd_str(d->test->doors[hd_rng_below(&d->rng, LOOPS)].queue),
                                .id = hd_str(id),
                                .meta = HD_LIT("{}"),
                                .body = hd_str(id)};
    if (hd_rng_below(&d->rng, 4) > 0) {
        hd_queue_put_one(d->test->store, &item, d->loop, on_kept, d);
        return;
    }
    struct hd_store_tx *tx = hd_store_begin(d->test->store);
    hd_store_put(tx, HD_RECORD_META, hd_str(id), hd_str("{}"));
    hd_queue_put(tx, &item);
    hd_store_commit(tx, d->loop, on_kept, d);
}

static void claim(struct door *d);

static void on_item(void *arg, const struct hd_queue_item *item)
{
    struct door *d = arg;
    struct test *t = d->test;
    if (item->attempts == 0 && hd_rng_below(&d->rng, 8) == 0) {
        atomic_fetch_add(&t->retried, 1);
        hd_queue_retry(t->store, item->seq, 1, 1);
        return;
    }
    hd_queue_done(t->store, item->seq);
    if (atomic_fetch_add(&t->delivered, 1) + 1 == LOOPS * PUTS)
        atomic_store(&t->over, true);
}

static void on_claimed(void *arg, int n, int64_t next_due_unix_ms, const struct hd_error *err)
{
    struct door *d = arg;
    d->claims--;
    if (err != NULL)
        atomic_fetch_add(&d->test->failures, 1);
    if (n > 0)
        claim(d);
    (void)next_due_unix_ms;
}

static void claim(struct door *d)
{
    if (d->claims == 2)
        return;
    d->claims++;
    hd_queue_claim(d->test->store, hd_str(d->queue), CLAIM, d->loop, on_item, on_claimed, d);
}

static void on_something(void *arg)
{
    claim(arg);
}

static void watch(struct hd_timer *timer)
{
    struct door *d = hd_container_of(timer, struct door, again);
    if (atomic_load(&d->test->over) && d->claims == 0) {
        hd_queue_unlisten(d->test->store, hd_str(d->queue));
        hd_loop_stop(d->loop);
        return;
    }
    hd_timer_start(d->loop, timer, 1, watch);
}

static void begin(void *arg)
{
    struct door *d = arg;
    hd_queue_listen(d->test->store, hd_str(d->queue), d->loop, on_something, d);
    for (int i = 0; i < WINDOW; i++)
        put(d);
    claim(d);
    hd_timer_start(d->loop, &d->again, 1, watch);
}

static void count_name(void *arg, struct hd_str queue)
{
    ++*(int *)arg;
    (void)queue;
}

static void *look(void *arg)
{
    struct test *t = arg;
    while (!atomic_load(&t->over)) {
        struct hd_store_stats stats;
        struct hd_queue_depth depth;
        int names = 0;
        hd_store_stats(t->store, &stats);
        hd_queue_depth(t->store, hd_str("q1"), &depth);
        hd_queue_names(t->store, count_name, &names);
        if (names > LOOPS || depth.queued > LOOPS * PUTS)
            atomic_fetch_add(&t->failures, 1);
        usleep(500);
    }
    return NULL;
}

static void all_is_delivered_once(void **state)
{
    struct rig rig;
    static struct test t;
    pthread_t looker;
    rig_init(&rig);
    rig_open(&rig);
    t.store = rig.store;
    for (int i = 0; i < LOOPS; i++) {
        struct door *d = &t.doors[i];
        d->test = &t;
        hd_rng_init(&d->rng, (uint64_t)i + 1);
        snprintf(d->queue, sizeof(d->queue), "q%d", i);
        assert_int_equal(hd_loop_new(&d->loop, (unsigned)i + 1, NULL), 0);
        hd_loop_post(d->loop, begin, d);
    }
    assert_int_equal(pthread_create(&looker, NULL, look, &t), 0);
    for (int i = 0; i < LOOPS; i++)
        assert_int_equal(hd_loop_start(t.doors[i].loop, NULL), 0);
    for (int i = 0; i < LOOPS; i++)
        hd_loop_join(t.doors[i].loop);
    pthread_join(looker, NULL);
    assert_int_equal(atomic_load(&t.kept), LOOPS * PUTS);
    assert_int_equal(atomic_load(&t.delivered), LOOPS * PUTS);
    assert_true(atomic_load(&t.retried) > 0);
    assert_int_equal(atomic_load(&t.failures), 0);
    rig_settled(&rig);
    for (int i = 0; i < LOOPS; i++) {
        struct hd_queue_depth d = rig_depth(&rig, t.doors[i].queue);
        assert_int_equal(d.queued + d.running + d.dead, 0);
    }
    rig_done(&rig);
    for (int i = 0; i < LOOPS; i++)
        hd_loop_free(t.doors[i].loop);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_is_delivered_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
