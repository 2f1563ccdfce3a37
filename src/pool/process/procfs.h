/* pool/process/procfs.h - what /proc says about a process. */
#pragma once

#include "core/base.h"

#include <sys/types.h>

struct hd_proc {
    uint64_t start_ticks; /* since boot: with the pid, the name of a process */
    uint64_t cpu_us;      /* used so far, by its ended children too */
    uint64_t rss_bytes;
    pid_t parent;
};

/** @return 0, or HD_ENOTFOUND. */
int hd_proc_read(struct hd_proc *out, pid_t pid);
/** Read the text of a /proc/<pid>/stat file. @return 0, or HD_EPROTO. Pure. */
int hd_proc_parse(struct hd_proc *out, struct hd_str stat, long ticks_per_s, long page_bytes);
/** The first child of @p pid, or 0: the target behind the init of a PID namespace. */
pid_t hd_proc_child(pid_t pid);
/** @return memory in bytes that a process and its descendants have for themselves: not of files,
 * not shared; of the first hundred. */
uint64_t hd_proc_tree_bytes(pid_t pid);
/** Write the id of this boot of the machine, 36 characters and a NUL; "" where there is none. */
void hd_boot_id(char out[37]);
