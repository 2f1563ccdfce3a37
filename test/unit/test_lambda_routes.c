/* test/unit/test_lambda_routes.c */
#include "lambda/api/api_routes.h"
#include "test.h"

static const struct hd_shape *member(const struct hd_operation *o, struct hd_str name)
{
    for (const struct hd_shape *m = o->input; m != NULL && m->name != NULL; m++)
        if (hd_str_is(name, m->name))
            return m;
    return NULL;
}

/* "/a/{X}/b" with a value in each place. */
static char *filled(const char *path)
{
    struct hd_buf out;
    hd_buf_init(&out, 1024);
    for (const char *c = path; *c != '\0'; c++) {
        if (*c == '{') {
            hd_buf_cstr(&out, "value");
            c = strchr(c, '}');
        } else {
            hd_buf_char(&out, *c);
        }
    }
    return hd_buf_take(&out);
}

static void every_operation_is_found_by_its_own_line(void **state)
{
    const struct hd_operation *o;
    size_t n = 0;
    for (size_t at = 0; (o = hd_api_next_operation(&at)) != NULL; n++) {
        struct hd_api_route route;
        hd_auto_free char *path = filled(o->path);
        hd_auto_free char *slash = hd_printf("%s/", path);
        struct hd_str query = hd_str(o->query);
        assert_int_equal(hd_api_find(&route, hd_str(o->method), hd_str(path), query),
                         HD_API_ROUTED);
        assert_string_equal(route.operation->name, o->name);
        assert_int_equal(hd_api_find(&route, hd_str(o->method), hd_str(slash), query),
                         HD_API_ROUTED);
        assert_string_equal(route.operation->name, o->name);
        assert_int_equal(hd_api_find(&route, hd_str("PATCH"), hd_str(path), query),
                         HD_API_OTHER_METHOD);
        assert_ptr_equal(hd_api_operation(o->name), o);
    }
    assert_true(n > 60);
    (void)state;
}

/* A place in a path that no member takes would be lost, and a member of the path without a place
 * would always be missing. */
static void paths_and_members_agree(void **state)
{
    const struct hd_operation *o;
    for (size_t at = 0; (o = hd_api_next_operation(&at)) != NULL;) {
        if (o->run == NULL)
            continue;
        struct hd_api_route route;
        hd_auto_free char *path = filled(o->path);
        assert_int_equal(hd_api_find(&route, hd_str(o->method), hd_str(path), hd_str(o->query)),
                         HD_API_ROUTED);
        size_t in_path = 0;
        for (size_t i = 0; i < route.n_params; i++) {
            const struct hd_shape *m =
                member(o, hd_str_n(route.params[i].name, route.params[i].name_len));
            if (m == NULL || m->in != HD_SHAPE_PATH)
                fail_msg("%s: no member for a place in its path", o->name);
        }
        for (const struct hd_shape *m = o->input; m != NULL && m->name != NULL; m++) {
            in_path += m->in == HD_SHAPE_PATH;
            bool nested =
                m->kind == HD_SHAPE_STRUCT || m->kind == HD_SHAPE_LIST || m->kind == HD_SHAPE_MAP;
            if (nested && m->of == NULL)
                fail_msg("%s: %s has no parts", o->name, m->name);
        }
        assert_int_equal(in_path, route.n_params);
    }
    (void)state;
}

static void values_are_as_on_the_wire(void **state)
{
    struct hd_api_route r;
    assert_int_equal(
        hd_api_find(
            &r, hd_str("GET"),
            hd_str("/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A0%3Afunction%3Af/"
                   "aliases/prod"),
            hd_str("")),
        HD_API_ROUTED);
    assert_string_equal(r.operation->name, "GetAlias");
    assert_int_equal(r.n_params, 2);
    assert_true(hd_str_is(r.params[0].value, "arn%3Aaws%3Alambda%3Aus-east-1%3A0%3Afunction%3Af"));
    assert_true(hd_str_is(r.params[1].value, "prod"));
    (void)state;
}

static void other_lines_are_not_found(void **state)
{
    static const char *const paths[] = {"/2015-03-31/functions//aliases",
                                        "/2015-03-31/function",
                                        "/2015-03-31/functions/f/aliases/a/b",
                                        "/2015-03-30/functions",
                                        "/",
                                        "",
                                        "//2015-03-31/functions",
                                        "/2015-03-31//functions"};
    struct hd_api_route r;
    for (size_t i = 0; i < HD_COUNT(paths); i++)
        assert_int_equal(hd_api_find(&r, hd_str("GET"), hd_str(paths[i]), hd_str("")),
                         HD_API_NO_PATH);
    (void)state;
}

static void parameters_of_a_query(void **state)
{
    struct hd_str v, q = hd_str("tagKeys=a&Marker=x%20y+z&tagKeys=b&flag&%4DaxItems=3");
    assert_true(hd_api_query(q, "tagKeys", 0, &v) && hd_str_is(v, "a"));
    assert_true(hd_api_query(q, "tagKeys", 1, &v) && hd_str_is(v, "b"));
    assert_false(hd_api_query(q, "tagKeys", 2, &v));
    assert_true(hd_api_query(q, "flag", 0, &v) && v.len == 0);
    assert_true(hd_api_query(q, "MaxItems", 0, &v) && hd_str_is(v, "3"));
    assert_false(hd_api_query(q, "marker", 0, &v));
    assert_true(hd_api_query(q, "Marker", 0, &v));
    size_t len;
    hd_auto_free char *text = hd_api_decode(v, true, &len);
    assert_string_equal(text, "x y z");
    assert_int_equal(len, 5);
    hd_auto_free char *path = hd_api_decode(hd_str("a+b%3a"), false, &len);
    assert_string_equal(path, "a+b:");
    assert_null(hd_api_decode(hd_str("a%2"), false, &len));
    assert_null(hd_api_decode(hd_str("a%2g"), false, &len));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_is_found_by_its_own_line),
        cmocka_unit_test(paths_and_members_agree),
        cmocka_unit_test(values_are_as_on_the_wire),
        cmocka_unit_test(other_lines_are_not_found),
        cmocka_unit_test(parameters_of_a_query),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
