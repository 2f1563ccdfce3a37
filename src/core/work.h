/* core/work.h - blocking work (disk, hashing, unpacking) off the loop. */
#pragma once

#include "core/loop.h"

/**
 * Run @p work on a pool thread, then @p done on the loop. They share @p arg and nothing else:
 * inputs are copied into it before, results out of it after.
 * @return 0, or HD_EIO and neither is called. Loop thread.
 */
int hd_work(struct hd_loop *l, void (*work)(void *arg), void (*done)(void *arg), void *arg,
            struct hd_error *err);
