/* pool/process/prewarm.h - hosts that run already, with nothing loaded, one shelf for each kind of
 * them. */
#pragma once

#include "core/id.h"
#include "core/list.h"
#include "pool/process/hostproc.h"

enum { HD_PREWARM_SHELVES_MAX = 32 };

struct hd_prewarm {
    struct hd_hostproc_site *site;
    struct hd_list shelves; /* least recently used first */
    struct hd_list leaving; /* hosts that are being ended */
    unsigned n_shelves, n_hosts, max_hosts;
    uint32_t start_timeout_ms;
    struct hd_rng rng;
    bool closed;
};

/** @param site  borrowed until everything is closed. */
void hd_prewarm_init(struct hd_prewarm *w, struct hd_hostproc_site *site, unsigned max_hosts,
                     uint32_t start_timeout_ms);
/**
 * Keep @p count hosts of this plan, which has a key. The first starts at once, the others one after
 * another. 0: none any more. What is not taken for half an hour ends, until it is asked for again.
 */
void hd_prewarm_want(struct hd_prewarm *w, const struct hd_hostplan *plan, unsigned count);
/** @return whether hosts of this plan are kept, or were before nobody asked for them. */
bool hd_prewarm_has(struct hd_prewarm *w, const struct hd_hostplan *plan);
/** Keep no hosts of this key any more. */
void hd_prewarm_forget(struct hd_prewarm *w, const char *key);
/**
 * Take a host, the caller's from now on; another one is started in its place a little later.
 * @param ready  set: whether it listens already.
 * @return NULL: there is none.
 */
struct hd_hostproc *hd_prewarm_take(struct hd_prewarm *w, const struct hd_hostplan *plan,
                                    bool *ready);
/** End a host that was taken and turned out to be of no use. */
void hd_prewarm_discard(struct hd_prewarm *w, struct hd_hostproc *host);
/** @return resident memory of all hosts on the shelves. */
uint64_t hd_prewarm_rss_bytes(const struct hd_prewarm *w);
/** @return hosts that listen and wait. */
unsigned hd_prewarm_ready(const struct hd_prewarm *w);
/** End all; hosts go in the following turns. */
void hd_prewarm_close(struct hd_prewarm *w);
/** @return whether nothing is left after the close. */
bool hd_prewarm_is_closed(const struct hd_prewarm *w);
