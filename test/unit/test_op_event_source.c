/* test/unit/test_op_event_source.c - the life of event source mappings, with a poller that does
 * what the test says. */
#include "core/clock.h"
#include "lambda/sources/esm.h"
#include "op_rig.h"

#define PATH "/2015-03-31/event-source-mappings"
#define QUEUE "arn:aws:sqs:us-east-1:000000000000:orders"
#define BODY "{\"FunctionName\":\"demo\",\"EventSourceArn\":\"" QUEUE "\""
#define GONE "The resource you requested does not exist."

enum { WAIT_MS = 30000 };

/* A poller that answers when it is told to. */
struct poller {
    struct lr *rig;
    struct hd_timer timer;
    char uuid[64];
    unsigned starts, updates, stops, probes;
    uint32_t batch_size;
    bool polling, slow; /* slow: the test calls answer() */
    bool telling, asked;
    struct hd_esm_probe found;
    hd_esm_probe_fn probed;
    void *probed_arg;
    char function[64];
};

static bool takes(void *arg, const struct hd_esm_mapping *m)
{
    (void)arg;
    return m->kind == HD_ESM_SQS;
}

static void answer(struct hd_timer *t)
{
    struct poller *p = hd_container_of(t, struct poller, timer);
    struct hd_esm *e = hd_api_esm(p->rig->api);
    if (p->asked) {
        p->asked = false;
        p->probed(p->probed_arg, &p->found);
    }
    if (p->telling) {
        p->telling = false;
        if (p->polling)
            hd_esm_started(e, p->uuid);
        else
            hd_esm_stopped(e, p->uuid);
    }
}

static void later(struct poller *p)
{
    if (!p->slow)
        hd_timer_start(p->rig->loop, &p->timer, 0, answer);
}

static void probe(void *arg, const struct hd_esm_mapping *m, hd_esm_probe_fn done, void *done_arg)
{
    struct poller *p = arg;
    assert_non_null(m->source_arn);
    p->probes++;
    p->asked = true;
    p->probed = done;
    p->probed_arg = done_arg;
    hd_timer_start(p->rig->loop, &p->timer, 0, answer);
}

static void begin(struct poller *p, const struct hd_esm_mapping *m)
{
    snprintf(p->uuid, sizeof(p->uuid), "%s", m->uuid);
    snprintf(p->function, sizeof(p->function), "%s:%s", m->function,
             m->qualifier != NULL ? m->qualifier : "");
    p->batch_size = m->batch_size;
    p->polling = true;
    p->telling = true;
    later(p);
}

static void start_polling(void *arg, const struct hd_esm_mapping *m)
{
    struct poller *p = arg;
    assert_false(p->polling);
    p->starts++;
    begin(p, m);
}

static void update(void *arg, const struct hd_esm_mapping *m)
{
    struct poller *p = arg;
    assert_true(p->polling);
    p->updates++;
    begin(p, m);
}

static void stop(void *arg, const char *uuid)
{
    struct poller *p = arg;
    assert_true(p->polling);
    assert_string_equal(p->uuid, uuid);
    p->stops++;
    p->polling = false;
    p->telling = true;
    later(p);
}

static const struct hd_esm_poller ops = {.name = "test",
                                         .takes = takes,
                                         .probe = probe,
                                         .start = start_polling,
                                         .update = update,
                                         .stop = stop};

static void offer(struct lr *r, struct poller *p)
{
    p->rig = r;
    hd_esm_offer(hd_api_esm(r->api), &ops, p);
}

static void begin_test(struct lr *r, struct poller *p)
{
    *p = (struct poller){.rig = NULL};
    op_start(r);
    offer(r, p);
}

/* @return the UUID of a new mapping, for the caller to free. */
static char *make(struct lr *r, const char *more)
{
    hd_auto_free char *body = hd_printf(BODY "%s}", more);
    op_ok(r, 202, "POST " PATH "/", body);
    return hd_strdup(lr_text(r, "UUID"));
}

static void wait_for(struct lr *r, const char *uuid, const char *state)
{
    hd_auto_free char *line = hd_printf("GET " PATH "/%s", uuid);
    uint64_t end = hd_clock_ms() + WAIT_MS;
    do {
        lr_ask(r, line, NULL);
        if (hd_clock_ms() > end)
            fail_msg("never %s: %s", state, r->text);
    } while (strcmp(r->status == 200 ? lr_text(r, "State") : "gone", state) != 0);
}

