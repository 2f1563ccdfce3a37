#include "store/sqlite.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static int code_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return HD_EBUSY;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return HD_EDENIED;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
    case SQLITE_CONSTRAINT:
    case SQLITE_TOOBIG:
        return HD_EINVAL;
    default:
        return HD_EIO;
    }
}

/* What a person can do about it. */
static const char *advice(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return "; another process holds the database: end it";
    case SQLITE_FULL:
        return "; free some space on its disk, nothing of this was kept";
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return "; it must be writable for this user";
    case SQLITE_NOTADB:
        return "; move the file away, or name another one";
    case SQLITE_CORRUPT:
        return "; restore a copy, or move it away to begin anew";
    default:
        return "";
    }
}

int hd_sqlite_fail(struct hd_error *err, sqlite3 *db, int rc, const char *fmt, ...)
{
    if (err == NULL)
        return code_of(rc);
    char where[160];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(where, sizeof(where), fmt, ap);
    va_end(ap);
    int sys = db != NULL ? sqlite3_system_errno(db) : 0;
    bool told = db != NULL && sqlite3_errcode(db) == (rc & 0xff);
    const char *what = told ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
    int code = hd_fail(err, code_of(rc), "%s: %s%s", where, what, advice(rc));
    if ((rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN) {
        if (sys != 0)
            code = hd_fail_sys(err, sys, "%s: %s", where, what);
        if (code == HD_ENOTFOUND || code == HD_EEXIST)
            code = err->code = HD_EIO;
    }
    err->sys = sys;
    return code;
}

bool hd_sqlite_lost_sync(sqlite3 *db)
{
    int rc = sqlite3_extended_errcode(db);
    return rc == SQLITE_IOERR_FSYNC || rc == SQLITE_IOERR_DIR_FSYNC;
}

int hd_sqlite_exec(sqlite3 *db, const char *sql, struct hd_error *err)
{
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return hd_sqlite_fail(err, db, rc, "%.40s", sql);
    return 0;
}

int hd_sqlite_prepare(sqlite3_stmt **out, sqlite3 *db, const char *sql, struct hd_error *err)
{
    int rc = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
    if (rc != SQLITE_OK)
        return hd_sqlite_fail(err, db, rc, "%.40s", sql);
    return 0;
}

int hd_sqlite_int(int64_t *out, sqlite3 *db, const char *sql, struct hd_error *err)
{
    sqlite3_stmt *st = NULL;
    int rc = hd_sqlite_prepare(&st, db, sql, err);
    if (rc < 0)
        return rc;
    int step = sqlite3_step(st);
    if (step == SQLITE_ROW)
        *out = sqlite3_column_int64(st, 0);
    else
        rc = hd_sqlite_fail(err, db, step == SQLITE_DONE ? SQLITE_CORRUPT : step, "%.40s", sql);
    sqlite3_finalize(st);
    return rc;
}

void hd_sqlite_text(sqlite3_stmt *st, int at, struct hd_str s)
{
    sqlite3_bind_text64(st, at, s.ptr != NULL ? s.ptr : "", s.len, SQLITE_STATIC, SQLITE_UTF8);
}

void hd_sqlite_blob(sqlite3_stmt *st, int at, struct hd_str s)
{
    sqlite3_bind_blob64(st, at, s.ptr != NULL ? s.ptr : "", s.len, SQLITE_STATIC);
}

struct hd_str hd_sqlite_bytes(sqlite3_stmt *st, int column)
{
    const char *ptr = sqlite3_column_blob(st, column);
    int len = sqlite3_column_bytes(st, column);
    return hd_str_n(ptr != NULL ? ptr : "", ptr != NULL ? (size_t)len : 0);
}

int hd_sqlite_run(sqlite3_stmt *st)
{
    int rc = sqlite3_step(st);
    while (rc == SQLITE_ROW)
        rc = sqlite3_step(st);
    int reset = sqlite3_reset(st);
    return rc == SQLITE_DONE ? SQLITE_OK : reset != SQLITE_OK ? reset : rc;
}
