/* functions/content.h - the version of a function: a hash over everything that, when it changes,
 * needs a new instance. */
#pragma once

#include "functions/function.h"
#include "functions/graph.h"

/**
 * Gather the files a function is made of: what its entry imports, and everything in its folder but
 * manifests, env files, dot files, editors' leftovers, node_modules and __pycache__. Links to
 * folders are not followed. At most 4096 files and 32 levels of the folder.
 * @return false if the folder has more than that: changes of the rest go unnoticed.
 */
bool hd_content_gather(struct hd_graph_files *out, struct hd_graph *g, const struct hd_function *fn,
                       const char *root);
/**
 * Write 32 hex digits and a NUL: SHA-256, cut to 128 bits, over files, settings that restart, and
 * environment. The order of @p files does not matter; it is sorted.
 */
void hd_content_version(char out[33], struct hd_graph_files *files, const struct hd_function *fn,
                        const char *root);
/** Same over all that people and doors see of a function, so that an equal one is the same. */
void hd_content_identity(char out[33], const struct hd_function *fn);
/** @return whether a file or folder of that name is none that a function is made of (see above). */
bool hd_content_ignores(const char *name);
