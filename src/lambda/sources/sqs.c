#include "lambda/sources/sqs.h"

#include "core/loop.h"

enum { RECEIVED_BYTES = 32 << 20, SLACK_MS = 10000 };

struct hd_sqs_op {
    struct hd_aws_call *call; /* NULL: it could not begin, and says so in the next turn */
    struct hd_loop *loop;
    struct hd_timer soon;
    struct hd_aws_failure failure;
    hd_sqs_done_fn *done;
    void *arg;
};

static json_t *text(struct hd_str s)
{
    json_t *v = json_stringn(s.ptr != NULL ? s.ptr : "", s.len);
    return v != NULL ? v : json_string(""); /* what is not UTF-8 was never ours */
}

static void on_failed(struct hd_timer *t)
{
    struct hd_sqs_op *op = hd_container_of(t, struct hd_sqs_op, soon);
    op->done(op->arg, NULL, &op->failure);
    free(op);
}

static void on_answer(void *arg, struct hd_str body, const struct hd_aws_failure *failure)
{
    struct hd_sqs_op *op = arg;
    json_t *root = NULL;
    op->call = NULL;
    if (failure == NULL) {
        /* Nothing at all is what some servers send for an object without members. */
        root = body.len > 0 ? json_loadb(body.ptr, body.len, JSON_ALLOW_NUL, NULL) : json_object();
        if (!json_is_object(root)) {
            op->failure.again = true;
            hd_fail(&op->failure.error, HD_EPROTO, "sqs: the answer is no JSON object");
            failure = &op->failure;
        }
    }
    op->done(op->arg, failure == NULL ? root : NULL, failure);
    json_decref(root);
    free(op);
}

/* Takes ownership of @p input. */
static struct hd_sqs_op *start(const struct hd_sqs_queue *q, const char *target, json_t *input,
                               uint32_t timeout_ms, size_t max_bytes, hd_sqs_done_fn *done,
                               void *arg)
{
    struct hd_sqs_op *op = hd_new(struct hd_sqs_op);
    op->loop = hd_aws_loop(q->aws);
    op->done = done;
    op->arg = arg;
    if (q->url.len > 0)
        json_object_set_new(input, "QueueUrl", text(q->url));
    char *body = json_dumps(input, JSON_COMPACT);
    const struct hd_aws_request req = {.service = HD_AWS_SQS,
                                       .region = q->region,
                                       .target = target,
                                       .body = hd_str(body),
                                       .timeout_ms = timeout_ms,
                                       .max_answer_bytes = max_bytes};
    if (hd_aws_start(&op->call, q->aws, &req, on_answer, op, &op->failure.error) < 0)
        hd_timer_start(op->loop, &op->soon, 0, on_failed);
    free(body);
    json_decref(input);
    return op;
}

void hd_sqs_cancel(struct hd_sqs_op *op)
{
    if (op->call != NULL)
        hd_aws_cancel(op->call);
    else
        hd_fail(&op->failure.error, HD_ECANCELED, "sqs: taken back");
}

struct hd_sqs_op *hd_sqs_get_url(const struct hd_sqs_queue *q, struct hd_str name,
                                 struct hd_str account, hd_sqs_done_fn *done, void *arg)
{
    json_t *input = json_object();
    json_object_set_new(input, "QueueName", text(name));
    if (account.len > 0)
        json_object_set_new(input, "QueueOwnerAWSAccountId", text(account));
    return start(q, "AmazonSQS.GetQueueUrl", input, 0, 0, done, arg);
}

struct hd_sqs_op *hd_sqs_attributes(const struct hd_sqs_queue *q, hd_sqs_done_fn *done, void *arg)
{
    json_t *input = json_pack("{s[s]}", "AttributeNames", "All");
    return start(q, "AmazonSQS.GetQueueAttributes", input, 0, 0, done, arg);
}

struct hd_sqs_op *hd_sqs_receive(const struct hd_sqs_queue *q, unsigned max, unsigned wait_s,
                                 hd_sqs_done_fn *done, void *arg)
{
    /* AttributeNames is the older name of MessageSystemAttributeNames; servers know one of them. */
    json_t *input = json_pack("{sisis[s]s[s]s[s]}", "MaxNumberOfMessages", (int)max,
                              "WaitTimeSeconds", (int)wait_s, "AttributeNames", "All",
                              "MessageSystemAttributeNames", "All", "MessageAttributeNames", "All");
    return start(q, "AmazonSQS.ReceiveMessage", input, wait_s * 1000 + SLACK_MS, RECEIVED_BYTES,
                 done, arg);
}

/* The entries of a batch; the id of each is its place. */
static json_t *entries(const struct hd_str *handles, size_t n, int timeout_s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        char id[8] = {(char)('0' + i / 10), (char)('0' + i % 10), '\0'};
        json_t *entry = json_object();
        json_object_set_new(entry, "Id", json_string(i < 10 ? id + 1 : id));
        json_object_set_new(entry, "ReceiptHandle", text(handles[i]));
        if (timeout_s >= 0)
            json_object_set_new(entry, "VisibilityTimeout", json_integer(timeout_s));
        json_array_append_new(list, entry);
    }
    json_t *input = json_object();
    json_object_set_new(input, "Entries", list);
    return input;
}

struct hd_sqs_op *hd_sqs_delete(const struct hd_sqs_queue *q, const struct hd_str *handles,
                                size_t n, hd_sqs_done_fn *done, void *arg)
{
    return start(q, "AmazonSQS.DeleteMessageBatch", entries(handles, n, -1), 0, 0, done, arg);
}

struct hd_sqs_op *hd_sqs_visibility(const struct hd_sqs_queue *q, const struct hd_str *handles,
                                    size_t n, unsigned timeout_s, hd_sqs_done_fn *done, void *arg)
{
    return start(q, "AmazonSQS.ChangeMessageVisibilityBatch", entries(handles, n, (int)timeout_s),
                 0, 0, done, arg);
}

struct hd_sqs_op *hd_sqs_send(const struct hd_sqs_queue *q, const struct hd_sqs_message *m,
                              hd_sqs_done_fn *done, void *arg)
{
    json_t *input = json_object();
    json_object_set_new(input, "MessageBody", text(m->body));
    if (m->n_attributes > 0) {
        json_t *attributes = json_object();
        for (size_t i = 0; i < m->n_attributes; i++) {
            json_t *one = json_object();
            json_object_set_new(one, "DataType", json_string(m->attributes[i].type));
            json_object_set_new(one, "StringValue", text(m->attributes[i].value));
            json_object_set_new(attributes, m->attributes[i].name, one);
        }
        json_object_set_new(input, "MessageAttributes", attributes);
    }
    if (m->group.len > 0)
        json_object_set_new(input, "MessageGroupId", text(m->group));
    if (m->deduplication.len > 0)
        json_object_set_new(input, "MessageDeduplicationId", text(m->deduplication));
    return start(q, "AmazonSQS.SendMessage", input, 0, 0, done, arg);
}
