/* test_effective.c - defaults, config.toml and manifest laid over each other, and who gave what. */
#include "functions/effective.h"
#include "functions/env.h"
#include "tree.h"

struct world {
    struct tree tree;
    struct hd_found found;
    struct hd_manifest manifest, toml;
    struct hd_defaults defaults;
    struct hd_sources from;
    struct hd_function *fn;
};

static int make_world(void **state)
{
    struct world *w = hd_new(struct world);
    tree_make(&w->tree);
    tree_file(&w->tree, "f/index.ts", "");
    tree_file(&w->tree, "f/index.py", "");
    tree_file(&w->tree, "f/other.js", "");
    assert_int_equal(hd_discover_one(&w->found, w->tree.path, "f"), 1);
    hd_manifest_init(&w->manifest, "f/heddle.json");
    hd_manifest_init(&w->toml, "config.toml");
    hd_defaults_init(&w->defaults);
    w->fn = hd_function_new("f");
    w->from = (struct hd_sources){.found = &w->found,
                                  .manifest = &w->manifest,
                                  .config_toml = &w->toml,
                                  .defaults = &w->defaults};
    *state = w;
    return 0;
}

static int end_world(void **state)
{
    struct world *w = *state;
    hd_function_unref(w->fn);
    hd_found_done(&w->found);
    hd_manifest_done(&w->manifest);
    hd_manifest_done(&w->toml);
    hd_defaults_done(&w->defaults);
    tree_done(&w->tree);
    free(w);
    return 0;
}

static void say(struct world *w, const char *json)
{
    struct hd_error err = {0};
    if (hd_manifest_parse(&w->manifest, hd_str(json), false, &err) < 0)
        fail_msg("%s", err.msg);
}

static void make(struct world *w)
{
    struct hd_error err = {0};
    if (hd_effective(w->fn, &w->from, &err) < 0)
        fail_msg("%s", err.msg);
}

static void assert_refused(struct world *w, const char *json, const char *why)
{
    struct hd_error err = {0};
    say(w, json);
    assert_int_equal(hd_effective(w->fn, &w->from, &err), HD_EINVAL);
    if (strstr(err.msg, why) == NULL)
        fail_msg("\"%s\"", err.msg);
}

static void without_a_word_the_defaults_hold(void **state)
{
    struct world *w = *state;
    make(w);
    const struct hd_settings *s = &w->fn->set;
    assert_int_equal(w->fn->runtime, HD_RUNTIME_DENO);
    assert_string_equal(w->fn->entry, tree_path(&w->tree, "f/index.ts"));
    assert_int_equal(s->timeout_ms, 150000);
    assert_int_equal(s->rpm, 120);
    assert_int_equal(s->body_limit_bytes, 30 << 20);
    assert_true(s->verify_jwt && !s->verify_jwt_given);
    assert_true(s->error_rate == 0.5);
    assert_int_equal(s->error_window, 20);
    assert_int_equal(s->cooldown_ms, 30000);
    assert_int_equal(s->half_open_probes, 1);
    assert_null(s->allow_net.items);
    assert_int_equal(w->fn->n_origins, 0);
}

static void the_manifest_beats_config_toml_beats_the_defaults(void **state)
{
    struct world *w = *state;
    w->defaults.set.rpm = 7;
    w->defaults.source[HD_KEY_RPM] = "--rpm";
    hd_manifest_set(&w->toml, HD_KEY_VERIFY_JWT, hd_str("false"), 4, NULL);
    hd_manifest_set(&w->toml, HD_KEY_TIMEOUT, hd_str("1"), 5, NULL);
    say(w, "{\n\"timeoutMs\": 2, \"maxBodyMB\": \"none\"}");
    make(w);
    assert_int_equal(w->fn->set.rpm, 7);
    assert_int_equal(w->fn->set.timeout_ms, 2);
    assert_false(w->fn->set.verify_jwt);
    assert_true(w->fn->set.body_limit_bytes == UINT64_MAX);
    assert_int_equal(w->fn->n_origins, 3);
    assert_string_equal(w->fn->origins[0].key, "timeoutMs");
    assert_string_equal(w->fn->origins[0].source, "f/heddle.json:2");
    assert_string_equal(w->fn->origins[1].value, "none");
    assert_string_equal(w->fn->origins[2].source, "config.toml:4");
}

