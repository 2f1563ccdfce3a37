/* test_async.c - accepted events are run, retried, and end where their function's settings say. */
#include "async_rig.h"
#include "lambda/async/async_policy.h"

#include <jansson.h>
#include <stdio.h>

#define ID "0190a7a0-1234-7000-8000-0000000000"

static const struct async_settings plain = {.name = "f", .max_retries = -1, .max_age_s = -1};

static int setup(void **state)
{
    static struct async_rig rig;
    async_rig_init(&rig);
    async_rig_open(&rig);
    async_rig_function(&rig, &plain);
    *state = &rig;
    return 0;
}

static int teardown(void **state)
{
    async_rig_done(*state);
    return 0;
}

static int n_calls(struct async_rig *r)
{
    int n = 0;
    hd_list_each(link, &r->calls) n++;
    return n;
}

static void an_event_is_run_as_it_was_accepted(void **state)
{
    struct async_rig *r = *state;
    struct hd_async_event event = {
        .account = HD_LIT(ACCOUNT),
        .region = HD_LIT(REGION),
        .name = HD_LIT("f"),
        .qualifier = HD_LIT("prod"),
        .request_id = ID "01",
        .payload = HD_LIT("{\"n\": 1}"),
        .client_context = HD_LIT("{\"custom\":{\"a\":\"\\u0001\"}}"),
        .trace = HD_LIT("Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"),
    };
    assert_int_equal(async_rig_event_of(r, &event), 0);
    async_rig_still(r);
    struct hd_call *call = async_rig_call(r);
    assert_string_equal(call->event, "{\"n\": 1}");
    assert_string_equal(call->request_id, ID "01");
    assert_string_equal(call->arn, ARN("f") ":prod");
    assert_string_equal(call->context, "{\"custom\":{\"a\":\"\\u0001\"}}");
    assert_string_equal(call->source, "async");
    assert_string_equal(call->target->version, "1");
    assert_non_null(strstr(call->trace, "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1;Lin"));
    assert_int_equal(hd_lineage_times(hd_str(call->trace), hd_str(ARN("f"))), 1);
    assert_int_equal(async_rig_stats(r).running, 1);
    async_rig_end(call, HD_CALL_OK, "null");
    async_rig_still(r);
    struct hd_async_stats stats = async_rig_stats(r);
    assert_int_equal(stats.accepted, 1);
    assert_int_equal(stats.succeeded, 1);
    assert_int_equal(stats.queued + stats.running, 0);
    async_rig_pass(r, 7 * 3600 * 1000);
    assert_int_equal(r->n_calls, 1);
}

static void errors_are_retried_with_the_same_id(void **state)
{
    struct async_rig *r = *state;
    char trace[400];
    assert_int_equal(async_rig_event(r, "f", ID "01", "{}"), 0);
    async_rig_still(r);
    snprintf(trace, sizeof(trace), "%s", async_rig_call(r)->trace);
    assert_non_null(strstr(trace, "Root=1-"));
    for (int i = 0; i < 3; i++) {
        struct hd_call *call = async_rig_call(r);
        assert_string_equal(call->request_id, ID "01");
        assert_string_equal(call->trace, trace); /* one trace over all attempts */
        async_rig_end(call, HD_CALL_FUNCTION_ERROR, "{\"errorMessage\":\"no\"}");
        async_rig_pass(r, i == 0 ? 59999 : 119999);
        assert_int_equal(n_calls(r), 0);
        async_rig_pass(r, 1);
        assert_int_equal(n_calls(r), i < 2);
    }
    struct hd_async_stats stats = async_rig_stats(r);
    assert_int_equal(stats.attempts, 3);
    assert_int_equal(stats.function_errors, 3);
    assert_int_equal(stats.exhausted, 1);
    assert_int_equal(stats.queued + stats.running, 0);
}

