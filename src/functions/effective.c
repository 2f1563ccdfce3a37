#include "functions/effective.h"

#include "functions/file.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

static void *setting(struct hd_settings *set, const struct hd_key_spec *k)
{
    return (char *)set + k->offset;
}

/* Put a value into its field of the settings. */
static void apply(struct hd_settings *set, const struct hd_key_spec *k, const struct hd_value *v)
{
    void *field = setting(set, k);
    switch (k->kind) {
    case HD_KIND_INT:
        *(uint32_t *)field = (uint32_t)v->n;
        return;
    case HD_KIND_BOOL:
        *(bool *)field = v->n != 0;
        return;
    case HD_KIND_CHOICE:
        *(enum hd_cors_owner *)field = (enum hd_cors_owner)v->n;
        return;
    case HD_KIND_RATE:
        *(double *)field = v->number;
        return;
    case HD_KIND_MEGABYTE:
        *(uint64_t *)field = isinf(v->number) ? UINT64_MAX : (uint64_t)v->number;
        return;
    case HD_KIND_LIST:
    case HD_KIND_WORDS:
        hd_strings_done(field);
        *(struct hd_strings *)field = hd_strings_copy(&v->list);
        return;
    case HD_KIND_TEXT:
    case HD_KIND_MAP:
        return; /* no setting is of these kinds */
    }
}

void hd_defaults_init(struct hd_defaults *d)
{
    struct hd_manifest m;
    *d = (struct hd_defaults){0};
    hd_manifest_init(&m, "default");
    for (size_t i = 0; i < HD_KEY_COUNT; i++) {
        const struct hd_key_spec *k = &hd_key_specs[i];
        if (k->offset == HD_NOT_A_SETTING || k->fallback == NULL)
            continue;
        hd_manifest_set(&m, (enum hd_key)i, hd_str(k->fallback), 0, NULL);
        apply(&d->set, k, &m.v[i]);
    }
    hd_manifest_done(&m);
}

void hd_defaults_done(struct hd_defaults *d)
{
    hd_settings_done(&d->set);
}

static const struct hd_manifest *giver(const struct hd_sources *from, enum hd_key key)
{
    if (from->manifest != NULL && from->manifest->v[key].given)
        return from->manifest;
    if (from->config_toml != NULL && from->config_toml->v[key].given)
        return from->config_toml;
    return NULL;
}

const struct hd_value *hd_sources_value(const struct hd_sources *from, enum hd_key key)
{
    const struct hd_manifest *m = giver(from, key);
    return m != NULL ? &m->v[key] : NULL;
}

/* "hello/heddle.json:3" */
static char *place(const struct hd_sources *from, enum hd_key key)
{
    const struct hd_manifest *m = giver(from, key);
    if (m == NULL)
        return hd_strdup("default");
    if (m->v[key].line == 0)
        return hd_strdup(m->file);
    return hd_printf("%s:%u", m->file, m->v[key].line);
}

/* "hello/heddle.json:3: entry: what" */
static int wrong(const struct hd_sources *from, enum hd_key key, struct hd_error *err,
                 const char *what)
{
    hd_auto_free char *where = place(from, key);
    return hd_fail(err, HD_EINVAL, "%s: %s: %s", where, hd_key_specs[key].path, what);
}

static struct hd_settings copy_settings(const struct hd_settings *from)
{
    struct hd_settings set = *from;
    set.require = hd_strings_copy(&from->require);
    set.allow_net = hd_strings_copy(&from->allow_net);
    set.allow_env = hd_strings_copy(&from->allow_env);
    set.allow_read = hd_strings_copy(&from->allow_read);
    set.allow_write = hd_strings_copy(&from->allow_write);
    return set;
}

static int apply_access(struct hd_settings *set, const struct hd_sources *from,
                        struct hd_error *err)
{
    const struct hd_value *verify = hd_sources_value(from, HD_KEY_VERIFY_JWT);
    const struct hd_value *require = hd_sources_value(from, HD_KEY_REQUIRE);
    set->verify_jwt_given = verify != NULL || (require != NULL && require->list.n > 0);
    if (!hd_strings_has(&set->require, hd_str("public"))) {
        if (verify != NULL && !set->verify_jwt && require != NULL && require->list.n > 0)
            return wrong(from, HD_KEY_REQUIRE, err, "needs a token, but verify_jwt is false");
        if (require != NULL && require->list.n > 0)
            set->verify_jwt = true;
        else if (!set->verify_jwt)
            hd_strings_done(&set->require); /* a public function needs no gateway-wide role */
        return 0;
    }
    if (set->require.n > 1)
        return wrong(from, HD_KEY_REQUIRE, err, "\"public\" stands alone");
    if (verify != NULL && set->verify_jwt)
        return wrong(from, HD_KEY_REQUIRE, err, "is \"public\", but verify_jwt is true");
    set->verify_jwt = false;
    hd_strings_done(&set->require);
    return 0;
}

