/* test/unit/test_esm_poll.c - how pollers gather, call, and back off; time is moved by hand. */
#include "lambda/sources/esm_poll.h"

#include "core/loop.h"
#include "test.h"

#include <jansson.h>
#include <stdio.h>

enum { PLACES = 32 };

/* A source and a function that do what the test says. */
struct rig {
    struct hd_loop *loop;
    struct hd_esm_poll *poll;
    struct hd_esm_mapping mapping;
    uint64_t now_ms;
    bool asked[PLACES], canceled[PLACES], in_call[PLACES], giving[PLACES];
    unsigned max[PLACES];
    uint32_t wait_ms[PLACES];
    char event[PLACES][200]; /* the last one */
    unsigned calls, receives, done, failed, returned, serial;
    bool stopped;
    char result[300];
};

static void receive(void *feed, unsigned poller, unsigned max, uint32_t wait_ms)
{
    struct rig *r = feed;
    assert_false(r->asked[poller]);
    r->asked[poller] = true;
    r->max[poller] = max;
    r->wait_ms[poller] = wait_ms;
    r->receives++;
}

static void cancel(void *feed, unsigned poller)
{
    struct rig *r = feed;
    r->canceled[poller] = true;
}

static void settle(void *feed, struct hd_list *records, enum hd_esm_settle how)
{
    struct rig *r = feed;
    unsigned n = 0;
    hd_list_each(item, records) n++;
    *(how == HD_ESM_DONE ? &r->done : how == HD_ESM_FAILED ? &r->failed : &r->returned) += n;
    hd_esm_records_free(records);
    hd_loop_post(r->loop, (void (*)(void *))hd_esm_poll_settled, r->poll);
}

static void event(void *feed, struct hd_buf *out, const struct hd_list *records, size_t n)
{
    const struct hd_list *item = records->next;
    for (size_t i = 0; i < n; i++, item = item->next) {
        const struct hd_esm_record *rec = hd_container_of(item, struct hd_esm_record, link);
        hd_buf_fmt(out, "%s ", rec->id);
        if (rec->json_len > HD_ESM_EVENT_BYTES)
            out->failed = true;
    }
    (void)feed;
}

static void call(void *sink, struct hd_esm_poll *p, unsigned poller, struct hd_str ev)
{
    struct rig *r = sink;
    assert_false(r->in_call[poller]);
    r->in_call[poller] = true;
    r->calls++;
    snprintf(r->event[poller], sizeof(r->event[poller]), "%.*s", HD_FMT(ev));
    (void)p;
}

static void give_up(void *sink, struct hd_esm_poll *p, unsigned poller,
                    const struct hd_esm_record *rec)
{
    struct rig *r = sink;
    r->giving[poller] = true;
    (void)p;
    (void)rec;
}

static void on_result(void *arg, const char *text)
{
    struct rig *r = arg;
    snprintf(r->result, sizeof(r->result), "%s", text);
}

static void on_stopped(void *arg)
{
    struct rig *r = arg;
    assert_false(r->stopped);
    r->stopped = true;
}

static void turn(struct rig *r, uint64_t ms)
{
    r->now_ms += ms;
    while (hd_loop_advance(r->loop, r->now_ms))
        ;
}

static const struct hd_esm_sink_ops sink_ops = {.call = call, .give_up = give_up};

static void begin(struct rig *r, const struct hd_esm_mapping *m, bool keeps)
{
    static const struct hd_esm_feed_ops queue = {.max_receive = 10,
                                                 .pollers = 2,
                                                 .max_pollers = 8,
                                                 .receive = receive,
                                                 .cancel = cancel,
                                                 .settle = settle,
                                                 .event = event};
    static const struct hd_esm_feed_ops broker = {.max_receive = 10,
                                                  .pollers = 1,
                                                  .max_pollers = 8,
                                                  .keeps_failed = true,
                                                  .receive = receive,
                                                  .cancel = cancel,
                                                  .settle = settle,
                                                  .event = event};
    *r = (struct rig){.now_ms = 100000, .mapping = *m};
    r->mapping.uuid = "u";
    r->mapping.function_arn = "f";
    assert_int_equal(hd_loop_new(&r->loop, 0, NULL), 0);
    hd_loop_set_virtual(r->loop, r->now_ms);
    const struct hd_esm_poll_options opt = {.mapping = &r->mapping,
                                            .loop = r->loop,
                                            .feed_ops = keeps ? &broker : &queue,
                                            .feed = r,
                                            .sink_ops = &sink_ops,
                                            .sink = r,
                                            .on_result = on_result,
                                            .on_stopped = on_stopped,
                                            .arg = r,
                                            .seed = 7};
    r->poll = hd_esm_poll_new(&opt);
}

