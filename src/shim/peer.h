/* shim/peer.h - whose is the other end of a connection on this machine: where the network is not
 * the instance's own, other users must not reach its Runtime API. */
#pragma once

#include "core/base.h"

#include <netinet/in.h>
#include <sys/types.h>

/**
 * Find the owner of a connection's other end.
 * @param peer  the other end's address, IPv4.
 * @param self  ours.
 * @return 0 and *uid; HD_ENOTFOUND: the kernel does not list it, or its program has let it go, so
 *         that nobody can say whose it was;
 *         HD_EIO: /proc/net/tcp cannot be read.
 */
int hd_peer_uid(uid_t *uid, const struct sockaddr_in *peer, const struct sockaddr_in *self,
                struct hd_error *err);
/** The same, in a line of /proc/net/tcp. @return whether it is that connection's line. Pure. */
bool hd_peer_line(uid_t *uid, struct hd_str line, const struct sockaddr_in *peer,
                  const struct sockaddr_in *self);
