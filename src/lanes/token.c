/* token.c - lane tokens, made and checked in the order the peers check them. */
#include "lanes/token.h"

#include "auth/pkey.h"
#include "core/base64.h"

#include <jansson.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { TOKEN_MAX = 16 * 1024, HASH_BYTES = 32, ES256_BYTES = 64 };

struct secret {
    unsigned char *at; /* NULL: none */
    size_t len;
};

struct hd_lane_keys {
    enum hd_lane_auth_mode mode;
    enum hd_alg alg;
    struct secret sign_secret, verify_secret;
    struct hd_jwk private_key, public_key; /* pkey NULL: none */
    char *private_kid;
    struct hd_jwk *by_kid;
    size_t n_by_kid;
    uint32_t ttl_ms, skew_ms;
    bool legacy, kid_fallback;
};

static const char *const kind_names[] = {[HD_LANE_RPC_TASK] = "rpc-task",
                                         [HD_LANE_RPC_EVENT] = "rpc-event",
                                         [HD_LANE_EVENT] = "event-lane"};

/* --- configuration --- */

static void wipe(char **text)
{
    if (*text != NULL)
        explicit_bzero(*text, strlen(*text));
    free(*text);
    *text = NULL;
}

void hd_lane_auth_done(struct hd_lane_auth *a)
{
    wipe(&a->secret);
    wipe(&a->produce_secret);
    wipe(&a->consume_secret);
    wipe(&a->private_key);
    free(a->private_key_kid);
    free(a->public_key);
    for (size_t i = 0; i < a->n_kids; i++) {
        free(a->kids[i]);
        free(a->kid_keys[i]);
    }
    free(a->kids);
    free(a->kid_keys);
    free(a->header);
    *a = (struct hd_lane_auth){0};
}

/* An empty one is none: with it anybody could sign. */
static void set_secret(struct secret *to, const char *own, const char *both)
{
    const char *text = own != NULL && own[0] != '\0' ? own : both;
    if (text == NULL || text[0] == '\0')
        return;
    to->len = strlen(text);
    to->at = (unsigned char *)hd_strdup(text);
}

static int read_key(struct hd_jwk *out, const char *pem, enum hd_alg alg, bool want_private,
                    const char *what, struct hd_error *err)
{
    struct hd_str rest = hd_str(pem);
    struct evp_pkey_st *pkey = NULL;
    bool is_private = false;
    enum hd_key_type type;
    int rc = hd_pkey_from_pem(&pkey, &type, &is_private, &rest, err);
    if (rc < 0)
        return hd_wrap(err, rc, "%s", what);
    if (rc == 0)
        return hd_fail(err, HD_EINVAL, "%s: holds no key in PEM form", what);
    *out = (struct hd_jwk){
        .type = type, .algs = HD_ALG_BIT(alg), .can_sign = is_private, .pkey = pkey};
    if (type != hd_alg_key_type(alg))
        return hd_fail(err, HD_EINVAL, "%s: is %s, and %s needs %s", what, hd_key_type_name(type),
                       hd_alg_name(alg), hd_key_type_name(hd_alg_key_type(alg)));
    if (want_private && !is_private)
        return hd_fail(err, HD_EINVAL, "%s: is a public key; signing needs the private one", what);
    return 0;
}

static int read_asymmetric(struct hd_lane_keys *k, const struct hd_lane_auth *auth,
                           struct hd_error *err)
{
    int rc = 0;
    if (auth->private_key != NULL)
        rc = read_key(&k->private_key, auth->private_key, k->alg, true, "private key", err);
    if (rc == 0 && auth->public_key != NULL)
        rc = read_key(&k->public_key, auth->public_key, k->alg, false, "public key", err);
    if (rc < 0)
        return rc;
    k->private_kid = hd_strdup(auth->private_key_kid);
    k->by_kid = hd_new_array(struct hd_jwk, auth->n_kids + 1);
    for (size_t i = 0; i < auth->n_kids && rc == 0; i++) {
        struct hd_jwk key = {0};
        rc = read_key(&key, auth->kid_keys[i], k->alg, false, auth->kids[i], err);
        key.kid = hd_strdup(auth->kids[i]);
        k->by_kid[k->n_by_kid++] = key;
    }
    return rc;
}