static void give_error(struct rig *r, unsigned poller)
{
    struct hd_list none;
    const struct hd_error err = {.code = HD_EIO, .msg = "the source is broken"};
    hd_list_init(&none);
    assert_true(r->asked[poller]);
    r->asked[poller] = false;
    hd_esm_poll_received(r->poll, poller, &none, 0, &err);
    turn(r, 0);
}

/* Records of so many bytes, held until then. */
static void give_sized(struct rig *r, unsigned poller, unsigned n, size_t bytes, uint64_t until_ms)
{
    struct hd_list records;
    hd_list_init(&records);
    for (unsigned i = 0; i < n; i++) {
        char id[16], *json = hd_alloc(bytes + 1);
        snprintf(id, sizeof(id), "%u", ++r->serial);
        memset(json, 'x', bytes);
        struct hd_esm_record *rec = hd_esm_record_new(id, NULL, json);
        rec->held_until_ms = until_ms;
        hd_list_push(&records, &rec->link);
    }
    assert_true(r->asked[poller]);
    r->asked[poller] = false;
    hd_esm_poll_received(r->poll, poller, &records, n, NULL);
    turn(r, 0);
}

static void give(struct rig *r, unsigned poller, unsigned n)
{
    give_sized(r, poller, n, 10, UINT64_MAX);
}

static void answer(struct rig *r, unsigned poller, enum hd_esm_called how, const char *text)
{
    assert_true(r->in_call[poller]);
    r->in_call[poller] = false;
    hd_esm_poll_called(r->poll, poller, how, hd_str(text));
    turn(r, 0);
}

static void end(struct rig *r)
{
    hd_esm_poll_stop(r->poll);
    for (unsigned i = 0; i < PLACES; i++) {
        if (r->in_call[i])
            answer(r, i, HD_ESM_CALL_OK, "");
        if (r->asked[i])
            give(r, i, 0);
    }
    turn(r, 1);
    assert_true(r->stopped);
    hd_esm_poll_free(r->poll);
    hd_loop_free(r->loop);
}

static void without_a_window_what_came_is_called_at_once(void **state)
{
    struct rig r;
    begin(&r, &(struct hd_esm_mapping){.batch_size = 10}, false);
    assert_int_equal(r.receives, 2);
    assert_int_equal(r.max[0], 10);
    assert_int_equal(r.wait_ms[0], 20000);
    give(&r, 0, 3);
    assert_string_equal(r.event[0], "1 2 3 ");
    assert_false(r.asked[0]);
    answer(&r, 0, HD_ESM_CALL_OK, "null");
    assert_int_equal(r.done, 3);
    assert_string_equal(r.result, "OK");
    assert_true(r.asked[0]);
    end(&r);
    (void)state;
}

static void a_window_gathers_until_it_is_full_or_over(void **state)
{
    struct rig r;
    begin(&r, &(struct hd_esm_mapping){.batch_size = 15, .window_s = 10}, false);
    give(&r, 0, 10);
    assert_int_equal(r.calls, 0);
    assert_int_equal(r.max[0], 5);
    assert_int_equal(r.wait_ms[0], 10000);
    give(&r, 0, 5); /* full */
    assert_int_equal(r.calls, 1);
    answer(&r, 0, HD_ESM_CALL_OK, "");
    give(&r, 0, 1);
    turn(&r, 4000);
    give(&r, 0, 1);
    assert_int_equal(r.wait_ms[0], 6000); /* the window begins with the first record */
    turn(&r, 6000);
    give(&r, 0, 0);
    assert_string_equal(r.event[0], "16 17 ");
    answer(&r, 0, HD_ESM_CALL_OK, "");
    give(&r, 0, 1);
    give_error(&r, 0); /* what is there does not wait for a source that is broken */
    assert_string_equal(r.event[0], "18 ");
    answer(&r, 0, HD_ESM_CALL_OK, "");
    end(&r);
    (void)state;
}

