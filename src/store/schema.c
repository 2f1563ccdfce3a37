#include "store/schema.h"

#include "store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    APPLICATION_ID = 0x68656464, /* "hedd", in the header of the file */
    BUSY_TIMEOUT_MS = 5000,      /* for somebody's shell on our database */
};

/* Items: due ones are found by item_due, dead ones by item_dead; an item is in one of them. The
 * body is last, so that the columns before it are read without it. */
static const char version_1[] =
    "CREATE TABLE record_meta(key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);"
    "CREATE TABLE record_function(key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);"
    "CREATE TABLE record_version(key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);"
    "CREATE TABLE record_alias(key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);"
    "CREATE TABLE record_policy(key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);"
    "CREATE TABLE record_event_config(key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);"
    "CREATE TABLE record_function_url(key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);"
    "CREATE TABLE record_provisioned(key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);"
    "CREATE TABLE record_layer(key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);"
    "CREATE TABLE record_layer_version(key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);"
    "CREATE TABLE record_event_source(key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);"
    "CREATE TABLE record_code_signing(key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);"
    "CREATE TABLE record_instance(key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);"
    "CREATE TABLE record_schedule(key TEXT NOT NULL UNIQUE, json TEXT NOT NULL);"
    "CREATE TABLE counter(name TEXT NOT NULL UNIQUE, value INTEGER NOT NULL);"
    "INSERT INTO counter(name, value) VALUES('seq', 1);"
    "CREATE TABLE queue(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE item(seq INTEGER PRIMARY KEY, queue INTEGER NOT NULL, dead INTEGER NOT NULL,"
    " due INTEGER NOT NULL, first INTEGER NOT NULL, attempts INTEGER NOT NULL, id TEXT NOT NULL,"
    " meta TEXT NOT NULL, reason TEXT, body BLOB NOT NULL);"
    "CREATE INDEX item_due ON item(queue, due, first) WHERE dead=0;"
    "CREATE INDEX item_dead ON item(queue) WHERE dead=1;";

const char *const hd_schema_steps[] = {version_1};

int hd_schema_version(void)
{
    return (int)HD_COUNT(hd_schema_steps);
}

/* SQLite would make it readable for all; functions' secrets are in there. */
static int make_file(const char *path, struct hd_error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return hd_fail_sys(err, errno, "%s", path);
    close(fd);
    return 0;
}

/* A database that nobody has written to yet is ours to take. */
static int check_owner(sqlite3 *db, struct hd_error *err)
{
    int64_t id = 0, version = 0, tables = 0;
    int rc = hd_sqlite_int(&id, db, "PRAGMA application_id", err);
    if (rc == 0)
        rc = hd_sqlite_int(&version, db, "PRAGMA user_version", err);
    if (rc == 0)
        rc = hd_sqlite_int(&tables, db, "SELECT count(*) FROM sqlite_schema", err);
    if (rc < 0 || id == APPLICATION_ID)
        return rc;
    if (id != 0 || version != 0 || tables != 0)
        return hd_fail(err, HD_EINVAL,
                       "a database of another program; move the file away, or name another one");
    return 0;
}

static int set_up(sqlite3 *db, struct hd_error *err)
{
    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
    int rc = check_owner(db, err);
    if (rc < 0)
        return rc;
    if (sqlite3_db_readonly(db, "main") == 1)
        return hd_fail(err, HD_EDENIED, "it is read-only; it must be writable for this user");
    return hd_sqlite_exec(db,
                          "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                          "PRAGMA wal_autocheckpoint=0; PRAGMA journal_size_limit=67108864;"
                          "PRAGMA cache_size=-8192; PRAGMA temp_store=MEMORY;"
                          "PRAGMA trusted_schema=OFF",
                          err);
}

int hd_schema_open(sqlite3 **out, const char *path, struct hd_error *err)
{
    int rc = make_file(path, err);
    if (rc < 0)
        return rc;
    sqlite3 *db = NULL;
    int opened = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (opened != SQLITE_OK)
        rc = hd_sqlite_fail(err, db, opened, "%s", path);
    else if ((rc = set_up(db, err)) < 0)
        hd_wrap(err, rc, "%s", path);
    if (rc < 0) {
        sqlite3_close(db);
        return rc;
    }
    *out = db;
    return 0;
}

static int run_steps(sqlite3 *db, const char *const *steps, int from, int to, struct hd_error *err)
{
    int rc = hd_sqlite_exec(db, "BEGIN IMMEDIATE", err);
    for (int i = from; rc == 0 && i < to; i++) {
        rc = hd_sqlite_exec(db, steps[i], err);
        if (rc < 0)
            hd_wrap(err, rc, "schema %d", i + 1);
    }
    if (rc == 0) {
        char sql[96];
        sqlite3_snprintf(sizeof(sql), sql, "PRAGMA user_version=%d; PRAGMA application_id=%d", to,
                         APPLICATION_ID);
        rc = hd_sqlite_exec(db, sql, err);
    }
    if (rc == 0)
        rc = hd_sqlite_exec(db, "COMMIT", err);
    if (rc < 0 && sqlite3_get_autocommit(db) == 0)
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

int hd_schema_migrate(sqlite3 *db, const char *const *steps, int n_steps, struct hd_error *err)
{
    int64_t version = 0;
    int rc = hd_sqlite_int(&version, db, "PRAGMA user_version", err);
    if (rc < 0)
        return rc;
    if (version < 0 || version > n_steps)
        return hd_fail(err, HD_EINVAL,
                       "made by a newer heddle (schema %d, this one knows %d); use that one, or "
                       "restore a copy from before",
                       (int)version, n_steps);
    if (version < n_steps)
        rc = run_steps(db, steps, (int)version, n_steps, err);
    return rc < 0 ? rc : (int)version;
}

int hd_schema_check(sqlite3 *db, struct hd_error *err)
{
    sqlite3_stmt *st = NULL;
    int rc = hd_sqlite_prepare(&st, db, "PRAGMA quick_check(1)", err);
    if (rc < 0)
        return rc;
    int step = sqlite3_step(st);
    struct hd_str found = step == SQLITE_ROW ? hd_sqlite_bytes(st, 0) : hd_str("");
    if (step != SQLITE_ROW)
        rc = hd_sqlite_fail(err, db, step, "quick_check");
    else if (!hd_str_is(found, "ok"))
        rc = hd_fail(err, HD_EINVAL, "damaged: %.*s; restore a copy", HD_FMT(found));
    sqlite3_finalize(st);
    return rc;
}
