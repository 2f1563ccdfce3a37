#include "auth/identity.h"

#include "core/base64.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdio.h>

enum { KEY_TTL_S = 60 }; /* then it is made anew, so that its exp stays about an hour away */

/* The slices of `shown` lie in `claims` and in `text`. Claims are read by several threads at once,
 * so nothing here may touch jansson's reference counts. */
struct identity {
    struct hd_identity shown; /* first: hd_identity_* casts */
    _Atomic uint32_t refs;
    json_t *claims;
    char text[];
};

static struct identity *whole(const struct hd_identity *id)
{
    return (struct identity *)(uintptr_t)id;
}

static struct hd_str string_claim(const json_t *claims, const char *name)
{
    const json_t *v = json_object_get(claims, name);
    return json_is_string(v) ? hd_str_n(json_string_value(v), json_string_length(v)) : hd_str("");
}

/* Takes `claims`. */
static struct hd_identity *make(json_t *claims, struct hd_str payload, int64_t valid_until_s)
{
    size_t chars = hd_base64_chars(HD_BASE64URL, payload.len);
    struct identity *id = hd_alloc(sizeof(*id) + chars);
    hd_base64_encode(id->text, HD_BASE64URL, payload.ptr, payload.len);
    atomic_init(&id->refs, 1);
    id->claims = claims;
    id->shown = (struct hd_identity){
        .role = string_claim(claims, "role"),
        .sub = string_claim(claims, "sub"),
        .email = string_claim(claims, "email"),
        .field = hd_str_n(id->text, chars),
        .valid_until_s = valid_until_s,
        /* Parsed JSON is several times as large as its text; four times is what tokens show. */
        .bytes = sizeof(*id) + chars + 4 * payload.len + 256,
    };
    if (id->shown.role.len == 0 && id->shown.sub.len > 0)
        id->shown.role = hd_str("authenticated");
    return &id->shown;
}

struct hd_identity *hd_identity_from_jwt(struct hd_jwt *jwt)
{
    struct hd_identity *id = make(json_incref(jwt->claims), jwt->payload, jwt->valid_until_s);
    hd_jwt_done(jwt);
    return id;
}

struct hd_identity *hd_identity_from_key(const char *role, int64_t now_s)
{
    json_t *claims = json_object();
    json_object_set_new(claims, "sub", json_string(""));
    json_object_set_new(claims, "email", json_string(""));
    json_object_set_new(claims, "role", json_string(role));
    json_object_set_new(claims, "iss", json_string("supabase"));
    json_object_set_new(claims, "aud", json_string(role));
    json_object_set_new(claims, "iat", json_integer(now_s));
    json_object_set_new(claims, "exp", json_integer(now_s + 3600));
    char *text = json_dumps(claims, JSON_COMPACT);
    struct hd_identity *id = make(claims, hd_str(text), now_s + KEY_TTL_S);
    free(text);
    return id;
}

struct hd_identity *hd_identity_ref(struct hd_identity *id)
{
    atomic_fetch_add_explicit(&whole(id)->refs, 1, memory_order_relaxed);
    return id;
}

void hd_identity_unref(struct hd_identity *id)
{
    if (id == NULL || atomic_fetch_sub_explicit(&whole(id)->refs, 1, memory_order_acq_rel) != 1)
        return;
    json_decref(whole(id)->claims);
    free(whole(id));
}

/* --- requirements --- */

static bool is_value(const json_t *v, struct hd_str want)
{
    if (json_is_string(v))
        return hd_str_eq(hd_str_n(json_string_value(v), json_string_length(v)), want);
    if (json_is_boolean(v))
        return hd_str_is(want, json_is_true(v) ? "true" : "false");
    char text[32];
    if (json_is_integer(v))
        snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else if (json_is_real(v))
        snprintf(text, sizeof(text), "%.17g", json_real_value(v));
    else
        return false;
    return hd_str_is(want, text);
}

static bool has_claim(const json_t *claims, struct hd_str path, struct hd_str want)
{
    const json_t *v = claims;
    struct hd_str step;
    while (hd_str_split(&step, &path, '.')) {
        char name[128];
        if (step.len >= sizeof(name))
            return false;
        memcpy(name, step.ptr, step.len);
        name[step.len] = '\0';
        v = json_object_get(v, name);
    }
    if (is_value(v, want))
        return true;
    for (size_t i = 0; i < json_array_size(v); i++) {
        if (is_value(json_array_get(v, i), want))
            return true;
    }
    return false;
}

bool hd_identity_meets(const struct hd_identity *id, const char *const *require, size_t n)
{
    if (n == 0)
        return true;
    for (size_t i = 0; i < n; i++) {
        struct hd_str rule = hd_str(require[i]);
        size_t eq = hd_str_find(rule, '=');
        bool met = eq == rule.len ? rule.len > 0 && hd_str_eq(id->role, rule)
                                  : has_claim(whole(id)->claims, hd_str_n(rule.ptr, eq),
                                              hd_str_n(rule.ptr + eq + 1, rule.len - eq - 1));
        if (met)
            return true;
    }
    return false;
}
