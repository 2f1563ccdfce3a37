/* pool/docker/fill.h - put files into a container that has not been started, as a tar archive: what
 * would be bound into it, if the engine saw our files. */
#pragma once

#include "pool/docker/engine.h"

struct hd_fill;

/**
 * Write the archive, which is read and kept off the loop, and send it.
 * @param mounts  as in the create request: folders and files, and where they go. What may be
 *                written becomes an empty folder that everybody inside may write. Copied.
 * @param dir     absolute, for the archive; nothing is left there.
 * @param done    exactly once, never from inside; err: HD_ECANCELED, HD_EIO, HD_EINVAL (the
 *                engine does not take it). It is gone then.
 * @return 0 and *out; or HD_EIO.
 */
int hd_fill_start(struct hd_fill **out, struct hd_loop *loop, struct hd_engine *engine,
                  const char *container, const json_t *mounts, const char *dir,
                  void (*done)(void *arg, const struct hd_error *err), void *arg,
                  struct hd_error *err);
/** Give up: done() follows. */
void hd_fill_cancel(struct hd_fill *f);
