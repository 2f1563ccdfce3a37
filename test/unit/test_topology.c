/* test/unit/test_topology.c - the lanes section: what it resolves to, and each rule's id. */
#include "lanes/topology.h"

#include "core/buf.h"
#include "test.h"

static char *env[] = {"SECRET=s3cret", "PROFILE=worker", NULL};

static const char WHOLE[] =
    "lanes:\n"
    "  profile: ${PROFILE:-api}\n"
    "  tasks:\n"
    "    charge: { function: charge-card, lane: billing, timeoutMs: 5000 }\n"
    "    echo: { wire_id: math.tasks.echo, aliases: [say], codec: typed }\n"
    "    remote-add: { remote: true, wire_id: math.tasks.add, lane: math }\n"
    "  events:\n"
    "    order-placed: {}\n"
    "    price-asked: { lane: billing }\n"
    "  hooks:\n"
    "    - { id: audit, event: order-placed, function: audit, order: 1 }\n"
    "    - { id: send-mail, event: order-placed, function: mailer }\n"
    "  errors:\n"
    "    InsufficientFunds: { wire_id: app.errors.insufficient-funds, http_code: 402 }\n"
    "  contexts: [tenant]\n"
    "  event_lanes:\n"
    "    orders: { apply_to: ['order-*'], async_contexts: [tenant], produce: true }\n"
    "  rpc_lanes:\n"
    "    billing: { async_contexts: [tenant] }\n"
    "    math: {}\n"
    "  queues:\n"
    "    orders-q:\n"
    "      driver: rabbitmq\n"
    "      queue: { name: app.orders, messageTtl: 1000, arguments: { x-max: 5, x-s: '7' },\n"
    "               dead_letter: app.orders.dlq }\n"
    "      reconnect: { max_attempts: 10 }\n"
    "  communicators:\n"
    "    billing-peer: { base_url: 'http://billing:7070/__runner', token: '${SECRET}' }\n"
    "    math-peer: { base_url: 'http://math:7070/__runner' }\n"
    "  profiles:\n"
    "    api: {}\n"
    "    worker: { consume: [ { lane: orders, hooks: { only: [send-mail] } } ] }\n"
    "    billing: { serve: [billing] }\n"
    "  bindings:\n"
    "    - { lane: orders, queue: orders-q, prefetch: 8, maxAttempts: 3, retry_delay_ms: 250,\n"
    "        auth: { secret: '${SECRET}' } }\n"
    "    - { lane: billing, communicator: billing-peer }\n"
    "    - { lane: math, communicator: math-peer }\n"
    "  exposure:\n"
    "    http:\n"
    "      base_path: rpc/\n"
    "      listen: { port: 7070 }\n"
    "      auth: { tokens: ['${SECRET}'] }\n"
    "      limits: { json: 1000, multipart: { files: 2 } }\n";

static struct hd_topology *read_ok(const char *text)
{
    struct hd_topology *t = NULL;
    struct hd_error err = {0};
    if (hd_topology_read(&t, "heddle.yml", hd_str(text), env, NULL, NULL, &err) < 0)
        fail_msg("%s", err.msg);
    return t;
}

