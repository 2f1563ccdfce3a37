/* pool/docker/pause.h - a container that stands still: asked of the engine, one call at a time. */
#pragma once

#include "pool/docker/engine.h"

/** Of one container. Zeroed: there is none. */
struct hd_docker_pause {
    struct hd_engine *engine;
    const char *id;
    void (*on_settled)(void *arg);
    void *arg;
    struct hd_engine_call *call;
    enum { HD_PAUSE_RUNS, HD_PAUSE_PAUSES, HD_PAUSE_PAUSED, HD_PAUSE_UNPAUSES } state;
    enum { HD_PAUSE_STAYS, HD_PAUSE_ENDS, HD_PAUSE_REMOVED } fate;
    void (*done)(void *owner, const struct hd_error *err);
    void *owner;
};

/** @param id  of the container, borrowed. @param on_settled  see hd_docker_pause_break(). */
void hd_docker_pause_init(struct hd_docker_pause *p, struct hd_engine *engine, const char *id,
                          void (*on_settled)(void *arg), void *arg);
/** As freeze and thaw of hd_backend_ops. */
void hd_docker_pause_start(struct hd_docker_pause *p,
                           void (*done)(void *owner, const struct hd_error *err), void *owner);
int hd_docker_pause_end(struct hd_docker_pause *p,
                        void (*done)(void *owner, const struct hd_error *err), void *owner);
/** It is asked to end, and must run for that: thaw it, if need be. No done() any more. */
void hd_docker_pause_melt(struct hd_docker_pause *p);
/** It is about to be removed, frozen or not: break off what is under way. No done() any more.
 *  @return false: nothing was; true: on_settled follows. */
bool hd_docker_pause_break(struct hd_docker_pause *p);
