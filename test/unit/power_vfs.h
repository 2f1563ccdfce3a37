/* power_vfs.h - a disk under SQLite that forgets what was not synced, fills up, or fails to sync.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/** Put it under all databases that are opened from now on. Once. */
void power_install(void);

struct power {
    uint64_t syncs;     /* so far */
    bool fail_syncs;    /* the next ones fail */
    int64_t room_bytes; /* that may be written from now on; -1: any */
};
/** Change or look under its lock. */
struct power *power_lock(void);
void power_unlock(void);

/**
 * Write all files of the database @p path to @p folder as they would be after a power cut now: what
 * was synced, and of each later write a part, or nothing.
 */
void power_cut(const char *path, const char *folder, uint64_t seed);
/** Forget all files. */
void power_reset(void);
