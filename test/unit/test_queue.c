/* test_queue.c - what is put is delivered, in order, when due, at least once. */
#include "core/clock.h"
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

static void the_oldest_comes_first(void **state)
{
    struct rig *r = *state;
    struct rig_items got;
    assert_int_equal(rig_item(r, "q", "late", 3000), 0);
    assert_int_equal(rig_item(r, "q", "early", 1000), 0);
    assert_int_equal(rig_item(r, "q", "middle", 2000), 0);
    assert_int_equal(rig_item(r, "other", "none of ours", 1), 0);
    rig_claim(r, "q", 2, &got);
    assert_string_equal(rig_ids(&got), "early middle");
    assert_int_equal(got.next_due_unix_ms, 3000);
    assert_string_equal(got.at[0].body, "early");
    assert_string_equal(got.at[0].meta, "{}");
    rig_claim(r, "q", 2, &got);
    assert_string_equal(rig_ids(&got), "late");
    assert_int_equal(got.next_due_unix_ms, INT64_MAX);
    rig_claim(r, "q", 2, &got);
    assert_int_equal(got.n, 0); /* they are taken */
}

static void equal_times_keep_the_order_of_the_puts(void **state)
{
    struct rig *r = *state;
    struct rig_items got;
    struct hd_store_tx *tx = hd_store_begin(r->store);
    for (int i = 0; i < 20; i++) {
        char id[8];
        snprintf(id, sizeof(id), "%02d", i);
        struct hd_queue_put item = {.queue = HD_LIT("q"),
                                    .id = hd_str(id),
                                    .meta = HD_LIT("{}"),
                                    .due_unix_ms = 7,
                                    .first_unix_ms = 7};
        hd_queue_put(tx, &item);
    }
    assert_int_equal(rig_commit(r, tx, NULL), 0);
    for (int i = 0; i < 20; i += 5) {
        char wanted[32];
        snprintf(wanted, sizeof(wanted), "%02d %02d %02d %02d %02d", i, i + 1, i + 2, i + 3, i + 4);
        rig_claim(r, "q", 5, &got);
        assert_string_equal(rig_ids(&got), wanted);
    }
}

static void what_is_not_due_waits(void **state)
{
    struct rig *r = *state;
    struct rig_items got;
    int64_t later = hd_clock_unix_ms() + 3600000;
    assert_int_equal(rig_item(r, "q", "later", later), 0);
    rig_claim(r, "q", 10, &got);
    assert_int_equal(got.n, 0);
    assert_int_equal(got.next_due_unix_ms, later);
    rig_claim(r, "nobody knows this one", 10, &got);
    assert_int_equal(got.n, 0);
    assert_int_equal(got.next_due_unix_ms, INT64_MAX);
}

static void a_retry_comes_back_with_its_attempts(void **state)
{
    struct rig *r = *state;
    struct rig_items got;
    assert_int_equal(rig_item(r, "q", "a", 1000), 0);
    assert_int_equal(rig_item(r, "q", "b", 2000), 0);
    rig_claim(r, "q", 2, &got);
    int64_t first = got.at[0].first_unix_ms;
    hd_queue_retry(r->store, got.at[0].seq, 3, 500); /* before all that was handed out since */
    rig_settled(r);
    rig_claim(r, "q", 2, &got);
    assert_string_equal(rig_ids(&got), "a");
    assert_int_equal(got.at[0].attempts, 3);
    assert_int_equal(got.at[0].due_unix_ms, 500);
    assert_int_equal(got.at[0].first_unix_ms, first);
    int64_t later = hd_clock_unix_ms() + 3600000;
    hd_queue_retry(r->store, got.at[0].seq, 4, later);
    rig_settled(r);
    rig_claim(r, "q", 2, &got);
    assert_int_equal(got.n, 0);
    assert_int_equal(got.next_due_unix_ms, later);
}

