/* pool/process/cgroup.h - control groups, version 1 and 2: count and limit what one instance uses.
 * The groups lie below the node's own, so that what limits the node limits its functions. */
#pragma once

#include "pool/process/sandbox_spec.h"

/** The node's parent groups, one for each controller; NULL: that controller is not to be had. */
struct hd_cgroups {
    int version; /* 0: none, 1 or 2 */
    char *memory, *pids, *cpu, *cpuacct;
    char *freezer;
    int freezer_version;  /* 0: none, 1 or 2; see pool/process/freezer.h */
    char why_not[160];    /* why something is not to be had; empty: all is */
    char no_freezer[160]; /* same, of the freezer */
};

/** One instance's groups; with version 2 they are one folder. Zeroed: none. */
struct hd_cgroup {
    char *memory, *pids, *cpu, *cpuacct;
    char *freezer; /* may not be there yet */
    int freezer_version;
};

/**
 * Find what is writable and make the node's parent groups. All functions together weigh as much as
 * the node, or as a busy process on each core.
 * @param name  the parent's name, "heddle-<node id>".
 */
void hd_cgroups_open(struct hd_cgroups *g, const char *name);
/** Append the folders of the parent groups, each once. */
void hd_cgroups_dirs(const struct hd_cgroups *g, struct hd_spec_list *out);
/** Remove the parent groups and free; groups of instances must be gone. */
void hd_cgroups_close(struct hd_cgroups *g);

/** Make an instance's groups. @return 0, or HD_EIO and *out is zeroed. */
int hd_cgroup_make(struct hd_cgroup *out, const struct hd_cgroups *g, uint32_t serial,
                   struct hd_error *err);
/** Append the folders that its processes are in from the start, each once. */
void hd_cgroup_dirs(const struct hd_cgroup *c, struct hd_spec_list *out);
/** Set limits; 0: none. @return 0, or HD_EIO. */
int hd_cgroup_limit(const struct hd_cgroup *c, uint32_t memory_mb, uint32_t pids,
                    struct hd_error *err);
/** @return bytes in use, without the cache of files; 0: unknown. */
uint64_t hd_cgroup_memory(const struct hd_cgroup *c);
/** Let the share of CPU time follow the memory: 1769 MB stand for one core's worth beside what
 *  others have. 0: the ordinary share. @return 0, or HD_EIO. */
int hd_cgroup_share(const struct hd_cgroup *c, uint32_t memory_mb, struct hd_error *err);
/** @return the most bytes that were in use at once, with the cache of files; 0: unknown. */
uint64_t hd_cgroup_peak(const struct hd_cgroup *c);
/** @return CPU time used, in microseconds; 0: unknown. */
uint64_t hd_cgroup_cpu_us(const struct hd_cgroup *c);
/** @return how many processes the kernel killed for the memory limit. */
uint64_t hd_cgroup_oom_kills(const struct hd_cgroup *c);
/** Kill every process in it, frozen ones too. */
void hd_cgroup_kill(const struct hd_cgroup *c);
/** Send SIGKILL to every process in a group's folder. */
void hd_cgroup_kill_in(const char *dir);
/** Remove the folders. @return false: processes are still in it, try again. */
bool hd_cgroup_remove(struct hd_cgroup *c);
/** Free the names. */
void hd_cgroup_done(struct hd_cgroup *c);

/** Write a file of a group's folder. @return 0, or HD_E* with errno in err->sys. */
int hd_cgroup_put(const char *dir, const char *name, const char *text, struct hd_error *err);
/** @return the text of a file of a group's folder for the caller to free, or NULL. */
char *hd_cgroup_get(const char *dir, const char *name);

/**
 * Find the folder of a controller. Pure.
 * @param mounts      text of /proc/self/mountinfo.
 * @param groups      text of /proc/self/cgroup.
 * @param controller  "memory", ...; or "" for version 2.
 * @return the folder of our own group for the caller to free, or NULL.
 */
char *hd_cgroup_find(struct hd_str mounts, struct hd_str groups, const char *controller);
