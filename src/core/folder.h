/* core/folder.h - folders of ours on the disk. Slow: at start, or on a work thread. */
#pragma once

#include "core/base.h"

/** Make a folder and those above it where they are missing, for this user alone. */
int hd_make_folder(const char *path, struct hd_error *err);
/** Make those above it, for everybody to pass. */
int hd_make_parents(const char *path, struct hd_error *err);
/** Remove a folder, or a file, with all that is in it. */
void hd_remove_tree(const char *path);
/** Put a folder's entries on the disk. @return 0, or HD_E*. */
int hd_sync_folder(const char *path, struct hd_error *err);
