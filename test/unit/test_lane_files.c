/* test/unit/test_lane_files.c - sentinels become what functions see, wherever they stand. */
#include "lanes/lane_files.h"

#include "test.h"

static struct hd_arena arena;
static struct hd_buf text;

static int set_up(void **state)
{
    (void)state;
    hd_arena_init(&arena, NULL, 0, 1 << 20);
    hd_buf_init(&text, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    hd_arena_done(&arena);
    hd_buf_done(&text);
    return 0;
}

static const struct hd_lane_file *find(void *arg, struct hd_str id)
{
    static const struct hd_lane_file files[] = {
        {HD_LIT("F1"), HD_LIT("part.txt"), HD_LIT("text/part"), HD_LIT("/d/0"), 3},
        {HD_LIT("F2"), {NULL, 0}, {NULL, 0}, HD_LIT("/d/1"), 0}};
    (void)arg;
    for (size_t i = 0; i < HD_COUNT(files); i++) {
        if (hd_str_eq(files[i].id, id))
            return &files[i];
    }
    return NULL;
}

static struct hd_typed *parse(const char *json)
{
    struct hd_typed *v = NULL;
    assert_int_equal(hd_typed_read(&v, &arena, hd_str(json), NULL), 0);
    return v;
}

#define FILE_(id, meta) "{\"$runnerFile\":\"File\",\"id\":\"" id "\",\"meta\":" meta "}"

static void every_sentinel_is_replaced(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {FILE_("F1", "{\"name\":\"a\",\"type\":\"t\",\"size\":99,\"lastModified\":5}"),
         "{\"$file\":{\"id\":\"F1\",\"name\":\"a\",\"type\":\"t\",\"size\":3,\"lastModified\":5,"
         "\"path\":\"/d/0\"}}"},
        {"[" FILE_("F1", "{\"extra\":{\"k\":[1]}}") "]",
         "[{\"$file\":{\"id\":\"F1\",\"name\":\"part.txt\",\"type\":\"text/part\",\"size\":3,"
         "\"extra\":{\"k\":[1]},\"path\":\"/d/0\"}}]"},
        {"{\"__type\":\"Map\",\"value\":[[\"k\"," FILE_("F2", "null") "]]}",
         "{\"__type\":\"Map\",\"value\":[[\"k\",{\"$file\":{\"id\":\"F2\",\"size\":0,\"path\":"
         "\"/d/1\"}}]]}"},
        {"{\"$runnerFile\":\"Other\",\"id\":\"F1\"}", "{\"$runnerFile\":\"Other\",\"id\":\"F1\"}"},
        {"{\"$runnerFile\":\"File\",\"id\":7}", "{\"$runnerFile\":\"File\",\"id\":7}"},
        {"3", "3"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_str missing;
        struct hd_typed *v = parse(cases[i][0]);
        hd_buf_clear(&text);
        assert_int_equal(hd_lane_files_show(&v, &arena, find, NULL, &missing), 0);
        hd_typed_write(&text, v);
        hd_buf_char(&text, '\0');
        assert_string_equal(text.ptr, cases[i][1]);
    }
}

static void one_that_did_not_come_is_named(void **state)
{
    (void)state;
    struct hd_str missing;
    struct hd_typed *v = parse("[" FILE_("F1", "{}") "," FILE_("F9", "{}") "]");
    assert_int_equal(hd_lane_files_show(&v, &arena, find, NULL, &missing), HD_ENOTFOUND);
    assert_true(hd_str_is(missing, "F9"));
}

static void note(void *arg, struct hd_str id)
{
    (void)arg;
    hd_buf_str(&text, id);
    hd_buf_char(&text, ' ');
}

static void ids_are_told(void **state)
{
    (void)state;
    hd_lane_files_ids(parse("{\"a\":" FILE_("x", "{}") ",\"b\":[" FILE_("y", "{}") ",1]}"), note,
                      NULL);
    assert_true(hd_str_is(hd_buf_view(&text), "x y "));
}

static void a_path_by_hand_is_a_forgery(void **state)
{
    (void)state;
    assert_true(hd_lane_files_forged(parse("[1,{\"a\":{\"$file\":{\"path\":\"/etc/passwd\"}}}]")));
    assert_true(hd_lane_files_forged(parse("{\"\\u0024file\":{\"path\":1}}")));
    assert_true(hd_lane_files_forged(
        parse("{\"__type\":\"Set\",\"value\":[{\"$file\":{\"path\":\"x\"}}]}")));
    assert_false(hd_lane_files_forged(parse("{\"$file\":{\"name\":\"x\"}}")));
    assert_false(hd_lane_files_forged(parse("{\"$file\":\"path\",\"path\":1}")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_sentinel_is_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_did_not_come_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ids_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_path_by_hand_is_a_forgery, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
