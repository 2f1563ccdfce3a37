#include "functions/registry.h"

#include "functions/build.h"
#include "functions/file.h"
#include "functions/names.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>

enum { CONFIG_MAX = 1 << 20, ENV_FILES_MAX = 64, PATHS_MAX = 1000 };

/* One function as of the last time it was looked at. */
struct record {
    char *name;
    struct hd_function *fn;
    char identity[33];
    struct hd_graph_files needs;
};

/* One env file for all functions. */
struct shared_env {
    char *path, *shown;
    bool named;              /* by the operator: missing is worth a note */
    struct hd_env_file file; /* as last read without an error */
};

struct hd_registry {
    pthread_mutex_t lock; /* over all below, during a scan */
    char *root, *root_import_map, *config_paths[2];
    struct hd_registry_options opt; /* its paths are not used after new() */
    struct hd_graph *graph;
    struct hd_supabase config_toml;
    struct shared_env shared[ENV_FILES_MAX];
    const struct hd_env_file *shared_files[ENV_FILES_MAX];
    size_t n_shared;
    struct hd_env *common_env;
    struct hd_map records;   /* of struct record by name */
    struct hd_strings notes; /* of the last full scan */
    struct hd_snapshot *snapshot;
    uint64_t generation;
};

void hd_scan_done(struct hd_scan *s)
{
    hd_snapshot_unref(s->snapshot);
    hd_strings_done(&s->added);
    hd_strings_done(&s->removed);
    hd_strings_done(&s->changed);
    hd_strings_done(&s->settled);
    hd_strings_done(&s->again);
    hd_strings_done(&s->notes);
    hd_strings_done(&s->env_added);
    hd_strings_done(&s->env_changed);
    hd_strings_done(&s->env_removed);
    *s = (struct hd_scan){0};
}

static void add_env_path(struct hd_registry *r, const char *path, bool named)
{
    for (size_t i = 0; i < r->n_shared; i++) {
        if (strcmp(r->shared[i].path, path) == 0)
            return;
    }
    if (r->n_shared == ENV_FILES_MAX)
        return;
    const char *base = strrchr(path, '/');
    bool in_root = hd_file_within(path, r->root);
    char *shown = named || base == NULL ? hd_strdup(path)
                  : in_root             ? hd_printf("functions%s", base)
                                        : hd_strdup(base + 1);
    r->shared[r->n_shared++] =
        (struct shared_env){.path = hd_strdup(path), .shown = shown, .named = named};
}

static void add_env_folder(struct hd_registry *r, const char *dir)
{
    static const char *const names[] = {".env", ".env.local", ".env.development"};
    size_t n = r->opt.defaults->dev ? HD_COUNT(names) : HD_COUNT(names) - 1;
    for (size_t i = 0; i < n; i++) {
        hd_auto_free char *path = hd_file_join(dir, names[i]);
        add_env_path(r, path, false);
    }
}

/* Weakest first: the project's, the root's, the named ones. */
static void choose_env_files(struct hd_registry *r)
{
    char real[PATH_MAX];
    bool named = r->opt.env_files != NULL && r->opt.env_files[0] != NULL;
    if (!named && r->opt.project_dir != NULL && realpath(r->opt.project_dir, real) != NULL)
        add_env_folder(r, real);
    add_env_folder(r, r->root);
    for (size_t i = 0; named && r->opt.env_files[i] != NULL; i++) {
        hd_auto_free char *absolute = realpath(r->opt.env_files[i], NULL);
        add_env_path(r, absolute != NULL ? absolute : r->opt.env_files[i], true);
    }
}

int hd_registry_new(struct hd_registry **out, const struct hd_registry_options *opt,
                    struct hd_error *err)
{
    char *root = realpath(opt->root, NULL);
    if (root == NULL)
        return hd_fail_sys(err, errno, "functions folder %s", opt->root);
    struct stat st;
    if (stat(root, &st) < 0 || !S_ISDIR(st.st_mode)) {
        free(root);
        return hd_fail(err, HD_EINVAL, "functions folder %s: is not a folder", opt->root);
    }
    struct hd_registry *r = hd_new(struct hd_registry);
    r->opt = *opt;
    r->root = root;
    pthread_mutex_init(&r->lock, NULL);
    r->graph = hd_graph_new();
    hd_map_init(&r->records, 0);
    hd_map_init(&r->config_toml.by_name, 0);
    hd_auto_free char *above = hd_file_join(root, "../config.toml");
    r->config_paths[0] = hd_file_clean(above);
    r->config_paths[1] = hd_file_join(root, "config.toml");
    choose_env_files(r);
    *out = r;
    return 0;
}

