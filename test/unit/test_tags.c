/* test/unit/test_tags.c - which tags may be added. */
#include "lambda/tags.h"
#include "test.h"

static int add(json_t *tags, const char *more, unsigned max, struct hd_error *err)
{
    json_t *json = json_loads(more, 0, NULL);
    assert_non_null(json);
    int rc = hd_tags_add(tags, json, max, err);
    json_decref(json);
    return rc;
}

static void tags_are_merged(void **state)
{
    json_t *tags = json_object();
    assert_int_equal(add(tags, "{\"a\":\"1\",\"b\":\"\"}", 0, NULL), 0);
    assert_int_equal(add(tags, "{\"a\":\"2\",\"c\":\"3\"}", 0, NULL), 0);
    json_t *keys = json_pack("[s, s]", "b", "nothing");
    hd_tags_remove(tags, keys);
    hd_auto_free char *text = json_dumps(tags, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text, "{\"a\":\"2\",\"c\":\"3\"}");
    json_decref(keys);
    json_decref(tags);
    (void)state;
}

static void there_is_a_most(void **state)
{
    json_t *tags = json_object();
    struct hd_error err = {.msg = ""};
    assert_int_equal(add(tags, "{\"a\":\"1\",\"b\":\"1\"}", 2, &err), 0);
    assert_int_equal(add(tags, "{\"a\":\"2\",\"b\":\"2\"}", 2, &err), 0);
    assert_int_equal(add(tags, "{\"a\":\"3\",\"c\":\"3\"}", 2, &err), HD_EBUSY);
    assert_string_equal(err.msg, "Number of tags exceeds resource tag limit.");
    assert_string_equal(json_string_value(json_object_get(tags, "a")), "2");
    json_decref(tags);
    (void)state;
}

static void refuses_what_the_service_does(void **state)
{
    char text[HD_TAGS_VALUE_CHARS + 32];
    json_t *tags = json_object();
    struct hd_error err = {.msg = ""};
    assert_int_equal(add(tags, "{}", 0, &err), HD_EINVAL);
    assert_string_equal(err.msg, "An error occurred and the request cannot be processed.");
    assert_int_equal(add(tags, "{\"AWS:x\":\"1\"}", 0, &err), HD_EINVAL);
    assert_int_equal(add(tags, "{\"\":\"1\"}", 0, &err), HD_EINVAL);
    assert_int_equal(add(tags, "{\"a\":1}", 0, &err), HD_EINVAL);
    snprintf(text, sizeof(text), "{\"a\":\"%0*d\"}", HD_TAGS_VALUE_CHARS + 1, 0);
    assert_int_equal(add(tags, text, 0, &err), HD_EINVAL);
    snprintf(text, sizeof(text), "{\"%0*d\":\"\"}", HD_TAGS_KEY_CHARS + 1, 0);
    assert_int_equal(add(tags, text, 0, &err), HD_EINVAL);
    assert_int_equal(json_object_size(tags), 0);
    /* the limits count characters: 128 of two bytes each are a key */
    char key[2 * HD_TAGS_KEY_CHARS + 1];
    for (size_t i = 0; i < HD_TAGS_KEY_CHARS; i++)
        memcpy(key + 2 * i, "\xc3\xa4", 3);
    hd_auto_free char *umlauts = hd_printf("{\"%s\":\"1\"}", key);
    assert_int_equal(add(tags, umlauts, 0, &err), 0);
    json_decref(tags);
    (void)state;
}

static void says_who_may_come_by_the_edge(void **state)
{
    json_t *tags = json_object();
    struct hd_error err = {.msg = ""};
    assert_int_equal(hd_tags_edge(NULL), HD_EDGE_NONE);
    assert_int_equal(hd_tags_edge(tags), HD_EDGE_NONE);
    assert_int_equal(add(tags, "{\"heddle.edge\":\"Public\"}", 0, &err), HD_EINVAL);
    assert_string_equal(err.msg, "The tag 'heddle.edge' must be 'protected' or 'public', not "
                                 "'Public'; without it the function has no edge URL.");
    assert_int_equal(add(tags, "{\"heddle.edge\":\"public\"}", 0, &err), 0);
    assert_int_equal(hd_tags_edge(tags), HD_EDGE_PUBLIC);
    assert_int_equal(add(tags, "{\"heddle.edge\":\"protected\"}", 0, &err), 0);
    assert_int_equal(hd_tags_edge(tags), HD_EDGE_PROTECTED);
    json_object_set_new(tags, "heddle.edge", json_string("opened")); /* from an older store */
    assert_int_equal(hd_tags_edge(tags), HD_EDGE_NONE);
    json_decref(tags);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tags_are_merged),
        cmocka_unit_test(there_is_a_most),
        cmocka_unit_test(refuses_what_the_service_does),
        cmocka_unit_test(says_who_may_come_by_the_edge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
