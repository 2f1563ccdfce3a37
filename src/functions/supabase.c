#include "functions/supabase.h"

#include "functions/file.h"
#include "functions/toml.h"

struct reading {
    struct hd_supabase *out;
    const char *file, *dir;
};

/* Keys of a section, and which key of a manifest each one is. */
static const struct {
    const char *name;
    enum hd_key key;
    enum hd_toml_kind kind;
    const char *expected;
} known[] = {
    {"verify_jwt", HD_KEY_VERIFY_JWT, HD_TOML_BOOL, "true or false"},
    {"enabled", HD_KEY_ENABLED, HD_TOML_BOOL, "true or false"},
    {"import_map", HD_KEY_IMPORT_MAP, HD_TOML_STRING, "a text"},
    {"entrypoint", HD_KEY_ENTRY, HD_TOML_STRING, "a text"},
};

static struct hd_supabase_function *section(struct reading *r, const char *name)
{
    struct hd_supabase *s = r->out;
    struct hd_supabase_function *f = hd_map_get(&s->by_name, hd_str(name));
    if (f != NULL)
        return f;
    if (s->n == 0 || (s->n & (s->n - 1)) == 0) { /* room is 1, 2, 4, 8, ... */
        struct hd_supabase_function **more =
            hd_new_array(struct hd_supabase_function *, s->n > 0 ? s->n * 2 : 1);
        if (s->n > 0)
            memcpy(more, s->functions, s->n * sizeof(*more));
        free(s->functions);
        s->functions = more;
    }
    f = hd_new(struct hd_supabase_function);
    f->name = hd_strdup(name);
    hd_manifest_init(&f->manifest, r->file);
    s->functions[s->n++] = f;
    hd_map_put(&s->by_name, hd_str(f->name), f);
    return f;
}

static void set(struct reading *r, struct hd_supabase_function *f, enum hd_key key,
                const struct hd_toml_value *v)
{
    struct hd_error why;
    hd_auto_free char *relative = hd_strdup_n(v->text);
    hd_auto_free char *joined = hd_file_join(r->dir, relative);
    hd_auto_free char *path = hd_file_clean(joined);
    struct hd_str text = v->kind == HD_TOML_BOOL ? hd_str(v->on ? "true" : "false")
                         : v->text.len > 0       ? hd_str(path)
                                                 : v->text;
    if (v->kind == HD_TOML_STRING && v->text.len == 0)
        return; /* the project template has empty texts for "not set" */
    if (hd_manifest_set(&f->manifest, key, text, v->line, &why) < 0 && f->problem == NULL)
        f->problem = hd_strdup(why.msg);
}

static int on_value(void *arg, const struct hd_toml_value *v)
{
    struct reading *r = arg;
    if (v->path->n < 3 || strcmp(v->path->items[0], "functions") != 0)
        return 0;
    const char *key = v->path->items[2];
    struct hd_supabase_function *f = section(r, v->path->items[1]);
    for (size_t i = 0; i < HD_COUNT(known) && v->path->n == 3; i++) {
        if (strcmp(known[i].name, key) != 0)
            continue;
        if (v->kind == known[i].kind)
            set(r, f, known[i].key, v);
        else if (f->problem == NULL)
            f->problem = hd_printf("%s:%u: functions.%s.%s: must be %s", r->file, v->line, f->name,
                                   key, known[i].expected);
        return 0;
    }
    if (strcmp(key, "static_files") != 0) /* files a function reads are found without it */
        hd_strings_addf(&f->manifest.warnings, "%s:%u: functions.%s.%s: unknown key; it is ignored",
                        r->file, v->line, f->name, key);
    return 0;
}

int hd_supabase_read(struct hd_supabase *out, struct hd_str text, const char *file, const char *dir,
                     struct hd_error *err)
{
    *out = (struct hd_supabase){0};
    hd_map_init(&out->by_name, 0);
    struct reading r = {.out = out, .file = file, .dir = dir};
    int rc = hd_toml_read(text, on_value, &r, err);
    if (rc == 0)
        return 0;
    hd_supabase_done(out);
    if (err != NULL) { /* "12: what" becomes "config.toml:12: what" */
        struct hd_error line = *err;
        return hd_fail(err, rc, "%s:%s", file, line.msg);
    }
    return rc;
}

void hd_supabase_done(struct hd_supabase *s)
{
    hd_map_done(&s->by_name);
    for (size_t i = 0; i < s->n; i++) {
        hd_manifest_done(&s->functions[i]->manifest);
        free(s->functions[i]->name);
        free(s->functions[i]->problem);
        free(s->functions[i]);
    }
    free(s->functions);
    *s = (struct hd_supabase){0};
}

const struct hd_supabase_function *hd_supabase_find(const struct hd_supabase *s, const char *name)
{
    return hd_map_get(&s->by_name, hd_str(name));
}
