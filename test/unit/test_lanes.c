/* test/unit/test_lanes.c - emissions, deliveries and calls on a loop of their own, with functions
 * in this process: what arrives, in which order, how often, and what is said about it. */
#include "lanes/lanes.h"

#include "test.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static struct hd_loop *loop;
static struct hd_net *net;
static struct hd_buf seen, answers;
static unsigned wanted, answered, failures_left;

static int note(const char *name, struct hd_str event, struct hd_str context, struct hd_buf *answer)
{
    (void)context;
    hd_buf_fmt(&seen, "%s(%.*s) ", name, HD_FMT(event));
    if (failures_left > 0) {
        failures_left--;
        return -1;
    }
    hd_buf_str(answer, event);
    return 0;
}

static int first(void *arg, struct hd_str event, struct hd_str context, struct hd_buf *answer)
{
    (void)arg;
    return note("first", event, context, answer);
}

static int second(void *arg, struct hd_str event, struct hd_str context, struct hd_buf *answer)
{
    (void)arg;
    return note("second", event, context, answer);
}

static int total(void *arg, struct hd_str event, struct hd_str context, struct hd_buf *answer)
{
    (void)arg;
    (void)context;
    hd_buf_cstr(answer, "{\"payload\":{\"total\":3}}");
    hd_buf_fmt(&seen, "total(%.*s) ", HD_FMT(event));
    return 0;
}

static int show_context(void *arg, struct hd_str event, struct hd_str context,
                        struct hd_buf *answer)
{
    (void)arg;
    (void)event;
    hd_buf_str(answer, context);
    return 0;
}

static const struct hd_lane_native natives[] = {{.function = "first", .run = first},
                                                {.function = "second", .run = second},
                                                {.function = "total", .run = total},
                                                {.function = "context", .run = show_context}};

static struct hd_lanes *start(const char *config)
{
    static struct hd_net *nets[1];
    static struct hd_loop *loops[1];
    static struct hd_caller *callers[1];
    struct hd_topology *t = NULL;
    struct hd_lanes *l = NULL;
    struct hd_error err = {0};
    if (hd_topology_read(&t, "heddle.yml", hd_str(config), NULL, NULL, NULL, &err) < 0)
        fail_msg("%s", err.msg);
    nets[0] = net;
    loops[0] = loop;
    struct hd_lanes_options opt = {.topology = t,
                                   .loops = loops,
                                   .nets = nets,
                                   .callers = callers,
                                   .n_loops = 1,
                                   .natives = natives,
                                   .n_natives = HD_COUNT(natives)};
    if (hd_lanes_new(&l, &opt, &err) < 0 || hd_lanes_start(l, &err) < 0)
        fail_msg("%s", err.msg);
    return l;
}

static void stop_loop(void *arg)
{
    (void)arg;
    hd_loop_stop(loop);
}

static void finish(struct hd_lanes *l)
{
    hd_lanes_cooldown(l, stop_loop, NULL);
    hd_loop_run(loop);
    hd_lanes_close(l, stop_loop, NULL);
    hd_loop_run(loop);
    hd_lanes_free(l);
}

static void on_answer(void *arg, const struct hd_lane_answer *a)
{
    (void)arg;
    hd_buf_fmt(&answers, "%u %.*s\n", a->status, HD_FMT(a->body));
    if (++answered == wanted)
        hd_loop_stop(loop);
}

static void on_late(struct hd_timer *t)
{
    (void)t;
    hd_loop_stop(loop);
}

/* Let deliveries that follow the answers be made, retries too. */
static void settle_down(uint64_t ms)
{
    struct hd_timer t = {0};
    hd_timer_start(loop, &t, ms, on_late);
    hd_loop_run(loop);
}

static void emit(struct hd_lanes *l, const char *name, const char *body, bool want_payload)
{
    struct hd_lane_message m = {
        .name = hd_str(name), .body = hd_str(body), .want_payload = want_payload};
    wanted = answered + 1;
    hd_lanes_emit(l, 0, &m, on_answer, NULL);
    hd_loop_run(loop);
}

