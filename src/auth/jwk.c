#include "auth/jwk.h"

#include "auth/pkey.h"
#include "core/base64.h"
#include "core/buf.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdio.h>

struct hd_jwks {
    _Atomic uint32_t refs;
    size_t n, skipped;
    struct hd_error skip; /* why the first of them */
    struct hd_jwk keys[HD_JWKS_KEYS_MAX];
};

static const struct {
    const char *name;
    enum hd_key_type type;
} algs[HD_ALG_COUNT] = {
    [HD_ALG_HS256] = {"HS256", HD_KEY_SECRET}, [HD_ALG_HS384] = {"HS384", HD_KEY_SECRET},
    [HD_ALG_HS512] = {"HS512", HD_KEY_SECRET}, [HD_ALG_RS256] = {"RS256", HD_KEY_RSA},
    [HD_ALG_RS384] = {"RS384", HD_KEY_RSA},    [HD_ALG_RS512] = {"RS512", HD_KEY_RSA},
    [HD_ALG_PS256] = {"PS256", HD_KEY_RSA},    [HD_ALG_PS384] = {"PS384", HD_KEY_RSA},
    [HD_ALG_PS512] = {"PS512", HD_KEY_RSA},    [HD_ALG_ES256] = {"ES256", HD_KEY_P256},
    [HD_ALG_ES384] = {"ES384", HD_KEY_P384},   [HD_ALG_EDDSA] = {"EdDSA", HD_KEY_ED25519},
};

const char *hd_alg_name(enum hd_alg alg)
{
    return algs[alg].name;
}

int hd_alg_parse(enum hd_alg *out, struct hd_str name)
{
    for (unsigned i = 0; i < HD_ALG_COUNT; i++) {
        if (hd_str_is(name, algs[i].name)) {
            *out = (enum hd_alg)i;
            return 0;
        }
    }
    return HD_ENOTFOUND;
}

enum hd_key_type hd_alg_key_type(enum hd_alg alg)
{
    return algs[alg].type;
}

const char *hd_key_type_name(enum hd_key_type type)
{
    switch (type) {
    case HD_KEY_SECRET:
        return "a secret";
    case HD_KEY_RSA:
        return "an RSA key";
    case HD_KEY_P256:
        return "a P-256 key";
    case HD_KEY_P384:
        return "a P-384 key";
    case HD_KEY_ED25519:
        return "an Ed25519 key";
    }
    return "no key";
}

static uint32_t algs_of(enum hd_key_type type)
{
    uint32_t bits = 0;
    for (unsigned i = 0; i < HD_ALG_COUNT; i++) {
        if (algs[i].type == type)
            bits |= HD_ALG_BIT(i);
    }
    return bits;
}

/* --- the set --- */

struct hd_jwks *hd_jwks_new(void)
{
    struct hd_jwks *set = hd_new(struct hd_jwks);
    atomic_init(&set->refs, 1);
    return set;
}

struct hd_jwks *hd_jwks_ref(struct hd_jwks *set)
{
    atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
    return set;
}

static void key_done(struct hd_jwk *key)
{
    hd_pkey_free(key->pkey);
    if (key->secret != NULL)
        explicit_bzero(key->secret, key->secret_bytes);
    free(key->secret);
    free(key->kid);
}

