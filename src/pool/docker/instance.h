/* pool/docker/instance.h - one instance of the docker backend: a container and the function in it,
 * from its creation to its removal. */
#pragma once

#include "pool/docker/pause.h"
#include "pool/docker/site.h"
#include "pool/process/cgroup.h"

struct hd_instance_handle;

/**
 * Begin; all that goes wrong is reported by events->on_gone, later.
 * @param not_now  why it cannot begin at all; NULL: it can.
 */
struct hd_instance_handle *hd_docker_instance_start(struct hd_docker_site *site,
                                                    const struct hd_launch *what,
                                                    const struct hd_backend_events *events,
                                                    void *owner, const struct hd_error *not_now);
/** As in hd_backend_ops. */
void hd_docker_instance_terminate(struct hd_instance_handle *h, uint32_t grace_ms);
void hd_docker_instance_ping(struct hd_instance_handle *h, uint32_t within_ms,
                             void (*done)(void *owner, int rc), void *owner);
void hd_docker_instance_flush(struct hd_instance_handle *h, void (*done)(void *owner), void *owner);
/** @return its control groups; all NULL: they are not to be seen here. */
const struct hd_cgroup *hd_docker_instance_used(const struct hd_instance_handle *h);
/** @return by which it stands still; NULL: it is not ready, or to end. */
struct hd_docker_pause *hd_docker_instance_pause(struct hd_instance_handle *h);
/** Something says that its container ended, or (@p oom) came to its memory limit. */
void hd_docker_instance_ended(struct hd_instance_handle *h, bool oom);
/** @return whether that is its container. */
bool hd_docker_instance_is(const struct hd_instance_handle *h, const char *id);
/** @return the instance whose link this is. */
struct hd_instance_handle *hd_docker_instance_of(struct hd_list *link);
