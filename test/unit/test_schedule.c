/* test/unit/test_schedule.c - scheduled runs, with a real store and a clock that the test moves. */
#include "lambda/sources/schedule.h"

#include "store_rig.h"

#include <jansson.h>
#include <stdio.h>

static int64_t clock_ms; /* what time it is; 2026-01-02T03:04:05Z at first */
static const int64_t begin_ms = 1767323045000;

static int64_t test_clock(void)
{
    return clock_ms;
}

struct sched {
    struct rig rig;
    struct hd_schedules *s;
    const char *lines[4];
    unsigned runs;
    char last[64], event[600];
    int64_t due_s;
    bool refuse, hold;
    void (*done)(void *arg, const struct hd_error *err);
    void *done_arg;
};

static void answer(struct sched *t)
{
    const struct hd_error busy = {.code = HD_EBUSY, .msg = "the queue is full"};
    void (*done)(void *, const struct hd_error *) = t->done;
    t->done = NULL;
    done(t->done_arg, t->refuse ? &busy : NULL);
}

static void answer_later(void *arg)
{
    answer(arg);
}

static void run(void *arg, const struct hd_schedule_run *r,
                void (*done)(void *done_arg, const struct hd_error *err), void *done_arg)
{
    struct sched *t = arg;
    assert_null(t->done);
    t->runs++;
    t->due_s = r->due_unix_s;
    snprintf(t->last, sizeof(t->last), "%s %s", r->name, r->function);
    snprintf(t->event, sizeof(t->event), "%.*s", HD_FMT(r->event));
    t->done = done;
    t->done_arg = done_arg;
    if (!t->hold)
        hd_loop_post(t->rig.loop, answer_later, t);
}

static int open_schedules(struct sched *t, struct hd_error *err)
{
    const struct hd_schedules_options opt = {.loop = t->rig.loop,
                                             .store = t->rig.store,
                                             .account = "000000000000",
                                             .region = "us-east-1",
                                             .lines = t->lines,
                                             .clock = test_clock,
                                             .run = run,
                                             .arg = t};
    return hd_schedules_new(&t->s, &opt, err);
}

static void turn(struct sched *t)
{
    while (hd_loop_advance(t->rig.loop, hd_loop_now_ms(t->rig.loop)))
        ;
}

static void start(struct sched *t)
{
    rig_open(&t->rig);
    assert_int_equal(open_schedules(t, NULL), 0);
    hd_schedules_start(t->s);
    turn(t);
}

static void begin(struct sched *t, const char *line)
{
    clock_ms = begin_ms;
    *t = (struct sched){.lines = {line}};
    rig_init(&t->rig);
    start(t);
}

static void stop(struct sched *t)
{
    hd_schedules_stop(t->s);
    rig_close(&t->rig);
    hd_schedules_free(t->s);
}

static void end(struct sched *t)
{
    stop(t);
    rig_done(&t->rig);
}

/* Time passes, for the wall clock and the loop. */
static void pass(struct sched *t, int64_t s)
{
    for (int64_t i = 0; i < s; i++) {
        clock_ms += 1000;
        hd_loop_advance(t->rig.loop, hd_loop_now_ms(t->rig.loop) + 1000);
        turn(t);
    }
}

static void runs_when_it_is_due(void **state)
{
    struct sched t;
    begin(&t, "tick resize:prod rate(10 seconds)");
    pass(&t, 9);
    assert_int_equal(t.runs, 0);
    pass(&t, 1);
    assert_int_equal(t.runs, 1);
    assert_string_equal(t.last, "tick resize:prod");
    assert_int_equal(t.due_s, begin_ms / 1000 + 10);
    pass(&t, 100);
    assert_int_equal(t.runs, 11);
    end(&t);

    begin(&t, "noon f cron(0 12 * * ? *)");
    pass(&t, 9 * 3600 - 246);
    assert_int_equal(t.runs, 0);
    pass(&t, 1);
    assert_int_equal(t.runs, 1);
    end(&t);
    (void)state;
}

