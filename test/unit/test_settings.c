/* test_settings.c - the node's table, and what depends on more than one option. */
#include "node/settings.h"

#include "core/exit.h"
#include "node/devkeys.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char dir[64];
    struct hd_node_options opt;
    struct hd_error err;
    int exit_code;
    bool help;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    snprintf(f->dir, sizeof(f->dir), "/tmp/heddle-settings-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char path[128];
    hd_node_options_done(&f->opt);
    static const char *const made[] = {"heddle.yml", "functions", "supabase/functions", "supabase"};
    for (size_t i = 0; i < HD_COUNT(made); i++) {
        snprintf(path, sizeof(path), "%s/%s", f->dir, made[i]);
        remove(path);
    }
    assert_int_equal(rmdir(f->dir), 0);
    free(f);
    return 0;
}

static void put(struct fixture *f, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", f->dir, name);
    if (text == NULL) {
        assert_int_equal(mkdir(path, 0700), 0);
        return;
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* @param args, env  NULL-terminated. */
static int load(struct fixture *f, uint32_t command, char **args, char **env)
{
    static char *none[] = {NULL};
    char *words[1];
    int argc = 0;
    while (args != NULL && args[argc] != NULL)
        argc++;
    hd_node_options_done(&f->opt);
    struct hd_node_sources src = {.command = command,
                                  .argc = argc,
                                  .argv = args,
                                  .env = env != NULL ? env : none,
                                  .cwd = f->dir,
                                  .words = words,
                                  .max_words = 1,
                                  .first_is_dir = true};
    int rc = hd_node_options_load(&f->opt, &src, &f->err);
    f->exit_code = src.exit_code;
    f->help = src.help;
    return rc;
}

#define ARGS(...)         \
    (char *[])            \
    {                     \
        __VA_ARGS__, NULL \
    }

static const char *origin(struct fixture *f, const char *key)
{
    return hd_node_options_origin(&f->opt, key);
}

static void the_table_is_sound(void **state)
{
    for (size_t i = 0; i < hd_node_option_count; i++) {
        const struct hd_option *o = &hd_node_option_table[i];
        assert_non_null(o->group);
        assert_non_null(o->help);
        assert_int_not_equal(o->commands, 0);
        assert_int_equal(strncmp(o->env, "HEDDLE_", 7), 0);
        assert_int_not_equal(o->help[strlen(o->help) - 1], '.');
        if (o->secret)
            assert_null(o->flag); /* a command line is world-readable */
        assert_true(o->secret || o->kind != HD_OPTION_BOOL || o->flag != NULL ||
                    strncmp(o->key, "cors.", 5) == 0);
        for (size_t k = 0; k < i; k++) {
            const struct hd_option *p = &hd_node_option_table[k];
            assert_string_not_equal(o->key, p->key);
            assert_string_not_equal(o->env, p->env);
            assert_true(o->offset != p->offset);
            if (o->flag != NULL && p->flag != NULL)
                assert_string_not_equal(o->flag, p->flag);
            /* a group is not taken up again after another one */
            if (strcmp(o->group, p->group) == 0)
                assert_string_equal(o->group, hd_node_option_table[i - 1].group);
        }
    }
    (void)state;
}

static void defaults_are_those_of_the_contract(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f, HD_CMD_SERVE, NULL, NULL), 0);
    const struct hd_node_options *o = &f->opt;
    assert_int_equal(o->port, 3100);
    assert_string_equal(o->host, "127.0.0.1");
    assert_string_equal(o->route_prefix, "/functions/v1");
    assert_int_equal(o->timeout_ms, 150000);
    assert_int_equal(o->head_timeout_ms, 10000);
    assert_int_equal(o->keep_alive_ms, 75000);
    assert_int_equal(o->head_bytes, 32 * 1024);
    assert_int_equal(o->head_fields, 100);
    assert_int_equal(o->target_bytes, 8192);
    assert_int_equal(o->body_limit_bytes, 30 * 1048576);
    assert_int_equal(o->body_idle_ms, 30000);
    assert_int_equal(o->body_min_rate, 240);
    assert_int_equal(o->body_min_rate_after, 5000);
    assert_int_equal(o->default_rpm, 120);
    assert_int_equal(o->cold_wait_ms, 2000);
    assert_int_equal(o->warmup_grace_ms, 250);
    assert_int_equal(o->hmr_fresh_wait_ms, 2500);
    assert_int_equal(o->hmr_drain_ms, 10000);
    assert_int_equal(o->shutdown_grace_ms, 10000);
    assert_int_equal(o->jwt_leeway_s, 30);
    assert_int_equal(o->log_buffer_ms, 50);
    assert_in_range(o->threads, 1, 64);
    assert_in_range(o->boot_lanes, 8, 16);
    assert_true(o->access_log);
    assert_false(o->dev || o->hmr || o->defer_boot || o->lazy);
    char path[128];
    snprintf(path, sizeof(path), "%s/.heddle/run/admin.sock", f->dir);
    assert_string_equal(o->admin_socket, path);
    snprintf(path, sizeof(path), "%s/functions", f->dir);
    assert_string_equal(o->functions_dir, path);
    assert_false(o->admin_tcp);
    assert_string_equal(o->control_host, "127.0.0.1");
    assert_int_equal(o->control_port, 8766);
    assert_false(o->control_given);
    assert_string_equal(o->lambda_account, "000000000000");
    assert_string_equal(o->lambda_region, "us-east-1");
    assert_int_equal(o->lambda_verify, HD_VERIFY_OFF);
    assert_true(o->lambda_hot_reload);
    assert_int_equal(o->lambda_account_concurrency, 1000);
    assert_int_equal(o->lambda_unreserved_min, 100);
}

