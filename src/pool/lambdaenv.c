#include "pool/lambdaenv.h"

#include "core/base64.h"
#include "core/buf.h"
#include "pool/alive.h"
#include "core/id.h"

#include <openssl/hmac.h>
#include <stdio.h>
#include <time.h>

enum { HASH_BYTES = 32, VALUE_MAX = 64 << 10 };

static const char key_id_prefix[] = "ASIA";

/* --- an instance's values --- */

static void derive(uint8_t out[HASH_BYTES], const uint8_t *key, const char *what, const char *id)
{
    char text[64];
    unsigned len = HASH_BYTES;
    int n = snprintf(text, sizeof(text), "%s:%s", what, id);
    if (key == NULL)
        hd_random(out, HASH_BYTES);
    else
        HMAC(EVP_sha256(), key, HD_LAMBDAENV_KEY_BYTES, (const unsigned char *)text, (size_t)n, out,
             &len);
}

static void make_secret(char out[HD_LAMBDAENV_SECRET_CHARS + 1], const uint8_t *key, const char *id)
{
    uint8_t hash[HASH_BYTES];
    char text[HASH_BYTES * 2];
    derive(hash, key, "secret", id);
    hd_base64_encode(text, HD_BASE64, hash, sizeof(hash)); /* 44 characters */
    memcpy(out, text, HD_LAMBDAENV_SECRET_CHARS);
    out[HD_LAMBDAENV_SECRET_CHARS] = '\0';
    explicit_bzero(hash, sizeof(hash));
    explicit_bzero(text, sizeof(text));
}

static void make_key_id(char out[HD_LAMBDAENV_KEY_ID_CHARS + 1], const char *instance)
{
    char drawn[HD_ALIVE_ID_CHARS + 1];
    if (instance == NULL) {
        hd_alive_draw(drawn);
        instance = drawn;
    }
    snprintf(out, HD_LAMBDAENV_KEY_ID_CHARS + 1, "%s%s", key_id_prefix, instance);
}

struct hd_str hd_lambdaenv_instance(struct hd_str access_key_id)
{
    struct hd_str prefix = hd_str(key_id_prefix);
    if (access_key_id.len != HD_LAMBDAENV_KEY_ID_CHARS || !hd_str_starts(access_key_id, prefix))
        return hd_str("");
    return hd_str_n(access_key_id.ptr + prefix.len, access_key_id.len - prefix.len);
}

void hd_lambdaenv_stream(char out[HD_LAMBDAENV_STREAM_MAX + 1], const char *version,
                         int64_t now_unix_s)
{
    uint8_t random[16];
    char hex[2 * sizeof(random) + 1];
    struct tm day;
    time_t now = (time_t)now_unix_s;
    hd_random(random, sizeof(random));
    hd_hex(hex, random, sizeof(random));
    gmtime_r(&now, &day);
    snprintf(out, HD_LAMBDAENV_STREAM_MAX + 1, "%04d/%02d/%02d/[%.20s]%s", day.tm_year + 1900,
             day.tm_mon + 1, day.tm_mday, version, hex);
}

void hd_lambdaenv_draw(struct hd_lambdaenv_instance *out, const uint8_t *key, const char *version,
                       const char *instance, int64_t now_unix_s)
{
    uint8_t hash[HASH_BYTES];
    hd_lambdaenv_stream(out->log_stream, version, now_unix_s);
    make_key_id(out->access_key_id, instance);
    make_secret(out->secret_access_key, key, out->access_key_id);
    derive(hash, key, "session", out->access_key_id);
    hd_hex(out->session_token, hash, sizeof(hash));
    explicit_bzero(hash, sizeof(hash));
}

int hd_lambdaenv_secret(char out[HD_LAMBDAENV_SECRET_CHARS + 1], const uint8_t *key,
                        struct hd_str access_key_id)
{
    char id[HD_LAMBDAENV_KEY_ID_CHARS + 1];
    if (access_key_id.len != HD_LAMBDAENV_KEY_ID_CHARS ||
        !hd_str_starts(access_key_id, hd_str(key_id_prefix)))
        return HD_ENOTFOUND;
    memcpy(id, access_key_id.ptr, HD_LAMBDAENV_KEY_ID_CHARS);
    id[HD_LAMBDAENV_KEY_ID_CHARS] = '\0';
    make_secret(out, key, id);
    return 0;
}

/* "<account>.<64 hex digits>". @return to free, or NULL: there is no account. */
static char *make_token(const char *seed, const char *account)
{
    uint8_t hash[HASH_BYTES];
    char hex[2 * HASH_BYTES + 1];
    unsigned len = HASH_BYTES;
    if (account == NULL)
        return hd_strdup(seed);
    HMAC(EVP_sha256(), seed, (int)strlen(seed), (const unsigned char *)account, strlen(account),
         hash, &len);
    hd_hex(hex, hash, sizeof(hash));
    return hd_printf("%s.%s", account, hex);
}

