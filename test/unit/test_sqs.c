/* test/unit/test_sqs.c - calls to AWS-shaped services, against a server that checks what is signed.
 */
#include "lambda/awssend.h"
#include "lambda/sources/sqs.h"

#include "fetch_rig.h"
#include "test.h"

#include <stdlib.h>

#define KEY "AKIDEXAMPLE"
#define SECRET "secret/with+odd=characters"
#define TOKEN "token+/="

struct rig {
    struct fetch_rig fetch;
    struct hd_aws *aws;
    struct hd_sqs_queue queue;
    char *url;
};

static void start(struct rig *rig, bool keyed, const char *secret)
{
    static const char *const with_key[] = {"--key", KEY ":" SECRET ":" TOKEN, NULL};
    static const char *const without[] = {NULL};
    *rig = (struct rig){.url = NULL};
    fetch_rig_start_script(&rig->fetch, "integration/sqs_server.py", keyed ? with_key : without);
    struct hd_aws_options opt = {.loop = rig->fetch.loop,
                                 .fetcher = rig->fetch.fetcher,
                                 .key_id = secret != NULL ? KEY : NULL,
                                 .secret = secret,
                                 .token = secret != NULL ? TOKEN : NULL,
                                 .endpoint = rig->fetch.base};
    assert_int_equal(hd_aws_new(&rig->aws, &opt, NULL), 0);
    rig->queue = (struct hd_sqs_queue){.aws = rig->aws, .region = HD_LIT("eu-west-1")};
}

static void stop(struct rig *rig)
{
    fetch_rig_stop(&rig->fetch);
    hd_aws_free(rig->aws);
    free(rig->url);
}

/* What an operation came to. */
struct outcome {
    struct rig *rig;
    bool over;
    json_t *answer;
    struct hd_aws_failure failure;
};

static void on_done(void *arg, const json_t *answer, const struct hd_aws_failure *failure)
{
    struct outcome *o = arg;
    assert_false(o->over);
    assert_true((answer == NULL) == (failure != NULL));
    o->over = true;
    o->answer = json_deep_copy(answer);
    if (failure != NULL)
        o->failure = *failure;
}

static void wait_for(struct outcome *o, struct rig *rig)
{
    fetch_rig_until(&rig->fetch, &o->over);
}

static void clear(struct outcome *o)
{
    json_decref(o->answer);
    *o = (struct outcome){.over = false};
}

static void on_raw(void *arg, struct hd_str body, const struct hd_aws_failure *failure)
{
    struct outcome *o = arg;
    o->over = true;
    o->answer = json_loadb(body.ptr != NULL ? body.ptr : "", body.len, 0, NULL);
    if (failure != NULL)
        o->failure = *failure;
}

/* A call that the client has no name for: the test's own, signed as well. */
static void raw(struct rig *rig, const char *path, const char *target, const char *body,
                struct outcome *o)
{
    const struct hd_aws_request req = {.service = HD_AWS_SQS,
                                       .region = HD_LIT("eu-west-1"),
                                       .path = path,
                                       .target = target,
                                       .body = hd_str(body)};
    struct hd_aws_call *call;
    assert_int_equal(hd_aws_start(&call, rig->aws, &req, on_raw, o, NULL), 0);
    wait_for(o, rig);
    assert_int_equal(o->failure.error.code, 0);
}

static void make_queue(struct rig *rig, const char *name)
{
    struct outcome o = {.over = false};
    hd_auto_free char *body =
        hd_printf("{\"QueueName\":\"%s\",\"Attributes\":{\"VisibilityTimeout\":\"600\"}}", name);
    raw(rig, NULL, "AmazonSQS.CreateQueue", body, &o);
    clear(&o);
    hd_sqs_get_url(&rig->queue, hd_str(name), hd_str("000000000000"), on_done, &o);
    wait_for(&o, rig);
    free(rig->url);
    rig->url = hd_strdup(json_string_value(json_object_get(o.answer, "QueueUrl")));
    assert_non_null(rig->url);
    rig->queue.url = hd_str(rig->url);
    clear(&o);
}