static void all_of_it_is_resolved(void **state)
{
    struct hd_topology *t = read_ok(WHOLE);
    assert_string_equal(t->profile, "worker");
    const struct hd_lane_task *charge = hd_topology_task(t, hd_str("app.tasks.charge"));
    assert_ptr_equal(charge, hd_topology_task(t, hd_str("charge")));
    assert_string_equal(charge->function, "charge-card");
    assert_int_equal(charge->timeout_ms, 5000);
    assert_string_equal(charge->lane->id, "billing");
    assert_false(charge->served);
    assert_ptr_equal(hd_topology_task(t, hd_str("say")), hd_topology_task(t, hd_str("echo")));
    assert_ptr_equal(hd_topology_task(t, hd_str("math.tasks.echo")),
                     hd_topology_task(t, hd_str("echo")));
    assert_string_equal(hd_topology_task(t, hd_str("echo"))->function, "echo");
    assert_null(hd_topology_task(t, hd_str("remote-add"))->function);
    assert_null(hd_topology_task(t, hd_str("nobody")));

    const struct hd_lane_event *placed = hd_topology_event(t, hd_str("app.events.order-placed"));
    assert_string_equal(placed->event_lane->id, "orders");
    assert_int_equal(placed->n_hooks, 2);
    assert_string_equal(placed->hooks[0]->id, "send-mail");
    assert_string_equal(hd_topology_event(t, hd_str("price-asked"))->rpc_lane->id, "billing");

    const struct hd_event_lane *orders = placed->event_lane;
    assert_true(orders->consumed && orders->hooks_limited);
    assert_true(hd_strings_has(&orders->hooks_only, hd_str("send-mail")));
    assert_true(hd_strings_has(&orders->contexts, hd_str("app.asyncContexts.tenant")));
    assert_int_equal(orders->max_attempts, 3);
    assert_int_equal(orders->prefetch, 8);
    assert_int_equal(orders->auth.token_ttl_ms, 86400000);
    assert_string_equal(orders->auth.secret, "s3cret");

    const struct hd_lane_queue *q = orders->queue;
    assert_true(q->driver == HD_DRIVER_RABBITMQ && q->quorum && q->durable && q->publish_confirm);
    assert_string_equal(q->queue_name, "app.orders");
    assert_string_equal(q->dlq_queue, "app.orders.dlq");
    assert_int_equal(q->message_ttl_ms, 1000);
    assert_true(hd_strings_has(&q->arguments, hd_str("x-max=5")));
    assert_true(hd_strings_has(&q->arguments, hd_str("x-s=\"7\"")));
    assert_int_equal(q->reconnect_attempts, 10);

    assert_string_equal(t->exposure.base_path, "/rpc");
    assert_string_equal(t->exposure.host, "127.0.0.1");
    assert_int_equal(t->exposure.port, 7070);
    assert_int_equal(t->exposure.json_bytes, 1000);
    assert_int_equal(t->exposure.files, 2);
    assert_int_equal(t->exposure.file_bytes, 20 << 20);
    assert_int_equal(hd_topology_error(t, hd_str("InsufficientFunds"))->http_code, 402);
    hd_topology_free(t);
    (void)state;
}

static void json_is_yaml_as_well(void **state)
{
    struct hd_topology *t =
        read_ok("{\"lanes\":{\"eventLanes\":{\"l\":{}},\"events\":{\"e\":"
                "{\"lane\":\"l\"}},\"queues\":{\"q\":{}},\"bindings\":[{\"lane\""
                ":\"l\",\"queue\":\"q\"}]}}");
    assert_true(t->given && t->event_lanes[0]->consumed);
    assert_true(t->queues[0]->driver == HD_DRIVER_SQLITE);
    assert_string_equal(t->queues[0]->queue_name, "q");
    hd_topology_free(t);
    t = read_ok("port: 1\n");
    assert_false(t->given);
    hd_topology_free(t);
    (void)state;
}

/* A base in which each bad case changes a line or two. */
#define BASE                                                                  \
    "lanes:\n  profile: w\n  profiles: { w: { consume: [l], serve: [r] } }\n" \
    "  event_lanes: { l: {} }\n  rpc_lanes: { r: {} }\n  queues: { q: {} }\n" \
    "  communicators: { p: { base_url: 'http://p' } }\n"

#define BOUND "  bindings: [ { lane: l, queue: q }, { lane: r, communicator: p } ]\n"

