/* pool/process/hostplan.h - from what is to be launched to the command, environment and confinement
 * of its host process. Pure, but for a look at where a program's installation lies. */
#pragma once

#include "pool/process/backend.h"
#include "pool/process/sandbox_spec.h"

/** Stands in a plan for the folder of the instance, which is not known yet. */
#define HD_PLAN_DIR "\x1a"
/** Where a host that waits for a function with Lambda semantics has the code of all of them. */
#define HD_PLAN_CODE "/run/heddle-code"
/** An empty folder in the root of its own, which covers the one above when it has its function. */
#define HD_PLAN_NOTHING "/mnt"

/** What a function with Lambda semantics brings to a host. Strings are its own. */
struct hd_late {
    bool there;                     /* there is something, and it is not in the spec */
    bool possible;                  /* a host that runs already can get it */
    char *code_dir, *opt_dir;       /* as the node sees them; opt_dir may be NULL */
    char *hidden_code, *hidden_opt; /* as such a host sees them; NULL where nothing is mounted */
};

/** A host process to start. Two plans with the same key make hosts that can stand in for each
 *  other until a function is loaded. */
struct hd_hostplan {
    struct hd_sandbox_spec spec; /* all but user and cgroups; HD_PLAN_DIR in its strings */
    char *key;                   /* NULL: nothing else can stand in for it; never prewarmed */
    bool host;                   /* it speaks the host protocol; else it is a program (`http`) */
    bool wrapped;                /* a wrapper of the function's starts the host */
    struct hd_late late;
};

/**
 * @param opt            its programs are absolute paths, or NULL: not installed.
 * @param parts          enum hd_sandbox_part that are in force; HD_SANDBOX_NET only says that it is
 *                       possible.
 * @param cgroup_memory  the memory limit is the cgroup's to enforce, and not the runtime's.
 * @return 0 and *out, to be done with; HD_EINVAL: an unknown runtime, or no command;
 *         HD_ENOTFOUND: the runtime is not installed.
 */
int hd_hostplan_make(struct hd_hostplan *out, const struct hd_process_options *opt,
                     const struct hd_launch *what, unsigned parts, bool cgroup_memory,
                     struct hd_error *err);
/**
 * Same, for a process that has the runtime compile the function into its cache, and runs nothing of
 * it. It sees what the function will see, and no network; what is not in the cache it does not
 * fetch.
 * @return 0 and *out, or as above; HD_EINVAL also: this runtime compiles nothing ahead.
 */
int hd_hostplan_make_compile(struct hd_hostplan *out, const struct hd_process_options *opt,
                             const struct hd_launch *what, unsigned parts, struct hd_error *err);
void hd_hostplan_copy(struct hd_hostplan *out, const struct hd_hostplan *from);
void hd_hostplan_done(struct hd_hostplan *p);
/** Make the key of what is in the spec. */
void hd_hostplan_make_key(struct hd_hostplan *p);
/** Put @p dir in the place of HD_PLAN_DIR everywhere. */
void hd_hostplan_settle(struct hd_hostplan *p, const char *dir);
/** Append the body of the load request for @p what. */
void hd_hostplan_load_body(struct hd_buf *out, const struct hd_launch *what);
