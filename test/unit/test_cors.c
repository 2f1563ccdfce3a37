/* test/unit/test_cors.c - which origins are let in, and what they are told. */
#include "gateway/cors.h"
#include "test.h"

static struct hd_cors *make(const struct hd_cors_options *opt)
{
    struct hd_cors *c = NULL;
    struct hd_error err = {.msg = ""};
    if (hd_cors_new(&c, opt, &err) < 0)
        fail_msg("%s", err.msg);
    return c;
}

static struct hd_cors_answer ask(const struct hd_cors *c, const char *origin, bool preflight)
{
    const struct hd_cors_request request = {
        .origin = origin != NULL ? hd_str(origin) : hd_str_n(NULL, 0),
        .host = hd_str("api.example.com"),
        .preflight = preflight,
    };
    struct hd_cors_answer a;
    hd_cors_answer(&a, c, &request);
    assert_in_range(a.n, 0, HD_CORS_FIELDS_MAX);
    return a;
}

/* @return the value, or NULL. */
static const char *field(const struct hd_cors_answer *a, const char *name)
{
    static char value[1024];
    for (size_t i = 0; i < a->n; i++) {
        if (hd_str_is(a->fields[i].name, name)) {
            assert_true(a->fields[i].value.len < sizeof(value));
            memcpy(value, a->fields[i].value.ptr, a->fields[i].value.len);
            value[a->fields[i].value.len] = '\0';
            return value;
        }
    }
    return NULL;
}

static void lets_in_exactly_the_listed_origins(void **state)
{
    static const struct {
        const char *entry, *origin;
        bool allowed;
    } cases[] = {
        {"https://app.example.com", "https://app.example.com", true},
        {"https://app.example.com", "HTTPS://APP.example.COM", true},
        {"https://app.example.com", "https://app.example.com:443", true},
        {"https://app.example.com/", "https://app.example.com", true},
        {"https://app.example.com:443", "https://app.example.com", true},
        {"https://app.example.com./x?y", "https://app.example.com", true},
        {"https://u:p@app.example.com", "https://app.example.com", true},
        {"https://app.example.com", "https://app.example.com.", true},
        {"https://app.example.com", "http://app.example.com", false},
        {"https://app.example.com", "https://app.example.com:8443", false},
        {"https://app.example.com", "https://xapp.example.com", false},
        {"https://app.example.com", "https://app.example.com.evil.example", false},
        {"https://app.example.com", "https://evil.example/app.example.com", false},
        {"https://app.example.com", "https://app.example.com@evil.example", false},
        {"https://app.example.com", "https://app.example.com/x", false},
        {"https://app.example.com", "null", false},
        {"https://app.example.com", "app.example.com", false},
        {"https://app.example.com", "https://", false},
        {"https://app.example.com", "://app.example.com", false},
        {"https://app.example.com", "https://app.example.com:0", false},
        {"https://app.example.com", "https://app.example.com:99999", false},
        {"https://app.example.com", "https://app.example.com:443x", false},
        {"https://app.example.com", "https://app.example.com https://evil.example", false},
        {"app.example.com", "https://app.example.com", true},
        {"app.example.com", "http://app.example.com", false},
        {"app.example.com", "https://app.example.com:8443", false},
        {"app.example.com:8443", "https://app.example.com:8443", true},
        {"http://localhost:5173", "http://localhost:5173", true},
        {"http://localhost:5173", "http://localhost:5174", false},
        {"http://localhost", "http://localhost:80", true},
        {"*.example.com", "https://a.example.com", true},
        {"*.example.com", "https://a.b.example.com", true},
        {"*.example.com", "https://A.EXAMPLE.com", true},
        {"*.example.com", "https://example.com", false},
        {"*.example.com", "https://.example.com", false},
        {"*.example.com", "https://badexample.com", false},
        {"*.example.com", "https://a.example.com.evil.example", false},
        {"*.example.com", "http://a.example.com", false},
        {"http://*.example.com:81", "http://a.example.com:81", true},
        {"http://[::1]:3000", "http://[::1]:3000", true},
        {"[::1]", "https://[::1]", true},
        {"http://[::1]:3000", "http://[::2]:3000", false},
        {"capacitor://localhost", "capacitor://localhost", true},
        {"capacitor://localhost", "https://localhost", false},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        const char *const origins[] = {"https://other.example", cases[i].entry, NULL};
        struct hd_cors *c = make(&(struct hd_cors_options){.origins = origins});
        struct hd_cors_answer a = ask(c, cases[i].origin, false);
        const char *allowed = field(&a, "access-control-allow-origin");
        if ((allowed != NULL) != cases[i].allowed)
            fail_msg("%s, %s: %s", cases[i].entry, cases[i].origin, allowed);
        if (allowed != NULL)
            assert_string_equal(allowed, cases[i].origin);
        assert_string_equal(field(&a, "vary"), "Origin");
        assert_false(a.refused);
        hd_cors_free(c);
    }
    (void)state;
}

