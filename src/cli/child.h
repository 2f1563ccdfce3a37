/* cli/child.h - ask a program of this machine something. */
#pragma once

#include "core/buf.h"

/**
 * Run a program to its end and take what it prints; its errors are dropped, its input is empty.
 * Blocks; a program that takes longer is ended.
 * @param argv  argv[0]: absolute path; NULL-terminated.
 * @return 0, also when there was more than @p out takes; or HD_EIO: it does not run, or not well.
 */
int hd_child_read(struct hd_buf *out, const char *const *argv, char *const *env,
                  uint32_t timeout_ms);
/** @return where a program is, for the caller to free; NULL: nowhere. @p path: as $PATH, or NULL.
 */
char *hd_child_find(const char *program, const char *path);