bool hd_lambdaenv_account(char out[13], const uint8_t *key, struct hd_str access_key_id,
                          struct hd_str token)
{
    char id[HD_LAMBDAENV_KEY_ID_CHARS + 1], seed[HD_LAMBDAENV_SESSION_CHARS + 1];
    uint8_t hash[HASH_BYTES];
    if (access_key_id.len != HD_LAMBDAENV_KEY_ID_CHARS || hd_str_find(token, '.') != 12)
        return false;
    memcpy(id, access_key_id.ptr, HD_LAMBDAENV_KEY_ID_CHARS);
    id[HD_LAMBDAENV_KEY_ID_CHARS] = '\0';
    memcpy(out, token.ptr, 12);
    out[12] = '\0';
    derive(hash, key, "session", id);
    hd_hex(seed, hash, sizeof(hash));
    hd_auto_free char *expected = make_token(seed, out);
    bool same = hd_str_eq_secret(token, hd_str(expected));
    explicit_bzero(seed, sizeof(seed));
    explicit_bzero(hash, sizeof(hash));
    return same;
}

/* --- the table --- */

struct table {
    struct hd_strings *out;
    size_t begin; /* of ours in it */
    const char *task, *runtime, *opt;
};

static bool same_name(const char *pair, const char *name, size_t len)
{
    return strncmp(pair, name, len) == 0 && pair[len] == '=';
}

/* Each name once: a later value takes the place of an earlier one. @param pair  taken over. */
static void set_pair(struct table *t, char *pair)
{
    size_t len = strcspn(pair, "=");
    for (size_t i = t->begin; i < t->out->n; i++) {
        if (!same_name(t->out->items[i], pair, len))
            continue;
        explicit_bzero(t->out->items[i], strlen(t->out->items[i]));
        free(t->out->items[i]);
        t->out->items[i] = pair;
        return;
    }
    hd_strings_take(t->out, pair);
}

static void set(struct table *t, const char *name, const char *value)
{
    if (value != NULL)
        set_pair(t, hd_printf("%s=%s", name, value));
}

/* Set a list of folders, ":" between them: each is a letter for its root and a path. T: /var/task,
 * R: /var/runtime, O: /opt, left out where there are no layers; /: as it stands. */
static void set_folders(struct table *t, const char *name, const char *const *folders,
                        const char *last)
{
    struct hd_buf b;
    hd_buf_init(&b, VALUE_MAX);
    for (; *folders != NULL; folders++) {
        const char *f = *folders, *root = "";
        if (f[0] == 'O' && t->opt[0] == '\0')
            continue;
        if (f[0] != '/')
            root = f[0] == 'T' ? t->task : f[0] == 'R' ? t->runtime : t->opt;
        hd_buf_fmt(&b, "%s%s%s", b.len > 0 ? ":" : "", root, f + (f[0] != '/'));
    }
    if (last != NULL && last[0] != '\0')
        hd_buf_fmt(&b, ":%s", last);
    hd_auto_free char *value = hd_buf_take(&b);
    set(t, name, value);
}

static void set_function(struct table *t, const struct hd_launch *what,
                         const struct hd_lambdaenv_instance *instance)
{
    const struct hd_launch_lambda *l = what->lambda;
    char memory[16];
    snprintf(memory, sizeof(memory), "%u", what->memory_mb);
    set(t, "AWS_LAMBDA_FUNCTION_NAME", l->name);
    set(t, "AWS_LAMBDA_FUNCTION_VERSION", l->qualifier);
    set(t, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory);
    set(t, "AWS_LAMBDA_LOG_GROUP_NAME", l->log_group);
    set(t, "AWS_LAMBDA_LOG_STREAM_NAME",
        l->log_stream != NULL ? l->log_stream : instance->log_stream);
    set(t, "AWS_LAMBDA_INITIALIZATION_TYPE",
        l->provisioned ? "provisioned-concurrency" : "on-demand");
    set(t, "AWS_LAMBDA_LOG_FORMAT", l->log_json ? "JSON" : "Text");
    set(t, "AWS_LAMBDA_LOG_LEVEL", l->log_json ? l->log_level : NULL);
    set(t, "AWS_REGION", l->region);
    set(t, "AWS_DEFAULT_REGION", l->region);
    set(t, "AWS_ACCESS_KEY_ID", instance->access_key_id);
    set(t, "AWS_SECRET_ACCESS_KEY", instance->secret_access_key);
    hd_auto_free char *token = make_token(instance->session_token, l->account);
    set(t, "AWS_SESSION_TOKEN", token);
    set(t, "AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR");
    set(t, "_HANDLER", what->handler);
}

