/* test/unit/test_rabbitmq.c - the broker thread, beside a broker that behaves badly when asked. */
#include "lanes/queue.h"

#include "fake_broker.h"
#include "test.h"

#include <stdio.h>

enum { PATIENCE_MS = 20000, MANY = 300 };

struct rig {
    struct hd_loop *loop;
    struct fake_broker *broker;
    char url[80];
    struct hd_lane_queue config;
    struct hd_lane_source *queue;
    unsigned done, failed, delivered, ups, downs, closed;
    struct hd_error last; /* of a publish */
    char why[240];        /* it was disconnected */
    enum hd_lane_settle how;
    bool settles; /* each delivery at once */
    uint64_t tags[MANY];
    unsigned n_tags;
};

static const char *name_of(char *room, size_t size, unsigned i)
{
    snprintf(room, size, "message %u", i);
    return room;
}

static void on_delivery(void *arg, struct hd_lane_source *q, const struct hd_lane_delivery *d)
{
    struct rig *r = arg;
    r->delivered++;
    if (r->settles)
        q->ops->settle(q, d->tag, r->how, hd_str("again"));
    else if (r->n_tags < MANY)
        r->tags[r->n_tags++] = d->tag;
}

static void on_state(void *arg, struct hd_lane_source *q, bool connected,
                     const struct hd_error *why)
{
    struct rig *r = arg;
    *(connected ? &r->ups : &r->downs) += 1;
    if (why != NULL)
        snprintf(r->why, sizeof(r->why), "%s", why->msg);
    (void)q;
}

static void on_published(void *arg, const struct hd_error *err)
{
    struct rig *r = arg;
    r->done++;
    if (err == NULL)
        return;
    r->failed++;
    r->last = *err;
}

static void on_closed(void *arg)
{
    ((struct rig *)arg)->closed++;
}

/* --- waiting --- */

struct waiting {
    struct hd_timer timer;
    struct rig *rig;
    bool (*until)(struct rig *r);
    uint64_t left_ms;
};

static void look(struct hd_timer *t)
{
    struct waiting *w = hd_container_of(t, struct waiting, timer);
    if (w->until(w->rig) || w->left_ms-- == 0)
        hd_loop_stop(w->rig->loop);
    else
        hd_timer_start(w->rig->loop, t, 1, look);
}

static void wait_until(struct rig *r, bool (*until)(struct rig *r), const char *what)
{
    struct waiting w = {.rig = r, .until = until, .left_ms = PATIENCE_MS};
    hd_timer_start(r->loop, &w.timer, 0, look);
    hd_loop_run(r->loop);
    if (!until(r))
        fail_msg("%s did not happen", what);
}

static bool is_up(struct rig *r)
{
    return r->ups > r->downs;
}

static bool is_down(struct rig *r)
{
    return r->downs > 0;
}

static bool was_down(struct rig *r)
{
    return r->downs > 0 && is_up(r);
}

static bool all_done(struct rig *r)
{
    return r->done == MANY;
}

static bool one_done(struct rig *r)
{
    return r->done == 1;
}

static bool all_settled(struct rig *r)
{
    struct fake_counts c = fake_broker_counts(r->broker);
    return c.ready == 0 && c.unacked == 0 && c.acked + c.rejected >= MANY;
}

static bool window_full(struct rig *r)
{
    return fake_broker_counts(r->broker).unacked == 5 && r->delivered >= 5;
}

static bool is_closed(struct rig *r)
{
    return r->closed == 1;
}

/* --- the rig --- */

