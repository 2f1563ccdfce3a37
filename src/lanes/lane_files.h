/* lanes/lane_files.h - files inside values: as they stand on the wire, where a sentinel takes the
 * place of each, and as functions see them. Pure. */
#pragma once

#include "lanes/typed.h"

/** What came of a file. */
struct hd_lane_file {
    struct hd_str id;
    struct hd_str name, type; /* as its part said; ptr NULL: nothing */
    struct hd_str path;       /* where a function reads it */
    uint64_t bytes;
};

/**
 * Put what functions see in the place of all sentinels: {"$runnerFile": "File", "id", "meta"}
 * becomes {"$file": {"id", "name", "type", "size", "lastModified", "extra", "path"}}. What the
 * manifest says wins over what the part said, but for the size.
 * @param find  @return the file with this id, or NULL: it did not come.
 * @return 0; HD_ENOTFOUND: `find` did not have one (*missing); HD_EBUSY: the arena is full.
 */
int hd_lane_files_show(struct hd_typed **value, struct hd_arena *arena,
                       const struct hd_lane_file *(*find)(void *arg, struct hd_str id), void *arg,
                       struct hd_str *missing);
/** Tell the id of each sentinel, also twice. */
void hd_lane_files_ids(const struct hd_typed *value, void (*tell)(void *arg, struct hd_str id),
                       void *arg);
/** @return whether somebody wrote by hand what only hd_lane_files_show() may: a "$file" with a
 * path. A function would open it. */
bool hd_lane_files_forged(const struct hd_typed *value);
