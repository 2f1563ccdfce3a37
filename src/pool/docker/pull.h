/* pool/docker/pull.h - images that an engine has to have: looked for and fetched, each once at a
 * time whoever asks for it. */
#pragma once

#include "core/log.h"
#include "pool/docker/engine.h"

/** When an image is fetched. */
enum hd_pull_policy {
    HD_PULL_MISSING, /* when the engine does not have it */
    HD_PULL_ALWAYS,  /* for each new version; when an instance starts, as above */
    HD_PULL_NEVER,
};

struct hd_pulls;

struct hd_pulls_options {
    struct hd_loop *loop;
    struct hd_log *log;
    enum hd_pull_policy policy;
    const char *credentials; /* file of registry credentials [$REGISTRY_AUTH_FILE, config.json in
                              * $DOCKER_CONFIG or ~/.docker] */
};

struct hd_pulls *hd_pulls_new(const struct hd_pulls_options *opt);
/** Nothing may be under way. NULL is fine. */
void hd_pulls_free(struct hd_pulls *p);

/** Who wants an image. All borrowed until return. */
struct hd_pull_request {
    struct hd_engine *engine; /* alive until done() */
    const char *ref;
    const char *architecture; /* "x86_64", "arm64"; NULL: the engine's */
    bool launch;              /* for an instance that starts now */
    /** How it goes, "fetching image x: 12 of 40 MiB"; from time to time, or never. May be NULL. */
    void (*on_progress)(void *arg, const char *text);
    /**
     * The end, exactly once, never from inside.
     * @param image  what the engine says of it; NULL with an error.
     * @param err    HD_EINVAL: the image is not to be had, or for another architecture; HD_EIO: the
     *               engine does not answer; HD_ECANCELED; or NULL.
     */
    void (*done)(void *arg, const json_t *image, const struct hd_error *err);
    void *arg;
};
struct hd_pull_waiter;
/** @return valid until done(). */
struct hd_pull_waiter *hd_pulls_want(struct hd_pulls *p, const struct hd_pull_request *req);
/** Not wanted any more: done() does not come. What is under way goes on, for whoever comes next. */
void hd_pulls_leave(struct hd_pull_waiter *w);
/** Cancel what is under way; from here on nothing is fetched. */
void hd_pulls_stop(struct hd_pulls *p);
bool hd_pulls_busy(const struct hd_pulls *p);
