/* store/schema.h - the tables of the database, and how an older one becomes today's. */
#pragma once

#include "core/base.h"

#include <sqlite3.h>

/** The steps from an empty database to today's, one a version: append only. A step that was
 *  released never changes. */
extern const char *const hd_schema_steps[];
/** How many there are: today's version. */
int hd_schema_version(void);

/**
 * Open the file (made with mode 0600 if it is not there), check that it is ours and set it up:
 * write-ahead log, no automatic checkpoints.
 * @return 0 and *out, for sqlite3_close(); HD_EINVAL: not ours, or damaged; HD_EDENIED; HD_EBUSY;
 *         HD_EIO.
 */
int hd_schema_open(sqlite3 **out, const char *path, struct hd_error *err);
/**
 * Bring it from its version to @p n_steps, all or nothing.
 * @return the version it had; HD_EINVAL: it has a newer one; or as above.
 */
int hd_schema_migrate(sqlite3 *db, const char *const *steps, int n_steps, struct hd_error *err);
/** Look for damage everywhere; may take long. @return 0, or HD_EINVAL with the first thing found.
 */
int hd_schema_check(sqlite3 *db, struct hd_error *err);
