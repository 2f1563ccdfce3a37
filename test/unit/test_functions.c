/* test_functions.c - the small parts: string lists, paths, lines of JSON keys, config.toml, entry
 * files, snapshots. */
#include "functions/discover.h"
#include "functions/file.h"
#include "functions/jsonlines.h"
#include "functions/snapshot.h"
#include "functions/supabase.h"
#include "tree.h"

static void lists_grow_sort_and_join(void **state)
{
    struct hd_strings l = {0};
    assert_null(l.items);
    for (int i = 99; i >= 0; i--)
        hd_strings_addf(&l, "%02d", i);
    hd_strings_sort(&l);
    assert_int_equal(l.n, 100);
    assert_string_equal(l.items[0], "00");
    assert_string_equal(l.items[99], "99");
    assert_null(l.items[100]);
    assert_true(hd_strings_has(&l, hd_str("42")) && !hd_strings_has(&l, hd_str("4")));
    struct hd_strings copy = hd_strings_copy(&l);
    hd_strings_done(&l);
    assert_string_equal(copy.items[7], "07");
    hd_strings_done(&copy);
    (void)state;
}

static void not_given_and_empty_are_two_things(void **state)
{
    struct hd_strings none = {0}, empty = {0};
    hd_strings_give(&empty);
    struct hd_strings a = hd_strings_copy(&none), b = hd_strings_copy(&empty);
    assert_null(a.items);
    assert_non_null(b.items);
    hd_strings_done(&b);
    hd_strings_done(&empty);
    (void)state;
}

static void distances_count_edits(void **state)
{
    static const struct {
        const char *a, *b;
        size_t d;
    } cases[] = {{"", "", 0},
                 {"a", "", 1},
                 {"rpm", "rpn", 1},
                 {"kitten", "sitting", 3},
                 {"timeoutMS", "timeoutMs", 1}};
    for (size_t i = 0; i < HD_COUNT(cases); i++)
        assert_int_equal(hd_edit_distance(hd_str(cases[i].a), hd_str(cases[i].b)), cases[i].d);
    (void)state;
}