static void sends_receives_and_deletes(void **state)
{
    struct rig rig;
    struct outcome o = {.over = false};
    start(&rig, true, SECRET);
    make_queue(&rig, "jobs");
    static const struct hd_aws_attribute attributes[] = {{"kind", "String", HD_LIT("ord\"er")},
                                                         {"n", "Number", HD_LIT("7")}};
    for (int i = 0; i < 3; i++) {
        const struct hd_sqs_message m = {
            HD_LIT("h\xc3\xa4llo \"\n"), attributes, 2, {NULL, 0}, {NULL, 0}};
        hd_sqs_send(&rig.queue, &m, on_done, &o);
        wait_for(&o, &rig);
        assert_true(json_is_string(json_object_get(o.answer, "MessageId")));
        clear(&o);
    }
    hd_sqs_receive(&rig.queue, 10, 5, on_done, &o);
    wait_for(&o, &rig);
    const json_t *messages = json_object_get(o.answer, "Messages");
    assert_int_equal(json_array_size(messages), 3);
    struct hd_str handles[3];
    for (size_t i = 0; i < 3; i++) {
        const json_t *m = json_array_get(messages, i);
        assert_string_equal(json_string_value(json_object_get(m, "Body")), "h\xc3\xa4llo \"\n");
        const json_t *kind = json_object_get(json_object_get(m, "MessageAttributes"), "kind");
        assert_string_equal(json_string_value(json_object_get(kind, "StringValue")), "ord\"er");
        handles[i] = hd_str(json_string_value(json_object_get(m, "ReceiptHandle")));
    }
    struct outcome p = {.over = false};
    hd_sqs_visibility(&rig.queue, handles, 1, 0, on_done, &p); /* the first comes back at once */
    wait_for(&p, &rig);
    assert_int_equal(json_array_size(json_object_get(p.answer, "Successful")), 1);
    clear(&p);
    hd_sqs_delete(&rig.queue, handles + 1, 2, on_done, &p);
    wait_for(&p, &rig);
    assert_int_equal(json_array_size(json_object_get(p.answer, "Successful")), 2);
    clear(&p);
    hd_sqs_receive(&rig.queue, 10, 5, on_done, &p);
    wait_for(&p, &rig);
    messages = json_object_get(p.answer, "Messages");
    assert_int_equal(json_array_size(messages), 1);
    clear(&p);
    hd_sqs_attributes(&rig.queue, on_done, &p);
    wait_for(&p, &rig);
    const json_t *values = json_object_get(p.answer, "Attributes");
    assert_string_equal(json_string_value(json_object_get(values, "VisibilityTimeout")), "600");
    clear(&p);
    clear(&o);
    stop(&rig);
    (void)state;
}

static void a_long_poll_is_taken_back_at_once(void **state)
{
    struct rig rig;
    struct outcome o = {.over = false};
    start(&rig, false, NULL);
    make_queue(&rig, "empty");
    struct hd_sqs_op *op = hd_sqs_receive(&rig.queue, 1, 20, on_done, &o);
    uint64_t begun = hd_loop_now_ms(rig.fetch.loop);
    for (int i = 0; i < 5; i++)
        uv_run(hd_loop_uv(rig.fetch.loop), UV_RUN_NOWAIT);
    assert_false(o.over);
    hd_sqs_cancel(op);
    assert_false(o.over); /* never from inside */
    wait_for(&o, &rig);
    assert_int_equal(o.failure.error.code, HD_ECANCELED);
    assert_false(o.failure.again);
    assert_true(hd_loop_now_ms(rig.fetch.loop) - begun < 15000);
    clear(&o);
    stop(&rig);
    (void)state;
}

