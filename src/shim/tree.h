/* shim/tree.h - the programs of one instance: starting them, and ending them with all that they
 * started. */
#pragma once

#include "core/base.h"

#include <sys/types.h>

/** A program to start. All borrowed until return. */
struct hd_tree_program {
    const char *path;  /* to execute, no search */
    char *const *argv; /* NULL-terminated */
    char *const *env;  /* same */
    const char *cwd;   /* NULL: ours */
    int out, err;      /* its output; its input is /dev/null */
    int keep_fd;       /* a descriptor that it gets under its own number; -1: none */
};

/** Make this process the one that orphans below it are given to. Once, at start. */
void hd_tree_adopt(void);
/**
 * Start a program: in a session of its own, with no other descriptor of ours and no signal blocked;
 * the kernel kills it when we end.
 * @return 0 and *pid; HD_E* with err->sys: it could not be executed, and nothing was started.
 */
int hd_tree_start(pid_t *pid, const struct hd_tree_program *what, struct hd_error *err);
/**
 * Send a signal to a process and to everything below it.
 * @param pid  our own: to everything below us, not to us.
 * @return how many processes there were.
 */
unsigned hd_tree_signal(pid_t pid, int signal);

/** One line of a table of processes, for hd_tree_below(). */
struct hd_tree_process {
    pid_t pid, parent;
    bool below; /* of the root that was asked for */
};
/** Sort a table of processes and mark those below @p root. @return how many. Pure. */
unsigned hd_tree_below(struct hd_tree_process *table, size_t n, pid_t root);
/** Read pid and parent out of the text of /proc/<pid>/stat. @return false: it is none, or a process
 *  that ended and waits to be fetched. Pure. */
bool hd_tree_stat(struct hd_tree_process *out, struct hd_str stat);
