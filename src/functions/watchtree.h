/* functions/watchtree.h - inotify watches over whole trees of folders. It reads the disk: one work
 * thread at a time. */
#pragma once

#include "functions/strings.h"

struct hd_watch_tree;

/** What came out of a look at the events. */
struct hd_watch_changes {
    struct hd_strings paths; /* absolute; changed, made or removed files and folders */
    bool everything;         /* events were lost, or there are too many: look at all */
    bool limited;            /* the limit of watches, ours or the system's, is reached: poll */
};
void hd_watch_changes_done(struct hd_watch_changes *c);

/**
 * @param max_folders  watched at most; 0: 200000.
 * @return 0 and *out, the caller's to free; or HD_EBUSY, HD_EIO: no inotify to be had.
 */
int hd_watch_tree_new(struct hd_watch_tree **out, size_t max_folders, struct hd_error *err);
void hd_watch_tree_free(struct hd_watch_tree *t); /* NULL is fine */
/** @return the descriptor that becomes readable; the tree's. */
int hd_watch_tree_fd(const struct hd_watch_tree *t);
/**
 * Say what to watch, and forget the rest: of a folder all that is below it, links to folders
 * included (they keep the path they are reached by); of a file, there or not, itself.
 * @param changes  gets the entries that were not watched before: they may have changed until now.
 */
void hd_watch_tree_set(struct hd_watch_tree *t, const struct hd_strings *entries,
                       struct hd_watch_changes *changes);
/** Take the events that are there, and watch new folders. Never blocks. */
void hd_watch_tree_read(struct hd_watch_tree *t, struct hd_watch_changes *changes);
/** @return watches in use. */
size_t hd_watch_tree_count(const struct hd_watch_tree *t);
/** @return whether nobody cares for a file or folder of that name: node_modules, .git, what
 *  editors leave behind. */
bool hd_watch_ignores(const char *name);