int hd_lane_keys_new(struct hd_lane_keys **out, const struct hd_lane_auth *auth,
                     struct hd_error *err)
{
    struct hd_lane_keys *k = hd_new(struct hd_lane_keys);
    k->mode = auth->mode;
    k->alg = auth->mode == HD_LANE_AUTH_HMAC ? HD_ALG_HS256 : auth->alg;
    k->ttl_ms = auth->token_ttl_ms;
    k->skew_ms = auth->clock_skew_ms;
    k->legacy = auth->accept_legacy_tokens;
    k->kid_fallback = auth->kid_fallback;
    int rc = 0;
    if (auth->mode == HD_LANE_AUTH_HMAC) {
        set_secret(&k->sign_secret, auth->produce_secret, auth->secret);
        set_secret(&k->verify_secret, auth->consume_secret, auth->secret);
    } else if (auth->mode == HD_LANE_AUTH_ASYMMETRIC) {
        rc = read_asymmetric(k, auth, err);
    }
    if (rc < 0) {
        hd_lane_keys_free(k);
        return rc;
    }
    *out = k;
    return 0;
}

static void free_secret(struct secret *s)
{
    if (s->at != NULL)
        explicit_bzero(s->at, s->len);
    free(s->at);
}

void hd_lane_keys_free(struct hd_lane_keys *k)
{
    if (k == NULL)
        return;
    free_secret(&k->sign_secret);
    free_secret(&k->verify_secret);
    hd_pkey_free(k->private_key.pkey);
    hd_pkey_free(k->public_key.pkey);
    for (size_t i = 0; i < k->n_by_kid; i++) {
        hd_pkey_free(k->by_kid[i].pkey);
        free(k->by_kid[i].kid);
    }
    free(k->by_kid);
    free(k->private_kid);
    free(k);
}

bool hd_lane_keys_can_sign(const struct hd_lane_keys *k)
{
    return k->mode == HD_LANE_AUTH_NONE || k->sign_secret.at != NULL || k->private_key.can_sign;
}

bool hd_lane_keys_can_verify(const struct hd_lane_keys *k)
{
    return k->mode == HD_LANE_AUTH_NONE || k->verify_secret.at != NULL ||
           k->public_key.pkey != NULL || k->n_by_kid > 0;
}

/* --- signatures; ES256 is DER here, and not the two numbers side by side of RFC 7518 --- */

static void hmac(unsigned char out[HASH_BYTES], const struct secret *s, struct hd_str bytes)
{
    unsigned n = HASH_BYTES;
    HMAC(EVP_sha256(), s->at, (int)s->len, (const unsigned char *)bytes.ptr, bytes.len, out, &n);
}

static size_t es256_to_der(unsigned char *at)
{
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(at, ES256_BYTES / 2, NULL);
    BIGNUM *s = BN_bin2bn(at + ES256_BYTES / 2, ES256_BYTES / 2, NULL);
    ECDSA_SIG_set0(sig, r, s);
    unsigned char *to = at;
    int n = i2d_ECDSA_SIG(sig, &to);
    ECDSA_SIG_free(sig);
    return n > 0 ? (size_t)n : 0;
}

/* @return false: not DER, or trailing bytes, or numbers too big. */
static bool es256_from_der(unsigned char out[ES256_BYTES], struct hd_str der)
{
    const unsigned char *at = (const unsigned char *)der.ptr;
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)der.len);
    bool ok = sig != NULL && at == (const unsigned char *)der.ptr + der.len &&
              BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, ES256_BYTES / 2) > 0 &&
              BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + ES256_BYTES / 2, ES256_BYTES / 2) > 0;
    ECDSA_SIG_free(sig);
    return ok;
}

