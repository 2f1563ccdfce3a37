/* lambda/deploy/deploy_spec.h - what is to be launched, made of a version's document. Pure. */
#pragma once

#include "functions/bundle.h"
#include "lambda/api/api.h"
#include "lambda/tags.h"
#include "pool/set.h"

#include <jansson.h>

enum { HD_FINGERPRINT_CHARS = 43 };

/**
 * Write the deploy fingerprint: SHA-256 over all that a running instance can observe, as base64url.
 * @param doc  of a FUNCTION or VERSION record, see lambda/deploy/catalog.h.
 */
void hd_deploy_fingerprint(char out[HD_FINGERPRINT_CHARS + 1], const json_t *doc);

/** @return how our own hosts are called that run it: "node", "python", "provided"; for others the
 *  family: "java", "dotnet", "ruby"; NULL: an image. Static. */
const char *hd_deploy_runtime(const json_t *config);

/** @return "x86_64" or "arm64": what this machine is, in the API's words. Static. */
const char *hd_deploy_own_architecture(void);

/** Fill in the digests of a document's layers, borrowed. @return how many there are. */
size_t hd_deploy_layer_digests(const json_t *doc, const char *out[HD_BUNDLE_LAYERS_MAX]);

/** A pool's specification with the memory it points into. */
struct hd_deploy_spec {
    struct hd_pool_spec pool;
    struct hd_launch_lambda lambda;
    char *texts[8];
    const char **env, **entry_point, **command;
    size_t n_texts;
};

/** Where a version is and which one it is; all borrowed while the spec is used. */
struct hd_deploy_place {
    const char *account, *region, *name, *version; /* "$LATEST" or a number */
    const char *key;                               /* of the pool */
    const char *instance_version;                  /* tells what instances run apart */
    const char *code_dir, *opt_dir;                /* NULL: an image; no layers */
    int64_t reserved;                              /* of the function; -1: none */
    enum hd_tags_freeze freeze;                    /* same */
    uint32_t provisioned;                          /* of the version */
};
/** @param doc  borrowed while the spec is used. */
void hd_deploy_spec_init(struct hd_deploy_spec *out, const json_t *doc,
                         const struct hd_deploy_place *at, const struct hd_api_options *opt);
void hd_deploy_spec_done(struct hd_deploy_spec *s);
