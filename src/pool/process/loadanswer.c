#include "pool/process/loadanswer.h"

#include <jansson.h>

/* A NULL-terminated list that borrows its strings from the document; NULL where there is none. */
static int read_list(const char ***out, const json_t *root, const char *key, struct hd_error *err)
{
    const json_t *list = json_object_get(root, key);
    *out = NULL;
    if (list == NULL || json_is_null(list))
        return 0;
    if (!json_is_array(list))
        return hd_fail(err, HD_EPROTO, "answer to load: %s: must be a list of strings", key);
    size_t n = json_array_size(list);
    const char **strings = hd_new_array(const char *, n + 1);
    for (size_t i = 0; i < n; i++) {
        strings[i] = json_string_value(json_array_get(list, i));
        if (strings[i] == NULL) {
            free((void *)strings);
            return hd_fail(err, HD_EPROTO, "answer to load: %s[%zu]: must be a string", key, i);
        }
    }
    *out = strings;
    return 0;
}

static int read_number(int64_t *out, const json_t *root, const char *key, struct hd_error *err)
{
    const json_t *v = json_object_get(root, key);
    *out = -1;
    if (v == NULL || json_is_null(v))
        return 0;
    double n = json_number_value(v);
    if (!json_is_number(v) || !(n >= 0 && n <= 1e15))
        return hd_fail(err, HD_EPROTO, "answer to load: %s: must be a number from 0 up", key);
    *out = (int64_t)n;
    return 0;
}

static int read_declared(struct hd_loadanswer *a, const json_t *root, struct hd_error *err)
{
    const json_t *is_public = json_object_get(root, "public");
    const json_t *kind = json_object_get(root, "kind");
    struct hd_declared *d = &a->declared;
    if (is_public != NULL && !json_is_null(is_public) && !json_is_boolean(is_public))
        return hd_fail(err, HD_EPROTO, "answer to load: public: must be true or false");
    d->is_public = json_is_boolean(is_public) ? json_is_true(is_public) : -1;
    d->kind = json_string_value(kind);
    int rc = read_number(&d->timeout_ms, root, "timeoutMs", err);
    if (rc == 0)
        rc = read_number(&d->concurrency, root, "concurrency", err);
    if (rc == 0)
        rc = read_list(&a->require, root, "require", err);
    if (rc == 0)
        rc = read_list(&a->imports, root, "imports", err);
    d->require = a->require;
    d->imports = a->imports;
    return rc;
}

int hd_loadanswer_parse(struct hd_loadanswer *out, struct hd_str body, struct hd_error *err)
{
    json_error_t where;
    json_t *root = json_loadb(body.ptr, body.len, 0, &where);
    *out = (struct hd_loadanswer){.json = root};
    out->declared = (struct hd_declared){.is_public = -1, .timeout_ms = -1, .concurrency = -1};
    if (root == NULL)
        return hd_fail(err, HD_EPROTO, "answer to load: byte %d: %s", where.position, where.text);
    int rc = 0;
    if (!json_is_object(root) || !json_is_boolean(json_object_get(root, "ok")))
        rc = hd_fail(err, HD_EPROTO, "answer to load: ok: must be there, true or false");
    out->ok = rc == 0 && json_is_true(json_object_get(root, "ok"));
    if (out->ok) {
        rc = read_declared(out, root, err);
    } else if (rc == 0) {
        const char *message = json_string_value(json_object_get(root, "message"));
        out->message = hd_strdup(message != NULL ? message : "it did not say why");
        out->stack = hd_strdup(json_string_value(json_object_get(root, "stack")));
    }
    if (rc < 0)
        hd_loadanswer_done(out);
    return rc;
}

void hd_loadanswer_done(struct hd_loadanswer *a)
{
    free((void *)a->require);
    free((void *)a->imports);
    free(a->message);
    free(a->stack);
    json_decref(a->json);
    *a = (struct hd_loadanswer){.json = NULL};
}
