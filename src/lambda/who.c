#include "lambda/who.h"

#include "core/map.h"
#include "pool/lambdaenv.h"

#include <stdio.h>

struct access_key {
    char *id, *secret;
    char account[13];
};

struct hd_access_keys {
    struct hd_map by_id;
    bool derives;
    struct hd_alive *alive;
    uint8_t key[HD_LAMBDAENV_KEY_BYTES];
};

/* A key that is in no list, because it follows from another. */
struct derived_key {
    struct access_key key;
    char secret[HD_LAMBDAENV_SECRET_CHARS + 1];
    struct hd_alive_who who;
};

struct hd_access_keys *hd_access_keys_new(void)
{
    struct hd_access_keys *k = hd_new(struct hd_access_keys);
    hd_map_init(&k->by_id, 0);
    return k;
}

static void free_key(struct access_key *key)
{
    explicit_bzero(key->secret, strlen(key->secret));
    free(key->secret);
    free(key->id);
    free(key);
}

void hd_access_keys_free(struct hd_access_keys *k)
{
    size_t at = 0;
    void *value;
    if (k == NULL)
        return;
    while (hd_map_next(&k->by_id, &at, NULL, &value))
        free_key(value);
    hd_map_done(&k->by_id);
    explicit_bzero(k->key, sizeof(k->key));
    free(k);
}

void hd_access_keys_derive(struct hd_access_keys *k, const uint8_t *key, struct hd_alive *alive)
{
    k->alive = alive;
    k->derives = true;
    memcpy(k->key, key, sizeof(k->key));
}

int hd_access_keys_add(struct hd_access_keys *k, struct hd_str text, const char *account,
                       struct hd_error *err)
{
    struct hd_str rest = text, id, secret, own = hd_str(account);
    bool good = hd_str_split(&id, &rest, ':') && hd_str_split(&secret, &rest, ':');
    if (good && rest.ptr != NULL)
        own = rest;
    if (!good || id.len == 0 || id.len > 128 || secret.len == 0 || own.len != 12)
        return hd_fail(err, HD_EINVAL, "an access key must be id:secret or id:secret:account");
    struct access_key *key = hd_new(struct access_key);
    key->id = hd_strdup_n(id);
    key->secret = hd_strdup_n(secret);
    memcpy(key->account, own.ptr, own.len);
    struct access_key *old = hd_map_remove(&k->by_id, id);
    hd_map_put(&k->by_id, hd_str(key->id), key);
    if (old != NULL)
        free_key(old);
    return 0;
}

/* --- a request --- */

static struct hd_str field(const struct hd_sigv4_request *req, const char *name)
{
    for (size_t i = 0; i < req->n_fields; i++) {
        if (hd_str_is_nocase(req->fields[i].name, name))
            return req->fields[i].value;
    }
    return hd_str_n(NULL, 0);
}

/* @param room  for a key that is in no list. */
static const struct access_key *find(const struct hd_access_keys *k,
                                     const struct hd_sigv4_claim *claim, struct derived_key *room)
{
    struct hd_str id = claim->key_id;
    if (k == NULL || id.len == 0)
        return NULL;
    const struct access_key *known = hd_map_get(&k->by_id, id);
    room->who = (struct hd_alive_who){.function = "function", .role = "function"};
    if (known != NULL || !k->derives ||
        (k->alive != NULL && !hd_alive_find(k->alive, &room->who, hd_lambdaenv_instance(id))) ||
        hd_lambdaenv_secret(room->secret, k->key, id) < 0 ||
        !hd_lambdaenv_account(room->key.account, k->key, id, claim->token))
        return known;
    room->key.secret = room->secret;
    return &room->key;
}

static bool says_anything(const struct hd_sigv4_request *req)
{
    if (field(req, "authorization").len > 0)
        return true;
    static const char name[] = "X-Amz-Algorithm=";
    return req->query.len >= sizeof(name) &&
           memmem(req->query.ptr, req->query.len, name, sizeof(name) - 1) != NULL;
}

static bool has_bearer(const struct hd_who_rules *rules, const struct hd_sigv4_request *req)
{
    static const struct hd_str scheme = HD_LIT("bearer ");
    struct hd_str given = field(req, "authorization");
    if (rules->bearer.len == 0 || given.len <= scheme.len ||
        !hd_str_eq_nocase(hd_str_n(given.ptr, scheme.len), scheme))
        return false;
    given.ptr += scheme.len;
    given.len -= scheme.len;
    return hd_str_eq_secret(hd_str_trim(given), rules->bearer);
}

