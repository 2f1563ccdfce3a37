#include "lambda/sources/esm_sqs_record.h"

#include "lambda/sources/esm_poll.h"
#include "lambda/sources/filter.h"

static void copy(json_t *to, const char *name, const json_t *from, const char *member)
{
    json_t *value = json_object_get(from, member);
    if (value != NULL)
        json_object_set(to, name, value);
}

/* {"StringValue", "BinaryValue", "DataType"} with the names that functions know. */
static json_t *attributes_of(const json_t *message)
{
    json_t *out = json_object();
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(message, "MessageAttributes"), name, value)
    {
        json_t *one = json_object();
        copy(one, "stringValue", value, "StringValue");
        copy(one, "binaryValue", value, "BinaryValue");
        json_object_set_new(one, "stringListValues", json_array());
        json_object_set_new(one, "binaryListValues", json_array());
        copy(one, "dataType", value, "DataType");
        json_object_set_new(out, name, one);
    }
    return out;
}

json_t *hd_esm_sqs_record(const json_t *message, const char *arn, const char *region)
{
    json_t *r = json_object();
    copy(r, "messageId", message, "MessageId");
    copy(r, "receiptHandle", message, "ReceiptHandle");
    copy(r, "body", message, "Body");
    json_t *system = json_object_get(message, "Attributes");
    json_object_set_new(r, "attributes", system != NULL ? json_incref(system) : json_object());
    json_object_set_new(r, "messageAttributes", attributes_of(message));
    copy(r, "md5OfBody", message, "MD5OfBody");
    copy(r, "md5OfMessageAttributes", message, "MD5OfMessageAttributes");
    json_object_set_new(r, "eventSource", json_string("aws:sqs"));
    json_object_set_new(r, "eventSourceARN", json_string(arn));
    json_object_set_new(r, "awsRegion", json_string(region));
    if (json_is_string(json_object_get(r, "messageId")) &&
        json_is_string(json_object_get(r, "receiptHandle")) &&
        json_is_string(json_object_get(r, "body")))
        return r;
    json_decref(r);
    return NULL;
}

json_t *hd_esm_sqs_view(const json_t *record)
{
    json_t *view = json_copy((json_t *)record);
    const json_t *body = json_object_get(record, "body");
    json_t *inside = hd_filter_parse(hd_str_n(json_string_value(body), json_string_length(body)));
    if (inside != NULL)
        json_object_set_new(view, "body", inside);
    return view;
}

void hd_esm_sqs_event(struct hd_buf *out, const struct hd_list *records, size_t n)
{
    const struct hd_list *item = records->next;
    hd_buf_cstr(out, "{\"Records\":[");
    for (size_t i = 0; i < n && item != records; i++, item = item->next) {
        const struct hd_esm_record *r = hd_container_of(item, struct hd_esm_record, link);
        if (i > 0)
            hd_buf_char(out, ',');
        hd_buf_add(out, r->json, r->json_len);
    }
    hd_buf_cstr(out, "]}");
}
