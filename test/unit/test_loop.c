/* test_loop.c - posts keep their order across threads; timers fire once, in order. */
#include "core/loop.h"
#include "core/work.h"
#include "test.h"

#include <unistd.h>

struct order {
    struct hd_loop *loop;
    int seen[8], n;
    struct hd_timer timers[4];
};

static void note(struct order *o, int what)
{
    o->seen[o->n++] = what;
}

static struct order *g; /* timers have no argument but themselves */

static void on_late(struct hd_timer *t)
{
    note(g, (int)(t - g->timers));
    hd_loop_stop(g->loop);
}

static void on_timer(struct hd_timer *t)
{
    note(g, (int)(t - g->timers));
}

static void timers_fire_by_due_time_even_when_moved(void **state)
{
    struct order o = {0};
    g = &o;
    assert_int_equal(hd_loop_new(&o.loop, 0, NULL), 0);
    hd_timer_start(o.loop, &o.timers[0], 1, on_timer);
    hd_timer_start(o.loop, &o.timers[1], 2, on_timer);
    hd_timer_start(o.loop, &o.timers[2], 1, on_timer);
    hd_timer_start(o.loop, &o.timers[3], 40, on_late);
    hd_timer_start(o.loop, &o.timers[0], 20, on_timer); /* later, in place */
    hd_timer_start(o.loop, &o.timers[3], 60, on_late);
    hd_timer_start(o.loop, &o.timers[3], 30, on_late); /* earlier again */
    hd_timer_stop(o.loop, &o.timers[2]);
    assert_false(hd_timer_active(&o.timers[2]));
    hd_loop_run(o.loop);
    assert_int_equal(o.n, 3);
    assert_int_equal(o.seen[0], 1);
    assert_int_equal(o.seen[1], 0);
    assert_int_equal(o.seen[2], 3);
    hd_loop_free(o.loop);
    (void)state;
}

struct count {
    struct hd_loop *loop;
    int next, wrong;
};

struct numbered {
    struct count *c;
    int i;
};

static void on_post(void *arg)
{
    struct numbered *n = arg;
    if (n->i != n->c->next++)
        n->c->wrong++;
    free(n);
}

static void posts_arrive_in_order_and_before_the_stop(void **state)
{
    struct count c = {0};
    assert_int_equal(hd_loop_new(&c.loop, 3, NULL), 0);
    assert_int_equal(hd_loop_index(c.loop), 3);
    assert_int_equal(hd_loop_start(c.loop, NULL), 0);
    for (int i = 0; i < 10000; i++) {
        struct numbered *n = hd_new(struct numbered);
        *n = (struct numbered){&c, i};
        hd_loop_post(c.loop, on_post, n);
    }
    hd_loop_stop(c.loop);
    hd_loop_join(c.loop);
    assert_int_equal(c.next, 10000);
    assert_int_equal(c.wrong, 0);
    hd_loop_free(c.loop);
    (void)state;
}

/* Posts of the loop's own thread. */
struct own {
    struct hd_loop *loop;
    struct hd_timer timer;
    struct hd_watched reader;
    int pipe[2], turns, read_after;
    bool inside, from_inside, timer_fired;
};

static void on_own_post(void *arg)
{
    struct own *o = arg;
    o->from_inside |= o->inside;
    o->turns++;
    if (o->timer_fired && o->read_after > 0) {
        hd_loop_stop(o->loop);
        return;
    }
    o->inside = true;
    hd_loop_post(o->loop, on_own_post, o);
    o->inside = false;
    if (o->turns == 3)
        assert_int_equal(write(o->pipe[1], "x", 1), 1);
}

static void on_own_readable(struct hd_watched *w, uint32_t events)
{
    struct own *o = hd_container_of(w, struct own, reader);
    if (events & EPOLLIN)
        o->read_after = o->turns;
}

static void on_own_timer(struct hd_timer *t)
{
    struct own *o = hd_container_of(t, struct own, timer);
    o->timer_fired = true;
}

static void who_posts_to_itself_again_and_again_lets_others_have_their_turn(void **state)
{
    struct own o = {.reader.on_ready = on_own_readable};
    assert_int_equal(hd_loop_new(&o.loop, 0, NULL), 0);
    assert_int_equal(pipe(o.pipe), 0);
    assert_int_equal(hd_ready_watch(hd_loop_ready(o.loop), &o.reader, o.pipe[0]), 0);
    hd_timer_start(o.loop, &o.timer, 2, on_own_timer);
    hd_loop_post(o.loop, on_own_post, &o);
    hd_loop_run(o.loop);
    assert_false(o.from_inside);
    assert_true(o.turns > 3);
    assert_true(o.read_after >= 3);
    hd_ready_stop(hd_loop_ready(o.loop), &o.reader);
    close(o.pipe[0]);
    close(o.pipe[1]);
    hd_loop_free(o.loop);
    (void)state;
}

static void on_first_of_two(void *arg)
{
    struct count *c = arg;
    struct numbered *own = hd_new(struct numbered);
    *own = (struct numbered){c, c->next};
    hd_loop_post(c->loop, on_post, own); /* and the loop sleeps: nobody else wakes it */
    hd_loop_stop(c->loop);
}

static void a_loop_that_nobody_wakes_runs_what_it_posted_itself(void **state)
{
    struct count c = {0};
    assert_int_equal(hd_loop_new(&c.loop, 0, NULL), 0);
    for (int round = 1; round <= 2; round++) { /* it can be run again */
        hd_loop_post(c.loop, on_first_of_two, &c);
        hd_loop_run(c.loop);
        assert_int_equal(c.next, round);
        assert_int_equal(c.wrong, 0);
    }
    hd_loop_free(c.loop);
    (void)state;
}

struct job {
    struct hd_loop *loop;
    int value;
};

static void square(void *arg)
{
    struct job *j = arg;
    j->value *= j->value;
}

static void finish(void *arg)
{
    struct job *j = arg;
    hd_loop_stop(j->loop);
}

static void work_runs_off_the_loop_and_comes_back(void **state)
{
    struct job j = {.value = 12};
    assert_int_equal(hd_loop_new(&j.loop, 0, NULL), 0);
    assert_int_equal(hd_work(j.loop, square, finish, &j, NULL), 0);
    hd_loop_run(j.loop);
    assert_int_equal(j.value, 144);
    hd_loop_free(j.loop);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_by_due_time_even_when_moved),
        cmocka_unit_test(posts_arrive_in_order_and_before_the_stop),
        cmocka_unit_test(who_posts_to_itself_again_and_again_lets_others_have_their_turn),
        cmocka_unit_test(a_loop_that_nobody_wakes_runs_what_it_posted_itself),
        cmocka_unit_test(work_runs_off_the_loop_and_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