static int apply_instances(struct hd_settings *set, const struct hd_sources *from,
                           struct hd_error *err)
{
    const struct hd_value *warm = hd_sources_value(from, HD_KEY_WARM);
    if (warm != NULL && warm->n != 0 && set->min_instances == 0)
        set->min_instances = 1;
    if (set->min_instances <= set->max_instances)
        return 0;
    if (hd_sources_value(from, HD_KEY_MAX_INSTANCES) != NULL)
        return wrong(from, HD_KEY_MAX_INSTANCES, err, "is less than minInstances");
    set->max_instances = set->min_instances;
    return 0;
}

/* Paths become absolute; "*" means everything; without enforcement everything is allowed. */
static void settle_list(struct hd_strings *list, bool enforced, const char *dir)
{
    if (!enforced || hd_strings_has(list, hd_str("*"))) {
        hd_strings_done(list);
        return;
    }
    hd_strings_give(list);
    for (size_t i = 0; dir != NULL && i < list->n; i++) {
        hd_auto_free char *joined = hd_file_join(dir, list->items[i]);
        free(list->items[i]);
        list->items[i] = hd_file_clean(joined);
    }
}

static int apply_settings(struct hd_function *fn, const struct hd_sources *from,
                          struct hd_error *err)
{
    const struct hd_defaults *d = from->defaults;
    struct hd_settings *set = &fn->set;
    *set = copy_settings(&d->set);
    for (size_t i = 0; i < HD_KEY_COUNT; i++) {
        const struct hd_value *v = hd_sources_value(from, (enum hd_key)i);
        if (v != NULL && hd_key_specs[i].offset != HD_NOT_A_SETTING)
            apply(set, &hd_key_specs[i], v);
    }
    bool enforced = d->enforce && !d->allow_all;
    settle_list(&set->allow_net, enforced, NULL);
    settle_list(&set->allow_env, enforced, NULL);
    settle_list(&set->allow_read, enforced, fn->dir);
    settle_list(&set->allow_write, enforced, fn->dir);
    int rc = apply_access(set, from, err);
    return rc < 0 ? rc : apply_instances(set, from, err);
}