static int setup(void **state)
{
    static const struct hd_lane_queue_events events = {.on_delivery = on_delivery,
                                                       .on_state = on_state};
    struct rig *r = hd_new(struct rig);
    assert_int_equal(hd_loop_new(&r->loop, 0, NULL), 0);
    r->broker = fake_broker_new();
    snprintf(r->url, sizeof(r->url), "amqp://guest:guest@127.0.0.1:%u/%%2f?heartbeat=30",
             fake_broker_port(r->broker));
    r->config = (struct hd_lane_queue){.name = (char *)"q",
                                       .driver = HD_DRIVER_RABBITMQ,
                                       .url = r->url,
                                       .queue_name = (char *)"q",
                                       .durable = true,
                                       .quorum = true,
                                       .message_ttl_ms = -1,
                                       .prefetch = 10,
                                       .publish_confirm = true,
                                       .reconnect = true,
                                       .reconnect_attempts = 5,
                                       .reconnect_initial_ms = 5,
                                       .reconnect_max_ms = 20};
    struct hd_lane_queue_options opt = {
        .config = &r->config, .loop = r->loop, .events = &events, .arg = r};
    r->settles = true;
    assert_int_equal(hd_lane_rabbitmq_open(&r->queue, &opt, NULL), 0);
    *state = r;
    return 0;
}

static void close_it(struct rig *r)
{
    r->queue->ops->close(r->queue, on_closed, r);
    wait_until(r, is_closed, "closing");
    r->queue = NULL;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    if (r->queue != NULL)
        close_it(r);
    if (r->broker != NULL)
        fake_broker_free(r->broker);
    hd_loop_free(r->loop);
    free(r);
    return 0;
}

static void publish(struct rig *r, unsigned n)
{
    char text[32];
    for (unsigned i = 0; i < n; i++)
        r->queue->ops->publish(r->queue, hd_str("id"), hd_str(name_of(text, sizeof(text), i)),
                               on_published, r);
}

/* --- tests --- */

static void what_is_published_is_confirmed_delivered_and_acknowledged(void **state)
{
    struct rig *r = *state;
    r->queue->ops->consume(r->queue, 64);
    publish(r, MANY);
    wait_until(r, all_done, "confirms");
    wait_until(r, all_settled, "settling");
    struct fake_counts c = fake_broker_counts(r->broker);
    assert_int_equal(r->failed, 0);
    assert_int_equal(r->delivered, MANY);
    assert_int_equal(c.acked, MANY);
    assert_int_equal(c.prefetch, 64);
    assert_int_equal(c.connections, 1);
}

static void rejected_ones_are_not_given_back(void **state)
{
    struct rig *r = *state;
    r->how = HD_LANE_REJECT;
    r->queue->ops->consume(r->queue, 8);
    publish(r, MANY);
    wait_until(r, all_settled, "settling");
    struct fake_counts c = fake_broker_counts(r->broker);
    assert_int_equal(c.rejected, MANY);
    assert_int_equal(c.requeued, 0);
}

static bool some_replaced(struct rig *r)
{
    return fake_broker_counts(r->broker).acked >= MANY;
}

static void a_replaced_one_is_published_before_it_is_acknowledged(void **state)
{
    struct rig *r = *state;
    r->how = HD_LANE_REPLACE;
    fake_broker_put(r->broker, "first");
    r->queue->ops->consume(r->queue, 8);
    wait_until(r, some_replaced, "going round");
    struct fake_counts c = fake_broker_counts(r->broker);
    assert_int_equal(c.ready + c.unacked, c.published + 1 - c.acked); /* at no time none */
    assert_true(c.published >= c.acked);
}

static void no_more_than_the_window_is_held(void **state)
{
    struct rig *r = *state;
    r->settles = false;
    for (int i = 0; i < 50; i++)
        fake_broker_put(r->broker, "x");
    r->queue->ops->consume(r->queue, 5);
    wait_until(r, window_full, "a full window");
    assert_int_equal(r->delivered, 5);
    struct hd_lane_queue_stats stats;
    r->queue->ops->stats(r->queue, &stats);
    assert_true(stats.connected);
}

