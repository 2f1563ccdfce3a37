/* test/unit/test_lambda_catalog.c - what the catalog promises when the disk refuses. The store here
 * answers when the test says so; that records survive a restart is shown with the real one in
 * test_lambda_api.c. */
#include "lambda/deploy/catalog.h"
#include "lambda/names.h"
#include "test.h"

/* --- a store that waits --- */

struct hd_store {
    struct hd_store_tx *waiting[16];
    size_t n;
};
struct hd_store_tx {
    struct hd_store *store;
    unsigned puts, deletes;
    void (*done)(void *arg, const struct hd_error *err);
    void *arg;
};

int hd_store_each(struct hd_store *s, enum hd_record kind,
                  int (*each)(void *arg, struct hd_str key, struct hd_str json), void *arg,
                  struct hd_error *err)
{
    (void)s;
    (void)err;
    if (kind == HD_RECORD_FUNCTION)
        return each(arg, hd_str("0/r/stored"), hd_str("{\"Code\":{\"Size\":7}}"));
    if (kind == HD_RECORD_VERSION)
        return each(arg, hd_str("0/r/stored/1"), hd_str("{\"Code\":{\"Size\":5}}"));
    return 0;
}

struct hd_store_tx *hd_store_begin(struct hd_store *s)
{
    struct hd_store_tx *tx = hd_new(struct hd_store_tx);
    tx->store = s;
    return tx;
}

void hd_store_put(struct hd_store_tx *tx, enum hd_record kind, struct hd_str key,
                  struct hd_str json)
{
    (void)kind;
    (void)key;
    (void)json;
    tx->puts++;
}

void hd_store_delete(struct hd_store_tx *tx, enum hd_record kind, struct hd_str key)
{
    (void)kind;
    (void)key;
    tx->deletes++;
}

void hd_store_commit(struct hd_store_tx *tx, struct hd_loop *loop,
                     void (*done)(void *arg, const struct hd_error *err), void *arg)
{
    (void)loop;
    tx->done = done;
    tx->arg = arg;
    tx->store->waiting[tx->store->n++] = tx;
}

void hd_store_rollback(struct hd_store_tx *tx)
{
    free(tx);
}

/* Let the oldest transaction end. */
static void settle(struct hd_store *s, bool ok)
{
    static const struct hd_error full = {.code = HD_EIO, .msg = "no space left"};
    struct hd_store_tx *tx = s->waiting[0];
    assert_true(s->n > 0);
    memmove(s->waiting, s->waiting + 1, --s->n * sizeof(s->waiting[0]));
    tx->done(tx->arg, ok ? NULL : &full);
    free(tx);
}

/* --- --- */

struct rig {
    struct hd_store store;
    struct hd_catalog *catalog;
    int done, failed;
    char heard[512];
};

static int set_up(void **state)
{
    struct rig *r = hd_new(struct rig);
    assert_int_equal(hd_catalog_new(&r->catalog, &r->store, NULL, NULL), 0);
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *r = *state;
    hd_catalog_free(r->catalog);
    free(r);
    return 0;
}

static void on_done(void *arg, const struct hd_error *err)
{
    struct rig *r = arg;
    r->done++;
    r->failed += err != NULL;
}

static void write_n(struct rig *r, const char *key, int n)
{
    struct hd_change *ch = hd_change_new(r->catalog);
    json_t *doc = json_pack("{s:i}", "n", n);
    if (n < 0)
        hd_change_delete(ch, HD_RECORD_FUNCTION, key);
    else
        hd_change_put(ch, HD_RECORD_FUNCTION, key, doc);
    json_decref(doc);
    hd_change_commit(ch, on_done, r);
}

static int read_n(struct rig *r, const char *key)
{
    json_t *doc = hd_catalog_get(r->catalog, HD_RECORD_FUNCTION, key);
    int n = doc != NULL ? (int)json_integer_value(json_object_get(doc, "n")) : -1;
    json_decref(doc);
    return n;
}

