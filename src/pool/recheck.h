/* pool/recheck.h - a backend around another one, for code that is edited while it runs: an instance
 * counts as started, or as failed, only if the files it was made of stayed as they were meanwhile.
 *
 * Editors and copies empty a file before they write it, so a runtime that reads it in between gets
 * half of it or nothing. Such a start says nothing about the function: it is made again, unseen by
 * the pool, to which it is one start that takes longer. */
#pragma once

#include "core/loop.h"

#include <heddle/sys/backend.h>

struct hd_recheck;

/** What lies on the disk. */
struct hd_recheck_look {
    uint64_t stamp;          /* another one when a file of the function changed */
    int64_t changed_unix_ms; /* when the last one of them did; 0: unknown */
};

struct hd_recheck_options {
    struct hd_loop *loop;       /* the control loop */
    struct hd_backend *backend; /* borrowed; what really makes instances */
    /** Look at the code of a function. On a work thread. */
    void (*look)(void *arg, const char *function, struct hd_recheck_look *out);
    void *arg;
    uint32_t quiet_ms; /* a failure of code that changed less long ago is looked at again when this
                        * has passed: who writes it may not be done; 0: 500 */
    uint32_t again;    /* starts made anew at most, for code that never stops changing; 0: 8 */
};

struct hd_recheck *hd_recheck_new(const struct hd_recheck_options *opt);
/** When it has no instance any more. NULL is fine. */
void hd_recheck_free(struct hd_recheck *r);
/** @return the backend; it lives as long as @p r, and closes nothing but itself. It keeps no
 *  hosts ready. */
struct hd_backend *hd_recheck_backend(struct hd_recheck *r);

HD_AUTO(hd_recheck)
