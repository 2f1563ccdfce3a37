/* lambda/deploy/deploy.h - from the records of functions and versions to pools and targets.
 *
 *   stored ──► Pending, InProgress ──► what it needs is looked at ──► Active, Successful
 *                     │                                         └──► Failed
 *                     └─► its pool is there already: nothing old serves from here on
 *
 * It listens to the catalog: whatever operation stored a record, this makes it true. A record that
 * a dead node left Pending is gone on with. Control loop only. */
#pragma once

#include "invoke/admission.h"
#include "invoke/target.h"
#include "lambda/api/api.h"
#include "lambda/deploy/catalog.h"
#include "lambda/deploy/view.h"

struct hd_deploy;

/** All borrowed. */
struct hd_deploy_options {
    const struct hd_api_options *api;
    struct hd_catalog *catalog;
    /** Nothing is under way any more. */
    void (*on_idle)(void *arg);
    /** A target changed although no record did. @p key  "account/region/name". */
    void (*on_target)(void *arg, const char *key);
    void *arg; /* of both */
};

/** Make pools for everything in the catalog, and go on with what is not complete. */
struct hd_deploy *hd_deploy_new(const struct hd_deploy_options *opt);
/** Start nothing more. */
void hd_deploy_stop(struct hd_deploy *d);
bool hd_deploy_is_busy(const struct hd_deploy *d);
/** It must not be busy. NULL is fine. */
void hd_deploy_free(struct hd_deploy *d);

/** One version as it stands. */
struct hd_deployed {
    enum hd_lambda_state state;
    struct hd_target *target; /* borrowed; NULL: there is nothing yet that could be called */
};
/** @param key  "account/region/name" for $LATEST, or "account/region/name/7". @return false: no
 *  such version. */
bool hd_deploy_find(const struct hd_deploy *d, const char *key, struct hd_deployed *out);
/** @param key  "account/region/name". @return what counts its invocations, borrowed; NULL: no such
 *  function. */
struct hd_admission *hd_deploy_admission(const struct hd_deploy *d, const char *key);
