/* test/unit/test_consumer.c - deliveries under a clock that is moved by hand, from a queue that
 * only notes how each of them is settled. */
#include "lanes/consumer.h"

#include "lanes/envelope.h"
#include "test.h"

#include <stdio.h>
#include <unistd.h>

static const char config[] =
    "lanes:\n"
    "  profile: mail\n"
    "  debug: true\n"
    "  profiles: { mail: { consume: [orders] } }\n"
    "  events: { placed: { lane: orders }, paid: { lane: bills } }\n"
    "  hooks: [ { event: placed, function: hook } ]\n"
    "  event_lanes: { orders: {}, bills: {} }\n"
    "  queues: { q: { driver: memory }, r: { driver: memory } }\n"
    "  bindings: [ { lane: orders, queue: q, max_attempts: 3, retry_delay_ms: 500 },\n"
    "              { lane: bills, queue: r } ]\n";

struct rig {
    struct hd_loop *loop;
    uint64_t now_ms;
    struct hd_topology *topology;
    struct hd_lane_runner *runner;
    struct hd_lane_metrics *metrics;
    struct hd_log *log;
    int log_fds[2];
    struct hd_lane_source queue;
    struct hd_consumer *consumer;
    struct hd_buf settled; /* "1:ack 2:return ", in order */
    unsigned failures_left, runs;
};
static struct rig *rig; /* of the test that runs */

/* --- a queue --- */

static void on_settle(struct hd_lane_source *q, uint64_t tag, enum hd_lane_settle how,
                      struct hd_str body)
{
    static const char *const names[] = {[HD_LANE_ACK] = "ack",
                                        [HD_LANE_REJECT] = "reject",
                                        [HD_LANE_RETURN] = "return",
                                        [HD_LANE_REPLACE] = "replace"};
    hd_buf_fmt(&rig->settled, "%llu:%s ", (unsigned long long)tag, names[how]);
    if (how == HD_LANE_REJECT)
        hd_buf_fmt(&rig->settled, "(%.*s) ", HD_FMT(body));
    (void)q;
}

static void on_consume(struct hd_lane_source *q, uint32_t prefetch)
{
    (void)q;
    (void)prefetch;
}

static void on_cooldown(struct hd_lane_source *q)
{
    (void)q;
}

static const struct hd_lane_queue_ops ops = {
    .name = "noting", .consume = on_consume, .cooldown = on_cooldown, .settle = on_settle};

static int hook(void *arg, struct hd_str event, struct hd_str context, struct hd_buf *answer)
{
    (void)arg;
    (void)event;
    (void)context;
    (void)answer;
    rig->runs++;
    if (rig->failures_left == 0)
        return 0;
    rig->failures_left--;
    return -1;
}

static const struct hd_lane_native natives[] = {{.function = "hook", .run = hook}};

/* --- the rig --- */

