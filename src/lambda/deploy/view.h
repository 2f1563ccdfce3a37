/* lambda/deploy/view.h - what the doors need to know of the Lambda functions: one immutable table,
 * made by the catalog after each change, taken by each loop.
 *
 * The catalog (lambda/deploy/catalog.h) lives on the control loop and holds everything that the API
 * can show. Invoke, function URLs, the async queue and event sources only look here. */
#pragma once

#include "core/map.h"
#include "invoke/target.h"

struct hd_view;      /* counted */
struct hd_lambda_fn; /* one function in it */

/** How the public listener serves a function at its name, beside those of the folder. */
enum hd_edge_access {
    HD_EDGE_NONE,      /* it does not */
    HD_EDGE_PROTECTED, /* who has a token may */
    HD_EDGE_PUBLIC,    /* everybody may */
};

enum hd_lambda_state { HD_LAMBDA_PENDING, HD_LAMBDA_ACTIVE, HD_LAMBDA_INACTIVE, HD_LAMBDA_FAILED };

struct hd_view_version {
    const char *number; /* "$LATEST", "7" */
    enum hd_lambda_state state;
    struct hd_target *target;
};

struct hd_view_alias {
    const char *name;
    const struct hd_view_version *main, *other; /* other: NULL, or the one with the weight */
    double weight;                              /* of other, 0 to 1 */
};

/** Cross-origin settings of a function URL; lists are NULL-terminated, NULL: none. */
struct hd_url_cors {
    bool given, credentials;
    const char *const *origins, *const *methods, *const *headers, *const *expose;
    uint32_t max_age_s;
};

struct hd_view_url {
    const char *id; /* the first label of its host name */
    const struct hd_lambda_fn *fn;
    const char *qualifier; /* an alias, or NULL */
    bool iam;              /* AuthType AWS_IAM */
    bool stream;           /* InvokeMode RESPONSE_STREAM */
    struct hd_url_cors cors;
};

/** Asynchronous invocation settings of one qualifier. */
struct hd_view_event_config {
    const char *qualifier;               /* "$LATEST", a number or an alias */
    int32_t max_retries;                 /* 0 to 2; -1: not set (2) */
    int32_t max_age_s;                   /* 60 to 21600; -1: not set (21600) */
    const char *on_success, *on_failure; /* destination ARNs or URLs, or NULL */
};

struct hd_lambda_fn {
    const char *account, *region, *name;
    const char *arn;                        /* unqualified */
    const struct hd_view_version *versions; /* [0] is $LATEST */
    size_t n_versions;
    const struct hd_view_alias *aliases; /* by name, in order */
    size_t n_aliases;
    const struct hd_view_event_config *event_configs;
    size_t n_event_configs;
    const char *dead_letter_arn; /* of $LATEST, or NULL */
    const void *policies;        /* lambda/policy.h: parsed statements, by qualifier */
    bool recursion_allowed;
    enum hd_edge_access edge; /* as its tag heddle.edge says */
    struct hd_admission *admission;
};

struct hd_view *hd_view_ref(struct hd_view *v);
void hd_view_unref(struct hd_view *v); /* NULL is fine */
/** @return the function or NULL. */
const struct hd_lambda_fn *hd_view_find(const struct hd_view *v, struct hd_str account,
                                        struct hd_str region, struct hd_str name);
/** Call @p each for every function, in no order. */
void hd_view_each(const struct hd_view *v, void (*each)(void *arg, const struct hd_lambda_fn *fn),
                  void *arg);
/** @param id  the first label of the Host. @return NULL: no such URL. */
const struct hd_view_url *hd_view_url(const struct hd_view *v, struct hd_str id);
/**
 * Choose the version a qualifier stands for: empty or "$LATEST", a number, an alias (@p random in
 * [0, 1) decides between two).
 * @return NULL: there is none.
 */
const struct hd_view_version *hd_view_resolve(const struct hd_lambda_fn *fn,
                                              struct hd_str qualifier, double random);
/** @return the settings of a qualifier, or NULL. */
const struct hd_view_event_config *hd_view_event_config(const struct hd_lambda_fn *fn,
                                                        struct hd_str qualifier);