static void throttles_do_not_count_and_leave_the_function_alone(void **state)
{
    struct async_rig *r = *state;
    for (int i = 0; i < 20; i++) {
        char id[64];
        snprintf(id, sizeof(id), ID "%02d", i);
        assert_int_equal(async_rig_event(r, "f", id, "{}"), 0);
    }
    async_rig_still(r);
    assert_int_equal(n_calls(r), 8); /* the default of workers */
    while (!hd_list_empty(&r->calls))
        async_rig_end(async_rig_call(r), HD_CALL_THROTTLED, "");
    async_rig_still(r);
    assert_int_equal(n_calls(r), 0); /* nothing more is tried for a second */
    assert_int_equal(r->n_calls, 8);
    async_rig_pass(r, 1000);
    assert_int_equal(n_calls(r), 8); /* those that had not been tried */
    assert_string_equal(async_rig_call(r)->request_id, ID "08");
    while (async_rig_stats(r).succeeded < 20) {
        while (!hd_list_empty(&r->calls))
            async_rig_end(async_rig_call(r), HD_CALL_OK, "");
        async_rig_pass(r, 100);
    }
    struct hd_async_stats stats = async_rig_stats(r);
    assert_int_equal(stats.throttled, 8);
    assert_int_equal(stats.attempts, 20);
    assert_int_equal(stats.queued + stats.running, 0);
}

static void what_cannot_be_run_is_tried_until_it_is_too_old(void **state)
{
    struct async_rig *r = *state;
    struct async_settings s = plain;
    s.max_age_s = 60;
    async_rig_function(r, &s);
    assert_int_equal(async_rig_event(r, "f", ID "01", "{}"), 0);
    async_rig_still(r);
    int64_t start = async_rig_now();
    while (async_rig_stats(r).expired == 0) {
        if (!hd_list_empty(&r->calls))
            async_rig_end(async_rig_call(r), HD_CALL_FAILED, "");
        async_rig_pass(r, 100);
    }
    assert_in_range(async_rig_now() - start, 60000, 60100);
    assert_in_range(r->n_calls, 5, 6); /* after 1, 2, 4, 8, 16 seconds and a little */
    assert_int_equal(async_rig_stats(r).system_errors, r->n_calls);
    assert_int_equal(async_rig_stats(r).attempts, 0);
}

static void a_function_that_is_not_there_is_waited_for(void **state)
{
    struct async_rig *r = *state;
    async_rig_remove(r, "f");
    assert_int_equal(async_rig_event(r, "f", ID "01", "{}"), 0);
    async_rig_pass(r, 10000);
    assert_int_equal(r->n_calls, 0);
    async_rig_function(r, &plain);
    async_rig_pass(r, 10000);
    async_rig_end(async_rig_call(r), HD_CALL_OK, "1");
    async_rig_still(r);
    assert_int_equal(async_rig_stats(r).succeeded, 1);
}

/* --- destinations --- */

struct sent {
    int n, rc;
    char lane[32], id[64];
    json_t *json;
};

static int keep_sent(struct async_rig *r, struct hd_str lane, struct hd_str id, struct hd_str json)
{
    struct sent *s = r->arg;
    s->n++;
    snprintf(s->lane, sizeof(s->lane), "%.*s", HD_FMT(lane));
    snprintf(s->id, sizeof(s->id), "%.*s", HD_FMT(id));
    json_decref(s->json);
    s->json = json_loadb(json.ptr, json.len, JSON_DECODE_ANY, NULL);
    assert_non_null(s->json);
    return s->rc;
}

/* @return a member by its path; fails if it is not there. */
static const json_t *at(const json_t *json, const char *path)
{
    struct hd_str part, rest = hd_str(path);
    while (hd_str_split(&part, &rest, '.'))
        json = json_object_getn(json, part.ptr, part.len);
    if (json == NULL)
        fail_msg("there is no %s", path);
    return json;
}

