/*  token ──split──► three parts ──header──► alg, kid ──keys──► signature ──payload──► claims
 *  Nothing of the payload is read before the signature is found good.                        */
#include "auth/jwt.h"

#include "auth/pkey.h"
#include "core/base64.h"

#include <jansson.h>
#include <math.h>

struct parts {
    struct hd_str header, payload, signature; /* as sent */
    struct hd_str signed_part;                /* header "." payload */
};

/* What base64 would have at the end of a part of this length, if it is there. */
static struct hd_str without_padding(struct hd_str part)
{
    if (part.len % 4 != 0)
        return part;
    if (hd_str_ends(part, hd_str("==")))
        part.len -= 2;
    else if (hd_str_ends(part, hd_str("=")))
        part.len -= 1;
    return part;
}

static int split(struct parts *p, struct hd_str token, struct hd_error *err)
{
    if (token.len > HD_JWT_BYTES_MAX)
        return hd_fail(err, HD_EPROTO, "token: %zu bytes, the limit is %d", token.len,
                       HD_JWT_BYTES_MAX);
    struct hd_str rest = token, extra;
    bool three = hd_str_split(&p->header, &rest, '.') && hd_str_split(&p->payload, &rest, '.') &&
                 hd_str_split(&p->signature, &rest, '.') && !hd_str_split(&extra, &rest, '.');
    if (!three)
        return hd_fail(err, HD_EPROTO, "token: not three parts with dots between them");
    p->signed_part = hd_str_n(token.ptr, (size_t)(p->payload.ptr + p->payload.len - token.ptr));
    return 0;
}

/* Decode one part to its end; *out is to be freed. */
static int decode(struct hd_str *out, char **memory, const char *name, struct hd_str part,
                  bool allow_padding, struct hd_error *err)
{
    if (allow_padding)
        part = without_padding(part);
    *memory = hd_alloc(hd_base64_bytes(part.len) + 1);
    size_t used;
    if (hd_base64_decode(*memory, &used, HD_BASE64URL, part) < 0)
        return hd_fail(err, HD_EPROTO, "%s: not base64url at character %zu", name, used + 1);
    *out = hd_str_n(*memory, used);
    return 0;
}

static int parse_object(json_t **out, const char *name, struct hd_str text, struct hd_error *err)
{
    json_error_t at;
    json_t *root = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, &at);
    if (root == NULL) /* jansson's text would quote the token */
        return hd_fail(err, HD_EPROTO, "%s: not JSON (%s) at byte %d", name,
                       json_error_code(&at) == json_error_duplicate_key ? "a member twice"
                                                                        : "syntax",
                       at.position);
    if (!json_is_object(root)) {
        json_decref(root);
        return hd_fail(err, HD_EPROTO, "%s: not a JSON object", name);
    }
    *out = root;
    return 0;
}

static struct hd_str string_of(const json_t *v)
{
    return json_is_string(v) ? hd_str_n(json_string_value(v), json_string_length(v))
                             : hd_str_n(NULL, 0);
}

/* --- header --- */

static int read_header(enum hd_alg *alg, struct hd_str *kid, const json_t *header,
                       const struct hd_jwt_rules *rules, struct hd_error *err)
{
    struct hd_str name = string_of(json_object_get(header, "alg"));
    if (name.ptr == NULL)
        return hd_fail(err, HD_EPROTO, "header: alg: missing, or not a string");
    if (hd_alg_parse(alg, name) < 0)
        return hd_fail(err, HD_EDENIED, "header: alg: \"%.*s\" is not accepted",
                       (int)HD_MIN(name.len, (size_t)16), name.ptr);
    if ((rules->algs & HD_ALG_BIT(*alg)) == 0)
        return hd_fail(err, HD_EDENIED, "header: alg: %s is not on the list of accepted ones",
                       hd_alg_name(*alg));
    /* RFC 7515 section 4.1.11: who does not understand an extension must refuse. We know none. */
    if (json_object_get(header, "crit") != NULL || json_object_get(header, "b64") != NULL)
        return hd_fail(err, HD_EPROTO, "header: crit or b64: no extension is understood");
    const json_t *kid_value = json_object_get(header, "kid");
    *kid = string_of(kid_value);
    if (kid_value != NULL && (kid->ptr == NULL || kid->len > HD_KEY_KID_MAX))
        return hd_fail(err, HD_EPROTO, "header: kid: not a string of at most %d bytes",
                       HD_KEY_KID_MAX);
    const json_t *typ = json_object_get(header, "typ");
    if (typ != NULL && !json_is_string(typ))
        return hd_fail(err, HD_EPROTO, "header: typ: not a string");
    return 0;
}

/* --- keys and signature --- */

/* In the second round the keys without a name are tried, or, for a token that names none, all. */
static bool is_candidate(const struct hd_jwk *key, enum hd_alg alg, struct hd_str kid, int round)
{
    if (key->type != hd_alg_key_type(alg) || (key->algs & HD_ALG_BIT(alg)) == 0)
        return false;
    if (kid.ptr == NULL)
        return round == 1;
    if (key->kid == NULL)
        return round == 1;
    return round == 0 && hd_str_is(kid, key->kid);
}

