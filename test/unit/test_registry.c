/* test_registry.c - functions come, change and go; the others stay what they are. */
#include "functions/registry.h"

#include "core/clock.h"
#include "tree.h"

struct world {
    struct tree tree;
    struct hd_defaults defaults;
    struct hd_registry *r;
    struct hd_scan scan;
};

static int make_world(void **state)
{
    struct world *w = hd_new(struct world);
    tree_make(&w->tree);
    tree_file(&w->tree, "f/hello/index.ts", "import {x} from '../_shared/a.ts'; Deno.serve(x);");
    tree_file(&w->tree, "f/_shared/a.ts", "import './b.ts'; export const x = 1;");
    tree_file(&w->tree, "f/_shared/b.ts", "import './a.ts';");
    tree_file(&w->tree, "f/plain/index.js", "export default {}");
    tree_file(&w->tree, "f/snake/index.py", "def handler(e, c): return 1");
    hd_defaults_init(&w->defaults);
    w->defaults.dev = true;
    const struct hd_registry_options opt = {
        .root = tree_path(&w->tree, "f"), .project_dir = w->tree.path, .defaults = &w->defaults};
    assert_int_equal(hd_registry_new(&w->r, &opt, NULL), 0);
    *state = w;
    return 0;
}

static int end_world(void **state)
{
    struct world *w = *state;
    hd_scan_done(&w->scan);
    hd_registry_free(w->r);
    hd_defaults_done(&w->defaults);
    tree_done(&w->tree);
    free(w);
    return 0;
}

static void full(struct world *w)
{
    struct hd_error err = {0};
    hd_scan_done(&w->scan);
    if (hd_registry_scan(w->r, &w->scan, &err) < 0)
        fail_msg("%s", err.msg);
}

static void rescan(struct world *w, const char *name)
{
    struct hd_error err = {0};
    const char *path = tree_path(&w->tree, name);
    hd_scan_done(&w->scan);
    if (hd_registry_rescan(w->r, &path, 1, &w->scan, &err) < 0)
        fail_msg("%s", err.msg);
}

static const struct hd_function *find(const struct world *w, const char *name)
{
    return hd_snapshot_find(w->scan.snapshot, hd_str(name));
}

static void assert_names(const struct hd_strings *l, const char *expected)
{
    hd_auto_free char *joined = hd_strings_join(l, " ");
    assert_string_equal(joined, expected);
}

static void a_first_scan_finds_everything(void **state)
{
    struct world *w = *state;
    full(w);
    assert_names(&w->scan.added, "hello plain snake");
    const struct hd_function *hello = find(w, "hello");
    assert_non_null(hello);
    assert_null(hello->problem);
    assert_int_equal(hello->runtime, HD_RUNTIME_DENO);
    assert_string_equal(hello->entry, tree_path(&w->tree, "f/hello/index.ts"));
    assert_int_equal(strlen(hello->version), 32);
    assert_int_equal(hello->set.timeout_ms, 150000);
    assert_int_equal(find(w, "snake")->runtime, HD_RUNTIME_PYTHON);
    assert_null(find(w, "_shared"));
}

static void what_did_not_change_is_the_same_object(void **state)
{
    struct world *w = *state;
    full(w);
    const struct hd_function *before = find(w, "hello");
    struct hd_snapshot *old = hd_snapshot_ref(w->scan.snapshot);
    full(w);
    assert_ptr_equal(find(w, "hello"), before);
    assert_ptr_equal(w->scan.snapshot, old);
    assert_names(&w->scan.changed, "");
    hd_snapshot_unref(old);
}

static void shared_code_changes_only_who_imports_it(void **state)
{
    struct world *w = *state;
    full(w);
    tree_file(&w->tree, "f/_shared/b.ts", "import './a.ts'; // more");
    rescan(w, "f/_shared/b.ts");
    assert_names(&w->scan.changed, "hello");
    rescan(w, "f/_shared/b.ts");
    assert_names(&w->scan.changed, "");
    tree_file(&w->tree, "f/_shared/unused.ts", "");
    rescan(w, "f/_shared/unused.ts");
    assert_names(&w->scan.changed, "");
}

static struct hd_code_state look(struct world *w, const char *name)
{
    struct hd_code_state now;
    hd_registry_look(w->r, hd_str(name), &now);
    return now;
}

static void the_state_of_code_tells_that_a_file_was_written(void **state)
{
    struct world *w = *state;
    full(w);
    struct hd_code_state hello = look(w, "hello"), plain = look(w, "plain");
    assert_int_equal(look(w, "hello").stamp, hello.stamp);
    assert_true(hello.changed_unix_ms > 0);
    assert_true(hello.changed_unix_ms <= hd_clock_unix_ms() + 1000);
    tree_remove(&w->tree, "f/_shared/b.ts"); /* imported by way of another one */
    struct hd_code_state gone = look(w, "hello");
    assert_int_not_equal(gone.stamp, hello.stamp);
    tree_file(&w->tree, "f/_shared/b.ts", "");
    assert_int_not_equal(look(w, "hello").stamp, gone.stamp);
    assert_int_equal(look(w, "plain").stamp, plain.stamp);
    assert_int_equal(look(w, "nobody").stamp, 0);
    assert_int_equal(look(w, "nobody").changed_unix_ms, 0);
}

