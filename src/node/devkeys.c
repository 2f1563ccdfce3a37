#include "node/devkeys.h"

#include "auth/jwt.h"
#include "core/clock.h"
#include "core/id.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECRET_BYTES = 32, FILE_MAX_BYTES = 16384, TEN_YEARS_S = 10 * 365 * 86400 };

static char *file_in(const char *data_dir)
{
    return hd_printf("%s/dev-keys.json", data_dir);
}

static void wipe(char **s)
{
    if (*s != NULL)
        explicit_bzero(*s, strlen(*s));
    free(*s);
    *s = NULL;
}

void hd_devkeys_done(struct hd_devkeys *keys)
{
    wipe(&keys->jwt_secret);
    wipe(&keys->anon_key);
    wipe(&keys->service_key);
}

/* A token of one role, good for ten years: it opens nothing but this folder's development node. */
static int sign(char **out, const struct hd_jwk *key, const char *role, int64_t now_s,
                struct hd_error *err)
{
    char payload[200];
    snprintf(payload, sizeof(payload),
             "{\"role\":\"%s\",\"iss\":\"heddle-dev\",\"iat\":%lld,\"exp\":%lld}", role,
             (long long)now_s, (long long)now_s + TEN_YEARS_S);
    struct hd_buf token;
    hd_buf_init(&token, HD_JWT_BYTES_MAX);
    int rc = hd_jwt_sign(&token, key, HD_ALG_HS256, hd_str(payload), err);
    if (rc == 0)
        *out = hd_buf_take(&token);
    hd_buf_done(&token);
    return rc;
}

static int make(struct hd_devkeys *keys, const char *secret, struct hd_error *err)
{
    if (secret != NULL) {
        keys->jwt_secret = hd_strdup(secret);
    } else {
        unsigned char bytes[SECRET_BYTES];
        char hex[2 * SECRET_BYTES + 1];
        hd_random(bytes, sizeof(bytes));
        hd_hex(hex, bytes, sizeof(bytes));
        keys->jwt_secret = hd_strdup(hex);
        explicit_bzero(bytes, sizeof(bytes));
        explicit_bzero(hex, sizeof(hex));
    }
    int64_t now_s = hd_clock_unix_s();
    hd_auto(hd_jwks) set = hd_jwks_new();
    int rc = hd_jwks_add_secret(set, hd_str(keys->jwt_secret), hd_str(NULL), err);
    if (rc == 0)
        rc = sign(&keys->anon_key, hd_jwks_at(set, 0), "anon", now_s, err);
    if (rc == 0)
        rc = sign(&keys->service_key, hd_jwks_at(set, 0), "service_role", now_s, err);
    return rc < 0 ? hd_wrap(err, rc, "JWT_SECRET") : 0;
}

/* Write beside and link, so that a crash leaves no half file and the first of two makers wins. */
static int save(const struct hd_devkeys *keys, const char *data_dir, const char *path,
                struct hd_error *err)
{
    if (mkdir(data_dir, 0700) < 0 && errno != EEXIST)
        return hd_fail_sys(err, errno, "data folder %s (see --data-dir)", data_dir);
    struct hd_buf text;
    hd_buf_init(&text, FILE_MAX_BYTES);
    hd_buf_cstr(&text, "{\n  \"jwt_secret\": ");
    hd_buf_json(&text, hd_str(keys->jwt_secret));
    hd_buf_cstr(&text, ",\n  \"anon_key\": ");
    hd_buf_json(&text, hd_str(keys->anon_key));
    hd_buf_cstr(&text, ",\n  \"service_key\": ");
    hd_buf_json(&text, hd_str(keys->service_key));
    hd_buf_cstr(&text, "\n}\n");
    hd_auto_free char *beside = hd_printf("%s.%ld.new", path, (long)getpid());
    unlink(beside);
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int rc = 0;
    if (fd < 0) {
        rc = hd_fail_sys(err, errno, "data folder %s (see --data-dir)", data_dir);
    } else {
        ssize_t n = write(fd, text.ptr, text.len);
        if (n != (ssize_t)text.len || fsync(fd) < 0)
            rc = hd_fail_sys(err, n >= 0 && n != (ssize_t)text.len ? ENOSPC : errno,
                             "data folder %s (see --data-dir)", data_dir);
        close(fd);
    }
    if (rc == 0 && link(beside, path) < 0)
        rc = hd_fail_sys(err, errno, "%s", path);
    if (fd >= 0)
        unlink(beside);
    explicit_bzero(text.ptr, text.len);
    hd_buf_done(&text);
    return rc;
}

static int field(char **out, const json_t *root, const char *name, const char *path,
                 struct hd_error *err)
{
    const json_t *value = json_object_get(root, name);
    if (!json_is_string(value) || json_string_length(value) == 0)
        return hd_fail(err, HD_EINVAL,
                       "%s: %s: must be a text; delete the file to have new keys made", path, name);
    *out = hd_strdup(json_string_value(value));
    return 0;
}

static int parse(struct hd_devkeys *keys, const char *text, size_t len, const char *path,
                 struct hd_error *err)
{
    json_error_t at;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &at);
    if (root == NULL)
        return hd_fail(err, HD_EINVAL, "%s:%d: %s; delete the file to have new keys made", path,
                       at.line, at.text);
    int rc = field(&keys->jwt_secret, root, "jwt_secret", path, err);
    if (rc == 0)
        rc = field(&keys->anon_key, root, "anon_key", path, err);
    if (rc == 0)
        rc = field(&keys->service_key, root, "service_key", path, err);
    json_decref(root);
    return rc;
}