static void change(struct lr *r, const char *uuid, const char *body, const char *state)
{
    hd_auto_free char *line = hd_printf("PUT " PATH "/%s", uuid);
    op_ok(r, 202, line, body);
    assert_string_equal(lr_text(r, "State"), state);
}

static void a_mapping_lives_from_creating_to_gone(void **state)
{
    struct lr r;
    struct poller p;
    begin_test(&r, &p);
    hd_auto_free char *uuid = make(&r, "");
    assert_string_equal(lr_text(&r, "State"), "Creating");
    assert_string_equal(lr_text(&r, "StateTransitionReason"), "USER_INITIATED");
    assert_string_equal(lr_text(&r, "FunctionArn"), LR_ARN "demo");
    assert_int_equal(op_number(&r, "BatchSize"), 10);
    assert_true(json_is_real(lr_get(&r, "LastModified")));
    hd_auto_free char *arn =
        hd_printf("arn:aws:lambda:us-east-1:000000000000:event-source-mapping:%s", uuid);
    assert_string_equal(lr_text(&r, "EventSourceMappingArn"), arn);
    wait_for(&r, uuid, "Enabled");
    assert_string_equal(lr_text(&r, "LastProcessingResult"), "No records processed");
    assert_true(p.polling);
    change(&r, uuid, "{\"BatchSize\":5}", "Updating");
    wait_for(&r, uuid, "Enabled");
    assert_int_equal(p.batch_size, 5);
    assert_int_equal(p.updates, 1);
    change(&r, uuid, "{\"Enabled\":false}", "Disabling");
    wait_for(&r, uuid, "Disabled");
    assert_false(p.polling);
    change(&r, uuid, "{\"BatchSize\":6}", "Updating");
    wait_for(&r, uuid, "Disabled");
    assert_int_equal(p.starts, 1);
    change(&r, uuid, "{\"Enabled\":true}", "Enabling");
    wait_for(&r, uuid, "Enabled");
    assert_int_equal(p.batch_size, 6);
    hd_auto_free char *delete = hd_printf("DELETE " PATH "/%s", uuid);
    op_ok(&r, 202, delete, NULL);
    assert_string_equal(lr_text(&r, "State"), "Deleting");
    wait_for(&r, uuid, "gone");
    assert_string_equal(r.type, "ResourceNotFoundException");
    assert_false(p.polling);
    op_refused(&r, "ResourceNotFoundException", GONE, delete, NULL);
    lr_done(&r);
    (void)state;
}

static void a_mapping_can_begin_disabled(void **state)
{
    struct lr r;
    struct poller p;
    begin_test(&r, &p);
    hd_auto_free char *uuid = make(&r, ",\"Enabled\":false");
    wait_for(&r, uuid, "Disabled");
    assert_int_equal(p.starts, 0);
    lr_done(&r);
    (void)state;
}

static void what_is_on_its_way_is_not_changed(void **state)
{
    struct lr r;
    struct poller p;
    begin_test(&r, &p);
    p.slow = true;
    hd_auto_free char *uuid = make(&r, "");
    hd_auto_free char *put = hd_printf("PUT " PATH "/%s", uuid);
    hd_auto_free char *delete = hd_printf("DELETE " PATH "/%s", uuid);
    op_refused(&r, "ResourceInUseException",
               "Cannot update the event source mapping because it is in use.", put,
               "{\"BatchSize\":5}");
    op_refused(&r, "ResourceInUseException",
               "Cannot delete the event source mapping because it is in use.", delete, NULL);
    assert_int_equal(r.status, 400);
    p.slow = false;
    later(&p);
    wait_for(&r, uuid, "Enabled");
    p.slow = true;
    op_ok(&r, 202, delete, NULL);
    wait_for(&r, uuid, "Deleting"); /* until the poller has stopped */
    assert_int_equal(p.stops, 1);
    p.slow = false;
    later(&p);
    wait_for(&r, uuid, "gone");
    lr_done(&r);
    (void)state;
}