static void a_missing_import_that_comes_changes_its_importer(void **state)
{
    struct world *w = *state;
    tree_remove(&w->tree, "f/_shared/b.ts");
    full(w);
    tree_file(&w->tree, "f/_shared/b.ts", "export {}");
    rescan(w, "f/_shared/b.ts");
    assert_names(&w->scan.changed, "hello");
}

static void functions_come_and_go(void **state)
{
    struct world *w = *state;
    full(w);
    tree_file(&w->tree, "f/fresh/index.ts", "");
    rescan(w, "f/fresh/index.ts");
    assert_names(&w->scan.added, "fresh");
    tree_remove(&w->tree, "f/fresh");
    rescan(w, "f/fresh");
    assert_names(&w->scan.removed, "fresh");
    assert_null(find(w, "fresh"));
    assert_non_null(find(w, "hello"));
}

static void a_broken_manifest_is_that_functions_problem_alone(void **state)
{
    struct world *w = *state;
    full(w);
    tree_file(&w->tree, "f/plain/heddle.json", "{\n  \"timeoutMS\": 5\n}");
    rescan(w, "f/plain/heddle.json");
    assert_names(&w->scan.changed, "plain");
    assert_string_equal(find(w, "plain")->problem,
                        "plain/heddle.json:2: timeoutMS: unknown key; did you mean \"timeoutMs\"?");
    assert_null(find(w, "hello")->problem);
    tree_file(&w->tree, "f/plain/heddle.json", "{\"timeoutMs\": 5}");
    rescan(w, "f/plain/heddle.json");
    assert_null(find(w, "plain")->problem);
    assert_int_equal(find(w, "plain")->set.timeout_ms, 5);
}

static void a_manifest_that_was_just_written_wrong_changes_nothing_yet(void **state)
{
    struct world *w = *state;
    const struct hd_registry_options opt = {.root = tree_path(&w->tree, "f"),
                                            .project_dir = w->tree.path,
                                            .defaults = &w->defaults,
                                            .quiet_ms = 3600 * 1000};
    hd_registry_free(w->r);
    assert_int_equal(hd_registry_new(&w->r, &opt, NULL), 0);
    full(w);
    assert_names(&w->scan.again, "");
    tree_file(&w->tree, "f/plain/heddle.json", "");
    rescan(w, "f/plain/heddle.json");
    assert_names(&w->scan.changed, "");
    assert_names(&w->scan.again, tree_path(&w->tree, "f/plain"));
    assert_null(find(w, "plain")->problem);
    full(w);
    assert_names(&w->scan.again, tree_path(&w->tree, "f/plain"));
    assert_null(find(w, "plain")->problem);
    tree_file(&w->tree, "f/plain/heddle.json", "{\"timeoutMs\": 5}");
    rescan(w, "f/plain");
    assert_names(&w->scan.changed, "plain");
    assert_names(&w->scan.again, "");
    assert_int_equal(find(w, "plain")->set.timeout_ms, 5);
    /* Of one that nobody knows there is nothing to go on with. */
    tree_file(&w->tree, "f/fresh/index.ts", "");
    tree_file(&w->tree, "f/fresh/heddle.json", "{");
    rescan(w, "f/fresh/index.ts");
    assert_names(&w->scan.added, "fresh");
    assert_names(&w->scan.again, "");
    assert_non_null(find(w, "fresh")->problem);
}

static void a_setting_of_the_door_keeps_the_version(void **state)
{
    struct world *w = *state;
    full(w);
    char version[33];
    memcpy(version, find(w, "plain")->version, sizeof(version));
    tree_file(&w->tree, "f/plain/heddle.json", "{\"rpm\": 5}");
    rescan(w, "f/plain/heddle.json");
    assert_names(&w->scan.settled, "plain");
    assert_names(&w->scan.changed, "");
    assert_string_equal(find(w, "plain")->version, version);
    assert_int_equal(find(w, "plain")->set.rpm, 5);
}

static void an_env_file_is_everybodys(void **state)
{
    struct world *w = *state;
    full(w);
    tree_file(&w->tree, ".env", "GREETING=hi\n");
    rescan(w, ".env");
    assert_names(&w->scan.changed, "hello plain snake");
    assert_names(&w->scan.env_added, "GREETING");
    assert_string_equal(hd_function_env(find(w, "hello"), "GREETING"), "hi");
    tree_file(&w->tree, ".env", "=broken\n");
    rescan(w, ".env");
    assert_names(&w->scan.changed, "");
    assert_int_equal(w->scan.notes.n, 1);
    assert_non_null(strstr(w->scan.notes.items[0], ".env:1: "));
    assert_string_equal(hd_function_env(find(w, "hello"), "GREETING"), "hi");
    tree_remove(&w->tree, ".env");
    rescan(w, ".env");
    assert_names(&w->scan.env_removed, "GREETING");
    assert_null(hd_function_env(find(w, "hello"), "GREETING"));
}

