/* pool/docker/meter.h - the first process of a container of this machine, and what all of them use.
 */
#pragma once

#include "pool/process/cgroup.h"

#include <sys/types.h>

/**
 * Open a container's process.
 * @param pid   as the engine numbers it, which need not be our way.
 * @param id    of the container; its control groups are named after it.
 * @param used  set on success, to be ended with hd_cgroup_done(): for asking, never for changing.
 * @return a pidfd for the caller to close, or -1: there is no such process here.
 */
int hd_docker_meter_open(struct hd_cgroup *used, pid_t pid, const char *id);
