/* test_env.c - which variables pass, and which source wins. */
#include "functions/env.h"
#include "test.h"

static const char *const process[] = {"HOME=/h",    "SHLVL=1", "JWT_SECRET=s",
                                      "HEDDLE_X=1", "PORT=1",  "SUPABASE_SERVICE_ROLE_KEY=k",
                                      "A=process",  NULL};
static const char *const built_in[] = {"SUPABASE_URL=u", "HEDDLE_FUNCTION=f", "A=built", NULL};

static void assert_env(const struct hd_env_input *in, const char *expected)
{
    struct hd_strings warnings = {0};
    struct hd_env *e = hd_env_build(in, &warnings);
    struct hd_strings vars = {0};
    for (size_t i = 0; e->vars[i] != NULL; i++)
        hd_strings_add(&vars, hd_str(e->vars[i]));
    assert_int_equal(e->sources.n, vars.n);
    hd_auto_free char *joined = hd_strings_join(&vars, " ");
    assert_string_equal(joined, expected);
    hd_strings_done(&vars);
    hd_strings_done(&warnings);
    hd_env_unref(e);
}

static void development_passes_all_but_the_nodes_own(void **state)
{
    const struct hd_env_input in = {.process = process, .dev = true};
    assert_env(&in, "A=process HOME=/h SUPABASE_SERVICE_ROLE_KEY=k");
    (void)state;
}

static void production_passes_what_is_named(void **state)
{
    struct hd_strings allow = {0};
    struct hd_env_input in = {.process = process, .allow = &allow};
    hd_strings_add(&allow, hd_str("JWT_SECRET"));
    hd_strings_add(&allow, hd_str("PORT"));
    assert_env(&in, "JWT_SECRET=s");
    hd_strings_add(&allow, hd_str("*"));
    assert_env(&in, "A=process HOME=/h JWT_SECRET=s");
    in.allow = NULL;
    assert_env(&in, "");
    hd_strings_done(&allow);
    (void)state;
}

static void later_sources_beat_earlier_ones(void **state)
{
    struct hd_env_file one, two, own;
    struct hd_manifest m;
    assert_int_equal(
        hd_env_file_parse(&one, hd_str("A=one\nB=one\nC=one\nD=one\nJWT_SECRET=x"), ".env", NULL),
        0);
    assert_int_equal(hd_env_file_parse(&two, hd_str("B=two\nC=two\nD=two"), ".env.local", NULL), 0);
    assert_int_equal(
        hd_env_file_parse(&own, hd_str("C=own\nD=own\nPORT=1\nJWT_SECRET=mine"), "f/.env", NULL),
        0);
    hd_manifest_init(&m, "f/heddle.json");
    assert_int_equal(hd_manifest_parse(&m, hd_str("{\"env\": {\"D\": \"manifest\"}}"), false, NULL),
                     0);
    const struct hd_env_file *shared[] = {&one, &two};
    const struct hd_env_input in = {.process = process,
                                    .built_in = built_in,
                                    .shared = shared,
                                    .n_shared = 2,
                                    .own = &own,
                                    .manifest = &m};
    assert_env(&in,
               "A=one B=two C=own D=manifest HEDDLE_FUNCTION=f JWT_SECRET=mine SUPABASE_URL=u");
    struct hd_strings warnings = {0};
    struct hd_env *e = hd_env_build(&in, &warnings);
    assert_string_equal(e->sources.items[0], ".env:1");
    assert_string_equal(e->sources.items[2], "f/.env:1");
    assert_string_equal(e->sources.items[3], "f/heddle.json:1");
    assert_string_equal(e->sources.items[6], "built in");
    assert_int_equal(warnings.n, 1);
    assert_non_null(strstr(warnings.items[0], "f/.env:3: PORT: "));
    hd_strings_done(&warnings);
    hd_env_unref(e);
    hd_env_file_done(&one);
    hd_env_file_done(&two);
    hd_env_file_done(&own);
    hd_manifest_done(&m);
    (void)state;
}

static void enforcement_filters_all_but_the_functions_own(void **state)
{
    struct hd_env_file shared_file, own;
    struct hd_strings allow = {0};
    hd_strings_add(&allow, hd_str("B"));
    assert_int_equal(hd_env_file_parse(&shared_file, hd_str("B=1\nC=2"), ".env", NULL), 0);
    assert_int_equal(hd_env_file_parse(&own, hd_str("D=3"), "f/.env", NULL), 0);
    const struct hd_env_file *shared[] = {&shared_file};
    const struct hd_env_input in = {.process = process,
                                    .built_in = built_in,
                                    .shared = shared,
                                    .n_shared = 1,
                                    .own = &own,
                                    .allow = &allow,
                                    .dev = true,
                                    .enforce = true};
    assert_env(&in, "B=1 D=3 HEDDLE_FUNCTION=f");
    hd_env_file_done(&shared_file);
    hd_env_file_done(&own);
    hd_strings_done(&allow);
    (void)state;
}

static void secrets_are_known_by_their_names(void **state)
{
    assert_true(hd_env_is_secret(hd_str("STRIPE_SECRET")));
    assert_true(hd_env_is_secret(hd_str("API_KEY")));
    assert_true(hd_env_is_secret(hd_str("DATABASE_URL")));
    assert_false(hd_env_is_secret(hd_str("SUPABASE_URL")));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(development_passes_all_but_the_nodes_own),
        cmocka_unit_test(production_passes_what_is_named),
        cmocka_unit_test(later_sources_beat_earlier_ones),
        cmocka_unit_test(enforcement_filters_all_but_the_functions_own),
        cmocka_unit_test(secrets_are_known_by_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
