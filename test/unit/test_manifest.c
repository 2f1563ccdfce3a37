/* test_manifest.c - every key takes what it should, and refuses the rest with file, line and key.
 */
#include "functions/manifest.h"
#include "functions/file.h"
#include "test.h"

#include <math.h>

static void good_manifests_are_read(void **state)
{
    static const char text[] =
        "{\n"
        "  \"$schema\": \"x\",\n"
        "  \"runtime\": \"node\",\n"
        "  \"timeoutMs\": 5000,\n"
        "  \"maxBodyMB\": 0.5,\n"
        "  \"min_replicas\": 2,\n"
        "  \"verifyJwt\": false,\n"
        "  \"require\": \"admin\",\n"
        "  \"env\": {\"A\": \"1\", \"B\": \"\"},\n"
        "  \"permissions\": {\n"
        "    \"net\": [\"api.example.com:443\", \"*.x.org\", \"10.0.0.0/8\", \"[::1]:80\"]\n"
        "  },\n"
        "  \"recycle\": {\"errorRate\": 0.25, \"maxRequests\": 1e3}\n"
        "}\n";
    struct hd_manifest m;
    struct hd_error err = {0};
    hd_manifest_init(&m, "f/heddle.json");
    if (hd_manifest_parse(&m, hd_str(text), false, &err) != 0)
        fail_msg("%s", err.msg);
    assert_int_equal(m.v[HD_KEY_RUNTIME].n, HD_RUNTIME_NODE);
    assert_int_equal(m.v[HD_KEY_TIMEOUT].n, 5000);
    assert_int_equal(m.v[HD_KEY_TIMEOUT].line, 4);
    assert_true(m.v[HD_KEY_MAX_BODY].number == 524288);
    assert_int_equal(m.v[HD_KEY_MIN_INSTANCES].n, 2);
    assert_true(m.v[HD_KEY_VERIFY_JWT].given && m.v[HD_KEY_VERIFY_JWT].n == 0);
    assert_string_equal(m.v[HD_KEY_REQUIRE].list.items[0], "admin");
    assert_string_equal(m.v[HD_KEY_ENV].list.items[1], "B=");
    assert_int_equal(m.v[HD_KEY_NET].list.n, 4);
    assert_int_equal(m.v[HD_KEY_NET].line, 11);
    assert_int_equal(m.v[HD_KEY_RECYCLE_REQUESTS].n, 1000);
    assert_false(m.v[HD_KEY_RPM].given);
    hd_manifest_done(&m);
    (void)state;
}

static void wrong_manifests_are_refused(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"{\n\"timeoutMS\": 5}", "f:2: timeoutMS: unknown key; did you mean \"timeoutMs\"?"},
        {"{\"maxRequests\": 5}",
         "f:1: maxRequests: unknown key; did you mean \"recycle.maxRequests\"?"},
        {"{\"recycle\":\n{\"errorrate\": 1}}",
         "f:2: recycle.errorrate: unknown key; did you mean \"errorRate\"?"},
        {"{\"recylce\": {}}", "did you mean \"recycle\"?"},
        {"{\"zzzzzzzzzz\": 1}", "f:1: zzzzzzzzzz: unknown key"},
        {"{\"timeoutMs\": \"fast\"}",
         "f:1: timeoutMs: must be a whole number from 0 to 86400000, not \"fast\""},
        {"{\"timeoutMs\": -1}", "not -1"},
        {"{\"timeoutMs\": 1.5}", "not 1.5"},
        {"{\"rpm\": 0}", "from 1 to"},
        {"{\"verify_jwt\": \"no\"}", "must be true or false"},
        {"{\"runtime\": \"ruby\"}",
         "must be one of \"deno\", \"node\", \"python\", \"http\", not \"ruby\""},
        {"{\"maxBodyMB\": 0}", "above 0"},
        {"{\"recycle\": {\"errorRate\": 2}}", "from 0 to 1"},
        {"{\"recycle\": 5}", "f:1: recycle: must be an object"},
        {"{\"command\": []}", "at least the program"},
        {"{\"command\": \"x\"}", "a list of texts"},
        {"{\"require\": [\"\"]}", "not empty"},
        {"{\"health\": \"x\"}", "begins with /"},
        {"{\"env\": {\"A-B\": \"1\"}}", "f:1: env.A-B: is no variable's name"},
        {"{\"env\":\n {\"A\": 1}}", "f:2: env.A: must be a text"},
        {"{\"permissions\": {\"net\": [\"https://x\"]}}", "without a scheme"},
        {"{\"permissions\": {\"net\": [\"x:0\"]}}", "port"},
        {"{\"permissions\": {\"net\": [\"10.0.0.0/33\"]}}", "0 to 32"},
        {"{\"permissions\": {\"net\": [\"[::1\"]}}", "no IPv6 address"},
        {"{\"permissions\": {\"read\": [\"a,b\"]}}", "no commas"},
        {"{\"permissions\": {\"env\": [\"A B\"]}}", "no variable's name"},
        {"{\"rpm\": 1, \"rpm\": 2}", "f:1: duplicate object key"},
        {"{\"minInstances\": 1, \"min_replicas\": 2}", "is given twice"},
        {"{\n\n\"rpm\": }", "f:3: "},
        {"[]", "f:1: must be a JSON object"},
        {"", "f:1: "},
        {"{} x", "f:1: end of file expected"},
        {"{\"permissions.net\": []}", "unknown key"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_manifest m;
        struct hd_error err = {0};
        hd_manifest_init(&m, "f");
        assert_int_equal(hd_manifest_parse(&m, hd_str(cases[i].text), false, &err), HD_EINVAL);
        if (strstr(err.msg, cases[i].why) == NULL)
            fail_msg("case %zu: \"%s\"", i, err.msg);
        hd_manifest_done(&m);
    }
    (void)state;
}