static void an_event_has_a_limit_of_bytes(void **state)
{
    struct rig r;
    begin(&r, &(struct hd_esm_mapping){.batch_size = 10}, false);
    give_sized(&r, 0, 4, 2500000, UINT64_MAX);
    assert_string_equal(r.event[0], "1 2 ");
    answer(&r, 0, HD_ESM_CALL_OK, "");
    assert_string_equal(r.event[0], "3 4 "); /* what did not fit is next */
    answer(&r, 0, HD_ESM_CALL_OK, "");
    assert_int_equal(r.done, 4);
    give_sized(&r, 0, 1, HD_ESM_EVENT_BYTES + 1, UINT64_MAX);
    assert_int_equal(r.calls, 2);
    assert_int_equal(r.failed, 1);
    assert_non_null(strstr(r.result, "too large"));
    end(&r);
    (void)state;
}

static void there_are_more_while_batches_are_full(void **state)
{
    struct rig r;
    struct hd_esm_poll_stats stats;
    begin(&r, &(struct hd_esm_mapping){.batch_size = 2, .max_concurrency = 4}, false);
    give(&r, 0, 2);
    assert_int_equal(r.receives, 2); /* the other one still has time */
    give(&r, 1, 2);
    assert_true(r.asked[2]);
    give(&r, 2, 2);
    give(&r, 3, 2);
    assert_false(r.asked[4]); /* the limit */
    hd_esm_poll_stats(r.poll, &stats);
    assert_int_equal(stats.pollers, 4);
    assert_int_equal(stats.calling, 4);
    answer(&r, 3, HD_ESM_CALL_OK, "");
    turn(&r, 20000);
    give(&r, 3, 0); /* nothing left: this one is not needed */
    assert_false(r.asked[3]);
    hd_esm_poll_stats(r.poll, &stats);
    assert_int_equal(stats.pollers, 3);
    end(&r);
    (void)state;
}

static void who_is_throttled_tries_again_and_there_are_fewer(void **state)
{
    struct rig r;
    struct hd_esm_poll_stats stats;
    begin(&r, &(struct hd_esm_mapping){.batch_size = 2}, false);
    for (unsigned i = 0; i < 4; i++)
        give(&r, i, 2);
    answer(&r, 0, HD_ESM_CALL_BUSY, "");
    assert_int_equal(r.done + r.failed + r.returned, 0); /* kept */
    assert_false(r.in_call[0]);
    turn(&r, 400);
    assert_true(r.in_call[0]);
    assert_string_equal(r.event[0], "1 2 ");
    for (unsigned i = 1; i < 4; i++)
        answer(&r, i, HD_ESM_CALL_OK, "");
    answer(&r, 0, HD_ESM_CALL_OK, "");
    assert_int_equal(r.done, 8);
    hd_esm_poll_stats(r.poll, &stats);
    assert_true(stats.pollers < 5);
    assert_int_equal(stats.busy, 1);
    end(&r);
    (void)state;
}

static void a_batch_is_not_kept_longer_than_it_is_ours(void **state)
{
    struct rig r;
    begin(&r, &(struct hd_esm_mapping){.batch_size = 10}, false);
    give_sized(&r, 0, 2, 10, r.now_ms + 1000);
    for (int i = 0; i < 20 && r.failed == 0; i++) {
        if (r.in_call[0])
            answer(&r, 0, HD_ESM_CALL_BUSY, "");
        turn(&r, 100);
    }
    assert_int_equal(r.failed, 2);
    assert_true(r.asked[1]);
    assert_false(r.asked[0]); /* one less for a while */
    give(&r, 1, 1);
    answer(&r, 1, HD_ESM_CALL_OK, "");
    assert_true(r.asked[0]);
    end(&r);
    (void)state;
}

static void failures_are_left_to_the_source_and_slow_it_down(void **state)
{
    struct rig r;
    begin(&r, &(struct hd_esm_mapping){.batch_size = 10}, false);
    give(&r, 0, 2);
    answer(&r, 0, HD_ESM_CALL_FAILED, "{}");
    assert_int_equal(r.failed, 2);
    assert_string_equal(r.result, "PROBLEM: Function call failed");
    assert_true(r.asked[0]); /* once is no reason to wait */
    give(&r, 0, 1);
    answer(&r, 0, HD_ESM_CALL_FAILED, "{}");
    assert_false(r.asked[0]);
    turn(&r, 1000);
    assert_true(r.asked[0]);
    give(&r, 0, 1);
    answer(&r, 0, HD_ESM_CALL_OK, "");
    assert_true(r.asked[0]);
    end(&r);
    (void)state;
}

