/* test_witness.c - the real pool on virtual time, and a backend whose output is late: what a holder
 * of a place is told of lines and of the end. */
#include "pool/set.h"
#include "pool/witness.h"
#include "test.h"

/* --- a backend with one instance --- */

struct rig {
    struct hd_backend base;
    struct hd_loop *loop;
    struct hd_pool_set *set;
    struct hd_pool *pool;
    struct hd_lease lease;
    struct hd_witness w;
    uint64_t now_ms;
    unsigned done;
    const struct hd_backend_events *events;
    void *owner;
    bool gone, told_to_end;
    const char *unread[8][2]; /* id and text of what was written and not reported yet */
    unsigned n_unread, flushes;
    bool slow; /* it never says that it has flushed */
    void (*flushed)(void *owner);
    void *flush_owner;
    struct hd_timer timer;
};

static struct rig *rig_of(struct hd_instance_handle *h)
{
    return (struct rig *)h;
}

static void on_ready(struct hd_timer *t)
{
    struct rig *r = hd_container_of(t, struct rig, timer);
    struct hd_endpoint at = {.kind = HD_ENDPOINT_TCP};
    r->events->on_ready(r->owner, &at, NULL);
}

static struct hd_instance_handle *launch(struct hd_backend *b, const struct hd_launch *what,
                                         const struct hd_backend_events *events, void *owner)
{
    struct rig *r = hd_container_of(b, struct rig, base);
    r->events = events;
    r->owner = owner;
    r->gone = false;
    hd_timer_start(r->loop, &r->timer, 1, on_ready);
    (void)what;
    return (struct hd_instance_handle *)r;
}

static void on_ended(struct hd_timer *t)
{
    struct rig *r = hd_container_of(t, struct rig, timer);
    r->gone = true;
    r->events->on_gone(r->owner, NULL);
}

static void terminate(struct hd_instance_handle *h, uint32_t grace_ms)
{
    struct rig *r = rig_of(h);
    r->told_to_end = true;
    hd_timer_start(r->loop, &r->timer, 1, on_ended);
    (void)grace_ms;
}

static void ping(struct hd_instance_handle *h, uint32_t within_ms,
                 void (*done)(void *owner, int rc), void *owner)
{
    (void)h;
    (void)within_ms;
    (void)done;
    (void)owner;
}

static void report(struct rig *r)
{
    for (unsigned n = 0; n < r->n_unread; n++)
        r->events->on_line(r->owner, hd_str(r->unread[n][0]), HD_INFO, hd_str(r->unread[n][1]));
    r->n_unread = 0;
}

static void on_flushed(struct hd_timer *t)
{
    struct rig *r = hd_container_of(t, struct rig, timer);
    report(r);
    r->flushed(r->flush_owner);
}

static void flush_output(struct hd_instance_handle *h, void (*done)(void *owner), void *owner)
{
    struct rig *r = rig_of(h);
    r->flushed = done;
    r->flush_owner = owner;
    r->flushes++;
    if (!r->slow)
        hd_timer_start(r->loop, &r->timer, 2, on_flushed);
}

static uint64_t number(struct hd_instance_handle *h)
{
    (void)h;
    return 30 << 20;
}

static uint64_t peak(struct hd_instance_handle *h)
{
    (void)h;
    return 70 << 20;
}

static const struct hd_backend_ops ops = {.name = "rig",
                                          .launch = launch,
                                          .terminate = terminate,
                                          .ping = ping,
                                          .flush_output = flush_output,
                                          .rss_bytes = number,
                                          .peak_bytes = peak,
                                          .cpu_us = number};

static void prints(struct rig *r, const char *id, const char *text)
{
    r->unread[r->n_unread][0] = id;
    r->unread[r->n_unread++][1] = text;
}

/* --- time --- */

static void pass(struct rig *r, uint64_t ms)
{
    for (uint64_t until = r->now_ms + ms;; r->now_ms++) {
        while (hd_loop_advance(r->loop, r->now_ms))
            ;
        if (r->now_ms == until)
            return;
    }
}

