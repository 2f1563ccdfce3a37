/* invoke/target.h - one version of a function, ready to be called by any door. */
#pragma once

#include "pool/pool.h"

#include <stdatomic.h>

struct hd_admission; /* invoke/admission.h: how many may run at once */
struct hd_provision;

enum hd_target_kind {
    HD_TARGET_FOLDER, /* a function of the functions folder */
    HD_TARGET_LAMBDA, /* made through the Lambda API */
};

/** Immutable but for its counters; counted; any thread. */
struct hd_target {
    atomic_uint owners;
    enum hd_target_kind kind;
    char *name;           /* "resize" */
    char *version;        /* "$LATEST", "7"; of a folder: "$LATEST" */
    char *arn;            /* unqualified: "arn:aws:lambda:us-east-1:000000000000:function:resize" */
    struct hd_pool *pool; /* NULL: cannot run; `problem` says why */
    char *problem;        /* NULL, or a sentence */
    char *problem_type;   /* AWS error type of it, as "InvalidRuntimeException"; or NULL */
    uint32_t timeout_ms;  /* of one invocation; 0: none */
    uint32_t memory_mb;   /* 0: no limit */
    char *runtime;        /* what runs it, for logs: "nodejs:22.11"; NULL: an image */
    char *runtime_arn;    /* for the log's INIT_START line; or NULL */
    char *log_group;      /* "/aws/lambda/resize" */
    bool log_json;        /* LoggingConfig.LogFormat is JSON */
    int log_level_app, log_level_system; /* enum hd_log_level; JSON only */
    struct hd_admission *admission;      /* of the function, shared by its versions; NULL: none */
    struct hd_provision *provision;      /* of this version: places kept for it; NULL: none */
};

/** @return a zeroed one with a reference for the caller; strings become its own, and one reference
 *  of pool, admission and provision. */
struct hd_target *hd_target_new(void);
struct hd_target *hd_target_ref(struct hd_target *t);
void hd_target_unref(struct hd_target *t); /* NULL is fine */

/**
 * How doors that know a function by name find it: folder functions and Lambda functions in one name
 * space, the folder's first.
 */
struct hd_targets {
    /**
     * @param name       a name, "name:qualifier", or an ARN.
     * @param qualifier  empty: what the name says, else $LATEST.
     * @return with a reference; or NULL and *err: HD_ENOTFOUND, HD_EINVAL, HD_EBUSY (not ready
     * yet). Any loop of the node.
     */
    struct hd_target *(*find)(void *arg, struct hd_str name, struct hd_str qualifier,
                              struct hd_error *err);
    void *arg;
};
