/* pool/process/child.h - start one confined child process and hold it by its pidfd. */
#pragma once

#include "pool/process/sandbox_spec.h"

#include <sys/types.h>

/** A child that was started; its descriptors are close-on-exec and do not block. -1: none. */
struct hd_child {
    pid_t pid;
    int pidfd;  /* readable when it ended */
    int out;    /* its standard output ... */
    int err;    /* ... and error, to read */
    int status; /* what the sandbox stage reports, to read */
};

/** How it ended. */
struct hd_child_end {
    bool by_signal;
    int value; /* signal or exit code */
};

enum { HD_CHILD_REPORT_MAX = 4096 };

/**
 * Start the program of @p spec behind the sandbox stage: its standard input is /dev/null, it leads
 * a session of its own, it gets no other descriptor of ours, and the kernel kills it when the
 * calling *thread* ends: so that thread must be one that lives as long as the node.
 * Blocks for less than a millisecond (until the stage runs).
 * @return 0 and *out, or HD_EIO: nothing was started.
 */
int hd_child_spawn(struct hd_child *out, const struct hd_sandbox_spec *spec, struct hd_error *err);
/** Send a signal. @return 0, or HD_ENOTFOUND when it has ended. */
int hd_child_signal(const struct hd_child *c, int signal);
/** Send SIGKILL to it and to all of its process group. */
void hd_child_kill(const struct hd_child *c);
/**
 * Fetch how it ended, without waiting. Kills what is left of its process group first.
 * @return whether it ended; then its pid is no longer ours.
 */
bool hd_child_reap(struct hd_child *c, struct hd_child_end *end);
/** Read what the stage has reported. @return its length. */
size_t hd_child_report(const struct hd_child *c, char out[HD_CHILD_REPORT_MAX]);
/** Close the descriptors. Reap it first. */
void hd_child_close(struct hd_child *c);