static void config_toml_is_read_and_survives_being_broken(void **state)
{
    struct world *w = *state;
    tree_file(&w->tree, "config.toml",
              "[functions.plain]\nverify_jwt = false\n[functions.snake]\nenabled = false\n");
    full(w);
    assert_false(find(w, "plain")->set.verify_jwt);
    assert_true(find(w, "plain")->set.verify_jwt_given);
    assert_true(find(w, "hello")->set.verify_jwt);
    assert_null(find(w, "snake"));
    tree_file(&w->tree, "config.toml", "[functions.plain\n");
    rescan(w, "config.toml");
    assert_false(find(w, "plain")->set.verify_jwt);
    assert_non_null(strstr(w->scan.notes.items[0], "config.toml:1: "));
}

static void a_linked_function_has_its_real_folder(void **state)
{
    struct world *w = *state;
    tree_file(&w->tree, "elsewhere/thing/index.ts", "1");
    tree_link(&w->tree, "f/linked", "../elsewhere/thing");
    tree_link(&w->tree, "f/dangling", "nowhere");
    tree_link(&w->tree, "f/loop", "loop");
    full(w);
    assert_string_equal(find(w, "linked")->dir, tree_path(&w->tree, "elsewhere/thing"));
    assert_non_null(strstr(find(w, "dangling")->problem, "leads nowhere"));
    assert_non_null(strstr(find(w, "loop")->problem, "leads back to itself"));
    tree_file(&w->tree, "elsewhere/thing/index.ts", "2");
    rescan(w, "elsewhere/thing/index.ts");
    assert_names(&w->scan.changed, "linked");
}

static void a_bad_name_is_a_note(void **state)
{
    struct world *w = *state;
    tree_file(&w->tree, "f/not good/index.ts", "");
    tree_folder(&w->tree, "f/also bad");
    full(w);
    assert_int_equal(w->scan.notes.n, 1);
    assert_non_null(strstr(w->scan.notes.items[0], "not good: not a function: "));
    assert_int_equal(w->scan.added.n, 3);
}

static void data_files_of_a_function_count_and_leftovers_do_not(void **state)
{
    struct world *w = *state;
    full(w);
    tree_file(&w->tree, "f/hello/template.html", "<p>");
    rescan(w, "f/hello/template.html");
    assert_names(&w->scan.changed, "hello");
    tree_file(&w->tree, "f/hello/node_modules/x/index.js", "1");
    tree_file(&w->tree, "f/hello/.index.ts.swp", "1");
    tree_file(&w->tree, "f/hello/index.ts~", "1");
    full(w);
    assert_names(&w->scan.changed, "");
}

static void snapshots_outlive_the_registry(void **state)
{
    struct world *w = *state;
    full(w);
    struct hd_snapshot *s = hd_snapshot_ref(w->scan.snapshot);
    hd_scan_done(&w->scan);
    hd_registry_free(w->r);
    w->r = NULL;
    size_t n = 0;
    const struct hd_function *const *all = hd_snapshot_all(s, &n);
    assert_int_equal(n, 3);
    assert_string_equal(all[0]->name, "hello");
    hd_snapshot_unref(s);
}

static void a_root_that_is_no_folder_is_an_error(void **state)
{
    struct world *w = *state;
    struct hd_error err;
    struct hd_registry *r = NULL;
    struct hd_registry_options opt = {.root = tree_path(&w->tree, "none"),
                                      .defaults = &w->defaults};
    assert_int_equal(hd_registry_new(&r, &opt, &err), HD_ENOTFOUND);
    opt.root = tree_path(&w->tree, "f/hello/index.ts");
    assert_int_equal(hd_registry_new(&r, &opt, &err), HD_EINVAL);
    assert_null(r);
}

int main(void)
{
#define WORLD(test) cmocka_unit_test_setup_teardown(test, make_world, end_world)
    const struct CMUnitTest tests[] = {
        WORLD(a_first_scan_finds_everything),
        WORLD(what_did_not_change_is_the_same_object),
        WORLD(shared_code_changes_only_who_imports_it),
        WORLD(the_state_of_code_tells_that_a_file_was_written),
        WORLD(a_missing_import_that_comes_changes_its_importer),
        WORLD(functions_come_and_go),
        WORLD(a_broken_manifest_is_that_functions_problem_alone),
        WORLD(a_manifest_that_was_just_written_wrong_changes_nothing_yet),
        WORLD(a_setting_of_the_door_keeps_the_version),
        WORLD(an_env_file_is_everybodys),
        WORLD(config_toml_is_read_and_survives_being_broken),
        WORLD(a_linked_function_has_its_real_folder),
        WORLD(a_bad_name_is_a_note),
        WORLD(data_files_of_a_function_count_and_leftovers_do_not),
        WORLD(snapshots_outlive_the_registry),
        WORLD(a_root_that_is_no_folder_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
