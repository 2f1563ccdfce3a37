/* pool/process/rundir.h - the folder of a node's instances: one lock, and one private folder for
 * each, which holds its socket and a record of its process. */
#pragma once

#include "core/folder.h"
#include "core/log.h"
#include "pool/process/sandbox_spec.h"

#include <sys/types.h>

enum { HD_SOCKET_PATH_MAX = 107 };

struct hd_rundir {
    char *path;  /* holds the lock */
    char *base;  /* holds the instances' folders: `path`, or a shorter one where that is too long
                    for the address of a Unix socket */
    int lock_fd; /* -1: closed */
    uint32_t next;
};

/**
 * Make the folder (mode 0700) where it is missing and take its lock, for as long as it is open.
 * @param passable  others may pass through the base (0711), not look into it: instances that run
 *                  as another user must reach their own folder.
 * @return 0; HD_EBUSY: "... is already served by pid N"; HD_EDENIED: the folder belongs to somebody
 *         else; HD_EIO.
 */
int hd_rundir_open(struct hd_rundir *d, const char *path, bool passable, struct hd_error *err);
void hd_rundir_close(struct hd_rundir *d);
/**
 * End and remove what the records of a dead node name: processes by pid and start time, then their
 * cgroups and folders. Waits two seconds at most for processes to end.
 * @param in_use  cgroups of this node, which the dead one may have had as well; they stay.
 * @return how many instances were found, or HD_EIO.
 */
int hd_rundir_reap(struct hd_rundir *d, const struct hd_spec_list *in_use, struct hd_log *log,
                   struct hd_error *err);

/** Make a new instance's folder, mode 0700. @p out: its path, to free. */
int hd_rundir_add(struct hd_rundir *d, char **out, uint32_t *serial, struct hd_error *err);
/** Note the process and the cgroups that belong to the folder, for hd_rundir_reap(). */
int hd_rundir_record(const struct hd_rundir *d, uint32_t serial, pid_t pid,
                     const struct hd_spec_list *cgroups, struct hd_error *err);
/** Forget a record. */
void hd_rundir_forget(const struct hd_rundir *d, uint32_t serial);
