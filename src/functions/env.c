#include "functions/env.h"

#include "core/map.h"

#include <stdio.h>

/* What the host protocol gives to a host: another value would break the instance. */
static const char *const never[] = {"PORT", "HEDDLE_SOCKET", "HEDDLE_HOST_TOKEN", "HEDDLE_RUN_DIR"};
/* The node's own settings and secrets. */
static const char *const reserved[] = {"JWT_SECRET", "INTERNAL_KEY", "FUNCTIONS_PATH",
                                       "FUNCTION_TIMEOUT_MS"};
static const char *const reserved_prefixes[] = {"HEDDLE_", "1TUBE_", "ONETUBE_"};
/* Whoever has these is everybody's administrator. */
static const char *const service_keys[] = {"SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_SECRET_KEY",
                                           "SUPABASE_SECRET_KEYS"};
/* Left behind by the shell that started the node; different at every start. */
static const char *const shell_noise[] = {"_", "SHLVL", "PWD", "OLDPWD"};

static bool is_one_of(struct hd_str name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (hd_str_is(name, list[i]))
            return true;
    }
    return false;
}

static bool is_ours(struct hd_str name)
{
    for (size_t i = 0; i < HD_COUNT(reserved_prefixes); i++) {
        if (hd_str_starts(name, hd_str(reserved_prefixes[i])))
            return true;
    }
    return false;
}

static bool is_never(struct hd_str name)
{
    return is_one_of(name, never, HD_COUNT(never));
}

static bool is_reserved(const struct hd_env_input *in, struct hd_str name)
{
    return is_one_of(name, reserved, HD_COUNT(reserved)) || is_ours(name) ||
           (!in->dev && is_one_of(name, service_keys, HD_COUNT(service_keys)));
}

static bool is_named(const struct hd_env_input *in, struct hd_str name)
{
    return in->allow != NULL && hd_strings_has(in->allow, name);
}

static bool allows_all(const struct hd_env_input *in)
{
    return in->allow != NULL && hd_strings_has(in->allow, hd_str("*"));
}

static bool passes_from_process(const struct hd_env_input *in, struct hd_str name)
{
    if (is_never(name) || !hd_env_name_ok(name))
        return false;
    if (is_named(in, name))
        return true;
    if (is_reserved(in, name) || is_one_of(name, shell_noise, HD_COUNT(shell_noise)))
        return false;
    return allows_all(in) || (in->dev && !in->enforce);
}

static bool passes_from_shared(const struct hd_env_input *in, struct hd_str name)
{
    if (is_never(name))
        return false;
    if (is_named(in, name))
        return true;
    return !is_reserved(in, name) && (allows_all(in) || !in->enforce);
}

/* What the node itself made under its own prefix is meant for the function. */
static bool passes_built_in(const struct hd_env_input *in, struct hd_str name)
{
    return passes_from_shared(in, name) || (is_ours(name) && !is_never(name));
}

struct var {
    struct hd_str key, value;
    char *source;
};

struct build {
    struct hd_map by_key; /* of index + 1 */
    struct var *vars;
    size_t n, cap;
};

static void put(struct build *b, struct hd_str key, struct hd_str value, char *source)
{
    size_t at = (size_t)(uintptr_t)hd_map_get(&b->by_key, key);
    if (at > 0) {
        free(b->vars[at - 1].source);
        b->vars[at - 1].value = value;
        b->vars[at - 1].source = source;
        return;
    }
    if (b->n == b->cap) {
        size_t cap = b->cap > 0 ? b->cap * 2 : 64;
        struct var *more = hd_new_array(struct var, cap);
        if (b->n > 0)
            memcpy(more, b->vars, b->n * sizeof(*more));
        free(b->vars);
        b->vars = more;
        b->cap = cap;
    }
    b->vars[b->n++] = (struct var){key, value, source};
    hd_map_put(&b->by_key, key, (void *)(uintptr_t)b->n);
}

static bool cut(const char *pair, struct hd_str *key, struct hd_str *value)
{
    struct hd_str rest = hd_str(pair);
    if (!hd_str_split(key, &rest, '=') || rest.ptr == NULL)
        return false;
    *value = rest;
    return true;
}

