/* lambda_rig.h - the Lambda API with a real store, real bundles and real pools; only instances are
 * made of nothing: the backend writes down what it was asked to launch. */
#pragma once

#include "functions/bundle.h"
#include "invoke/admission.h"
#include "lambda/api/api.h"
#include "lambda/deploy/view.h"
#include "pool/set.h"
#include "store/store.h"
#include "tree.h"

#include <jansson.h>

#define LR_ROLE "arn:aws:iam::000000000000:role/r"
#define LR_ARN "arn:aws:lambda:us-east-1:000000000000:function:"
#define LR_FUNCTIONS "/2015-03-31/functions"

struct lr_launch { /* one that the backend was asked for */
    char *version, *handler, *runtime, *code_dir, *opt_dir, *qualifier, *env;
    bool ended;
};

struct lr {
    struct tree tree;
    struct hd_loop *loop;
    struct hd_store *store;
    struct hd_bundles *bundles;
    struct hd_pool_set *pools;
    struct lr_backend *backend;
    struct hd_api *api;
    struct hd_api_options opt; /* changed before lr_open() */
    struct hd_view *view;
    unsigned views;                           /* published so far */
    const char *account, *region, *principal; /* who asks; NULL: the defaults */
    bool instances_fail;                      /* from now on they end before they are ready */
    char *zip;                                /* base64 of an archive with index.js */

    /* the last answer */
    unsigned status;
    char type[64];
    char *text;
    json_t *body;
    char *file;
};

void lr_init(struct lr *r);
/** Open store, bundles, pools and API. */
void lr_open(struct lr *r);
/** Close them as a node does that ends. */
void lr_close(struct lr *r);
void lr_done(struct lr *r);
/** Let the loop turn until *@p flag is @p wanted or more; fails the test after a long time. */
void lr_until(struct lr *r, const unsigned *flag, unsigned wanted);

/** Ask. @param line  "GET /path?query". @param body  NULL: none. */
void lr_ask(struct lr *r, const char *line, const char *body);
/** Ask with a JSON body; takes @p body over. Fails the test unless the status is this one. */
void lr_ok(struct lr *r, unsigned status, const char *line, json_t *body);
/** Ask; fails the test unless it is refused like this. Takes @p body over. */
void lr_refused(struct lr *r, unsigned status, const char *type, const char *message,
                const char *line, json_t *body);
/** @return a member of the last answer, "Configuration.State"; fails the test where it is not. */
json_t *lr_get(const struct lr *r, const char *path);
const char *lr_text(const struct lr *r, const char *path);
bool lr_has(const struct lr *r, const char *path);

/** @return the body that makes an ordinary function; a new reference. */
json_t *lr_function(const struct lr *r, const char *name);
/** Make an ordinary function and wait until it is Active. */
void lr_create(struct lr *r, const char *name);
/** Ask for the configuration until neither State nor LastUpdateStatus will change by itself. */
void lr_settle(struct lr *r, const char *name);
/** @return base64 of an archive with one file; the caller's. */
char *lr_zip(const char *name, const char *text);
/** @return the version that a qualifier stands for in the newest view, or NULL. */
const struct hd_view_version *lr_version(const struct lr *r, const char *name,
                                         const char *qualifier);
/** Take a place in an instance of a version, as a caller does. @return what was launched for it;
 *  NULL: it was refused, err says why. Give it back with lr_give(). */
const struct lr_launch *lr_take(struct lr *r, const struct hd_view_version *v,
                                struct hd_lease *lease, struct hd_error *err);
void lr_give(struct lr *r, struct hd_lease *lease);