static void add_base64(struct hd_buf *out, const void *bytes, size_t len)
{
    char *to = hd_buf_reserve(out, hd_base64_chars(HD_BASE64URL, len));
    if (to != NULL)
        hd_buf_commit(out, hd_base64_encode(to, HD_BASE64URL, bytes, len));
}

void hd_lane_hash(struct hd_buf *out, struct hd_str bytes)
{
    unsigned char hash[HASH_BYTES];
    EVP_Digest(bytes.ptr, bytes.len, hash, NULL, EVP_sha256(), NULL);
    add_base64(out, hash, sizeof(hash));
}

/* --- making --- */

static void add_member(struct hd_buf *out, const char *name, struct hd_str value)
{
    hd_buf_fmt(out, "%s\"%s\":", out->len > 1 ? "," : "", name);
    hd_buf_json(out, value);
}

static int add_signature(struct hd_buf *out, const struct hd_lane_keys *k, struct hd_str input,
                         struct hd_error *err)
{
    unsigned char signature[HD_SIGNATURE_MAX];
    int n = HASH_BYTES;
    if (k->mode == HD_LANE_AUTH_HMAC)
        hmac(signature, &k->sign_secret, input);
    else
        n = hd_pkey_sign(signature, &k->private_key, k->alg, input, err);
    if (n < 0)
        return n;
    size_t len = k->alg == HD_ALG_ES256 ? es256_to_der(signature) : (size_t)n;
    hd_buf_char(out, '.');
    add_base64(out, signature, len);
    return 0;
}

int hd_lane_token_sign(struct hd_buf *out, const struct hd_lane_keys *k,
                       const struct hd_lane_claims *claims, int64_t now_ms, struct hd_error *err)
{
    if (k->mode == HD_LANE_AUTH_NONE || !hd_lane_keys_can_sign(k))
        return hd_fail(err, HD_EINVAL, "there is no key to sign with");
    char memory[512];
    struct hd_buf part;
    size_t begin = out->len;
    hd_buf_init_with(&part, memory, sizeof(memory), TOKEN_MAX);
    hd_buf_fmt(&part, "{\"alg\":\"%s\",\"typ\":\"JWT\"", hd_alg_name(k->alg));
    if (k->private_kid != NULL)
        add_member(&part, "kid", hd_str(k->private_kid));
    hd_buf_char(&part, '}');
    add_base64(out, part.ptr, part.len);
    hd_buf_char(out, '.');
    hd_buf_clear(&part);
    hd_buf_char(&part, '{');
    add_member(&part, "lane", claims->lane);
    add_member(&part, "cap", hd_str("produce"));
    add_member(&part, "kind", hd_str(kind_names[claims->kind]));
    add_member(&part, "target", claims->target);
    if (claims->hash.len > 0)
        add_member(&part, "hash", claims->hash);
    hd_buf_fmt(&part, ",\"iat\":%lld,\"exp\":%lld}", (long long)(now_ms / 1000),
               (long long)((now_ms + k->ttl_ms) / 1000));
    add_base64(out, part.ptr, part.len);
    bool full = hd_buf_failed(&part) || hd_buf_failed(out);
    hd_buf_done(&part);
    if (full)
        return hd_fail(err, HD_EINVAL, "lane or target too long for a token");
    return add_signature(out, k, hd_str_n(out->ptr + begin, out->len - begin), err);
}

/* --- checking --- */

struct token {
    struct hd_str signed_part, signature; /* signature: decoded */
    json_t *header, *payload;
};

/* Peers decode leniently: both alphabets, with or without padding. */
static bool decode(unsigned char *out, size_t *used, struct hd_str in)
{
    while (in.len > 0 && in.ptr[in.len - 1] == '=')
        in.len--;
    char *text = (char *)out;
    for (size_t i = 0; i < in.len; i++)
        text[i] = in.ptr[i] == '+' ? '-' : in.ptr[i] == '/' ? '_' : in.ptr[i];
    return hd_base64_decode(out, used, HD_BASE64URL, hd_str_n(text, in.len)) == 0;
}

