/* pool/process/program.h - where a runtime's program lies. */
#pragma once

#include "core/base.h"

/**
 * Find a program as a shell would.
 * @param name        a path, or a name to look up in @p path (as in PATH).
 * @param for_others  it will be run as another user: pass over what that user cannot reach.
 * @return its absolute path for the caller to free, or NULL.
 */
char *hd_program_find(const char *name, const char *path, bool for_others);
/**
 * The folder a program needs to see of itself: its installation where it lies in a folder `bin`,
 * else the folder it is in; symbolic links followed.
 * @return a path for the caller to free, or NULL where the system's folders are enough.
 */
char *hd_program_home(const char *program);
