/* test/unit/test_cron.c - schedules: what is read, and when they are due next. */
#include "core/cron.h"

#include "test.h"

#include <stdio.h>
#include <time.h>

static int64_t at(const char *text) /* "2026-01-02 03:04:05" */
{
    struct tm t = {.tm_year = 0};
    assert_int_equal(sscanf(text, "%d-%d-%d %d:%d:%d", &t.tm_year, &t.tm_mon, &t.tm_mday,
                            &t.tm_hour, &t.tm_min, &t.tm_sec),
                     6);
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    return timegm(&t);
}

static const char *text_of(char out[32], int64_t unix_s)
{
    time_t when = (time_t)unix_s;
    struct tm t;
    if (unix_s == INT64_MAX)
        return "never";
    gmtime_r(&when, &t);
    strftime(out, 32, "%Y-%m-%d %H:%M:%S", &t);
    return out;
}

/* Each row: a schedule, a time, and when it is due after that, three times in a row. */
static void is_due_when_it_says(void **state)
{
    static const struct {
        const char *schedule, *after, *due[3];
    } cases[] = {
        {"cron(0 10 * * ? *)",
         "2026-03-01 09:59:59",
         {"2026-03-01 10:00:00", "2026-03-02 10:00:00", "2026-03-03 10:00:00"}},
        {"cron(0 10 * * ? *)",
         "2026-03-01 10:00:00",
         {"2026-03-02 10:00:00", "2026-03-03 10:00:00", "2026-03-04 10:00:00"}},
        {"cron(15 12 * * ? *)",
         "2026-12-31 12:15:00",
         {"2027-01-01 12:15:00", "2027-01-02 12:15:00", "2027-01-03 12:15:00"}},
        {"cron(0 18 ? * MON-FRI *)",
         "2026-03-05 18:00:00", /* a Thursday */
         {"2026-03-06 18:00:00", "2026-03-09 18:00:00", "2026-03-10 18:00:00"}},
        {"cron(0 8 1 * ? *)",
         "2026-01-31 00:00:00",
         {"2026-02-01 08:00:00", "2026-03-01 08:00:00", "2026-04-01 08:00:00"}},
        {"cron(0/15 * * * ? *)",
         "2026-01-31 23:31:00",
         {"2026-01-31 23:45:00", "2026-02-01 00:00:00", "2026-02-01 00:15:00"}},
        {"cron(0/5 8-17 ? * MON-FRI *)",
         "2026-03-06 17:53:00",
         {"2026-03-06 17:55:00", "2026-03-09 08:00:00", "2026-03-09 08:05:00"}},
        {"cron(0/30 20-2 ? * FRI-SUN *)", NULL, {NULL}},
        {"cron(5,35 14 * * ? *)",
         "2026-03-01 14:05:00",
         {"2026-03-01 14:35:00", "2026-03-02 14:05:00", "2026-03-02 14:35:00"}},
        {"cron(10-20/5 0 * * ? *)",
         "2026-03-01 00:00:00",
         {"2026-03-01 00:10:00", "2026-03-01 00:15:00", "2026-03-01 00:20:00"}},
        {"cron(0 0 L * ? *)",
         "2026-01-31 00:00:00",
         {"2026-02-28 00:00:00", "2026-03-31 00:00:00", "2026-04-30 00:00:00"}},
        {"cron(0 0 L FEB ? *)",
         "2026-01-01 00:00:00",
         {"2026-02-28 00:00:00", "2027-02-28 00:00:00", "2028-02-29 00:00:00"}},
        {"cron(0 0 L-2 * ? *)",
         "2026-01-01 00:00:00",
         {"2026-01-29 00:00:00", "2026-02-26 00:00:00", "2026-03-29 00:00:00"}},
        {"cron(0 0 LW * ? *)", /* 31 January is a Saturday, 28 February too */
         "2026-01-01 00:00:00",
         {"2026-01-30 00:00:00", "2026-02-27 00:00:00", "2026-03-31 00:00:00"}},
        {"cron(0 0 1W * ? *)", /* 1 February and 1 March are Sundays, 1 August a Saturday */
         "2026-01-31 00:00:00",
         {"2026-02-02 00:00:00", "2026-03-02 00:00:00", "2026-04-01 00:00:00"}},
        {"cron(0 0 1W AUG ? *)",
         "2026-01-31 00:00:00",
         {"2026-08-03 00:00:00", "2027-08-02 00:00:00", "2028-08-01 00:00:00"}},
        {"cron(0 0 31W * ? *)", /* May: a Sunday; February and April have none */
         "2026-01-31 00:00:00",
         {"2026-03-31 00:00:00", "2026-05-29 00:00:00", "2026-07-31 00:00:00"}},
        {"cron(0 9 ? * 2#1 *)", /* the first Monday */
         "2026-01-01 00:00:00",
         {"2026-01-05 09:00:00", "2026-02-02 09:00:00", "2026-03-02 09:00:00"}},
        {"cron(0 9 ? * MON#5 *)",
         "2026-01-01 00:00:00",
         {"2026-03-30 09:00:00", "2026-06-29 09:00:00", "2026-08-31 09:00:00"}},
        {"cron(0 9 ? * 6L *)", /* the last Friday */
         "2026-01-01 00:00:00",
         {"2026-01-30 09:00:00", "2026-02-27 09:00:00", "2026-03-27 09:00:00"}},
        {"cron(0 9 ? * L *)", /* Saturday */
         "2026-01-01 00:00:00",
         {"2026-01-03 09:00:00", "2026-01-10 09:00:00", "2026-01-17 09:00:00"}},
        {"cron(0 9 ? JAN,7 SUN 2027-2028)",
         "2026-01-01 00:00:00",
         {"2027-01-03 09:00:00", "2027-01-10 09:00:00", "2027-01-17 09:00:00"}},
        {"cron(0 0 29 2 ? *)",
         "2096-03-01 00:00:00",
         {"2104-02-29 00:00:00", "2108-02-29 00:00:00", "2112-02-29 00:00:00"}},
        {"cron(59 23 31 12 ? 2026)",
         "2026-12-31 23:58:59",
         {"2026-12-31 23:59:00", "never", "never"}},
        {"cron(0 0 30 2 ? *)", "2026-01-01 00:00:00", {"never", "never", "never"}},
        {"cron(0 0 1 1 ? 2020)", "2026-01-01 00:00:00", {"never", "never", "never"}},
        {"cron(0 0 1 1 ? 2198/1)",
         "2026-01-01 00:00:00",
         {"2198-01-01 00:00:00", "2199-01-01 00:00:00", "never"}},
        {"0 12 * * ? *",
         "2026-01-01 00:00:00",
         {"2026-01-01 12:00:00", "2026-01-02 12:00:00", "2026-01-03 12:00:00"}},
        /* as crontab(5) */
        {"*/20 * * * *",
         "2026-01-01 00:00:01",
         {"2026-01-01 00:20:00", "2026-01-01 00:40:00", "2026-01-01 01:00:00"}},
        {"0 0 * * 0",
         "2026-01-01 00:00:00",
         {"2026-01-04 00:00:00", "2026-01-11 00:00:00", "2026-01-18 00:00:00"}},
        {"0 0 * * 7",
         "2026-01-01 00:00:00",
         {"2026-01-04 00:00:00", "2026-01-11 00:00:00", "2026-01-18 00:00:00"}},
        {"0 0 * * 5-7",
         "2026-01-01 00:00:00",
         {"2026-01-02 00:00:00", "2026-01-03 00:00:00", "2026-01-04 00:00:00"}},
        {"0 0 13 * fri", /* either */
         "2026-01-01 00:00:00",
         {"2026-01-02 00:00:00", "2026-01-09 00:00:00", "2026-01-13 00:00:00"}},
        {"0 0 */2 * fri", /* both */
         "2026-01-01 00:00:00",
         {"2026-01-09 00:00:00", "2026-01-23 00:00:00", "2026-02-13 00:00:00"}},
        {" 30\t4  1,15 * * ",
         "2026-01-01 00:00:00",
         {"2026-01-01 04:30:00", "2026-01-15 04:30:00", "2026-02-01 04:30:00"}},
        {"@hourly",
         "2026-01-01 00:00:00",
         {"2026-01-01 01:00:00", "2026-01-01 02:00:00", "2026-01-01 03:00:00"}},
        {"@weekly",
         "2026-01-01 00:00:00",
         {"2026-01-04 00:00:00", "2026-01-11 00:00:00", "2026-01-18 00:00:00"}},
        {"@yearly",
         "2026-01-01 00:00:00",
         {"2027-01-01 00:00:00", "2028-01-01 00:00:00", "2029-01-01 00:00:00"}},
        {"at(2026-01-02T03:04:05)",
         "2026-01-02 03:04:04",
         {"2026-01-02 03:04:05", "never", "never"}},
        {"at(2026-01-02T03:04:05)", "2026-01-02 03:04:05", {"never", "never", "never"}},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_cron c;
        struct hd_error err = {.msg = ""};
        int rc = hd_cron_parse(&c, hd_str(cases[i].schedule), &err);
        if (cases[i].after == NULL) {
            assert_int_equal(rc, HD_EINVAL);
            continue;
        }
        if (rc != 0)
            fail_msg("%s: %s", cases[i].schedule, err.msg);
        int64_t when = at(cases[i].after);
        for (size_t k = 0; k < 3; k++) {
            char have[32];
            when = hd_cron_next(&c, 0, when);
            if (strcmp(text_of(have, when), cases[i].due[k]) != 0)
                fail_msg("%s: run %zu is %s, not %s", cases[i].schedule, k + 1, text_of(have, when),
                         cases[i].due[k]);
            if (when == INT64_MAX)
                when = at("2199-12-31 23:59:59");
        }
    }
    (void)state;
}