static void on_granted(struct hd_lease *lease, const struct hd_error *err)
{
    assert_null(err);
    assert_true(lease->first);
}

static void on_done(struct hd_witness *w)
{
    hd_container_of(w, struct rig, w)->done++;
}

static struct rig *setup(void)
{
    struct rig *r = hd_new(struct rig);
    struct hd_error err;
    r->base.ops = &ops;
    r->now_ms = 1000;
    assert_int_equal(hd_loop_new(&r->loop, 0, &err), 0);
    hd_loop_set_virtual(r->loop, r->now_ms);
    struct hd_pool_set_options opt = {.loops = &r->loop, .n_loops = 1, .backend = &r->base};
    assert_int_equal(hd_pool_set_new(&r->set, &opt, &err), 0);
    struct hd_pool_spec spec = {.key = "f",
                                .launch = {.function = "f", .version = "1"},
                                .limits = {.concurrency = 1,
                                           .max = 1,
                                           .queue_max = 10,
                                           .wait_ms = 1000,
                                           .start_timeout_ms = 1000,
                                           .max_starting = 1}};
    assert_int_equal(hd_pool_set_put(r->set, &r->pool, &spec, &err), 0);
    r->lease.on_granted = on_granted;
    r->w.done = on_done;
    r->w.id = hd_str("one");
    r->w.alone = true;
    assert_int_equal(hd_pool_take(r->pool, &r->lease, r->loop, &err), 0);
    pass(r, 5);
    assert_non_null(r->lease.instance);
    return r;
}

static void on_closed(void *arg)
{
    bool *closed = arg;
    *closed = true;
}

static void teardown(struct rig *r)
{
    bool closed = false;
    hd_witness_done(&r->w);
    if (r->lease.instance != NULL)
        hd_pool_give(&r->lease, HD_LEASE_OK);
    hd_pool_set_close(r->set, 10, on_closed, &closed);
    pass(r, 50);
    assert_true(closed);
    hd_pool_unref(r->pool);
    hd_pool_set_free(r->set);
    hd_loop_free(r->loop);
    free(r);
}

static void assert_tail(const struct rig *r, const char *expected)
{
    assert_int_equal(r->w.tail.len, strlen(expected));
    if (r->w.tail.len > 0)
        assert_memory_equal(r->w.tail.ptr, expected, r->w.tail.len);
}

/* --- claims --- */

static void lines_from_before_and_of_others_are_not_in_the_tail(void **state)
{
    struct rig *r = setup();
    prints(r, "", "left over");
    hd_witness_begin(&r->w, &r->lease);
    assert_int_equal(r->done, 0);
    pass(r, 3);
    assert_int_equal(r->done, 1);
    assert_int_equal(r->flushes, 1);
    prints(r, "one", "mine");
    prints(r, "two", "somebody's");
    report(r);
    prints(r, "", "raw");
    hd_witness_end(&r->w, &r->lease, 0);
    pass(r, 3);
    assert_int_equal(r->done, 2);
    assert_tail(r, "mine\nraw\n");
    assert_false(r->w.gone);
    prints(r, "one", "too late");
    report(r);
    assert_tail(r, "mine\nraw\n");
    assert_int_equal(hd_instance_peak_bytes(r->lease.instance), 70 << 20);
    teardown(r);
    (void)state;
}

static void raw_lines_belong_to_nobody_where_there_are_others(void **state)
{
    struct rig *r = setup();
    r->w.alone = false;
    hd_witness_begin(&r->w, &r->lease);
    pass(r, 3);
    prints(r, "", "raw");
    prints(r, "one", "mine");
    hd_witness_end(&r->w, &r->lease, 0);
    pass(r, 3);
    assert_tail(r, "mine\n");
    teardown(r);
    (void)state;
}