static void free_record(struct record *rec)
{
    if (rec == NULL)
        return;
    hd_function_unref(rec->fn);
    hd_graph_files_done(&rec->needs);
    free(rec->name);
    free(rec);
}

void hd_registry_free(struct hd_registry *r)
{
    if (r == NULL)
        return;
    void *item;
    for (size_t at = 0; hd_map_next(&r->records, &at, NULL, &item);)
        free_record(item);
    hd_map_done(&r->records);
    hd_snapshot_unref(r->snapshot);
    hd_env_unref(r->common_env);
    hd_supabase_done(&r->config_toml);
    hd_graph_free(r->graph);
    hd_strings_done(&r->notes);
    for (size_t i = 0; i < r->n_shared; i++) {
        hd_env_file_done(&r->shared[i].file);
        free(r->shared[i].path);
        free(r->shared[i].shown);
    }
    free(r->root);
    free(r->root_import_map);
    free(r->config_paths[0]);
    free(r->config_paths[1]);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

const char *hd_registry_root(const struct hd_registry *r)
{
    return r->root;
}

/* --- what all functions have in common --- */

static void read_config_toml(struct hd_registry *r)
{
    struct hd_error why;
    for (size_t i = 0; i < HD_COUNT(r->config_paths); i++) {
        const char *path = r->config_paths[i];
        struct hd_buf text;
        hd_buf_init(&text, CONFIG_MAX);
        int rc = hd_file_read(&text, path, NULL, &why);
        if (rc == HD_ENOTFOUND) {
            hd_buf_done(&text);
            continue;
        }
        struct hd_supabase fresh = {0};
        hd_auto_free char *dir = hd_strdup_n(hd_str_n(path, (size_t)(strrchr(path, '/') - path)));
        if (rc == 0)
            rc = hd_supabase_read(&fresh, hd_buf_view(&text), "config.toml", dir, &why);
        hd_buf_done(&text);
        if (rc < 0) {
            hd_strings_addf(&r->notes, "%s; what it said before about functions still holds",
                            why.msg);
            return;
        }
        hd_supabase_done(&r->config_toml);
        r->config_toml = fresh;
        return;
    }
    hd_supabase_done(&r->config_toml);
}

static void diff_env(struct hd_scan *out, const struct hd_env_file *before,
                     const struct hd_env_file *after)
{
    for (size_t i = 0; i < after->n; i++) {
        struct hd_str key = hd_str(after->vars[i].key);
        const struct hd_env_var *old = hd_env_file_find(before, key);
        if (old == NULL)
            hd_strings_add(&out->env_added, key);
        else if (strcmp(old->value, after->vars[i].value) != 0)
            hd_strings_add(&out->env_changed, key);
    }
    for (size_t i = 0; i < before->n; i++) {
        struct hd_str key = hd_str(before->vars[i].key);
        if (hd_env_file_find(after, key) == NULL)
            hd_strings_add(&out->env_removed, key);
    }
}

static void read_env_file(struct hd_registry *r, struct shared_env *e, struct hd_scan *out)
{
    struct hd_error why;
    struct hd_env_file fresh = {0};
    int rc = hd_env_file_read(&fresh, e->path, e->shown, &why);
    if (rc == HD_ENOTFOUND && e->named)
        hd_strings_addf(&r->notes, "%s", why.msg);
    if (rc < 0 && rc != HD_ENOTFOUND) {
        hd_strings_addf(&r->notes, "%s; what the file said before still holds", why.msg);
        return;
    }
    for (size_t i = 0; i < fresh.warnings.n; i++)
        hd_strings_add(&r->notes, hd_str(fresh.warnings.items[i]));
    diff_env(out, &e->file, &fresh);
    hd_env_file_done(&e->file);
    e->file = fresh;
}

static void find_root_import_map(struct hd_registry *r)
{
    struct stat st;
    free(r->root_import_map);
    r->root_import_map = NULL;
    for (size_t i = 0; i < HD_IMPORT_MAP_NAMES && r->root_import_map == NULL; i++) {
        char *path = hd_file_join(r->root, hd_import_map_names[i]);
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
            r->root_import_map = path;
        else
            free(path);
    }
}

static struct hd_build_context context(struct hd_registry *r)
{
    for (size_t i = 0; i < r->n_shared; i++)
        r->shared_files[i] = &r->shared[i].file;
    return (struct hd_build_context){.root = r->root,
                                     .defaults = r->opt.defaults,
                                     .config_toml = &r->config_toml,
                                     .root_import_map = r->root_import_map,
                                     .process_env = r->opt.process_env,
                                     .built_in_env = r->opt.built_in_env,
                                     .shared = r->shared_files,
                                     .n_shared = r->n_shared,
                                     .common_env = r->common_env,
                                     .quiet_ms = r->opt.quiet_ms,
                                     .graph = r->graph};
}

static void read_common(struct hd_registry *r, struct hd_scan *out)
{
    hd_strings_done(&r->notes);
    read_config_toml(r);
    for (size_t i = 0; i < r->n_shared; i++)
        read_env_file(r, &r->shared[i], out);
    find_root_import_map(r);
    struct hd_build_context c = context(r);
    hd_env_unref(r->common_env);
    r->common_env = hd_build_common_env(&c);
}

/* --- one function --- */

static void forget(struct hd_registry *r, const char *name, struct hd_scan *out)
{
    struct record *rec = hd_map_remove(&r->records, hd_str(name));
    if (rec == NULL)
        return;
    hd_strings_add(&out->removed, hd_str(name));
    free_record(rec);
}

static void keep(struct hd_registry *r, struct hd_built *b, struct hd_scan *out)
{
    struct hd_str name = hd_str(b->fn->name);
    struct record *rec = hd_map_get(&r->records, name);
    if (rec == NULL) {
        rec = hd_new(struct record);
        rec->name = hd_strdup(b->fn->name);
        hd_map_put(&r->records, hd_str(rec->name), rec);
        hd_strings_add(&out->added, name);
    } else if (strcmp(rec->identity, b->identity) != 0) {
        bool other = strcmp(rec->fn->version, b->fn->version) != 0 ||
                     (rec->fn->problem != NULL) != (b->fn->problem != NULL);
        hd_strings_add(other ? &out->changed : &out->settled, name);
    }
    if (strcmp(rec->identity, b->identity) != 0) {
        hd_function_unref(rec->fn);
        rec->fn = hd_steal(b->fn);
        memcpy(rec->identity, b->identity, sizeof(rec->identity));
    }
    hd_graph_files_done(&rec->needs);
    rec->needs = b->needs;
    b->needs = (struct hd_graph_files){0};
}

static void look_at(struct hd_registry *r, const struct hd_build_context *c,
                    const struct hd_found *found, struct hd_scan *out)
{
    struct hd_built b;
    hd_build_function(&b, c, found);
    const struct record *known = hd_map_get(&r->records, hd_str(found->name));
    if (b.unsettled && known != NULL && known->fn->problem == NULL)
        hd_strings_add(&out->again, hd_str(known->fn->dir));
    else if (b.fn != NULL)
        keep(r, &b, out);
    else
        forget(r, found->name, out);
    hd_built_done(&b);
}

/* --- scans --- */

static void finish(struct hd_registry *r, struct hd_scan *out)
{
    bool same =
        r->snapshot != NULL && out->added.n + out->removed.n + out->changed.n + out->settled.n == 0;
    if (!same) {
        struct hd_function **all = hd_new_array(struct hd_function *, r->records.count);
        size_t n = 0;
        void *item;
        for (size_t at = 0; hd_map_next(&r->records, &at, NULL, &item);)
            all[n++] = hd_function_ref(((struct record *)item)->fn);
        hd_snapshot_unref(r->snapshot);
        r->snapshot = hd_snapshot_new(all, n, ++r->generation);
    }
    hd_strings_sort(&out->added);
    hd_strings_sort(&out->removed);
    hd_strings_sort(&out->changed);
    hd_strings_sort(&out->settled);
    out->notes = hd_strings_copy(&r->notes);
    out->snapshot = hd_snapshot_ref(r->snapshot);
}

static bool is_found(const struct hd_discovery *d, const char *name)
{
    size_t from = 0, to = d->n;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = strcmp(d->items[middle].name, name);
        if (order == 0)
            return true;
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return false;
}

static void forget_all_but(struct hd_registry *r, const struct hd_discovery *d, struct hd_scan *out)
{
    struct hd_strings gone = {0};
    void *item;
    for (size_t at = 0; hd_map_next(&r->records, &at, NULL, &item);) {
        const struct record *rec = item;
        if (!is_found(d, rec->name))
            hd_strings_add(&gone, hd_str(rec->name));
    }
    for (size_t i = 0; i < gone.n; i++)
        forget(r, gone.items[i], out);
    hd_strings_done(&gone);
}

static void note_sections_without_folder(struct hd_registry *r, const struct hd_discovery *d)
{
    for (size_t i = 0; i < r->config_toml.n; i++) {
        const char *name = r->config_toml.functions[i]->name;
        if (!is_found(d, name))
            hd_strings_addf(&r->notes, "config.toml: functions.%s: there is no folder %s", name,
                            name);
    }
}

static int scan(struct hd_registry *r, struct hd_scan *out, struct hd_error *err)
{
    struct hd_discovery d;
    int rc = hd_discover(&d, r->root, err);
    if (rc < 0)
        return rc;
    hd_graph_begin(r->graph);
    read_common(r, out);
    const struct hd_build_context c = context(r);
    for (size_t i = 0; i < d.n; i++)
        look_at(r, &c, &d.items[i], out);
    forget_all_but(r, &d, out);
    note_sections_without_folder(r, &d);
    for (size_t i = 0; i < d.notes.n; i++)
        hd_strings_add(&r->notes, hd_str(d.notes.items[i]));
    hd_discovery_done(&d);
    hd_graph_prune(r->graph);
    finish(r, out);
    return 0;
}

int hd_registry_scan(struct hd_registry *r, struct hd_scan *out, struct hd_error *err)
{
    *out = (struct hd_scan){0};
    pthread_mutex_lock(&r->lock);
    int rc = scan(r, out, err);
    pthread_mutex_unlock(&r->lock);
    return rc;
}

/* --- what a changed path has to do with --- */

static bool concerns_all(const struct hd_registry *r, const char *path)
{
    if (hd_file_within(r->root, path))
        return true; /* the root itself, or a folder above it */
    for (size_t i = 0; i < HD_COUNT(r->config_paths); i++) {
        if (strcmp(path, r->config_paths[i]) == 0)
            return true;
    }
    for (size_t i = 0; i < r->n_shared; i++) {
        if (strcmp(path, r->shared[i].path) == 0)
            return true;
    }
    if (!hd_file_within(path, r->root))
        return false;
    const char *below = hd_file_below(path, r->root);
    for (size_t i = 0; i < HD_IMPORT_MAP_NAMES; i++) {
        if (strcmp(below, hd_import_map_names[i]) == 0)
            return true; /* a first one, too */
    }
    return false;
}

static bool concerns(const struct record *rec, const char *path)
{
    if (hd_file_within(path, rec->fn->dir) || hd_file_within(rec->fn->dir, path))
        return true;
    for (size_t i = 0; i < rec->needs.n; i++) {
        if (hd_file_within(rec->needs.items[i]->path, path))
            return true;
    }
    return false;
}

/* Collect the names of functions to look at. @return false: all of them. */
static bool collect(struct hd_registry *r, const char *path, struct hd_strings *names)
{
    if (concerns_all(r, path))
        return false;
    if (hd_file_within(path, r->root)) {
        const char *below = hd_file_below(path, r->root);
        struct hd_str name = hd_str_n(below, strcspn(below, "/"));
        enum hd_name_kind kind = hd_function_name_check(name, NULL);
        if (kind == HD_NAME_BAD)
            return false; /* the notes say so */
        if (kind == HD_NAME_GOOD)
            hd_strings_add(names, name);
    }
    void *item;
    for (size_t at = 0; hd_map_next(&r->records, &at, NULL, &item);) {
        const struct record *rec = item;
        if (concerns(rec, path))
            hd_strings_add(names, hd_str(rec->name));
    }
    return true;
}

static void rescan(struct hd_registry *r, struct hd_strings *names, struct hd_scan *out)
{
    hd_graph_begin(r->graph);
    const struct hd_build_context c = context(r);
    hd_strings_sort(names);
    for (size_t i = 0; i < names->n; i++) {
        struct hd_found found;
        if (i > 0 && strcmp(names->items[i], names->items[i - 1]) == 0)
            continue;
        if (hd_discover_one(&found, r->root, names->items[i]) == 0) {
            forget(r, names->items[i], out);
            continue;
        }
        look_at(r, &c, &found, out);
        hd_found_done(&found);
    }
    finish(r, out);
}

int hd_registry_rescan(struct hd_registry *r, const char *const *paths, size_t n,
                       struct hd_scan *out, struct hd_error *err)
{
    *out = (struct hd_scan){0};
    pthread_mutex_lock(&r->lock);
    struct hd_strings names = {0};
    bool some = r->snapshot != NULL && n <= PATHS_MAX;
    for (size_t i = 0; some && i < n; i++) {
        hd_auto_free char *path = hd_file_clean(paths[i]);
        some = collect(r, path, &names);
    }
    int rc = 0;
    if (some)
        rescan(r, &names, out);
    else
        rc = scan(r, out, err);
    hd_strings_done(&names);
    pthread_mutex_unlock(&r->lock);
    return rc;
}

void hd_registry_look(struct hd_registry *r, struct hd_str name, struct hd_code_state *out)
{
    *out = (struct hd_code_state){0};
    pthread_mutex_lock(&r->lock);
    const struct record *rec = hd_map_get(&r->records, name);
    if (rec != NULL) {
        const struct hd_resolve how = {
            .import_map = rec->fn->import_map, .root = r->root, .dir = rec->fn->dir};
        struct hd_graph_files files = {0};
        hd_graph_begin(r->graph);
        hd_graph_walk(r->graph, &files, rec->fn->entry, &how);
        out->stamp = 1;
        for (size_t i = 0; i < files.n; i++) {
            const struct hd_graph_file *f = files.items[i];
            out->stamp = hd_hash(f->path, strlen(f->path), out->stamp);
            out->stamp = hd_hash(&f->id, sizeof(f->id), out->stamp);
            out->changed_unix_ms = HD_MAX(out->changed_unix_ms, f->id.ctime_ns / 1000000);
        }
        hd_graph_files_done(&files);
    }
    pthread_mutex_unlock(&r->lock);
}

void hd_registry_watch_list(struct hd_registry *r, struct hd_strings *out)
{
    pthread_mutex_lock(&r->lock);
    struct hd_strings more = {0};
    void *item;
    for (size_t at = 0; hd_map_next(&r->records, &at, NULL, &item);) {
        const struct record *rec = item;
        if (!hd_file_within(rec->fn->dir, r->root))
            hd_strings_add(&more, hd_str(rec->fn->dir));
        for (size_t i = 0; i < rec->needs.n; i++) {
            if (!hd_file_within(rec->needs.items[i]->path, r->root))
                hd_strings_add(&more, hd_str(rec->needs.items[i]->path));
        }
    }
    for (size_t i = 0; i < r->n_shared; i++)
        hd_strings_add(&more, hd_str(r->shared[i].path));
    for (size_t i = 0; i < HD_COUNT(r->config_paths); i++)
        hd_strings_add(&more, hd_str(r->config_paths[i]));
    hd_strings_sort(&more);
    hd_strings_add(out, hd_str(r->root));
    for (size_t i = 0; i < more.n; i++) {
        if (i == 0 || strcmp(more.items[i], more.items[i - 1]) != 0)
            hd_strings_add(out, hd_str(more.items[i]));
    }
    hd_strings_done(&more);
    pthread_mutex_unlock(&r->lock);
}
