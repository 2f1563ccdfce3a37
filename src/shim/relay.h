/* shim/relay.h - lets programs without a network reach a service by an ordinary address: what
 * connects to a port of 127.0.0.1 is connected to a Unix socket. */
#pragma once

#include "core/base.h"

#include <heddle/error.h>

enum { HD_SHIM_RELAY_PAIRS = 64 }; /* at once; who comes then waits until another has left */

/**
 * Begin; it goes on until this process ends.
 * @param port         0: any.
 * @param path         of the Unix socket; borrowed as long as it goes on.
 * @param own_process  in a child, for who is about to become another program; else in a thread.
 * @return the port; or HD_EIO: it cannot listen.
 */
int hd_shim_relay(uint16_t port, const char *path, bool own_process, struct hd_error *err);