static void what_is_done_is_gone(void **state)
{
    struct rig *r = *state;
    struct rig_items got;
    assert_int_equal(rig_item(r, "q", "a", 0), 0);
    assert_int_equal(rig_item(r, "q", "b", 0), 0);
    rig_claim(r, "q", 2, &got);
    hd_queue_done(r->store, got.at[0].seq);
    hd_queue_done(r->store, got.at[0].seq); /* twice is once */
    hd_queue_done(r->store, 123456);        /* there is none */
    rig_settled(r);
    assert_int_equal(rig_depth(r, "q").running, 1);
    rig_close(r);
    rig_open(r);
    rig_claim(r, "q", 2, &got);
    assert_string_equal(rig_ids(&got), "b");
}

static void what_is_not_under_way_cannot_be_settled(void **state)
{
    struct rig *r = *state;
    struct rig_items got;
    assert_int_equal(rig_item(r, "q", "a", 0), 0);
    rig_claim(r, "q", 1, &got);
    uint64_t seq = got.at[0].seq;
    hd_queue_retry(r->store, seq, 1, 1);
    hd_queue_done(r->store, seq); /* somebody who settles twice must not lose it */
    rig_settled(r);
    rig_claim(r, "q", 1, &got);
    assert_string_equal(rig_ids(&got), "a");
}

static void on_count(void *arg, int n, const struct hd_error *err)
{
    struct rig_items *wanted = arg;
    assert_null(err);
    assert_int_equal(n, wanted->n);
    wanted->done = true;
}

static void the_dead_stay_and_can_be_moved_or_dropped(void **state)
{
    struct rig *r = *state;
    struct rig_items got, dead;
    const char *ids[] = {"a", "b", "c", "d"};
    for (int i = 0; i < 4; i++)
        assert_int_equal(rig_item(r, "q", ids[i], 1000 + i), 0);
    rig_claim(r, "q", 4, &got);
    for (int i = 0; i < 4; i++)
        hd_queue_dead(r->store, got.at[i].seq, 7, hd_str_n("no more", 7));
    rig_settled(r);
    assert_int_equal(rig_depth(r, "q").dead, 4);
    rig_dead(r, "q", 0, 3, &dead);
    assert_string_equal(rig_ids(&dead), "a b c");
    assert_string_equal(dead.at[0].reason, "no more");
    assert_int_equal(dead.at[0].attempts, 7);
    rig_dead(r, "q", dead.at[2].seq, 3, &dead);
    assert_string_equal(rig_ids(&dead), "d");
    rig_claim(r, "q", 4, &got);
    assert_int_equal(got.n, 0);
    rig_close(r);
    rig_open(r);
    assert_int_equal(rig_depth(r, "q").dead, 4);
    rig_dead(r, "q", 0, 9, &dead);

    struct rig_items moved = {0}, dropped = {0};
    moved.n = 1;
    dropped.n = 1;
    hd_queue_dead_requeue(r->store, hd_str("q"), dead.at[1].seq, r->loop, on_count, &moved);
    hd_queue_dead_drop(r->store, hd_str("q"), dead.at[0].seq, r->loop, on_count, &dropped);
    rig_until(r, &dropped.done);
    assert_int_equal(rig_depth(r, "q").dead, 2);
    rig_claim(r, "q", 4, &got);
    assert_string_equal(rig_ids(&got), "b");
    assert_int_equal(got.at[0].attempts, 0);
    moved = dropped = (struct rig_items){.n = 2};
    hd_queue_dead_requeue(r->store, hd_str("q"), 0, r->loop, on_count, &moved);
    rig_until(r, &moved.done);
    rig_claim(r, "q", 4, &got);
    assert_string_equal(rig_ids(&got), "c d");
    dropped.n = 0;
    hd_queue_dead_drop(r->store, hd_str("q"), 0, r->loop, on_count, &dropped);
    rig_until(r, &dropped.done);
}