static void call(struct hd_lanes *l, const char *name, const char *body, bool typed)
{
    struct hd_lane_message m = {.name = hd_str(name), .body = hd_str(body), .typed = typed};
    wanted = answered + 1;
    hd_lanes_call(l, 0, &m, on_answer, NULL);
    hd_loop_run(loop);
}

static const char *text_of(struct hd_buf *b)
{
    hd_buf_char(b, '\0');
    b->len--;
    return b->ptr;
}

static void clear(void)
{
    hd_buf_clear(&seen);
    hd_buf_clear(&answers);
    failures_left = 0;
}

#define ONE_QUEUE(more)                                                      \
    "lanes:\n  events: { placed: { lane: orders } }\n"                       \
    "  hooks:\n    - { id: b, event: placed, function: second, order: 2 }\n" \
    "    - { id: a, event: placed, function: first, order: 1 }\n"            \
    "  event_lanes: { orders: {} }\n  queues: { q: { driver: memory } }\n"   \
    "  bindings: [ { lane: orders, queue: q, " more " } ]\n"

static void an_emission_reaches_the_hooks_in_their_order(void **state)
{
    clear();
    struct hd_lanes *l = start(ONE_QUEUE("auth: { secret: s }"));
    emit(l, "placed", "{\"n\":1}", false);
    settle_down(20);
    assert_string_equal(text_of(&seen), "first({\"n\":1}) second({\"n\":1}) ");
    assert_non_null(strstr(text_of(&answers), "202 {\"ok\":true,\"messageId\":\""));
    assert_non_null(strstr(text_of(&answers), "\"lane\":\"orders\",\"mode\":\"network\"}"));
    clear();
    emit(l, "app.events.placed", "", false);
    settle_down(20);
    assert_string_equal(text_of(&seen), "first(null) second(null) ");
    finish(l);
    (void)state;
}

static void a_failure_reruns_all_hooks_as_often_as_it_may(void **state)
{
    clear();
    struct hd_lanes *l = start(ONE_QUEUE("max_attempts: 3, retry_delay_ms: 1"));
    failures_left = 2;
    emit(l, "placed", "1", false);
    settle_down(100);
    assert_string_equal(text_of(&seen), "first(1) first(1) first(1) second(1) ");
    clear();
    failures_left = 100;
    emit(l, "placed", "2", false);
    settle_down(100);
    assert_string_equal(text_of(&seen), "first(2) first(2) first(2) ");
    clear();
    emit(l, "placed", "3", false);
    settle_down(20);
    assert_string_equal(text_of(&seen), "first(3) second(3) ");
    finish(l);
    (void)state;
}

static void only_the_hooks_that_are_named_run(void **state)
{
    clear();
    struct hd_lanes *l = start(
        "lanes:\n  profile: w\n  profiles: { w: { consume: [ { lane: orders, hooks: { only: [b] } "
        "} "
        "] } }\n  events: { placed: { lane: orders } }\n"
        "  hooks: [ { id: a, event: placed, function: first }, { id: b, event: placed, function: "
        "second } ]\n"
        "  event_lanes: { orders: { produce: true } }\n  queues: { q: { driver: memory } }\n"
        "  bindings: [ { lane: orders, queue: q } ]\n");
    emit(l, "placed", "1", false);
    settle_down(20);
    assert_string_equal(text_of(&seen), "second(1) ");
    finish(l);
    (void)state;
}

