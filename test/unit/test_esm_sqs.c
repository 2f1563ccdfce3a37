/* test/unit/test_esm_sqs.c - queues of SQS as event sources, on a server that keeps visibility
 * timeouts, groups and signatures. */
#include "lambda/sources/esm_sqs.h"

#include "core/clock.h"
#include "esm_rig.h"
#include "fetch_rig.h"
#include "lambda/sources/sqs.h"

#define ARN "arn:aws:sqs:eu-west-1:000000000000:"
#define KEY "AKIDEXAMPLE"
#define SECRET "secret"

struct rig {
    struct esm_rig esm;
    struct fetch_rig server; /* its process; its loop is not used */
    struct hd_fetcher *fetcher;
    struct hd_aws *aws;
    struct hd_esm_sqs *sqs;
};

/* --- asking the server --- */

struct asked {
    unsigned done;
    json_t *answer;
};

static void on_asked(void *arg, struct hd_str body, const struct hd_aws_failure *failure)
{
    struct asked *a = arg;
    if (failure != NULL)
        fail_msg("%s", failure->error.msg);
    a->done++;
    a->answer = json_loadb(body.ptr, body.len, 0, NULL);
}

static json_t *ask(struct rig *r, const char *path, const char *action, const char *body)
{
    hd_auto_free char *target = action != NULL ? hd_printf("AmazonSQS.%s", action) : NULL;
    const struct hd_aws_request req = {.service = HD_AWS_SQS,
                                       .region = HD_LIT("eu-west-1"),
                                       .path = path,
                                       .target = target,
                                       .body = hd_str(body)};
    struct hd_aws_call *call;
    struct asked a = {.done = 0};
    assert_int_equal(hd_aws_start(&call, r->aws, &req, on_asked, &a, NULL), 0);
    lr_until(&r->esm.lr, &a.done, 1);
    return a.answer;
}

static void tell(struct rig *r, const char *path, const char *action, const char *body)
{
    json_decref(ask(r, path, action, body));
}

static void make_queue(struct rig *r, const char *name, const char *attributes)
{
    hd_auto_free char *body =
        hd_printf("{\"QueueName\":\"%s\",\"Attributes\":{%s}}", name, attributes);
    tell(r, NULL, "CreateQueue", body);
}

static void send_grouped(struct rig *r, const char *queue, const char *text, const char *group)
{
    hd_auto_free char *more =
        group != NULL ? hd_printf(",\"MessageGroupId\":\"%s\"", group) : hd_strdup("");
    hd_auto_free char *body =
        hd_printf("{\"QueueUrl\":\"x/%s\",\"MessageBody\":%s%s}", queue, text, more);
    tell(r, NULL, "SendMessage", body);
}

static void send_one(struct rig *r, const char *queue, const char *text)
{
    send_grouped(r, queue, text, NULL);
}

static unsigned count(struct rig *r, const char *queue, const char *which)
{
    hd_auto_free char *body =
        hd_printf("{\"QueueUrl\":\"x/%s\",\"AttributeNames\":[\"All\"]}", queue);
    hd_auto_free char *name = hd_printf("ApproximateNumberOfMessages%s", which);
    json_t *answer = ask(r, NULL, "GetQueueAttributes", body);
    uint64_t n = UINT64_MAX;
    hd_str_to_u64(&n, hd_str(json_string_value(
                          json_object_get(json_object_get(answer, "Attributes"), name))));
    json_decref(answer);
    return (unsigned)n;
}

static bool is_empty(void *arg)
{
    return count(arg, "q", "") + count(arg, "q", "NotVisible") == 0;
}

/* How often the server was asked for this. */
static unsigned asked_for(struct rig *r, const char *action)
{
    json_t *all = ask(r, "/test/log", NULL, "");
    size_t i;
    json_t *entry;
    unsigned n = 0;
    json_array_foreach(json_object_get(all, "log"), i, entry) n +=
        strcmp(json_string_value(json_array_get(entry, 0)), action) == 0;
    json_decref(all);
    return n;
}

/* --- the rig --- */

static void offer(struct rig *r)
{
    r->esm.source.esm = hd_api_esm(r->esm.lr.api);
    r->sqs = hd_esm_sqs_new(&r->esm.source, r->aws);
}

