/* test_watchtree.c - the kernel queues events before the call that makes them returns: no waiting.
 */
#include "functions/watchtree.h"
#include "tree.h"

struct world {
    struct tree tree;
    struct hd_watch_tree *t;
    struct hd_watch_changes c;
};

static int make_world(void **state)
{
    struct world *w = hd_new(struct world);
    tree_make(&w->tree);
    tree_file(&w->tree, "root/hello/index.ts", "1");
    tree_file(&w->tree, "root/node_modules/x/index.js", "1");
    tree_file(&w->tree, "other/lib.ts", "1");
    assert_int_equal(hd_watch_tree_new(&w->t, 0, NULL), 0);
    *state = w;
    return 0;
}

static int end_world(void **state)
{
    struct world *w = *state;
    hd_watch_changes_done(&w->c);
    hd_watch_tree_free(w->t);
    tree_done(&w->tree);
    free(w);
    return 0;
}

static void set(struct world *w, const char *a, const char *b)
{
    struct hd_strings entries = {0};
    hd_strings_add(&entries, hd_str(tree_path(&w->tree, a)));
    if (b != NULL)
        hd_strings_add(&entries, hd_str(tree_path(&w->tree, b)));
    hd_watch_changes_done(&w->c);
    hd_watch_tree_set(w->t, &entries, &w->c);
    hd_strings_done(&entries);
}

static void look(struct world *w)
{
    hd_watch_changes_done(&w->c);
    hd_watch_tree_read(w->t, &w->c);
}

static bool saw(const struct world *w, const char *name)
{
    return hd_strings_has(&w->c.paths, hd_str(tree_path(&w->tree, name)));
}

static void a_save_is_seen_and_a_look_is_not(void **state)
{
    struct world *w = *state;
    set(w, "root", NULL);
    assert_true(saw(w, "root"));
    tree_file(&w->tree, "root/hello/index.ts", "2");
    look(w);
    assert_int_equal(w->c.paths.n, 1);
    assert_true(saw(w, "root/hello/index.ts"));
    close(open(tree_path(&w->tree, "root/hello/index.ts"), O_RDONLY | O_CLOEXEC));
    look(w);
    assert_int_equal(w->c.paths.n, 0);
}

static void new_folders_are_watched_too(void **state)
{
    struct world *w = *state;
    set(w, "root", NULL);
    tree_folder(&w->tree, "root/fresh/deep");
    look(w);
    assert_true(saw(w, "root/fresh"));
    tree_file(&w->tree, "root/fresh/deep/index.ts", "1");
    look(w);
    assert_true(saw(w, "root/fresh/deep/index.ts"));
}

static void a_moved_folder_is_seen_where_it_is_now(void **state)
{
    struct world *w = *state;
    set(w, "root", NULL);
    const char *from = tree_path(&w->tree, "root/hello"), *to = tree_path(&w->tree, "root/hi");
    assert_int_equal(rename(from, to), 0);
    look(w);
    assert_true(saw(w, "root/hello") && saw(w, "root/hi"));
    tree_file(&w->tree, "root/hi/index.ts", "3");
    look(w);
    assert_int_equal(w->c.paths.n, 1);
    assert_true(saw(w, "root/hi/index.ts"));
}

static void linked_folders_keep_the_path_they_are_reached_by(void **state)
{
    struct world *w = *state;
    tree_link(&w->tree, "root/_shared", "../other");
    tree_link(&w->tree, "root/hello/loop", "..");
    set(w, "root", NULL);
    assert_int_equal(hd_watch_tree_count(w->t), 3);
    tree_file(&w->tree, "other/lib.ts", "2");
    look(w);
    assert_true(saw(w, "root/_shared/lib.ts"));
}

static void a_replaced_link_leads_to_the_new_folder(void **state)
{
    struct world *w = *state;
    tree_link(&w->tree, "root/_shared", "../other");
    set(w, "root", NULL);
    tree_file(&w->tree, "third/lib.ts", "1");
    tree_link(&w->tree, "root/next", "../third");
    const char *from = tree_path(&w->tree, "root/next"), *to = tree_path(&w->tree, "root/_shared");
    assert_int_equal(rename(from, to), 0);
    look(w);
    tree_file(&w->tree, "third/lib.ts", "2");
    look(w);
    assert_true(saw(w, "root/_shared/lib.ts"));
    tree_file(&w->tree, "other/lib.ts", "3");
    look(w);
    assert_int_equal(w->c.paths.n, 0);
}

static void a_single_file_is_watched_alone_and_before_it_is_there(void **state)
{
    struct world *w = *state;
    set(w, "root", ".env");
    tree_file(&w->tree, "noise", "1");
    look(w);
    assert_int_equal(w->c.paths.n, 0);
    tree_file(&w->tree, ".env", "A=1");
    look(w);
    assert_true(saw(w, ".env"));
}

static void what_nobody_cares_for_is_ignored(void **state)
{
    struct world *w = *state;
    set(w, "root", NULL);
    tree_file(&w->tree, "root/hello/index.ts~", "1");
    tree_file(&w->tree, "root/hello/.index.ts.swp", "1");
    tree_file(&w->tree, "root/hello/4913", "1");
    tree_file(&w->tree, "root/hello/.#index.ts", "1");
    tree_file(&w->tree, "root/node_modules/x/index.js", "2");
    look(w);
    assert_int_equal(w->c.paths.n, 0);
}

static void too_many_changes_mean_everything(void **state)
{
    struct world *w = *state;
    set(w, "root", NULL);
    for (int i = 0; i < 1001; i++) {
        char name[64];
        snprintf(name, sizeof(name), "root/hello/file%d.ts", i);
        tree_file(&w->tree, name, "");
    }
    look(w);
    assert_true(w->c.everything);
    assert_int_equal(w->c.paths.n, 0);
}

static void an_entry_that_is_taken_away_is_not_watched_any_more(void **state)
{
    struct world *w = *state;
    set(w, "root", "other");
    set(w, "root", NULL);
    assert_true(w->c.everything);
    tree_file(&w->tree, "other/lib.ts", "2");
    look(w);
    assert_int_equal(w->c.paths.n, 0);
    tree_file(&w->tree, "root/hello/index.ts", "2");
    look(w);
    assert_int_equal(w->c.paths.n, 1);
}

int main(void)
{
#define WORLD(test) cmocka_unit_test_setup_teardown(test, make_world, end_world)
    const struct CMUnitTest tests[] = {
        WORLD(a_save_is_seen_and_a_look_is_not),
        WORLD(new_folders_are_watched_too),
        WORLD(a_moved_folder_is_seen_where_it_is_now),
        WORLD(linked_folders_keep_the_path_they_are_reached_by),
        WORLD(a_replaced_link_leads_to_the_new_folder),
        WORLD(a_single_file_is_watched_alone_and_before_it_is_there),
        WORLD(what_nobody_cares_for_is_ignored),
        WORLD(too_many_changes_mean_everything),
        WORLD(an_entry_that_is_taken_away_is_not_watched_any_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
