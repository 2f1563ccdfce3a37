/* fuzz_esm.c - event sources: whatever a queue service gives becomes events that are JSON, whatever
 * a function answers names records or none. The input is an answer to ReceiveMessage, a message's
 * body, and a function's answer alike. */
#include "lambda/sources/esm_answer.h"
#include "lambda/sources/esm_poll.h"
#include "lambda/sources/esm_sqs_record.h"
#include "lambda/sources/mq_record.h"

#include "fuzz.h"

static void check_messages(struct hd_str in)
{
    struct hd_list records;
    struct hd_buf event;
    size_t i, n = 0;
    json_t *message;
    json_t *root = json_loadb(in.ptr, in.len, JSON_ALLOW_NUL, NULL);
    hd_list_init(&records);
    json_array_foreach(json_object_get(root, "Messages"), i, message)
    {
        json_t *record = hd_esm_sqs_record(message, "arn:aws:sqs:r:a:q", "r");
        if (record == NULL)
            continue;
        json_t *view = hd_esm_sqs_view(record);
        fuzz_check(json_object_size(view) == json_object_size(record));
        char *text = json_dumps(record, JSON_COMPACT);
        fuzz_check(text != NULL);
        struct hd_esm_record *r =
            hd_esm_record_new(json_string_value(json_object_get(record, "messageId")),
                              json_string_value(json_object_get(record, "receiptHandle")), text);
        hd_list_push(&records, &r->link);
        n++;
        json_decref(view);
        json_decref(record);
    }
    hd_buf_init(&event, 1 << 22);
    hd_esm_sqs_event(&event, &records, n);
    json_t *back = json_loadb(event.ptr, event.len, JSON_ALLOW_NUL, NULL);
    fuzz_check(json_array_size(json_object_get(back, "Records")) == n);
    json_decref(back);
    hd_buf_done(&event);
    hd_esm_records_free(&records);
    json_decref(root);
}

static void check_body(struct hd_str in)
{
    const amqp_basic_properties_t p = {._flags = AMQP_BASIC_CONTENT_TYPE_FLAG,
                                       .content_type = {.len = in.len, .bytes = (void *)in.ptr}};
    json_t *record = hd_mq_record(&p, in, false);
    char *text = json_dumps(record, JSON_COMPACT);
    fuzz_check(text != NULL);
    json_t *view = hd_mq_view(record, in);
    json_decref(view);
    json_decref(record);
    free(text);
}

static void check_answer(struct hd_str in)
{
    static const char *const ids[] = {"a", "b", "c", "a"};
    bool failed[HD_COUNT(ids)];
    size_t n = hd_esm_answer(failed, in, ids, HD_COUNT(ids)), marked = 0;
    for (size_t i = 0; i < HD_COUNT(ids); i++)
        marked += failed[i];
    fuzz_check(n == marked);
    fuzz_check(failed[0] == failed[3]); /* one id */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char none[] = "";
    struct hd_str in = {size > 0 ? (const char *)data : none, size};
    check_messages(in);
    check_body(in);
    check_answer(in);
    return 0;
}
