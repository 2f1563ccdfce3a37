/* store/sqlite.h - SQLite's results as ours, and the calls that every file of the store makes. */
#pragma once

#include "core/base.h"

#include <sqlite3.h>

/**
 * Fill in @p err from the last failure of @p db: "context: what SQLite says", and what to do.
 * @param db  NULL: the text of @p rc alone.
 * @return HD_EBUSY (held by another process), HD_EDENIED (read-only, permissions), HD_EINVAL (no
 *         database, damaged), HD_EIO (disk full and all else).
 */
int hd_sqlite_fail(struct hd_error *err, sqlite3 *db, int rc, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/** @return whether the disk failed to sync: what it holds is not known any more. */
bool hd_sqlite_lost_sync(sqlite3 *db);
/** Run SQL without results. */
int hd_sqlite_exec(sqlite3 *db, const char *sql, struct hd_error *err);
/** Make a statement that is used often. */
int hd_sqlite_prepare(sqlite3_stmt **out, sqlite3 *db, const char *sql, struct hd_error *err);
/** Read one number. */
int hd_sqlite_int(int64_t *out, sqlite3 *db, const char *sql, struct hd_error *err);
/** Bind bytes as text or as a blob; borrowed until the reset. */
void hd_sqlite_text(sqlite3_stmt *st, int at, struct hd_str s);
void hd_sqlite_blob(sqlite3_stmt *st, int at, struct hd_str s);
/** @return a column's bytes; valid until the next step. */
struct hd_str hd_sqlite_bytes(sqlite3_stmt *st, int column);
/** Step a statement that yields no row, and reset it. @return SQLITE_OK, or what went wrong. */
int hd_sqlite_run(sqlite3_stmt *st);
