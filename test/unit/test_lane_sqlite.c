/* test/unit/test_lane_sqlite.c - the durable queue of the lanes, where the store refuses. */
#include "lanes/queue.h"
#include "store_rig.h"

static void on_delivery(void *arg, struct hd_lane_source *q, const struct hd_lane_delivery *d)
{
    (void)arg;
    q->ops->settle(q, d->tag, HD_LANE_ACK, hd_str(""));
}

static void on_state(void *arg, struct hd_lane_source *q, bool connected,
                     const struct hd_error *why)
{
    (void)arg;
    (void)q;
    (void)connected;
    (void)why;
}

static void on_flag(void *arg)
{
    *(bool *)arg = true;
}

/* A store that answers nothing any more is asked again, but not by a queue that is gone. */
static void a_queue_that_is_closed_asks_no_more(void **state)
{
    static const struct hd_lane_queue_events events = {.on_delivery = on_delivery,
                                                       .on_state = on_state};
    struct rig *r = *state;
    char name[] = "q";
    struct hd_lane_queue config = {.name = name, .queue_name = name};
    struct hd_lane_queue_options opt = {
        .config = &config, .loop = r->loop, .store = r->store, .events = &events};
    struct hd_lane_source *q = NULL;
    bool store_closed = false, closed = false;
    assert_int_equal(hd_lane_sqlite_open(&q, &opt, NULL), 0);
    hd_store_close(r->store, r->loop, on_flag, &store_closed);
    q->ops->consume(q, 1);
    q->ops->close(q, on_flag, &closed);
    rig_until(r, &closed);
    rig_until(r, &store_closed);
    hd_loop_advance(r->loop, hd_loop_now_ms(r->loop) + 5000);
    hd_store_free(r->store);
    r->store = NULL;
}

static int setup(void **state)
{
    static struct rig rig;
    rig_init(&rig);
    rig_open(&rig);
    *state = &rig;
    return 0;
}

static int teardown(void **state)
{
    rig_done(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_queue_that_is_closed_asks_no_more, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
