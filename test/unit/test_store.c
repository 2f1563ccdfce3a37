/* test_store.c - records: what is committed is there, whole, and in order. */
#include "store_rig.h"

#include <stdio.h>

static int setup(void **state)
{
    static struct rig rig;
    rig_init(&rig);
    rig_open(&rig);
    *state = &rig;
    return 0;
}

static int teardown(void **state)
{
    rig_done(*state);
    return 0;
}

static void expect(struct rig *r, enum hd_record kind, const char *wanted)
{
    hd_auto_free char *all = rig_all(r, kind);
    assert_string_equal(all, wanted);
}

static void records_come_in_the_order_of_their_keys(void **state)
{
    struct rig *r = *state;
    assert_int_equal(rig_put(r, HD_RECORD_FUNCTION, "b", "2"), 0);
    assert_int_equal(rig_put(r, HD_RECORD_FUNCTION, "a/x", "3"), 0);
    assert_int_equal(rig_put(r, HD_RECORD_FUNCTION, "a", "1"), 0);
    assert_int_equal(rig_put(r, HD_RECORD_FUNCTION, "B", "0"), 0);
    assert_int_equal(rig_put(r, HD_RECORD_ALIAS, "a", "alias"), 0);
    expect(r, HD_RECORD_FUNCTION, "B=0 a=1 a/x=3 b=2");
    assert_int_equal(rig_put(r, HD_RECORD_FUNCTION, "a", "new"), 0);
    rig_close(r);
    rig_open(r);
    expect(r, HD_RECORD_FUNCTION, "B=0 a=new a/x=3 b=2");
    expect(r, HD_RECORD_ALIAS, "a=alias");
    expect(r, HD_RECORD_SCHEDULE, "");
}

static void every_kind_has_a_place(void **state)
{
    struct rig *r = *state;
    struct hd_store_tx *tx = hd_store_begin(r->store);
    for (int kind = 0; kind < HD_RECORD_COUNT; kind++) {
        char json[8];
        snprintf(json, sizeof(json), "%d", kind);
        hd_store_put(tx, (enum hd_record)kind, hd_str("k"), hd_str(json));
    }
    assert_int_equal(rig_commit(r, tx, NULL), 0);
    for (int kind = 0; kind < HD_RECORD_COUNT; kind++) {
        char wanted[16];
        snprintf(wanted, sizeof(wanted), "k=%d", kind);
        expect(r, (enum hd_record)kind, wanted);
    }
}

static void records_are_deleted_one_by_one_or_by_prefix(void **state)
{
    struct rig *r = *state;
    const char *keys[] = {"f", "f/1", "f/2", "f0", "g/1", "\xff", "\xff\xff", "\xff\xff/1"};
    struct hd_store_tx *tx = hd_store_begin(r->store);
    for (size_t i = 0; i < HD_COUNT(keys); i++)
        hd_store_put(tx, HD_RECORD_VERSION, hd_str(keys[i]), hd_str("1"));
    assert_int_equal(rig_commit(r, tx, NULL), 0);
    tx = hd_store_begin(r->store);
    hd_store_delete_under(tx, HD_RECORD_VERSION, hd_str("f/"));
    hd_store_delete_under(tx, HD_RECORD_VERSION, hd_str("\xff\xff"));
    hd_store_delete(tx, HD_RECORD_VERSION, hd_str("g/1"));
    hd_store_delete(tx, HD_RECORD_VERSION, hd_str("not there"));
    assert_int_equal(rig_commit(r, tx, NULL), 0);
    expect(r, HD_RECORD_VERSION, "f=1 f0=1 \xff=1");
    tx = hd_store_begin(r->store);
    hd_store_delete_under(tx, HD_RECORD_VERSION, hd_str(""));
    assert_int_equal(rig_commit(r, tx, NULL), 0);
    expect(r, HD_RECORD_VERSION, "");
}

static void a_transaction_runs_in_its_order(void **state)
{
    struct rig *r = *state;
    struct hd_store_tx *tx = hd_store_begin(r->store);
    hd_store_put(tx, HD_RECORD_META, hd_str("a"), hd_str("1"));
    hd_store_delete_under(tx, HD_RECORD_META, hd_str(""));
    hd_store_put(tx, HD_RECORD_META, hd_str("b"), hd_str("1"));
    hd_store_put(tx, HD_RECORD_META, hd_str("b"), hd_str("2"));
    assert_int_equal(rig_commit(r, tx, NULL), 0);
    expect(r, HD_RECORD_META, "b=2");
}