static void failures_say_what_and_whether_to_try_again(void **state)
{
    struct rig rig;
    struct outcome o = {.over = false};
    start(&rig, false, NULL);
    make_queue(&rig, "jobs");
    hd_sqs_get_url(&rig.queue, hd_str("none"), hd_str(""), on_done, &o);
    wait_for(&o, &rig);
    assert_string_equal(o.failure.type, "QueueDoesNotExist");
    assert_int_equal(o.failure.status, 400);
    assert_int_equal(o.failure.error.code, HD_EINVAL);
    assert_false(o.failure.again);
    assert_string_equal(o.failure.error.msg,
                        "sqs: 400 QueueDoesNotExist: The specified queue does not exist.");
    clear(&o);

    static const struct {
        const char *how;
        bool again;
    } cases[] = {
        {"{\"action\":\"ReceiveMessage\",\"status\":503}", true},
        {"{\"action\":\"ReceiveMessage\",\"status\":429,\"type\":\"x\"}", true},
        {"{\"action\":\"ReceiveMessage\",\"status\":400,\"type\":\"ThrottlingException\"}", true},
        {"{\"action\":\"ReceiveMessage\",\"status\":400,\"type\":\"a#RequestThrottled:b\"}", true},
        {"{\"action\":\"ReceiveMessage\",\"status\":403,\"type\":\"AccessDenied\"}", false},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        raw(&rig, "/test/fail", NULL, cases[i].how, &o);
        clear(&o);
        hd_sqs_receive(&rig.queue, 1, 0, on_done, &o);
        wait_for(&o, &rig);
        if (o.failure.error.code == 0 || o.failure.again != cases[i].again)
            fail_msg("%s: %s", cases[i].how, o.failure.error.msg);
        clear(&o);
    }
    stop(&rig);

    /* nobody listens there any more */
    struct hd_loop *loop;
    start(&rig, false, NULL);
    struct hd_aws *aws;
    struct hd_aws_options opt = {
        .loop = rig.fetch.loop, .fetcher = rig.fetch.fetcher, .endpoint = "http://127.0.0.1:1"};
    assert_int_equal(hd_aws_new(&aws, &opt, NULL), 0);
    loop = hd_aws_loop(aws);
    assert_ptr_equal(loop, rig.fetch.loop);
    const struct hd_sqs_queue q = {.aws = aws, .region = HD_LIT("eu-west-1")};
    hd_sqs_get_url(&q, hd_str("jobs"), hd_str(""), on_done, &o);
    wait_for(&o, &rig);
    assert_int_equal(o.failure.status, 0);
    assert_true(o.failure.again);
    clear(&o);
    hd_aws_free(aws);
    stop(&rig);
    (void)state;
}

static void what_is_signed_is_checked(void **state)
{
    static const char *const secrets[] = {"another secret", NULL};
    for (size_t i = 0; i < HD_COUNT(secrets); i++) {
        struct rig rig;
        struct outcome o = {.over = false};
        start(&rig, true, secrets[i]);
        hd_sqs_get_url(&rig.queue, hd_str("jobs"), hd_str(""), on_done, &o);
        wait_for(&o, &rig);
        assert_int_equal(o.failure.status, 403);
        assert_string_equal(o.failure.type,
                            secrets[i] != NULL ? "SignatureDoesNotMatch" : "InvalidClientTokenId");
        clear(&o);
        stop(&rig);
    }
    (void)state;
}

static void without_a_key_nothing_goes_to_the_service_itself(void **state)
{
    struct rig rig;
    struct outcome o = {.over = false};
    start(&rig, false, NULL);
    struct hd_aws *aws;
    struct hd_aws_options opt = {.fetcher = rig.fetch.fetcher}; /* its loop is ours */
    assert_int_equal(hd_aws_new(&aws, &opt, NULL), 0);
    const struct hd_sqs_queue q = {.aws = aws, .region = HD_LIT("eu-west-1")};
    hd_sqs_get_url(&q, hd_str("jobs"), hd_str(""), on_done, &o);
    assert_false(o.over); /* never from inside */
    wait_for(&o, &rig);
    assert_int_equal(o.failure.error.code, HD_EINVAL);
    assert_non_null(strstr(o.failure.error.msg, "AWS_ENDPOINT_URL_SQS"));
    clear(&o);
    hd_sqs_cancel(hd_sqs_get_url(&q, hd_str("jobs"), hd_str(""), on_done, &o));
    wait_for(&o, &rig);
    assert_int_equal(o.failure.error.code, HD_ECANCELED);
    clear(&o);
    hd_aws_free(aws);
    stop(&rig);
    (void)state;
}

static void the_environment_fills_what_is_not_given(void **state)
{
    setenv("AWS_ACCESS_KEY_ID", "env-key", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "env-secret", 1);
    setenv("AWS_SESSION_TOKEN", "env-token", 1);
    setenv("AWS_ENDPOINT_URL_SQS", "http://sqs", 1);
    setenv("AWS_ENDPOINT_URL", "http://all", 1);
    struct hd_aws_options opt = {.key_id = NULL};
    hd_aws_options_from_env(&opt);
    assert_string_equal(opt.key_id, "env-key");
    assert_string_equal(opt.secret, "env-secret");
    assert_string_equal(opt.token, "env-token");
    assert_string_equal(opt.endpoints[HD_AWS_SQS], "http://sqs");
    assert_null(opt.endpoints[HD_AWS_SNS]);
    assert_string_equal(opt.endpoint, "http://all");
    opt = (struct hd_aws_options){.key_id = "mine", .endpoint = "http://mine"};
    hd_aws_options_from_env(&opt);
    assert_string_equal(opt.key_id, "mine");
    assert_null(opt.secret);
    assert_null(opt.token);
    assert_null(opt.endpoints[HD_AWS_SQS]);
    assert_string_equal(opt.endpoint, "http://mine");
    static const char *const none[] = {"localhost:9324", "ftp://x", "http://", "http://a@b",
                                       "http://a?b"};
    for (size_t i = 0; i < HD_COUNT(none); i++) {
        struct hd_aws *aws;
        opt = (struct hd_aws_options){.endpoint = none[i]};
        assert_int_equal(hd_aws_new(&aws, &opt, NULL), HD_EINVAL);
    }
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    unsetenv("AWS_SESSION_TOKEN");
    unsetenv("AWS_ENDPOINT_URL_SQS");
    unsetenv("AWS_ENDPOINT_URL");
    (void)state;
}

