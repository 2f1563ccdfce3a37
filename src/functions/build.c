#include "functions/build.h"

#include "core/clock.h"
#include "functions/content.h"

enum { MANIFEST_MAX = 256 << 10 };

void hd_built_done(struct hd_built *b)
{
    hd_function_unref(b->fn);
    free(b->disabled_by);
    hd_graph_files_done(&b->needs);
    *b = (struct hd_built){0};
}

/* The first problem is the one that is told. */
static void set_problem(struct hd_function *fn, const char *what)
{
    if (fn->problem == NULL)
        fn->problem = hd_strdup(what);
}

static void warn_all(struct hd_function *fn, const struct hd_strings *warnings)
{
    for (size_t i = 0; i < warnings->n; i++)
        hd_strings_add(&fn->warnings, hd_str(warnings->items[i]));
}

/* Whether a file was written so short a time ago that who does so may not be done. */
static bool is_fresh(const struct hd_build_context *c, const struct stat *st)
{
    int64_t age_ms = hd_clock_unix_ms() - hd_file_id_of(st).ctime_ns / 1000000;
    return age_ms >= 0 && age_ms < c->quiet_ms;
}

/* @return whether there is a manifest, read into `m` as far as it can be. */
static bool read_manifest(struct hd_manifest *m, struct hd_built *out,
                          const struct hd_build_context *c, const struct hd_found *found)
{
    bool lenient = !found->has_heddle_json;
    const char *name = lenient ? "1tube.json" : "heddle.json";
    if (lenient && !found->has_1tube_json)
        return false;
    hd_auto_free char *path = hd_file_join(found->dir, name);
    hd_auto_free char *shown = hd_printf("%s/%s", found->name, name);
    struct hd_error why;
    struct stat st;
    struct hd_buf text;
    hd_manifest_init(m, shown);
    hd_buf_init(&text, MANIFEST_MAX);
    int rc = hd_file_read(&text, path, &st, &why);
    if (rc < 0) {
        hd_wrap(&why, rc, "%s", shown);
    } else {
        rc = hd_manifest_parse(m, hd_buf_view(&text), lenient, &why);
        out->unsettled = rc < 0 && is_fresh(c, &st);
    }
    if (rc < 0)
        set_problem(out->fn, why.msg);
    hd_buf_done(&text);
    return true;
}

static struct hd_env_input env_input(const struct hd_build_context *c)
{
    const struct hd_defaults *d = c->defaults;
    return (struct hd_env_input){.process = c->process_env,
                                 .built_in = c->built_in_env,
                                 .shared = c->shared,
                                 .n_shared = c->n_shared,
                                 .dev = d->dev,
                                 .enforce = d->enforce && !d->allow_all};
}

struct hd_env *hd_build_common_env(const struct hd_build_context *c)
{
    struct hd_env_input in = env_input(c);
    struct hd_strings none = {0};
    struct hd_env *env = hd_env_build(&in, &none);
    hd_strings_done(&none);
    return env;
}

static void set_env(struct hd_function *fn, const struct hd_build_context *c,
                    const struct hd_sources *from)
{
    const struct hd_value *own = hd_sources_value(from, HD_KEY_ENV);
    const struct hd_value *allow = hd_sources_value(from, HD_KEY_ALLOW_ENV);
    struct hd_env_file file = {0};
    if (from->found->has_env) {
        hd_auto_free char *path = hd_file_join(from->found->dir, ".env");
        hd_auto_free char *shown = hd_printf("%s/.env", fn->name);
        struct hd_error why;
        if (hd_env_file_read(&file, path, shown, &why) < 0)
            set_problem(fn, why.msg);
        warn_all(fn, &file.warnings);
    }
    if (file.n == 0 && own == NULL && allow == NULL) {
        fn->env_block = hd_env_ref(c->common_env);
    } else {
        struct hd_env_input in = env_input(c);
        in.own = &file;
        in.manifest = own != NULL ? from->manifest : NULL;
        in.allow = allow != NULL ? &allow->list : NULL;
        fn->env_block = hd_env_build(&in, &fn->warnings);
    }
    fn->env = fn->env_block->vars;
    hd_env_file_done(&file);
}

static void set_version(struct hd_built *out, const struct hd_build_context *c)
{
    struct hd_function *fn = out->fn;
    struct hd_graph_files files = {0};
    if (!hd_content_gather(&files, c->graph, fn, c->root))
        hd_strings_addf(&fn->warnings,
                        "%s: the folder has more than 4096 files; changes of the rest go unnoticed",
                        fn->name);
    hd_content_version(fn->version, &files, fn, c->root);
    for (size_t i = 0; i < files.n; i++) {
        if (!hd_file_within(files.items[i]->path, fn->dir))
            hd_graph_files_add(&out->needs, files.items[i]);
    }
    hd_graph_files_done(&files);
}

/* The manifest is read; the rest follows from it. */
static void build(struct hd_built *out, const struct hd_build_context *c,
                  const struct hd_sources *from)
{
    struct hd_function *fn = out->fn;
    struct hd_error why;
    if (hd_effective(fn, from, &why) < 0)
        set_problem(fn, why.msg);
    set_env(fn, c, from);
    set_version(out, c);
    hd_content_identity(out->identity, fn);
}

static bool is_disabled(struct hd_built *out, const struct hd_sources *from)
{
    const struct hd_value *enabled = hd_sources_value(from, HD_KEY_ENABLED);
    if (enabled == NULL || enabled->n != 0 || out->fn->problem != NULL)
        return false;
    const char *file = from->manifest != NULL && enabled == &from->manifest->v[HD_KEY_ENABLED]
                           ? from->manifest->file
                           : from->config_toml->file;
    out->disabled_by = hd_printf("%s:%u", file, enabled->line);
    return true;
}

void hd_build_function(struct hd_built *out, const struct hd_build_context *c,
                       const struct hd_found *found)
{
    const struct hd_supabase_function *section = hd_supabase_find(c->config_toml, found->name);
    bool entry_named = section != NULL && section->manifest.v[HD_KEY_ENTRY].given;
    *out = (struct hd_built){0};
    if (!hd_found_is_function(found) && !entry_named)
        return;
    struct hd_manifest m = {0};
    out->fn = hd_function_new(found->name);
    if (found->problem != NULL)
        set_problem(out->fn, found->problem);
    bool has_manifest = read_manifest(&m, out, c, found);
    if (section != NULL && section->problem != NULL)
        set_problem(out->fn, section->problem);
    const struct hd_sources from = {.found = found,
                                    .manifest = has_manifest ? &m : NULL,
                                    .config_toml = section != NULL ? &section->manifest : NULL,
                                    .defaults = c->defaults,
                                    .root_import_map = c->root_import_map};
    warn_all(out->fn, &m.warnings);
    if (section != NULL)
        warn_all(out->fn, &section->manifest.warnings);
    if (is_disabled(out, &from)) {
        hd_function_unref(out->fn);
        out->fn = NULL;
    } else {
        build(out, c, &from);
    }
    if (has_manifest)
        hd_manifest_done(&m);
}
