/* node/listen.h - listening sockets, and what to say when there is none to be had. */
#pragma once

#include "core/base.h"

/**
 * Bind a TCP socket that several loops may share (SO_REUSEPORT): call once for each of them.
 * @param host  a numeric address or a name; the first that it resolves to.
 * @param port  0: any; the one that was given is in *bound.
 * @param option  the port's, for messages: "--port".
 * @return the descriptor, bound and not yet listening; or HD_EEXIST (in use, with what to do),
 *         HD_EDENIED, HD_EINVAL, HD_EIO.
 */
int hd_listen_tcp(const char *host, uint16_t port, const char *option, uint16_t *bound,
                  struct hd_error *err);
/**
 * Bind a Unix socket, mode 0600. A leftover that nobody listens on is replaced.
 * @return the descriptor; or HD_EEXIST: somebody answers there; HD_EINVAL: the path is too long.
 */
int hd_listen_unix(const char *path, struct hd_error *err);