static void a_1tube_manifest_is_read_with_patience(void **state)
{
    static const char text[] =
        "{\"timeoutMs\": 99.9, \"rpm\": 0, \"memoryMB\": \"lots\",\n"
        "\"unheard\": 1, \"recycle\": {\"errorRate\": 7, \"errorWindow\": -1},\n"
        "\"permissions\": {\"env\": [1], \"read\": [\"a\"]}}";
    struct hd_manifest m;
    hd_manifest_init(&m, "f/1tube.json");
    assert_int_equal(hd_manifest_parse(&m, hd_str(text), true, NULL), 0);
    assert_int_equal(m.v[HD_KEY_TIMEOUT].n, 99);
    assert_false(m.v[HD_KEY_RPM].given);
    assert_false(m.v[HD_KEY_MEMORY].given);
    assert_true(m.v[HD_KEY_ERROR_RATE].number == 1);
    assert_false(m.v[HD_KEY_ERROR_WINDOW].given);
    assert_false(m.v[HD_KEY_ALLOW_ENV].given);
    assert_string_equal(m.v[HD_KEY_READ].list.items[0], "a");
    assert_int_equal(m.warnings.n, 5);
    assert_string_equal(m.warnings.items[2], "f/1tube.json:2: unheard: unknown key; it is ignored");
    hd_manifest_done(&m);
    hd_manifest_init(&m, "f/1tube.json");
    assert_int_equal(hd_manifest_parse(&m, hd_str("{oops"), true, NULL), 0);
    assert_int_equal(m.warnings.n, 1);
    hd_manifest_done(&m);
    (void)state;
}

static void no_body_limit_is_spelled_none(void **state)
{
    struct hd_manifest m;
    hd_manifest_init(&m, "f");
    assert_int_equal(hd_manifest_parse(&m, hd_str("{\"maxBodyMB\": \"none\"}"), false, NULL), 0);
    assert_true(isinf(m.v[HD_KEY_MAX_BODY].number));
    hd_manifest_done(&m);
    (void)state;
}

static void a_secret_in_env_is_not_repeated_in_the_error(void **state)
{
    struct hd_manifest m;
    struct hd_error err;
    hd_manifest_init(&m, "f");
    assert_int_equal(hd_manifest_parse(&m, hd_str("{\"env\": {\"PIN\": 4711}}"), false, &err),
                     HD_EINVAL);
    assert_null(strstr(err.msg, "4711"));
    hd_manifest_done(&m);
    (void)state;
}

static void every_row_of_the_table_is_whole(void **state)
{
    for (size_t i = 0; i < HD_KEY_COUNT; i++) {
        const struct hd_key_spec *k = &hd_key_specs[i];
        assert_non_null(k->name);
        assert_non_null(k->help);
        assert_true(k->kind != HD_KIND_INT || k->min < k->max);
        assert_true(k->kind != HD_KIND_CHOICE || k->choices != NULL);
        struct hd_manifest m;
        struct hd_error err = {0};
        hd_manifest_init(&m, "default");
        if (k->fallback != NULL &&
            hd_manifest_set(&m, (enum hd_key)i, hd_str(k->fallback), 0, &err) < 0)
            fail_msg("%s", err.msg);
        hd_manifest_done(&m);
    }
    (void)state;
}

static void the_reference_page_is_the_table(void **state)
{
    struct hd_buf page, table;
    struct hd_error err = {0};
    hd_buf_init(&page, 1 << 20);
    hd_buf_init(&table, 1 << 20);
    if (hd_file_read(&page, HD_SOURCE_ROOT "/doc/functions.md", NULL, &err) < 0)
        fail_msg("%s", err.msg);
    hd_manifest_reference_md(&table);
    assert_false(hd_buf_failed(&table));
    if (memmem(page.ptr, page.len, table.ptr, table.len) == NULL)
        fail_msg("doc/functions.md: the keys should be:\n%.*s", HD_FMT(hd_buf_view(&table)));
    hd_buf_done(&page);
    hd_buf_done(&table);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_manifests_are_read),
        cmocka_unit_test(wrong_manifests_are_refused),
        cmocka_unit_test(a_1tube_manifest_is_read_with_patience),
        cmocka_unit_test(no_body_limit_is_spelled_none),
        cmocka_unit_test(a_secret_in_env_is_not_repeated_in_the_error),
        cmocka_unit_test(every_row_of_the_table_is_whole),
        cmocka_unit_test(the_reference_page_is_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