static void expect(const json_t *json, const char *path, const char *wanted)
{
    char *text = json_dumps(at(json, path), JSON_ENCODE_ANY | JSON_COMPACT);
    assert_string_equal(text, wanted);
    free(text);
}

static void success_goes_to_its_destination(void **state)
{
    struct async_rig *r = *state;
    struct sent sent = {0};
    struct async_settings s = plain;
    r->on_emit = keep_sent;
    r->arg = &sent;
    s.on_success = "lane:good";
    s.on_failure = "lane:bad";
    async_rig_function(r, &s);
    assert_int_equal(async_rig_event(r, "f", ID "01", "{\"n\":[1]}"), 0);
    async_rig_still(r);
    async_rig_end(async_rig_call(r), HD_CALL_OK, "{\"ok\":true}");
    async_rig_still(r);
    assert_int_equal(sent.n, 1);
    assert_string_equal(sent.lane, "good");
    assert_string_equal(sent.id, ID "01");
    expect(sent.json, "version", "\"1.0\"");
    expect(sent.json, "timestamp", "\"2023-11-14T22:13:20.001Z\"");
    expect(sent.json, "requestContext.requestId", "\"" ID "01\"");
    expect(sent.json, "requestContext.functionArn", "\"" ARN("f") ":$LATEST\"");
    expect(sent.json, "requestContext.condition", "\"Success\"");
    expect(sent.json, "requestContext.approximateInvokeCount", "1");
    expect(sent.json, "requestPayload", "{\"n\":[1]}");
    expect(sent.json, "responseContext", "{\"statusCode\":200,\"executedVersion\":\"$LATEST\"}");
    expect(sent.json, "responsePayload", "{\"ok\":true}");
    assert_int_equal(async_rig_stats(r).sent, 1);
    json_decref(sent.json);
}

static void failure_goes_to_its_destination_and_to_the_dead_letters(void **state)
{
    struct async_rig *r = *state;
    struct sent sent = {0};
    struct async_settings s = plain;
    r->on_emit = keep_sent;
    r->arg = &sent;
    s.max_retries = 0;
    s.on_failure = "lane:bad";
    async_rig_function(r, &s);
    assert_int_equal(async_rig_event(r, "f", ID "01", "[1]"), 0);
    async_rig_still(r);
    async_rig_end(async_rig_call(r), HD_CALL_FUNCTION_ERROR, "{\"errorMessage\":\"no\"}");
    async_rig_still(r);
    assert_int_equal(sent.n, 1);
    expect(sent.json, "requestContext.condition", "\"RetriesExhausted\"");
    expect(sent.json, "requestContext.approximateInvokeCount", "1");
    expect(sent.json, "responseContext.functionError", "\"Unhandled\"");
    expect(sent.json, "responsePayload.errorMessage", "\"no\"");
    /* Both, when both are set; the dead letter is the event itself. */
    s.dead_letter = "lane:dead";
    s.on_failure = NULL;
    async_rig_function(r, &s);
    assert_int_equal(async_rig_event(r, "f", ID "02", "[2]"), 0);
    async_rig_still(r);
    async_rig_end(async_rig_call(r), HD_CALL_FUNCTION_ERROR, "not JSON");
    async_rig_still(r);
    assert_int_equal(sent.n, 2);
    assert_string_equal(sent.lane, "dead");
    char *text = json_dumps(sent.json, JSON_COMPACT);
    assert_string_equal(text, "[2]");
    free(text);
    s.on_failure = "lane:bad";
    async_rig_function(r, &s);
    assert_int_equal(async_rig_event(r, "f", ID "03", "[3]"), 0);
    async_rig_still(r);
    async_rig_end(async_rig_call(r), HD_CALL_FUNCTION_ERROR, "not JSON");
    async_rig_still(r);
    assert_int_equal(sent.n, 4);
    json_decref(sent.json);
}

