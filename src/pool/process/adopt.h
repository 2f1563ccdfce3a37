/* pool/process/adopt.h - give a host that runs already the folders of the function that it gets. */
#pragma once

#include "pool/process/hostplan.h"

/**
 * Enter the mount namespace of a process for a moment, mount its function's code and layers where
 * they are seen, set the size of its /tmp, and take the code of all others from its sight; limit
 * the size of files to that of /tmp, if the machine lets us. Where nothing is mounted
 * (late->hidden_code is NULL) only the last. Takes well under a millisecond, in which the caller
 * stands still.
 * @param pid     a process of ours that has not been reaped, whose root is its own ...
 * @param target  ... and the one behind it that runs the host's program; may be the same.
 * @return 0; HD_EDENIED, HD_ENOTFOUND, HD_EIO: the host is of no use any more.
 */
int hd_adopt(pid_t pid, pid_t target, const struct hd_late *late, struct hd_error *err);