static void done_in_a_transaction_is_true_with_the_rest_of_it(void **state)
{
    struct rig *r = *state;
    struct rig_items got;
    assert_int_equal(rig_item(r, "q", "a", 0), 0);
    rig_claim(r, "q", 1, &got);
    struct hd_queue_put no_id = {.queue = HD_LIT("next"), .meta = HD_LIT("{}")};
    struct hd_queue_put next = {.queue = HD_LIT("next"), .id = HD_LIT("n"), .meta = HD_LIT("{}")};
    struct hd_store_tx *tx = hd_store_begin(r->store);
    hd_queue_done_in(tx, got.at[0].seq);
    hd_queue_put(tx, &next);
    hd_queue_put(tx, &no_id);
    assert_int_equal(rig_commit(r, tx, NULL), HD_EINVAL);
    assert_int_equal(rig_depth(r, "q").running, 1);
    assert_int_equal(rig_depth(r, "next").queued, 0);
    tx = hd_store_begin(r->store);
    hd_queue_done_in(tx, got.at[0].seq);
    hd_queue_put(tx, &next);
    assert_int_equal(rig_commit(r, tx, NULL), 0);
    assert_int_equal(rig_depth(r, "q").running, 0);
    assert_int_equal(rig_depth(r, "next").queued, 1);
    rig_claim(r, "next", 1, &got);
    assert_string_equal(rig_ids(&got), "n");
}

static void a_full_queue_refuses(void **state)
{
    struct rig *r = *state;
    struct hd_error err;
    struct hd_queue_put item = {
        .queue = HD_LIT("q"), .id = HD_LIT("a"), .meta = HD_LIT("{}"), .max_items = 2};
    for (int i = 0; i < 3; i++) {
        struct hd_store_tx *tx = hd_store_begin(r->store);
        hd_queue_put(tx, &item);
        assert_int_equal(rig_commit(r, tx, &err), i < 2 ? 0 : HD_EBUSY);
    }
    assert_non_null(strstr(err.msg, "q"));
    assert_non_null(strstr(err.msg, "full"));
    /* Both are over the limit together, so neither is there. */
    item.queue = hd_str("p");
    struct hd_store_tx *tx = hd_store_begin(r->store);
    for (int i = 0; i < 3; i++)
        hd_queue_put(tx, &item);
    assert_int_equal(rig_commit(r, tx, &err), HD_EBUSY);
    assert_int_equal(rig_depth(r, "p").queued, 0);
    struct rig_items got;
    rig_claim(r, "q", 1, &got); /* under way still counts */
    tx = hd_store_begin(r->store);
    item.queue = hd_str("q");
    hd_queue_put(tx, &item);
    assert_int_equal(rig_commit(r, tx, &err), HD_EBUSY);
    hd_queue_done(r->store, got.at[0].seq);
    rig_settled(r);
    tx = hd_store_begin(r->store);
    hd_queue_put(tx, &item);
    assert_int_equal(rig_commit(r, tx, &err), 0);
}

static void a_purge_takes_all_of_one_queue(void **state)
{
    struct rig *r = *state;
    struct rig_items got;
    assert_int_equal(rig_item(r, "q", "running", 1), 0);
    assert_int_equal(rig_item(r, "q", "dead", 2), 0);
    rig_claim(r, "q", 2, &got);
    hd_queue_dead(r->store, got.at[1].seq, 1, hd_str(""));
    assert_int_equal(rig_item(r, "q", "queued", 3), 0);
    assert_int_equal(rig_item(r, "p", "other", 4), 0);
    struct hd_store_tx *tx = hd_store_begin(r->store);
    hd_queue_purge(tx, hd_str("q"));
    hd_queue_purge(tx, hd_str("not there"));
    assert_int_equal(rig_commit(r, tx, NULL), 0);
    hd_queue_retry(r->store, got.at[0].seq, 1, 1); /* too late */
    rig_settled(r);
    struct hd_queue_depth d = rig_depth(r, "q");
    assert_int_equal(d.queued + d.running + d.dead, 0);
    rig_claim(r, "q", 9, &got);
    assert_int_equal(got.n, 0);
    assert_int_equal(rig_item(r, "q", "new life", 0), 0);
    rig_claim(r, "q", 9, &got);
    assert_string_equal(rig_ids(&got), "new life");
    rig_claim(r, "p", 9, &got);
    assert_string_equal(rig_ids(&got), "other");
}

static void what_a_dead_process_had_taken_is_free_again(void **state)
{
    struct rig *r = *state;
    struct rig_items got;
    assert_int_equal(rig_item(r, "q", "a", 0), 0);
    assert_int_equal(rig_item(r, "q", "b", 0), 0);
    rig_claim(r, "q", 1, &got);
    uint64_t seq = got.at[0].seq;
    rig_crash(r);
    assert_int_equal(rig_depth(r, "q").queued, 2);
    assert_int_equal(rig_depth(r, "q").running, 0);
    rig_claim(r, "q", 2, &got);
    assert_string_equal(rig_ids(&got), "a b");
    assert_int_equal(got.at[0].seq, seq);
}

