#include "shim/loadreq.h"

#include <jansson.h>

enum { INIT_TIMEOUT_MS = 10000 };

/* A string member, or the default where there is none. */
static int text(char **out, const json_t *object, const char *key, const char *instead,
                struct hd_error *err)
{
    const json_t *v = json_object_get(object, key);
    if (v != NULL && !json_is_null(v) && !json_is_string(v))
        return hd_fail(err, HD_EINVAL, "load: %s: must be a string", key);
    *out = hd_strdup(json_is_string(v) ? json_string_value(v) : instead);
    return 0;
}

static int environment(char ***out, const json_t *object, struct hd_error *err)
{
    const json_t *env = json_object_get(object, "env");
    if (env != NULL && !json_is_object(env))
        return hd_fail(err, HD_EINVAL, "load: env: must be an object of strings");
    *out = hd_new_array(char *, json_object_size(env) + 1);
    const char *key;
    json_t *value;
    size_t n = 0;
    json_object_foreach((json_t *)env, key, value)
    {
        if (!json_is_string(value))
            return hd_fail(err, HD_EINVAL, "load: env.%s: must be a string", key);
        (*out)[n++] = hd_printf("%s=%s", key, json_string_value(value));
    }
    return 0;
}

static int arguments(char ***out, const json_t *object, struct hd_error *err)
{
    const json_t *list = json_object_get(object, "argv");
    if (list != NULL && !json_is_array(list))
        return hd_fail(err, HD_EINVAL, "load: argv: must be a list of strings");
    *out = hd_new_array(char *, json_array_size(list) + 1);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        if (!json_is_string(v))
            return hd_fail(err, HD_EINVAL, "load: argv[%zu]: must be a string", i);
        (*out)[i] = hd_strdup(json_string_value(v));
    }
    return 0;
}

static uint32_t positive(const json_t *object, const char *key, uint32_t instead)
{
    json_int_t n = json_integer_value(json_object_get(object, key));
    return n > 0 && n <= UINT32_MAX ? (uint32_t)n : instead;
}

/* "arn:aws:lambda:<region>:<account>:function:…" */
static char *account_of(const json_t *lambda)
{
    struct hd_str rest = hd_str(json_string_value(json_object_get(lambda, "arn"))), part;
    for (int i = 0; hd_str_split(&part, &rest, ':'); i++)
        if (i == 4 && part.len > 0)
            return hd_strdup_n(part);
    return NULL;
}

static int read_lambda(struct hd_loadreq *l, const json_t *o, struct hd_error *err)
{
    const json_t *lambda = json_object_get(o, "lambda");
    if (lambda != NULL && !json_is_object(lambda))
        return hd_fail(err, HD_EINVAL, "load: lambda: must be an object");
    l->lambda = lambda != NULL;
    l->account = account_of(lambda);
    l->init_timeout_ms = INIT_TIMEOUT_MS;
    l->init_timeout_ms = positive(lambda, "initTimeoutMs", INIT_TIMEOUT_MS);
    l->timeout_ms = positive(o, "timeoutMs", 0);
    l->memory_mb = positive(o, "memoryMB", 0);
    int rc = text(&l->function_name, lambda, "name", l->name, err);
    if (rc == 0)
        rc = text(&l->function_version, lambda, "version", "$LATEST", err);
    if (rc == 0)
        rc = text(&l->opt_dir, lambda, "optDir", "/opt", err);
    if (rc == 0)
        rc = text(&l->runtime_dir, lambda, "runtimeDir", "/var/runtime", err);
    return rc;
}

int hd_loadreq_parse(struct hd_loadreq **out, struct hd_str body, struct hd_error *err)
{
    json_error_t at;
    json_t *o = json_loadb(body.ptr != NULL ? body.ptr : "", body.len, 0, &at);
    if (o == NULL)
        return hd_fail(err, HD_EINVAL, "load: byte %d: %s", at.position, at.text);
    hd_auto(hd_loadreq) l = hd_new(struct hd_loadreq);
    int rc = json_is_object(o) ? 0 : hd_fail(err, HD_EINVAL, "load: must be a JSON object");
    if (rc == 0)
        rc = text(&l->name, o, "name", "function", err);
    if (rc == 0)
        rc = text(&l->root, o, "root", "/var/task", err);
    if (rc == 0)
        rc = text(&l->handler, o, "handler", NULL, err);
    if (rc == 0)
        rc = environment(&l->env, o, err);
    if (rc == 0)
        rc = arguments(&l->argv, o, err);
    if (rc == 0)
        rc = read_lambda(l, o, err);
    json_decref(o);
    if (rc == 0)
        *out = hd_steal(l);
    return rc;
}

static void free_strings(char **list)
{
    for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
        explicit_bzero(list[i], strlen(list[i])); /* secrets are among them */
        free(list[i]);
    }
    free(list);
}

void hd_loadreq_free(struct hd_loadreq *l)
{
    if (l == NULL)
        return;
    free(l->name);
    free(l->root);
    free(l->handler);
    free_strings(l->env);
    free_strings(l->argv);
    free(l->function_name);
    free(l->function_version);
    free(l->account);
    free(l->opt_dir);
    free(l->runtime_dir);
    free(l);
}
