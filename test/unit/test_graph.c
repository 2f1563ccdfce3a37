/* test_graph.c - which local files an entry is made of. */
#include "functions/graph.h"
#include "functions/importmap.h"
#include "tree.h"

struct world {
    struct tree tree;
    struct hd_graph *g;
    struct hd_graph_files files;
};

static int make_world(void **state)
{
    struct world *w = hd_new(struct world);
    tree_make(&w->tree);
    w->g = hd_graph_new();
    *state = w;
    return 0;
}

static int end_world(void **state)
{
    struct world *w = *state;
    hd_graph_files_done(&w->files);
    hd_graph_free(w->g);
    tree_done(&w->tree);
    free(w);
    return 0;
}

/* Walk from an entry and compare what it comes by, as sorted names; "!" is before missing ones. */
static void assert_walk(struct world *w, const char *entry, const char *map, const char *expected)
{
    struct hd_strings names = {0};
    char *path = hd_strdup(tree_path(&w->tree, entry));
    char *map_path = map != NULL ? hd_strdup(tree_path(&w->tree, map)) : NULL;
    char *dir = hd_strdup(tree_path(&w->tree, "f"));
    const struct hd_resolve how = {.import_map = map_path, .root = w->tree.path, .dir = dir};
    hd_graph_files_done(&w->files);
    hd_graph_begin(w->g);
    hd_graph_walk(w->g, &w->files, path, &how);
    for (size_t i = 0; i < w->files.n; i++)
        hd_strings_addf(&names, "%s%s", hd_file_below(w->files.items[i]->path, w->tree.path),
                        w->files.items[i]->exists ? "" : "!");
    hd_strings_sort(&names);
    hd_auto_free char *joined = hd_strings_join(&names, " ");
    assert_string_equal(joined, expected);
    hd_strings_done(&names);
    free(path);
    free(map_path);
    free(dir);
}

static void relative_imports_are_followed_and_cycles_end(void **state)
{
    struct world *w = *state;
    tree_file(&w->tree, "f/index.ts",
              "import '../s/a.ts'; import 'npm:x'; import 'https://x/y.ts'");
    tree_file(&w->tree, "s/a.ts", "import './b.ts?v=1'; import '../f/index.ts'");
    tree_file(&w->tree, "s/b.ts", "import './gone.ts'");
    assert_walk(w, "f/index.ts", NULL, "f/index.ts s/a.ts s/b.ts s/gone.ts!");
}

static void node_leaves_out_endings(void **state)
{
    struct world *w = *state;
    tree_file(&w->tree, "f/index.cjs", "require('./lib')");
    tree_file(&w->tree, "f/lib.js", "");
    assert_walk(w, "f/index.cjs", NULL, "f/index.cjs f/lib.js f/lib.ts!");
}

static void import_maps_lead_to_local_files(void **state)
{
    struct world *w = *state;
    tree_file(&w->tree, "f/deno.jsonc",
              "{ // comment\n \"imports\": {\"@s/\": \"../s/\", \"one\": \"./one.ts\", \"url\": "
              "\"npm:x\",}, }");
    tree_file(&w->tree, "f/index.ts",
              "import '@s/a.ts'; import 'one'; import 'url'; import '@t/b.ts'");
    tree_file(&w->tree, "f/one.ts", "");
    tree_file(&w->tree, "s/a.ts", "");
    assert_walk(w, "f/index.ts", "f/deno.jsonc", "f/deno.jsonc f/index.ts f/one.ts s/a.ts");
    tree_file(&w->tree, "f/deno.jsonc", "{\"importMap\": \"map.json\"}");
    tree_file(&w->tree, "f/map.json", "{\"imports\": {\"@t/b.ts\": \"../s/a.ts\"}}");
    assert_walk(w, "f/index.ts", "f/deno.jsonc", "f/deno.jsonc f/index.ts f/map.json s/a.ts");
}

static void python_packages_are_found_beside_and_at_the_root(void **state)
{
    struct world *w = *state;
    tree_file(&w->tree, "f/index.py", "import os, local\nfrom shared.deep import tool\n");
    tree_file(&w->tree, "f/local.py", "from . import sibling");
    tree_file(&w->tree, "f/sibling.py", "");
    tree_file(&w->tree, "shared/__init__.py", "");
    tree_file(&w->tree, "shared/deep/__init__.py", "from ..up import x");
    tree_file(&w->tree, "shared/deep/tool.py", "");
    tree_file(&w->tree, "shared/up.py", "");
    assert_walk(w, "f/index.py", NULL,
                "f/index.py f/local.py f/sibling.py shared/__init__.py shared/deep/__init__.py "
                "shared/deep/tool.py shared/up.py");
}