static int check_signature(const struct parts *p, struct hd_str signature, enum hd_alg alg,
                           struct hd_str kid, struct hd_jwks *const *sets, size_t n_sets,
                           struct hd_error *err)
{
    unsigned tried = 0, named = 0;
    for (int round = 0; round < 2; round++) {
        for (size_t s = 0; s < n_sets; s++) {
            for (size_t i = 0; sets[s] != NULL && i < hd_jwks_count(sets[s]); i++) {
                const struct hd_jwk *key = hd_jwks_at(sets[s], i);
                if (!is_candidate(key, alg, kid, round))
                    continue;
                if (tried++ == HD_JWT_TRIES_MAX)
                    return hd_fail(err, HD_EDENIED, "signature: not by the first %d keys for %s",
                                   HD_JWT_TRIES_MAX, hd_alg_name(alg));
                if (hd_pkey_verify(key, alg, p->signed_part, signature))
                    return 0;
                named += round == 0;
            }
        }
    }
    if (named == 0 && (kid.ptr != NULL || tried == 0))
        return hd_fail(err, HD_ENOTFOUND, "header: kid: no key \"%.*s\" for %s",
                       (int)HD_MIN(kid.len, (size_t)64), kid.ptr != NULL ? kid.ptr : "",
                       hd_alg_name(alg));
    return hd_fail(err, HD_EDENIED, "signature: wrong (%s, %u keys tried)", hd_alg_name(alg),
                   tried);
}

/* --- claims --- */

/* NumericDate (RFC 7519 section 2): seconds, perhaps with a fraction.
 * @return 1, 0 when it is not there, or HD_EPROTO. */
static int date_of(double *out, const json_t *claims, const char *name, struct hd_error *err)
{
    const json_t *v = json_object_get(claims, name);
    if (v == NULL)
        return 0;
    *out = json_number_value(v);
    /* Doubles hold whole seconds up to 2^53 exactly; dates beyond that are somebody's mistake. */
    if (!json_is_number(v) || !(fabs(*out) <= 9007199254740992.0))
        return hd_fail(err, HD_EPROTO, "%s: not a number of seconds", name);
    return 1;
}

static int check_dates(struct hd_jwt *out, const struct hd_jwt_rules *rules, int64_t now_s,
                       struct hd_error *err)
{
    double exp, nbf, iat, now = (double)now_s, leeway = rules->leeway_s;
    int has_exp = date_of(&exp, out->claims, "exp", err);
    if (has_exp < 0)
        return has_exp;
    if (has_exp == 0)
        return hd_fail(err, HD_EDENIED, "exp: missing");
    int has_nbf = date_of(&nbf, out->claims, "nbf", err);
    if (has_nbf < 0)
        return has_nbf;
    int has_iat = date_of(&iat, out->claims, "iat", err);
    if (has_iat < 0)
        return has_iat;

    double until = exp + leeway;
    if (until <= now)
        return hd_fail(err, HD_ETIMEOUT, "exp: expired %.0f s ago", now - exp);
    if (has_nbf > 0 && nbf > now + leeway)
        return hd_fail(err, HD_EDENIED, "nbf: not valid for another %.0f s", nbf - now);
    if (has_iat > 0 && iat > now + leeway)
        return hd_fail(err, HD_EDENIED, "iat: made %.0f s in the future", iat - now);
    if (rules->max_age_s > 0) {
        if (has_iat == 0)
            return hd_fail(err, HD_EDENIED, "iat: missing, and there is a maximum age");
        double oldest = iat + rules->max_age_s + leeway;
        if (oldest <= now)
            return hd_fail(err, HD_ETIMEOUT, "iat: %.0f s old, the maximum is %u", now - iat,
                           rules->max_age_s);
        until = fmin(until, oldest);
    }
    out->exp_s = (int64_t)floor(exp);
    out->valid_until_s = (int64_t)ceil(until);
    return 0;
}

static bool is_listed(const char *const *list, const json_t *v)
{
    struct hd_str s = string_of(v);
    for (; s.ptr != NULL && *list != NULL; list++) {
        if (hd_str_is(s, *list))
            return true;
    }
    return false;
}

static bool is_empty(const char *const *list)
{
    return list == NULL || *list == NULL;
}

static int check_names(const json_t *claims, const struct hd_jwt_rules *rules, struct hd_error *err)
{
    if (!is_empty(rules->issuers) && !is_listed(rules->issuers, json_object_get(claims, "iss")))
        return hd_fail(err, HD_EDENIED, "iss: missing, or not one that is accepted");
    if (!is_empty(rules->audiences)) {
        const json_t *aud = json_object_get(claims, "aud");
        bool found = is_listed(rules->audiences, aud);
        for (size_t i = 0; !found && i < json_array_size(aud); i++)
            found = is_listed(rules->audiences, json_array_get(aud, i));
        if (!found)
            return hd_fail(err, HD_EDENIED, "aud: missing, or not for us");
    }
    for (const char *const *name = rules->require_claims; name != NULL && *name != NULL; name++) {
        const json_t *v = json_object_get(claims, *name);
        if (v == NULL || json_is_null(v))
            return hd_fail(err, HD_EDENIED, "%s: missing, and required", *name);
    }
    return 0;
}