static void unassigned_events_run_here_and_now(void **state)
{
    clear();
    struct hd_lanes *l =
        start("lanes:\n  events: { e: {} }\n  hooks: [ { event: e, function: first "
              "}, { event: e, function: total }, { event: e, function: second } ]\n");
    emit(l, "e", "{\"a\":1}", false);
    assert_string_equal(text_of(&answers), "200 {\"ok\":true}\n");
    assert_string_equal(text_of(&seen), "first({\"a\":1}) total({\"a\":1}) second({\"a\":1}) ");
    clear();
    emit(l, "e", "{\"a\":1}", true);
    assert_string_equal(text_of(&answers), "200 {\"ok\":true,\"result\":{\"total\":3}}\n");
    assert_string_equal(text_of(&seen), "first({\"a\":1}) total({\"a\":1}) second({\"total\":3}) ");
    clear();
    failures_left = 1;
    emit(l, "e", "1", false);
    assert_string_equal(text_of(&answers),
                        "500 {\"ok\":false,\"error\":{\"message\":\"Internal Error\",\"code\":"
                        "\"INTERNAL_ERROR\"}}\n");
    clear();
    emit(l, "nobody", "1", false);
    emit(l, "e", "{", false);
    assert_non_null(strstr(text_of(&answers), "404 {\"ok\":false"));
    assert_non_null(strstr(text_of(&answers), "400 {\"ok\":false"));
    finish(l);
    (void)state;
}

static void the_simulation_goes_all_the_way(void **state)
{
    clear();
    struct hd_lanes *l =
        start("lanes:\n  mode: local-simulated\n  events: { placed: { lane: orders } }\n"
              "  tasks: { echo: { function: first, lane: math, codec: typed } }\n"
              "  hooks: [ { event: placed, function: first } ]\n"
              "  event_lanes: { orders: {} }\n  rpc_lanes: { math: {} }\n  queues: { q: {} }\n"
              "  communicators: { p: { base_url: 'http://127.0.0.1:1' } }\n"
              "  bindings: [ { lane: orders, queue: q, auth: { secret: s } }, { lane: math, "
              "communicator: "
              "p, auth: { secret: t } } ]\n");
    emit(l, "placed", "7", false);
    settle_down(20);
    assert_string_equal(text_of(&seen), "first(7) ");
    assert_non_null(strstr(text_of(&answers), "\"messageId\":\"sim-1\""));
    clear();
    call(l, "echo", "{\"__type\":\"BigInt\",\"value\":\"+07\"}", true);
    assert_string_equal(text_of(&answers),
                        "200 {\"ok\":true,\"result\":{\"__type\":\"BigInt\",\"value\":\"7\"}}\n");
    finish(l);
    (void)state;
}

/* Answers are JSON, and whole, whatever a lane is called. */
static void a_lane_may_have_any_name(void **state)
{
    static const char *const modes[] = {"", "  mode: local-simulated\n"};
    char name[301], config[2048];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    for (size_t i = 0; i < HD_COUNT(modes); i++) {
        clear();
        snprintf(config, sizeof(config),
                 "lanes:\n%s  events: { placed: { lane: '%s\"' } }\n"
                 "  event_lanes: { '%s\"': {} }\n  queues: { q: { driver: memory } }\n"
                 "  bindings: [ { lane: '%s\"', queue: q, auth: { mode: none } } ]\n",
                 modes[i], name, name, name);
        struct hd_lanes *l = start(config);
        emit(l, "placed", "1", false);
        settle_down(20);
        assert_non_null(strstr(text_of(&answers), name));
        assert_non_null(strstr(text_of(&answers), "nn\\\"\",\"mode\":\""));
        assert_int_equal(answers.ptr[answers.len - 2], '}');
        finish(l);
    }
    (void)state;
}

/* Somebody who takes connections and never answers. */
static void a_call_that_is_not_answered_ends_with_the_lanes(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    char config[512];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    clear();
    snprintf(config, sizeof(config),
             "lanes:\n  tasks: { far: { lane: math } }\n  rpc_lanes: { math: {} }\n"
             "  profiles: { default: { serve: [] } }\n"
             "  communicators: { p: { base_url: 'http://127.0.0.1:%u', pool: 1 } }\n"
             "  bindings: [ { lane: math, communicator: p, auth: { mode: none } } ]\n",
             ntohs(at.sin_port));
    struct hd_lanes *l = start(config);
    struct hd_lane_message m = {.name = hd_str("far"), .body = hd_str("1")};
    unsigned before = answered;
    wanted = UINT_MAX;
    hd_lanes_call(l, 0, &m, on_answer, NULL);
    hd_lanes_call(l, 0, &m, on_answer, NULL); /* waits for a place */
    settle_down(50);
    assert_int_equal(answered, before);
    finish(l);
    assert_int_equal(answered, before + 2);
    close(fd);
    (void)state;
}

