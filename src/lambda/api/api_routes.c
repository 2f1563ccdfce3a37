#include "lambda/api/api_routes.h"

#include "http/path.h"
#include "lambda/op/operations.h"

static const struct hd_operation *const tables[] = {
    hd_operations_alias,
    hd_operations_concurrency,
    hd_operations_event_config,
    hd_operations_function,
    hd_operations_function_update,
    hd_operations_event_source,
    hd_operations_layer,
    hd_operations_layer_permission,
    hd_operations_provisioned,
    hd_operations_permission,
    hd_operations_resource_policy,
    hd_operations_settings,
    hd_operations_signing,
    hd_operations_tags,
    hd_operations_url,
    hd_operations_version,
    hd_operations_refused,
};

const struct hd_operation *hd_api_next_operation(size_t *at)
{
    size_t i = (*at)++;
    for (size_t t = 0; t < HD_COUNT(tables); t++)
        for (const struct hd_operation *o = tables[t]; o->name != NULL; o++)
            if (i-- == 0)
                return o;
    return NULL;
}

const struct hd_operation *hd_api_operation(const char *name)
{
    const struct hd_operation *o;
    for (size_t at = 0; (o = hd_api_next_operation(&at)) != NULL;)
        if (strcmp(o->name, name) == 0)
            return o;
    return NULL;
}

static bool match(struct hd_api_route *out, const struct hd_operation *o, struct hd_str path)
{
    struct hd_str rest = path, want = hd_str(o->path), segment, part;
    out->n_params = 0;
    while (hd_str_split(&part, &want, '/')) {
        if (!hd_str_split(&segment, &rest, '/'))
            return false;
        if (part.len > 0 && part.ptr[0] == '{') {
            if (segment.len == 0)
                return false;
            out->params[out->n_params++] =
                (struct hd_api_param){part.ptr + 1, part.len - 2, segment};
        } else if (!hd_str_eq(part, segment)) {
            return false;
        }
    }
    return rest.ptr == NULL;
}

static bool has_query(const struct hd_operation *o, struct hd_str query)
{
    struct hd_str name, value = hd_str(o->query), got;
    hd_str_split(&name, &value, '=');
    hd_auto_free char *text = hd_strdup_n(name);
    return hd_api_query(query, text, 0, &got) && hd_str_eq(got, value);
}

enum hd_api_routed hd_api_find(struct hd_api_route *out, struct hd_str method, struct hd_str path,
                               struct hd_str query)
{
    struct hd_api_route found = {0}, at;
    enum hd_api_routed how = HD_API_NO_PATH;
    size_t i = 0;
    while (path.len > 1 && path.ptr[path.len - 1] == '/')
        path.len--;
    while ((at.operation = hd_api_next_operation(&i)) != NULL) {
        if (!match(&at, at.operation, path))
            continue;
        at.index = i - 1;
        if (!hd_str_is(method, at.operation->method)) {
            how = how == HD_API_NO_PATH ? HD_API_OTHER_METHOD : how;
        } else if (at.operation->query != NULL) {
            if (!has_query(at.operation, query))
                continue;
            *out = at;
            return HD_API_ROUTED; /* the special one is stronger */
        } else if (found.operation == NULL) {
            found = at;
            how = HD_API_ROUTED;
        }
    }
    if (how == HD_API_ROUTED)
        *out = found;
    return how;
}

bool hd_api_query(struct hd_str query, const char *name, size_t nth, struct hd_str *value)
{
    struct hd_str pair, rest = query;
    while (hd_str_split(&pair, &rest, '&')) {
        size_t eq = hd_str_find(pair, '='), len;
        hd_auto_free char *key = hd_api_decode(hd_str_n(pair.ptr, eq), true, &len);
        if (key == NULL || strcmp(key, name) != 0 || nth-- > 0)
            continue;
        size_t from = HD_MIN(eq + 1, pair.len);
        *value = hd_str_n(pair.ptr + from, pair.len - from);
        return true;
    }
    return false;
}

char *hd_api_decode(struct hd_str text, bool plus, size_t *len)
{
    char *out = hd_alloc(text.len + 1);
    for (size_t i = 0; i < text.len; i++)
        out[i] = text.ptr[i] == '+' && plus ? ' ' : text.ptr[i];
    int n = hd_path_decode(out, hd_str_n(out, text.len));
    if (n < 0) {
        free(out);
        return NULL;
    }
    out[n] = '\0';
    *len = (size_t)n;
    return out;
}