static void start(struct rig *r)
{
    static const char *const args[] = {"--key", KEY ":" SECRET, NULL};
    esm_rig_start(&r->esm);
    fetch_rig_start_script(&r->server, "integration/sqs_server.py", args);
    r->fetcher = hd_fetcher_new(r->esm.lr.loop);
    const struct hd_aws_options opt = {.loop = r->esm.lr.loop,
                                       .fetcher = r->fetcher,
                                       .key_id = KEY,
                                       .secret = SECRET,
                                       .endpoint = r->server.base};
    assert_int_equal(hd_aws_new(&r->aws, &opt, NULL), 0);
    offer(r);
    make_queue(r, "q", "\"VisibilityTimeout\":\"30\"");
}

static void on_closed(void *arg)
{
    ++*(unsigned *)arg;
}

static void stop(struct rig *r)
{
    unsigned closed = 0;
    esm_rig_close(&r->esm);
    hd_esm_sqs_free(r->sqs);
    hd_fetcher_close(r->fetcher, on_closed, &closed);
    lr_until(&r->esm.lr, &closed, 1);
    hd_aws_free(r->aws);
    fetch_rig_stop(&r->server);
    esm_rig_done(&r->esm);
}

static const char *text(const json_t *record, const char *member)
{
    const char *s = json_string_value(json_object_get(record, member));
    assert_non_null(s);
    return s;
}

/* --- claims --- */

static void messages_become_events_and_are_deleted(void **state)
{
    struct rig r;
    start(&r);
    tell(&r, NULL, "SendMessage",
         "{\"QueueUrl\":\"x/q\",\"MessageBody\":\"h\xc3\xa4llo\",\"MessageAttributes\":{"
         "\"kind\":{\"DataType\":\"String\",\"StringValue\":\"order\"},"
         "\"raw\":{\"DataType\":\"Binary\",\"BinaryValue\":\"AP8=\"}}}");
    esm_rig_map(&r.esm, ARN "q", "");
    esm_rig_events(&r.esm, 1);
    const json_t *record = esm_rig_record(&r.esm, 0, 0);
    static const char *const members[] = {
        "messageId", "receiptHandle",          "body",        "attributes",     "messageAttributes",
        "md5OfBody", "md5OfMessageAttributes", "eventSource", "eventSourceARN", "awsRegion"};
    const char *name;
    json_t *value;
    size_t i = 0;
    json_object_foreach((json_t *)record, name, value)
        assert_string_equal(name, members[i++]); /* the order of the service */
    assert_int_equal(i, HD_COUNT(members));
    assert_string_equal(text(record, "body"), "h\xc3\xa4llo");
    assert_string_equal(text(record, "md5OfBody"), "38bbce5fb3d0aec801f9eab39182fa7a");
    assert_string_equal(text(record, "eventSource"), "aws:sqs");
    assert_string_equal(text(record, "eventSourceARN"), ARN "q");
    assert_string_equal(text(record, "awsRegion"), "eu-west-1");
    const json_t *attributes = json_object_get(record, "attributes");
    assert_string_equal(text(attributes, "ApproximateReceiveCount"), "1");
    const json_t *own = json_object_get(record, "messageAttributes");
    json_t *want = json_loads(
        "{\"kind\":{\"stringValue\":\"order\",\"stringListValues\":[],\"binaryListValues\":[],"
        "\"dataType\":\"String\"},\"raw\":{\"binaryValue\":\"AP8=\",\"stringListValues\":[],"
        "\"binaryListValues\":[],\"dataType\":\"Binary\"}}",
        0, NULL);
    assert_true(json_equal(own, want));
    json_decref(want);
    esm_rig_until(&r.esm, is_empty, &r);
    esm_rig_state(&r.esm, "Enabled");
    assert_string_equal(lr_text(&r.esm.lr, "LastProcessingResult"), "OK");
    stop(&r);
    (void)state;
}

static void what_fails_comes_again_after_its_timeout(void **state)
{
    struct rig r;
    start(&r);
    make_queue(&r, "dead", "");
    make_queue(&r, "short",
               "\"VisibilityTimeout\":\"3\",\"RedrivePolicy\":\"{\\\"maxReceiveCount\\\":2,"
               "\\\"deadLetterTargetArn\\\":\\\"" ARN "dead\\\"}\"");
    r.esm.how = HD_ESM_CALL_FAILED;
    send_one(&r, "short", "\"poison\"");
    esm_rig_map(&r.esm, ARN "short", "");
    esm_rig_events(&r.esm, 2);
    const json_t *second = esm_rig_record(&r.esm, 1, 0);
    assert_string_equal(text(json_object_get(second, "attributes"), "ApproximateReceiveCount"),
                        "2");
    while (count(&r, "dead", "") == 0)
        esm_rig_turn(&r.esm, 50);
    assert_int_equal(r.esm.n_events, 2);
    stop(&r);
    (void)state;
}

