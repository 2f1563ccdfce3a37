/* core/cron.h - when something that is repeated is due: "rate(5 minutes)", the cron of cloud
 * schedulers and the classic one. Pure, in UTC. */
#pragma once

#include "core/base.h"

/** What a schedule says; plain data, to be copied at will. Zeroed is none. */
struct hd_cron {
    enum { HD_CRON_NONE, HD_CRON_RATE, HD_CRON_FIELDS, HD_CRON_AT } kind;
    uint64_t period_s; /* rate */
    int64_t at_unix_s; /* at, as if it were UTC */
    /* Bits: minute 0-59, hour 0-23, month 1-12, day 1-31, weekday 0-6 (0 is Sunday), year - 1970.
     */
    uint64_t minutes, years[4];
    uint32_t hours, days;
    uint32_t last_days; /* days counted back from the last one, which is bit 0 */
    uint32_t near_days; /* the weekday nearest to these */
    uint16_t months;
    uint8_t weekdays;
    uint8_t last_weekdays;     /* the last such weekday of the month */
    uint8_t nth_weekdays[5];   /* the first, second, ... such weekday of the month */
    bool last_workday;         /* LW */
    bool any_day, any_weekday; /* that field does not restrict */
    bool either;               /* classic: one of both fields is enough */
};

/**
 * Read a schedule:
 * - "rate(1 minute)", "rate(5 hours)", also of seconds and days;
 * - "at(2026-01-02T03:04:05)": once;
 * - "cron(0 12 ? * MON-FRI *)": minute, hour, day of month, month, day of week (1 is Sunday), year;
 *   with , - / * and ? (in one of the two day fields), L, LW, L-3, 15W (day of month), 6L and 6#3
 *   (day of week), names of months and days in any case;
 * - five fields: as crontab(5), where 0 and 7 are Sunday, and a day that fits one of two day fields
 *   that both restrict is enough; "@hourly", "@daily", "@weekly", "@monthly", "@yearly".
 * "cron(" and ")" may be left out.
 * @return 0, or HD_EINVAL: the message names the field.
 */
int hd_cron_parse(struct hd_cron *out, struct hd_str text, struct hd_error *err);

/**
 * @param anchor_unix_s  what a rate counts from.
 * @return the first time that is due after @p after_unix_s; INT64_MAX: never again.
 */
int64_t hd_cron_next(const struct hd_cron *c, int64_t anchor_unix_s, int64_t after_unix_s);