static void a_task_gets_its_context(void **state)
{
    clear();
    struct hd_lanes *l =
        start("lanes: { tasks: { c: { function: context } }, contexts: [tenant] }\n");
    struct hd_lane_message m = {.name = hd_str("c"),
                                .contexts = hd_str("{\"tenant\":\"t-1\",\"other\":\"x\"}")};
    wanted = answered + 1;
    hd_lanes_call(l, 0, &m, on_answer, NULL);
    hd_loop_run(loop);
    assert_non_null(strstr(text_of(&answers), "\"kind\":\"rpc-task\",\"task\":\"app.tasks.c\""));
    assert_non_null(
        strstr(text_of(&answers), "\"contexts\":{\"app.asyncContexts.tenant\":\"t-1\"}"));
    assert_null(strstr(text_of(&answers), "other"));
    finish(l);
    (void)state;
}

static void nothing_is_accepted_while_it_stops(void **state)
{
    clear();
    struct hd_lanes *l = start(ONE_QUEUE(""));
    hd_lanes_cooldown(l, stop_loop, NULL);
    hd_loop_run(loop);
    emit(l, "placed", "1", false);
    assert_non_null(strstr(text_of(&answers), "503 {\"ok\":false"));
    assert_non_null(strstr(text_of(&answers), "\"retryable\":true"));
    hd_lanes_close(l, stop_loop, NULL);
    hd_loop_run(loop);
    hd_lanes_free(l);
    (void)state;
}

static void status_and_metrics_say_what_happened(void **state)
{
    clear();
    struct hd_lanes *l = start(ONE_QUEUE("max_attempts: 1"));
    struct hd_buf out;
    hd_buf_init(&out, 1 << 20);
    failures_left = 1;
    emit(l, "placed", "1", false);
    settle_down(20);
    hd_lanes_metrics(l, &out);
    assert_non_null(strstr(text_of(&out), "lanes_events_enqueued_total{lane=\"orders\"} 1\n"));
    assert_non_null(strstr(text_of(&out), "lanes_events_relayed_total{lane=\"orders\"} 1\n"));
    assert_non_null(strstr(text_of(&out),
                           "lanes_events_rejected_total{lane=\"orders\",reason=\"failed\"} 1\n"));
    hd_buf_clear(&out);
    hd_lanes_status(l, &out);
    assert_non_null(
        strstr(text_of(&out), "{\"name\":\"q\",\"driver\":\"memory\",\"connected\":true"));
    hd_buf_done(&out);
    finish(l);
    (void)state;
}

static int setup(void **state)
{
    hd_loop_new(&loop, 0, NULL);
    net = hd_net_new(loop);
    hd_buf_init(&seen, 1 << 20);
    hd_buf_init(&answers, 1 << 20);
    (void)state;
    return 0;
}

static int teardown(void **state)
{
    hd_buf_done(&seen);
    hd_buf_done(&answers);
    hd_net_free(net);
    hd_loop_free(loop);
    (void)state;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_emission_reaches_the_hooks_in_their_order),
        cmocka_unit_test(a_failure_reruns_all_hooks_as_often_as_it_may),
        cmocka_unit_test(only_the_hooks_that_are_named_run),
        cmocka_unit_test(unassigned_events_run_here_and_now),
        cmocka_unit_test(the_simulation_goes_all_the_way),
        cmocka_unit_test(a_lane_may_have_any_name),
        cmocka_unit_test(a_call_that_is_not_answered_ends_with_the_lanes),
        cmocka_unit_test(a_task_gets_its_context),
        cmocka_unit_test(nothing_is_accepted_while_it_stops),
        cmocka_unit_test(status_and_metrics_say_what_happened),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
