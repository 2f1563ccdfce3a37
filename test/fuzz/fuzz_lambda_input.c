/* fuzz_lambda_input.c - a request to the Lambda API as far as it goes without a catalog: the line
 * finds an operation, its values are decoded, the body is typed and checked. What passes the check
 * breaks no constraint when it is checked again. First line: "METHOD path?query"; the body follows.
 */
#include "fuzz.h"
#include "lambda/api/api_routes.h"
#include "lambda/names.h"

static void check_values(const struct hd_api_route *route, struct hd_str query)
{
    struct hd_str value;
    size_t len;
    for (size_t i = 0; i < route->n_params; i++) {
        fuzz_check(route->params[i].value.len > 0);
        free(hd_api_decode(route->params[i].value, false, &len));
    }
    for (const struct hd_shape *m = route->operation->input; m != NULL && m->name != NULL; m++) {
        if (m->in != HD_SHAPE_QUERY)
            continue;
        const char *name = m->query != NULL ? m->query : m->name;
        for (size_t n = 0; n < 4 && hd_api_query(query, name, n, &value); n++) {
            fuzz_check_within(value, query);
            hd_auto_free char *text = hd_api_decode(value, true, &len);
            json_t *json = NULL;
            struct hd_error err;
            const struct hd_shape *of = m->kind == HD_SHAPE_LIST ? m->of : m;
            if (text == NULL || strlen(text) != len)
                continue;
            const int rc = hd_shape_text(of, hd_str_n(text, len), &json, &err);
            fuzz_check((rc == 0) == (json != NULL));
            json_decref(json);
        }
    }
}

static void check_name(struct hd_str text)
{
    struct hd_fn_name name;
    if (hd_names_function(&name, text) < 0)
        return;
    fuzz_check(name.name.len > 0);
    fuzz_check_within(name.name, text);
    fuzz_check_within(name.qualifier, text);
    fuzz_check_within(name.account, text);
    fuzz_check_within(name.region, text);
}

static void check_body(const struct hd_shape *input, struct hd_str body)
{
    struct hd_error err;
    struct hd_buf once, again;
    json_t *json = json_loadb(body.ptr != NULL ? body.ptr : "", body.len, 0, NULL);
    if (json_is_object(json) && hd_shape_types(input, json, &err) == 0) {
        struct hd_patterns *patterns = hd_patterns_new();
        hd_buf_init(&once, 4096);
        hd_buf_init(&again, 4096);
        const unsigned broken = hd_shape_check(patterns, input, json, &once);
        fuzz_check((broken > 0) == (once.len > 0));
        fuzz_check(hd_shape_types(input, json, &err) == 0);
        fuzz_check(hd_shape_check(patterns, input, json, &again) == broken);
        fuzz_check(hd_str_eq(hd_buf_view(&once), hd_buf_view(&again)));
        hd_shape_refused(input, json);
        hd_buf_done(&once);
        hd_buf_done(&again);
        hd_patterns_free(patterns);
    }
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hd_str rest = {(const char *)data, size}, line, method, path;
    struct hd_api_route route;
    if (!hd_str_split(&line, &rest, '\n') || !hd_str_split(&method, &line, ' ') ||
        !hd_str_split(&path, &line, '?'))
        return 0;
    check_name(path);
    if (hd_api_find(&route, method, path, line) != HD_API_ROUTED)
        return 0;
    fuzz_check(hd_str_is(method, route.operation->method));
    check_values(&route, line);
    check_body(route.operation->input, rest);
    return 0;
}
