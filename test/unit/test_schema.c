/* test_schema.c - what is opened, what is refused, and how an older database becomes today's. */
#include "store/schema.h"
#include "store/sqlite.h"
#include "store_rig.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int setup(void **state)
{
    static struct rig rig;
    rig_init(&rig);
    *state = &rig;
    return 0;
}

static int teardown(void **state)
{
    rig_done(*state);
    return 0;
}

static char *read_file(const char *path)
{
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    struct hd_buf b;
    hd_buf_init(&b, 1 << 20);
    size_t n = fread(hd_buf_reserve(&b, 1 << 20), 1, 1 << 20, in);
    hd_buf_commit(&b, n);
    fclose(in);
    return hd_buf_take(&b);
}

static void write_file(const char *path, const char *bytes, size_t len)
{
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, len, out), len);
    fclose(out);
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    struct hd_error err;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (hd_sqlite_exec(db, sql, &err) != 0)
        fail_msg("%s", err.msg);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static int open_store(struct rig *r, struct hd_error *err)
{
    struct hd_store_options opt = {.path = r->path, .boot_id = "boot"};
    return hd_store_open(&r->store, &opt, err);
}

static void refused(struct rig *r, int code, const char *word)
{
    struct hd_error err = {0};
    assert_int_equal(open_store(r, &err), code);
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.msg, r->path));
    if (strstr(err.msg, word) == NULL)
        fail_msg("no \"%s\" in: %s", word, err.msg);
    assert_null(r->store);
}

