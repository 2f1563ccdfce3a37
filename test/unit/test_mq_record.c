/* test/unit/test_mq_record.c - messages of RabbitMQ as functions and filters see them. */
#include "lambda/sources/mq_record.h"

#include "test.h"

static amqp_bytes_t text(const char *s)
{
    return amqp_cstring_bytes(s);
}

static void assert_json(json_t *have, const char *want_text)
{
    json_t *want = json_loads(want_text, 0, NULL);
    assert_non_null(want);
    if (!json_equal(have, want)) {
        char *dump = json_dumps(have, 0);
        fail_msg("%s", dump);
    }
    json_decref(want);
    json_decref(have);
}

static void a_bare_message_has_all_members(void **state)
{
    const amqp_basic_properties_t none = {._flags = 0};
    assert_json(
        hd_mq_record(&none, hd_str("hi"), false),
        "{\"basicProperties\":{\"contentType\":null,\"contentEncoding\":null,\"headers\":{},"
        "\"deliveryMode\":null,\"priority\":null,\"correlationId\":null,\"replyTo\":null,"
        "\"expiration\":null,\"messageId\":null,\"timestamp\":null,\"type\":null,"
        "\"userId\":null,\"appId\":null,\"clusterId\":null,\"bodySize\":2},"
        "\"redelivered\":false,\"data\":\"aGk=\"}");
    (void)state;
}

static void properties_come_as_the_service_writes_them(void **state)
{
    amqp_table_entry_t inner[] = {
        {text("deep"), {.kind = AMQP_FIELD_KIND_BOOLEAN, .value = {.boolean = 1}}}};
    amqp_field_value_t items[] = {{.kind = AMQP_FIELD_KIND_I8, .value = {.i8 = -3}},
                                  {.kind = AMQP_FIELD_KIND_VOID}};
    amqp_table_entry_t headers[] = {
        {text("text"), {.kind = AMQP_FIELD_KIND_UTF8, .value = {.bytes = text("a\xff")}}},
        {text("n"), {.kind = AMQP_FIELD_KIND_I32, .value = {.i32 = 10}}},
        {text("big"), {.kind = AMQP_FIELD_KIND_I64, .value = {.i64 = -1234567890123}}},
        {text("f"), {.kind = AMQP_FIELD_KIND_F64, .value = {.f64 = 0.5}}},
        {text("at"), {.kind = AMQP_FIELD_KIND_TIMESTAMP, .value = {.u64 = 0}}},
        {text("table"),
         {.kind = AMQP_FIELD_KIND_TABLE, .value = {.table = {.num_entries = 1, .entries = inner}}}},
        {text("list"),
         {.kind = AMQP_FIELD_KIND_ARRAY, .value = {.array = {.num_entries = 2, .entries = items}}}},
    };
    const amqp_basic_properties_t p = {
        ._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_HEADERS_FLAG |
                  AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_PRIORITY_FLAG |
                  AMQP_BASIC_CORRELATION_ID_FLAG | AMQP_BASIC_EXPIRATION_FLAG |
                  AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_TIMESTAMP_FLAG | AMQP_BASIC_TYPE_FLAG,
        .content_type = text("text/plain"),
        .headers = {.num_entries = (int)HD_COUNT(headers), .entries = headers},
        .delivery_mode = 2,
        .priority = 34,
        .correlation_id = text("c-1"),
        .expiration = text("60000"),
        .message_id = text("m-1"),
        .timestamp = 1767323045 + 43200,
        .type = text("\xff"), /* no text */
    };
    assert_json(hd_mq_record(&p, hd_str("{\"a\":1}"), true),
                "{\"basicProperties\":{\"contentType\":\"text/plain\",\"contentEncoding\":null,"
                "\"headers\":{\"text\":{\"bytes\":[97,-1]},\"n\":10,\"big\":-1234567890123,"
                "\"f\":0.5,\"at\":\"Jan 1, 1970, 12:00:00 AM\",\"table\":{\"deep\":true},"
                "\"list\":[-3,null]},\"deliveryMode\":2,\"priority\":34,\"correlationId\":\"c-1\","
                "\"replyTo\":null,\"expiration\":\"60000\",\"messageId\":\"m-1\","
                "\"timestamp\":\"Jan 2, 2026, 3:04:05 PM\",\"type\":null,\"userId\":null,"
                "\"appId\":null,\"clusterId\":null,\"bodySize\":7},\"redelivered\":true,"
                "\"data\":\"eyJhIjoxfQ==\"}");
    (void)state;
}

static void headers_without_end_have_one(void **state)
{
    amqp_table_entry_t level[40];
    for (int i = 0; i < 40; i++)
        level[i] = (amqp_table_entry_t){
            text("x"),
            {.kind = AMQP_FIELD_KIND_TABLE,
             .value = {.table = {.num_entries = 1, .entries = &level[(i + 1) % 40]}}}};
    const amqp_basic_properties_t p = {._flags = AMQP_BASIC_HEADERS_FLAG,
                                       .headers = {.num_entries = 1, .entries = level}};
    json_t *record = hd_mq_record(&p, hd_str(""), false);
    assert_non_null(record);
    json_decref(record);
    (void)state;
}

static void filters_look_into_data(void **state)
{
    static const struct {
        struct hd_str body;
        const char *data; /* NULL: no view */
    } cases[] = {
        {HD_LIT("{\"a\":[1]}"), "{\"a\":[1]}"},
        {HD_LIT("text"), "\"text\""},
        {HD_LIT("5"), "\"5\""},
        {HD_LIT(""), "\"\""},
        {HD_LIT("\xff\xfe"), NULL},
    };
    const amqp_basic_properties_t none = {._flags = 0};
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        json_t *record = hd_mq_record(&none, cases[i].body, false);
        json_t *view = hd_mq_view(record, cases[i].body);
        assert_true((view == NULL) == (cases[i].data == NULL));
        if (view != NULL) {
            json_t *want = json_loads(cases[i].data, JSON_DECODE_ANY, NULL);
            assert_true(json_equal(json_object_get(view, "data"), want));
            assert_non_null(json_object_get(view, "basicProperties"));
            json_decref(want);
        }
        json_decref(view);
        json_decref(record);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bare_message_has_all_members),
        cmocka_unit_test(properties_come_as_the_service_writes_them),
        cmocka_unit_test(headers_without_end_have_one),
        cmocka_unit_test(filters_look_into_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