static json_t *decode_json(unsigned char *scratch, struct hd_str part)
{
    size_t n;
    if (!decode(scratch, &n, part))
        return NULL;
    json_t *value = json_loadb((const char *)scratch, n, 0, NULL);
    if (json_is_object(value))
        return value;
    json_decref(value);
    return NULL;
}

static struct hd_str text_of(const json_t *object, const char *name)
{
    const json_t *v = json_object_get(object, name);
    return json_is_string(v) ? hd_str_n(json_string_value(v), json_string_length(v))
                             : hd_str_n(NULL, 0);
}

static int denied(struct hd_error *err, const char *why)
{
    return hd_fail(err, HD_EDENIED, "lane token: %s", why);
}

/* A claim that is there is always checked; a token of an old peer may lack it. */
static bool claim_ok(const struct hd_lane_keys *k, const json_t *payload, const char *name,
                     struct hd_str want)
{
    if (json_object_get(payload, name) == NULL)
        return k->legacy;
    return hd_str_eq(text_of(payload, name), want);
}

static bool hash_ok(const struct hd_lane_keys *k, const json_t *payload, struct hd_str want,
                    struct hd_str or_hash)
{
    if (want.len == 0 || claim_ok(k, payload, "hash", want))
        return true;
    return or_hash.len > 0 && hd_str_eq(text_of(payload, "hash"), or_hash);
}

static int check_claims(const struct hd_lane_keys *k, const json_t *payload,
                        const struct hd_lane_claims *want, struct hd_str or_hash, int64_t now_ms,
                        struct hd_error *err)
{
    struct hd_str lane = text_of(payload, "lane"), cap = text_of(payload, "cap");
    const json_t *iat = json_object_get(payload, "iat"), *exp = json_object_get(payload, "exp");
    if (lane.ptr == NULL || cap.ptr == NULL || !json_is_number(iat) || !json_is_number(exp))
        return denied(err, "a claim is missing or of a wrong type");
    if (!hd_str_eq(lane, want->lane))
        return denied(err, "for another lane");
    if (!hd_str_is(cap, "produce"))
        return denied(err, "another capability");
    if (json_number_value(exp) * 1000 < (double)now_ms - k->skew_ms)
        return denied(err, "expired");
    if (json_number_value(iat) * 1000 > (double)now_ms + k->skew_ms)
        return denied(err, "issued in the future");
    if (!claim_ok(k, payload, "kind", hd_str(kind_names[want->kind])))
        return denied(err, "of another kind");
    if (!claim_ok(k, payload, "target", want->target))
        return denied(err, "for another target");
    if (!hash_ok(k, payload, want->hash, or_hash))
        return denied(err, "for another body");
    return 0;
}

static const struct hd_jwk *choose_key(const struct hd_lane_keys *k, struct hd_str kid)
{
    for (size_t i = 0; i < k->n_by_kid && kid.ptr != NULL; i++) {
        if (hd_str_is(kid, k->by_kid[i].kid))
            return &k->by_kid[i];
    }
    if (kid.ptr != NULL && k->n_by_kid > 0 && !k->kid_fallback)
        return NULL;
    if (k->public_key.pkey != NULL)
        return &k->public_key;
    return k->n_by_kid > 0 ? &k->by_kid[0] : NULL;
}

static int check_signature(const struct hd_lane_keys *k, const struct token *t,
                           struct hd_error *err)
{
    unsigned char mac[HASH_BYTES], raw[ES256_BYTES];
    if (k->mode == HD_LANE_AUTH_HMAC) {
        if (k->verify_secret.at == NULL)
            return denied(err, "nothing to check it with");
        hmac(mac, &k->verify_secret, t->signed_part);
        bool ok = hd_str_eq_secret(t->signature, hd_str_n((const char *)mac, sizeof(mac)));
        return ok ? 0 : denied(err, "signature does not match");
    }
    const struct hd_jwk *key = choose_key(k, text_of(t->header, "kid"));
    if (key == NULL)
        return denied(err, "signed with an unknown key");
    struct hd_str signature = t->signature;
    if (k->alg == HD_ALG_ES256 && signature.len != ES256_BYTES) {
        if (!es256_from_der(raw, signature))
            return denied(err, "signature does not match");
        signature = hd_str_n((const char *)raw, sizeof(raw));
    }
    return hd_pkey_verify(key, k->alg, t->signed_part, signature)
               ? 0
               : denied(err, "signature does not match");
}

