/* lambda/deploy/deploy_owner.h - functions as owners of concurrency: what counts their invocations,
 * what is promised to each, and what is left for all others of the account. Control loop only. */
#pragma once

#include "core/map.h"
#include "invoke/admission.h"
#include "lambda/tags.h"

struct hd_deploy_place; /* one account in one region */

struct hd_deploy_owner {
    char *key; /* "account/region/name" */
    struct hd_deploy_place *place;
    struct hd_admission *admission;
    int64_t reserved;     /* -1: no reservation */
    uint32_t provisioned; /* of all its versions */
    enum hd_tags_freeze freeze;
    unsigned users; /* versions that hold it */
};

struct hd_deploy_owners {
    uint32_t account_limit; /* invocations at once in one place */
    struct hd_map places, owners;
};

void hd_deploy_owners_init(struct hd_deploy_owners *all, uint32_t account_limit);
/** Every owner was let go. */
void hd_deploy_owners_done(struct hd_deploy_owners *all);
/** @return the owner, NULL if nobody holds it. */
struct hd_deploy_owner *hd_deploy_owner_find(const struct hd_deploy_owners *all, struct hd_str key);
/** @return the owner, made where there is none yet; to be let go. */
struct hd_deploy_owner *hd_deploy_owner_hold(struct hd_deploy_owners *all, struct hd_str key);
void hd_deploy_owner_let_go(struct hd_deploy_owners *all, struct hd_deploy_owner *o);
/** Say what it has; the rest of the place is shared out anew. */
void hd_deploy_owner_promise(struct hd_deploy_owners *all, struct hd_deploy_owner *o,
                             int64_t reserved, uint32_t provisioned);