/* An absolute path, checked to be a file. @return for the caller, or NULL and err is filled in. */
static char *named_file(const struct hd_function *fn, const struct hd_sources *from,
                        enum hd_key key, struct hd_error *err)
{
    hd_auto_free char *joined = hd_file_join(fn->dir, hd_sources_value(from, key)->text);
    char *path = hd_file_clean(joined);
    struct stat st;
    char what[160];
    if (stat(path, &st) < 0)
        snprintf(what, sizeof(what), "%.100s: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        snprintf(what, sizeof(what), "%.100s is not a file", path);
    else
        return path;
    wrong(from, key, err, what);
    free(path);
    return NULL;
}

static int use_command(struct hd_function *fn, const struct hd_sources *from, int runtime,
                       struct hd_error *err)
{
    const struct hd_value *command = hd_sources_value(from, HD_KEY_COMMAND);
    if (command == NULL)
        return wrong(from, HD_KEY_RUNTIME, err,
                     "\"http\" needs \"command\", the program to start and its arguments");
    if (runtime >= 0 && runtime != HD_RUNTIME_HTTP)
        return wrong(from, HD_KEY_COMMAND, err, "works with runtime \"http\" only");
    if (hd_sources_value(from, HD_KEY_ENTRY) != NULL)
        return wrong(from, HD_KEY_ENTRY, err, "a function has either an entry or a command");
    fn->runtime = HD_RUNTIME_HTTP;
    fn->argv = hd_strings_copy(&command->list);
    if (strchr(fn->argv.items[0], '/') != NULL) { /* else it is looked up in PATH */
        hd_auto_free char *joined = hd_file_join(fn->dir, fn->argv.items[0]);
        free(fn->argv.items[0]);
        fn->argv.items[0] = hd_file_clean(joined);
    }
    const struct hd_value *health = hd_sources_value(from, HD_KEY_HEALTH);
    fn->health_path =
        hd_strdup(health != NULL ? health->text : hd_key_specs[HD_KEY_HEALTH].fallback);
    return 0;
}

static int use_named_entry(struct hd_function *fn, const struct hd_sources *from, int runtime,
                           struct hd_error *err)
{
    enum hd_runtime by_name = HD_RUNTIME_DENO;
    fn->entry = named_file(fn, from, HD_KEY_ENTRY, err);
    if (fn->entry == NULL)
        return HD_EINVAL;
    int rc = hd_runtime_of_file(&by_name, hd_str(fn->entry));
    if (rc < 0 && runtime < 0)
        return wrong(from, HD_KEY_ENTRY, err,
                     "its name does not say what runs it; set \"runtime\" too");
    fn->runtime = runtime >= 0 ? (enum hd_runtime)runtime : by_name;
    bool is_python = rc == 0 && by_name == HD_RUNTIME_PYTHON;
    if (rc == 0 && is_python != (fn->runtime == HD_RUNTIME_PYTHON))
        return wrong(from, HD_KEY_ENTRY, err, "cannot be run by the runtime that is set");
    return 0;
}

static int use_found_entry(struct hd_function *fn, const struct hd_sources *from, int runtime,
                           struct hd_error *err)
{
    const struct hd_entry_name *e = hd_found_entry(from->found, runtime);
    if (e == NULL && runtime >= 0)
        return wrong(from, HD_KEY_RUNTIME, err,
                     "there is no entry file for it (index.ts, index.js, index.py, ...); "
                     "add one or set \"entry\"");
    if (e == NULL)
        return hd_fail(err, HD_EINVAL,
                       "%s: there is no entry file (index.ts, index.js, index.py, ...); add one, "
                       "or set \"entry\" or \"command\" in heddle.json",
                       fn->name);
    fn->runtime = runtime >= 0 ? (enum hd_runtime)runtime : e->runtime;
    fn->entry = hd_file_join(fn->dir, e->name);
    return 0;
}

static int use_import_map(struct hd_function *fn, const struct hd_sources *from,
                          struct hd_error *err)
{
    if (fn->runtime != HD_RUNTIME_DENO)
        return 0;
    if (hd_sources_value(from, HD_KEY_IMPORT_MAP) != NULL) {
        fn->import_map = named_file(fn, from, HD_KEY_IMPORT_MAP, err);
        return fn->import_map != NULL ? 0 : HD_EINVAL;
    }
    for (size_t i = 0; i < HD_IMPORT_MAP_NAMES; i++) {
        if ((from->found->import_maps & (1U << i)) == 0)
            continue;
        fn->import_map = hd_file_join(fn->dir, hd_import_map_names[i]);
        return 0;
    }
    fn->import_map = hd_strdup(from->root_import_map);
    return 0;
}

static int choose_runtime(struct hd_function *fn, const struct hd_sources *from,
                          struct hd_error *err)
{
    const struct hd_value *chosen = hd_sources_value(from, HD_KEY_RUNTIME);
    const struct hd_value *handler = hd_sources_value(from, HD_KEY_HANDLER);
    int runtime = chosen != NULL ? (int)chosen->n : -1; /* `choices` has the order of the enum */
    int rc;
    if (hd_sources_value(from, HD_KEY_COMMAND) != NULL || runtime == HD_RUNTIME_HTTP)
        rc = use_command(fn, from, runtime, err);
    else if (hd_sources_value(from, HD_KEY_ENTRY) != NULL)
        rc = use_named_entry(fn, from, runtime, err);
    else
        rc = use_found_entry(fn, from, runtime, err);
    if (rc < 0)
        return rc;
    if (handler != NULL && fn->runtime == HD_RUNTIME_HTTP)
        return wrong(from, HD_KEY_HANDLER, err, "a command has no handler");
    fn->handler = handler != NULL ? hd_strdup(handler->text) : NULL;
    return use_import_map(fn, from, err);
}

/* The text of a value that is no setting; env shows names only. */
static char *given_text(const struct hd_key_spec *k, const struct hd_value *v)
{
    if (k->kind == HD_KIND_TEXT || k->kind == HD_KIND_CHOICE)
        return hd_strdup(v->text);
    if (k->kind == HD_KIND_LIST)
        return hd_strings_join(&v->list, " ");
    if (k->kind == HD_KIND_BOOL)
        return hd_strdup(v->n != 0 ? "true" : "false");
    return hd_printf("%zu variables", v->list.n);
}

static void record_origins(struct hd_function *fn, const struct hd_sources *from)
{
    size_t n = 0;
    for (size_t i = 0; i < HD_KEY_COUNT; i++)
        n += hd_sources_value(from, (enum hd_key)i) != NULL;
    fn->origins = n > 0 ? hd_new_array(struct hd_origin, n) : NULL;
    for (size_t i = 0; i < HD_KEY_COUNT; i++) {
        const struct hd_key_spec *k = &hd_key_specs[i];
        const struct hd_value *v = hd_sources_value(from, (enum hd_key)i);
        if (v == NULL)
            continue;
        struct hd_origin *o = &fn->origins[fn->n_origins++];
        *o = (struct hd_origin){.key = k->path, .source = place(from, (enum hd_key)i)};
        if (k->offset == HD_NOT_A_SETTING) {
            o->value = given_text(k, v);
        } else {
            struct hd_buf text;
            hd_buf_init(&text, 1 << 16);
            hd_setting_text(&text, &fn->set, (enum hd_key)i);
            o->value = hd_buf_take(&text);
        }
        if (o->value == NULL)
            o->value = hd_strdup("");
    }
}

int hd_effective(struct hd_function *fn, const struct hd_sources *from, struct hd_error *err)
{
    fn->dir = hd_strdup(from->found->dir);
    int rc = apply_settings(fn, from, err);
    if (rc == 0)
        rc = choose_runtime(fn, from, err);
    record_origins(fn, from);
    return rc;
}
