/* pool/process/instance.h - one instance of the process backend: a host process and the function in
 * it, from the load request to the end. */
#pragma once

#include "core/list.h"
#include "pool/process/hostproc.h"

/** The backend's side of hd_backend_ops for one instance. */
struct hd_instance_handle;

enum { HD_PROCESS_NOTES = 2 };

/** How to begin one; borrowed until return. */
struct hd_process_start {
    struct hd_hostproc *host; /* a prewarmed one, which is taken over; NULL: start one */
    const struct hd_hostplan *plan;
    const struct hd_launch *what;
    struct hd_buf *load; /* body of the load request; contents are taken, and wiped */
    uint32_t timeout_ms; /* from here to ready */
    const char *notes[HD_PROCESS_NOTES]; /* lines for the function's log; NULL: none */
};

/**
 * Begin with a host that runs already, or with one that is started; all that goes wrong is
 * reported by events->on_gone, later.
 * @param list   the instance puts itself in, until it is gone.
 */
struct hd_instance_handle *hd_process_instance_start(struct hd_list *list,
                                                     struct hd_hostproc_site *site,
                                                     const struct hd_process_start *start,
                                                     const struct hd_backend_events *events,
                                                     void *owner);
/** Same, for a launch that cannot begin: on_gone with @p err follows. */
struct hd_instance_handle *hd_process_instance_fail(struct hd_list *list,
                                                    struct hd_hostproc_site *site,
                                                    const struct hd_error *err,
                                                    const struct hd_backend_events *events,
                                                    void *owner);
/** As in hd_backend_ops. */
void hd_process_instance_terminate(struct hd_instance_handle *h, uint32_t grace_ms);
void hd_process_instance_ping(struct hd_instance_handle *h, uint32_t within_ms,
                              void (*done)(void *owner, int rc), void *owner);
void hd_process_instance_freeze(struct hd_instance_handle *h,
                                void (*done)(void *owner, const struct hd_error *err), void *owner);
int hd_process_instance_thaw(struct hd_instance_handle *h,
                             void (*done)(void *owner, const struct hd_error *err), void *owner,
                             struct hd_error *err);
void hd_process_instance_flush(struct hd_instance_handle *h, void (*done)(void *owner),
                               void *owner);
uint64_t hd_process_instance_peak_bytes(struct hd_instance_handle *h);
uint64_t hd_process_instance_rss_bytes(struct hd_instance_handle *h);
uint64_t hd_process_instance_cpu_us(struct hd_instance_handle *h);
/** @return the instance whose link this is. */
struct hd_instance_handle *hd_process_instance_of(struct hd_list *link);