static void filters_drop_and_partial_failures_stay(void **state)
{
    struct rig r;
    start(&r);
    send_one(&r, "q", "\"{\\\"kind\\\":\\\"order\\\"}\"");
    send_one(&r, "q", "\"{\\\"kind\\\":\\\"other\\\"}\"");
    send_one(&r, "q", "\"text\"");
    esm_rig_map(&r.esm, ARN "q",
                ",\"FilterCriteria\":{\"Filters\":[{\"Pattern\":"
                "\"{\\\"body\\\":{\\\"kind\\\":[\\\"order\\\"]}}\"}]}");
    esm_rig_events(&r.esm, 1);
    esm_rig_until(&r.esm, is_empty, &r); /* all three */
    assert_int_equal(r.esm.n_events, 1);
    struct hd_esm_poll_stats stats;
    hd_esm_sqs_stats(r.sqs, &stats);
    assert_int_equal(stats.filtered, 2);
    assert_int_equal(stats.received, 3);
    stop(&r);

    start(&r);
    for (int i = 0; i < 3; i++)
        send_one(&r, "q", "\"x\"");
    r.esm.hold = true;
    esm_rig_map(&r.esm, ARN "q", ",\"FunctionResponseTypes\":[\"ReportBatchItemFailures\"]");
    esm_rig_events(&r.esm, 1);
    size_t n = json_array_size(json_object_get(r.esm.events[0], "Records"));
    hd_auto_free char *answer = hd_printf("{\"batchItemFailures\":[{\"itemIdentifier\":\"%s\"}]}",
                                          text(esm_rig_record(&r.esm, 0, 0), "messageId"));
    r.esm.answer = answer;
    esm_rig_release(&r.esm);
    hd_esm_sqs_stats(r.sqs, &stats);
    while (stats.records_failed == 0) {
        esm_rig_turn(&r.esm, 20);
        hd_esm_sqs_stats(r.sqs, &stats);
    }
    assert_int_equal(stats.records_failed, 1);
    assert_int_equal(stats.records_ok, n - 1);
    stop(&r);
    (void)state;
}

static void many_are_taken_by_more_pollers_up_to_the_limit(void **state)
{
    struct rig r;
    start(&r);
    for (int i = 0; i < 60; i++)
        send_one(&r, "q", "\"x\"");
    r.esm.hold = true;
    esm_rig_map(&r.esm, ARN "q", ",\"BatchSize\":5,\"ScalingConfig\":{\"MaximumConcurrency\":4}");
    lr_until(&r.esm.lr, &r.esm.calling, 4);
    esm_rig_turn(&r.esm, 200);
    assert_int_equal(r.esm.calling, 4);
    r.esm.hold = false;
    esm_rig_release(&r.esm);
    esm_rig_until(&r.esm, is_empty, &r);
    assert_int_equal(r.esm.most_calling, 4);
    unsigned records = 0;
    for (unsigned i = 0; i < r.esm.n_events; i++)
        records += (unsigned)json_array_size(json_object_get(r.esm.events[i], "Records"));
    assert_int_equal(records, 60); /* none twice */
    stop(&r);
    (void)state;
}

static void a_group_is_handled_one_batch_after_the_other(void **state)
{
    struct rig r;
    start(&r);
    make_queue(&r, "q.fifo", "\"VisibilityTimeout\":\"30\"");
    for (int i = 0; i < 12; i++) {
        hd_auto_free char *body = hd_printf("\"%d\"", i);
        send_grouped(&r, "q.fifo", body, i % 2 == 0 ? "even" : "odd");
    }
    r.esm.hold = true;
    esm_rig_map(&r.esm, ARN "q.fifo", ",\"BatchSize\":2");
    unsigned seen = 0, last[2] = {0, 0};
    while (seen < 12) {
        lr_until(&r.esm.lr, &r.esm.n_held, 1);
        esm_rig_turn(&r.esm, 30);
        unsigned groups[2] = {0, 0}; /* calls under way that have records of each */
        for (unsigned e = r.esm.n_events - r.esm.n_held; e < r.esm.n_events; e++) {
            bool has[2] = {false, false};
            for (unsigned i = 0; esm_rig_record(&r.esm, e, i) != NULL; i++, seen++) {
                uint64_t n = 99;
                hd_str_to_u64(&n, hd_str(text(esm_rig_record(&r.esm, e, i), "body")));
                assert_true(n + 1 > last[n % 2]); /* in order */
                last[n % 2] = (unsigned)n + 1;
                has[n % 2] = true;
            }
            groups[0] += has[0];
            groups[1] += has[1];
        }
        assert_true(groups[0] <= 1 && groups[1] <= 1);
        esm_rig_release(&r.esm);
        lr_until(&r.esm.lr, &r.esm.ended, r.esm.n_events);
    }
    assert_int_equal(seen, 12);
    stop(&r);
    (void)state;
}