static void everything_is_explained(void **state)
{
    struct world *w = *state;
    struct hd_explanation e;
    w->defaults.source[HD_KEY_RPM] = "--rpm";
    say(w, "{\"require\": [\"admin\", \"staff\"], \"env\": {\"API_KEY\": \"hunter2\"}}");
    make(w);
    const struct hd_env_input in = {.manifest = &w->manifest};
    w->fn->env_block = hd_env_build(&in, &w->fn->warnings);
    w->fn->env = w->fn->env_block->vars;
    hd_explain(&e, w->fn, &w->defaults);
    bool rpm = false, require = false, env = false;
    for (size_t i = 0; i < e.n; i++) {
        const struct hd_explain_row *r = &e.rows[i];
        assert_null(strstr(r->value, "hunter2"));
        rpm = rpm || (strcmp(r->key, "rpm") == 0 && strcmp(r->value, "120") == 0 &&
                      strcmp(r->source, "--rpm") == 0);
        require =
            require || (strcmp(r->key, "require") == 0 && strcmp(r->value, "admin, staff") == 0 &&
                        strcmp(r->source, "f/heddle.json:1") == 0);
        env = env || (strcmp(r->section, "env") == 0 && strcmp(r->key, "API_KEY") == 0 &&
                      strcmp(r->value, "****") == 0 && strcmp(r->source, "f/heddle.json:1") == 0);
    }
    assert_true(rpm && require && env);
    hd_explanation_done(&e);
}

static void the_runtime_chooses_among_entries(void **state)
{
    struct world *w = *state;
    say(w, "{\"runtime\": \"python\"}");
    make(w);
    assert_string_equal(w->fn->entry, tree_path(&w->tree, "f/index.py"));
}

static void node_runs_a_named_js_entry(void **state)
{
    struct world *w = *state;
    say(w, "{\"runtime\": \"node\", \"entry\": \"./other.js\", \"handler\": \"main\"}");
    make(w);
    assert_int_equal(w->fn->runtime, HD_RUNTIME_NODE);
    assert_string_equal(w->fn->entry, tree_path(&w->tree, "f/other.js"));
    assert_string_equal(w->fn->handler, "main");
}

static void a_command_is_an_http_function(void **state)
{
    struct world *w = *state;
    say(w, "{\"command\": [\"./serve\", \"-v\"], \"health\": \"/up\"}");
    make(w);
    assert_int_equal(w->fn->runtime, HD_RUNTIME_HTTP);
    assert_string_equal(w->fn->argv.items[0], tree_path(&w->tree, "f/serve"));
    assert_string_equal(w->fn->health_path, "/up");
    assert_null(w->fn->entry);
}

static void public_is_a_role_that_needs_no_token(void **state)
{
    struct world *w = *state;
    say(w, "{\"require\": \"public\"}");
    make(w);
    assert_false(w->fn->set.verify_jwt);
    assert_true(w->fn->set.verify_jwt_given);
    assert_int_equal(w->fn->set.require.n, 0);
}

static void warm_keeps_one(void **state)
{
    struct world *w = *state;
    say(w, "{\"warm\": true}");
    make(w);
    assert_int_equal(w->fn->set.min_instances, 1);
}

static void more_kept_warm_than_the_default_maximum_raises_it(void **state)
{
    struct world *w = *state;
    say(w, "{\"minInstances\": 20}");
    make(w);
    assert_int_equal(w->fn->set.max_instances, 20);
}