static void set_machine(struct table *t, const struct hd_lambdaenv_places *places)
{
    static const char *const path[] = {"/var/lang/bin", "/usr/local/bin", "/usr/bin/",
                                       "/bin",          "O/bin",          NULL};
    static const char *const libraries[] = {
        "/var/lang/lib", "/lib64", "/usr/lib64", "R", "R/lib", "T", "T/lib", "O/lib", NULL};
    set(t, "LAMBDA_TASK_ROOT", t->task);
    set(t, "LAMBDA_RUNTIME_DIR", t->runtime);
    set(t, "TZ", ":UTC");
    set(t, "LANG", "en_US.UTF-8");
    set_folders(t, "PATH", path, places->path);
    set_folders(t, "LD_LIBRARY_PATH", libraries, NULL);
    set(t, "PWD", t->task);
    set(t, "SHLVL", "0");
    set(t, "AWS_LAMBDA_RUNTIME_API", places->runtime_api);
    set(t, "AWS_ENDPOINT_URL", places->endpoint);
    set(t, "AWS_ENDPOINT_URL_LAMBDA", places->endpoint);
}

/* "nodejs20.x" ─► "20", "ruby3.3" ─► "3.3" */
static struct hd_str version_of(const char *id, const char *family)
{
    struct hd_str s = hd_str(id + strlen(family));
    if (hd_str_ends(s, (struct hd_str)HD_LIT(".x")))
        s.len -= 2;
    return s;
}

static void set_node(struct table *t, const char *id)
{
    struct hd_str version = version_of(id, "nodejs");
    hd_auto_free char *own = hd_printf("O/nodejs/node%.*s/node_modules", HD_FMT(version));
    const char *const folders[] = {own, "O/nodejs/node_modules", "R/node_modules", "R", "T", NULL};
    set_folders(t, "NODE_PATH", folders, NULL);
}

static void set_ruby(struct table *t, const char *id)
{
    struct hd_str version = version_of(id, "ruby");
    hd_auto_free char *bundled = hd_printf("T/vendor/bundle/ruby/%.*s.0", HD_FMT(version));
    hd_auto_free char *layered = hd_printf("O/ruby/gems/%.*s.0", HD_FMT(version));
    const char *const gems[] = {bundled, layered, NULL};
    static const char *const libraries[] = {"T", "R/lib", "O/ruby/lib", NULL};
    set_folders(t, "GEM_PATH", gems, NULL);
    set_folders(t, "RUBYLIB", libraries, NULL);
}

static void set_runtime(struct table *t, const char *id)
{
    static const char *const python[] = {"R", NULL};
    static const char *const java[] = {"T", "T/lib/*", "O/java/lib/*", NULL};
    struct hd_str name = hd_str(id);
    if (id == NULL || hd_str_starts(name, hd_str("provided")))
        return;
    hd_auto_free char *execution = hd_printf("AWS_Lambda_%s", id);
    set(t, "AWS_EXECUTION_ENV", execution);
    if (hd_str_starts(name, hd_str("nodejs")))
        set_node(t, id);
    else if (hd_str_starts(name, hd_str("python")))
        set_folders(t, "PYTHONPATH", python, NULL);
    else if (hd_str_starts(name, hd_str("ruby")))
        set_ruby(t, id);
    else if (hd_str_starts(name, hd_str("java")))
        set_folders(t, "CLASSPATH", java, NULL);
}

static const char *or_else(const char *s, const char *otherwise)
{
    return s != NULL ? s : otherwise;
}

void hd_lambdaenv_list(struct hd_strings *out, const struct hd_launch *what,
                       const struct hd_lambdaenv_places *places,
                       const struct hd_lambdaenv_instance *instance)
{
    struct table t = {.out = out,
                      .begin = out->n,
                      .task = or_else(places->task_root, "/var/task"),
                      .runtime = or_else(places->runtime_dir, "/var/runtime"),
                      .opt = or_else(places->opt_dir, "/opt")};
    set_function(&t, what, instance);
    set_machine(&t, places);
    set_runtime(&t, what->lambda->runtime_id);
    for (const char *const *p = what->env; p != NULL && *p != NULL; p++)
        if (strchr(*p, '=') != NULL)
            set_pair(&t, hd_strdup(*p));
}

/* --- names --- */

static bool is_one_of(struct hd_str name, const char *const *list)
{
    for (; *list != NULL; list++)
        if (hd_str_is(name, *list))
            return true;
    return false;
}

bool hd_lambdaenv_is_reserved(struct hd_str name)
{
    static const char *const names[] = {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
        NULL,
    };
    return is_one_of(name, names);
}

bool hd_lambdaenv_is_for_extensions(struct hd_str name)
{
    static const char *const names[] = {"AWS_EXECUTION_ENV",          "AWS_LAMBDA_LOG_GROUP_NAME",
                                        "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_XRAY_CONTEXT_MISSING",
                                        "AWS_XRAY_DAEMON_ADDRESS",    "LAMBDA_RUNTIME_DIR",
                                        "LAMBDA_TASK_ROOT",           NULL};
    return !hd_str_starts(name, hd_str("_")) && !is_one_of(name, names);
}