static void a_change_is_seen_at_once_and_said_when_it_is_stored(void **state)
{
    struct rig *r = *state;
    write_n(r, "0/r/f", 1);
    assert_int_equal(read_n(r, "0/r/f"), 1);
    assert_int_equal(r->done, 0);
    assert_true(hd_catalog_is_busy(r->catalog));
    settle(&r->store, true);
    assert_int_equal(r->done, 1);
    assert_int_equal(r->failed, 0);
    assert_false(hd_catalog_is_busy(r->catalog));
}

static void what_cannot_be_stored_is_taken_back(void **state)
{
    struct rig *r = *state;
    write_n(r, "0/r/f", 1);
    settle(&r->store, true);
    write_n(r, "0/r/f", 2);
    settle(&r->store, false);
    assert_int_equal(r->failed, 1);
    assert_int_equal(read_n(r, "0/r/f"), 1);
    write_n(r, "0/r/f", -1);
    assert_int_equal(read_n(r, "0/r/f"), -1);
    settle(&r->store, false);
    assert_int_equal(read_n(r, "0/r/f"), 1);
    write_n(r, "0/r/new", 3);
    settle(&r->store, false);
    assert_int_equal(read_n(r, "0/r/new"), -1);
}

/* Each combination of what becomes of three changes of one record that were under way together:
 * memory must end where the disk is. */
static void overlapping_changes_end_where_the_disk_is(void **state)
{
    struct rig *r = *state;
    for (int mask = 0; mask < 8; mask++) {
        const int values[] = {10, -1, 30};
        int disk = 5;
        write_n(r, "0/r/f", disk);
        settle(&r->store, true);
        for (int i = 0; i < 3; i++)
            write_n(r, "0/r/f", values[i]);
        assert_int_equal(read_n(r, "0/r/f"), 30);
        for (int i = 0; i < 3; i++) {
            bool ok = (mask & 1 << i) != 0;
            settle(&r->store, ok);
            disk = ok ? values[i] : disk;
        }
        assert_int_equal(read_n(r, "0/r/f"), disk);
    }
}

static void hear(void *arg, enum hd_record kind, const char *key)
{
    struct rig *r = arg;
    size_t n = strlen(r->heard);
    assert_int_equal(r->done, 0); /* listeners are first */
    snprintf(r->heard + n, sizeof(r->heard) - n, "%d:%s ", key != NULL ? (int)kind : 0,
             key != NULL ? key : "end");
}

static void listeners_hear_what_was_stored_and_only_that(void **state)
{
    struct rig *r = *state;
    hd_catalog_listen(r->catalog, hear, r);
    struct hd_change *ch = hd_change_new(r->catalog);
    json_t *doc = json_object();
    hd_change_put(ch, HD_RECORD_ALIAS, "0/r/f/prod", doc);
    hd_change_delete_under(ch, HD_RECORD_VERSION, "0/r/stored/");
    json_decref(doc);
    hd_change_commit(ch, on_done, r);
    assert_string_equal(r->heard, "");
    settle(&r->store, true);
    char expected[128];
    snprintf(expected, sizeof(expected), "%d:0/r/f/prod %d:0/r/stored/1 0:end ", HD_RECORD_ALIAS,
             HD_RECORD_VERSION);
    assert_string_equal(r->heard, expected);
    r->done = 0;
    r->heard[0] = '\0';
    write_n(r, "0/r/f", 1);
    settle(&r->store, false);
    assert_string_equal(r->heard, "");
}

