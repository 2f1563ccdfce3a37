#include "pool/docker/registryauth.h"

#include "core/base64.h"
#include "core/buf.h"

#include <jansson.h>

enum { TEXT_MAX = 64 << 10 };
static const char hub[] = "https://index.docker.io/v1/"; /* as docker.io is called there */

static const json_t *entry_of(const json_t *auths, struct hd_str registry)
{
    const char *const forms[] = {"%.*s", "https://%.*s", "https://%.*s/", "https://%.*s/v1/",
                                 "https://%.*s/v2/"};
    if (hd_str_is(registry, "docker.io") && json_object_get(auths, hub) != NULL)
        return json_object_get(auths, hub);
    for (size_t i = 0; i < HD_COUNT(forms); i++) {
        char name[600];
        struct hd_buf key;
        const char *rest = strstr(forms[i], "%.*s") + strlen("%.*s");
        hd_buf_init_with(&key, name, sizeof(name), sizeof(name));
        hd_buf_add(&key, forms[i], (size_t)(strstr(forms[i], "%") - forms[i]));
        hd_buf_str(&key, registry);
        hd_buf_cstr(&key, rest);
        hd_buf_char(&key, '\0');
        const json_t *entry = hd_buf_failed(&key) ? NULL : json_object_get(auths, key.ptr);
        if (entry != NULL)
            return entry;
    }
    return NULL;
}

/* @return "user:password" for the caller to wipe and free, or NULL. */
static char *pair_of(const char *auth)
{
    size_t n = strlen(auth), used = 0;
    char *pair = hd_alloc(hd_base64_bytes(n) + 1);
    if (hd_base64_decode(pair, &used, HD_BASE64, hd_str_n(auth, n)) == 0) {
        pair[used] = '\0';
        if (strlen(pair) == used && strchr(pair, ':') != NULL)
            return pair;
    }
    explicit_bzero(pair, hd_base64_bytes(n) + 1);
    free(pair);
    return NULL;
}

static char *encode(const json_t *identity)
{
    char *text = json_dumps(identity, JSON_COMPACT);
    size_t n = strlen(text), chars = hd_base64_chars(HD_BASE64URL, n);
    char *out = hd_alloc(chars + 3);
    size_t len = hd_base64_encode(out, HD_BASE64URL, text, n);
    while (len % 4 != 0) /* engines want it padded */
        out[len++] = '=';
    out[len] = '\0';
    explicit_bzero(text, n);
    free(text);
    return out;
}

static int from_entry(char **out, const json_t *entry, struct hd_str registry, struct hd_error *err)
{
    const char *token = json_string_value(json_object_get(entry, "identitytoken"));
    const char *auth = json_string_value(json_object_get(entry, "auth"));
    json_t *identity = NULL;
    if (token != NULL && token[0] != '\0') {
        identity = json_pack("{s:s, s:s%}", "identitytoken", token, "serveraddress", registry.ptr,
                             registry.len);
    } else if (auth != NULL && auth[0] != '\0') {
        char *pair = pair_of(auth);
        if (pair == NULL)
            return hd_fail(err, HD_EINVAL, "the credentials of %.*s are damaged: log in again",
                           HD_FMT(registry));
        char *password = strchr(pair, ':');
        *password++ = '\0';
        identity = json_pack("{s:s, s:s, s:s%}", "username", pair, "password", password,
                             "serveraddress", registry.ptr, registry.len);
        explicit_bzero(password, strlen(password));
        free(pair);
    }
    if (identity == NULL)
        return 0;
    *out = encode(identity);
    json_decref(identity);
    return 0;
}

int hd_registryauth_header(char **out, struct hd_str config, struct hd_str registry,
                           struct hd_error *err)
{
    *out = NULL;
    json_t *root = json_loadb(config.ptr != NULL ? config.ptr : "", config.len, 0, NULL);
    if (!json_is_object(root)) {
        json_decref(root);
        return hd_fail(err, HD_EINVAL, "the file of registry credentials is no JSON object");
    }
    const json_t *entry = entry_of(json_object_get(root, "auths"), registry);
    int rc = from_entry(out, entry, registry, err);
    hd_auto_free char *name = hd_strdup_n(registry);
    const json_t *helpers = json_object_get(root, "credHelpers");
    const char *store = json_string_value(json_object_get(root, "credsStore"));
    const char *helper = json_string_value(json_object_get(helpers, name));
    if (rc == 0 && *out == NULL && (helper != NULL || (entry != NULL && store != NULL)))
        rc =
            hd_fail(err, HD_EINVAL,
                    "the credentials of %.*s are kept by docker-credential-%s, which is not asked: "
                    "keep them in a config.json of the node's own",
                    HD_FMT(registry), helper != NULL ? helper : store);
    json_decref(root);
    return rc;
}