static void a_file_is_read_once_and_again_when_it_changed(void **state)
{
    struct world *w = *state;
    tree_file(&w->tree, "f/index.ts", "import './a.ts'");
    tree_file(&w->tree, "f/a.ts", "");
    /* An old time stamp: a fresh one is not trusted. */
    const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_int_equal(utimensat(AT_FDCWD, tree_path(&w->tree, "f/a.ts"), old, 0), 0);
    struct hd_graph_file *f = hd_graph_file(w->g, tree_path(&w->tree, "f/a.ts"));
    uint8_t before[HD_DIGEST_BYTES];
    memcpy(before, f->digest, sizeof(before));
    assert_int_equal(hd_graph_reads(w->g), 1);
    assert_ptr_equal(hd_graph_file(w->g, tree_path(&w->tree, "f/a.ts")), f);
    assert_int_equal(hd_graph_reads(w->g), 1);
    tree_file(&w->tree, "f/a.ts", "changed");
    hd_graph_begin(w->g);
    hd_graph_file(w->g, tree_path(&w->tree, "f/a.ts"));
    assert_int_equal(hd_graph_reads(w->g), 2);
    assert_memory_not_equal(before, f->digest, sizeof(before));
}

static void the_same_size_in_the_same_tick_is_still_seen(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 50; i++) {
        char text[8];
        uint8_t before[HD_DIGEST_BYTES];
        hd_graph_begin(w->g);
        memcpy(before, hd_graph_file(w->g, tree_path(&w->tree, "a.ts"))->digest, sizeof(before));
        snprintf(text, sizeof(text), "%02d", i);
        tree_file(&w->tree, "a.ts", text);
        hd_graph_begin(w->g);
        assert_memory_not_equal(before, hd_graph_file(w->g, tree_path(&w->tree, "a.ts"))->digest,
                                sizeof(before));
    }
}

static void what_is_no_file_is_missing(void **state)
{
    struct world *w = *state;
    tree_folder(&w->tree, "folder.ts");
    assert_int_equal(mkfifo(tree_path(&w->tree, "pipe.ts"), 0600), 0);
    assert_false(hd_graph_file(w->g, tree_path(&w->tree, "folder.ts"))->exists);
    assert_false(hd_graph_file(w->g, tree_path(&w->tree, "pipe.ts"))->exists);
    assert_false(hd_graph_file(w->g, tree_path(&w->tree, "none.ts"))->exists);
}

static void files_that_nobody_needs_are_forgotten(void **state)
{
    struct world *w = *state;
    tree_file(&w->tree, "f/index.ts", "import './a.ts'");
    tree_file(&w->tree, "f/a.ts", "");
    assert_walk(w, "f/index.ts", NULL, "f/a.ts f/index.ts");
    tree_file(&w->tree, "f/index.ts", "");
    assert_walk(w, "f/index.ts", NULL, "f/index.ts");
    uint64_t reads = hd_graph_reads(w->g);
    hd_graph_prune(w->g);
    hd_graph_file(w->g, tree_path(&w->tree, "f/a.ts"));
    assert_int_equal(hd_graph_reads(w->g), reads + 1);
}

static void import_maps_prefer_the_longest_prefix(void **state)
{
    hd_auto(hd_import_map) m = hd_import_map_new(
        hd_str("{\"imports\": {\"a/\": \"./x/\", \"a/b/\": \"./y/\", \"a/b/c\": \"/z.ts\"},"
               "\"scopes\": {\"s\": {\"k\": \"./k.ts\"}}}"),
        "/r/map.json");
    static const char *const cases[][2] = {{"a/1.ts", "/r/x/1.ts"},
                                           {"a/b/1.ts", "/r/y/1.ts"},
                                           {"a/b/c", "/z.ts"},
                                           {"k", "/r/k.ts"},
                                           {"a", NULL},
                                           {"b/", NULL}};
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        hd_auto_free char *path = hd_import_map_find(m, hd_str(cases[i][0]));
        if (cases[i][1] == NULL)
            assert_null(path);
        else
            assert_string_equal(path, cases[i][1]);
    }
    (void)state;
}

static void broken_import_maps_are_empty(void **state)
{
    static const char *const texts[] = {
        "", "{", "[]", "{\"imports\": 5}", "{\"imports\": {\"a\": 1}}", "/*", "\"", "{\"a\": \"\\"};
    for (size_t i = 0; i < HD_COUNT(texts); i++) {
        hd_auto(hd_import_map) m = hd_import_map_new(hd_str(texts[i]), "/map.json");
        assert_null(hd_import_map_find(m, hd_str("a")));
        assert_null(hd_import_map_elsewhere(m));
    }
    (void)state;
}

int main(void)
{
#define WORLD(test) cmocka_unit_test_setup_teardown(test, make_world, end_world)
    const struct CMUnitTest tests[] = {
        WORLD(relative_imports_are_followed_and_cycles_end),
        WORLD(node_leaves_out_endings),
        WORLD(import_maps_lead_to_local_files),
        WORLD(python_packages_are_found_beside_and_at_the_root),
        WORLD(a_file_is_read_once_and_again_when_it_changed),
        WORLD(the_same_size_in_the_same_tick_is_still_seen),
        WORLD(what_is_no_file_is_missing),
        WORLD(files_that_nobody_needs_are_forgotten),
        cmocka_unit_test(import_maps_prefer_the_longest_prefix),
        cmocka_unit_test(broken_import_maps_are_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
