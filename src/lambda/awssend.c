/*  queue:  GetQueueUrl ──► SendMessage ──► done      topic, bus, bucket: one call */
#include "lambda/awssend.h"

#include "lambda/sources/sqs.h"

#include <stdio.h>

struct hd_aws_send {
    struct hd_aws *aws;
    struct hd_aws_arn arn;
    char *arn_text, *url; /* url: of the queue, once it is known */
    struct hd_sqs_message message;
    struct hd_aws_attribute *attributes;
    char *texts; /* what the message's slices point to */
    struct hd_sqs_op *op;
    struct hd_aws_call *call;
    void (*done)(void *arg, const struct hd_aws_failure *failure);
    void *arg;
};

static bool is_service(const struct hd_aws_arn *arn, const char *name)
{
    return hd_str_is(arn->service, name);
}

bool hd_aws_can_send(struct hd_str arn)
{
    struct hd_aws_arn a;
    return hd_aws_arn_parse(&a, arn) == 0 && (is_service(&a, "sqs") || is_service(&a, "sns") ||
                                              is_service(&a, "events") || is_service(&a, "s3"));
}

static void finish(struct hd_aws_send *s, const struct hd_aws_failure *failure)
{
    s->done(s->arg, failure);
    free(s->attributes);
    free(s->texts);
    free(s->arn_text);
    free(s->url);
    free(s);
}

/* --- queues --- */

static void on_sent(void *arg, const json_t *answer, const struct hd_aws_failure *failure)
{
    (void)answer;
    finish(arg, failure);
}

static void on_url(void *arg, const json_t *answer, const struct hd_aws_failure *failure)
{
    struct hd_aws_send *s = arg;
    struct hd_aws_failure none = {.again = true};
    const json_t *url = json_object_get(answer, "QueueUrl");
    s->op = NULL;
    if (failure == NULL && !json_is_string(url)) {
        hd_fail(&none.error, HD_EPROTO, "sqs: an answer to GetQueueUrl without QueueUrl");
        failure = &none;
    }
    if (failure != NULL) {
        finish(s, failure);
        return;
    }
    s->url = hd_strdup(json_string_value(url));
    const struct hd_sqs_queue q = {s->aws, s->arn.region, hd_str(s->url)};
    s->op = hd_sqs_send(&q, &s->message, on_sent, s);
}

static struct hd_str copied(char **to, struct hd_str s)
{
    if (s.len > 0)
        memcpy(*to, s.ptr, s.len);
    struct hd_str copy = {*to, s.len};
    *to += s.len;
    return copy;
}

/* The message is sent when the URL is known: it is kept until then. */
static void keep_message(struct hd_aws_send *s, const struct hd_aws_message *m)
{
    bool fifo = hd_str_ends(s->arn.resource, hd_str(".fifo"));
    struct hd_str group = m->group.len > 0 ? m->group : m->id;
    struct hd_str deduplication = m->deduplication.len > 0 ? m->deduplication : m->id;
    size_t bytes = m->body.len + group.len + deduplication.len + 1;
    for (size_t i = 0; i < m->n_attributes; i++)
        bytes += m->attributes[i].value.len;
    char *at = s->texts = hd_alloc(bytes);
    s->attributes = hd_new_array(struct hd_aws_attribute, m->n_attributes + 1);
    for (size_t i = 0; i < m->n_attributes; i++)
        s->attributes[i] = (struct hd_aws_attribute){m->attributes[i].name, m->attributes[i].type,
                                                     copied(&at, m->attributes[i].value)};
    s->message = (struct hd_sqs_message){
        .body = copied(&at, m->body), .attributes = s->attributes, .n_attributes = m->n_attributes};
    if (fifo) {
        s->message.group = copied(&at, group);
        s->message.deduplication = copied(&at, deduplication);
    }
}

/* --- the others: one call each --- */

static void on_called(void *arg, struct hd_str body, const struct hd_aws_failure *failure)
{
    (void)body;
    finish(arg, failure);
}

/* A bus answers 200 also when it did not take an event. */
static void on_put(void *arg, struct hd_str body, const struct hd_aws_failure *failure)
{
    struct hd_aws_failure refused = {.again = true};
    json_t *root = json_loadb(body.ptr != NULL ? body.ptr : "", body.len, 0, NULL);
    if (failure == NULL && json_integer_value(json_object_get(root, "FailedEntryCount")) > 0) {
        const json_t *entry = json_array_get(json_object_get(root, "Entries"), 0);
        const char *code = json_string_value(json_object_get(entry, "ErrorCode"));
        hd_fail(&refused.error, HD_EIO, "events: the bus did not take it: %.60s",
                code != NULL ? code : "no reason given");
        failure = &refused;
    }
    finish(arg, failure);
    json_decref(root);
}

static void add_escaped(struct hd_buf *out, struct hd_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_' || c == '.' || c == '~';
        if (plain)
            hd_buf_char(out, (char)c);
        else
            hd_buf_fmt(out, "%%%02X", c);
    }
}

static void add_pair(struct hd_buf *out, const char *name, struct hd_str value)
{
    hd_buf_fmt(out, "&%s=", name);
    add_escaped(out, value);
}

