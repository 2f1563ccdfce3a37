/* store/claims.h - which items were under way when a process died, and how often: in a small file
 * that is mapped into memory, so that noting one costs nothing and survives the process. It does
 * not survive the machine; then it has forgotten, which is no harm. One thread. */
#pragma once

#include "core/base.h"

#include <heddle/error.h>

struct hd_claims;

enum { HD_CLAIMS_MAX = 4096 }; /* at once; what is more is not noted */

/**
 * Open the file, or make it. What is noted in it as under way counts once more.
 * @return 0 and *out; or HD_EIO: no such file can be had.
 */
int hd_claims_open(struct hd_claims **out, const char *path, struct hd_error *err);
/** In order: what is under way now was not lost. NULL is fine. */
void hd_claims_close(struct hd_claims *c);

/** An item is handed out. @return how many processes died with it under way; 0 with NULL. */
uint32_t hd_claims_begin(struct hd_claims *c, uint64_t seq);
/** It came back, however that was: forget it. */
void hd_claims_end(struct hd_claims *c, uint64_t seq);
/** @return as hd_claims_begin(), and nothing changes. */
uint32_t hd_claims_lost(const struct hd_claims *c, uint64_t seq);
/** Forget those that are gone. @param there  asked of each that is noted. */
void hd_claims_sweep(struct hd_claims *c, bool (*there)(void *arg, uint64_t seq), void *arg);
