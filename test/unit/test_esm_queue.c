/* test/unit/test_esm_queue.c - the node's own queues as event sources, with a real store. */
#include "lambda/sources/esm_queue.h"

#include "core/clock.h"
#include "esm_rig.h"

#define ARN "arn:aws:sqs:us-east-1:000000000000:orders"
#define QUEUE "lane:orders"

struct rig {
    struct esm_rig esm;
    struct hd_esm_queue *queue;
};

static char *queue_of(void *arg, const char *name)
{
    (void)arg;
    return strcmp(name, "orders") == 0 ? hd_strdup(QUEUE) : NULL;
}

static void offer(struct rig *r)
{
    const struct hd_esm_queue_options opt = {
        .store = r->esm.lr.store, .queue_of = queue_of, .max_receives = 2};
    r->esm.source.esm = hd_api_esm(r->esm.lr.api);
    r->queue = hd_esm_queue_new(&r->esm.source, &opt);
}

static void start(struct rig *r)
{
    esm_rig_start(&r->esm);
    offer(r);
}

static void stop(struct rig *r)
{
    esm_rig_close(&r->esm);
    hd_esm_queue_free(r->queue);
    esm_rig_done(&r->esm);
}

static void on_put(void *arg, const struct hd_error *err)
{
    assert_null(err);
    ++*(unsigned *)arg;
}

static void put_bytes(struct rig *r, const char *id, struct hd_str body)
{
    unsigned done = 0;
    const struct hd_queue_put item = {.queue = HD_LIT(QUEUE), .id = hd_str(id), .body = body};
    hd_queue_put_one(r->esm.lr.store, &item, r->esm.lr.loop, on_put, &done);
    lr_until(&r->esm.lr, &done, 1);
}

static void put(struct rig *r, const char *id, const char *body)
{
    put_bytes(r, id, hd_str(body));
}

static bool is_empty(void *arg)
{
    struct rig *r = arg;
    struct hd_queue_depth depth;
    hd_queue_depth(r->esm.lr.store, hd_str(QUEUE), &depth);
    return depth.queued == 0 && depth.running == 0;
}

static uint64_t dead(struct rig *r)
{
    struct hd_queue_depth depth;
    hd_queue_depth(r->esm.lr.store, hd_str(QUEUE), &depth);
    return depth.dead;
}

static const char *text(const json_t *record, const char *member)
{
    const char *s = json_string_value(json_object_get(record, member));
    assert_non_null(s);
    return s;
}

static void messages_come_as_from_a_queue_service(void **state)
{
    struct rig r;
    start(&r);
    put(&r, "m-1", "{\"a\":\"\xc3\xa4\\\"\"}");
    esm_rig_map(&r.esm, ARN, "");
    esm_rig_events(&r.esm, 1);
    const json_t *record = esm_rig_record(&r.esm, 0, 0);
    assert_string_equal(text(record, "messageId"), "m-1");
    assert_string_equal(text(record, "body"), "{\"a\":\"\xc3\xa4\\\"\"}");
    assert_string_equal(text(record, "eventSource"), "aws:sqs");
    assert_string_equal(text(record, "eventSourceARN"), ARN);
    assert_string_equal(text(record, "awsRegion"), "us-east-1");
    assert_string_equal(text(record, "md5OfBody"), "3f691bf581cd8ddc015f64471cf0f65f");
    const json_t *attributes = json_object_get(record, "attributes");
    assert_string_equal(text(attributes, "ApproximateReceiveCount"), "1");
    assert_int_equal(strlen(text(attributes, "SentTimestamp")), 13);
    esm_rig_until(&r.esm, is_empty, &r);
    put(&r, "m-2", "later"); /* noticed, not looked for */
    esm_rig_events(&r.esm, 2);
    assert_string_equal(text(esm_rig_record(&r.esm, 1, 0), "body"), "later");
    esm_rig_until(&r.esm, is_empty, &r);
    assert_int_equal(dead(&r), 0);
    struct hd_esm_poll_stats stats;
    hd_esm_queue_stats(r.queue, &stats);
    assert_int_equal(stats.received, 2);
    assert_int_equal(stats.records_ok, 2);
    stop(&r);
    (void)state;
}

static void a_mapping_lives_and_ends(void **state)
{
    struct rig r;
    start(&r);
    esm_rig_map(&r.esm, ARN, ",\"Enabled\":false");
    esm_rig_state(&r.esm, "Disabled");
    put(&r, "m-1", "1");
    esm_rig_turn(&r.esm, 50);
    assert_int_equal(r.esm.n_events, 0);
    hd_auto_free char *path = hd_printf("PUT " ESM_PATH "/%s", r.esm.uuid);
    r.esm.hold = true;
    op_ok(&r.esm.lr, 202, path, "{\"Enabled\":true}");
    esm_rig_events(&r.esm, 1);
    esm_rig_state(&r.esm, "Enabled");
    hd_auto_free char *gone = hd_printf("DELETE " ESM_PATH "/%s", r.esm.uuid);
    op_ok(&r.esm.lr, 202, gone, NULL);
    esm_rig_state(&r.esm, "Deleting"); /* as long as the function runs */
    put(&r, "m-2", "2");
    esm_rig_turn(&r.esm, 50);
    esm_rig_release(&r.esm);
    esm_rig_state(&r.esm, "");
    esm_rig_turn(&r.esm, 50);
    assert_int_equal(r.esm.n_events, 1);
    assert_false(is_empty(&r)); /* the second one stays */
    stop(&r);
    (void)state;
}