static void what_the_broker_refuses_is_an_error(void **state)
{
    static const struct {
        enum fake_confirm how;
        const char *says;
    } cases[] = {{FAKE_NACK, "the broker refused the message"},
                 {FAKE_RETURN, "the queue q is not there any more"}};
    struct rig *r = *state;
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        fake_broker_confirm(r->broker, cases[i].how);
        r->done = r->failed = 0;
        publish(r, 1);
        wait_until(r, one_done, "an answer");
        assert_int_equal(r->failed, 1);
        assert_string_equal(r->last.msg, cases[i].says);
    }
}

static void a_connection_that_breaks_under_way_loses_nothing(void **state)
{
    struct rig *r = *state;
    wait_until(r, is_up, "connecting");
    r->queue->ops->consume(r->queue, 16);
    fake_broker_drop_after(r->broker, MANY / 2);
    publish(r, MANY);
    wait_until(r, all_done, "confirms");
    wait_until(r, all_settled, "settling");
    struct fake_counts c = fake_broker_counts(r->broker);
    assert_int_equal(r->failed, 0);
    assert_true(c.connections >= 2);
    assert_true(c.published >= MANY); /* what was not confirmed in time is there twice */
    assert_true(r->downs >= 1);
}

static void the_settlement_of_an_earlier_connection_is_void(void **state)
{
    struct rig *r = *state;
    r->settles = false;
    for (int i = 0; i < 5; i++)
        fake_broker_put(r->broker, "x");
    r->queue->ops->consume(r->queue, 5);
    wait_until(r, window_full, "a full window");
    fake_broker_drop_after(r->broker, 0);
    wait_until(r, was_down, "a new connection");
    wait_until(r, window_full, "the same again");
    for (unsigned i = 0; i < 5; i++)
        r->queue->ops->settle(r->queue, r->tags[i], HD_LANE_REJECT, hd_str(""));
    publish(r, 1); /* comes after the settlements */
    wait_until(r, one_done, "a confirm");
    assert_int_equal(fake_broker_counts(r->broker).rejected, 0);
}

static void a_broker_that_babbles_is_left_and_tried_again(void **state)
{
    struct rig *r = *state;
    wait_until(r, is_up, "connecting");
    fake_broker_babble(r->broker);
    wait_until(r, was_down, "a new connection");
    publish(r, 1);
    wait_until(r, one_done, "a confirm");
    assert_int_equal(r->failed, 0);
    assert_string_not_equal(r->why, "");
}

static bool some_refused(struct rig *r)
{
    if (r->failed == 0)
        publish(r, 1);
    return r->failed > 0;
}

static void without_a_broker_it_is_refused_at_once_and_can_be_closed(void **state)
{
    struct rig *r = *state;
    wait_until(r, is_up, "connecting");
    fake_broker_free(r->broker);
    r->broker = NULL;
    wait_until(r, is_down, "losing the connection");
    wait_until(r, some_refused, "a refusal");
    unsigned before = r->done;
    publish(r, 1);
    wait_until(r, some_refused, "the answer");
    assert_true(r->done >= before);
    assert_int_equal(r->last.code, HD_EBUSY);
    assert_non_null(strstr(r->last.msg, "the broker of the queue q cannot be reached"));
}

static void what_is_under_way_when_it_closes_is_answered_exactly_once(void **state)
{
    struct rig *r = *state;
    wait_until(r, is_up, "connecting");
    publish(r, MANY);
    close_it(r);
    assert_int_equal(r->done, MANY);
    assert_int_equal(r->failed, 0); /* their confirms are waited for */
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_published_is_confirmed_delivered_and_acknowledged),
        CASE(rejected_ones_are_not_given_back),
        CASE(a_replaced_one_is_published_before_it_is_acknowledged),
        CASE(no_more_than_the_window_is_held),
        CASE(what_the_broker_refuses_is_an_error),
        CASE(a_connection_that_breaks_under_way_loses_nothing),
        CASE(the_settlement_of_an_earlier_connection_is_void),
        CASE(a_broker_that_babbles_is_left_and_tried_again),
        CASE(without_a_broker_it_is_refused_at_once_and_can_be_closed),
        CASE(what_is_under_way_when_it_closes_is_answered_exactly_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