static void what_is_rolled_back_never_was(void **state)
{
    struct rig *r = *state;
    struct hd_store_tx *tx = hd_store_begin(r->store);
    hd_store_put(tx, HD_RECORD_META, hd_str("a"), hd_str("1"));
    hd_store_rollback(tx);
    hd_store_rollback(NULL);
    expect(r, HD_RECORD_META, "");
}

struct outcome {
    int code, *n, order;
};

static void on_outcome(void *arg, const struct hd_error *err)
{
    struct outcome *o = arg;
    o->code = err != NULL ? err->code : 0;
    o->order = (*o->n)++;
}

static void one_that_fails_does_not_hurt_its_company(void **state)
{
    struct rig *r = *state;
    enum { MANY = 60 };
    struct outcome out[MANY];
    int n = 0;
    for (int i = 0; i < MANY; i++) {
        char key[8];
        snprintf(key, sizeof(key), "%02d", i);
        struct hd_store_tx *tx = hd_store_begin(r->store);
        hd_store_put(tx, HD_RECORD_META, hd_str(key), hd_str("1"));
        /* Every third one asks for what cannot be, after it has written something. */
        struct hd_queue_put item = {
            .queue = HD_LIT("q"), .id = hd_str(i % 3 == 0 ? "" : "ok"), .meta = HD_LIT("{}")};
        hd_queue_put(tx, &item);
        out[i] = (struct outcome){.code = 1, .n = &n};
        hd_store_commit(tx, r->loop, on_outcome, &out[i]);
    }
    rig_until_count(r, &n, MANY);
    struct hd_buf wanted;
    hd_buf_init(&wanted, 4096);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(out[i].code, i % 3 == 0 ? HD_EINVAL : 0);
        assert_int_equal(out[i].order, i); /* answered in the order of the calls */
        if (i % 3 != 0)
            hd_buf_fmt(&wanted, "%s%02d=1", wanted.len > 0 ? " " : "", i);
    }
    hd_auto_free char *text = hd_buf_take(&wanted);
    expect(r, HD_RECORD_META, text);
    assert_int_equal(rig_depth(r, "q").queued, MANY - MANY / 3);
    struct rig_items got;
    rig_claim(r, "q", RIG_ITEMS, &got);
    assert_int_equal(got.n, MANY - MANY / 3);
}

static void company_shares_a_sync(void **state)
{
    struct rig *r = *state;
    enum { MANY = 500 };
    static struct outcome out[MANY];
    struct hd_store_stats before, after;
    int n = 0;
    hd_store_stats(r->store, &before);
    for (int i = 0; i < MANY; i++) {
        char key[8];
        snprintf(key, sizeof(key), "%d", i);
        struct hd_store_tx *tx = hd_store_begin(r->store);
        hd_store_put(tx, HD_RECORD_META, hd_str(key), hd_str("1"));
        out[i] = (struct outcome){.code = 1, .n = &n};
        hd_store_commit(tx, r->loop, on_outcome, &out[i]);
    }
    rig_until_count(r, &n, MANY);
    hd_store_stats(r->store, &after);
    assert_int_equal(after.writes - before.writes, MANY);
    assert_true(after.commits - before.commits < MANY);
    assert_true(after.syncs - before.syncs < MANY);
    assert_true(after.bytes > 0);
}

static void too_much_at_once_is_refused(void **state)
{
    struct rig *r = *state;
    enum { MANY = 2000 };
    static struct outcome out[MANY];
    int n = 0, refused = 0, kept = 0;
    rig_close(r);
    struct hd_store_options opt = {.path = r->path, .boot_id = "b", .max_pending = 10};
    assert_int_equal(hd_store_open(&r->store, &opt, NULL), 0);
    for (int i = 0; i < MANY; i++) {
        struct hd_queue_put item = {.queue = HD_LIT("q"), .id = HD_LIT("i"), .meta = HD_LIT("{}")};
        out[i] = (struct outcome){.code = 1, .n = &n};
        hd_queue_put_one(r->store, &item, r->loop, on_outcome, &out[i]);
    }
    rig_until_count(r, &n, MANY);
    for (int i = 0; i < MANY; i++) {
        assert_true(out[i].code == 0 || out[i].code == HD_EBUSY);
        refused += out[i].code == HD_EBUSY;
        kept += out[i].code == 0;
    }
    assert_true(refused > 0);
    assert_true(kept >= 10);
    assert_int_equal(rig_depth(r, "q").queued, kept);
}