static void settings_are_those_of_the_qualifier(void **state)
{
    struct async_rig *r = *state;
    struct async_settings s = plain;
    s.qualifier = "prod";
    s.max_retries = 0;
    async_rig_function(r, &s);
    struct hd_async_event event = {.account = HD_LIT(ACCOUNT),
                                   .region = HD_LIT(REGION),
                                   .name = HD_LIT("f"),
                                   .qualifier = HD_LIT("prod"),
                                   .request_id = ID "01"};
    assert_int_equal(async_rig_event_of(r, &event), 0);
    async_rig_still(r);
    async_rig_end(async_rig_call(r), HD_CALL_FUNCTION_ERROR, "1");
    async_rig_still(r);
    assert_int_equal(async_rig_stats(r).exhausted, 1);
    assert_int_equal(async_rig_event(r, "f", ID "02", "{}"), 0); /* $LATEST has none */
    async_rig_still(r);
    async_rig_end(async_rig_call(r), HD_CALL_FUNCTION_ERROR, "1");
    async_rig_still(r);
    assert_int_equal(async_rig_stats(r).exhausted, 1);
    assert_int_equal(async_rig_stats(r).queued, 1);
}

static void a_reservation_of_zero_ends_events_at_once(void **state)
{
    struct async_rig *r = *state;
    struct sent sent = {0};
    struct async_settings s = plain;
    r->on_emit = keep_sent;
    r->arg = &sent;
    s.off = true;
    s.on_failure = "lane:bad";
    async_rig_function(r, &s);
    assert_int_equal(async_rig_event(r, "f", ID "01", "[1]"), 0);
    async_rig_still(r);
    assert_int_equal(r->n_calls, 0);
    assert_int_equal(sent.n, 1);
    expect(sent.json, "requestContext.condition", "\"ZeroReservedConcurrency\"");
    expect(sent.json, "requestContext.approximateInvokeCount", "0");
    assert_null(json_object_get(sent.json, "responseContext"));
    assert_null(json_object_get(sent.json, "responsePayload"));
    assert_int_equal(async_rig_stats(r).switched_off, 1);
    json_decref(sent.json);
}

static void a_function_can_be_the_destination(void **state)
{
    struct async_rig *r = *state;
    struct async_settings s = plain, g = plain;
    g.name = "g";
    s.on_success = ARN("g") ":prod";
    async_rig_function(r, &s);
    async_rig_function(r, &g);
    assert_int_equal(async_rig_event(r, "f", ID "01", "{}"), 0);
    async_rig_still(r);
    async_rig_end(async_rig_call(r), HD_CALL_OK, "5");
    async_rig_still(r);
    struct hd_call *call = async_rig_call(r);
    assert_string_equal(call->target->name, "g");
    assert_string_equal(call->target->version, "1");
    assert_string_not_equal(call->request_id, ID "01");
    json_t *record = json_loads(call->event, 0, NULL);
    expect(record, "responsePayload", "5");
    json_decref(record);
    assert_int_equal(hd_lineage_times(hd_str(call->trace), hd_str(ARN("f"))), 1);
    async_rig_end(call, HD_CALL_OK, "6");
    async_rig_still(r);
    assert_int_equal(async_rig_stats(r).succeeded, 2);
    assert_int_equal(async_rig_stats(r).sent, 1);
}

