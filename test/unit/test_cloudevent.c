#include "lanes/cloudevent.h"
#include "test.h"

#include <stdio.h>

static struct hd_arena arena;
static struct hd_cloud_event event;
static struct hd_error err;

static int structured(const char *body)
{
    hd_arena_done(&arena);
    hd_arena_init(&arena, NULL, 0, 64 << 20);
    err = (struct hd_error){0};
    return hd_cloud_structured(&event, &arena, hd_str(body), &err);
}

static int teardown(void **state)
{
    hd_arena_done(&arena);
    (void)state;
    return 0;
}

static void expect(struct hd_str given, const char *wanted)
{
    char text[512];
    snprintf(text, sizeof(text), "%.*s", HD_FMT(given));
    assert_string_equal(text, wanted);
}

#define NEEDED "\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\""

static void a_structured_event_is_type_attributes_and_data(void **state)
{
    assert_int_equal(
        structured("{" NEEDED ",\"time\":\"2026-11-21T10:00:00.25+01:00\",\"subject\":"
                   "\"o-7\",\"datacontenttype\":\"application/json\",\"level\":3,"
                   "\"urgent\":true,\"gone\":null,\"traceparent\":\"00-1\",\"data\":"
                   "{\"a\":[1.50,12345678901234567890,\"\\u00fc\"],\"__type\":\"x\"}}"),
        0);
    expect(event.type, "t");
    expect(event.attributes,
           "{\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\",\"time\":\"2026-11-21T10:"
           "00:00.25+01:00\",\"subject\":\"o-7\",\"level\":3,\"urgent\":true}");
    expect(event.traceparent, "00-1");
    expect(event.data, "{\"a\":[1.5,12345678901234567000,\"\xc3\xbc\"],\"__type\":\"x\"}");
    assert_false(event.typed);
    (void)state;
}

static void data_may_be_anything_or_bytes_or_nothing(void **state)
{
    static const struct {
        const char *members, *data;
        bool typed;
    } cases[] = {
        {"", "", false},
        {",\"data\":null", "null", false},
        {",\"data\":\"text\",\"datacontenttype\":\"text/plain\"", "\"text\"", false},
        {",\"data_base64\":\"AP8=\"", "{\"__type\":\"Uint8Array\",\"value\":[0,255]}", true},
        {",\"data_base64\":\"\"", "{\"__type\":\"Uint8Array\",\"value\":[]}", true},
        {",\"datacontenttype\":\"application/"
         "vnd.heddle.typed+json\",\"data\":{\"__type\":\"BigInt\","
         "\"value\":\"1\"}",
         "{\"__type\":\"BigInt\",\"value\":\"1\"}", true},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        char body[512];
        snprintf(body, sizeof(body), "{" NEEDED "%s}", cases[i].members);
        assert_int_equal(structured(body), 0);
        expect(event.data, cases[i].data);
        assert_int_equal(event.typed, cases[i].typed);
    }
    (void)state;
}

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *body, *says;
    } cases[] = {
        {"", "CloudEvent"},
        {"{", "CloudEvent"},
        {"[]", "must be a JSON object"},
        {"{\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\"}", "specversion: is missing"},
        {"{\"specversion\":\"0.3\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\"}",
         "specversion: must be \"1.0\""},
        {"{\"specversion\":\"1.0\",\"source\":\"/s\",\"type\":\"t\"}", "id: is missing"},
        {"{\"specversion\":\"1.0\",\"id\":\"\",\"source\":\"/s\",\"type\":\"t\"}",
         "id: must not be empty"},
        {"{\"specversion\":\"1.0\",\"id\":7,\"source\":\"/s\",\"type\":\"t\"}",
         "id: must be a string"},
        {"{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"\",\"type\":\"t\"}",
         "source: must be"},
        {"{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"a b\",\"type\":\"t\"}",
         "source: must be"},
        {"{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\"}", "type: is missing"},
        {"{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":null}",
         "type: is missing"},
        {"{" NEEDED ",\"time\":\"yesterday\"}", "time: must be like"},
        {"{" NEEDED ",\"time\":\"2026-13-01T00:00:00Z\"}", "time: must be like"},
        {"{" NEEDED ",\"time\":\"2026-11-21 10:00:00Z\"}", "time: must be like"},
        {"{" NEEDED ",\"time\":\"2026-11-21T10:00:00\"}", "time: must be like"},
        {"{" NEEDED ",\"time\":\"2026-11-21T10:00:00.Z\"}", "time: must be like"},
        {"{" NEEDED ",\"Subject\":\"x\"}", "lower-case letters and digits"},
        {"{" NEEDED ",\"my_ext\":\"x\"}", "lower-case letters and digits"},
        {"{" NEEDED ",\"ext\":{}}", "ext: must be a string, true, false"},
        {"{" NEEDED ",\"ext\":1.5}", "ext: must be a string, true, false"},
        {"{" NEEDED ",\"ext\":3000000000}", "ext: must be a string, true, false"},
        {"{" NEEDED ",\"data\":1,\"data_base64\":\"AA==\"}", "both data and data_base64"},
        {"{" NEEDED ",\"data_base64\":\"A\"}", "data_base64: must be base64"},
        {"{" NEEDED ",\"data_base64\":7}", "data_base64: must be base64"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        assert_int_equal(structured(cases[i].body), HD_EINVAL);
        if (strstr(err.msg, cases[i].says) == NULL)
            fail_msg("%s: %s", cases[i].body, err.msg);
    }
    (void)state;
}

