/* test/unit/test_envelope.c - messages of event lanes, as they were seen on a queue. */
#include "lanes/envelope.h"

#include "test.h"

static const int64_t NOW = 1700000000000;

static struct hd_arena arena;
static struct hd_buf text;

static int setup(void **state)
{
    hd_arena_init(&arena, NULL, 0, 1 << 20);
    hd_buf_init(&text, 1 << 20);
    (void)state;
    return 0;
}

static int teardown(void **state)
{
    hd_arena_done(&arena);
    hd_buf_done(&text);
    (void)state;
    return 0;
}

static const char *rewritten(const char *json)
{
    struct hd_envelope e;
    hd_arena_done(&arena);
    hd_buf_clear(&text);
    if (hd_envelope_read(&e, &arena, hd_str(json), NOW, NULL) < 0)
        return "refused";
    hd_envelope_write(&text, &e);
    hd_buf_char(&text, '\0');
    return text.ptr;
}

static const char PLAIN[] =
    "{\"laneId\":\"events-main\",\"eventId\":\"app.events.order-placed\",\"payload\":\"{\\\"i\\\":"
    "0,"
    "\\\"userId\\\":\\\"u0\\\",\\\"channel\\\":\\\"email\\\"}\",\"source\":{\"kind\":\"runtime\","
    "\"id\":\"runtime.api\"},\"id\":\"cd15a312-8557-49c0-9e91-7ff42117701f\","
    "\"createdAt\":\"2026-11-21T00:11:36.898Z\",\"attempts\":0}";

static const char RICH[] =
    "{\"laneId\":\"events-main\",\"eventId\":\"app.events.order-placed\",\"payload\":\"{}\","
    "\"serializedAsyncContexts\":\"{\\\"app.asyncContexts.tenant\\\":\\\"{\\\\\\\"id\\\\\\\":"
    "\\\\\\\"t-1\\\\\\\"}\\\"}\",\"source\":{\"kind\":\"task\",\"id\":\"app.tasks.x\"},"
    "\"authToken\":\"a.b.c\",\"maxAttempts\":3,\"id\":\"4728e2f1-f437-4e32-b9c7-afef894a2b85\","
    "\"createdAt\":\"2026-11-21T00:07:48.985Z\",\"attempts\":2}";

static void what_a_peer_wrote_is_read_and_written_byte_for_byte(void **state)
{
    assert_int_equal(strlen(PLAIN), 265);
    assert_string_equal(rewritten(PLAIN), PLAIN);
    assert_string_equal(rewritten(RICH), RICH);
    struct hd_envelope e;
    assert_int_equal(hd_envelope_read(&e, &arena, hd_str(RICH), NOW, NULL), 0);
    assert_true(
        hd_str_is(e.contexts, "{\"app.asyncContexts.tenant\":\"{\\\"id\\\":\\\"t-1\\\"}\"}"));
    assert_int_equal(e.max_attempts, 3);
    assert_int_equal(e.attempts, 2);
    (void)state;
}

#define ALL                                                                                   \
    "\"laneId\":\"l\",\"eventId\":\"e\",\"payload\":\"1\",\"source\":{\"kind\":\"k\",\"id\":" \
    "\"i\"}"

static void members_that_we_do_not_know_are_kept(void **state)
{
    assert_string_equal(rewritten("{" ALL
                                  ",\"x\":{\"__type\":[1.0,\"\\u00e9\"]},\"id\":\"1\",\"y\":null,"
                                  "\"createdAt\":\"c\",\"attempts\":1}"),
                        "{" ALL ",\"id\":\"1\",\"createdAt\":\"c\",\"attempts\":1,"
                        "\"x\":{\"__type\":[1,\"\xc3\xa9\"]},\"y\":null}");
    (void)state;
}

/* A number may take more room as we write it than it took. */
static void members_that_grow_are_kept_whole(void **state)
{
    struct hd_buf json;
    struct hd_envelope e;
    hd_buf_init(&json, 1 << 20);
    hd_buf_cstr(&json, "{\"laneId\":\"l\",\"eventId\":\"e\",\"payload\":\"1\",\"source\":{\"kind\":"
                       "\"k\",\"id\":\"s\"},\"id\":\"1\",\"more\":[1e20");
    for (int i = 0; i < 5000; i++)
        hd_buf_cstr(&json, ",1e20");
    hd_buf_cstr(&json, "]}");
    hd_buf_char(&json, '\0');
    const char *again = rewritten(json.ptr);
    assert_int_equal(hd_envelope_read(&e, &arena, hd_str(again), NOW, NULL), 0);
    hd_buf_done(&json);
    (void)state;
}

static void what_is_missing_gets_its_default(void **state)
{
    assert_string_equal(rewritten("{" ALL ",\"id\":\"1\",\"attempts\":\"many\"}"),
                        "{" ALL ",\"id\":\"1\",\"createdAt\":\"2023-11-14T22:13:20.000Z\","
                        "\"attempts\":0}");
    (void)state;
}

static void what_is_no_envelope_is_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "[]",
        "{}",
        "{" ALL "}",
        "{\"eventId\":\"e\",\"payload\":\"1\",\"source\":{\"kind\":\"k\",\"id\":\"i\"},\"id\":"
        "\"1\"}",
        "{\"laneId\":1,\"eventId\":\"e\",\"payload\":\"1\",\"source\":{\"kind\":\"k\",\"id\":\"i\"}"
        ","
        "\"id\":\"1\"}",
        "{\"laneId\":\"l\",\"eventId\":\"e\",\"payload\":{},\"source\":{\"kind\":\"k\",\"id\":"
        "\"i\"},"
        "\"id\":\"1\"}",
        "{\"laneId\":\"l\",\"eventId\":\"e\",\"payload\":\"1\",\"source\":\"k\",\"id\":\"1\"}",
        "{\"laneId\":\"l\",\"eventId\":\"e\",\"payload\":\"1\",\"source\":{\"kind\":\"k\"},"
        "\"id\":\"1\"}",
        "{" ALL ",\"id\":1}",
        "{" ALL ",\"id\":\"1\"} x",
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++)
        assert_string_equal(rewritten(cases[i]), "refused");
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_peer_wrote_is_read_and_written_byte_for_byte),
        cmocka_unit_test(members_that_we_do_not_know_are_kept),
        cmocka_unit_test(members_that_grow_are_kept_whole),
        cmocka_unit_test(what_is_missing_gets_its_default),
        cmocka_unit_test(what_is_no_envelope_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