static void on_flag(void *arg)
{
    *(bool *)arg = true;
}

static void closing_finishes_what_was_asked_for(void **state)
{
    struct rig *r = *state;
    struct outcome asked[100], late = {.code = 1};
    int n = 0, late_n = 0;
    bool closed = false;
    late.n = &late_n;
    for (int i = 0; i < 100; i++) {
        char key[8];
        snprintf(key, sizeof(key), "%02d", i);
        struct hd_store_tx *tx = hd_store_begin(r->store);
        hd_store_put(tx, HD_RECORD_META, hd_str(key), hd_str("1"));
        asked[i] = (struct outcome){.code = 1, .n = &n};
        hd_store_commit(tx, r->loop, on_outcome, &asked[i]);
    }
    hd_store_close(r->store, r->loop, on_flag, &closed);
    struct hd_store_tx *tx = hd_store_begin(r->store);
    hd_store_put(tx, HD_RECORD_META, hd_str("late"), hd_str("1"));
    hd_store_commit(tx, r->loop, on_outcome, &late);
    rig_until(r, &closed);
    rig_until_count(r, &late_n, 1);
    assert_int_equal(n, 100);
    assert_int_equal(late.code, HD_ECANCELED);
    hd_queue_done(r->store, 1); /* nothing happens */
    hd_store_free(r->store);
    r->store = NULL;
    rig_open(r);
    hd_auto_free char *all = rig_all(r, HD_RECORD_META);
    assert_int_equal(strlen(all), 100 * 5 - 1);
}

static void freeing_alone_finishes_as_well(void **state)
{
    struct rig *r = *state;
    int n = 0;
    struct outcome asked = {.code = 1, .n = &n};
    struct hd_store_tx *tx = hd_store_begin(r->store);
    hd_store_put(tx, HD_RECORD_META, hd_str("a"), hd_str("1"));
    hd_store_commit(tx, r->loop, on_outcome, &asked);
    tx = hd_store_begin(r->store);
    hd_store_put(tx, HD_RECORD_META, hd_str("nobody asks"), hd_str("1"));
    hd_store_commit(tx, NULL, NULL, NULL);
    hd_store_free(r->store);
    hd_store_free(NULL);
    r->store = NULL;
    rig_until_count(r, &n, 1);
    assert_int_equal(asked.code, 0);
    rig_open(r);
    expect(r, HD_RECORD_META, "a=1 nobody asks=1");
}

static int stop_at_b(void *arg, struct hd_str key, struct hd_str json)
{
    ++*(int *)arg;
    (void)json;
    return hd_str_is(key, "b") ? -7 : 0;
}

static void reading_can_be_ended(void **state)
{
    struct rig *r = *state;
    int seen = 0;
    const char *keys[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++)
        assert_int_equal(rig_put(r, HD_RECORD_META, keys[i], "1"), 0);
    assert_int_equal(hd_store_each(r->store, HD_RECORD_META, stop_at_b, &seen, NULL), -7);
    assert_int_equal(seen, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(records_come_in_the_order_of_their_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(every_kind_has_a_place, setup, teardown),
        cmocka_unit_test_setup_teardown(records_are_deleted_one_by_one_or_by_prefix, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_transaction_runs_in_its_order, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_rolled_back_never_was, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_fails_does_not_hurt_its_company, setup, teardown),
        cmocka_unit_test_setup_teardown(company_shares_a_sync, setup, teardown),
        cmocka_unit_test_setup_teardown(too_much_at_once_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(closing_finishes_what_was_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(freeing_alone_finishes_as_well, setup, teardown),
        cmocka_unit_test_setup_teardown(reading_can_be_ended, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