static void tells_a_preflight_what_is_allowed(void **state)
{
    const char *const origins[] = {"app.example.com", NULL};
    struct hd_cors *c =
        make(&(struct hd_cors_options){.origins = origins, .has_max_age = true, .max_age_s = 600});
    struct hd_cors_answer a = ask(c, "https://app.example.com", true);
    assert_string_equal(field(&a, "access-control-allow-origin"), "https://app.example.com");
    assert_string_equal(field(&a, "access-control-allow-headers"),
                        "authorization, x-client-info, apikey, content-type, x-application-name, "
                        "user-agent, x-deployment-id");
    assert_string_equal(field(&a, "access-control-allow-methods"),
                        "POST, GET, OPTIONS, PUT, PATCH, DELETE");
    assert_string_equal(field(&a, "access-control-max-age"), "600");
    assert_string_equal(field(&a, "access-control-allow-credentials"), "true");
    assert_string_equal(field(&a, "vary"), "Origin");
    assert_null(field(&a, "access-control-expose-headers"));
    assert_null(field(&a, "access-control-allow-private-network"));

    a = ask(c, "https://app.example.com", false);
    assert_null(field(&a, "access-control-allow-methods"));
    assert_non_null(strstr(field(&a, "access-control-expose-headers"), "retry-after"));
    assert_null(strstr(field(&a, "access-control-expose-headers"), "1tube"));
    hd_cors_free(c);
    (void)state;
}

static void compatibility_mode_says_everything_every_time(void **state)
{
    const char *const origins[] = {"app.example.com", NULL}, *const expose[] = {
                                                                 "x-mine", "Retry-After", NULL};
    struct hd_cors *c = make(&(struct hd_cors_options){
        .origins = origins, .expose_headers = expose, .compat = true, .has_max_age = true});
    const struct hd_cors_request request = {
        .origin = hd_str("https://app.example.com"), .preflight = true, .private_network = true};
    struct hd_cors_answer a;
    hd_cors_answer(&a, c, &request);
    assert_int_equal(a.n, HD_CORS_FIELDS_MAX);
    assert_string_equal(field(&a, "access-control-max-age"), "0");
    assert_string_equal(field(&a, "access-control-allow-private-network"), "true");
    const char *exposed = field(&a, "access-control-expose-headers");
    assert_non_null(strstr(exposed, "x-1tube-warming"));
    assert_non_null(strstr(exposed, "x-mine"));
    assert_null(strstr(exposed, "Retry-After")); /* there already */
    a = ask(c, "https://app.example.com", false);
    assert_non_null(field(&a, "access-control-allow-methods"));
    hd_cors_free(c);
    (void)state;
}

static void any_origin_is_for_development_and_never_with_credentials(void **state)
{
    const char *const any[] = {"app.example.com", "*", NULL};
    struct hd_cors *cors[] = {make(&(struct hd_cors_options){.origins = any}),
                              make(&(struct hd_cors_options){.dev = true})};
    for (size_t i = 0; i < HD_COUNT(cors); i++) {
        assert_true(hd_cors_enabled(cors[i]));
        struct hd_cors_answer a = ask(cors[i], "http://localhost:1234", false);
        assert_string_equal(field(&a, "access-control-allow-origin"), "http://localhost:1234");
        assert_string_equal(field(&a, "vary"), "Origin");
        assert_null(field(&a, "access-control-allow-credentials"));
        a = ask(cors[i], NULL, false);
        assert_string_equal(field(&a, "access-control-allow-origin"), "*");
        assert_null(field(&a, "vary"));
        hd_cors_free(cors[i]);
    }
    struct hd_cors *c = NULL;
    struct hd_error err;
    const struct hd_cors_options bad[] = {
        {.origins = any, .has_credentials = true, .credentials = true},
        {.dev = true, .has_credentials = true, .credentials = true}};
    for (size_t i = 0; i < HD_COUNT(bad); i++) {
        assert_int_equal(hd_cors_new(&c, &bad[i], &err), HD_EINVAL);
        assert_non_null(strstr(err.msg, "cors.credentials"));
        assert_null(c);
    }
    (void)state;
}

