/* test_interpreter.c - which interpreter runs a runtime. */
#include "pool/process/interpreter.h"
#include "tree.h"

static void a_runtime_asks_for_a_version(void **state)
{
    static const struct {
        const char *id;
        struct hd_runtime_want want;
    } cases[] = {
        {"nodejs20.x", {HD_INTERPRETER_NODE, 20, 0}},
        {"nodejs", {HD_INTERPRETER_NODE, 0, 0}},
        {"nodejs4.3-edge", {HD_INTERPRETER_NODE, 4, 0}},
        {"python3.12", {HD_INTERPRETER_PYTHON, 3, 12}},
        {"python2.7", {HD_INTERPRETER_PYTHON, 2, 7}},
        {"provided.al2023", {HD_INTERPRETER_NONE, 0, 0}},
        {"provided", {HD_INTERPRETER_NONE, 0, 0}},
        {"java21", {HD_INTERPRETER_ELSE, 0, 0}},
        {"", {HD_INTERPRETER_ELSE, 0, 0}},
        {NULL, {HD_INTERPRETER_ELSE, 0, 0}},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_runtime_want got = hd_runtime_want(cases[i].id);
        assert_int_equal(got.family, cases[i].want.family);
        assert_int_equal(got.major, cases[i].want.major);
        assert_int_equal(got.minor, cases[i].want.minor);
    }
    (void)state;
}

static void the_nearest_is_chosen(void **state)
{
    static const struct hd_interpreters all = {
        .v = {{.family = HD_INTERPRETER_NODE, .path = "n18", .major = 18},
              {.family = HD_INTERPRETER_NODE, .path = "n22", .major = 22, .minor = 4},
              {.family = HD_INTERPRETER_PYTHON, .path = "p39", .major = 3, .minor = 9},
              {.family = HD_INTERPRETER_PYTHON, .path = "p312", .major = 3, .minor = 12}},
        .n = 4};
    static const struct {
        const char *id, *path; /* path NULL: none */
        bool exact;
    } cases[] = {
        {"nodejs22.x", "n22", true},  {"nodejs18.x", "n18", true},   {"nodejs20.x", "n22", false},
        {"nodejs16.x", "n18", false}, {"nodejs24.x", "n22", false},  {"python3.12", "p312", true},
        {"python3.10", "p39", false}, {"python3.11", "p312", false}, {"python3.14", "p312", false},
        {"python2.7", "p39", false},  {"java21", NULL, false},       {"provided.al2", NULL, false},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        bool exact = true;
        const struct hd_interpreter *got =
            hd_interpreter_pick(&all, hd_runtime_want(cases[i].id), &exact);
        if (cases[i].path == NULL)
            assert_null(got);
        else
            assert_string_equal(got->path, cases[i].path);
        assert_int_equal(exact, cases[i].exact);
    }
    (void)state;
}

static void one_of_unknown_version_will_do_until_it_is_known(void **state)
{
    struct hd_interpreters all = {
        .v = {{.family = HD_INTERPRETER_NODE, .path = "node"},
              {.family = HD_INTERPRETER_NODE, .path = "n20", .major = 20}},
        .n = 2};
    bool exact;
    assert_string_equal(hd_interpreter_pick(&all, hd_runtime_want("nodejs22.x"), &exact)->path,
                        "node");
    assert_true(exact);
    assert_string_equal(hd_interpreter_pick(&all, hd_runtime_want("nodejs20.x"), &exact)->path,
                        "n20"); /* a known one is better */
    all.v[0].major = 22;
    assert_string_equal(hd_interpreter_pick(&all, hd_runtime_want("nodejs22.x"), &exact)->path,
                        "node");
    (void)state;
}

static void what_is_said_names_both(void **state)
{
    char text[HD_INTERPRETER_TEXT_MAX + 1];
    const struct hd_interpreter node = {
        .family = HD_INTERPRETER_NODE, .path = "/usr/bin/node", .major = 18};
    const struct hd_interpreter python = {
        .family = HD_INTERPRETER_PYTHON, .path = "/usr/bin/python3", .major = 3, .minor = 11};
    hd_interpreter_note(text, "nodejs20.x", &node);
    assert_string_equal(text,
                        "Runtime nodejs20.x is not installed: Node.js 18 runs it (/usr/bin/node)");
    hd_interpreter_note(text, "python3.12", &python);
    assert_string_equal(
        text, "Runtime python3.12 is not installed: Python 3.11 runs it (/usr/bin/python3)");
    assert_non_null(strstr(hd_interpreter_problem(HD_INTERPRETER_NODE), "--node PATH"));
    assert_non_null(strstr(hd_interpreter_problem(HD_INTERPRETER_ELSE), "needs an image"));
    (void)state;
}