static void a_restart_goes_on_where_it_was(void **state)
{
    struct lr r;
    struct poller p;
    begin_test(&r, &p);
    hd_auto_free char *enabled = make(&r, ",\"BatchSize\":9");
    wait_for(&r, enabled, "Enabled");
    hd_auto_free char *disabled = hd_strdup("");
    op_ok(&r, 202, "POST " PATH,
          "{\"FunctionName\":\"demo:prod\",\"EventSourceArn\":\"" QUEUE "\",\"Enabled\":false}");
    free(disabled);
    disabled = hd_strdup(lr_text(&r, "UUID"));
    wait_for(&r, disabled, "Disabled");
    lr_close(&r);
    assert_false(p.polling); /* closing stopped it */
    lr_open(&r);
    wait_for(&r, enabled, "Enabled");
    assert_string_equal(lr_text(&r, "LastProcessingResult"),
                        "PROBLEM: Nothing on this node polls this source");
    p = (struct poller){.rig = NULL};
    offer(&r, &p);
    wait_for(&r, enabled, "Enabled");
    assert_string_equal(p.uuid, enabled);
    assert_int_equal(p.batch_size, 9);
    assert_int_equal(p.starts, 1);
    wait_for(&r, disabled, "Disabled");
    lr_done(&r);
    (void)state;
}

static void a_function_that_goes_and_comes_back(void **state)
{
    struct lr r;
    struct poller p;
    begin_test(&r, &p);
    hd_auto_free char *uuid = make(&r, "");
    wait_for(&r, uuid, "Enabled");
    hd_esm_result(hd_api_esm(r.api), uuid, "OK");
    hd_auto_free char *get = hd_printf("GET " PATH "/%s", uuid);
    op_ok(&r, 200, get, NULL);
    assert_string_equal(lr_text(&r, "LastProcessingResult"), "OK");
    op_ok(&r, 204, "DELETE " LR_FUNCTIONS "/demo", NULL);
    op_ok(&r, 200, get, NULL);
    assert_string_equal(lr_text(&r, "LastProcessingResult"), "PROBLEM: Function not found");
    assert_string_equal(lr_text(&r, "State"), "Enabled");
    assert_int_equal(p.stops, 1);
    lr_create(&r, "demo");
    uint64_t end = hd_clock_ms() + WAIT_MS;
    while (!p.polling && hd_clock_ms() < end)
        op_ok(&r, 200, get, NULL);
    assert_int_equal(p.starts, 2);
    lr_done(&r);
    (void)state;
}

static void the_function_can_be_another_one(void **state)
{
    struct lr r;
    struct poller p;
    begin_test(&r, &p);
    hd_auto_free char *uuid = make(&r, "");
    wait_for(&r, uuid, "Enabled");
    assert_string_equal(p.function, "demo:");
    change(&r, uuid, "{\"FunctionName\":\"demo:prod\"}", "Updating");
    wait_for(&r, uuid, "Enabled");
    assert_string_equal(lr_text(&r, "FunctionArn"), LR_ARN "demo:prod");
    assert_string_equal(p.function, "demo:prod");
    hd_auto_free char *line = hd_printf("PUT " PATH "/%s", uuid);
    op_refused(&r, "InvalidParameterValueException", "Function does not exist", line,
               "{\"FunctionName\":\"nobody\"}");
    lr_done(&r);
    (void)state;
}

static void lists_by_function_and_source(void **state)
{
    struct lr r;
    struct poller p;
    begin_test(&r, &p);
    op_ok(&r, 202, "POST " PATH, BODY ",\"Enabled\":false}");
    op_ok(&r, 202, "POST " PATH,
          "{\"FunctionName\":\"" LR_ARN "demo:prod\",\"EventSourceArn\":\"" QUEUE
          "\",\"Enabled\":false}");
    op_ok(&r, 202, "POST " PATH,
          "{\"FunctionName\":\"demo\",\"EventSourceArn\":\"" QUEUE "2\",\"Enabled\":false}");
    static const struct {
        const char *query;
        size_t n;
    } cases[] = {
        {"", 3},
        {"?FunctionName=demo", 2},
        {"?FunctionName=demo:prod", 1},
        {"?FunctionName=nobody", 0},
        {"?EventSourceArn=" QUEUE, 2},
        {"?EventSourceArn=" QUEUE "&FunctionName=demo", 1},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        hd_auto_free char *line = hd_printf("GET " PATH "/%s", cases[i].query);
        op_ok(&r, 200, line, NULL);
        if (json_array_size(lr_get(&r, "EventSourceMappings")) != cases[i].n)
            fail_msg("%s: %s", line, r.text);
    }
    op_ok(&r, 200, "GET " PATH "?MaxItems=2", NULL);
    hd_auto_free char *next =
        hd_printf("GET " PATH "?MaxItems=2&Marker=%s", lr_text(&r, "NextMarker"));
    op_ok(&r, 200, next, NULL);
    assert_int_equal(json_array_size(lr_get(&r, "EventSourceMappings")), 1);
    r.region = "eu-west-1"; /* another name space */
    op_ok(&r, 200, "GET " PATH, NULL);
    assert_int_equal(json_array_size(lr_get(&r, "EventSourceMappings")), 0);
    lr_done(&r);
    (void)state;
}

