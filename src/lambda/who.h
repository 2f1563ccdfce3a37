/* lambda/who.h - who asks, and in which name space: from the signature of a request, by the rule of
 * the setting lambda.verify. Pure but for the keys that are remembered. */
#pragma once

#include "auth/sigv4.h"
#include "lambda/api/api.h"
#include "lambda/api/api_error.h"
#include "pool/alive.h"

/** The access keys that may sign; made once, read by all loops. */
struct hd_access_keys;

struct hd_access_keys *hd_access_keys_new(void);
void hd_access_keys_free(struct hd_access_keys *k); /* wipes; NULL is fine */
/**
 * Add "id:secret" or "id:secret:account". @param account  where the text names none.
 * @return 0, or HD_EINVAL: it has another form.
 */
int hd_access_keys_add(struct hd_access_keys *k, struct hd_str text, const char *account,
                       struct hd_error *err);

/** Take the credentials that instances of functions were given as well: those that follow from this
 *  key (pool/lambdaenv.h), with their session token. Copied.
 *  @param alive  only while the instance lives; borrowed; NULL: for ever. */
void hd_access_keys_derive(struct hd_access_keys *k, const uint8_t *key, struct hd_alive *alive);

enum hd_who_rule {
    HD_WHO_OFF,      /* signatures are read, not checked */
    HD_WHO_KNOWN,    /* those with a key of ours are checked, others pass */
    HD_WHO_REQUIRED, /* all are checked */
};

/** What all doors of a node have in common; borrowed. */
struct hd_who_rules {
    enum hd_who_rule rule;
    const struct hd_access_keys *keys;
    const char *account, *region; /* where a request says none */
    const char *service;          /* the scope of a signature; NULL: "lambda" */
    struct hd_str bearer;         /* a key that is as good as a signature; empty: none */
};

struct hd_who {
    char account[13], region[64];
    char key_id[132];    /* empty: unsigned */
    char principal[360]; /* ARN; empty: unsigned, or nothing was checked */
    /* signed with what an instance was given: name of its function; empty: somebody else's key */
    char function[HD_ALIVE_NAME_MAX + 1];
    bool checked;
    enum hd_api_error fault;
    char message[400];
};

/** @return whether hd_who_check() will look at the body's hash: then it must be there. */
bool hd_who_needs_hash(const struct hd_who_rules *rules, const struct hd_sigv4_request *req);
/**
 * Find out.
 * @param derived  of this loop.
 * @return 0; or HD_EDENIED: who->fault and who->message say how the service would.
 */
int hd_who_check(struct hd_who *who, const struct hd_who_rules *rules,
                 const struct hd_sigv4_request *req, struct hd_sigv4_keys *derived,
                 int64_t now_unix_s);
/** As the API takes it; borrows from @p who. */
struct hd_api_caller hd_who_caller(const struct hd_who *who);
