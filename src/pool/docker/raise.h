/* pool/docker/raise.h - bring one container up: find its image, create it, put in what it needs and
 * start it. */
#pragma once

#include "pool/docker/site.h"

struct hd_raise;

struct hd_raise_options {
    struct hd_docker_site *site;
    const char *image, *architecture; /* borrowed until return, as the next two */
    const char *dir;                  /* the instance's folder: its socket will be `sock` there */
    const char *name;                 /* of the container */
    json_t *body; /* of the create request, from hd_container_begin(); the raise's from here on */
    /**
     * Exactly once, never from inside: it runs; or it never will, as err says: HD_ECANCELED,
     * HD_EINVAL (trying again is of no use), HD_EIO. A container that is left is hd_raise_id().
     */
    void (*done)(void *arg, const struct hd_error *err);
    /** What it printed came through the engine, from its start on; and that way broke off, once. */
    void (*on_output)(void *arg, bool is_err, struct hd_str what);
    void (*on_cut)(void *arg, const struct hd_error *err);
    void *arg;
};

/** @return never NULL; to be freed after done(). */
struct hd_raise *hd_raise_start(const struct hd_raise_options *opt);
/** Give up: done() follows, when what the engine was asked to do is done. */
void hd_raise_cancel(struct hd_raise *r);
/** @return the container's id, or NULL: there is none. */
const char *hd_raise_id(const struct hd_raise *r);
/** @return whether what it printed comes through the engine, and more may come. */
bool hd_raise_is_open(const struct hd_raise *r);
/** Nothing is told any more; the way to its socket ends. NULL is fine. */
void hd_raise_free(struct hd_raise *r);