static void the_source_is_looked_at_first(void **state)
{
    struct lr r;
    struct poller p;
    begin_test(&r, &p);
    p.found.visibility_timeout_s = 2;
    op_refused(&r, "InvalidParameterValueException",
               "Queue visibility timeout: 2 seconds is less than Function timeout: 3 seconds",
               "POST " PATH, BODY "}");
    p.found.visibility_timeout_s = 3;
    hd_fail(&p.found.err, HD_EINVAL, "there is no queue orders");
    op_refused(&r, "InvalidParameterValueException", "there is no queue orders", "POST " PATH,
               BODY "}");
    p.found.err.code = 0;
    hd_auto_free char *uuid = make(&r, "");
    wait_for(&r, uuid, "Enabled");
    assert_int_equal(p.probes, 3);
    hd_auto_free char *twice = hd_printf(
        "An event source mapping with SQS arn (\" " QUEUE " \") and function (\" demo \") already "
        "exists. Please update or delete the existing mapping with UUID %s",
        uuid);
    op_refused(&r, "ResourceConflictException", twice, "POST " PATH, BODY "}");
    lr_done(&r);
    (void)state;
}

static void refuses_what_nobody_polls(void **state)
{
    struct lr r;
    struct poller p;
    begin_test(&r, &p);
    op_refused(&r, "InvalidParameterValueException",
               "This event source is not offered by this server: nothing on this node polls "
               "arn:aws:mq:us-east-1:000000000000:broker:b:b-1.",
               "POST " PATH,
               "{\"FunctionName\":\"demo\",\"EventSourceArn\":"
               "\"arn:aws:mq:us-east-1:000000000000:broker:b:b-1\",\"Queues\":[\"q\"]}");
    op_refused(&r, "InvalidParameterValueException", "Unrecognized event source.", "POST " PATH,
               "{\"FunctionName\":\"demo\"}");
    op_refused(&r, "InvalidParameterValueException", "Function does not exist", "POST " PATH,
               "{\"FunctionName\":\"nobody\",\"EventSourceArn\":\"" QUEUE "\"}");
    op_refused(&r, "InvalidParameterValueException", "Function does not exist", "POST " PATH,
               "{\"FunctionName\":\"demo:beta\",\"EventSourceArn\":\"" QUEUE "\"}");
    lr_ask(&r, "POST " PATH, BODY ",\"BatchSize\":0,\"ScalingConfig\":{\"MaximumConcurrency\":1}}");
    assert_non_null(strstr(r.text, "2 validation errors detected"));
    op_refused(&r, "ResourceNotFoundException", GONE, "GET " PATH "/nobody", NULL);
    lr_done(&r);
    (void)state;
}

static void a_mapping_has_tags(void **state)
{
    struct lr r;
    struct poller p;
    begin_test(&r, &p);
    hd_auto_free char *uuid = make(&r, ",\"Enabled\":false,\"Tags\":{\"a\":\"1\"}");
    wait_for(&r, uuid, "Disabled");
    hd_auto_free char *tags = hd_printf(
        "GET /2017-03-31/tags/arn:aws:lambda:us-east-1:000000000000:event-source-mapping:%s", uuid);
    assert_string_equal(op_ok(&r, 200, tags, NULL), "{\"Tags\":{\"a\":\"1\"}}");
    hd_auto_free char *add = hd_printf(
        "POST /2017-03-31/tags/arn:aws:lambda:us-east-1:000000000000:event-source-mapping:%s",
        uuid);
    op_ok(&r, 204, add, "{\"Tags\":{\"b\":\"2\"}}");
    assert_string_equal(op_ok(&r, 200, tags, NULL), "{\"Tags\":{\"a\":\"1\",\"b\":\"2\"}}");
    lr_done(&r);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mapping_lives_from_creating_to_gone),
        cmocka_unit_test(a_mapping_can_begin_disabled),
        cmocka_unit_test(what_is_on_its_way_is_not_changed),
        cmocka_unit_test(a_restart_goes_on_where_it_was),
        cmocka_unit_test(a_function_that_goes_and_comes_back),
        cmocka_unit_test(the_function_can_be_another_one),
        cmocka_unit_test(lists_by_function_and_source),
        cmocka_unit_test(the_source_is_looked_at_first),
        cmocka_unit_test(refuses_what_nobody_polls),
        cmocka_unit_test(a_mapping_has_tags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