void hd_jwks_unref(struct hd_jwks *set)
{
    if (set == NULL || atomic_fetch_sub_explicit(&set->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < set->n; i++)
        key_done(&set->keys[i]);
    free(set);
}

size_t hd_jwks_count(const struct hd_jwks *set)
{
    return set->n;
}

const struct hd_jwk *hd_jwks_at(const struct hd_jwks *set, size_t i)
{
    return &set->keys[i];
}

size_t hd_jwks_skipped(const struct hd_jwks *set, const char **why)
{
    *why = set->skip.msg;
    return set->skipped;
}

/* Takes what `key` holds, also on failure. */
static int add(struct hd_jwks *set, struct hd_jwk *key, struct hd_str kid, struct hd_error *err)
{
    if (set->n == HD_JWKS_KEYS_MAX) {
        key_done(key);
        return hd_fail(err, HD_EBUSY, "more than %d keys", HD_JWKS_KEYS_MAX);
    }
    key->kid = kid.len > 0 ? hd_strdup_n(kid) : NULL;
    set->keys[set->n++] = *key;
    return 0;
}

int hd_jwks_add_secret(struct hd_jwks *set, struct hd_str secret, struct hd_str kid,
                       struct hd_error *err)
{
    if (secret.len < HD_KEY_SECRET_MIN || secret.len > HD_KEY_SECRET_MAX)
        return hd_fail(err, HD_EINVAL,
                       "a secret has %d to %d bytes, not %zu; `openssl rand -hex 32` makes one",
                       HD_KEY_SECRET_MIN, HD_KEY_SECRET_MAX, secret.len);
    if (kid.len > HD_KEY_KID_MAX)
        return hd_fail(err, HD_EINVAL, "kid: longer than %d bytes", HD_KEY_KID_MAX);
    struct hd_jwk key = {
        .type = HD_KEY_SECRET,
        .algs = algs_of(HD_KEY_SECRET),
        .can_sign = true,
        .secret = hd_alloc(secret.len),
        .secret_bytes = secret.len,
    };
    memcpy(key.secret, secret.ptr, secret.len);
    return add(set, &key, kid, err);
}

int hd_jwks_add_pem(struct hd_jwks *set, struct hd_str pem, struct hd_str kid, struct hd_error *err)
{
    if (kid.len > HD_KEY_KID_MAX)
        return hd_fail(err, HD_EINVAL, "kid: longer than %d bytes", HD_KEY_KID_MAX);
    if (pem.len > HD_JWKS_BYTES_MAX)
        return hd_fail(err, HD_EINVAL, "longer than %d bytes", HD_JWKS_BYTES_MAX);
    for (unsigned block = 1;; block++) {
        struct hd_jwk key = {.pkey = NULL};
        int rc = hd_pkey_from_pem(&key.pkey, &key.type, &key.can_sign, &pem, err);
        if (rc < 0)
            return hd_wrap(err, rc, "PEM block %u", block);
        if (rc == 0)
            return block > 1 ? 0 : hd_fail(err, HD_EINVAL, "no key in PEM form in it");
        key.algs = algs_of(key.type);
        rc = add(set, &key, kid, err);
        if (rc < 0)
            return rc;
    }
}

/* --- JSON --- */

static struct hd_str text_of(const json_t *object, const char *name)
{
    const json_t *v = json_object_get(object, name);
    return json_is_string(v) ? hd_str_n(json_string_value(v), json_string_length(v))
                             : hd_str_n(NULL, 0);
}

/* A string member in base64url. */
static int bytes_of(struct hd_pkey_bytes *out, const json_t *object, const char *name,
                    struct hd_error *err)
{
    struct hd_str text = text_of(object, name);
    if (text.ptr == NULL)
        return hd_fail(err, HD_EINVAL, "%s: missing, or not a string", name);
    if (hd_base64_bytes(text.len) > sizeof(out->at))
        return hd_fail(err, HD_EINVAL, "%s: longer than %zu bytes", name, sizeof(out->at));
    size_t used;
    if (hd_base64_decode(out->at, &used, HD_BASE64URL, text) < 0)
        return hd_fail(err, HD_EINVAL, "%s: not base64url at character %zu", name, used + 1);
    if (used == 0)
        return hd_fail(err, HD_EINVAL, "%s: empty", name);
    out->len = used;
    return 0;
}

static int read_secret(struct hd_jwk *key, const json_t *object, bool published,
                       struct hd_error *err)
{
    if (published)
        return hd_fail(err, HD_EINVAL, "kty: a secret that is published is none");
    struct hd_pkey_bytes k;
    int rc = bytes_of(&k, object, "k", err);
    if (rc == 0 && (k.len < HD_KEY_SECRET_MIN || k.len > HD_KEY_SECRET_MAX))
        rc = hd_fail(err, HD_EINVAL, "k: must have %d to %d bytes, not %zu", HD_KEY_SECRET_MIN,
                     HD_KEY_SECRET_MAX, k.len);
    if (rc == 0) {
        key->type = HD_KEY_SECRET;
        key->can_sign = true;
        key->secret = hd_alloc(k.len);
        key->secret_bytes = k.len;
        memcpy(key->secret, k.at, k.len);
    }
    explicit_bzero(&k, sizeof(k));
    return rc;
}

/* The asymmetric kinds: which members they have, in the order of enum hd_pkey_part. */
static int read_pair(struct hd_jwk *key, const json_t *object, enum hd_key_type type,
                     struct hd_error *err)
{
    static const char *const rsa[HD_PKEY_PARTS] = {"n", "e", "d", "p", "q", "dp", "dq", "qi"};
    static const char *const ec[HD_PKEY_PARTS] = {"x", "y", "d"};
    static const char *const okp[HD_PKEY_PARTS] = {"x", NULL, "d"};
    const char *const *names = type == HD_KEY_RSA ? rsa : type == HD_KEY_ED25519 ? okp : ec;
    struct hd_pkey_bytes parts[HD_PKEY_PARTS] = {0};
    int rc = 0;
    for (int i = 0; rc == 0 && i < HD_PKEY_PARTS; i++) {
        bool needed = i < HD_PKEY_PRIVATE;
        if (names[i] != NULL && (needed || json_object_get(object, names[i]) != NULL))
            rc = bytes_of(&parts[i], object, names[i], err);
    }
    if (rc == 0)
        rc = hd_pkey_from_parts(&key->pkey, type, parts, err);
    key->type = type;
    key->can_sign = parts[HD_PKEY_PRIVATE].len > 0;
    explicit_bzero(parts, sizeof(parts));
    return rc;
}

static int read_kind(struct hd_jwk *key, const json_t *object, bool published, struct hd_error *err)
{
    struct hd_str kty = text_of(object, "kty"), crv = text_of(object, "crv");
    if (hd_str_is(kty, "oct"))
        return read_secret(key, object, published, err);
    if (hd_str_is(kty, "RSA"))
        return read_pair(key, object, HD_KEY_RSA, err);
    if (hd_str_is(kty, "EC") && hd_str_is(crv, "P-256"))
        return read_pair(key, object, HD_KEY_P256, err);
    if (hd_str_is(kty, "EC") && hd_str_is(crv, "P-384"))
        return read_pair(key, object, HD_KEY_P384, err);
    if (hd_str_is(kty, "OKP") && hd_str_is(crv, "Ed25519"))
        return read_pair(key, object, HD_KEY_ED25519, err);
    if (kty.ptr == NULL)
        return hd_fail(err, HD_EINVAL, "kty: missing, or not a string");
    if (hd_str_is(kty, "EC") || hd_str_is(kty, "OKP"))
        return hd_fail(err, HD_EINVAL, "crv: \"%.*s\" is not P-256, P-384 (EC) or Ed25519 (OKP)",
                       (int)HD_MIN(crv.len, (size_t)40), crv.ptr != NULL ? crv.ptr : "");
    return hd_fail(err, HD_EINVAL, "kty: \"%.*s\" is not oct, RSA, EC or OKP",
                   (int)HD_MIN(kty.len, (size_t)40), kty.ptr);
}

/* RFC 7517 sections 4.2 to 4.4: what the key says about its use. */
static int check_use(struct hd_jwk *key, const json_t *object, struct hd_error *err)
{
    const json_t *use = json_object_get(object, "use"), *ops = json_object_get(object, "key_ops"),
                 *alg = json_object_get(object, "alg");
    if (use != NULL && !hd_str_is(text_of(object, "use"), "sig"))
        return hd_fail(err, HD_EINVAL, "use: not \"sig\"");
    if (ops != NULL) {
        bool fits = false;
        for (size_t i = 0; i < json_array_size(ops); i++) {
            const char *op = json_string_value(json_array_get(ops, i));
            fits = fits || (op != NULL && (strcmp(op, "verify") == 0 || strcmp(op, "sign") == 0));
        }
        if (!fits)
            return hd_fail(err, HD_EINVAL, "key_ops: neither \"verify\" nor \"sign\" is in it");
    }
    key->algs = algs_of(key->type);
    if (alg == NULL)
        return 0;
    enum hd_alg one;
    if (hd_alg_parse(&one, text_of(object, "alg")) < 0)
        return hd_fail(err, HD_EINVAL, "alg: not a signature algorithm that is known here");
    if ((key->algs & HD_ALG_BIT(one)) == 0)
        return hd_fail(err, HD_EINVAL, "alg: %s does not go with %s", hd_alg_name(one),
                       hd_key_type_name(key->type));
    key->algs = HD_ALG_BIT(one);
    return 0;
}

static int read_key(struct hd_jwks *set, const json_t *object, bool published, struct hd_error *err)
{
    if (!json_is_object(object))
        return hd_fail(err, HD_EINVAL, "not an object");
    struct hd_str kid = text_of(object, "kid");
    if (kid.len > HD_KEY_KID_MAX || (kid.ptr == NULL && json_object_get(object, "kid") != NULL))
        return hd_fail(err, HD_EINVAL, "kid: not a string of at most %d bytes", HD_KEY_KID_MAX);
    struct hd_jwk key = {.pkey = NULL};
    int rc = read_kind(&key, object, published, err);
    if (rc == 0)
        rc = check_use(&key, object, err);
    if (rc < 0) {
        key_done(&key);
        return rc;
    }
    return add(set, &key, kid, err);
}

int hd_jwks_add_json(struct hd_jwks *set, struct hd_str json, bool published, struct hd_error *err)
{
    if (json.len > HD_JWKS_BYTES_MAX)
        return hd_fail(err, HD_EINVAL, "JWKS: longer than %d bytes", HD_JWKS_BYTES_MAX);
    json_error_t at;
    json_t *root =
        json_loadb(json.ptr != NULL ? json.ptr : "", json.len, JSON_REJECT_DUPLICATES, &at);
    if (root == NULL)
        return hd_fail(err, HD_EINVAL, "JWKS: line %d, column %d: %s", at.line, at.column, at.text);
    const json_t *keys = json_object_get(root, "keys");
    int rc = 0;
    size_t before = set->n;
    if (keys == NULL) {
        rc = hd_wrap(err, read_key(set, root, published, err), "JWK");
    } else if (!json_is_array(keys)) {
        rc = hd_fail(err, HD_EINVAL, "JWKS: keys: not an array");
    } else {
        for (size_t i = 0; rc == 0 && i < json_array_size(keys); i++) {
            struct hd_error why;
            rc = read_key(set, json_array_get(keys, i), published, &why);
            if (rc == HD_EINVAL && set->skipped++ == 0) {
                hd_wrap(&why, rc, "keys[%zu]", i);
                set->skip = why;
            }
            if (rc == HD_EINVAL)
                rc = 0;
            else if (rc < 0)
                hd_fail(err, rc, "JWKS: %s", why.msg);
        }
        if (rc == 0 && set->n == before)
            rc = hd_fail(err, HD_EINVAL, "JWKS: no key in it fits%s%s",
                         set->skipped > 0 ? ": " : "", set->skip.msg);
    }
    json_decref(root);
    return rc;
}