static void functions_that_cause_each_other_are_stopped(void **state)
{
    struct async_rig *r = *state;
    struct sent sent = {0};
    struct async_settings f = plain, g = plain;
    r->on_emit = keep_sent;
    r->arg = &sent;
    f.on_success = ARN("g");
    f.on_failure = "lane:bad";
    g.name = "g";
    g.on_success = ARN("f");
    async_rig_function(r, &f);
    async_rig_function(r, &g);
    assert_int_equal(async_rig_event(r, "f", ID "01", "{}"), 0);
    async_rig_still(r);
    while (!hd_list_empty(&r->calls)) {
        async_rig_end(async_rig_call(r), HD_CALL_OK, "1");
        async_rig_still(r);
    }
    assert_int_equal(r->n_calls, 2 * HD_LINEAGE_MAX);
    assert_int_equal(async_rig_stats(r).loops_stopped, 1);
    assert_int_equal(sent.n, 1);
    expect(sent.json, "requestContext.condition", "\"RecursiveLoop\"");
    json_decref(sent.json);
    /* Unless it is meant. */
    f.loops_allowed = g.loops_allowed = true;
    async_rig_function(r, &f);
    async_rig_function(r, &g);
    r->n_calls = 0;
    assert_int_equal(async_rig_event(r, "f", ID "02", "{}"), 0);
    async_rig_still(r);
    while (r->n_calls < 3 * HD_LINEAGE_MAX) {
        async_rig_end(async_rig_call(r), HD_CALL_OK, "1");
        async_rig_still(r);
    }
    assert_int_equal(async_rig_stats(r).loops_stopped, 1);
}

static void an_unreachable_destination_is_tried_for_an_hour_and_nothing_is_lost(void **state)
{
    struct async_rig *r = *state;
    struct sent sent = {.rc = HD_EIO};
    struct async_settings s = plain;
    r->on_emit = keep_sent;
    r->arg = &sent;
    s.on_success = "lane:away";
    async_rig_function(r, &s);
    assert_int_equal(async_rig_event(r, "f", ID "01", "{}"), 0);
    async_rig_still(r);
    async_rig_end(async_rig_call(r), HD_CALL_OK, "1");
    async_rig_pass(r, 50 * 60 * 1000);
    assert_int_equal(async_rig_stats(r).send_lost, 0);
    assert_in_range(sent.n, 12, HD_ASYNC_SENDS_MAX);
    async_rig_pass(r, 60 * 60 * 1000);
    assert_int_equal(sent.n, HD_ASYNC_SENDS_MAX);
    assert_int_equal(async_rig_stats(r).send_lost, 1);
    assert_int_equal(async_rig_stats(r).send_failures, HD_ASYNC_SENDS_MAX);
    struct rig_items dead;
    rig_dead(&r->store, "lambda-to:lane:away", 0, 9, &dead);
    assert_int_equal(dead.n, 1);
    assert_string_equal(dead.at[0].id, ID "01");
    assert_string_equal(dead.at[0].reason, "made up");
    assert_int_equal(r->n_calls, 1); /* the function has nothing to do with it */
    json_decref(sent.json);
}

static void a_destination_that_comes_back_gets_it(void **state)
{
    struct async_rig *r = *state;
    struct sent sent = {.rc = HD_EIO};
    struct async_settings s = plain;
    r->on_emit = keep_sent;
    r->arg = &sent;
    s.on_success = "lane:away";
    async_rig_function(r, &s);
    assert_int_equal(async_rig_event(r, "f", ID "01", "{}"), 0);
    async_rig_still(r);
    async_rig_end(async_rig_call(r), HD_CALL_OK, "1");
    async_rig_pass(r, 10000);
    async_rig_crash(r); /* also over a restart */
    sent.rc = 0;
    async_rig_pass(r, 10 * 60 * 1000);
    assert_int_equal(async_rig_stats(r).sent, 1);
    assert_int_equal(rig_depth(&r->store, "lambda-to:lane:away").queued, 0);
    assert_int_equal(rig_depth(&r->store, "lambda-to:lane:away").dead, 0);
    json_decref(sent.json);
}

/* --- limits and life --- */

static void a_full_queue_is_told(void **state)
{
    struct async_rig *r = *state;
    async_rig_close(r);
    rig_close(&r->store);
    r->max_events = 3;
    async_rig_open(r);
    for (int i = 0; i < 5; i++)
        assert_int_equal(async_rig_event(r, "f", ID "01", "{}"), i < 3 ? 0 : HD_EBUSY);
    assert_int_equal(async_rig_stats(r).accepted, 3);
    assert_int_equal(async_rig_stats(r).refused, 2);
    r->max_events = 0;
}