static void rates_count_from_their_anchor(void **state)
{
    static const struct {
        const char *schedule;
        uint64_t period_s;
    } cases[] = {{"rate(1 second)", 1},    {"rate(30 seconds)", 30}, {"rate(1 minute)", 60},
                 {"rate(5 minutes)", 300}, {"rate(1 hour)", 3600},   {"rate(12 hours)", 43200},
                 {"rate(1 day)", 86400},   {"rate(7 days)", 604800}, {"rate( 5  minutes )", 300}};
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_cron c;
        if (hd_cron_parse(&c, hd_str(cases[i].schedule), NULL) != 0)
            fail_msg("%s", cases[i].schedule);
        int64_t p = (int64_t)cases[i].period_s;
        assert_int_equal(c.period_s, p);
        assert_int_equal(hd_cron_next(&c, 1000, 0), 1000 + p);
        assert_int_equal(hd_cron_next(&c, 1000, 1000), 1000 + p);
        assert_int_equal(hd_cron_next(&c, 1000, 1000 + p), 1000 + 2 * p);
        assert_int_equal(hd_cron_next(&c, 1000, 1000 + 10 * p - 1), 1000 + 10 * p);
    }
    (void)state;
}

static void what_is_no_schedule_is_refused(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "0 fields"},
        {"cron()", "0 fields"},
        {"cron(* * * *)", "4 fields"},
        {"cron(* * * * ? * *)", "7 fields"},
        {"every day", "2 fields"},
        {"rate()", "a number and a unit"},
        {"rate(5)", "must be \"1 minute\""},
        {"rate(minutes)", "a number and a unit"},
        {"rate(0 minutes)", "a number and a unit"},
        {"rate(-1 minutes)", "a number and a unit"},
        {"rate(1 minutes)", "must be \"1 minute\""},
        {"rate(5 minute)", "must be \"1 minute\""},
        {"rate(5 weeks)", "must be \"1 minute\""},
        {"rate(3661 days)", "ten years"},
        {"rate(99999999999999999999 days)", "a number and a unit"},
        {"cron(0 10 * * * *)", "must be \"?\", and only one"},
        {"cron(0 10 ? * ? *)", "must be \"?\", and only one"},
        {"cron(0 10 1 * MON *)", "must be \"?\", and only one"},
        {"cron(60 10 * * ? *)", "minute: \"60\" must be 0 to 59"},
        {"cron(0 24 * * ? *)", "hour: \"24\" must be 0 to 23"},
        {"cron(0 0 0 * ? *)", "day of month: \"0\" must be 1 to 31"},
        {"cron(0 0 32 * ? *)", "day of month: \"32\""},
        {"cron(0 0 1 13 ? *)", "month: \"13\""},
        {"cron(0 0 1 JANUARY ? *)", "month: \"JANUARY\""},
        {"cron(0 0 ? * 0 *)", "day of week: \"0\""},
        {"cron(0 0 ? * 8 *)", "day of week: \"8\""},
        {"cron(0 0 ? * MON#6 *)", "special forms"},
        {"cron(0 0 ? * MON#0 *)", "special forms"},
        {"cron(0 0 ? * 8L *)", "special forms"},
        {"cron(0 0 L-31 * ? *)", "special forms"},
        {"cron(0 0 Lx * ? *)", "special forms"},
        {"cron(0 0 32W * ? *)", "special forms"},
        {"cron(0 0 W * ? *)", "special forms"},
        {"cron(0 0 1 * ? 1969)", "year: \"1969\""},
        {"cron(0 0 1 * ? 2200)", "year: \"2200\""},
        {"cron(5-1 0 1 * ? *)", "ends before it begins"},
        {"cron(*/0 0 1 * ? *)", "no step that fits"},
        {"cron(*/61 0 1 * ? *)", "no step that fits"},
        {"cron(*/ 0 1 * ? *)", "no step that fits"},
        {"cron(1, 0 1 * ? *)", "minute: \"\" must be"},
        {"cron(1,,2 0 1 * ? *)", "minute: \"\" must be"},
        {"cron(a 0 1 * ? *)", "minute: \"a\""},
        {"cron(1-2-3 0 1 * ? *)", "minute: \"1-2-3\""},
        {"* * L * *", "day of month"},
        {"* * * * 8", "day of week"},
        {"@reboot", "1 fields"},
        {"at(2026-01-02)", "must be a time"},
        {"at(2026-02-30T00:00:00)", "must be a time"},
        {"at(2026-01-02T24:00:00)", "must be a time"},
        {"at(2026-01-02 03:04:05)", "must be a time"},
        {"at(1926-01-02T03:04:05)", "must be a time"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_cron c;
        struct hd_error err = {.msg = ""};
        if (hd_cron_parse(&c, hd_str(cases[i].text), &err) != HD_EINVAL ||
            strstr(err.msg, cases[i].why) == NULL)
            fail_msg("%s: %s", cases[i].text, err.msg);
    }
    char text[400];
    struct hd_cron c;
    memset(text, '1', sizeof(text));
    assert_int_equal(hd_cron_parse(&c, hd_str_n(text, sizeof(text)), NULL), HD_EINVAL);
    (void)state;
}

/* The slow and simple way: is this minute due? */
static bool due(const struct hd_cron *c, int64_t unix_s)
{
    return hd_cron_next(c, 0, unix_s - 1) == unix_s;
}

static void nothing_is_left_out_and_nothing_comes_twice(void **state)
{
    static const char *const schedules[] = {"cron(7/13 */5 ? * MON,WED-THU *)", "3 4 5,20 * 2",
                                            "cron(0 0 L,10W,1 * ? *)"};
    for (size_t i = 0; i < HD_COUNT(schedules); i++) {
        struct hd_cron c;
        assert_int_equal(hd_cron_parse(&c, hd_str(schedules[i]), NULL), 0);
        int64_t from = at("2024-02-01 00:00:00"), to = at("2024-04-01 00:00:00"), next = from;
        for (int64_t t = from + 60; t < to; t += 60) {
            if (next < t)
                next = hd_cron_next(&c, 0, next);
            if (due(&c, t) != (next == t))
                fail_msg("%s at %lld", schedules[i], (long long)t);
        }
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_due_when_it_says),
        cmocka_unit_test(rates_count_from_their_anchor),
        cmocka_unit_test(what_is_no_schedule_is_refused),
        cmocka_unit_test(nothing_is_left_out_and_nothing_comes_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