static int load(struct hd_devkeys *keys, const char *path, struct hd_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return hd_fail_sys(err, errno, "%s", path);
    struct stat st;
    char text[FILE_MAX_BYTES];
    int rc = 0;
    if (fstat(fd, &st) < 0)
        rc = hd_fail_sys(err, errno, "%s", path);
    else if (!S_ISREG(st.st_mode) || st.st_size >= FILE_MAX_BYTES)
        rc = hd_fail(err, HD_EINVAL, "%s: not a file of keys", path);
    else if ((st.st_mode & 077) != 0)
        rc = hd_fail(err, HD_EDENIED, "%s: others can read it; run: chmod 600 %s", path, path);
    ssize_t n = rc == 0 ? read(fd, text, sizeof(text)) : 0;
    if (n < 0)
        rc = hd_fail_sys(err, errno, "%s", path);
    close(fd);
    if (rc == 0)
        rc = parse(keys, text, (size_t)n, path, err);
    explicit_bzero(text, sizeof(text));
    return rc;
}

int hd_devkeys_load(struct hd_devkeys *out, const char *data_dir, const char *secret, bool may_make,
                    struct hd_error *err)
{
    hd_auto_free char *path = file_in(data_dir);
    *out = (struct hd_devkeys){0};
    int rc = load(out, path, err);
    bool other = rc == 0 && secret != NULL && strcmp(out->jwt_secret, secret) != 0;
    if (rc == 0 && !other)
        return 0;
    if (other || (rc == HD_ENOTFOUND && may_make)) {
        hd_devkeys_done(out);
        rc = make(out, secret, err);
        /* a secret that somebody else keeps is not written down a second time */
        if (rc == 0 && secret == NULL)
            rc = save(out, data_dir, path, err);
        out->created = rc == 0 && secret == NULL;
    }
    if (rc == HD_EEXIST) {
        hd_devkeys_done(out);
        rc = load(out, path, err);
    }
    if (rc < 0)
        hd_devkeys_done(out);
    return rc;
}

static void put(struct hd_node_options *opt, const char *key, const char *value)
{
    const struct hd_option *o = hd_option_find(&opt->set, key);
    if (!hd_option_given(&opt->set, o))
        hd_option_set_value(&opt->set, o, HD_OPTION_FROM_FLAG, hd_str(value), NULL, "dev-keys.json",
                            NULL);
}

int hd_devkeys_apply(struct hd_node_options *opt, bool *created, struct hd_error *err)
{
    if (created != NULL)
        *created = false;
    if (!opt->dev || (opt->jwt_secret != NULL && opt->api_keys.n > 0 && opt->service_keys.n > 0))
        return 0;
    struct hd_devkeys keys;
    int rc = hd_devkeys_load(&keys, opt->data_dir, opt->jwt_secret, true, err);
    if (rc < 0)
        return hd_wrap(err, rc, "development keys");
    if (created != NULL)
        *created = keys.created;
    put(opt, "auth.jwt_secret", keys.jwt_secret);
    put(opt, "auth.api_keys", keys.anon_key);
    put(opt, "auth.service_keys", keys.service_key);
    hd_devkeys_done(&keys);
    return 0;
}

static const char *variable(char *const *env, const char *name)
{
    size_t len = strlen(name);
    for (; *env != NULL; env++) {
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=' && (*env)[len + 1] != '\0')
            return *env + len + 1;
    }
    return NULL;
}

static void fill(struct hd_option_list *out, char *const *env, const char *name, const char *value)
{
    if (value == NULL || variable(env, name) != NULL)
        return;
    out->items = hd_realloc_array(out->items, out->n + 2, sizeof(char *));
    out->items[out->n++] = hd_printf("%s=%s", name, value);
    out->items[out->n] = NULL;
}

static const char *first_of(const char *a, const char *b, const char *c)
{
    return a != NULL ? a : b != NULL ? b : c;
}

void hd_devkeys_env(struct hd_option_list *out, const struct hd_node_options *opt, char *const *env)
{
    *out = (struct hd_option_list){0};
    if (!opt->dev)
        return;
    const char *publishable = first_of(variable(env, "SUPABASE_PUBLISHABLE_KEY"),
                                       variable(env, "VITE_SUPABASE_PUBLISHABLE_KEY"), NULL);
    const char *anon = opt->api_keys.n > 0 ? opt->api_keys.items[0] : NULL;
    const char *service = opt->service_keys.n > 0 ? opt->service_keys.items[0] : NULL;
    fill(out, env, "SUPABASE_URL",
         first_of(variable(env, "VITE_SUPABASE_URL"), NULL, "http://127.0.0.1:54321"));
    fill(out, env, "SUPABASE_PUBLISHABLE_KEY", first_of(publishable, anon, NULL));
    fill(out, env, "SUPABASE_ANON_KEY", first_of(publishable, anon, NULL));
    fill(out, env, "SUPABASE_SERVICE_ROLE_KEY",
         first_of(variable(env, "SUPABASE_SECRET_KEY"), service, NULL));
}

void hd_devkeys_env_done(struct hd_option_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        wipe(&list->items[i]);
    free(list->items);
    *list = (struct hd_option_list){0};
}
