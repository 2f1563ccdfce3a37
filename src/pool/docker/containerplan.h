/* pool/docker/containerplan.h - what a container of an instance is made of: image, command, limits.
 * Pure. */
#pragma once

#include "functions/strings.h"

#include <heddle/sys/backend.h>
#include <jansson.h>

#define HD_CONTAINER_IMAGE "heddle/runtime:latest" /* where no setting names one */
#define HD_CONTAINER_RUN "/heddle/run"             /* the instance's folder, as it is seen inside */
#define HD_CONTAINER_MANAGED "heddle.managed"      /* labels */
#define HD_CONTAINER_NODE "heddle.node"
#define HD_CONTAINER_INSTANCE "heddle.instance"
#define HD_CONTAINER_BOOT "heddle.boot"

enum { HD_CONTAINER_LABEL_MAX = 63 };
/** Write a label's value that every engine takes: @p text, or where that is too long or of other
 *  characters, the beginning of its legal ones and a part of its hash. */
void hd_container_label(char out[HD_CONTAINER_LABEL_MAX + 1], const char *text);

enum { HD_CONTAINER_UID = 993, HD_CONTAINER_GID = 990 };

/** Where things lie on this machine, and whose the container is. Borrowed. */
struct hd_container_site {
    const char *shim_bin;     /* absolute; static */
    const char *runtimes_dir; /* absolute; holds node, python and common */
    const char *lanes_socket; /* absolute; where the node's lanes are; NULL: nowhere */
    const char *node_id, *boot_id;
    uint32_t uid, gid; /* it runs as them */
    uint64_t nproc;    /* how many processes a user of this machine may have; Podman is told, which
                        * else raises it, which fails where the engine is confined itself */
};

/**
 * @param images  "runtime=reference", NULL-terminated, or NULL. The runtime is an identifier
 *                ("python3.12"), a family ("python") or "*"; the longest that fits counts.
 * @return the image in which @p what runs: its own, or that of its runtime. Borrowed or static.
 */
const char *hd_container_image(const struct hd_launch *what, const char *const *images);
/** @return whether a setting names an image for that runtime, not counting "*". */
bool hd_container_has_image(const char *runtime_id, const char *const *images);
/** @return 0, or HD_EINVAL: @p images is no list of them. */
int hd_container_check_images(const char *const *images, struct hd_error *err);

/** Append the variables of @p what, and where the lanes are unless one of them says so. */
void hd_container_env(struct hd_strings *out, const struct hd_launch *what,
                      const struct hd_container_site *site);
/** Wipe and free. */
void hd_container_env_done(struct hd_strings *env);
/**
 * Make the body of the create request, as far as it can be known before the engine was asked for
 * the image. Everything is copied.
 * @param run_dir  the instance's folder.
 * @param id       of the instance, 16 hex digits: a label.
 * @return 0 and *out, to be freed; or HD_EINVAL: there is no host for the runtime, or text is not
 *         UTF-8.
 */
int hd_container_begin(json_t **out, const struct hd_launch *what, const char *ref,
                       const struct hd_container_site *site, const char *run_dir, const char *id,
                       const char *token, struct hd_error *err);
/** @param wanted  "x86_64", "arm64"; NULL or empty: any. @return 0, or HD_EINVAL: it is for
 * another. */
int hd_container_check_architecture(const char *wanted, const char *ref, const json_t *image,
                                    struct hd_error *err);
/**
 * Complete it.
 * @param image   what the engine says of the image.
 * @param podman  the engine is Podman.
 * @param mounts  NULL: files are bound into it. Else they go in as an archive, its socket and
 * output through its standard input and output; set to what would be bound, to be freed.
 * @return 0 and *out, JSON to be wiped and freed; or HD_EINVAL: the image is for another
 *         architecture than the function, or says nothing of what to run.
 */
int hd_container_finish(char **out, json_t **mounts, json_t *body, const json_t *image, bool podman,
                        struct hd_error *err);
/** @return how a container's program ended, from its exit code, which is 128 and more for signals.
 */
struct hd_exit_status hd_container_exit(int code, bool oom);
