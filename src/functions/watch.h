/* functions/watch.h - tell when files change: inotify, gathered by the rules of debounce.h. The
 * disk is touched on work threads only.
 *
 * A path in a flush means "look there", not "it is different": the registry compares contents, so
 * a save without a change ends there. Where the system gives no more watches, it says so once and
 * asks to look at everything every poll_ms instead. */
#pragma once

#include "core/log.h"
#include "core/loop.h"
#include "functions/strings.h"

struct hd_watch;

struct hd_watch_options {
    struct hd_loop *loop;
    struct hd_log *log; /* or NULL */
    size_t max_folders; /* watched at most; 0: 200000 */
    uint32_t poll_ms;   /* when watches ran out; 0: 1000 */
    /**
     * Act on changes; call hd_watch_flushed() when that is done, later or from inside. There is
     * no second call before that.
     * @param paths       absolute; borrowed until return; empty if everything.
     * @param everything  changes may have been missed.
     */
    void (*on_change)(void *arg, const struct hd_strings *paths, bool everything);
    void *arg;
};

/** All on the loop's thread. @return 0 and *out, to be closed; or HD_EBUSY, HD_EIO. */
int hd_watch_new(struct hd_watch **out, const struct hd_watch_options *opt, struct hd_error *err);
/**
 * Say what to watch from now on, as hd_watch_tree_set() has it; see hd_registry_watch_list(). What
 * is new in it comes with the next flush.
 * @param entries  takes ownership of the strings; the list is as zeroed.
 */
void hd_watch_set(struct hd_watch *w, struct hd_strings *entries);
void hd_watch_flushed(struct hd_watch *w);
/** Tell of these paths once more, as if they had changed now. */
void hd_watch_again(struct hd_watch *w, const struct hd_strings *paths);
/** End and free; on_change is not called any more, @p done (may be NULL) later. */
void hd_watch_close(struct hd_watch *w, void (*done)(void *arg), void *arg);