static void the_event_is_a_rules_or_ones_own(void **state)
{
    struct sched t;
    begin(&t, "tick f rate(10 seconds)");
    pass(&t, 10);
    json_t *event = json_loads(t.event, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(event);
    assert_string_equal(json_string_value(json_object_get(event, "time")), "2026-01-02T03:04:15Z");
    assert_string_equal(json_string_value(json_object_get(event, "detail-type")),
                        "Scheduled Event");
    assert_string_equal(json_string_value(json_array_get(json_object_get(event, "resources"), 0)),
                        "arn:aws:events:us-east-1:000000000000:rule/tick");
    assert_int_equal(strlen(json_string_value(json_object_get(event, "id"))), 36);
    json_decref(event);
    end(&t);
    begin(&t, "tick f rate(10 seconds) {\"deep\": [1, \"a b\"]}");
    pass(&t, 10);
    assert_string_equal(t.event, "{\"deep\": [1, \"a b\"]}");
    end(&t);
    (void)state;
}

static void what_was_missed_is_made_up_for_once(void **state)
{
    struct sched t;
    begin(&t, "tick f rate(10 seconds)");
    pass(&t, 15);
    assert_int_equal(t.runs, 1);
    stop(&t);
    clock_ms += 100 * 1000; /* the node is down */
    start(&t);
    assert_int_equal(t.runs, 2);
    pass(&t, 4);
    assert_int_equal(t.runs, 2);
    pass(&t, 1); /* and then as it always was: begun at :05, due at :05, :15, ... */
    assert_int_equal(t.runs, 3);
    stop(&t);
    start(&t); /* nothing was missed */
    assert_int_equal(t.runs, 3);
    clock_ms += 3600 * 1000; /* the clock is set */
    pass(&t, 1);
    assert_int_equal(t.runs, 3); /* it may sleep for a minute */
    pass(&t, 59);
    assert_true(t.runs >= 4);
    end(&t);
    (void)state;
}

static void another_expression_begins_anew(void **state)
{
    struct sched t;
    begin(&t, "tick f rate(10 seconds)");
    pass(&t, 10);
    stop(&t);
    clock_ms += 3600 * 1000;
    t.lines[0] = "tick f rate(1 minute)";
    start(&t);
    assert_int_equal(t.runs, 1);
    pass(&t, 60);
    assert_int_equal(t.runs, 2);
    end(&t);
    (void)state;
}

static void what_is_refused_is_tried_again(void **state)
{
    struct sched t;
    begin(&t, "tick f rate(1 hour)");
    t.refuse = true;
    pass(&t, 3600);
    assert_int_equal(t.runs, 1);
    pass(&t, 60);
    assert_true(t.runs >= 4 && t.runs < 40);
    t.refuse = false;
    unsigned before = t.runs;
    pass(&t, 120);
    assert_int_equal(t.runs, before + 1);
    end(&t);
    (void)state;
}

static void nothing_runs_twice_at_once(void **state)
{
    struct sched t;
    begin(&t, "tick f rate(1 second)");
    t.hold = true;
    pass(&t, 10);
    assert_int_equal(t.runs, 1);
    t.hold = false;
    answer(&t);
    pass(&t, 3);
    assert_int_equal(t.runs, 4);
    end(&t);
    (void)state;
}

static void each_info(void *arg, const struct hd_schedule_info *info)
{
    char *out = arg;
    size_t n = strlen(out);
    snprintf(out + n, 200 - n, "%s %s %s %lld %lld %u;", info->name, info->function,
             info->expression,
             info->last_unix_s != 0 ? (long long)info->last_unix_s - begin_ms / 1000 : 0,
             info->next_unix_s != INT64_MAX ? (long long)info->next_unix_s - begin_ms / 1000 : -1,
             (unsigned)info->runs);
}

static void tells_what_there_is(void **state)
{
    struct sched t;
    begin(&t, "a f rate(10 seconds)");
    stop(&t);
    t.lines[1] = "b g at(2026-01-02T03:04:06)";
    t.lines[2] = "c h at(2020-01-01T00:00:00)";
    start(&t);
    pass(&t, 10);
    char text[200] = "";
    hd_schedules_each(t.s, each_info, text);
    assert_string_equal(text, "a f rate(10 seconds) 10 20 1;b g at(2026-01-02T03:04:06) 1 -1 1;"
                              "c h at(2020-01-01T00:00:00) 0 -1 0;");
    end(&t);
    (void)state;
}

static void lines_that_are_wrong_are_refused(void **state)
{
    static const struct {
        const char *line, *why;
    } cases[] = {
        {"", "must be NAME FUNCTION"},
        {"a", "there is no function"},
        {"a f", "schedule a: schedule: 0 fields"},
        {"a b/c", "schedule a: schedule: 0 fields"},
        {"a.b f rate(1 minute)", "a name has"},
        {"a f rate(1 minutes)", "schedule a: schedule: rate"},
        {"a f rate(1 minute) {", "the event is no JSON object"},
        {"a f rate(1 minute) {\"a\":1} x", "the event is no JSON object"},
        {"twice f rate(1 minute)", "two of that name"},
    };
    struct sched t = {.lines = {"twice f rate(1 minute)"}};
    rig_init(&t.rig);
    rig_open(&t.rig);
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_error err = {.msg = ""};
        t.lines[1] = cases[i].line;
        if (open_schedules(&t, &err) != HD_EINVAL || strstr(err.msg, cases[i].why) == NULL)
            fail_msg("%s: %s", cases[i].line, err.msg);
    }
    rig_done(&t.rig);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_when_it_is_due),
        cmocka_unit_test(the_event_is_a_rules_or_ones_own),
        cmocka_unit_test(what_was_missed_is_made_up_for_once),
        cmocka_unit_test(another_expression_begins_anew),
        cmocka_unit_test(what_is_refused_is_tried_again),
        cmocka_unit_test(nothing_runs_twice_at_once),
        cmocka_unit_test(tells_what_there_is),
        cmocka_unit_test(lines_that_are_wrong_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
