/* pool/process/hostproc.h - one host process: its folder, output, limits and end, whatever is
 * loaded in it.
 */
#pragma once

#include "pool/process/capture.h"
#include "pool/process/cgroup.h"
#include "pool/process/child.h"
#include "pool/process/hostplan.h"
#include "pool/process/rundir.h"

/** What host processes have in common; the backend's. */
struct hd_hostproc_site {
    struct hd_loop *loop;
    struct hd_log *log;
    struct hd_rundir dir;
    struct hd_cgroups cgroups;
    uint32_t uid_base, default_pids;
};

/** What a process tells who holds it; on the loop, never from inside a call. */
struct hd_hostproc_events {
    hd_capture_fn on_line;
    /** It ended without our doing, or for its memory: right before on_gone. May be NULL. */
    void (*on_exit)(void *owner, const struct hd_exit_status *how);
    /**
     * It ended and nothing is left; freed after return.
     * @param why      "exited with code 3".
     * @param by_itself  it exited, or its program cannot be run: nobody killed it.
     */
    void (*on_gone)(void *owner, const char *why, bool by_itself);
};

struct hd_hostproc;

/**
 * Start a process. @return 0 and *out, which lives until on_gone; or HD_E*.
 * @param owner  may be NULL, with @p events, until hd_hostproc_own().
 */
int hd_hostproc_start(struct hd_hostproc **out, struct hd_hostproc_site *site,
                      const struct hd_hostplan *plan, const struct hd_hostproc_events *events,
                      void *owner, struct hd_error *err);
/** Hand it to another owner. */
void hd_hostproc_own(struct hd_hostproc *p, const struct hd_hostproc_events *events, void *owner);
/** Set limits of what is about to be loaded; 0: none, or the default. */
void hd_hostproc_limit(struct hd_hostproc *p, uint32_t memory_mb, uint32_t pids);
/** Let its share of CPU time follow the limit of its memory; and where no cgroup keeps that limit,
 *  look at it ten times a second and end what is a tenth above it. */
void hd_hostproc_keep_to(struct hd_hostproc *p, uint32_t memory_mb);
/** Let it have the CPU time that nobody else wants. Right after its start. */
void hd_hostproc_yield(struct hd_hostproc *p);
/** Give a host that was started without it what its function brings. @return 0, or HD_E*: it is of
 *  no use any more. */
int hd_hostproc_adopt(struct hd_hostproc *p, const struct hd_late *late, struct hd_error *err);
/**
 * Make all that runs in it stand still; @p done later, with the owner and NULL or why not. It is
 * not called when the process goes first, or was told to end or thawed meanwhile.
 */
void hd_hostproc_freeze(struct hd_hostproc *p,
                        void (*done)(void *owner, const struct hd_error *err));
/** Let it go on, if it was frozen or is about to be. @return 0, or HD_E*. */
int hd_hostproc_thaw(struct hd_hostproc *p, struct hd_error *err);
/** Read what it has written so far and report it, lines without an end too. */
void hd_hostproc_flush(struct hd_hostproc *p);
/** Where it listens, or will: a socket, and the port that was kept for a program (n = 2) . */
unsigned hd_hostproc_endpoints(const struct hd_hostproc *p, struct hd_endpoint at[2]);
const char *hd_hostproc_token(const struct hd_hostproc *p);
/** Ask it to end (SIGTERM), or end it (SIGKILL) with all it started, frozen or not. Fine when it
 * has ended. */
void hd_hostproc_ask(struct hd_hostproc *p);
void hd_hostproc_kill(struct hd_hostproc *p);
uint64_t hd_hostproc_rss_bytes(const struct hd_hostproc *p);
uint64_t hd_hostproc_peak_bytes(const struct hd_hostproc *p);
uint64_t hd_hostproc_cpu_us(const struct hd_hostproc *p);
