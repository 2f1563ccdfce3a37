/* pool/docker/registryauth.h - who we are at a registry: what `docker login` and `podman login`
 * keep. Pure. */
#pragma once

#include <heddle/error.h>
#include <heddle/str.h>

/**
 * Make the X-Registry-Auth header of a pull.
 * @param out       set on success: to be wiped and freed; NULL: the file knows nobody there.
 * @param config    text of a config.json or auth.json.
 * @param registry  "registry.example:5000", "docker.io".
 * @return 0, or HD_EINVAL: the file is damaged, or keeps them with a program that is not asked.
 */
int hd_registryauth_header(char **out, struct hd_str config, struct hd_str registry,
                           struct hd_error *err);