/* --- messages to whatever an ARN names --- */

static void on_message_sent(void *arg, const struct hd_aws_failure *failure)
{
    struct outcome *o = arg;
    o->over = true;
    if (failure != NULL)
        o->failure = *failure;
}

static void send_to(struct rig *rig, const char *arn, struct outcome *o)
{
    static const struct hd_aws_attribute attributes[] = {{"RequestID", "String", HD_LIT("r-1")},
                                                         {"ErrorCode", "Number", HD_LIT("200")}};
    static const struct hd_str resources[] = {HD_LIT("arn:x")};
    const struct hd_aws_message m = {.arn = hd_str(arn),
                                     .body = HD_LIT("{\"a\":\"\xc3\xa4 +&\"}"),
                                     .attributes = attributes,
                                     .n_attributes = 2,
                                     .id = HD_LIT("id 1/x"),
                                     .source = "lambda",
                                     .detail_type = "Result",
                                     .resources = resources,
                                     .n_resources = 1};
    struct hd_aws_send *s;
    assert_int_equal(hd_aws_send_start(&s, rig->aws, &m, on_message_sent, o, NULL), 0);
    wait_for(o, rig);
}

static json_t *seen(struct rig *rig, const char *list)
{
    struct outcome o = {.over = false};
    raw(rig, "/test/log", NULL, "", &o);
    json_t *entries = json_incref(json_object_get(o.answer, list));
    clear(&o);
    return entries;
}

static void assert_member(const json_t *object, const char *name, const char *value)
{
    const char *have = json_string_value(json_object_get(object, name));
    if (have == NULL || strcmp(have, value) != 0)
        fail_msg("%s: %s, not %s", name, have != NULL ? have : "nothing", value);
}

static void messages_go_where_an_arn_says(void **state)
{
    static const char *const arns[] = {
        "arn:aws:sns:eu-west-1:000000000000:topic", "arn:aws:sns:eu-west-1:000000000000:topic.fifo",
        "arn:aws:events:eu-west-1:000000000000:event-bus/main", "arn:aws:s3:::bucket"};
    struct rig rig;
    struct outcome o = {.over = false};
    start(&rig, true, SECRET);
    for (size_t i = 0; i < HD_COUNT(arns); i++) {
        send_to(&rig, arns[i], &o);
        if (o.failure.error.code != 0)
            fail_msg("%s: %s", arns[i], o.failure.error.msg);
        clear(&o);
    }
    json_t *sent = seen(&rig, "sent");
    assert_int_equal(json_array_size(sent), 4);
    const json_t *one = json_array_get(sent, 0);
    assert_member(one, "TopicArn", arns[0]);
    assert_member(one, "Message", "{\"a\":\"\xc3\xa4 +&\"}");
    assert_member(one, "MessageAttributes.entry.2.Name", "ErrorCode");
    assert_member(one, "MessageAttributes.entry.2.Value.DataType", "Number");
    assert_member(one, "MessageAttributes.entry.1.Value.StringValue", "r-1");
    assert_null(json_object_get(one, "MessageGroupId"));
    assert_member(json_array_get(sent, 1), "MessageGroupId", "id 1/x");
    one = json_array_get(sent, 2);
    assert_member(one, "EventBusName", "main");
    assert_member(one, "Source", "lambda");
    assert_member(one, "DetailType", "Result");
    assert_member(one, "Detail", "{\"a\":\"\xc3\xa4 +&\"}");
    assert_int_equal(json_array_size(json_object_get(one, "Resources")), 1);
    one = json_array_get(sent, 3);
    assert_member(one, "path", "/bucket/id%201/x");
    json_decref(sent);

    send_to(&rig, "arn:aws:events:eu-west-1:000000000000:event-bus/missing", &o);
    assert_non_null(strstr(o.failure.error.msg, "InternalFailure"));
    assert_true(o.failure.again);
    clear(&o);
    raw(&rig, "/test/fail", NULL, "{\"action\":\"Publish\",\"status\":404,\"type\":\"NotFound\"}",
        &o);
    clear(&o);
    send_to(&rig, arns[0], &o);
    assert_string_equal(o.failure.type, "NotFound"); /* read from XML */
    assert_false(o.failure.again);
    clear(&o);
    stop(&rig);
    (void)state;
}

