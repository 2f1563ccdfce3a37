/* node/logtail.h - the last lines of all functions, and who follows them (`heddle logs -f`). */
#pragma once

#include "core/list.h"
#include "core/log.h"

/** Control loop only. */
struct hd_logtail;

/** One follower, in its owner's struct. on_line is called for each new line, as JSON text without
 *  a line break. */
struct hd_log_follower {
    struct hd_list link;
    void (*on_line)(struct hd_log_follower *f, struct hd_str function, int level,
                    struct hd_str json);
};

/** @param max_lines, max_bytes  what is kept; the oldest go first. */
struct hd_logtail *hd_logtail_new(size_t max_lines, size_t max_bytes);
void hd_logtail_free(struct hd_logtail *t); /* NULL is fine; nobody follows any more */
/** Keep a line and show it to the followers. @param id  of the invocation, or empty. */
void hd_logtail_add(struct hd_logtail *t, struct hd_str function, struct hd_str id, int level,
                    struct hd_str text, int64_t now_unix_ms);
/** Call @p each for every line that is kept, the oldest first. */
void hd_logtail_each(const struct hd_logtail *t,
                     void (*each)(void *arg, struct hd_str function, int level, struct hd_str json),
                     void *arg);
void hd_logtail_follow(struct hd_logtail *t, struct hd_log_follower *f);
void hd_logtail_leave(struct hd_log_follower *f);