static void keys_make_signatures_required(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f, HD_CMD_SERVE, ARGS("--control-host", "0.0.0.0"),
                          ARGS("HEDDLE_LAMBDA_KEYS=AKID:secret,B:s:111122223333")),
                     0);
    assert_int_equal(f->opt.lambda_keys.n, 2);
    assert_int_equal(f->opt.lambda_verify, HD_VERIFY_REQUIRED);
    assert_false(f->opt.lambda_hot_reload);
    assert_int_equal(load(f, HD_CMD_SERVE, ARGS("--lambda-verify", "off", "--control-port", "0"),
                          ARGS("HEDDLE_LAMBDA_KEYS=AKID:secret")),
                     0);
    assert_int_equal(f->opt.lambda_verify, HD_VERIFY_OFF);
    assert_true(f->opt.control_given);
    assert_int_equal(load(f, HD_CMD_SERVE, ARGS("--control-host", "::1"), NULL), 0);
    assert_int_equal(load(f, HD_CMD_SERVE, ARGS("--control-host", "localhost"), NULL), 0);
}

static void the_folder_is_found_or_named(void **state)
{
    struct fixture *f = *state;
    char path[128];
    assert_int_equal(load(f, HD_CMD_SERVE, NULL, NULL), 0);
    assert_int_equal(hd_node_options_check_functions(&f->opt, &f->err), HD_ENOTFOUND);
    assert_non_null(strstr(f->err.msg, "heddle init"));
    put(f, "functions", NULL);
    assert_int_equal(load(f, HD_CMD_SERVE, NULL, NULL), 0);
    snprintf(path, sizeof(path), "%s/functions", f->dir);
    assert_string_equal(f->opt.functions_dir, path);
    assert_int_equal(hd_node_options_check_functions(&f->opt, &f->err), 0);
    put(f, "supabase", NULL);
    put(f, "supabase/functions", NULL);
    assert_int_equal(load(f, HD_CMD_SERVE, NULL, NULL), 0);
    snprintf(path, sizeof(path), "%s/supabase/functions", f->dir);
    assert_string_equal(f->opt.functions_dir, path);
    assert_int_equal(load(f, HD_CMD_SERVE, ARGS("functions"), NULL), 0);
    snprintf(path, sizeof(path), "%s/functions", f->dir);
    assert_string_equal(f->opt.functions_dir, path);
    assert_int_equal(load(f, HD_CMD_SERVE, ARGS("gone"), NULL), 0);
    assert_int_equal(hd_node_options_check_functions(&f->opt, &f->err), HD_ENOTFOUND);
    assert_non_null(strstr(f->err.msg, "/gone (from argument): no such file or directory"));
}

