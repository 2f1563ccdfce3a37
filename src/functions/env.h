/* functions/env.h - which environment variables a function gets, and where each comes from. Pure.
 */
#pragma once

#include "functions/envfile.h"
#include "functions/manifest.h"

#include <stdatomic.h>

/** A finished environment; one is shared by all functions that get the same. */
struct hd_env {
    atomic_uint owners;
    char **vars;               /* "KEY=value", sorted, NULL-terminated */
    struct hd_strings sources; /* of vars[i]: "environment", "built in", ".env:3", ... */
};

/** The sources, weakest first; each beats those before it. All borrowed. */
struct hd_env_input {
    const char *const *process;              /* the node's own environment, or NULL */
    const char *const *built_in;             /* "KEY=value" made by the node, or NULL */
    const struct hd_env_file *const *shared; /* files for all functions, weakest first */
    size_t n_shared;
    const struct hd_env_file *own;      /* the function's own .env, or NULL */
    const struct hd_manifest *manifest; /* for its `env`, or NULL */
    const struct hd_strings *allow;     /* permissions.env; NULL: not given */
    bool dev;                           /* development: no need to name what is passed */
    bool enforce;                       /* permissions.env decides, also in development */
};

/**
 * Put it together. The function's own .env and its manifest pass whole. Of the rest:
 * - names of the host protocol (PORT, HEDDLE_SOCKET, ...) never pass, from anywhere;
 * - reserved ones (JWT_SECRET, INTERNAL_KEY, HEDDLE_*, ...; in production also the service role
 *   key) pass only if `allow` names them;
 * - the node's environment passes if `allow` names it or has "*", or in development if not
 *   enforced;
 * - built-in values and shared files pass, or if enforced as the line above says.
 * @param warnings  gets a line for each variable of a file that cannot pass at all.
 * @return with one owner, the caller.
 */
struct hd_env *hd_env_build(const struct hd_env_input *in, struct hd_strings *warnings);
struct hd_env *hd_env_ref(struct hd_env *e);
void hd_env_unref(struct hd_env *e); /* the last owner wipes and frees; NULL is fine */
/** @return whether a variable's value is better not shown: the name speaks of a secret. */
bool hd_env_is_secret(struct hd_str name);