static void enforcement_closes_what_is_not_opened(void **state)
{
    struct world *w = *state;
    w->defaults.enforce = true;
    say(w, "{\"permissions\": {\"net\": [\"*\"], \"read\": [\"data\", \"/etc/hosts\"]}}");
    make(w);
    const struct hd_settings *s = &w->fn->set;
    assert_null(s->allow_net.items);
    assert_string_equal(s->allow_read.items[0], tree_path(&w->tree, "f/data"));
    assert_string_equal(s->allow_read.items[1], "/etc/hosts");
    assert_true(s->allow_write.items != NULL && s->allow_write.n == 0);
    assert_true(s->allow_env.items != NULL && s->allow_env.n == 0);
}

static void allow_all_defeats_enforcement(void **state)
{
    struct world *w = *state;
    w->defaults.enforce = w->defaults.allow_all = true;
    make(w);
    assert_null(w->fn->set.allow_write.items);
}

#define REFUSED(name, json, why)           \
    static void name(void **state)         \
    {                                      \
        assert_refused(*state, json, why); \
    }
REFUSED(http_needs_a_command, "{\"runtime\": \"http\"}", "f/heddle.json:1: runtime: \"http\" needs")
REFUSED(a_command_has_no_runtime, "{\"runtime\": \"deno\", \"command\": [\"x\"]}",
        "command: works with")
REFUSED(a_command_has_no_entry, "{\"entry\": \"x\", \"command\": [\"x\"]}",
        "entry: a function has either")
REFUSED(a_command_has_no_handler, "{\"handler\": \"x\", \"command\": [\"x\"]}",
        "handler: a command has no")
REFUSED(an_entry_must_be_there, "{\"entry\": \"gone.ts\"}", "No such file")
REFUSED(an_entry_is_a_file, "{\"entry\": \".\"}", "is not a file")
REFUSED(python_runs_no_javascript, "{\"runtime\": \"python\", \"entry\": \"other.js\"}",
        "cannot be run")
REFUSED(node_finds_no_entry, "{\"runtime\": \"node\"}", "there is no entry file for it")
REFUSED(a_role_needs_a_token, "{\"require\": \"a\", \"verify_jwt\": false}", "needs a token")
REFUSED(public_stands_alone, "{\"require\": [\"a\", \"public\"]}", "stands alone")
REFUSED(public_has_no_token, "{\"require\": \"public\", \"verify_jwt\": true}",
        "verify_jwt is true")
REFUSED(a_maximum_is_no_minimum, "{\"minInstances\": 3, \"maxInstances\": 2}",
        "less than minInstances")
REFUSED(an_import_map_must_be_there, "{\"importMap\": \"gone.json\"}", "importMap: ")

int main(void)
{
#define WORLD(test) cmocka_unit_test_setup_teardown(test, make_world, end_world)
    const struct CMUnitTest tests[] = {
        WORLD(without_a_word_the_defaults_hold),
        WORLD(the_manifest_beats_config_toml_beats_the_defaults),
        WORLD(everything_is_explained),
        WORLD(the_runtime_chooses_among_entries),
        WORLD(node_runs_a_named_js_entry),
        WORLD(a_command_is_an_http_function),
        WORLD(public_is_a_role_that_needs_no_token),
        WORLD(warm_keeps_one),
        WORLD(more_kept_warm_than_the_default_maximum_raises_it),
        WORLD(enforcement_closes_what_is_not_opened),
        WORLD(allow_all_defeats_enforcement),
        WORLD(http_needs_a_command),
        WORLD(a_command_has_no_runtime),
        WORLD(a_command_has_no_entry),
        WORLD(a_command_has_no_handler),
        WORLD(an_entry_must_be_there),
        WORLD(an_entry_is_a_file),
        WORLD(python_runs_no_javascript),
        WORLD(node_finds_no_entry),
        WORLD(a_role_needs_a_token),
        WORLD(public_stands_alone),
        WORLD(public_has_no_token),
        WORLD(a_maximum_is_no_minimum),
        WORLD(an_import_map_must_be_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
