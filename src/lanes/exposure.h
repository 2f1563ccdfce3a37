/* lanes/exposure.h - the RPC lanes' server side: peers call tasks and send events to what this node
 * serves. One per loop, on a listener of its own; nothing but the served lanes' definitions is
 * reachable, and nobody without a token unless that is said.
 *
 * method ─► edge auth ─► on a served lane? ─► lane token ─► body ─► lane token's hash ─► run */
#pragma once

#include "http/server.h"
#include "lanes/metrics.h"
#include "lanes/run.h"

struct hd_exposure;

struct hd_exposure_loop {
    struct hd_net *net;
    unsigned loop_index;
    const struct hd_topology *topology; /* all borrowed */
    struct hd_lane_runner *runner;
    struct hd_lane_metrics *metrics;
    struct hd_log *log;
    struct hd_caller *caller; /* for the validator */
    const struct hd_targets *targets;
    const char *files_dir; /* where files of inputs lie while their task runs; NULL: nowhere */
};

/** @return whether the profile serves anything. */
bool hd_exposure_wanted(const struct hd_topology *t);
/** @return 0 and *out, which listens on nothing yet; or HD_EIO. */
int hd_exposure_new(struct hd_exposure **out, const struct hd_exposure_loop *opt,
                    struct hd_error *err);
/** @param fd  takes ownership. */
int hd_exposure_listen_fd(struct hd_exposure *e, int fd, struct hd_error *err);
/** Stop accepting, close idle connections; what is under way is finished. */
void hd_exposure_drain(struct hd_exposure *e);
/** @return open connections. */
unsigned hd_exposure_open(const struct hd_exposure *e);
/** Close everything now; @p done later, when it may be freed. */
void hd_exposure_close(struct hd_exposure *e, void (*done)(void *arg), void *arg);
void hd_exposure_free(struct hd_exposure *e); /* NULL is fine */