static void each_rule_has_its_id(void **state)
{
    static const char *const cases[][2] = {
        {"matchError", "lanes: { mode: offline }\n"},
        {"eventLanes-profileNotFound",
         "lanes: { profile: x, profiles: {}, event_lanes: { l: {} } }\n"},
        {"rpcLane-profileNotFound", "lanes: { profile: x, profiles: {}, rpc_lanes: { r: {} } }\n"},
        {"eventLanes-bindingNotFound", BASE "  bindings: [ { lane: r, communicator: p } ]\n"},
        {"rpcLane-bindingNotFound", BASE "  bindings: [ { lane: l, queue: q } ]\n"},
        {"eventLanes-duplicateBinding", BASE
         "  bindings: [ { lane: l, queue: q }, { lane: l, queue: q }, { lane: r, communicator: "
         "p } ]\n"},
        {"rpcLane-duplicateBinding",
         BASE "  bindings: [ { lane: l, queue: q }, { lane: r, communicator: p }, { lane: r, "
              "communicator: p } ]\n"},
        {"eventLanes-queueReferenceInvalid",
         BASE "  bindings: [ { lane: l, queue: x }, { lane: r, communicator: p } ]\n"},
        {"rpcLane-communicatorResourceInvalid",
         BASE "  bindings: [ { lane: l, queue: q }, { lane: r, communicator: x } ]\n"},
        {"eventLanes-retryPolicyInvalid", BASE
         "  bindings: [ { lane: l, queue: q, max_attempts: 0 }, { lane: r, communicator: p } ]\n"},
        {"eventLanes-retryPolicyInvalid", BASE
         "  bindings: [ { lane: l, queue: q, max_attempts: 1.5 }, { lane: r, communicator: p } "
         "]\n"},
        {"eventLanes-retryPolicyInvalid", BASE "  bindings: [ { lane: l, queue: q, retry_delay_ms: "
                                               "-1 }, { lane: r, communicator: p } ]\n"},
        {"eventLanes-retryPolicyInvalid", BASE "  bindings: [ { lane: l, queue: q, retry_delay_ms: "
                                               "inf }, { lane: r, communicator: p } ]\n"},
        {"eventLanes-sharedQueuePartialConsume",
         "lanes:\n  profile: a\n  profiles: { a: {}, b: { consume: [l] } }\n"
         "  event_lanes: { l: {}, m: {} }\n  queues: { q: {} }\n"
         "  bindings: [ { lane: l, queue: q }, { lane: m, queue: q } ]\n"},
        {"eventLanes-assignmentConflict",
         "lanes:\n  events: { e: {} }\n  event_lanes: { l: { apply_to: [e] }, m: { apply_to: [e] } "
         "}\n"
         "  queues: { q: {} }\n  bindings: [ { lane: l, queue: q }, { lane: m, queue: q } ]\n"},
        {"rpcLane-taskAssignmentConflict",
         "lanes:\n  tasks: { t: {} }\n  rpc_lanes: { r: { apply_to: [t] }, s: { apply_to: [t] } }\n"
         "  communicators: { p: { base_url: x } }\n"
         "  bindings: [ { lane: r, communicator: p }, { lane: s, communicator: p } ]\n"},
        {"rpcLane-eventAssignmentConflict",
         "lanes:\n  events: { t: {} }\n  rpc_lanes: { r: { apply_to: [t] }, s: { apply_to: [t] } "
         "}\n"
         "  communicators: { p: { base_url: x } }\n"
         "  bindings: [ { lane: r, communicator: p }, { lane: s, communicator: p } ]\n"},
        {"eventLanes-rpcLaneConflict",
         "lanes:\n  events: { e: {} }\n  event_lanes: { l: { apply_to: [e] } }\n"
         "  rpc_lanes: { r: { apply_to: [e] } }\n  queues: { q: {} }\n"
         "  communicators: { p: { base_url: x } }\n" BOUND},
        {"eventLanes-applyToTargetNotFound",
         "lanes:\n  event_lanes: { l: { apply_to: [e] } }\n  queues: { q: {} }\n"
         "  bindings: [ { lane: l, queue: q } ]\n"},
        {"eventLanes-applyToTargetType", "lanes:\n  tasks: { t: {} }\n  event_lanes: { l: { "
                                         "apply_to: [t] } }\n  queues: { q: {} }\n"
                                         "  bindings: [ { lane: l, queue: q } ]\n"},
        {"eventLanes-applyToInvalidTarget",
         "lanes:\n  event_lanes: { l: { apply_to: [' '] } }\n  queues: { q: {} }\n"
         "  bindings: [ { lane: l, queue: q } ]\n"},
        {"rpcLane-applyToTargetNotFound",
         "lanes:\n  rpc_lanes: { r: { apply_to: [t] } }\n  communicators: { p: { base_url: x } }\n"
         "  bindings: [ { lane: r, communicator: p } ]\n"},
        {"remoteLanes-topologyConflict",
         "lanes:\n  event_lanes: { l: {} }\n  rpc_lanes: { l: {} }\n  queues: { q: {} }\n"
         "  bindings: [ { lane: l, queue: q } ]\n"},
        {"remoteLanes-auth-verifierMissing",
         BASE "  bindings: [ { lane: l, queue: q, auth: { produce_secret: x } }, { lane: r, "
              "communicator: p } ]\n"},
        {"remoteLanes-auth-signerMissing",
         "lanes:\n  profile: a\n  profiles: { a: {} }\n  events: { e: { lane: l } }\n"
         "  event_lanes: { l: {} }\n  queues: { q: {} }\n"
         "  bindings: [ { lane: l, queue: q, auth: { consume_secret: x } } ]\n"},
        {"transactionalParallelConflict",
         "lanes: { events: { e: { transactional: true, parallel: true } } }\n"},
        {"transactionalEventLaneConflict",
         "lanes:\n  events: { e: { transactional: true, lane: l } }\n  event_lanes: { l: {} }\n"
         "  queues: { q: {} }\n  bindings: [ { lane: l, queue: q } ]\n"},
        {"rpcLane-ownershipConflict",
         "lanes: { tasks: { a: { wire_id: x }, b: { wire_id: x } } }\n"},
        {"rpcLane-exposureMode",
         "lanes: { mode: transparent, exposure: { http: { listen: { port: 1 } } } }\n"},
        {"config", "lanes: { tasks: { events: {} } }\n"},
        {"config", "lanes: { tusks: {} }\n"},
        {"config", "lanes: { tasks: { a: { wireid: x } } }\n"},
        {"config", "lanes: { profile: '${NOT_SET}' }\n"},
        {"config", "lanes: { hooks: [ { event: nobody, function: f } ] }\n"},
        {"config", "lanes: [\n"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_topology *t = NULL;
        struct hd_topology_problem *problems = NULL;
        size_t n = 0;
        bool found = false;
        assert_int_equal(
            hd_topology_read(&t, "heddle.yml", hd_str(cases[i][1]), env, &problems, &n, NULL),
            HD_EINVAL);
        for (size_t j = 0; j < n; j++) {
            found = found || strcmp(problems[j].id, cases[i][0]) == 0;
            assert_int_equal(strncmp(problems[j].text, "heddle.yml", 10), 0);
        }
        if (!found)
            fail_msg("case %zu: no %s, but %s", i, cases[i][0], problems[0].text);
        hd_topology_problems_free(problems, n);
    }
    (void)state;
}

static void a_problem_says_file_line_and_key(void **state)
{
    struct hd_topology *t = NULL;
    struct hd_error err;
    assert_int_equal(hd_topology_read(&t, "a/heddle.yml",
                                      hd_str("lanes:\n  tasks:\n    add:\n      timeut_ms: 5\n"),
                                      env, NULL, NULL, &err),
                     HD_EINVAL);
    assert_string_equal(err.msg, "a/heddle.yml:4: lanes.tasks.add: unknown key timeut_ms; did you "
                                 "mean timeout_ms? (config)");
    (void)state;
}

static void a_consumer_needs_no_key_to_sign(void **state)
{
    struct hd_topology *t = read_ok(
        "lanes:\n  profile: w\n  profiles: { w: { consume: [l] } }\n  events: { e: { lane: l } }\n"
        "  event_lanes: { l: {} }\n  queues: { q: {} }\n"
        "  bindings: [ { lane: l, queue: q, auth: { consume_secret: x } } ]\n");
    assert_true(hd_lane_keys_can_verify(t->event_lanes[0]->keys));
    hd_topology_free(t);
    t = read_ok(
        "lanes:\n  profile: w\n  profiles: { w: { consume: [l] } }\n  event_lanes: { l: {} }\n"
        "  queues: { q: {} }\n"
        "  bindings: [ { lane: l, queue: q, auth: { secret: x, token_ttl_ms: 1000 } } ]\n");
    assert_int_equal(t->warnings.n, 1);
    hd_topology_free(t);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_it_is_resolved),
        cmocka_unit_test(json_is_yaml_as_well),
        cmocka_unit_test(each_rule_has_its_id),
        cmocka_unit_test(a_problem_says_file_line_and_key),
        cmocka_unit_test(a_consumer_needs_no_key_to_sign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