static void paths_are_cleaned_as_text(void **state)
{
    static const char *const cases[][2] = {
        {"/a/./b//c/", "/a/b/c"}, {"/a/../..", "/"}, {"/", "/"},   {"a/../../b", "../b"},
        {"../../a/..", "../.."},  {"", "."},         {"./x", "x"}, {"/a/b/../../c", "/c"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        hd_auto_free char *clean = hd_file_clean(cases[i][0]);
        assert_string_equal(clean, cases[i][1]);
    }
    assert_true(hd_file_within("/a/b", "/a") && hd_file_within("/a", "/a"));
    assert_true(hd_file_within("/a", "/") && !hd_file_within("/ab", "/a"));
    assert_string_equal(hd_file_below("/a/b/c", "/a"), "b/c");
    assert_string_equal(hd_file_below("/x", "/a"), "/x");
    (void)state;
}

static void a_file_has_a_ceiling(void **state)
{
    struct tree t;
    struct hd_buf b;
    struct hd_error err;
    tree_make(&t);
    tree_file(&t, "ten", "0123456789");
    hd_buf_init(&b, 10);
    assert_int_equal(hd_file_read(&b, tree_path(&t, "ten"), NULL, NULL), 0);
    assert_int_equal(b.len, 10);
    hd_buf_done(&b);
    hd_buf_init(&b, 9);
    assert_int_equal(hd_file_read(&b, tree_path(&t, "ten"), NULL, &err), HD_EBUSY);
    hd_buf_done(&b);
    assert_int_equal(hd_file_read(&b, tree_path(&t, "none"), NULL, &err), HD_ENOTFOUND);
    assert_int_equal(hd_file_read(&b, t.path, NULL, &err), HD_EINVAL);
    tree_done(&t);
    (void)state;
}

static void keys_of_json_have_lines(void **state)
{
    struct hd_json_lines l;
    hd_json_lines_init(&l,
                       hd_str("{\"a\": 1,\n \"b\": {\"c\": [{\"x\": 1}, \"y\"],\n\"d\\\"\": 2},\n"
                              "\"e\": \"a\\\"{\", \"b2\": {\"c\": {\"d\": {\"e\": 1}}}}"));
    assert_int_equal(hd_json_line(&l, "a"), 1);
    assert_int_equal(hd_json_line(&l, "b"), 2);
    assert_int_equal(hd_json_line(&l, "b.c"), 2);
    assert_int_equal(hd_json_line(&l, "e"), 4);
    assert_int_equal(hd_json_line(&l, "b2.c.d"), 4);
    assert_int_equal(hd_json_line(&l, "x"), 0);
    assert_int_equal(hd_json_line(&l, "b.y"), 0);
    hd_json_lines_done(&l);
    (void)state;
}

static void garbage_does_not_hurt_the_line_index(void **state)
{
    static const char *const texts[] = {"",
                                        "}}}",
                                        "\"",
                                        "{\"",
                                        "{\"a\\",
                                        "[[[[[[[[{\"a\":{\"b\"",
                                        "{\"a\":{\"b\":{\"c\":{\"d\":{}}}}}}}}}"};
    for (size_t i = 0; i < HD_COUNT(texts); i++) {
        struct hd_json_lines l;
        hd_json_lines_init(&l, hd_str(texts[i]));
        hd_json_lines_done(&l);
    }
    (void)state;
}

static void sections_of_config_toml_are_read(void **state)
{
    struct hd_supabase s;
    assert_int_equal(
        hd_supabase_read(&s,
                         hd_str("[api]\nport = 1\n[functions.hello]\n"
                                "verify_jwt = false\nimport_map = \"./functions/m.json\"\n"
                                "entrypoint = \"\"\nunheard = 1\n"
                                "[functions.bad]\nenabled = \"yes\"\n"),
                         "config.toml", "/p", NULL),
        0);
    const struct hd_supabase_function *f = hd_supabase_find(&s, "hello");
    assert_true(f->manifest.v[HD_KEY_VERIFY_JWT].given);
    assert_int_equal(f->manifest.v[HD_KEY_VERIFY_JWT].line, 4);
    assert_string_equal(f->manifest.v[HD_KEY_IMPORT_MAP].text, "/p/functions/m.json");
    assert_false(f->manifest.v[HD_KEY_ENTRY].given);
    assert_string_equal(f->manifest.warnings.items[0],
                        "config.toml:7: functions.hello.unheard: unknown key; it is ignored");
    assert_string_equal(hd_supabase_find(&s, "bad")->problem,
                        "config.toml:9: functions.bad.enabled: must be true or false");
    assert_null(hd_supabase_find(&s, "api"));
    hd_supabase_done(&s);
    (void)state;
}

static void entries_have_an_order(void **state)
{
    struct tree t;
    struct hd_found f;
    tree_make(&t);
    tree_file(&t, "f/index.py", "");
    tree_file(&t, "f/index.cjs", "");
    tree_file(&t, "f/index.js", "");
    tree_folder(&t, "f/index.ts"); /* a folder is no entry */
    assert_int_equal(hd_discover_one(&f, t.path, "f"), 1);
    assert_string_equal(hd_found_entry(&f, -1)->name, "index.js");
    assert_string_equal(hd_found_entry(&f, HD_RUNTIME_PYTHON)->name, "index.py");
    assert_string_equal(hd_found_entry(&f, HD_RUNTIME_NODE)->name, "index.js");
    assert_string_equal(hd_found_entry(&f, HD_RUNTIME_DENO)->name, "index.js");
    hd_found_done(&f);
    assert_int_equal(hd_discover_one(&f, t.path, "g"), 0);
    tree_done(&t);
    (void)state;
}

static void a_snapshot_finds_sorts_and_shares(void **state)
{
    struct hd_function *kept = hd_function_new("b");
    struct hd_function **all = hd_new_array(struct hd_function *, 3);
    all[0] = hd_function_new("c");
    all[1] = hd_function_ref(kept);
    all[2] = hd_function_new("a");
    struct hd_snapshot *s = hd_snapshot_new(all, 3, 7);
    size_t n;
    assert_string_equal(hd_snapshot_all(s, &n)[0]->name, "a");
    assert_int_equal(n, 3);
    assert_int_equal(hd_snapshot_generation(s), 7);
    assert_ptr_equal(hd_snapshot_find(s, hd_str("b")), kept);
    assert_null(hd_snapshot_find(s, hd_str("d")));
    assert_ptr_equal(hd_snapshot_ref(s), s);
    hd_snapshot_unref(s);
    hd_snapshot_unref(s);
    assert_string_equal(kept->name, "b"); /* ours still */
    hd_function_unref(kept);
    hd_snapshot_unref(NULL);
    (void)state;
}

static void an_empty_snapshot_is_fine(void **state)
{
    size_t n = 1;
    struct hd_snapshot *s = hd_snapshot_new(hd_new_array(struct hd_function *, 0), 0, 1);
    assert_null(hd_snapshot_find(s, hd_str("x")));
    hd_snapshot_all(s, &n);
    assert_int_equal(n, 0);
    hd_snapshot_unref(s);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_grow_sort_and_join),
        cmocka_unit_test(not_given_and_empty_are_two_things),
        cmocka_unit_test(distances_count_edits),
        cmocka_unit_test(paths_are_cleaned_as_text),
        cmocka_unit_test(a_file_has_a_ceiling),
        cmocka_unit_test(keys_of_json_have_lines),
        cmocka_unit_test(garbage_does_not_hurt_the_line_index),
        cmocka_unit_test(sections_of_config_toml_are_read),
        cmocka_unit_test(entries_have_an_order),
        cmocka_unit_test(a_snapshot_finds_sorts_and_shares),
        cmocka_unit_test(an_empty_snapshot_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