/* A head with these fields: "name: value" lines. */
static void head_of(struct hd_head *head, const char *lines)
{
    *head = (struct hd_head){.n_fields = 0};
    struct hd_str rest = hd_str(lines), line;
    while (hd_str_split(&line, &rest, '\n')) {
        size_t at = hd_str_find(line, ':');
        head->fields[head->n_fields++] = (struct hd_field){
            hd_str_n(line.ptr, at), hd_str_trim(hd_str_n(line.ptr + at + 1, line.len - at - 1))};
    }
}

static int binary(const char *lines, const char *content_type, const char *body)
{
    struct hd_head head;
    hd_arena_done(&arena);
    hd_arena_init(&arena, NULL, 0, 64 << 20);
    err = (struct hd_error){0};
    head_of(&head, lines);
    int rc = hd_cloud_binary(&event, &arena, &head, &err);
    return rc == 0 ? hd_cloud_binary_data(&event, &arena, hd_str(content_type), hd_str(body), &err)
                   : rc;
}

#define FIELDS "ce-specversion: 1.0\nce-id: 1\nce-source: /s\nCE-Type: t"

static void how_an_event_comes_is_seen_in_the_head(void **state)
{
    static const struct {
        const char *lines;
        enum hd_cloud_mode mode;
    } cases[] = {
        {"content-type: application/json", HD_CLOUD_NONE},
        {"content-type: application/json\nCE-Id: 1", HD_CLOUD_BINARY},
        {"content-type: Application/CloudEvents+JSON; charset=utf-8\nce-id: 1",
         HD_CLOUD_STRUCTURED},
        {"content-type: application/cloudevents-batch+json", HD_CLOUD_OTHER},
        {"content-type: application/cloudevents+avro", HD_CLOUD_OTHER},
        {"cel: 1", HD_CLOUD_NONE},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_head head;
        head_of(&head, cases[i].lines);
        assert_int_equal(hd_cloud_mode(&head), cases[i].mode);
    }
    (void)state;
}

static void a_binary_event_has_its_attributes_in_fields(void **state)
{
    assert_int_equal(binary(FIELDS "\nce-subject: %C3%BC%20%22x%22\nce-ext: \"a\\\"b\"\nother: x",
                            "application/json", "{\"a\": 1}"),
                     0);
    expect(event.type, "t");
    expect(event.attributes, "{\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\",\"subject\":"
                             "\"\xc3\xbc \\\"x\\\"\",\"ext\":\"a\\\"b\"}");
    expect(event.data, "{\"a\": 1}");
    static const struct {
        const char *type, *body, *data;
        bool typed;
    } cases[] = {
        {"", "", "", false},
        {"", "7", "7", false},
        {"application/x+json; charset=utf-8", "[1]", "[1]", false},
        {"application/vnd.heddle.typed+json", "1", "1", true},
        {"text/plain", "a\"b", "\"a\\\"b\"", false},
        {"text/plain", "\xff", "{\"__type\":\"Uint8Array\",\"value\":[255]}", true},
        {"image/png", "\x89P", "{\"__type\":\"Uint8Array\",\"value\":[137,80]}", true},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        assert_int_equal(binary(FIELDS, cases[i].type, cases[i].body), 0);
        expect(event.data, cases[i].data);
        assert_int_equal(event.typed, cases[i].typed);
    }
    (void)state;
}

static void a_binary_event_with_something_wrong_is_refused(void **state)
{
    static const struct {
        const char *lines, *says;
    } cases[] = {
        {"ce-id: 1", "specversion: is missing"},
        {"ce-specversion: 2.0\nce-id: 1\nce-source: /s\nce-type: t", "specversion: must be"},
        {FIELDS "\nce-id: 2", "stands there twice"},
        {FIELDS "\nce-my-ext: 2", "lower-case letters and digits"},
        {FIELDS "\nce-: 2", "lower-case letters and digits"},
        {FIELDS "\nce-subject: %ff", "percent-encoded UTF-8"},
        {FIELDS "\nce-subject: %00", "percent-encoded UTF-8"},
        {FIELDS "\nce-subject:", "subject: must not be empty"},
        {FIELDS "\nce-time: now", "time: must be like"},
        {FIELDS "\nce-datacontenttype: text/plain", "Content-Type says it"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        assert_int_equal(binary(cases[i].lines, "", ""), HD_EINVAL);
        if (strstr(err.msg, cases[i].says) == NULL)
            fail_msg("%s: %s", cases[i].lines, err.msg);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_structured_event_is_type_attributes_and_data),
        cmocka_unit_test(data_may_be_anything_or_bytes_or_nothing),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(how_an_event_comes_is_seen_in_the_head),
        cmocka_unit_test(a_binary_event_has_its_attributes_in_fields),
        cmocka_unit_test(a_binary_event_with_something_wrong_is_refused)};
    return cmocka_run_group_tests(tests, NULL, teardown);
}
