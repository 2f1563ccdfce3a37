#include "auth/verifier.h"

#include "core/id.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

/* The keys themselves are not kept: to know one again, its hash is enough, and comparing hashes
 * takes the same time whatever was sent. */
struct api_key {
    struct hd_token_digest digest;
    char *role;
};

struct hd_verifier {
    _Atomic uint32_t refs;
    uint64_t epoch; /* no other verifier has it */
    struct hd_jwks *fixed;
    struct hd_jwks_slot *slot; /* or NULL */
    struct api_key *keys;
    size_t n_keys;
    struct hd_jwt_rules rules;
    char **lists[3]; /* what `rules` points to */
};

static size_t count(const char *const *list)
{
    size_t n = 0;
    while (list != NULL && list[n] != NULL)
        n++;
    return n;
}

static char **copy_list(const char *const *list)
{
    size_t n = count(list);
    char **copy = hd_new_array(char *, n + 1);
    for (size_t i = 0; i < n; i++)
        copy[i] = hd_strdup(list[i]);
    return copy;
}

static void digest_of(struct hd_token_digest *out, struct hd_str s)
{
    SHA256((const unsigned char *)s.ptr, s.len, out->bytes);
}

/* --- making it --- */

/* A file of keys, as a string with at most HD_JWKS_BYTES_MAX bytes. */
static int read_file(struct hd_buf *out, const char *path, struct hd_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return hd_fail_sys(err, errno, "%s", path);
    struct stat st;
    int rc = 0;
    if (fstat(fd, &st) < 0)
        rc = hd_fail_sys(err, errno, "%s", path);
    else if (!S_ISREG(st.st_mode))
        rc = hd_fail(err, HD_EINVAL, "%s: not a file", path);
    for (ssize_t n = 1; rc == 0 && n > 0;) {
        char *at = hd_buf_reserve(out, 4096);
        if (at == NULL) {
            rc = hd_fail(err, HD_EINVAL, "%s: longer than %d bytes", path, HD_JWKS_BYTES_MAX);
            break;
        }
        n = read(fd, at, 4096);
        if (n < 0)
            rc = hd_fail_sys(err, errno, "%s", path);
        else
            hd_buf_commit(out, (size_t)n);
    }
    close(fd);
    return rc;
}