static void dev_means_development_and_hot_reload(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f, HD_CMD_DEV, NULL, NULL), 0);
    assert_true(f->opt.dev && f->opt.hmr && f->opt.defer_boot);
    assert_int_equal(f->opt.log_buffer_ms, 0);
    assert_string_equal(origin(f, "boot.defer"), "default with --dev");
    assert_int_equal(
        load(f, HD_CMD_DEV, ARGS("--no-hmr", "--no-defer-boot"), ARGS("HEDDLE_LOG_BUFFER_MS=9")),
        0);
    assert_true(f->opt.dev && !f->opt.hmr && !f->opt.defer_boot);
    assert_int_equal(f->opt.log_buffer_ms, 9);
    assert_int_equal(load(f, HD_CMD_SERVE, ARGS("--hmr", "--eager"), NULL), 0);
    assert_true(f->opt.defer_boot && !f->opt.dev && !f->opt.lazy);
}

static void historic_variables_still_work(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        load(f, HD_CMD_SERVE, NULL,
             ARGS("PORT=0", "FUNCTIONS_PATH=/f", "FUNCTION_TIMEOUT_MS=0", "1TUBE_HOST=0.0.0.0",
                  "1TUBE_ROUTE_PREFIX=//api///v2/", "1TUBE_BODY_LIMIT_MB=0.5",
                  "1TUBE_BODY_READ_MS=7", "INTERNAL_KEY= \tkey ", "SUPABASE_SERVICE_ROLE_KEY=s",
                  "SUPABASE_ANON_KEY=a", "SUPABASE_PUBLISHABLE_KEY=p",
                  "1TUBE_TRUSTED_PROXIES=10.0.0.0/8,::1", "1TUBE_LAZY=TRUE",
                  "1TUBE_DENO_WORKER_CONCURRENCY=3", "DENO_BIN=/d/deno")),
        0);
    const struct hd_node_options *o = &f->opt;
    assert_int_equal(o->port, 0);
    assert_string_equal(o->functions_dir, "/f");
    assert_int_equal(o->timeout_ms, 0);
    assert_string_equal(o->host, "0.0.0.0");
    assert_string_equal(o->route_prefix, "/api/v2");
    assert_int_equal(o->body_limit_bytes, 512 * 1024);
    assert_int_equal(o->body_idle_ms, 7);
    assert_string_equal(o->internal_key, "key");
    assert_string_equal(o->service_keys.items[0], "s");
    assert_int_equal(o->api_keys.n, 2);
    assert_int_equal(o->trusted_proxies.n, 2);
    assert_true(o->lazy);
    assert_int_equal(o->boot_lanes, 3);
    assert_string_equal(o->deno, "/d/deno");
}

static void exit_codes_say_whose_mistake_it_is(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f, HD_CMD_SERVE, ARGS("--prot", "80"), NULL), HD_EINVAL);
    assert_int_equal(f->exit_code, HD_EXIT_USAGE);
    assert_string_equal(f->err.msg, "unknown flag --prot; did you mean --port?");
    assert_int_equal(load(f, HD_CMD_SERVE, NULL, ARGS("PORT=80x")), HD_EINVAL);
    assert_int_equal(f->exit_code, HD_EXIT_CONFIG);
    assert_int_equal(load(f, HD_CMD_SERVE, ARGS("--config", "none.yml"), NULL), HD_ENOTFOUND);
    assert_int_equal(f->exit_code, HD_EXIT_CONFIG);
    assert_int_equal(load(f, HD_CMD_SERVE, ARGS("--route-prefix", "/a b"), NULL), HD_EINVAL);
    assert_int_equal(f->exit_code, HD_EXIT_USAGE);
    put(f, "heddle.yml", "listen:\n  route_prefix: /../x\n");
    assert_int_equal(load(f, HD_CMD_SERVE, NULL, NULL), HD_EINVAL);
    assert_int_equal(f->exit_code, HD_EXIT_CONFIG);
    assert_non_null(strstr(f->err.msg, "heddle.yml:2 listen.route_prefix: must be a path"));
    put(f, "heddle.yml", "pool:\n  min: 9\n");
    assert_int_equal(load(f, HD_CMD_SERVE, NULL, NULL), HD_EINVAL);
    assert_string_equal(f->err.msg, "heddle.yml:2 pool.min: pool.min (9) is over pool.max (8)");
}

