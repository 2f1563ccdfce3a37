/* test_drain.c - many queues, so many at once, each in its turn. */
#include "core/clock.h"
#include "lambda/async/drain.h"
#include "store_rig.h"

#include <stdio.h>

enum { MOST = 512 };

struct drained {
    struct rig rig;
    struct hd_drain *drain;
    struct hd_drain_item *items[MOST]; /* under way */
    int n, begun;
    char order[MOST]; /* the first letter of each queue that began something */
    uint32_t room;
    bool at_once; /* work is done when it begins */
};

static void start(void *arg, struct hd_drain_item *item)
{
    struct drained *d = arg;
    assert_true(d->begun < MOST);
    d->order[d->begun++] = hd_drain_queue_name(item->queue).ptr[0];
    if (d->at_once)
        hd_drain_done(d->drain, item);
    else
        d->items[d->n++] = item;
}

static uint32_t room(void *arg, struct hd_str queue)
{
    (void)queue;
    return ((struct drained *)arg)->room;
}

static void make(struct drained *d, uint32_t max_each, uint32_t max_all)
{
    struct hd_drain_options opt = {.store = d->rig.store,
                                   .loop = d->rig.loop,
                                   .max_each = max_each,
                                   .max_all = max_all,
                                   .start = start,
                                   .room = room,
                                   .arg = d};
    d->drain = hd_drain_new(&opt);
    d->room = UINT32_MAX;
}

static int setup(void **state)
{
    static struct drained d;
    d = (struct drained){0};
    rig_init(&d.rig);
    rig_open(&d.rig);
    *state = &d;
    return 0;
}

static void on_flag(void *arg)
{
    *(bool *)arg = true;
}

static void close_drain(struct drained *d)
{
    bool closed = false;
    hd_drain_close(d->drain, on_flag, &closed);
    while (d->n > 0)
        hd_drain_done(d->drain, d->items[--d->n]);
    rig_until(&d->rig, &closed);
    hd_drain_free(d->drain);
    d->drain = NULL;
}

static int teardown(void **state)
{
    struct drained *d = *state;
    if (d->drain != NULL)
        close_drain(d);
    rig_done(&d->rig);
    return 0;
}

static void put(struct drained *d, const char *queue, int n)
{
    struct hd_store_tx *tx = hd_store_begin(d->rig.store);
    for (int i = 0; i < n; i++) {
        struct hd_queue_put item = {
            .queue = hd_str(queue), .id = HD_LIT("i"), .meta = HD_LIT("{}"), .due_unix_ms = 1};
        hd_queue_put(tx, &item);
    }
    assert_int_equal(rig_commit(&d->rig, tx, NULL), 0);
}

/* Until nothing happens any more. */
static void still(struct drained *d)
{
    for (int same = 0, before = -1; same < 5; same++) {
        rig_settled(&d->rig);
        if (d->begun != before)
            same = 0;
        before = d->begun;
    }
}

static void end_one(struct drained *d)
{
    assert_true(d->n > 0);
    struct hd_drain_item *item = d->items[0];
    memmove(d->items, d->items + 1, (size_t)--d->n * sizeof(struct hd_drain_item *));
    hd_drain_done(d->drain, item);
}

static void all_of_a_queue_is_worked_off(void **state)
{
    struct drained *d = *state;
    make(d, 8, 64);
    d->at_once = true;
    put(d, "a", 200); /* what was there before, and what comes later */
    hd_drain_add(d->drain, hd_str("a"));
    hd_drain_add(d->drain, hd_str("a"));
    still(d);
    put(d, "a", 100);
    still(d);
    assert_int_equal(d->begun, 300);
    assert_int_equal(hd_drain_running(d->drain), 0);
    struct hd_queue_depth depth = rig_depth(&d->rig, "a");
    assert_int_equal(depth.queued + depth.running, 0);
}

static void no_more_than_so_many_are_under_way(void **state)
{
    struct drained *d = *state;
    make(d, 3, 7);
    for (int i = 0; i < 4; i++) {
        char queue[2] = {(char)('a' + i), '\0'};
        put(d, queue, 10);
        hd_drain_add(d->drain, hd_str(queue));
    }
    still(d);
    assert_int_equal(hd_drain_running(d->drain), 7);
    while (d->begun < 40) {
        int of[4] = {0};
        for (int i = 0; i < d->n; i++)
            of[hd_drain_queue_name(d->items[i]->queue).ptr[0] - 'a']++;
        for (int i = 0; i < 4; i++)
            assert_in_range(of[i], 0, 3);
        end_one(d);
        still(d);
        assert_in_range(hd_drain_running(d->drain), 0, 7);
    }
}

