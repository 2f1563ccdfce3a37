/* pool/process/lambdaplan.h - the host process of a function with Lambda semantics: command,
 * confinement and load request. Pure, but for a look at what lies where. */
#pragma once

#include "pool/lambdaenv.h"
#include "pool/process/hostplan.h"
#include "pool/process/interpreter.h"

/** What the plans of a backend have in common; borrowed. */
struct hd_lambdaplan_site {
    const struct hd_process_options *opt;
    const struct hd_interpreters *interpreters;
    unsigned parts;              /* enum hd_sandbox_part that are in force */
    bool layout;                 /* instances can have a root of their own */
    bool seen;                   /* and be seen there as sbx_user1051 */
    const char *endpoint_url;    /* AWS_ENDPOINT_URL, or NULL */
    hd_process_env_fn *more_env; /* NULL: no other variables */
    void *more_env_arg;
    bool wrapped; /* load requests are for a host that a wrapper started: it has set the environment
                   */
};

/**
 * Plan a host that any function with the same runtime could take: what is this function's alone
 * stands beside it, in `late`.
 * @param instance  this one's values; NULL: for a host that waits for a function.
 * @return 0 and *out, to be done with; HD_ENOTFOUND: no interpreter, or no shim; HD_EINVAL: this
 *         backend does not run it; the message says what would.
 */
int hd_lambdaplan_make(struct hd_hostplan *out, const struct hd_lambdaplan_site *site,
                       const struct hd_launch *what, const struct hd_lambdaenv_instance *instance,
                       struct hd_error *err);
/** Put what is late into the plan, for a host that is started for this function. */
void hd_lambdaplan_settle(struct hd_hostplan *p);
/** @return what the function's log should say of this launch, or NULL; static. */
const char *hd_lambdaplan_note(const struct hd_launch *what);
/** Append the body of the load request. */
void hd_lambdaplan_load_body(struct hd_buf *out, const struct hd_lambdaplan_site *site,
                             const struct hd_launch *what,
                             const struct hd_lambdaenv_instance *instance);