static void help_reads_nothing_else(void **state)
{
    struct fixture *f = *state;
    put(f, "heddle.yml", "broken: [\n");
    assert_int_equal(load(f, HD_CMD_SERVE, ARGS("--help"), ARGS("PORT=x")), 0);
    assert_true(f->help);
}

static void the_published_secret_is_refused_in_production(void **state)
{
    struct fixture *f = *state;
    char **env = ARGS("JWT_SECRET=" HD_KNOWN_SECRET);
    assert_int_equal(load(f, HD_CMD_SERVE, NULL, env), HD_EINVAL);
    assert_int_equal(f->exit_code, HD_EXIT_CONFIG);
    assert_memory_equal(f->err.msg, "JWT_SECRET: this is the published", 33);
    assert_null(strstr(f->err.msg, "super-secret"));
    assert_int_equal(load(f, HD_CMD_SERVE, ARGS("--allow-known-secret"), env), 0);
    assert_int_equal(f->opt.warnings.n, 1);
    assert_int_equal(load(f, HD_CMD_SERVE, ARGS("--dev"), env), 0);
    assert_int_equal(f->opt.warnings.n, 0);
    assert_int_equal(load(f, HD_CMD_CONFIG, NULL, env), 0);
}

static void a_missing_secret_matters_only_for_protected_functions(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f, HD_CMD_SERVE, NULL, NULL), 0);
    assert_int_equal(hd_node_options_check_secret(&f->opt, NULL, &f->err), 0);
    assert_int_equal(hd_node_options_check_secret(&f->opt, "pay", &f->err), HD_EINVAL);
    assert_non_null(strstr(f->err.msg, "function pay is not public"));
    assert_int_equal(load(f, HD_CMD_SERVE, ARGS("--jwks-url", "https://id.example/jwks"), NULL), 0);
    assert_int_equal(hd_node_options_check_secret(&f->opt, "pay", &f->err), 0);
}