/* After two deaths nobody knows which of them it was; the third tells. */
static void what_processes_died_with_is_taken_alone(void **state)
{
    struct rig *r = *state;
    struct rig_items got;
    static const char *const ids[] = {"a", "b", "c"};
    for (size_t i = 0; i < HD_COUNT(ids); i++)
        assert_int_equal(rig_item(r, "lane:q", ids[i], 0), 0);
    rig_claim(r, "lane:q", 2, &got);
    rig_crash(r);
    rig_claim(r, "lane:q", 2, &got);
    assert_string_equal(rig_ids(&got), "a b");
    assert_int_equal(got.at[0].lost, 1);
    rig_crash(r);
    assert_int_equal(rig_item(r, "lane:q", "d", 0), 0);
    rig_claim(r, "lane:q", 9, &got);
    assert_string_equal(rig_ids(&got), "a");
    assert_int_equal(got.at[0].lost, 2);
    uint64_t a = got.at[0].seq;
    rig_claim(r, "lane:q", 9, &got);
    assert_string_equal(rig_ids(&got), "");
    hd_queue_done(r->store, a);
    rig_settled(r);
    rig_claim(r, "lane:q", 9, &got);
    assert_string_equal(rig_ids(&got), "b");
    rig_crash(r); /* it was that one */
    rig_claim(r, "lane:q", 9, &got);
    assert_string_equal(rig_ids(&got), "b");
    assert_int_equal(got.at[0].lost, 3);
    hd_queue_dead(r->store, got.at[0].seq, 0, hd_str("no"));
    rig_settled(r);
    rig_claim(r, "lane:q", 9, &got);
    assert_string_equal(rig_ids(&got), "c d");
    assert_int_equal(got.at[0].lost, 0);
    /* A delivery that came back in between is no death; other queues count none. */
    hd_queue_retry(r->store, got.at[0].seq, 0, 0);
    rig_settled(r);
    assert_int_equal(rig_item(r, "q", "x", 0), 0);
    rig_claim(r, "q", 1, &got);
    rig_crash(r);
    rig_claim(r, "q", 1, &got);
    assert_int_equal(got.at[0].lost, 0);
    rig_claim(r, "lane:q", 1, &got);
    assert_string_equal(rig_ids(&got), "c");
    assert_int_equal(got.at[0].lost, 0);
    (void)state;
}

static void numbers_are_never_given_twice(void **state)
{
    struct rig *r = *state;
    struct rig_items got;
    uint64_t last = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rig_item(r, "q", "a", 0), 0);
        rig_claim(r, "q", 1, &got);
        assert_true(got.at[0].seq > last);
        last = got.at[0].seq;
        hd_queue_done(r->store, last);
        rig_close(r); /* the table is empty now */
        rig_open(r);
    }
}

static void depth_and_names_follow(void **state)
{
    struct rig *r = *state;
    struct hd_queue_put item = {.queue = HD_LIT("q"),
                                .id = HD_LIT("a"),
                                .meta = HD_LIT("{}"),
                                .due_unix_ms = 7000,
                                .first_unix_ms = 5000};
    struct hd_store_tx *tx = hd_store_begin(r->store);
    hd_queue_put(tx, &item);
    item.first_unix_ms = 4000;
    hd_queue_put(tx, &item);
    assert_int_equal(rig_commit(r, tx, NULL), 0);
    assert_int_equal(rig_depth(r, "q").queued, 2);
    assert_int_equal(rig_depth(r, "q").oldest_unix_ms, 4000);
    assert_int_equal(rig_depth(r, "nobody").queued, 0);
    rig_close(r);
    rig_open(r);
    assert_int_equal(rig_depth(r, "q").queued, 2);
    assert_int_equal(rig_depth(r, "q").oldest_unix_ms, 4000);
    struct rig_items got;
    rig_claim(r, "q", 1, &got); /* due together, so the older one */
    uint64_t start = hd_clock_ms();
    while (rig_depth(r, "q").oldest_unix_ms != 5000)
        assert_true(hd_clock_ms() - start < 60000);
    rig_claim(r, "q", 1, &got);
    assert_int_equal(rig_depth(r, "q").oldest_unix_ms, 0);
}

