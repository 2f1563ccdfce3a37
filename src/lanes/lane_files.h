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

/** @return octets as functions see them: {"body": base64, "isBase64Encoded": true}; NULL: the arena
 *  is full. */
struct hd_typed *hd_lane_octets(struct hd_arena *arena, struct hd_str bytes);

/* --- the caller's side --- */

/** A file that a caller carries in its input: {"$file": {"base64", "name", "type", ...}}. */
struct hd_lane_sent_file {
    struct hd_str id;                 /* that it got: "F1", ... */
    struct hd_str name, type, base64; /* ptr NULL: not given; never of base64 */
};
/** @return whether there is one. */
bool hd_lane_files_carried(const struct hd_typed *value);
/**
 * Put a sentinel in the place of each of them, and tell it.
 * @param tell  @return 0, or what ends it.
 * @return 0; HD_EBUSY: the arena is full; or what @p tell returned.
 */
int hd_lane_files_send(struct hd_typed **value, struct hd_arena *arena,
                       int (*tell)(void *arg, const struct hd_lane_sent_file *file), void *arg);
