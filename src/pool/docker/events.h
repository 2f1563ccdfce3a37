/* pool/docker/events.h - what happens to this node's containers, as the engine tells it: a stream
 * of events, taken up again when it breaks, and a list now and then for what it has missed. */
#pragma once

#include "core/log.h"
#include "pool/docker/engine.h"

struct hd_docker_events;

struct hd_docker_events_options {
    struct hd_loop *loop;
    struct hd_log *log;
    struct hd_engine *engine;
    const char *node_id;
    /** A container ended (or was removed), or came to its memory limit. Twice is possible. */
    void (*on_event)(void *arg, const char *id, bool oom);
    /** All containers of this node that run now, as the engine lists them. */
    void (*on_list)(void *arg, const json_t *running);
    void *arg;
};

/** Begin to listen. All of @p opt is copied or outlives it. */
struct hd_docker_events *hd_docker_events_new(const struct hd_docker_events_options *opt);
/** Stop; then @p done, later, and it is gone. */
void hd_docker_events_close(struct hd_docker_events *e, void (*done)(void *arg), void *arg);