static void functions_take_turns(void **state)
{
    struct async_rig *r = *state;
    struct async_settings g = plain;
    g.name = "g";
    async_rig_close(r);
    rig_close(&r->store);
    r->max_running = 2;
    async_rig_open(r);
    async_rig_function(r, &g);
    for (int i = 0; i < 20; i++)
        assert_int_equal(async_rig_event(r, "f", ID "01", "{}"), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(async_rig_event(r, "g", ID "02", "{}"), 0);
    int g_done = 0, all = 0;
    async_rig_still(r);
    while (g_done < 3) {
        struct hd_call *call = async_rig_call(r);
        assert_true(n_calls(r) <= 2);
        g_done += strcmp(call->target->name, "g") == 0;
        all++;
        async_rig_end(call, HD_CALL_OK, "1");
        async_rig_still(r);
    }
    assert_true(all <= 12); /* and not 23 */
    r->max_running = 0;
}

static void what_was_accepted_survives_the_process(void **state)
{
    struct async_rig *r = *state;
    struct async_settings s = plain;
    for (int i = 0; i < 12; i++) {
        char id[64];
        snprintf(id, sizeof(id), ID "%02d", i);
        assert_int_equal(async_rig_event(r, "f", id, "{}"), 0);
    }
    async_rig_still(r);
    async_rig_end(async_rig_call(r), HD_CALL_OK, "1");
    async_rig_end(async_rig_call(r), HD_CALL_FUNCTION_ERROR, "1");
    async_rig_still(r);
    int running = n_calls(r);
    async_rig_crash(r);
    assert_int_equal(r->n_canceled, running);
    s.max_retries = 1;
    async_rig_function(r, &s);
    int ended = 1;
    bool seen[12] = {true};
    while (ended < 12) {
        async_rig_pass(r, 1000);
        while (!hd_list_empty(&r->calls)) {
            struct hd_call *call = async_rig_call(r);
            seen[strtoul(call->request_id + 34, NULL, 10)] = true;
            async_rig_end(call, HD_CALL_OK, "1");
            ended++;
        }
    }
    for (int i = 0; i < 12; i++)
        assert_true(seen[i]);
    async_rig_still(r);
    assert_int_equal(async_rig_stats(r).queued + async_rig_stats(r).running, 0);
}

static int held(struct async_rig *r, struct hd_str lane, struct hd_str id, struct hd_str json)
{
    struct sent *sent = r->arg;
    (void)lane;
    (void)id;
    (void)json;
    return ++sent->n == 1 ? ASYNC_RIG_WAITS : 0;
}

/* A lane that does not answer keeps no node from ending; the record is sent again by the next. */
static void an_emission_under_way_is_given_up_with_the_node(void **state)
{
    struct async_rig *r = *state;
    struct sent sent = {0};
    struct async_settings s = plain;
    r->on_emit = held;
    r->arg = &sent;
    s.on_success = "lane:good";
    async_rig_function(r, &s);
    assert_int_equal(async_rig_event(r, "f", ID "01", "{}"), 0);
    async_rig_still(r);
    async_rig_end(async_rig_call(r), HD_CALL_OK, "1");
    async_rig_still(r);
    assert_int_equal(sent.n, 1);
    async_rig_crash(r);   /* would wait for ever */
    async_rig_emitted(r); /* too late: nobody is there for it */
    async_rig_pass(r, 60000);
    assert_int_equal(sent.n, 2);
    assert_int_equal(async_rig_stats(r).queued + async_rig_stats(r).running, 0);
}

static void on_flag(void *arg)
{
    *(bool *)arg = true;
}

static void a_stop_waits_for_what_runs_and_begins_nothing(void **state)
{
    struct async_rig *r = *state;
    bool stopped = false;
    for (int i = 0; i < 20; i++)
        assert_int_equal(async_rig_event(r, "f", ID "01", "{}"), 0);
    async_rig_still(r);
    assert_int_equal(n_calls(r), 8);
    hd_async_stop(r->async, on_flag, &stopped);
    async_rig_still(r);
    assert_int_equal(async_rig_event(r, "f", ID "02", "{}"), 0);
    while (!hd_list_empty(&r->calls)) {
        assert_false(stopped);
        async_rig_end(async_rig_call(r), HD_CALL_OK, "1");
        async_rig_still(r);
    }
    rig_until(&r->store, &stopped);
    assert_int_equal(r->n_calls, 8);
    async_rig_still(r);
    assert_int_equal(async_rig_stats(r).queued, 13);
    async_rig_close(r);
}

static void a_deleted_functions_events_are_gone(void **state)
{
    struct async_rig *r = *state;
    for (int i = 0; i < 20; i++)
        assert_int_equal(async_rig_event(r, "f", ID "01", "{}"), 0);
    async_rig_still(r);
    struct hd_store_tx *tx = hd_store_begin(r->store.store);
    char queue[HD_ASYNC_QUEUE_CHARS];
    hd_async_queue_name(queue, hd_str(ACCOUNT), hd_str(REGION), hd_str("f"));
    assert_string_equal(queue, QUEUE("f"));
    hd_queue_purge(tx, hd_str(queue));
    assert_int_equal(rig_commit(&r->store, tx, NULL), 0);
    async_rig_remove(r, "f");
    while (!hd_list_empty(&r->calls))
        async_rig_end(async_rig_call(r), HD_CALL_FUNCTION_ERROR, "1");
    async_rig_pass(r, 10 * 60 * 1000);
    assert_int_equal(r->n_calls, 8);
    assert_int_equal(async_rig_stats(r).queued + async_rig_stats(r).running, 0);
}

static void strangers_in_the_queue_do_no_harm(void **state)
{
    struct async_rig *r = *state;
    assert_int_equal(rig_item(&r->store, "lambda:what is this", "x", 1), 0);
    assert_int_equal(rig_item(&r->store, "lambda-to:neither", "y", 1), 0);
    async_rig_crash(r);
    assert_int_equal(async_rig_event(r, "f", ID "01", "{}"), 0);
    async_rig_still(r);
    async_rig_end(async_rig_call(r), HD_CALL_OK, "1");
    async_rig_pass(r, 10000);
    assert_int_equal(async_rig_stats(r).succeeded, 1);
    assert_true(async_rig_stats(r).send_failures > 0);
    assert_true(async_rig_stats(r).system_errors > 0 || async_rig_stats(r).expired > 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_event_is_run_as_it_was_accepted),
        CASE(errors_are_retried_with_the_same_id),
        CASE(throttles_do_not_count_and_leave_the_function_alone),
        CASE(what_cannot_be_run_is_tried_until_it_is_too_old),
        CASE(a_function_that_is_not_there_is_waited_for),
        CASE(success_goes_to_its_destination),
        CASE(failure_goes_to_its_destination_and_to_the_dead_letters),
        CASE(settings_are_those_of_the_qualifier),
        CASE(a_reservation_of_zero_ends_events_at_once),
        CASE(a_function_can_be_the_destination),
        CASE(functions_that_cause_each_other_are_stopped),
        CASE(an_unreachable_destination_is_tried_for_an_hour_and_nothing_is_lost),
        CASE(a_destination_that_comes_back_gets_it),
        CASE(a_full_queue_is_told),
        CASE(functions_take_turns),
        CASE(what_was_accepted_survives_the_process),
        CASE(an_emission_under_way_is_given_up_with_the_node),
        CASE(a_stop_waits_for_what_runs_and_begins_nothing),
        CASE(a_deleted_functions_events_are_gone),
        CASE(strangers_in_the_queue_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