static void the_tail_is_the_end_of_what_was_written(void **state)
{
    struct rig *r = setup();
    static char line[1001];
    memset(line, 'x', 1000);
    hd_witness_begin(&r->w, &r->lease);
    pass(r, 3);
    for (int n = 0; n < 20; n++) {
        prints(r, "one", line);
        report(r);
    }
    prints(r, "one", "the last");
    hd_witness_end(&r->w, &r->lease, 0);
    pass(r, 3);
    assert_in_range(r->w.tail.len, HD_WITNESS_TAIL_BYTES, 2 * HD_WITNESS_TAIL_BYTES);
    assert_memory_equal(r->w.tail.ptr + r->w.tail.len - 9, "the last\n", 9);
    hd_witness_done(&r->w);
    static char huge[20001];
    memset(huge, 'y', 20000);
    hd_witness_begin(&r->w, &r->lease);
    pass(r, 3);
    prints(r, "one", huge);
    hd_witness_end(&r->w, &r->lease, 0);
    pass(r, 3);
    assert_int_equal(r->w.tail.len, HD_WITNESS_TAIL_BYTES);
    teardown(r);
    (void)state;
}

static void a_backend_that_does_not_flush_is_not_waited_for(void **state)
{
    struct rig *r = setup();
    r->slow = true;
    hd_witness_begin(&r->w, &r->lease);
    pass(r, HD_WITNESS_FLUSH_MS + 2);
    assert_int_equal(r->done, 1);
    prints(r, "one", "seen anyway");
    report(r);
    hd_witness_end(&r->w, &r->lease, 0);
    pass(r, HD_WITNESS_FLUSH_MS + 2);
    assert_int_equal(r->done, 2);
    assert_int_equal(r->flushes, 1); /* never two at a time */
    assert_tail(r, "seen anyway\n");
    r->flushed(r->flush_owner); /* at last: nobody is hurt */
    teardown(r);
    (void)state;
}

static void how_it_ended_is_told_when_it_is_known(void **state)
{
    struct rig *r = setup();
    struct hd_error err;
    const struct hd_exit_status how = {.signal = 9, .oom = true};
    prints(r, "", "last words");
    hd_witness_begin(&r->w, &r->lease);
    pass(r, 3);
    hd_witness_end(&r->w, &r->lease, 100);
    pass(r, 20);
    assert_int_equal(r->done, 1);
    prints(r, "", "Killed");
    report(r);
    r->events->on_exit(r->owner, &how);
    hd_fail(&err, HD_EIO, "killed by SIGKILL (memory limit)");
    r->gone = true;
    r->events->on_gone(r->owner, &err);
    pass(r, 1);
    assert_int_equal(r->done, 2);
    assert_true(r->w.gone && r->w.exited && r->w.exit.oom);
    assert_int_equal(r->w.exit.signal, 9);
    assert_string_equal(r->w.how.msg, err.msg);
    assert_tail(r, "Killed\n");
    hd_pool_give(&r->lease, HD_LEASE_BROKEN);
    teardown(r);
    (void)state;
}

static void one_that_is_gone_already_is_told_at_once_and_one_that_stays_in_time(void **state)
{
    struct rig *r = setup();
    struct hd_error err;
    hd_witness_end(&r->w, &r->lease, 100);
    pass(r, 99);
    assert_int_equal(r->done, 0);
    pass(r, 3);
    assert_int_equal(r->done, 1);
    assert_false(r->w.gone);
    hd_fail(&err, HD_EIO, "exited with code 3");
    r->gone = true;
    r->events->on_gone(r->owner, &err);
    hd_witness_end(&r->w, &r->lease, 100);
    pass(r, 1);
    assert_int_equal(r->done, 2);
    assert_true(r->w.gone);
    assert_string_equal(r->w.how.msg, err.msg);
    hd_pool_give(&r->lease, HD_LEASE_BROKEN);
    teardown(r);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_from_before_and_of_others_are_not_in_the_tail),
        cmocka_unit_test(raw_lines_belong_to_nobody_where_there_are_others),
        cmocka_unit_test(the_tail_is_the_end_of_what_was_written),
        cmocka_unit_test(a_backend_that_does_not_flush_is_not_waited_for),
        cmocka_unit_test(how_it_ended_is_told_when_it_is_known),
        cmocka_unit_test(one_that_is_gone_already_is_told_at_once_and_one_that_stays_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