static void a_new_database_is_for_its_owner_alone(void **state)
{
    struct rig *r = *state;
    struct stat st;
    rig_open(r);
    assert_int_equal(rig_put(r, HD_RECORD_META, "secret", "1"), 0);
    assert_int_equal(stat(r->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    char wal[128];
    snprintf(wal, sizeof(wal), "%s-wal", r->path);
    assert_int_equal(stat(wal, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void its_folder_is_made(void **state)
{
    struct rig *r = *state;
    struct hd_error err;
    snprintf(r->path, sizeof(r->path), "%s/new/heddle.db", r->dir);
    rig_open(r);
    rig_close(r);
    snprintf(r->path, sizeof(r->path), "%s/no/such/heddle.db", r->dir);
    assert_int_equal(open_store(r, &err), HD_ENOTFOUND);
    assert_non_null(strstr(err.msg, "/no/such"));
}

static void a_database_of_version_1_is_read(void **state)
{
    struct rig *r = *state;
    hd_auto_free char *sql = read_file(HD_SOURCE_ROOT "/test/unit/store/version_1.sql");
    run_sql(r->path, sql);
    rig_open(r);
    hd_auto_free char *meta = rig_all(r, HD_RECORD_META);
    assert_string_equal(meta, "node={\"id\":\"0190a7a0-0000-7000-8000-000000000001\"}");
    hd_auto_free char *functions = rig_all(r, HD_RECORD_FUNCTION);
    assert_string_equal(functions, "000000000000/us-east-1/resize={\"name\":\"resize\"}");
    hd_auto_free char *aliases = rig_all(r, HD_RECORD_ALIAS);
    assert_string_equal(aliases, "000000000000/us-east-1/resize/prod={\"version\":\"7\"}");

    const char *queue = "lambda:000000000000/us-east-1/resize";
    struct rig_items got;
    assert_int_equal(rig_depth(r, queue).queued, 2);
    assert_int_equal(rig_depth(r, queue).dead, 1);
    rig_dead(r, queue, 0, 9, &got);
    assert_string_equal(got.at[0].reason, "three times");
    assert_int_equal(rig_item(r, queue, "new", 3000), 0);
    rig_claim(r, queue, 9, &got);
    assert_string_equal(rig_ids(&got), "was running waits new");
    assert_string_equal(got.at[1].meta, "{\"qualifier\":\"prod\"}");
    assert_int_equal(got.at[1].attempts, 1);
    assert_true(got.at[2].seq >= 65537);

    rig_close(r);
    sqlite3 *db = NULL;
    int64_t version = 0;
    assert_int_equal(sqlite3_open(r->path, &db), SQLITE_OK);
    assert_int_equal(hd_sqlite_int(&version, db, "PRAGMA user_version", NULL), 0);
    assert_int_equal(version, hd_schema_version());
    sqlite3_close(db);
}

static const char *const steps[] = {
    "CREATE TABLE a(x); INSERT INTO a VALUES(1)",
    "ALTER TABLE a ADD COLUMN y; UPDATE a SET y=x+1",
    "CREATE TABLE b AS SELECT y FROM a",
};

static void steps_run_from_any_version(void **state)
{
    struct rig *r = *state;
    for (int from = 0; from <= 3; from++) {
        sqlite3 *db = NULL;
        int64_t y = 0;
        unlink(r->path);
        assert_int_equal(hd_schema_open(&db, r->path, NULL), 0);
        assert_int_equal(hd_schema_migrate(db, steps, from, NULL), 0);
        assert_int_equal(hd_schema_migrate(db, steps, 3, NULL), from);
        assert_int_equal(hd_schema_migrate(db, steps, 3, NULL), 3);
        assert_int_equal(hd_sqlite_int(&y, db, "SELECT y FROM b", NULL), 0);
        assert_int_equal(y, 2);
        sqlite3_close(db);
    }
}

static void a_step_that_fails_changes_nothing(void **state)
{
    struct rig *r = *state;
    struct hd_error err;
    sqlite3 *db = NULL;
    int64_t n = -1;
    const char *const bad[] = {steps[0], "CREATE TABLE c(x); INSERT INTO nowhere VALUES(1)"};
    assert_int_equal(hd_schema_open(&db, r->path, NULL), 0);
    assert_int_equal(hd_schema_migrate(db, steps, 1, NULL), 0);
    assert_true(hd_schema_migrate(db, bad, 2, &err) < 0);
    assert_non_null(strstr(err.msg, "schema 2"));
    assert_non_null(strstr(err.msg, "nowhere"));
    assert_int_equal(hd_sqlite_int(&n, db, "PRAGMA user_version", NULL), 0);
    assert_int_equal(n, 1);
    assert_int_equal(
        hd_sqlite_int(&n, db, "SELECT count(*) FROM sqlite_schema WHERE name='c'", NULL), 0);
    assert_int_equal(n, 0);
    sqlite3_close(db);
}

static void a_newer_one_is_refused_and_left_alone(void **state)
{
    struct rig *r = *state;
    rig_open(r);
    assert_int_equal(rig_put(r, HD_RECORD_META, "k", "1"), 0);
    rig_close(r);
    run_sql(r->path, "PRAGMA user_version=1000; CREATE TABLE of_the_future(x)");
    refused(r, HD_EINVAL, "newer heddle (schema 1000");
    run_sql(r->path, "DROP TABLE of_the_future; PRAGMA user_version=1");
    rig_open(r);
    hd_auto_free char *all = rig_all(r, HD_RECORD_META);
    assert_string_equal(all, "k=1");
}

static void what_is_no_database_is_refused_and_left_alone(void **state)
{
    struct rig *r = *state;
    static const char text[] = "these are my notes, not a database; they are longer than a header, "
                               "which has a hundred bytes, and they shall stay as they are.\n";
    write_file(r->path, text, sizeof(text) - 1);
    refused(r, HD_EINVAL, "not a database");
    hd_auto_free char *after = read_file(r->path);
    assert_string_equal(after, text);
}

static void another_programs_database_is_refused(void **state)
{
    struct rig *r = *state;
    run_sql(r->path, "CREATE TABLE theirs(x)");
    refused(r, HD_EINVAL, "another program");
    unlink(r->path);
    run_sql(r->path, "PRAGMA application_id=7");
    refused(r, HD_EINVAL, "another program");
}

/* Write over the file's pages from @p page on. */
static void damage(const char *path, int page)
{
    FILE *f = fopen(path, "r+b");
    char junk[4096];
    memset(junk, 0xa5, sizeof(junk));
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    long pages = ftell(f) / 4096;
    for (; page < pages; page++) {
        assert_int_equal(fseek(f, page * 4096L, SEEK_SET), 0);
        assert_int_equal(fwrite(junk, 1, sizeof(junk), f), sizeof(junk));
    }
    fclose(f);
}

static int ignore(void *arg, struct hd_str key, struct hd_str json)
{
    (void)arg;
    (void)key;
    (void)json;
    return 0;
}

static void damage_is_told(void **state)
{
    struct rig *r = *state;
    struct hd_error err;
    rig_open(r);
    for (int i = 0; i < 50; i++) {
        char key[16], json[2000];
        snprintf(key, sizeof(key), "%d", i);
        memset(json, 'x', sizeof(json));
        json[sizeof(json) - 1] = '\0';
        assert_int_equal(rig_put(r, HD_RECORD_FUNCTION, key, json), 0);
    }
    rig_close(r);
    assert_int_equal(hd_store_check(r->path, &err), 0);
    damage(r->path, 45); /* behind the tables' first pages */
    assert_int_equal(hd_store_check(r->path, &err), HD_EINVAL);
    assert_non_null(strstr(err.msg, r->path));
    rig_open(r);
    assert_int_equal(hd_store_each(r->store, HD_RECORD_FUNCTION, ignore, NULL, &err), HD_EINVAL);
    assert_non_null(strstr(err.msg, "malformed"));
    assert_non_null(strstr(err.msg, "restore a copy"));
    rig_close(r);
    damage(r->path, 1);
    refused(r, HD_EINVAL, "malformed");
    write_file(r->path, "SQLite format 3", 16);
    refused(r, HD_EINVAL, "not a database");
}

static void a_second_node_is_told(void **state)
{
    struct rig *r = *state;
    struct hd_store *second = NULL;
    struct hd_error err;
    struct hd_store_options opt = {.path = r->path, .boot_id = "second"};
    char pid[32];
    rig_open(r);
    assert_int_equal(hd_store_open(&second, &opt, &err), HD_EBUSY);
    snprintf(pid, sizeof(pid), "process %ld)", (long)getpid());
    assert_non_null(strstr(err.msg, pid));
    assert_non_null(strstr(err.msg, r->path));
    assert_null(second);
    assert_int_equal(rig_put(r, HD_RECORD_META, "k", "1"), 0); /* the first one goes on */
    rig_close(r);
    rig_open(r);
}

static void somebodys_shell_that_holds_it_is_told(void **state)
{
    struct rig *r = *state;
    sqlite3 *db = NULL;
    rig_open(r);
    assert_int_equal(rig_put(r, HD_RECORD_META, "k", "1"), 0);
    assert_int_equal(sqlite3_open(r->path, &db), SQLITE_OK);
    assert_int_equal(hd_sqlite_exec(db, "SELECT count(*) FROM record_meta", NULL), 0);
    assert_int_equal(hd_sqlite_exec(db, "BEGIN IMMEDIATE", NULL), 0);
    struct hd_error err;
    struct hd_store_tx *tx = hd_store_begin(r->store);
    hd_store_put(tx, HD_RECORD_META, hd_str("k"), hd_str("2"));
    assert_int_equal(rig_commit(r, tx, &err), HD_EBUSY);
    assert_non_null(strstr(err.msg, "another process"));
    assert_int_equal(hd_sqlite_exec(db, "ROLLBACK", NULL), 0);
    assert_int_equal(rig_put(r, HD_RECORD_META, "k", "3"), 0);
    sqlite3_close(db);
}

/* Root may write everything, so somebody else tries. */
static int open_as_nobody(struct rig *r)
{
    struct hd_error err = {0};
    if (geteuid() == 0 && setuid(65534) != 0)
        return 77;
    int rc = open_store(r, &err);
    if (rc == 0)
        return 1;
    print_message("%s\n", err.msg);
    return rc == HD_EDENIED && strstr(err.msg, r->path) != NULL ? 0 : 2;
}

static void a_read_only_database_is_refused(void **state)
{
    struct rig *r = *state;
    rig_open(r);
    rig_close(r);
    char lock[128];
    snprintf(lock, sizeof(lock), "%s.lock", r->path);
    assert_int_equal(chmod(lock, 0666), 0);
    assert_int_equal(chmod(r->path, 0444), 0);
    assert_int_equal(chmod(r->dir, 0755), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(open_as_nobody(r));
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_database_is_for_its_owner_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(its_folder_is_made, setup, teardown),
        cmocka_unit_test_setup_teardown(a_database_of_version_1_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(steps_run_from_any_version, setup, teardown),
        cmocka_unit_test_setup_teardown(a_step_that_fails_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_newer_one_is_refused_and_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_database_is_refused_and_left_alone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(another_programs_database_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_second_node_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(somebodys_shell_that_holds_it_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_read_only_database_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