bool hd_who_needs_hash(const struct hd_who_rules *rules, const struct hd_sigv4_request *req)
{
    if (rules->rule == HD_WHO_OFF || !says_anything(req) || has_bearer(rules, req))
        return false;
    if (rules->rule == HD_WHO_REQUIRED)
        return true;
    struct hd_sigv4_claim claim;
    struct hd_sigv4_refusal refusal;
    struct derived_key room;
    return hd_sigv4_parse(&claim, req, &refusal) == HD_SIGV4_GOOD &&
           find(rules->keys, &claim, &room) != NULL;
}

static void copy(char *to, size_t room, struct hd_str from)
{
    from.len = HD_MIN(from.len, room - 1);
    if (from.len > 0)
        memcpy(to, from.ptr, from.len);
    to[from.len] = '\0';
}

static int refuse(struct hd_who *who, const struct hd_sigv4_refusal *r)
{
    switch (r->fault) {
    case HD_SIGV4_GOOD:
    case HD_SIGV4_MISSING:
        who->fault = HD_API_NO_SIGNATURE;
        break;
    case HD_SIGV4_INCOMPLETE:
        who->fault = HD_API_INCOMPLETE_SIGNATURE;
        break;
    case HD_SIGV4_UNKNOWN:
        who->fault = HD_API_UNKNOWN_KEY;
        break;
    case HD_SIGV4_INVALID:
        who->fault = HD_API_BAD_SIGNATURE;
        break;
    }
    copy(who->message, sizeof(who->message), hd_str(r->message));
    return HD_EDENIED;
}

/* Name space and key, as the request says them. */
static void believe(struct hd_who *who, const struct hd_sigv4_claim *claim,
                    const struct access_key *key)
{
    copy(who->key_id, sizeof(who->key_id), claim->key_id);
    if (claim->region.len > 0)
        copy(who->region, sizeof(who->region), claim->region);
    if (key != NULL)
        copy(who->account, sizeof(who->account), hd_str(key->account));
}

static int check_claim(struct hd_who *who, const struct hd_who_rules *rules,
                       const struct hd_sigv4_request *req, const struct hd_sigv4_claim *claim,
                       struct hd_sigv4_keys *derived, int64_t now_unix_s)
{
    struct derived_key room;
    const struct access_key *key = find(rules->keys, claim, &room);
    believe(who, claim, key);
    if (rules->rule == HD_WHO_OFF || (rules->rule == HD_WHO_KNOWN && key == NULL))
        return 0;
    struct hd_sigv4_refusal refusal;
    struct hd_sigv4_key with = {.id = claim->key_id};
    struct hd_sigv4_rules how = {.service = rules->service != NULL ? rules->service : "lambda",
                                 .now_unix_s = now_unix_s,
                                 .keys = derived};
    if (key != NULL)
        with.secret = hd_str(key->secret);
    if (key == &room.key)
        with.token = claim->token;
    if (hd_sigv4_verify(claim, req, key != NULL ? &with : NULL, &how, &refusal) != HD_SIGV4_GOOD)
        return refuse(who, &refusal);
    who->checked = true;
    if (key == &room.key) {
        snprintf(who->function, sizeof(who->function), "%s", room.who.function);
        snprintf(who->principal, sizeof(who->principal), "arn:aws:sts::%s:assumed-role/%s/%s",
                 who->account, room.who.role, room.who.function);
    } else {
        snprintf(who->principal, sizeof(who->principal), "arn:aws:iam::%s:user/%s", who->account,
                 who->key_id);
    }
    return 0;
}

int hd_who_check(struct hd_who *who, const struct hd_who_rules *rules,
                 const struct hd_sigv4_request *req, struct hd_sigv4_keys *derived,
                 int64_t now_unix_s)
{
    *who = (struct hd_who){.checked = false};
    copy(who->account, sizeof(who->account), hd_str(rules->account));
    copy(who->region, sizeof(who->region), hd_str(rules->region));
    if (!says_anything(req) && rules->rule != HD_WHO_REQUIRED)
        return 0;
    if (has_bearer(rules, req)) {
        who->checked = true;
        snprintf(who->principal, sizeof(who->principal), "arn:aws:iam::%s:root", who->account);
        return 0;
    }
    struct hd_sigv4_claim claim;
    struct hd_sigv4_refusal refusal;
    enum hd_sigv4_fault fault = hd_sigv4_parse(&claim, req, &refusal);
    if (fault == HD_SIGV4_GOOD)
        return check_claim(who, rules, req, &claim, derived, now_unix_s);
    return rules->rule == HD_WHO_REQUIRED ? refuse(who, &refusal) : 0;
}

struct hd_api_caller hd_who_caller(const struct hd_who *who)
{
    return (struct hd_api_caller){.account = hd_str(who->account),
                                  .region = hd_str(who->region),
                                  .principal = hd_str(who->principal),
                                  .checked = who->checked};
}
