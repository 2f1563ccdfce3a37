/* pool/docker/backend.h - the docker backend: each instance of a function with Lambda semantics is
 * a container of an engine of this machine (Docker, or Podman's Docker API).
 *
 * Nothing is asked of the engine before the first launch, so a node without one is none the worse.
 * Containers have no network: the node talks to them through a socket in the instance's folder,
 * which is mounted into them. */
#pragma once

#include "core/log.h"
#include "core/loop.h"
#include "pool/docker/pull.h"

#include <heddle/sys/backend.h>

/** Strings are copied; NULL and 0 stand for the default in brackets. */
struct hd_docker_options {
    struct hd_loop *loop; /* the control loop */
    struct hd_log *log;
    const char *host, *certs; /* see pool/docker/enginehost.h */
    enum hd_pull_policy pull;
    const char *credentials;        /* see pool/docker/pull.h */
    const char *const *images;      /* see pool/docker/containerplan.h [none] */
    const char *run_dir;            /* absolute; sockets, lock, who this node is */
    const char *runtimes_dir;       /* holds node/host.mjs, python/host.py */
    const char *shim_bin;           /* static; NULL: nothing can be launched */
    const char *endpoint_url;       /* AWS_ENDPOINT_URL of functions [none] */
    const uint8_t *credentials_key; /* borrowed; see pool/lambdaenv.h [none] */
    uint32_t start_timeout_ms;      /* from the start of a container to ready [60000] */
};

/** @return 0 and *out, ended by its close operation; or HD_EINVAL: host or images cannot be that.
 */
int hd_docker_new(struct hd_backend **out, const struct hd_docker_options *opt,
                  struct hd_error *err);
/** Let functions that start from now on reach the lanes, as HEDDLE_LANES_URL says.
 *  @param socket  absolute path of the Unix socket where they are; copied. */
void hd_docker_set_lanes(struct hd_backend *b, const char *socket);
/**
 * Have the image of what will be launched; one that is not there is fetched as the policy says.
 * @param what      borrowed until return.
 * @param progress  sentences, from time to time; may be NULL.
 * @param done      exactly once, never from inside; err NULL also where no engine answers: that is
 *                  for the launch to tell, for it may be there by then.
 */
void hd_docker_prepare(struct hd_backend *b, const struct hd_launch *what,
                       void (*progress)(void *token, const char *text),
                       void (*done)(void *token, const struct hd_error *err), void *token);
/** Cancel all of that; from here on each ends at once with HD_ECANCELED. */
void hd_docker_prepare_stop(struct hd_backend *b);
/**
 * Ask whether a Lambda runtime can be run in containers here.
 * @param runtime_id    "python3.12"; NULL: an image.
 * @param architecture  "x86_64", "arm64", or NULL: any.
 * @return NULL, or a static sentence that says why not.
 */
const char *hd_docker_runtime_problem(const char *runtime_id, const char *architecture);
