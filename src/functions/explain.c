/* explain.c - effective values and their sources, for people. */
#include "functions/effective.h"
#include "functions/env.h"

#include <stdio.h>

static const double MEGABYTE = 1048576;

void hd_setting_text(struct hd_buf *out, const struct hd_settings *set, enum hd_key key)
{
    const struct hd_key_spec *k = &hd_key_specs[key];
    const void *field = (const char *)set + k->offset;
    switch (k->kind) {
    case HD_KIND_INT:
        hd_buf_u64(out, *(const uint32_t *)field);
        return;
    case HD_KIND_BOOL:
        hd_buf_cstr(out, *(const bool *)field ? "true" : "false");
        return;
    case HD_KIND_CHOICE:
        hd_buf_cstr(out,
                    *(const enum hd_cors_owner *)field == HD_CORS_GATEWAY ? "gateway" : "function");
        return;
    case HD_KIND_RATE:
        hd_buf_fmt(out, "%g", *(const double *)field);
        return;
    case HD_KIND_MEGABYTE: {
        uint64_t bytes = *(const uint64_t *)field;
        if (bytes == UINT64_MAX)
            hd_buf_cstr(out, "none");
        else
            hd_buf_fmt(out, "%.10g", (double)bytes / MEGABYTE);
        return;
    }
    case HD_KIND_LIST:
    case HD_KIND_WORDS: {
        const struct hd_strings *list = field;
        hd_auto_free char *joined = hd_strings_join(list, ", ");
        hd_buf_cstr(out, list->items == NULL && k->kind == HD_KIND_LIST ? "*" : joined);
        return;
    }
    case HD_KIND_TEXT:
    case HD_KIND_MAP:
        return; /* no setting is of these kinds */
    }
}

/* Takes ownership of the three texts. */
static void add(struct hd_explanation *e, const char *section, char *key, char *value, char *source)
{
    e->rows[e->n++] = (struct hd_explain_row){section, key, value, source};
}

static const struct hd_origin *origin_of(const struct hd_function *fn, const char *key)
{
    for (size_t i = 0; i < fn->n_origins; i++) {
        if (strcmp(fn->origins[i].key, key) == 0)
            return &fn->origins[i];
    }
    return NULL;
}

static void add_setting(struct hd_explanation *e, const struct hd_function *fn,
                        const struct hd_defaults *defaults, enum hd_key key)
{
    const struct hd_key_spec *k = &hd_key_specs[key];
    const struct hd_origin *o = origin_of(fn, k->path);
    struct hd_buf value;
    hd_buf_init(&value, 1 << 16);
    hd_setting_text(&value, &fn->set, key);
    char *text = hd_buf_take(&value);
    const char *source = o != NULL                       ? o->source
                         : defaults->source[key] != NULL ? defaults->source[key]
                                                         : "default";
    /* Two settings follow from others. */
    const struct hd_origin *require = origin_of(fn, "require"), *warm = origin_of(fn, "warm");
    if (key == HD_KEY_VERIFY_JWT && o == NULL && require != NULL)
        source = require->source;
    if (key == HD_KEY_MIN_INSTANCES && o == NULL && warm != NULL && fn->set.min_instances == 1)
        source = warm->source;
    add(e, "setting", hd_strdup(k->path), text != NULL ? text : hd_strdup(""), hd_strdup(source));
}

static void add_fact(struct hd_explanation *e, const struct hd_function *fn, const char *key,
                     const char *value)
{
    const struct hd_origin *o = origin_of(fn, key);
    if (value != NULL && value[0] != '\0')
        add(e, "function", hd_strdup(key), hd_strdup(value),
            hd_strdup(o != NULL ? o->source : "found"));
}

static void add_env(struct hd_explanation *e, const struct hd_function *fn, size_t i)
{
    struct hd_str rest = hd_str(fn->env[i]), name;
    hd_str_split(&name, &rest, '=');
    const char *source = fn->env_block != NULL ? fn->env_block->sources.items[i] : "";
    add(e, "env", hd_strdup_n(name), hd_env_is_secret(name) ? hd_strdup("****") : hd_strdup_n(rest),
        hd_strdup(source));
}

void hd_explain(struct hd_explanation *out, const struct hd_function *fn,
                const struct hd_defaults *defaults)
{
    enum { FACTS = 8 };
    size_t n_env = 0;
    while (fn->env != NULL && fn->env[n_env] != NULL)
        n_env++;
    *out = (struct hd_explanation){
        .rows = hd_new_array(struct hd_explain_row, FACTS + HD_KEY_COUNT + n_env)};
    hd_auto_free char *command = hd_strings_join(&fn->argv, " ");
    add_fact(out, fn, "problem", fn->problem);
    add_fact(out, fn, "version", fn->version);
    add_fact(out, fn, "runtime", hd_runtime_name(fn->runtime));
    add_fact(out, fn, "folder", fn->dir);
    add_fact(out, fn, "entry", fn->entry);
    add_fact(out, fn, "handler", fn->handler);
    add_fact(out, fn, "command", command);
    add_fact(out, fn, "importMap", fn->import_map);
    for (size_t i = 0; i < HD_KEY_COUNT; i++) {
        if (hd_key_specs[i].offset != HD_NOT_A_SETTING)
            add_setting(out, fn, defaults, (enum hd_key)i);
    }
    for (size_t i = 0; i < n_env; i++)
        add_env(out, fn, i);
}

void hd_explanation_done(struct hd_explanation *e)
{
    for (size_t i = 0; i < e->n; i++) {
        free(e->rows[i].key);
        free(e->rows[i].value);
        free(e->rows[i].source);
    }
    free(e->rows);
    *e = (struct hd_explanation){0};
}
