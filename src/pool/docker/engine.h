/* pool/docker/engine.h - calls to a container engine (Docker, or Podman's Docker API). Nothing is
 * asked before somebody needs it. */
#pragma once

#include "http/upgrade.h"
#include "pool/docker/enginehost.h"

#include <jansson.h>

struct hd_engine;

/**
 * @param where  copied.
 * @return 0 and *out, to be ended with hd_engine_close(); or HD_ENOTFOUND: no libcurl; HD_EINVAL:
 *         its host is something else; HD_EIO.
 */
int hd_engine_new(struct hd_engine **out, struct hd_loop *loop, const struct hd_engine_where *where,
                  struct hd_error *err);
/** Cancel what is under way, free; then @p done, later. */
void hd_engine_close(struct hd_engine *e, void (*done)(void *arg), void *arg);

/** What the engine said; valid during the callback. */
struct hd_engine_answer {
    unsigned status;            /* 0: nothing, see err */
    const json_t *json;         /* NULL: the answer has no body */
    const struct hd_error *err; /* NULL: there is an answer, whatever its status */
};
typedef void hd_engine_done_fn(void *arg, const struct hd_engine_answer *a);

struct hd_engine_request {
    const char *method;
    const char *path;          /* "/containers/json?all=1": without the version */
    const char *body;          /* JSON, or NULL */
    const int *body_fd;        /* a tar archive, instead; open until the end; or NULL */
    const char *registry_auth; /* X-Registry-Auth, or NULL */
    uint32_t timeout_ms;       /* 0: as long as it takes */
    /** Each JSON text of a stream of them, as it comes; or NULL. The answer has none, then. */
    void (*on_line)(void *arg, const json_t *line);
    /** The body as it comes, instead; or NULL. */
    void (*on_part)(void *arg, struct hd_str bytes);
};
/** A call under way. */
struct hd_engine_call;
/**
 * Find the engine, if that was not done yet, and ask it. @p done exactly once, never from inside;
 * the call is gone then.
 */
struct hd_engine_call *hd_engine_ask(struct hd_engine *e, const struct hd_engine_request *req,
                                     hd_engine_done_fn *done, void *arg);
/** Give up: done() follows with HD_ECANCELED, later. The engine may do it all the same. */
void hd_engine_cancel(struct hd_engine_call *c);
/** Take a stream over, of an engine that was asked something before. @param path  as in a request.
 *  See http/upgrade.h for the rest. */
int hd_engine_upgrade(struct hd_upgrade **out, struct hd_engine *e, const char *path,
                      uint32_t timeout_ms, const struct hd_upgrade_events *events, void *arg,
                      struct hd_error *err);
/** @return whether it is Podman; before the first answer false. */
bool hd_engine_is_podman(const struct hd_engine *e);
/** @return whether it is on a socket of this machine; before the first answer false. */
bool hd_engine_is_near(const struct hd_engine *e);
/** Say why a call did not do what it should: the engine's own message, with what was asked. */
int hd_engine_fail(struct hd_error *err, int code, const struct hd_engine_answer *a,
                   const char *what);
