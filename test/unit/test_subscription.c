#include "shim/subscription.h"
#include "test.h"

#include <stdio.h>

static int parse(struct hd_subscription *s, const char *text, struct hd_error *err)
{
    return hd_subscription_parse(s, hd_str(text), err);
}

#define TO "\"destination\":{\"protocol\":\"HTTP\",\"URI\":\"http://sandbox.localdomain:8080/x/y\"}"

static void what_can_be_said(void **state)
{
    struct hd_subscription s;
    struct hd_error err;
    assert_int_equal(
        parse(&s,
              "{\"schemaVersion\":\"2022-12-13\",\"types\":[\"platform\",\"function\"],"
              "\"buffering\":{\"maxItems\":1000,\"maxBytes\":262144,\"timeoutMs\":25}," TO "}",
              &err),
        0);
    assert_int_equal(s.types, HD_TELE_PLATFORM | HD_TELE_FUNCTION);
    assert_int_equal(s.max_items, 1000);
    assert_int_equal(s.max_bytes, 262144);
    assert_int_equal(s.timeout_ms, 25);
    assert_int_equal(s.port, 8080);
    assert_string_equal(s.path, "/x/y");
    assert_int_equal(parse(&s,
                           "{\"types\":[\"extension\"],\"destination\":{\"protocol\":\"HTTP\","
                           "\"URI\":\"http://sandbox:1\"}}",
                           &err),
                     0);
    assert_int_equal(s.timeout_ms, 1000);
    assert_int_equal(s.max_items, 10000);
    assert_string_equal(s.path, "/");
    (void)state;
}

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *text, *words;
    } table[] = {
        {"", "JSON object"},
        {"[]", "JSON object"},
        {"{" TO "}", "types"},
        {"{\"types\":[]," TO "}", "types"},
        {"{\"types\":[\"platform\",\"x\"]," TO "}", "types[1]"},
        {"{\"types\":[1]," TO "}", "types[0]"},
        {"{\"types\":[\"platform\"],\"buffering\":{\"maxItems\":999}," TO "}", "maxItems"},
        {"{\"types\":[\"platform\"],\"buffering\":{\"maxBytes\":1048577}," TO "}", "maxBytes"},
        {"{\"types\":[\"platform\"],\"buffering\":{\"timeoutMs\":\"25\"}," TO "}", "timeoutMs"},
        {"{\"types\":[\"platform\"]}", "destination.protocol"},
        {"{\"types\":[\"platform\"],\"destination\":{\"protocol\":\"HTTP\"}}", "destination.URI"},
        {"{\"types\":[\"platform\"],\"destination\":{\"protocol\":\"HTTP\",\"URI\":"
         "\"http://example.com:80/\"}}",
         "destination.URI"},
        {"{\"types\":[\"platform\"],\"destination\":{\"protocol\":\"HTTP\",\"URI\":"
         "\"http://sandbox.localdomain:0/\"}}",
         "destination.URI"},
        {"{\"types\":[\"platform\"],\"destination\":{\"protocol\":\"HTTP\",\"URI\":"
         "\"http://sandbox.localdomain:99999/\"}}",
         "destination.URI"},
    };
    for (size_t i = 0; i < HD_COUNT(table); i++) {
        struct hd_subscription s;
        struct hd_error err = {0};
        assert_int_equal(parse(&s, table[i].text, &err), HD_EINVAL);
        if (strstr(err.msg, table[i].words) == NULL)
            fail_msg("%s: %s", table[i].text, err.msg);
    }
    (void)state;
}

static void events_are_lines(void **state)
{
    struct hd_buf b;
    hd_buf_init(&b, 1000);
    hd_subscription_event(&b, 1767225600007, "platform.start", hd_str("{\"a\":1}"));
    hd_auto_free char *text = hd_buf_take(&b);
    assert_string_equal(text, "{\"time\":\"2026-01-01T00:00:00.007Z\",\"type\":\"platform.start\","
                              "\"record\":{\"a\":1}}\n");
    (void)state;
}

static void batches_are_bounded(void **state)
{
    const struct hd_subscription by_items = {.max_items = 2, .max_bytes = 1000};
    const struct hd_subscription by_bytes = {.max_items = 100, .max_bytes = 5};
    const struct hd_str queue = HD_LIT("11\n22\n33\n44\n55\n");
    static const struct {
        size_t items;
        const char *text;
    } wanted[] = {{2, "[11,22]"}, {2, "[33,44]"}, {1, "[55]"}};
    const struct hd_subscription *const both[] = {&by_items, &by_bytes};
    for (size_t k = 0; k < HD_COUNT(both); k++) {
        size_t at = 0;
        for (size_t i = 0; i < HD_COUNT(wanted); i++) {
            struct hd_buf b;
            unsigned items;
            hd_buf_init(&b, 100);
            at += hd_subscription_batch(&b, &items, hd_str_n(queue.ptr + at, queue.len - at),
                                        both[k]);
            assert_int_equal(items, wanted[i].items);
            hd_auto_free char *text = hd_buf_take(&b);
            assert_string_equal(text, wanted[i].text);
        }
        assert_int_equal(at, queue.len);
    }
    /* One that is larger than a batch may be goes alone. */
    struct hd_buf b;
    unsigned items;
    hd_buf_init(&b, 100);
    assert_int_equal(hd_subscription_batch(&b, &items, hd_str("1234567\n8\n"), &by_bytes), 8);
    assert_int_equal(items, 1);
    hd_buf_clear(&b);
    assert_int_equal(hd_subscription_batch(&b, &items, hd_str(""), &by_bytes), 0);
    assert_int_equal(b.len, 0);
    hd_buf_done(&b);
    (void)state;
}

static void types_as_a_list(void **state)
{
    struct hd_buf b;
    hd_buf_init(&b, 100);
    hd_subscription_types(&b, HD_TELE_PLATFORM | HD_TELE_EXTENSION);
    hd_auto_free char *text = hd_buf_take(&b);
    assert_string_equal(text, "[\"platform\",\"extension\"]");
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_can_be_said), cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(events_are_lines), cmocka_unit_test(batches_are_bounded),
        cmocka_unit_test(types_as_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
