/* auth/identity.h - who is asking, as far as it was verified. */
#pragma once

#include "auth/jwt.h"

/** Immutable and counted: each holder calls ref and unref, the last unref frees. Any thread. */
struct hd_identity {
    struct hd_str role;  /* claim `role`; "authenticated" where a user (`sub`) has none */
    struct hd_str sub;   /* may be empty: keys have no user */
    struct hd_str email; /* may be empty */
    struct hd_str field; /* base64url of the payload's JSON: the value of x-heddle-auth */
    int64_t valid_until_s;
    size_t bytes; /* of memory, all of it */
};

/** Make one of a verified token. Takes the claims of @p jwt, which is as after hd_jwt_done().
 *  @return with one reference, the caller's. */
struct hd_identity *hd_identity_from_jwt(struct hd_jwt *jwt);
/**
 * Make the one of an API key, with the payload that such a caller gets.
 * @param role    "anon", "service_role", ...
 * @param now_s   its iat; its exp is an hour later. To be used for a minute.
 */
struct hd_identity *hd_identity_from_key(const char *role, int64_t now_s);
struct hd_identity *hd_identity_ref(struct hd_identity *id);
void hd_identity_unref(struct hd_identity *id); /* NULL is fine */

/**
 * Does @p id fulfil one of these? An entry is a role ("service_role"), or a claim test
 * "path=value" ("aal=aal2", "app_metadata.plan=pro"): the claim at that path, dots between its
 * steps, is that string, number or boolean, or an array that holds it.
 * @param require  @p n of them; none: everybody does.
 */
bool hd_identity_meets(const struct hd_identity *id, const char *const *require, size_t n);
