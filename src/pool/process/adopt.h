/* pool/process/adopt.h - give a host that runs already the folders of the function that it gets. */
#pragma once

#include "pool/process/hostplan.h"

/**
 * Enter the mount namespace of a process for a moment, mount its function's code and layers where
 * they are seen, and cover the code of all others. Nothing where nothing is mounted
 * (late->hidden_code is NULL). Takes well under a millisecond, in which the caller stands still;
 * its thread has a working folder and a file mode mask of its own from then on.
 * @param pid  a process of ours that has not been reaped, whose root is its own.
 * @return 0; HD_EDENIED, HD_ENOTFOUND, HD_EIO: the host is of no use any more.
 */
int hd_adopt(pid_t pid, const struct hd_late *late, struct hd_error *err);