static void messages_go_to_queues(void **state)
{
    struct rig rig;
    struct outcome o = {.over = false};
    start(&rig, true, SECRET);
    make_queue(&rig, "dead");
    send_to(&rig, "arn:aws:sqs:eu-west-1:000000000000:dead", &o);
    assert_int_equal(o.failure.error.code, 0);
    clear(&o);
    hd_sqs_receive(&rig.queue, 1, 0, on_done, &o);
    wait_for(&o, &rig);
    const json_t *m = json_array_get(json_object_get(o.answer, "Messages"), 0);
    assert_member(m, "Body", "{\"a\":\"\xc3\xa4 +&\"}");
    const json_t *code = json_object_get(json_object_get(m, "MessageAttributes"), "ErrorCode");
    assert_member(code, "DataType", "Number");
    assert_member(code, "StringValue", "200");
    clear(&o);
    make_queue(&rig, "dead.fifo");
    send_to(&rig, "arn:aws:sqs:eu-west-1:000000000000:dead.fifo", &o);
    assert_int_equal(o.failure.error.code, 0);
    clear(&o);
    send_to(&rig, "arn:aws:sqs:eu-west-1:000000000000:missing", &o);
    assert_string_equal(o.failure.type, "QueueDoesNotExist");
    clear(&o);

    struct hd_aws_send *s;
    const struct hd_aws_message nowhere = {.arn = HD_LIT("arn:aws:lambda:x:1:function:f")};
    assert_int_equal(hd_aws_send_start(&s, rig.aws, &nowhere, on_message_sent, &o, NULL),
                     HD_EINVAL);
    const struct hd_aws_message gone = {.arn = HD_LIT("arn:aws:sqs:eu-west-1:000000000000:dead")};
    assert_int_equal(hd_aws_send_start(&s, rig.aws, &gone, on_message_sent, &o, NULL), 0);
    hd_aws_send_cancel(s);
    wait_for(&o, &rig);
    assert_int_equal(o.failure.error.code, HD_ECANCELED);
    stop(&rig);
    (void)state;
}

static void takes_arns_apart(void **state)
{
    struct hd_aws_arn a;
    assert_int_equal(hd_aws_arn_parse(&a, hd_str("arn:aws:sqs:us-east-1:123456789012:a:b")), 0);
    assert_true(hd_str_is(a.service, "sqs"));
    assert_true(hd_str_is(a.region, "us-east-1"));
    assert_true(hd_str_is(a.account, "123456789012"));
    assert_true(hd_str_is(a.resource, "a:b"));
    assert_int_equal(hd_aws_arn_parse(&a, hd_str("arn:aws:s3:::bucket")), 0);
    static const char *const none[] = {"",
                                       "arn",
                                       "arn:aws:sqs:us-east-1:123456789012",
                                       "arn:aws:sqs:us-east-1:123456789012:",
                                       "x:aws:sqs:a:b:c",
                                       "https://example.com/a:b:c:d:e:f"};
    for (size_t i = 0; i < HD_COUNT(none); i++)
        assert_int_equal(hd_aws_arn_parse(&a, hd_str(none[i])), HD_EINVAL);
    (void)state;
}

int main(void)
{
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    unsetenv("AWS_ENDPOINT_URL");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_receives_and_deletes),
        cmocka_unit_test(a_long_poll_is_taken_back_at_once),
        cmocka_unit_test(failures_say_what_and_whether_to_try_again),
        cmocka_unit_test(what_is_signed_is_checked),
        cmocka_unit_test(without_a_key_nothing_goes_to_the_service_itself),
        cmocka_unit_test(the_environment_fills_what_is_not_given),
        cmocka_unit_test(messages_go_where_an_arn_says),
        cmocka_unit_test(messages_go_to_queues),
        cmocka_unit_test(takes_arns_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