static int add_files(struct hd_jwks *set, const char *const *paths, bool pem, struct hd_error *err)
{
    for (size_t i = 0; i < count(paths); i++) {
        struct hd_buf text;
        hd_buf_init(&text, HD_JWKS_BYTES_MAX + 4096);
        int rc = read_file(&text, paths[i], err);
        if (rc == 0) {
            rc = pem ? hd_jwks_add_pem(set, hd_buf_view(&text), hd_str(""), err)
                     : hd_jwks_add_json(set, hd_buf_view(&text), false, err);
            hd_wrap(err, rc, "%s", paths[i]);
        }
        if (text.ptr != NULL)
            explicit_bzero(text.ptr, text.cap); /* there may be secrets in it */
        hd_buf_done(&text);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int add_jwt_keys(struct hd_jwks *set, const struct hd_verifier_options *opt,
                        struct hd_error *err)
{
    for (size_t i = 0; i < count(opt->secrets); i++) {
        int rc = hd_jwks_add_secret(set, hd_str(opt->secrets[i]), hd_str(""), err);
        if (rc < 0)
            return hd_wrap(err, rc, "JWT secret %zu", i + 1);
    }
    for (size_t i = 0; i < count(opt->jwks); i++) {
        int rc = hd_jwks_add_json(set, hd_str(opt->jwks[i]), false, err);
        if (rc < 0)
            return rc;
    }
    int rc = add_files(set, opt->jwks_files, false, err);
    return rc < 0 ? rc : add_files(set, opt->pem_files, true, err);
}

static const char *role_of(const struct hd_api_key *key)
{
    if (key->role != NULL)
        return key->role;
    if (hd_str_starts(hd_str(key->key), hd_str("sb_publishable_")))
        return "anon";
    if (hd_str_starts(hd_str(key->key), hd_str("sb_secret_")))
        return "service_role";
    return NULL;
}

static int add_api_keys(struct hd_verifier *v, const struct hd_verifier_options *opt,
                        struct hd_error *err)
{
    v->keys = hd_new_array(struct api_key, opt->n_keys);
    for (size_t i = 0; i < opt->n_keys; i++) {
        const struct hd_api_key *from = &opt->keys[i];
        const char *role = role_of(from);
        if (role == NULL || *role == '\0')
            return hd_fail(err, HD_EINVAL,
                           "API key %zu: begins neither with sb_publishable_ nor with sb_secret_, "
                           "so it needs a role",
                           i + 1);
        if (strlen(from->key) < HD_API_KEY_MIN)
            return hd_fail(err, HD_EINVAL, "API key %zu (%s): shorter than %d characters", i + 1,
                           role, HD_API_KEY_MIN);
        digest_of(&v->keys[v->n_keys].digest, hd_str(from->key));
        v->keys[v->n_keys++].role = hd_strdup(role);
    }
    return 0;
}

static uint32_t algs_for(const struct hd_verifier *v)
{
    static const uint32_t with_secret =
        HD_ALG_BIT(HD_ALG_HS256) | HD_ALG_BIT(HD_ALG_HS384) | HD_ALG_BIT(HD_ALG_HS512);
    static const uint32_t with_keys = HD_ALG_BIT(HD_ALG_RS256) | HD_ALG_BIT(HD_ALG_PS256) |
                                      HD_ALG_BIT(HD_ALG_ES256) | HD_ALG_BIT(HD_ALG_ES384) |
                                      HD_ALG_BIT(HD_ALG_EDDSA);
    uint32_t algs = v->slot != NULL ? with_keys : 0;
    for (size_t i = 0; i < hd_jwks_count(v->fixed); i++) {
        const struct hd_jwk *key = hd_jwks_at(v->fixed, i);
        algs |= key->type == HD_KEY_SECRET ? with_secret : with_keys;
    }
    return algs;
}

int hd_verifier_new(struct hd_verifier **out, const struct hd_verifier_options *opt,
                    struct hd_error *err)
{
    __attribute__((cleanup(hd_verifier_auto_))) struct hd_verifier *v = hd_new(struct hd_verifier);
    atomic_init(&v->refs, 1);
    hd_random(&v->epoch, sizeof(v->epoch));
    v->fixed = hd_jwks_new();
    v->slot = opt->slot != NULL ? hd_jwks_slot_ref(opt->slot) : NULL;
    v->rules = opt->rules;
    v->lists[0] = copy_list(opt->rules.issuers);
    v->lists[1] = copy_list(opt->rules.audiences);
    v->lists[2] = copy_list(opt->rules.require_claims);
    v->rules.issuers = (const char *const *)v->lists[0];
    v->rules.audiences = (const char *const *)v->lists[1];
    v->rules.require_claims = (const char *const *)v->lists[2];
    int rc = add_jwt_keys(v->fixed, opt, err);
    if (rc < 0)
        return rc;
    rc = add_api_keys(v, opt, err);
    if (rc < 0)
        return rc;
    if (v->rules.algs == 0)
        v->rules.algs = algs_for(v);
    *out = hd_steal(v);
    return 0;
}

struct hd_verifier *hd_verifier_ref(struct hd_verifier *v)
{
    atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
    return v;
}

void hd_verifier_unref(struct hd_verifier *v)
{
    if (v == NULL || atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) != 1)
        return;
    hd_jwks_unref(v->fixed);
    hd_jwks_slot_unref(v->slot);
    for (size_t i = 0; i < v->n_keys; i++)
        free(v->keys[i].role);
    free(v->keys);
    for (size_t l = 0; l < HD_COUNT(v->lists); l++) {
        for (size_t i = 0; v->lists[l] != NULL && v->lists[l][i] != NULL; i++)
            free(v->lists[l][i]);
        free((void *)v->lists[l]);
    }
    free(v);
}

bool hd_verifier_can_verify(const struct hd_verifier *v)
{
    return v->n_keys > 0 || v->slot != NULL || hd_jwks_count(v->fixed) > 0;
}

/* --- using it --- */

/* All keys are compared, whichever it is. */
static const char *match_api_key(const struct hd_verifier *v, const struct hd_token_digest *digest)
{
    const char *role = NULL;
    struct hd_str given = hd_str_n((const char *)digest->bytes, sizeof(digest->bytes));
    for (size_t i = 0; i < v->n_keys; i++) {
        const struct hd_token_digest *d = &v->keys[i].digest;
        if (hd_str_eq_secret(given, hd_str_n((const char *)d->bytes, sizeof(d->bytes))) &&
            role == NULL)
            role = v->keys[i].role;
    }
    return role;
}

static enum hd_auth verify(struct hd_identity **id, struct hd_verifier *v, struct hd_str token,
                           const struct hd_token_digest *digest, int64_t now_s,
                           struct hd_error *err)
{
    const char *role = match_api_key(v, digest);
    if (role != NULL) {
        *id = hd_identity_from_key(role, now_s);
        return HD_AUTH_OK;
    }
    struct hd_jwks *published = v->slot != NULL ? hd_jwks_slot_get(v->slot) : NULL;
    struct hd_jwks *const sets[] = {v->fixed, published};
    struct hd_jwt jwt;
    int rc = hd_jwt_verify(&jwt, token, sets, HD_COUNT(sets), &v->rules, now_s, err);
    hd_jwks_unref(published);
    if (rc == 0) {
        *id = hd_identity_from_jwt(&jwt);
        return HD_AUTH_OK;
    }
    if (rc == HD_ETIMEOUT)
        return HD_AUTH_EXPIRED;
    if (rc == HD_ENOTFOUND && v->slot != NULL && hd_jwks_slot_missing(v->slot))
        return HD_AUTH_UNKNOWN_KEY;
    return HD_AUTH_INVALID;
}

enum hd_auth hd_verifier_check(struct hd_verifier *v, struct hd_token_cache *cache,
                               struct hd_str bearer, struct hd_str apikey, int64_t now_ms,
                               struct hd_identity **id, struct hd_error *err)
{
    struct hd_str token = bearer.len > 0 ? bearer : apikey;
    if (token.len == 0)
        return HD_AUTH_NONE;
    if (token.len > HD_JWT_BYTES_MAX) {
        hd_fail(err, HD_EPROTO, "token: %zu bytes, the limit is %d", token.len, HD_JWT_BYTES_MAX);
        return HD_AUTH_INVALID;
    }
    struct hd_token_digest digest;
    if (cache == NULL) {
        digest_of(&digest, token);
        return verify(id, v, token, &digest, now_ms / 1000, err);
    }
    /* The generation is read before the keys are: a set that comes in between is checked again. */
    uint64_t generation = v->slot != NULL ? hd_jwks_slot_generation(v->slot) : 0;
    hd_token_cache_epoch(cache, v->epoch + generation * 0x9e3779b97f4a7c15ULL);
    hd_token_cache_digest(&digest, cache, token);
    struct hd_identity *known = NULL;
    int code = 0;
    int found = hd_token_cache_get(cache, &digest, now_ms, &known, &code);
    if (found > 0) {
        *id = hd_identity_ref(known);
        return HD_AUTH_OK;
    }
    if (found < 0) {
        hd_fail(err, HD_EDENIED, "token: refused before (%s)", hd_auth_name((enum hd_auth)code));
        return (enum hd_auth)code;
    }
    enum hd_auth result = verify(id, v, token, &digest, now_ms / 1000, err);
    if (result == HD_AUTH_OK)
        hd_token_cache_put(cache, &digest, *id, now_ms);
    else
        hd_token_cache_put_bad(cache, &digest, (int)result, now_ms);
    return result;
}

struct hd_str hd_bearer_token(struct hd_str authorization)
{
    static const struct hd_str scheme = HD_LIT("bearer");
    struct hd_str s = hd_str_trim(authorization), none = {NULL, 0};
    if (s.len <= scheme.len || !hd_str_eq_nocase(hd_str_n(s.ptr, scheme.len), scheme) ||
        (s.ptr[scheme.len] != ' ' && s.ptr[scheme.len] != '\t'))
        return none;
    return hd_str_trim(hd_str_n(s.ptr + scheme.len, s.len - scheme.len));
}

const char *hd_auth_name(enum hd_auth result)
{
    switch (result) {
    case HD_AUTH_NONE:
        return "none";
    case HD_AUTH_OK:
        return "ok";
    case HD_AUTH_INVALID:
        return "invalid";
    case HD_AUTH_EXPIRED:
        return "expired";
    case HD_AUTH_UNKNOWN_KEY:
        return "unknown_key";
    }
    return "unknown";
}