static int check(const struct hd_lane_keys *k, struct token *t, struct hd_str parts[3],
                 unsigned char *scratch, const struct hd_lane_claims *want, struct hd_str or_hash,
                 int64_t now_ms, struct hd_error *err)
{
    t->header = decode_json(scratch, parts[0]);
    t->payload = decode_json(scratch, parts[1]);
    if (t->header == NULL || t->payload == NULL)
        return denied(err, "not a token");
    int rc = check_claims(k, t->payload, want, or_hash, now_ms, err);
    if (rc < 0)
        return rc;
    if (!hd_str_is(text_of(t->header, "alg"), hd_alg_name(k->alg)))
        return denied(err, "another algorithm");
    size_t n;
    if (!decode(scratch, &n, parts[2]))
        return denied(err, "not a token");
    t->signature = hd_str_n((const char *)scratch, n);
    return check_signature(k, t, err);
}

int hd_lane_token_verify(const struct hd_lane_keys *k, struct hd_str token,
                         const struct hd_lane_claims *want, struct hd_str or_hash, int64_t now_ms,
                         struct hd_error *err)
{
    struct hd_str parts[3], rest = token, more;
    if (k->mode == HD_LANE_AUTH_NONE)
        return 0;
    if (token.len == 0)
        return denied(err, "missing");
    if (token.len > TOKEN_MAX)
        return denied(err, "too long");
    for (int i = 0; i < 3; i++) {
        if (!hd_str_split(&parts[i], &rest, '.') || parts[i].len == 0)
            return denied(err, "not a token");
    }
    if (hd_str_split(&more, &rest, '.'))
        return denied(err, "not a token");
    struct token t = {.signed_part = hd_str_n(token.ptr, (size_t)(parts[2].ptr - 1 - token.ptr))};
    unsigned char *scratch = hd_alloc(token.len + 1);
    int rc = check(k, &t, parts, scratch, want, or_hash, now_ms, err);
    json_decref(t.header);
    json_decref(t.payload);
    free(scratch);
    return rc;
}

int hd_lane_token_verify_hash(const struct hd_lane_keys *k, struct hd_str token, struct hd_str hash,
                              struct hd_str or_hash, struct hd_error *err)
{
    struct hd_str header, payload, rest = token;
    if (k->mode == HD_LANE_AUTH_NONE)
        return 0;
    if (!hd_str_split(&header, &rest, '.') || !hd_str_split(&payload, &rest, '.'))
        return denied(err, "not a token");
    unsigned char *scratch = hd_alloc(payload.len + 1);
    json_t *claims = decode_json(scratch, payload);
    bool ok = claims != NULL && hash_ok(k, claims, hash, or_hash);
    json_decref(claims);
    free(scratch);
    return ok ? 0 : denied(err, "for another body");
}

struct hd_str hd_lane_token_of(struct hd_str header_name, struct hd_str value)
{
    struct hd_str trimmed = hd_str_trim(value), scheme = hd_str("bearer");
    if (!hd_str_is_nocase(header_name, "authorization") || trimmed.len <= scheme.len ||
        !hd_str_eq_nocase(hd_str_n(trimmed.ptr, scheme.len), scheme) ||
        (trimmed.ptr[scheme.len] != ' ' && trimmed.ptr[scheme.len] != '\t'))
        return trimmed;
    return hd_str_trim(hd_str_n(trimmed.ptr + scheme.len, trimmed.len - scheme.len));
}