struct heard {
    int times;
    bool once;
};

static void on_put(void *arg)
{
    struct heard *h = arg;
    h->times++;
    h->once = true;
}

static void who_listens_hears_of_puts_and_of_retries(void **state)
{
    struct rig *r = *state;
    struct heard h = {0};
    struct rig_items got;
    hd_queue_listen(r->store, hd_str("q"), r->loop, on_put, &h);
    assert_int_equal(rig_item(r, "other", "x", 0), 0);
    assert_int_equal(rig_item(r, "q", "a", 0), 0);
    rig_until_count(r, &h.times, 1);
    rig_claim(r, "q", 1, &got);
    h.times = 0;
    hd_queue_retry(r->store, got.at[0].seq, 1, 1);
    rig_until_count(r, &h.times, 1);
    rig_claim(r, "q", 1, &got);
    hd_queue_dead(r->store, got.at[0].seq, 1, hd_str("x"));
    rig_settled(r);
    h.times = 0;
    hd_queue_dead_requeue(r->store, hd_str("q"), 0, r->loop, on_count, &(struct rig_items){.n = 1});
    rig_until_count(r, &h.times, 1);
    hd_queue_unlisten(r->store, hd_str("q"));
    h.times = 0;
    assert_int_equal(rig_item(r, "q", "b", 0), 0);
    rig_settled(r);
    assert_int_equal(h.times, 0);
    hd_queue_listen(r->store, hd_str("q"), r->loop, on_put, &h); /* something is there already */
    rig_until_count(r, &h.times, 1);
}

struct wanted {
    struct hd_str body;
    bool *done;
};

static void same(void *arg, const struct hd_queue_item *got)
{
    assert_true(hd_str_eq(got->body, ((struct wanted *)arg)->body));
    assert_true(hd_str_is(got->meta, "{\"k\":1}"));
    assert_true(hd_str_is(got->queue, "q"));
}

static void end(void *arg, int n, int64_t next_due_unix_ms, const struct hd_error *err)
{
    assert_null(err);
    assert_int_equal(n, 1);
    *((struct wanted *)arg)->done = true;
    (void)next_due_unix_ms;
}

static void bodies_are_bytes_of_any_length(void **state)
{
    struct rig *r = *state;
    size_t len = 1 << 20;
    char *body = hd_alloc(len);
    for (size_t i = 0; i < len; i++)
        body[i] = (char)(i * 7 + i / 251);
    struct hd_queue_put item = {
        .queue = HD_LIT("q"), .id = HD_LIT("a"), .meta = HD_LIT("{\"k\":1}"), .body = {body, len}};
    struct hd_store_tx *tx = hd_store_begin(r->store);
    hd_queue_put(tx, &item);
    assert_int_equal(rig_commit(r, tx, NULL), 0);

    bool done = false;
    struct wanted wanted = {{body, len}, &done};
    hd_queue_claim(r->store, hd_str("q"), 1, r->loop, same, end, &wanted);
    rig_until(r, &done);
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_oldest_comes_first, setup, teardown),
        cmocka_unit_test_setup_teardown(equal_times_keep_the_order_of_the_puts, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_due_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(a_retry_comes_back_with_its_attempts, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_done_is_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_under_way_cannot_be_settled, setup, teardown),
        cmocka_unit_test_setup_teardown(the_dead_stay_and_can_be_moved_or_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(done_in_a_transaction_is_true_with_the_rest_of_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_full_queue_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(a_purge_takes_all_of_one_queue, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_dead_process_had_taken_is_free_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_processes_died_with_is_taken_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers_are_never_given_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(depth_and_names_follow, setup, teardown),
        cmocka_unit_test_setup_teardown(who_listens_hears_of_puts_and_of_retries, setup, teardown),
        cmocka_unit_test_setup_teardown(bodies_are_bytes_of_any_length, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
