/* functions/build.h - make one function of its folder: manifest, settings, environment, version. */
#pragma once

#include "functions/effective.h"
#include "functions/env.h"
#include "functions/graph.h"
#include "functions/supabase.h"

/** What all functions have in common; borrowed. */
struct hd_build_context {
    const char *root;
    const struct hd_defaults *defaults;
    const struct hd_supabase *config_toml;
    const char *root_import_map; /* or NULL */
    const char *const *process_env, *const *built_in_env;
    const struct hd_env_file *const *shared;
    size_t n_shared;
    struct hd_env *common_env; /* of a function that says nothing about its environment */
    struct hd_graph *graph;
    uint32_t quiet_ms; /* see hd_registry_options */
};

/** @return the environment of a function that says nothing about it; one owner, the caller. */
struct hd_env *hd_build_common_env(const struct hd_build_context *c);

struct hd_built {
    struct hd_function *fn;      /* one owner, the caller; NULL: not served */
    char *disabled_by;           /* where `enabled` is false, or NULL */
    char identity[33];           /* equal: nothing about the function changed */
    bool unsettled;              /* its manifest is wrong, and was written just now */
    struct hd_graph_files needs; /* files outside its folder that it is made of */
};
void hd_built_done(struct hd_built *b);

/**
 * Make it. Whatever is wrong becomes fn->problem (the first thing) and fn->warnings.
 * A folder that is no function (see hd_found_is_function()) gives neither `fn` nor `disabled_by`,
 * unless config.toml names its entry.
 */
void hd_build_function(struct hd_built *out, const struct hd_build_context *c,
                       const struct hd_found *found);
