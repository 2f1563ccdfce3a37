/* lanes/spool.h - bytes that stream in become files in a folder of their own, while a function
 * reads them; written and removed off the loop. One for one request.
 *
 * The folder's name is a secret: who knows it may read, nobody can look it up. */
#pragma once

#include "core/loop.h"

struct hd_spool;

/** Bytes that are taken and not written yet, at which hd_spool_write() says that it is enough. */
enum { HD_SPOOL_QUEUED = 256 * 1024 };

/**
 * @param dir      where its folder is made, with the first file; copied.
 * @param on_idle  all that was taken is written, or it failed; never from inside, and not after
 *                 hd_spool_free().
 */
struct hd_spool *hd_spool_new(struct hd_loop *loop, const char *dir, void (*on_idle)(void *arg),
                              void *arg);
/** End the file before, begin another. @return its number: 0, 1, ... */
unsigned hd_spool_begin(struct hd_spool *s);
/** Append to the file that was begun last. Copied. @return false: no more before on_idle. */
bool hd_spool_write(struct hd_spool *s, struct hd_str bytes);
/** @return whether nothing waits to be written. */
bool hd_spool_is_idle(const struct hd_spool *s);
/** @return 0, or the code that writing failed with. Nothing more is written then. */
int hd_spool_failed(const struct hd_spool *s, struct hd_error *err);
/** @return where a file lies, for the caller to free. */
char *hd_spool_path(const struct hd_spool *s, unsigned file);
/** Remove all of it; @p gone later, when nothing is left, on the loop. NULL s is not fine. */
void hd_spool_free(struct hd_spool *s, void (*gone)(void *arg), void *arg);