static void a_function_may_name_the_records_that_failed(void **state)
{
    static const char two[] = "{\"batchItemFailures\":[{\"itemIdentifier\":\"2\"}]}";
    struct rig r;
    begin(&r, &(struct hd_esm_mapping){.batch_size = 10, .item_failures = true}, false);
    give(&r, 0, 3);
    answer(&r, 0, HD_ESM_CALL_OK, two);
    assert_int_equal(r.done, 2);
    assert_int_equal(r.failed, 1);
    give(&r, 0, 2);
    answer(&r, 0, HD_ESM_CALL_OK, "\"what?\"");
    assert_int_equal(r.failed, 3);
    end(&r);
    begin(&r, &(struct hd_esm_mapping){.batch_size = 10}, false);
    give(&r, 0, 3);
    answer(&r, 0, HD_ESM_CALL_OK, two); /* nobody asked for that */
    assert_int_equal(r.done, 3);
    end(&r);
    (void)state;
}

static void who_keeps_its_failures_halves_them(void **state)
{
    struct rig r;
    begin(&r, &(struct hd_esm_mapping){.batch_size = 10, .bisect = true, .on_failure = "d"}, true);
    give(&r, 0, 8); /* the sixth one is poison */
    static const struct {
        const char *event;
        enum hd_esm_called how;
    } steps[] = {{"1 2 3 4 5 6 7 8 ", HD_ESM_CALL_FAILED},
                 {"1 2 3 4 ", HD_ESM_CALL_OK},
                 {"5 6 7 8 ", HD_ESM_CALL_FAILED},
                 {"5 6 ", HD_ESM_CALL_FAILED},
                 {"5 ", HD_ESM_CALL_OK},
                 {"6 7 8 ", HD_ESM_CALL_FAILED},
                 {"6 7 ", HD_ESM_CALL_FAILED},
                 {"6 ", HD_ESM_CALL_FAILED}};
    for (size_t i = 0; i < HD_COUNT(steps); i++) {
        assert_string_equal(r.event[0], steps[i].event);
        answer(&r, 0, steps[i].how, "");
    }
    assert_int_equal(r.done, 5);
    for (int i = 0; i < 100 && !r.giving[0]; i++) { /* alone it is tried some more times */
        if (r.in_call[0])
            answer(&r, 0, HD_ESM_CALL_FAILED, "");
        turn(&r, 1000);
    }
    assert_true(r.giving[0]);
    assert_int_equal(r.calls, 8 + 4);
    r.giving[0] = false;
    hd_esm_poll_gave_up(r.poll, 0, false); /* not reached: once more */
    for (int i = 0; i < 100 && !r.giving[0]; i++) {
        if (r.in_call[0])
            answer(&r, 0, HD_ESM_CALL_FAILED, "");
        turn(&r, 1000);
    }
    hd_esm_poll_gave_up(r.poll, 0, true);
    assert_string_equal(r.event[0], "7 8 ");
    answer(&r, 0, HD_ESM_CALL_OK, "");
    assert_int_equal(r.done, 8);
    assert_int_equal(r.failed + r.returned, 0);
    end(&r);
    (void)state;
}

static void with_no_place_for_them_failures_go_back_in_the_end(void **state)
{
    struct rig r;
    begin(&r, &(struct hd_esm_mapping){.batch_size = 10}, true);
    give(&r, 0, 2);
    for (int i = 0; i < 200 && r.failed == 0; i++) {
        if (r.in_call[0])
            answer(&r, 0, HD_ESM_CALL_FAILED, "");
        turn(&r, 1000);
    }
    assert_int_equal(r.failed, 2);
    assert_int_equal(r.calls, 5);
    end(&r);
    (void)state;
}

static void a_broken_source_is_asked_less_and_less(void **state)
{
    struct rig r;
    begin(&r, &(struct hd_esm_mapping){.batch_size = 10}, true);
    uint64_t begun = r.now_ms;
    for (unsigned times = 1; times <= 8; times++) {
        give_error(&r, 0);
        assert_string_equal(r.result, "PROBLEM: the source is broken");
        assert_false(r.asked[0]);
        while (!r.asked[0])
            turn(&r, 100);
    }
    assert_true(r.now_ms - begun > 60000);
    assert_true(r.now_ms - begun < 400000);
    give(&r, 0, 1);
    answer(&r, 0, HD_ESM_CALL_OK, "");
    assert_true(r.asked[0]);
    give(&r, 0, 0); /* at once, though it was asked to wait: no hurry either */
    assert_false(r.asked[0]);
    turn(&r, 2000);
    assert_true(r.asked[0]);
    end(&r);
    (void)state;
}

