/* pool/process/sandbox.h - the stage between the node and a function's program: it confines itself,
 * then runs the target. What it does is written in a spec (sandbox_spec.h). */
#pragma once

#include "pool/process/sandbox_spec.h"

/**
 * Be the sandbox stage: what main() calls when argv[0] is HD_SANDBOX_ARGV0.
 *
 * Reads the spec from descriptor 3 and reports on the pipe at descriptor 4, one line each:
 *   "-part: why"   this part of the confinement could not be applied;
 *   "!why"         it gives up, and the target does not run;
 *   "=status"      the target ended with that wait status (with a PID namespace), or the check
 *                  is done.
 * @return never, but by running the target or ending the process.
 */
int hd_sandbox_main(int argc, char **argv);

/* Parts of the stage; called once, in a process that has one thread. */

/** Make the mount namespace's view. Needs the capabilities of its user namespace. */
int hd_sandbox_mounts(const struct hd_sandbox_spec *s, struct hd_error *err);
/** The same for a function with Lambda semantics: a root of its own that looks alike everywhere. */
int hd_sandbox_root(const struct hd_sandbox_spec *s, struct hd_error *err);
/** mount_setattr(), with words for what went wrong. */
int hd_sandbox_set_attr(int fd, const char *path, unsigned at_flags, uint64_t set, uint64_t clear,
                        struct hd_error *err);
/** Make a user namespace in which the node's user stands for @p uid; only to name it below.
 *  @return a descriptor, or HD_E*. */
int hd_sandbox_map_namespace(uint32_t uid, struct hd_error *err);
/** Show what belongs to the node's user as that one's, in a mount that is in no place yet. File
 *  systems that cannot do this show their files as they are: then only what everybody may read can
 *  be read. */
void hd_sandbox_map_owner(int tree_fd, int namespace_fd);
/** Put the system call filter in force, for this process and all it starts. */
int hd_sandbox_seccomp(struct hd_error *err);
/** See to it that no program that is run gets a capability; before a change of user. */
void hd_sandbox_bound_caps(void);
/** Give up all capabilities; after a change of user. */
int hd_sandbox_drop_caps(struct hd_error *err);