static void what_fails_comes_again_and_ends_as_a_dead_letter(void **state)
{
    struct rig r;
    start(&r);
    r.esm.how = HD_ESM_CALL_FAILED;
    put(&r, "m-1", "poison");
    esm_rig_map(&r.esm, ARN, "");
    esm_rig_events(&r.esm, 2);
    const json_t *second = esm_rig_record(&r.esm, 1, 0);
    assert_string_equal(text(json_object_get(second, "attributes"), "ApproximateReceiveCount"),
                        "2");
    esm_rig_until(&r.esm, is_empty, &r);
    assert_int_equal(dead(&r), 1);
    assert_int_equal(r.esm.n_events, 2);
    hd_auto_free char *path = hd_printf("GET " ESM_PATH "/%s", r.esm.uuid);
    op_ok(&r.esm.lr, 200, path, NULL);
    assert_string_equal(lr_text(&r.esm.lr, "LastProcessingResult"),
                        "PROBLEM: Function call failed");
    stop(&r);
    (void)state;
}

static void filters_and_partial_failures_are_kept(void **state)
{
    struct rig r;
    start(&r);
    put(&r, "a", "{\"kind\":\"order\",\"n\":1}");
    put(&r, "b", "{\"kind\":\"other\"}");
    put(&r, "c", "no json");
    put(&r, "d", "{\"kind\":\"order\",\"n\":2}");
    put_bytes(&r, "e", hd_str("\xff")); /* no text: a dead letter */
    r.esm.answer = "{\"batchItemFailures\":[{\"itemIdentifier\":\"d\"}]}";
    esm_rig_map(&r.esm, ARN,
                ",\"FunctionResponseTypes\":[\"ReportBatchItemFailures\"],\"FilterCriteria\":{"
                "\"Filters\":[{\"Pattern\":\"{\\\"body\\\":{\\\"kind\\\":[\\\"order\\\"]}}\"}]}");
    esm_rig_events(&r.esm, 2);
    assert_int_equal(json_array_size(json_object_get(r.esm.events[0], "Records")), 2);
    assert_string_equal(text(esm_rig_record(&r.esm, 0, 0), "messageId"), "a");
    assert_string_equal(text(esm_rig_record(&r.esm, 0, 1), "messageId"), "d");
    assert_int_equal(json_array_size(json_object_get(r.esm.events[1], "Records")), 1);
    assert_string_equal(text(esm_rig_record(&r.esm, 1, 0), "messageId"), "d");
    esm_rig_until(&r.esm, is_empty, &r);
    assert_int_equal(dead(&r), 2); /* d after its second time, and e */
    struct hd_esm_poll_stats stats;
    hd_esm_queue_stats(r.queue, &stats);
    assert_int_equal(stats.filtered, 2);
    stop(&r);
    (void)state;
}

static void large_batches_are_gathered(void **state)
{
    struct rig r;
    start(&r);
    for (unsigned i = 0; i < 25; i++) {
        char id[16];
        snprintf(id, sizeof(id), "m-%u", i);
        put(&r, id, "x");
    }
    esm_rig_map(&r.esm, ARN, ",\"BatchSize\":20,\"MaximumBatchingWindowInSeconds\":2");
    esm_rig_until(&r.esm, is_empty, &r);
    unsigned records = 0, most = 0;
    for (unsigned i = 0; i < r.esm.n_events; i++) {
        unsigned n = (unsigned)json_array_size(json_object_get(r.esm.events[i], "Records"));
        records += n;
        most = HD_MAX(most, n);
    }
    assert_int_equal(records, 25);
    assert_int_equal(most, 20);
    stop(&r);
    (void)state;
}

static void a_restart_goes_on_where_it_was(void **state)
{
    struct rig r;
    start(&r);
    r.esm.hold = true;
    put(&r, "m-1", "1");
    esm_rig_map(&r.esm, ARN, "");
    esm_rig_events(&r.esm, 1);
    r.esm.how = HD_ESM_CALL_BUSY; /* it was not called after all */
    esm_rig_close(&r.esm);
    hd_esm_queue_free(r.queue);
    lr_open(&r.esm.lr);
    r.esm.how = HD_ESM_CALL_OK;
    offer(&r);
    esm_rig_events(&r.esm, 2);
    assert_string_equal(text(esm_rig_record(&r.esm, 1, 0), "messageId"), "m-1");
    esm_rig_until(&r.esm, is_empty, &r);
    stop(&r);
    (void)state;
}

static void queues_of_others_are_not_taken(void **state)
{
    struct rig r;
    start(&r);
    op_refused(&r.esm.lr, "InvalidParameterValueException",
               "This event source is not offered by this server: nothing on this node polls "
               "arn:aws:sqs:us-east-1:000000000000:others.",
               "POST " ESM_PATH,
               "{\"FunctionName\":\"demo\",\"EventSourceArn\":"
               "\"arn:aws:sqs:us-east-1:000000000000:others\"}");
    stop(&r);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_as_from_a_queue_service),
        cmocka_unit_test(a_mapping_lives_and_ends),
        cmocka_unit_test(what_fails_comes_again_and_ends_as_a_dead_letter),
        cmocka_unit_test(filters_and_partial_failures_are_kept),
        cmocka_unit_test(large_batches_are_gathered),
        cmocka_unit_test(a_restart_goes_on_where_it_was),
        cmocka_unit_test(queues_of_others_are_not_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