static void publish_form(struct hd_buf *out, const struct hd_aws_send *s,
                         const struct hd_aws_message *m)
{
    hd_buf_cstr(out, "Action=Publish&Version=2010-03-31");
    add_pair(out, "TopicArn", m->arn);
    add_pair(out, "Message", m->body);
    if (hd_str_ends(s->arn.resource, hd_str(".fifo"))) {
        add_pair(out, "MessageGroupId", m->group.len > 0 ? m->group : m->id);
        add_pair(out, "MessageDeduplicationId",
                 m->deduplication.len > 0 ? m->deduplication : m->id);
    }
    for (size_t i = 0; i < m->n_attributes; i++) {
        char name[64];
        snprintf(name, sizeof(name), "MessageAttributes.entry.%zu.Name", i + 1);
        add_pair(out, name, hd_str(m->attributes[i].name));
        snprintf(name, sizeof(name), "MessageAttributes.entry.%zu.Value.DataType", i + 1);
        add_pair(out, name, hd_str(m->attributes[i].type));
        snprintf(name, sizeof(name), "MessageAttributes.entry.%zu.Value.StringValue", i + 1);
        add_pair(out, name, m->attributes[i].value);
    }
}

static void put_json(struct hd_buf *out, const struct hd_aws_send *s,
                     const struct hd_aws_message *m)
{
    struct hd_str bus = s->arn.resource, prefix = hd_str("event-bus/");
    if (hd_str_starts(bus, prefix))
        bus = hd_str_n(bus.ptr + prefix.len, bus.len - prefix.len);
    hd_buf_cstr(out, "{\"Entries\":[{\"Source\":");
    hd_buf_json(out, hd_str(m->source != NULL ? m->source : "heddle"));
    hd_buf_cstr(out, ",\"DetailType\":");
    hd_buf_json(out, hd_str(m->detail_type != NULL ? m->detail_type : "Message"));
    hd_buf_cstr(out, ",\"Detail\":");
    hd_buf_json(out, m->body);
    hd_buf_cstr(out, ",\"EventBusName\":");
    hd_buf_json(out, bus);
    hd_buf_cstr(out, ",\"Resources\":[");
    for (size_t i = 0; i < m->n_resources; i++) {
        if (i > 0)
            hd_buf_char(out, ',');
        hd_buf_json(out, m->resources[i]);
    }
    hd_buf_cstr(out, "]}]}");
}

static void object_path(struct hd_buf *out, const struct hd_aws_send *s,
                        const struct hd_aws_message *m)
{
    struct hd_str rest = m->object_key.len > 0 ? m->object_key : m->id, segment;
    hd_buf_char(out, '/');
    add_escaped(out, s->arn.resource);
    while (hd_str_split(&segment, &rest, '/')) {
        hd_buf_char(out, '/');
        add_escaped(out, segment);
    }
    hd_buf_char(out, '\0');
}

static int start_call(struct hd_aws_send *s, const struct hd_aws_message *m, struct hd_error *err)
{
    struct hd_buf body, path;
    hd_buf_init(&body, 32 << 20);
    hd_buf_init(&path, 8192);
    struct hd_aws_request req = {.region = s->arn.region};
    hd_aws_done_fn *done = on_called;
    if (is_service(&s->arn, "sns")) {
        publish_form(&body, s, m);
        req.service = HD_AWS_SNS;
        req.content_type = "application/x-www-form-urlencoded; charset=utf-8";
    } else if (is_service(&s->arn, "events")) {
        put_json(&body, s, m);
        req.service = HD_AWS_EVENTS;
        req.content_type = "application/x-amz-json-1.1";
        req.target = "AWSEvents.PutEvents";
        done = on_put;
    } else {
        object_path(&path, s, m);
        hd_buf_str(&body, m->body);
        req.service = HD_AWS_S3;
        req.method = "PUT";
        req.path = path.ptr;
        req.content_type = "application/json";
        if (req.region.len == 0) /* buckets' ARNs have none */
            req.region = hd_str("us-east-1");
    }
    req.body = hd_buf_view(&body);
    int rc = hd_buf_failed(&body) || hd_buf_failed(&path)
                 ? hd_fail(err, HD_EINVAL, "message: too long to be sent")
                 : hd_aws_start(&s->call, s->aws, &req, done, s, err);
    hd_buf_done(&body);
    hd_buf_done(&path);
    return rc;
}

int hd_aws_send_start(struct hd_aws_send **out, struct hd_aws *a, const struct hd_aws_message *m,
                      void (*done)(void *arg, const struct hd_aws_failure *failure), void *arg,
                      struct hd_error *err)
{
    if (!hd_aws_can_send(m->arn))
        return hd_fail(err, HD_EINVAL, "%.*s: messages are sent to sqs, sns, events and s3 only",
                       (int)HD_MIN(m->arn.len, (size_t)100), m->arn.ptr);
    struct hd_aws_send *s = hd_new(struct hd_aws_send);
    s->aws = a;
    s->done = done;
    s->arg = arg;
    s->arn_text = hd_strdup_n(m->arn);
    hd_aws_arn_parse(&s->arn, hd_str(s->arn_text));
    int rc = 0;
    if (is_service(&s->arn, "sqs")) {
        const struct hd_sqs_queue q = {.aws = a, .region = s->arn.region};
        keep_message(s, m);
        s->op = hd_sqs_get_url(&q, s->arn.resource, s->arn.account, on_url, s);
    } else {
        rc = start_call(s, m, err);
    }
    if (rc < 0) {
        free(s->arn_text);
        free(s);
        return rc;
    }
    *out = s;
    return 0;
}

void hd_aws_send_cancel(struct hd_aws_send *s)
{
    if (s->op != NULL)
        hd_sqs_cancel(s->op);
    else
        hd_aws_cancel(s->call);
}
