/* pool/docker/tunnel.h - the way to an instance whose container has nothing of this machine bound
 * into it: its standard input and output, through the engine. A socket here leads to the socket
 * there, and what it prints comes along. */
#pragma once

#include "http/tunnel.h"
#include "pool/docker/engine.h"

struct hd_docker_tunnel;

/** All borrowed until return but `arg`. */
struct hd_docker_tunnel_options {
    struct hd_net *net;
    struct hd_engine *engine;
    const char *container; /* created, and not started */
    const char *socket;    /* path to listen at, for the node */
    const char *lanes;     /* path of the node's lanes, for the instance; NULL: none */
    /** Never from inside: the container can be started; @p what it printed came; it is over, and
     *  only close is of use. */
    void (*on_open)(void *arg);
    void (*on_output)(void *arg, bool is_err, struct hd_str what);
    void (*on_end)(void *arg, const struct hd_error *err);
    void *arg;
    unsigned *open; /* counts it until its memory is gone */
};

/** @return 0 and *out, to be closed; HD_EIO; HD_EINVAL: the path is too long. */
int hd_docker_tunnel_start(struct hd_docker_tunnel **out,
                           const struct hd_docker_tunnel_options *opt, struct hd_error *err);
/** Close; no callback comes any more. NULL is fine. */
void hd_docker_tunnel_close(struct hd_docker_tunnel *t);