static void is_off_in_production_without_a_list(void **state)
{
    struct hd_cors *c = make(&(struct hd_cors_options){.enforce = true});
    assert_false(hd_cors_enabled(c));
    struct hd_cors_answer a = ask(c, "https://app.example.com", true);
    assert_int_equal(a.n, 0);
    assert_false(a.refused);
    assert_false(hd_cors_owns(c, hd_str("Access-Control-Allow-Origin")));
    hd_cors_free(c);
    (void)state;
}

static void credentials_can_be_switched_off(void **state)
{
    const char *const origins[] = {"app.example.com", NULL};
    struct hd_cors *c =
        make(&(struct hd_cors_options){.origins = origins, .has_credentials = true});
    struct hd_cors_answer a = ask(c, "https://app.example.com", true);
    assert_null(field(&a, "access-control-allow-credentials"));
    hd_cors_free(c);
    (void)state;
}

static void refuses_foreign_origins_only_when_told(void **state)
{
    const char *const origins[] = {"app.example.com", NULL};
    struct hd_cors *c = make(&(struct hd_cors_options){.origins = origins, .enforce = true});
    static const struct {
        const char *origin;
        bool refused;
    } cases[] = {
        {"https://evil.example", true},         {"null", true}, {"https://app.example.com", false},
        {"https://api.example.com", false},                    /* its own pages */
        {"https://api.example.com:8443", true}, {NULL, false}, /* not a browser, or a plain GET */
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        for (int preflight = 0; preflight < 2; preflight++) {
            struct hd_cors_answer a = ask(c, cases[i].origin, preflight == 1);
            if (a.refused != cases[i].refused)
                fail_msg("%s", cases[i].origin);
            assert_string_equal(field(&a, "vary"), "Origin");
        }
    }
    hd_cors_free(c);
    (void)state;
}

static void refuses_entries_that_are_no_origin(void **state)
{
    static const char *const bad[] = {"",     "https://",   "null",        "a b", "*.",
                                      "*x.y", "a*.b",       "http://*",    "**",  "https://a:0",
                                      "a:x",  "ex\xc3\xa4", "[::1",        "[x]", "1http://a.b",
                                      ".a.b", "a\r\nb",     "https://null"};
    for (size_t i = 0; i < HD_COUNT(bad); i++) {
        const char *const origins[] = {bad[i], NULL};
        struct hd_cors *c = NULL;
        struct hd_error err = {.msg = ""};
        if (hd_cors_new(&c, &(struct hd_cors_options){.origins = origins}, &err) != HD_EINVAL)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_non_null(strstr(err.msg, "cors.origins"));
    }
    static const char *const names[] = {"x-a\r\nset-cookie", NULL};
    const struct hd_cors_options opts[] = {{.dev = true, .allow_headers = names},
                                           {.dev = true, .allow_methods = names},
                                           {.dev = true, .expose_headers = names}};
    for (size_t i = 0; i < HD_COUNT(opts); i++) {
        struct hd_cors *c = NULL;
        assert_int_equal(hd_cors_new(&c, &opts[i], NULL), HD_EINVAL);
    }
    (void)state;
}

static void replaces_what_functions_say_themselves(void **state)
{
    struct hd_cors *c = make(&(struct hd_cors_options){.dev = true});
    assert_true(hd_cors_owns(c, hd_str("Access-Control-Allow-Origin")));
    assert_false(hd_cors_owns(c, hd_str("Access-Control-")));
    assert_false(hd_cors_owns(c, hd_str("Vary")));
    hd_cors_free(c);
    assert_true(hd_cors_vary_has_origin(hd_str("Accept, ORIGIN")));
    assert_true(hd_cors_vary_has_origin(hd_str("*")));
    assert_false(hd_cors_vary_has_origin(hd_str("Accept,X-Origin")));
    assert_false(hd_cors_vary_has_origin(hd_str("")));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lets_in_exactly_the_listed_origins),
        cmocka_unit_test(tells_a_preflight_what_is_allowed),
        cmocka_unit_test(compatibility_mode_says_everything_every_time),
        cmocka_unit_test(any_origin_is_for_development_and_never_with_credentials),
        cmocka_unit_test(is_off_in_production_without_a_list),
        cmocka_unit_test(credentials_can_be_switched_off),
        cmocka_unit_test(refuses_foreign_origins_only_when_told),
        cmocka_unit_test(refuses_entries_that_are_no_origin),
        cmocka_unit_test(replaces_what_functions_say_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