static void without_its_function_records_go_back(void **state)
{
    struct rig r;
    begin(&r, &(struct hd_esm_mapping){.batch_size = 10}, false);
    give(&r, 0, 2);
    answer(&r, 0, HD_ESM_CALL_MISSING, "");
    assert_int_equal(r.returned, 2);
    assert_string_equal(r.result, "PROBLEM: Function not found");
    assert_false(r.asked[0]);
    turn(&r, 20000);
    assert_true(r.asked[0]);
    end(&r);
    (void)state;
}

static void a_stop_lets_calls_end_and_gives_back_the_rest(void **state)
{
    struct rig r;
    begin(&r, &(struct hd_esm_mapping){.batch_size = 10, .window_s = 5}, false);
    give(&r, 0, 10); /* called */
    give(&r, 1, 3);  /* gathering */
    hd_esm_poll_stop(r.poll);
    assert_true(r.canceled[1]);
    give(&r, 1, 2); /* came while it was taken back */
    turn(&r, 10);
    assert_int_equal(r.returned, 5);
    assert_false(r.stopped);
    answer(&r, 0, HD_ESM_CALL_OK, "");
    turn(&r, 1);
    assert_int_equal(r.done, 10);
    assert_true(r.stopped);
    hd_esm_poll_free(r.poll);
    hd_loop_free(r.loop);

    begin(&r, &(struct hd_esm_mapping){.batch_size = 10}, false);
    give(&r, 0, 2);
    answer(&r, 0, HD_ESM_CALL_BUSY, ""); /* waiting */
    give_error(&r, 1);                   /* pausing */
    hd_esm_poll_stop(r.poll);
    turn(&r, 1);
    turn(&r, 1);
    assert_int_equal(r.returned, 2);
    assert_true(r.stopped);
    hd_esm_poll_free(r.poll);
    hd_loop_free(r.loop);
    (void)state;
}

static void settings_change_from_the_next_batch_on(void **state)
{
    struct rig r;
    struct hd_filter *filter = NULL;
    json_t *one = json_loads("{\"a\":1}", 0, NULL), *two = json_loads("{\"a\":2}", 0, NULL);
    assert_int_equal(hd_filter_new(&filter, hd_str("{\"a\":[1]}"), NULL), 0);
    begin(&r, &(struct hd_esm_mapping){.batch_size = 10}, false);
    assert_true(hd_esm_poll_wants(r.poll, two));
    assert_true(hd_esm_poll_wants(r.poll, NULL));
    r.mapping.batch_size = 3;
    r.mapping.filters = &filter;
    r.mapping.n_filters = 1;
    hd_esm_poll_update(r.poll, &r.mapping);
    hd_filter_free(filter); /* it has its own */
    assert_true(hd_esm_poll_wants(r.poll, one));
    assert_false(hd_esm_poll_wants(r.poll, two));
    assert_false(hd_esm_poll_wants(r.poll, NULL));
    give(&r, 0, 5); /* asked for with the old ones */
    assert_string_equal(r.event[0], "1 2 3 ");
    answer(&r, 0, HD_ESM_CALL_OK, "");
    assert_string_equal(r.event[0], "4 5 ");
    answer(&r, 0, HD_ESM_CALL_OK, "");
    assert_int_equal(r.max[0], 3);
    assert_int_equal(hd_esm_poll_mapping(r.poll)->batch_size, 3);
    json_decref(one);
    json_decref(two);
    end(&r);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_window_what_came_is_called_at_once),
        cmocka_unit_test(a_window_gathers_until_it_is_full_or_over),
        cmocka_unit_test(an_event_has_a_limit_of_bytes),
        cmocka_unit_test(there_are_more_while_batches_are_full),
        cmocka_unit_test(who_is_throttled_tries_again_and_there_are_fewer),
        cmocka_unit_test(a_batch_is_not_kept_longer_than_it_is_ours),
        cmocka_unit_test(failures_are_left_to_the_source_and_slow_it_down),
        cmocka_unit_test(a_function_may_name_the_records_that_failed),
        cmocka_unit_test(who_keeps_its_failures_halves_them),
        cmocka_unit_test(with_no_place_for_them_failures_go_back_in_the_end),
        cmocka_unit_test(a_broken_source_is_asked_less_and_less),
        cmocka_unit_test(without_its_function_records_go_back),
        cmocka_unit_test(a_stop_lets_calls_end_and_gives_back_the_rest),
        cmocka_unit_test(settings_change_from_the_next_batch_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