static void unsafe_combinations_are_refused(void **state)
{
    struct fixture *f = *state;
    static const struct {
        char *args[6], *env[3];
        const char *says;
    } cases[] = {
        {{NULL},
         {"1TUBE_CORS_ORIGIN=a.example,*", "1TUBE_CORS_ALLOW_CREDENTIALS=1"},
         "let every site act as the user"},
        {{"--dev"}, {"HEDDLE_CORS_ALLOW_CREDENTIALS=true"}, "let every site act as the user"},
        {{"--cors-enforce"}, {NULL}, "needs the origins"},
        {{"--jwt-algorithms", "none"}, {NULL}, "is not accepted"},
        {{"--jwt-algorithms", "HS265"}, {NULL}, "did you mean HS256?"},
        {{"--jwks-url", "file:///x"}, {NULL}, "must begin with https://"},
        {{"--jwks-url", "http://x", "--jwks-file", "y"}, {NULL}, "only one of"},
        {{"--target-bytes", "40000"}, {NULL}, "cannot be longer"},
        {{"--data-dir", "/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/"
                        "0123456789/0123456789/0123456789"},
         {NULL},
         "choose a shorter one with --admin-socket"},
        {{"--control-host", "0.0.0.0"}, {NULL}, "HEDDLE_LAMBDA_KEYS"},
        {{"--control-host", "10.0.0.1"}, {NULL}, "nobody could tell who asks"},
        {{"--control-host", "::", "--lambda-verify", "known"},
         {"HEDDLE_LAMBDA_KEYS=a:b"},
         "must be \"required\""},
        {{"--lambda-verify", "required"}, {NULL}, "needs the keys"},
        {{NULL}, {"HEDDLE_LAMBDA_KEYS=a:b,c"}, "key 2 is not id:secret"},
        {{NULL}, {"HEDDLE_LAMBDA_KEYS=a:b:123"}, "key 1 is not id:secret"},
        {{NULL}, {"HEDDLE_LAMBDA_KEYS=a:b:111122223333:d"}, "key 1 is not id:secret"},
        {{"--lambda-account", "12"}, {NULL}, "must be 12 digits"},
        {{"--lambda-concurrency", "50"}, {NULL}, "is over lambda.account_concurrency"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        assert_int_equal(load(f, HD_CMD_SERVE, (char **)(uintptr_t)cases[i].args,
                              (char **)(uintptr_t)cases[i].env),
                         HD_EINVAL);
        assert_non_null(strstr(f->err.msg, cases[i].says));
    }
    assert_int_equal(load(f, HD_CMD_SERVE, ARGS("--cors-origin", "a.example"),
                          ARGS("HEDDLE_CORS_ALLOW_CREDENTIALS=1", "HEDDLE_CORS_MAX_AGE=0")),
                     0);
    assert_true(f->opt.cors_credentials_given && f->opt.cors_credentials);
    assert_true(f->opt.cors_max_age_given && f->opt.cors_max_age_s == 0);
}

static void the_sandbox_is_set_as_a_whole_or_in_part(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        load(f, HD_CMD_SERVE, ARGS("--sandbox", "require", "--sandbox-cgroups=off"), NULL), 0);
    assert_int_equal(f->opt.sandbox_namespaces, HD_SANDBOX_REQUIRE);
    assert_int_equal(f->opt.sandbox_seccomp, HD_SANDBOX_REQUIRE);
    assert_int_equal(f->opt.sandbox_cgroups, HD_SANDBOX_OFF);
    assert_string_equal(origin(f, "sandbox.seccomp"), "--sandbox");
    assert_int_equal(load(f, HD_CMD_SERVE, ARGS("--allow-all", "--enforce-manifest"), NULL), 0);
    assert_int_equal(f->opt.warnings.n, 1);
}

static void a_file_gives_what_nobody_else_says(void **state)
{
    struct fixture *f = *state;
    char path[128];
    put(f, "heddle.yml",
        "functions_dir: fn\nlisten:\n  port: 0\nlimits:\n  body_mb: none\nauth:\n  issuers: [a, "
        "b]\nlog:\n  format: json\n");
    assert_int_equal(load(f, HD_CMD_SERVE, ARGS("--log-level", "warn"), NULL), 0);
    snprintf(path, sizeof(path), "%s/fn", f->dir);
    assert_string_equal(f->opt.functions_dir, path);
    assert_int_equal(f->opt.port, 0);
    assert_true(f->opt.body_limit_bytes == UINT64_MAX);
    assert_int_equal(f->opt.jwt_issuers.n, 2);
    assert_int_equal(f->opt.log_format, HD_LOG_JSON);
    assert_int_equal(f->opt.log_level, HD_WARN);
    assert_string_equal(origin(f, "listen.port"), "heddle.yml:3 listen.port");
    snprintf(path, sizeof(path), "%s/heddle.yml", f->dir);
    assert_string_equal(f->opt.config, path);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_sound),
        IN_FOLDER(defaults_are_those_of_the_contract),
        IN_FOLDER(keys_make_signatures_required),
        IN_FOLDER(the_folder_is_found_or_named),
        IN_FOLDER(dev_means_development_and_hot_reload),
        IN_FOLDER(historic_variables_still_work),
        IN_FOLDER(exit_codes_say_whose_mistake_it_is),
        IN_FOLDER(help_reads_nothing_else),
        IN_FOLDER(the_published_secret_is_refused_in_production),
        IN_FOLDER(a_missing_secret_matters_only_for_protected_functions),
        IN_FOLDER(unsafe_combinations_are_refused),
        IN_FOLDER(the_sandbox_is_set_as_a_whole_or_in_part),
        IN_FOLDER(a_file_gives_what_nobody_else_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
