/* pool/docker/sight.h - whether an engine sees the files of this machine, so that folders can be
 * bound into containers. One in a virtual machine, in a container or behind TCP may not, and to one
 * of another user they are closed. It is tried once. */
#pragma once

#include "core/list.h"
#include "core/log.h"
#include "pool/docker/containerplan.h"
#include "pool/docker/engine.h"
#include "pool/process/rundir.h"

struct hd_sight;

/** Somebody who wants to know. Lies in its owner; to leave, remove the link. */
struct hd_sight_wait {
    struct hd_list link;
    /** Never from inside. @param sees  false: files go in as an archive. */
    void (*done)(struct hd_sight_wait *w, bool sees);
};

/** @param dir, who  outlive it: where the folder is made; whose labels the container has. */
struct hd_sight *hd_sight_new(struct hd_loop *loop, struct hd_log *log, const struct hd_rundir *dir,
                              const struct hd_container_site *who);
/** Nothing is asked any more, see hd_sight_busy(). NULL is fine. */
void hd_sight_free(struct hd_sight *s);
/** @param ref  an image that the engine has. */
void hd_sight_ask(struct hd_sight *s, struct hd_engine *engine, const char *ref,
                  struct hd_sight_wait *w);
/** @return whether it waits for the engine. */
bool hd_sight_busy(const struct hd_sight *s);