/* --- on a disk --- */

static void script(const struct tree *t, const char *name, const char *text)
{
    tree_file(t, name, text);
    assert_int_equal(chmod(tree_path(t, name), 0755), 0);
}

static const struct hd_interpreter *find(const struct hd_interpreters *all, const char *path)
{
    for (size_t i = 0; i < all->n; i++)
        if (strcmp(all->v[i].path, path) == 0)
            return &all->v[i];
    return NULL;
}

static void names_and_folders_tell_versions(void **state)
{
    struct tree t;
    struct hd_interpreters all;
    tree_make(&t);
    script(&t, "bin/node", "");
    script(&t, "bin/node16", "");
    script(&t, "bin/python3.10", "");
    script(&t, "home/.nvm/versions/node/v21.3.0/bin/node", "");
    script(&t, "home/.pyenv/versions/3.13.1/bin/python3", "");
    tree_file(&t, "home/.pyenv/versions/3.8.1/bin/python3", "may not be run");
    setenv("HOME", tree_path(&t, "home"), 1);
    hd_interpreters_find(&all, tree_path(&t, "bin/node"), NULL, tree_path(&t, "bin"), false);
    assert_int_equal(all.n, 5);
    assert_int_equal(find(&all, tree_path(&t, "bin/node"))->major, 0);
    assert_true(find(&all, tree_path(&t, "bin/node"))->preferred);
    assert_int_equal(find(&all, tree_path(&t, "bin/node16"))->major, 16);
    assert_int_equal(find(&all, tree_path(&t, "bin/python3.10"))->minor, 10);
    assert_int_equal(find(&all, tree_path(&t, "home/.nvm/versions/node/v21.3.0/bin/node"))->major,
                     21);
    assert_int_equal(find(&all, tree_path(&t, "home/.pyenv/versions/3.13.1/bin/python3"))->minor,
                     13);
    hd_interpreters_done(&all);
    tree_done(&t);
    (void)state;
}

static void they_are_asked_what_they_are(void **state)
{
    struct tree t;
    struct hd_interpreters all, copy;
    tree_make(&t);
    script(&t, "node", "#!/bin/sh\necho 19.2.1\necho /real/node\n");
    script(&t, "python3", "#!/bin/sh\necho 3.9.0\necho\n");
    hd_interpreters_find(&all, tree_path(&t, "node"), tree_path(&t, "python3"), "", true);
    assert_int_equal(all.n, 2);
    hd_interpreters_copy(&copy, &all);
    hd_interpreters_ask(&copy);
    assert_int_equal(copy.v[0].major, 19);
    assert_string_equal(copy.v[0].path, "/real/node"); /* the name led to a version manager */
    assert_int_equal(copy.v[1].minor, 9);
    assert_string_equal(copy.v[1].path, tree_path(&t, "python3"));
    hd_interpreters_done(&copy);
    script(&t, "node", "#!/bin/sh\necho broken\nexit 1\n");
    script(&t, "python3", "not a program at all");
    hd_interpreters_ask(&all);
    assert_int_equal(all.v[0].major, 0);
    assert_int_equal(all.v[1].major, 0);
    hd_interpreters_done(&all);
    tree_done(&t);
    (void)state;
}

static void logs_name_what_runs_it(void **state)
{
    static const struct {
        const char *id, *text;
        unsigned major, minor;
    } cases[] = {
        {"nodejs20.x", "nodejs:22.11", 22, 11},
        {"python3.12", "python:3.11", 3, 11},
        {"nodejs20.x", "nodejs:20", 0, 0},
        {"python3.12", "python:3.12", 0, 0},
        {"provided.al2023", "provided:al2023", 0, 0},
        {"provided", "provided", 0, 0},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_interpreter one = {.major = cases[i].major, .minor = cases[i].minor};
        char text[HD_INTERPRETER_TEXT_MAX + 1];
        hd_interpreter_version(text, cases[i].id, &one);
        assert_string_equal(text, cases[i].text);
        if (one.major == 0) {
            hd_interpreter_version(text, cases[i].id, NULL);
            assert_string_equal(text, cases[i].text);
        }
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logs_name_what_runs_it),
        cmocka_unit_test(a_runtime_asks_for_a_version),
        cmocka_unit_test(the_nearest_is_chosen),
        cmocka_unit_test(one_of_unknown_version_will_do_until_it_is_known),
        cmocka_unit_test(what_is_said_names_both),
        cmocka_unit_test(names_and_folders_tell_versions),
        cmocka_unit_test(they_are_asked_what_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