/* --- the whole --- */

static int verify_parts(struct hd_jwt *out, char **memory, const struct parts *p,
                        struct hd_jwks *const *sets, size_t n_sets,
                        const struct hd_jwt_rules *rules, int64_t now_s, struct hd_error *err)
{
    struct hd_str header_text, signature;
    hd_auto_free char *header_memory = NULL, *signature_memory = NULL;
    int rc = decode(&header_text, &header_memory, "header", p->header, rules->allow_padding, err);
    if (rc < 0)
        return rc;
    rc =
        decode(&signature, &signature_memory, "signature", p->signature, rules->allow_padding, err);
    if (rc < 0)
        return rc;
    json_t *header;
    rc = parse_object(&header, "header", header_text, err);
    if (rc < 0)
        return rc;
    struct hd_str kid = {0};
    rc = read_header(&out->alg, &kid, header, rules, err);
    if (rc == 0)
        rc = check_signature(p, signature, out->alg, kid, sets, n_sets, err);
    json_decref(header);
    if (rc < 0)
        return rc;

    rc = decode(&out->payload, memory, "payload", p->payload, rules->allow_padding, err);
    if (rc < 0)
        return rc;
    rc = parse_object(&out->claims, "payload", out->payload, err);
    if (rc < 0)
        return rc;
    rc = check_dates(out, rules, now_s, err);
    if (rc < 0)
        return rc;
    return check_names(out->claims, rules, err);
}

int hd_jwt_verify(struct hd_jwt *out, struct hd_str token, struct hd_jwks *const *sets,
                  size_t n_sets, const struct hd_jwt_rules *rules, int64_t now_s,
                  struct hd_error *err)
{
    struct parts p;
    int rc = split(&p, token, err);
    if (rc < 0)
        return rc;
    struct hd_jwt jwt = {.claims = NULL};
    char *memory = NULL;
    rc = verify_parts(&jwt, &memory, &p, sets, n_sets, rules, now_s, err);
    if (rc < 0) {
        json_decref(jwt.claims);
        free(memory);
        return rc;
    }
    *out = jwt;
    return 0;
}

void hd_jwt_done(struct hd_jwt *jwt)
{
    json_decref(jwt->claims);
    free((void *)jwt->payload.ptr);
    *jwt = (struct hd_jwt){.claims = NULL};
}

struct hd_str hd_jwt_claim(const struct hd_jwt *jwt, const char *name)
{
    return string_of(json_object_get(jwt->claims, name));
}

static void add_base64url(struct hd_buf *out, const void *bytes, size_t len)
{
    size_t n = hd_base64_chars(HD_BASE64URL, len);
    char *at = hd_buf_reserve(out, n);
    if (at != NULL)
        hd_buf_commit(out, hd_base64_encode(at, HD_BASE64URL, bytes, len));
}

int hd_jwt_sign(struct hd_buf *out, const struct hd_jwk *key, enum hd_alg alg,
                struct hd_str payload, struct hd_error *err)
{
    if ((key->algs & HD_ALG_BIT(alg)) == 0)
        return hd_fail(err, HD_EINVAL, "%s does not go with this key (%s)", hd_alg_name(alg),
                       hd_key_type_name(key->type));
    if (!key->can_sign)
        return hd_fail(err, HD_EINVAL, "the key has no private half, so it cannot sign");

    struct hd_buf header;
    hd_buf_init(&header, 2048);
    hd_buf_fmt(&header, "{\"alg\":\"%s\",\"typ\":\"JWT\"", hd_alg_name(alg));
    if (key->kid != NULL) {
        hd_buf_cstr(&header, ",\"kid\":");
        hd_buf_json(&header, hd_str(key->kid));
    }
    hd_buf_char(&header, '}');
    size_t start = out->len;
    add_base64url(out, header.ptr, header.len);
    hd_buf_done(&header);
    hd_buf_char(out, '.');
    add_base64url(out, payload.ptr, payload.len);
    if (hd_buf_failed(out))
        return hd_fail(err, HD_EBUSY, "token: over %zu bytes", out->max);
    unsigned char signature[HD_SIGNATURE_MAX];
    int n = hd_pkey_sign(signature, key, alg, hd_str_n(out->ptr + start, out->len - start), err);
    if (n < 0)
        return n;
    hd_buf_char(out, '.');
    add_base64url(out, signature, (size_t)n);
    if (hd_buf_failed(out))
        return hd_fail(err, HD_EBUSY, "token: over %zu bytes", out->max);
    return 0;
}