static void queues_take_turns(void **state)
{
    struct drained *d = *state;
    make(d, 8, 2);
    put(d, "a", 60);
    put(d, "b", 6);
    put(d, "c", 6);
    hd_drain_add(d->drain, hd_str("a"));
    hd_drain_add(d->drain, hd_str("b"));
    hd_drain_add(d->drain, hd_str("c"));
    still(d);
    while (d->begun < 72) {
        end_one(d);
        still(d);
    }
    int last_small = 0;
    for (int i = 0; i < 72; i++) {
        if (d->order[i] != 'a')
            last_small = i;
    }
    assert_in_range(last_small, 10, 26); /* a third each; not behind the sixty */
}

static void a_queue_that_is_held_waits_and_others_do_not(void **state)
{
    struct drained *d = *state;
    make(d, 1, 64);
    put(d, "a", 3);
    hd_drain_add(d->drain, hd_str("a"));
    still(d);
    struct hd_drain_queue *a = d->items[0]->queue;
    hd_drain_hold(d->drain, a, 1000);
    end_one(d);
    put(d, "b", 1);
    hd_drain_add(d->drain, hd_str("b"));
    put(d, "a", 1);
    still(d);
    assert_int_equal(d->begun, 2);
    assert_int_equal(d->order[1], 'b');
    hd_loop_advance(d->rig.loop, hd_loop_now_ms(d->rig.loop) + 999);
    still(d);
    assert_int_equal(d->begun, 2);
    hd_loop_advance(d->rig.loop, hd_loop_now_ms(d->rig.loop) + 1);
    still(d);
    assert_int_equal(d->begun, 3);
    assert_int_equal(d->order[2], 'a');
}

static void room_of_its_own_limits_a_queue_but_one_is_tried(void **state)
{
    struct drained *d = *state;
    make(d, 8, 64);
    put(d, "a", 10);
    d->room = 0;
    hd_drain_add(d->drain, hd_str("a"));
    still(d);
    assert_int_equal(d->begun, 1);
    d->room = 2;
    end_one(d);
    still(d);
    assert_in_range(d->begun, 2, 10);
}

static void items_come_back_when_they_are_due(void **state)
{
    struct drained *d = *state;
    make(d, 8, 64);
    put(d, "a", 1);
    hd_drain_add(d->drain, hd_str("a"));
    still(d);
    int64_t due = hd_clock_unix_ms() + 300;
    hd_drain_retry(d->drain, d->items[0], 5, due);
    d->n = 0;
    still(d);
    uint64_t start = hd_clock_ms();
    while (d->begun < 2) {
        hd_loop_advance(d->rig.loop, hd_loop_now_ms(d->rig.loop) + 1);
        rig_settled(&d->rig);
        assert_true(hd_clock_ms() - start < 60000);
    }
    assert_true(hd_clock_unix_ms() >= due);
    assert_int_equal(d->items[0]->attempts, 5);
    hd_drain_dead(d->drain, d->items[0], 6, hd_str("enough"));
    d->n = 0;
    still(d);
    assert_int_equal(rig_depth(&d->rig, "a").dead, 1);
}

static void what_was_not_begun_is_given_back_at_the_end(void **state)
{
    struct drained *d = *state;
    make(d, 4, 64);
    put(d, "a", 20);
    hd_drain_add(d->drain, hd_str("a"));
    still(d);
    assert_int_equal(d->begun, 4);
    close_drain(d);
    rig_settled(&d->rig);
    struct hd_queue_depth depth = rig_depth(&d->rig, "a");
    assert_int_equal(depth.running, 0);
    assert_int_equal(depth.queued, 16);
    assert_int_equal(d->begun, 4);
    put(d, "a", 1); /* nobody listens any more */
    rig_settled(&d->rig);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(all_of_a_queue_is_worked_off),
        CASE(no_more_than_so_many_are_under_way),
        CASE(queues_take_turns),
        CASE(a_queue_that_is_held_waits_and_others_do_not),
        CASE(room_of_its_own_limits_a_queue_but_one_is_tried),
        CASE(items_come_back_when_they_are_due),
        CASE(what_was_not_begun_is_given_back_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
