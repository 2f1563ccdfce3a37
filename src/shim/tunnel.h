/* shim/tunnel.h - the shim in a container whose engine does not see the node's files: all that
 * would go through the instance's folder goes through our standard input and output instead.
 *
 *   node ═══ engine ═══ stdin, stdout of this process ─┬─ DIR/sock of the host, or the other shim
 *                                                      └─ its output, by pipes              */
#pragma once

/**
 * Run this program again with @p argv as its arguments, and stand between it and the node until
 * one of them goes; when the node goes, everything here ends.
 * @param argv  NULL-terminated, without the program's name; HEDDLE_SOCKET says where it listens.
 * @return the exit code.
 */
int hd_shim_tunnel(char **argv);