static void long_polls_are_given_up_at_once(void **state)
{
    struct rig r;
    start(&r);
    esm_rig_map(&r.esm, ARN "q", "");
    esm_rig_state(&r.esm, "Enabled");
    while (asked_for(&r, "ReceiveMessage") < 2)
        esm_rig_turn(&r.esm, 20);
    uint64_t begun = hd_clock_ms();
    hd_auto_free char *gone = hd_printf("DELETE " ESM_PATH "/%s", r.esm.uuid);
    op_ok(&r.esm.lr, 202, gone, NULL);
    esm_rig_state(&r.esm, "");
    assert_true(hd_clock_ms() - begun < 15000); /* of the 20 s that the server would wait */
    assert_true(asked_for(&r, "ReceiveMessage") <= 3);
    stop(&r);
    (void)state;
}

static void bad_days_of_the_service_pass(void **state)
{
    struct rig r;
    start(&r);
    tell(&r, "/test/fail", NULL, "{\"action\":\"ReceiveMessage\",\"status\":503,\"times\":3}");
    tell(&r, "/test/fail", NULL, "{\"action\":\"DeleteMessageBatch\",\"status\":500,\"times\":2}");
    send_one(&r, "q", "\"x\"");
    esm_rig_map(&r.esm, ARN "q", "");
    esm_rig_events(&r.esm, 1);
    esm_rig_until(&r.esm, is_empty, &r);
    assert_int_equal(r.esm.n_events, 1);
    assert_int_equal(asked_for(&r, "DeleteMessageBatch"), 3);
    struct hd_esm_poll_stats stats;
    hd_esm_sqs_stats(r.sqs, &stats);
    assert_int_equal(stats.source_errors, 3);
    /* the queue goes, and comes again */
    tell(&r, NULL, "DeleteQueue", "{\"QueueUrl\":\"x/q\"}");
    tell(&r, "/test/fail", NULL,
         "{\"action\":\"ReceiveMessage\",\"status\":400,"
         "\"type\":\"com.amazonaws.sqs#QueueDoesNotExist\",\"times\":2}");
    make_queue(&r, "q", "\"VisibilityTimeout\":\"30\"");
    send_one(&r, "q", "\"y\"");
    esm_rig_events(&r.esm, 2);
    stop(&r);
    (void)state;
}

static void a_queue_is_looked_at_before_it_is_mapped(void **state)
{
    struct rig r;
    start(&r);
    op_refused(&r.esm.lr, "InvalidParameterValueException",
               "Error occurred while ReceiveMessage. SQS Error Code: QueueDoesNotExist. SQS Error "
               "Message: sqs: 400 QueueDoesNotExist: The specified queue does not exist.",
               "POST " ESM_PATH, "{\"FunctionName\":\"demo\",\"EventSourceArn\":\"" ARN "none\"}");
    make_queue(&r, "short", "\"VisibilityTimeout\":\"1\"");
    op_refused(&r.esm.lr, "InvalidParameterValueException",
               "Queue visibility timeout: 1 seconds is less than Function timeout: 3 seconds",
               "POST " ESM_PATH, "{\"FunctionName\":\"demo\",\"EventSourceArn\":\"" ARN "short\"}");
    stop(&r);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_become_events_and_are_deleted),
        cmocka_unit_test(what_fails_comes_again_after_its_timeout),
        cmocka_unit_test(filters_drop_and_partial_failures_stay),
        cmocka_unit_test(many_are_taken_by_more_pollers_up_to_the_limit),
        cmocka_unit_test(a_group_is_handled_one_batch_after_the_other),
        cmocka_unit_test(long_polls_are_given_up_at_once),
        cmocka_unit_test(bad_days_of_the_service_pass),
        cmocka_unit_test(a_queue_is_looked_at_before_it_is_mapped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