static int setup(void **state)
{
    struct rig *r = rig = hd_new(struct rig);
    struct hd_error err;
    r->now_ms = 1000;
    assert_int_equal(hd_loop_new(&r->loop, 0, NULL), 0);
    hd_loop_set_virtual(r->loop, r->now_ms);
    if (hd_topology_read(&r->topology, "heddle.yml", hd_str(config), NULL, NULL, NULL, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(pipe(r->log_fds), 0);
    struct hd_log_options log = {
        .fd = r->log_fds[1], .level = HD_INFO, .format = HD_LOG_JSON, .max_bytes = 1 << 16};
    assert_int_equal(hd_log_new(&r->log, &log, NULL), 0);
    r->metrics = hd_lane_metrics_new(1);
    struct hd_lane_runner_options runner = {
        .topology = r->topology, .log = r->log, .natives = natives, .n_natives = 1};
    r->runner = hd_lane_runner_new(&runner);
    r->queue = (struct hd_lane_source){.ops = &ops, .config = r->topology->queues[0]};
    struct hd_consumer_options opt = {.topology = r->topology,
                                      .runner = r->runner,
                                      .metrics = r->metrics,
                                      .loop = r->loop,
                                      .log = r->log};
    r->consumer = hd_consumer_new(&opt, &r->queue);
    hd_buf_init(&r->settled, 1 << 16);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    hd_consumer_free(r->consumer);
    hd_lane_runner_free(r->runner);
    hd_lane_metrics_free(r->metrics);
    hd_log_free(r->log);
    close(r->log_fds[0]);
    close(r->log_fds[1]);
    hd_topology_free(r->topology);
    hd_loop_free(r->loop);
    hd_buf_done(&r->settled);
    free(r);
    return 0;
}

static void wait_for(uint64_t ms)
{
    rig->now_ms += ms;
    while (hd_loop_advance(rig->loop, rig->now_ms))
        ;
}

static void deliver_again(uint64_t tag, const char *lane, const char *event, uint32_t attempts,
                          uint32_t lost, uint32_t delivered)
{
    struct hd_buf body;
    struct hd_envelope e = {.lane_id = hd_str(lane),
                            .event_id = hd_str(event),
                            .payload = hd_str("{\"n\":1}"),
                            .source_kind = hd_str("runtime"),
                            .source_id = hd_str("runtime.api"),
                            .id = hd_str("m-1"),
                            .created_at = hd_str("2026-11-21T00:00:00.000Z"),
                            .attempts = attempts};
    hd_buf_init(&body, 4096);
    hd_envelope_write(&body, &e);
    struct hd_lane_delivery d = {
        .tag = tag, .body = hd_buf_view(&body), .lost = lost, .delivery_count = delivered};
    hd_consumer_deliver(rig->consumer, &d);
    hd_buf_done(&body);
}

static void deliver(uint64_t tag, const char *lane, const char *event, uint32_t attempts)
{
    deliver_again(tag, lane, event, attempts, 0, 0);
}

static const char *settled(void)
{
    hd_buf_char(&rig->settled, '\0');
    rig->settled.len--;
    return rig->settled.ptr;
}

/* What was logged so far. */
static void logged(char *out, size_t size)
{
    hd_log_free(rig->log);
    rig->log = NULL;
    ssize_t n = read(rig->log_fds[0], out, size - 1);
    out[n > 0 ? n : 0] = '\0';
}

/* --- tests --- */

static void a_lane_of_others_goes_back_with_back_off(void **state)
{
    struct rig *r = *state;
    deliver(1, "bills", "app.events.paid", 0);
    wait_for(999);
    assert_string_equal(settled(), "");
    wait_for(1);
    assert_string_equal(settled(), "1:return ");
    deliver(2, "bills", "app.events.paid", 0);
    wait_for(1999);
    assert_string_equal(settled(), "1:return ");
    wait_for(1);
    assert_string_equal(settled(), "1:return 2:return ");
    assert_int_equal(hd_consumer_active(r->consumer), 0);
    char text[4096];
    logged(text, sizeof(text));
    assert_non_null(strstr(text, "\"msg\":\"event-lanes.skip-inactive-lane\",\"messageId\":\"m-1\","
                                 "\"eventId\":\"app.events.paid\",\"laneId\":\"bills\","
                                 "\"profile\":\"mail\",\"activeLaneIds\":\"orders\","
                                 "\"routingDecision\":\"lane-not-consumed-by-profile\","
                                 "\"nackRequeue\":true"));
    assert_int_equal(r->runs, 0);
}

static void a_lane_of_nobody_is_a_dead_letter_in_the_end(void **state)
{
    struct rig *r = *state;
    for (uint64_t tag = 1; tag <= 21; tag++) {
        deliver(tag, "nowhere", "app.events.paid", 0);
        wait_for(30000);
    }
    assert_non_null(strstr(settled(), "20:return 21:reject (inactive_lane) "));
    deliver(22, "nowhere", "app.events.paid", 0); /* and is forgotten */
    wait_for(1000);
    assert_non_null(strstr(settled(), "22:return "));
    assert_int_equal(hd_consumer_active(r->consumer), 0);
    struct hd_buf text;
    hd_buf_init(&text, 1 << 16);
    hd_lane_metrics_write(r->metrics, &text);
    hd_buf_char(&text, '\0');
    assert_non_null(strstr(text.ptr, "lanes_events_skipped_total{lane=\"unknown\"} 22\n"));
    assert_non_null(strstr(text.ptr, "reason=\"inactive_lane\"} 1\n"));
    hd_buf_done(&text);
}

static void a_relay_says_what_it_relays(void **state)
{
    deliver(1, "orders", "app.events.placed", 0);
    assert_string_equal(settled(), "1:ack ");
    char text[4096];
    logged(text, sizeof(text));
    assert_non_null(strstr(text, "\"msg\":\"event-lanes.relay-emit\",\"messageId\":\"m-1\","
                                 "\"eventId\":\"app.events.placed\",\"laneId\":\"orders\","
                                 "\"profile\":\"mail\",\"relaySourceId\":"
                                 "\"runner.event-lanes.relay:mail:orders\""));
    (void)state;
}

static void a_hook_that_fails_holds_its_message_for_the_delay(void **state)
{
    struct rig *r = *state;
    r->failures_left = 3;
    deliver(1, "orders", "app.events.placed", 0);
    wait_for(499);
    assert_string_equal(settled(), "");
    wait_for(1);
    assert_string_equal(settled(), "1:replace ");
    deliver(2, "orders", "app.events.placed", 2); /* the third */
    assert_string_equal(settled(), "1:replace 2:reject (hook failed) ");
    assert_int_equal(r->runs, 2);
}

static void what_nodes_die_of_is_not_run_again(void **state)
{
    struct rig *r = *state;
    char text[4096];
    deliver_again(1, "orders", "app.events.placed", 0, 2, 2);
    deliver_again(2, "orders", "app.events.placed", 0, 3, 3);
    deliver_again(3, "orders", "app.events.placed", 0, 0, 20);
    assert_string_equal(settled(), "1:ack 2:reject (node_died) 3:reject (node_died) ");
    assert_int_equal(r->runs, 1);
    logged(text, sizeof(text));
    assert_non_null(strstr(text, "\"reason\":\"node_died\",\"error\":\"3 nodes that took it "
                                 "never said what came of it\""));
}

static void what_was_lost_with_the_connection_is_not_settled(void **state)
{
    struct rig *r = *state;
    r->failures_left = 1;
    deliver(1, "orders", "app.events.placed", 0);
    deliver(2, "bills", "app.events.paid", 0);
    assert_int_equal(hd_consumer_active(r->consumer), 2);
    hd_consumer_lost(r->consumer);
    assert_int_equal(hd_consumer_active(r->consumer), 0);
    wait_for(60000);
    assert_string_equal(settled(), "");
}

static void on_cool(void *arg)
{
    *(bool *)arg = true;
}

static void what_waits_goes_back_when_the_node_stops(void **state)
{
    struct rig *r = *state;
    bool cool = false;
    deliver(1, "bills", "app.events.paid", 0);
    hd_consumer_cooldown(r->consumer, on_cool, &cool);
    wait_for(0);
    assert_true(cool);
    deliver(2, "orders", "app.events.placed", 0);
    assert_string_equal(settled(), "1:return 2:return ");
    assert_int_equal(r->runs, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_lane_of_others_goes_back_with_back_off),
        CASE(a_lane_of_nobody_is_a_dead_letter_in_the_end),
        CASE(a_relay_says_what_it_relays),
        CASE(a_hook_that_fails_holds_its_message_for_the_delay),
        CASE(what_nodes_die_of_is_not_run_again),
        CASE(what_was_lost_with_the_connection_is_not_settled),
        CASE(what_waits_goes_back_when_the_node_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
