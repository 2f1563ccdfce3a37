/* pool/process/sandbox_spec.h - what the node tells the sandbox stage: which program, in which
 * confinement; and its form on the wire between the two. Pure. */
#pragma once

#include "core/buf.h"

enum {
    HD_SANDBOX_SPEC_MAX = 4 << 20,
    HD_SANDBOX_SPEC_FD = 3,   /* where the stage finds the spec ... */
    HD_SANDBOX_STATUS_FD = 4, /* ... and the pipe to report on */
};
/** argv[0] under which the program becomes the stage. */
#define HD_SANDBOX_ARGV0 "heddle-sandbox"

/** Parts of the confinement, as bits. */
enum hd_sandbox_part {
    HD_SANDBOX_USER = 1 << 0,    /* user namespace (a node that is not root) */
    HD_SANDBOX_MOUNT = 1 << 1,   /* mount namespace: read-only view, private /tmp */
    HD_SANDBOX_PID = 1 << 2,     /* PID namespace; the stage stays as its init */
    HD_SANDBOX_IPC = 1 << 3,     /* IPC and UTS namespaces */
    HD_SANDBOX_NET = 1 << 4,     /* empty network namespace */
    HD_SANDBOX_SECCOMP = 1 << 5, /* system call filter */
    HD_SANDBOX_UID = 1 << 6,     /* a user of its own (a node that is root) */
};

/** A growing list of strings of ours; NULL-terminated once it has been added to. */
struct hd_spec_list {
    char **v;
    size_t n;
};
void hd_spec_list_add(struct hd_spec_list *l, const char *s); /* copies */
void hd_spec_list_done(struct hd_spec_list *l);

struct hd_sandbox_spec {
    struct hd_spec_list argv, env;
    char *cwd;
    unsigned parts;              /* enum hd_sandbox_part: what to apply */
    bool require;                /* a part that fails ends the start; else it is reported */
    bool check;                  /* confine, report and end: the target does not run */
    struct hd_spec_list cgroups; /* directories to enter first */
    uint32_t uid, gid;           /* with HD_SANDBOX_UID; with HD_SANDBOX_USER: the node's own */
    struct hd_spec_list keep;    /* paths that stay visible, read-only, and must be reached */
    struct hd_spec_list write;   /* paths that stay visible and writable */
    struct hd_spec_list hide;    /* directories that become empty */
    bool layout;                 /* a root of its own instead: the system's folders, and `binds` */
    struct hd_spec_list binds;   /* see hd_sandbox_bind() */
    uint32_t tmp_mb;             /* size of /tmp there; 0: 512 */
    uint32_t seen_uid, seen_gid; /* the target sees itself as this user; 0: as what it is */
    uint64_t max_files;          /* rlimits; 0: as inherited */
    uint64_t max_processes;
    uint64_t max_file_bytes;
    uint64_t max_data_bytes;
    uint64_t max_locked_bytes;
    uint64_t max_stack_bytes;
};

/** Show @p from, a folder or file, at @p place of the new root.
 *  @param place  without a ":" in it. */
void hd_sandbox_bind(struct hd_sandbox_spec *s, const char *place, const char *from, bool writable);
/** Take such an item apart. @return whether it is one; *place is for the caller to free. */
bool hd_sandbox_bind_read(const char *item, char **place, const char **from, bool *writable);

/** Append the wire form. */
void hd_sandbox_spec_write(struct hd_buf *out, const struct hd_sandbox_spec *s);
/** @return 0 and *s, to be done with; or HD_EINVAL, and *s is still to be done with. */
int hd_sandbox_spec_read(struct hd_sandbox_spec *s, struct hd_str bytes, struct hd_error *err);
void hd_sandbox_spec_done(struct hd_sandbox_spec *s);