static void walks_in_order_from_any_key(void **state)
{
    struct rig *r = *state;
    struct hd_change *ch = hd_change_new(r->catalog);
    json_t *doc = json_object();
    static const char *const keys[] = {"0/r/f/10", "0/r/f/9", "0/r/f/1", "0/r/f-x/3", "0/r/g/2"};
    for (size_t i = 0; i < HD_COUNT(keys); i++)
        hd_change_put(ch, HD_RECORD_VERSION, keys[i], doc);
    json_decref(doc);
    hd_change_commit(ch, NULL, NULL);
    settle(&r->store, true);
    static const char *const order[] = {"0/r/f/1", "0/r/f/9", "0/r/f/10", NULL};
    const char *at = NULL;
    for (size_t i = 0; i < HD_COUNT(order); i++) {
        at = hd_catalog_next(r->catalog, HD_RECORD_VERSION, "0/r/f/", at);
        assert_int_equal(at == NULL, order[i] == NULL);
        if (at != NULL)
            assert_string_equal(at, order[i]);
    }
    /* A key that is gone still says where to go on. */
    assert_string_equal(hd_catalog_next(r->catalog, HD_RECORD_VERSION, "0/r/f/", "0/r/f/5"),
                        "0/r/f/9");
    assert_int_equal(hd_catalog_count(r->catalog, HD_RECORD_VERSION, "0/r/f/"), 3);
    assert_int_equal(hd_catalog_count(r->catalog, HD_RECORD_VERSION, ""), 6);
}

static void a_reader_waits_for_what_it_saw(void **state)
{
    struct rig *r = *state;
    assert_false(hd_catalog_wait(r->catalog, on_done, r)); /* all of it is on the disk */
    write_n(r, "0/r/f", 1);
    write_n(r, "0/r/g", 1);
    assert_true(hd_catalog_wait(r->catalog, on_done, r));
    write_n(r, "0/r/h", 1); /* it did not see this one */
    settle(&r->store, true);
    assert_int_equal(r->done, 1);
    settle(&r->store, true);
    assert_int_equal(r->done, 3);
    assert_int_equal(r->failed, 0);
    settle(&r->store, true);
    assert_int_equal(r->done, 4);
    write_n(r, "0/r/f", 2);
    write_n(r, "0/r/g", 2);
    assert_true(hd_catalog_wait(r->catalog, on_done, r));
    settle(&r->store, false); /* something of it was taken back */
    settle(&r->store, true);
    assert_int_equal(r->done, 7);
    assert_int_equal(r->failed, 2);
}

static void counts_bytes_of_code(void **state)
{
    struct rig *r = *state;
    assert_int_equal(hd_catalog_code_bytes(r->catalog, "0/r/"), 12);
    assert_int_equal(hd_catalog_code_bytes(r->catalog, "1/r/"), 0);
    write_n(r, "0/r/stored", -1);
    assert_int_equal(hd_catalog_code_bytes(r->catalog, "0/r/"), 5);
    settle(&r->store, true);
}

static void a_change_can_be_thrown_away(void **state)
{
    struct rig *r = *state;
    struct hd_change *ch = hd_change_new(r->catalog);
    hd_change_delete(ch, HD_RECORD_FUNCTION, "0/r/stored");
    hd_change_drop(ch);
    assert_true(hd_catalog_has(r->catalog, HD_RECORD_FUNCTION, "0/r/stored"));
    assert_int_equal(r->store.n, 0);
}

static void a_change_that_writes_twice_keeps_the_last(void **state)
{
    struct rig *r = *state;
    struct hd_change *ch = hd_change_new(r->catalog);
    for (int n = 1; n <= 2; n++) {
        json_t *doc = json_pack("{s:i}", "n", n);
        hd_change_put(ch, HD_RECORD_FUNCTION, "0/r/f", doc);
        json_decref(doc);
    }
    hd_change_commit(ch, on_done, r);
    assert_int_equal(read_n(r, "0/r/f"), 2);
    settle(&r->store, false);
    assert_int_equal(read_n(r, "0/r/f"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_change_is_seen_at_once_and_said_when_it_is_stored, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_stored_is_taken_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(overlapping_changes_end_where_the_disk_is, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(listeners_hear_what_was_stored_and_only_that, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(walks_in_order_from_any_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_reader_waits_for_what_it_saw, set_up, tear_down),
        cmocka_unit_test_setup_teardown(counts_bytes_of_code, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_change_can_be_thrown_away, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_change_that_writes_twice_keeps_the_last, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