static void add_pairs(struct build *b, const struct hd_env_input *in, const char *const *pairs,
                      bool (*passes)(const struct hd_env_input *in, struct hd_str name),
                      const char *source)
{
    struct hd_str key, value;
    for (size_t i = 0; pairs != NULL && pairs[i] != NULL; i++) {
        if (cut(pairs[i], &key, &value) && passes(in, key))
            put(b, key, value, hd_strdup(source));
    }
}

static void warn_never(struct hd_strings *warnings, const char *file, unsigned line,
                       struct hd_str key)
{
    hd_strings_addf(warnings, "%s:%u: %.*s: is set for each instance by the gateway; it is ignored",
                    file, line, HD_FMT(key));
}

static void add_file(struct build *b, const struct hd_env_input *in, const struct hd_env_file *f,
                     bool own, struct hd_strings *warnings)
{
    for (size_t i = 0; i < f->n; i++) {
        struct hd_str key = hd_str(f->vars[i].key);
        if (own && is_never(key))
            warn_never(warnings, f->name, f->vars[i].line, key);
        else if (own || passes_from_shared(in, key))
            put(b, key, hd_str(f->vars[i].value), hd_printf("%s:%u", f->name, f->vars[i].line));
    }
}

static void add_manifest(struct build *b, const struct hd_manifest *m, struct hd_strings *warnings)
{
    const struct hd_value *v = &m->v[HD_KEY_ENV];
    struct hd_str key, value;
    for (size_t i = 0; i < v->list.n; i++) {
        if (!cut(v->list.items[i], &key, &value))
            continue;
        if (is_never(key))
            warn_never(warnings, m->file, v->line, key);
        else
            put(b, key, value, hd_printf("%s:%u", m->file, v->line));
    }
}

static int by_key(const void *a, const void *b)
{
    return hd_str_cmp(((const struct var *)a)->key, ((const struct var *)b)->key);
}

static struct hd_env *finish(struct build *b)
{
    struct hd_env *e = hd_new(struct hd_env);
    e->owners = 1;
    e->vars = hd_new_array(char *, b->n + 1);
    if (b->n > 1)
        qsort(b->vars, b->n, sizeof(*b->vars), by_key);
    for (size_t i = 0; i < b->n; i++) {
        const struct var *v = &b->vars[i];
        char *pair = hd_alloc(v->key.len + v->value.len + 2);
        memcpy(pair, v->key.ptr, v->key.len);
        pair[v->key.len] = '=';
        if (v->value.len > 0)
            memcpy(pair + v->key.len + 1, v->value.ptr, v->value.len);
        e->vars[i] = pair;
        hd_strings_take(&e->sources, v->source);
    }
    free(b->vars);
    hd_map_done(&b->by_key);
    return e;
}

struct hd_env *hd_env_build(const struct hd_env_input *in, struct hd_strings *warnings)
{
    struct build b = {0};
    hd_map_init(&b.by_key, 0);
    add_pairs(&b, in, in->process, passes_from_process, "environment");
    add_pairs(&b, in, in->built_in, passes_built_in, "built in");
    for (size_t i = 0; i < in->n_shared; i++)
        add_file(&b, in, in->shared[i], false, warnings);
    if (in->own != NULL)
        add_file(&b, in, in->own, true, warnings);
    if (in->manifest != NULL)
        add_manifest(&b, in->manifest, warnings);
    return finish(&b);
}

struct hd_env *hd_env_ref(struct hd_env *e)
{
    atomic_fetch_add_explicit(&e->owners, 1, memory_order_relaxed);
    return e;
}

void hd_env_unref(struct hd_env *e)
{
    if (e == NULL || atomic_fetch_sub_explicit(&e->owners, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; e->vars[i] != NULL; i++) {
        explicit_bzero(e->vars[i], strlen(e->vars[i]));
        free(e->vars[i]);
    }
    free(e->vars);
    hd_strings_done(&e->sources);
    free(e);
}

bool hd_env_is_secret(struct hd_str name)
{
    static const char *const words[] = {"SECRET", "TOKEN",        "PASSWORD",   "PASSWD",
                                        "KEY",    "PRIVATE",      "CREDENTIAL", "DSN",
                                        "AUTH",   "DATABASE_URL", "DB_URL",     "CONNECTION"};
    for (size_t i = 0; i < HD_COUNT(words); i++) {
        if (memmem(name.ptr, name.len, words[i], strlen(words[i])) != NULL)
            return true;
    }
    return false;
}
