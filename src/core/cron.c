#include "core/cron.h"

#include <time.h>

enum { YEAR_MIN = 1970, YEAR_MAX = 2199, RATE_MAX_S = 10 * 366 * 86400 };

static const char *const month_names[] = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                          "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
static const char *const day_names[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"};

/* --- fields --- */

struct field {
    const char *what;
    unsigned min, max;
    const char *const *names; /* of min, min + 1, ...; or NULL */
    size_t n_names;
    bool wraps; /* FRI-MON */
};

/* Called for each value that a part of a field names. */
typedef void set_fn(struct hd_cron *c, unsigned value);

static void set_minute(struct hd_cron *c, unsigned v)
{
    c->minutes |= UINT64_C(1) << v;
}
static void set_hour(struct hd_cron *c, unsigned v)
{
    c->hours |= 1u << v;
}
static void set_day(struct hd_cron *c, unsigned v)
{
    c->days |= 1u << v;
}
static void set_month(struct hd_cron *c, unsigned v)
{
    c->months |= (uint16_t)(1u << v);
}
static void set_weekday(struct hd_cron *c, unsigned v) /* 1 is Sunday */
{
    c->weekdays |= (uint8_t)(1u << (v - 1));
}
static void set_classic_weekday(struct hd_cron *c, unsigned v) /* 0 and 7 are Sunday */
{
    c->weekdays |= (uint8_t)(1u << v % 7);
}
static void set_year(struct hd_cron *c, unsigned v)
{
    c->years[(v - YEAR_MIN) / 64] |= UINT64_C(1) << (v - YEAR_MIN) % 64;
}

static int bad(struct hd_error *err, const struct field *f, struct hd_str part, const char *why)
{
    return hd_fail(err, HD_EINVAL, "schedule: %s: \"%.*s\" %s", f->what,
                   (int)HD_MIN(part.len, (size_t)32), part.ptr, why);
}

/* A number or a name. @return 0, or HD_EINVAL. */
static int read_value(unsigned *out, const struct field *f, struct hd_str s)
{
    uint64_t n;
    for (size_t i = 0; i < f->n_names; i++) {
        if (hd_str_is_nocase(s, f->names[i])) {
            *out = f->min + (unsigned)i;
            return 0;
        }
    }
    if (s.len > 4 || hd_str_to_u64(&n, s) < 0 || n < f->min || n > f->max)
        return HD_EINVAL;
    *out = (unsigned)n;
    return 0;
}

static int read_range(unsigned *low, unsigned *high, const struct field *f, struct hd_str range,
                      bool open_end)
{
    struct hd_str from, to = range;
    *low = f->min;
    *high = f->max;
    if (hd_str_is(range, "*"))
        return 0;
    hd_str_split(&from, &to, '-');
    if (read_value(low, f, from) < 0)
        return HD_EINVAL;
    if (to.ptr == NULL) {
        *high = open_end ? f->max : *low;
        return 0;
    }
    return read_value(high, f, to);
}

/* "*", "5", "1-5", "MON-FRI", each with "/2". */
static int read_part(struct hd_cron *c, const struct field *f, struct hd_str part, set_fn *set,
                     struct hd_error *err)
{
    struct hd_str range, step_text = part;
    hd_str_split(&range, &step_text, '/');
    uint64_t step = 1;
    unsigned low, high, span = f->max - f->min + 1;
    if (step_text.ptr != NULL && (hd_str_to_u64(&step, step_text) < 0 || step < 1 || step > span))
        return bad(err, f, part, "has no step that fits");
    if (read_range(&low, &high, f, range, step_text.ptr != NULL) < 0)
        return hd_fail(err, HD_EINVAL, "schedule: %s: \"%.*s\" must be %u to %u, or a name",
                       f->what, (int)HD_MIN(part.len, (size_t)32), part.ptr, f->min, f->max);
    if (low > high && !f->wraps)
        return bad(err, f, part, "ends before it begins");
    unsigned count = low <= high ? high - low : high + span - low;
    for (unsigned i = 0; i <= count; i += (unsigned)step)
        set(c, f->min + (low - f->min + i) % span);
    return 0;
}

static int read_field(struct hd_cron *c, const struct field *f, struct hd_str text, set_fn *set,
                      int (*special)(struct hd_cron *c, struct hd_str part), struct hd_error *err)
{
    struct hd_str rest = text, part;
    while (hd_str_split(&part, &rest, ',')) {
        int rc = special != NULL ? special(c, part) : 0;
        if (rc == 0)
            rc = read_part(c, f, part, set, err);
        else if (rc < 0)
            rc = bad(err, f, part, "is none of its special forms");
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* --- special days: @return 1 when it was one, 0 when it is ordinary, HD_EINVAL when it is neither
 */

static int special_day(struct hd_cron *c, struct hd_str part)
{
    uint64_t n;
    if (hd_str_is_nocase(part, "L")) {
        c->last_days |= 1;
        return 1;
    }
    if (hd_str_is_nocase(part, "LW") || hd_str_is_nocase(part, "WL")) {
        c->last_workday = true;
        return 1;
    }
    char first = (char)(part.len > 0 ? part.ptr[0] | 0x20 : '\0');
    char last = (char)(part.len > 0 ? part.ptr[part.len - 1] | 0x20 : '\0');
    if (first == 'l') {
        if (part.len < 3 || part.ptr[1] != '-' ||
            hd_str_to_u64(&n, hd_str_n(part.ptr + 2, part.len - 2)) < 0 || n > 30)
            return HD_EINVAL;
        c->last_days |= 1u << n;
        return 1;
    }
    if (last == 'w') {
        if (hd_str_to_u64(&n, hd_str_n(part.ptr, part.len - 1)) < 0 || n < 1 || n > 31)
            return HD_EINVAL;
        c->near_days |= 1u << n;
        return 1;
    }
    return 0;
}

static const struct field weekday_field = {"day of week", 1, 7, day_names, 7, true};

static int special_weekday(struct hd_cron *c, struct hd_str part)
{
    unsigned day;
    uint64_t nth;
    if (hd_str_is_nocase(part, "L")) {
        c->weekdays |= 1u << 6; /* the last one of the week */
        return 1;
    }
    size_t hash = hd_str_find(part, '#');
    if (hash < part.len) {
        if (read_value(&day, &weekday_field, hd_str_n(part.ptr, hash)) < 0 ||
            hd_str_to_u64(&nth, hd_str_n(part.ptr + hash + 1, part.len - hash - 1)) < 0 ||
            nth < 1 || nth > 5)
            return HD_EINVAL;
        c->nth_weekdays[nth - 1] |= (uint8_t)(1u << (day - 1));
        return 1;
    }
    char last = (char)(part.len > 0 ? part.ptr[part.len - 1] | 0x20 : '\0');
    if (last != 'l')
        return 0;
    if (read_value(&day, &weekday_field, hd_str_n(part.ptr, part.len - 1)) < 0)
        return HD_EINVAL;
    c->last_weekdays |= (uint8_t)(1u << (day - 1));
    return 1;
}

/* --- whole expressions --- */

static int read_cloud(struct hd_cron *c, const struct hd_str *f, struct hd_error *err)
{
    static const struct field minute = {"minute", 0, 59, NULL, 0, false},
                              hour = {"hour", 0, 23, NULL, 0, false},
                              day = {"day of month", 1, 31, NULL, 0, false},
                              month = {"month", 1, 12, month_names, 12, true},
                              year = {"year", YEAR_MIN, YEAR_MAX, NULL, 0, false};
    c->any_day = hd_str_is(f[2], "?");
    c->any_weekday = hd_str_is(f[4], "?");
    if (c->any_day == c->any_weekday)
        return hd_fail(err, HD_EINVAL,
                       "schedule: one of day of month and day of week must be \"?\", and only one");
    int rc = read_field(c, &minute, f[0], set_minute, NULL, err);
    if (rc == 0)
        rc = read_field(c, &hour, f[1], set_hour, NULL, err);
    if (rc == 0 && !c->any_day)
        rc = read_field(c, &day, f[2], set_day, special_day, err);
    if (rc == 0)
        rc = read_field(c, &month, f[3], set_month, NULL, err);
    if (rc == 0 && !c->any_weekday)
        rc = read_field(c, &weekday_field, f[4], set_weekday, special_weekday, err);
    if (rc == 0)
        rc = read_field(c, &year, f[5], set_year, NULL, err);
    return rc;
}

static int read_classic(struct hd_cron *c, const struct hd_str *f, struct hd_error *err)
{
    static const struct field minute = {"minute", 0, 59, NULL, 0, false},
                              hour = {"hour", 0, 23, NULL, 0, false},
                              day = {"day of month", 1, 31, NULL, 0, false},
                              month = {"month", 1, 12, month_names, 12, false},
                              weekday = {"day of week", 0, 7, day_names, 7, false};
    c->any_day = hd_str_is(f[2], "*");
    c->any_weekday = hd_str_is(f[4], "*");
    c->either = f[2].ptr[0] != '*' && f[4].ptr[0] != '*'; /* a step alone does not count there */
    memset(c->years, 0xff, sizeof(c->years));
    int rc = read_field(c, &minute, f[0], set_minute, NULL, err);
    if (rc == 0)
        rc = read_field(c, &hour, f[1], set_hour, NULL, err);
    if (rc == 0)
        rc = read_field(c, &day, f[2], set_day, NULL, err);
    if (rc == 0)
        rc = read_field(c, &month, f[3], set_month, NULL, err);
    if (rc == 0)
        rc = read_field(c, &weekday, f[4], set_classic_weekday, NULL, err);
    return rc;
}

static int read_cron(struct hd_cron *c, struct hd_str text, struct hd_error *err)
{
    struct hd_str fields[6];
    size_t n = 0, at = 0;
    for (;;) {
        while (at < text.len && (text.ptr[at] == ' ' || text.ptr[at] == '\t'))
            at++;
        size_t from = at;
        while (at < text.len && text.ptr[at] != ' ' && text.ptr[at] != '\t')
            at++;
        if (at == from)
            break;
        if (n++ < HD_COUNT(fields))
            fields[n - 1] = hd_str_n(text.ptr + from, at - from);
    }
    c->kind = HD_CRON_FIELDS;
    if (n == 6)
        return read_cloud(c, fields, err);
    if (n == 5)
        return read_classic(c, fields, err);
    return hd_fail(err, HD_EINVAL, "schedule: %zu fields, must be 6 (or 5, as in a crontab)", n);
}

static int read_rate(struct hd_cron *c, struct hd_str text, struct hd_error *err)
{
    static const struct {
        const char *name;
        uint64_t seconds;
    } units[] = {{"second", 1}, {"minute", 60}, {"hour", 3600}, {"day", 86400}};
    struct hd_str number, unit = hd_str_trim(text);
    uint64_t n;
    hd_str_split(&number, &unit, ' ');
    unit = hd_str_trim(unit);
    if (hd_str_to_u64(&n, number) < 0 || n < 1 || n > RATE_MAX_S)
        return hd_fail(err, HD_EINVAL, "schedule: rate(%.*s): must be a number and a unit",
                       (int)HD_MIN(text.len, (size_t)64), text.ptr);
    bool plural = hd_str_ends(unit, hd_str("s"));
    unit.len -= plural ? 1 : 0;
    for (size_t i = 0; i < HD_COUNT(units); i++) {
        if (!hd_str_is(unit, units[i].name) || plural != (n > 1) ||
            n * units[i].seconds > RATE_MAX_S)
            continue;
        c->kind = HD_CRON_RATE;
        c->period_s = n * units[i].seconds;
        return 0;
    }
    return hd_fail(
        err, HD_EINVAL,
        "schedule: rate(%.*s): must be \"1 minute\", \"5 minutes\", or of seconds, hours, "
        "days; at most ten years",
        (int)HD_MIN(text.len, (size_t)64), text.ptr);
}

static int read_at(struct hd_cron *c, struct hd_str text, struct hd_error *err)
{
    static const char form[] = "0000-00-00T00:00:00";
    static const uint8_t ends[] = {4, 7, 10, 13, 16, 19};
    int n[HD_COUNT(ends)] = {0};
    text = hd_str_trim(text);
    bool good = text.len == sizeof(form) - 1;
    for (size_t i = 0, part = 0; good && i < text.len; i++) {
        good = form[i] == '0' ? text.ptr[i] >= '0' && text.ptr[i] <= '9' : text.ptr[i] == form[i];
        if (i == ends[part])
            part++;
        else
            n[part] = n[part] * 10 + (text.ptr[i] - '0');
    }
    struct tm t = {n[5], n[4], n[3], n[2], n[1] - 1, n[0] - 1900}, same = t;
    c->kind = HD_CRON_AT;
    c->at_unix_s = timegm(&same);
    if (!good || same.tm_mon != t.tm_mon || same.tm_mday != t.tm_mday ||
        same.tm_hour != t.tm_hour || same.tm_min != t.tm_min || same.tm_sec != t.tm_sec ||
        c->at_unix_s < 0)
        return hd_fail(err, HD_EINVAL,
                       "schedule: at(%.*s): must be a time as \"2026-01-02T03:04:05\"",
                       (int)HD_MIN(text.len, (size_t)32), text.ptr);
    return 0;
}

/* Take "name(" and ")" off. */
static bool unwrap(struct hd_str *text, const char *name)
{
    size_t n = strlen(name);
    if (text->len < n + 2 || !hd_str_starts(*text, hd_str(name)) || text->ptr[n] != '(' ||
        text->ptr[text->len - 1] != ')')
        return false;
    *text = hd_str_n(text->ptr + n + 1, text->len - n - 2);
    return true;
}

int hd_cron_parse(struct hd_cron *out, struct hd_str text, struct hd_error *err)
{
    static const struct {
        const char *name, *fields;
    } words[] = {{"@hourly", "0 * * * *"},  {"@daily", "0 0 * * *"},   {"@midnight", "0 0 * * *"},
                 {"@weekly", "0 0 * * 0"},  {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"},
                 {"@annually", "0 0 1 1 *"}};
    struct hd_cron c = {.kind = HD_CRON_NONE};
    text = hd_str_trim(text);
    for (size_t i = 0; i < HD_COUNT(words); i++)
        if (hd_str_is(text, words[i].name))
            text = hd_str(words[i].fields);
    unwrap(&text, "cron");
    int rc;
    if (text.len > 256)
        rc = hd_fail(err, HD_EINVAL, "schedule: longer than 256 characters");
    else if (unwrap(&text, "rate"))
        rc = read_rate(&c, text, err);
    else if (unwrap(&text, "at"))
        rc = read_at(&c, text, err);
    else
        rc = read_cron(&c, text, err);
    if (rc == 0)
        *out = c;
    return rc;
}

/* --- when --- */

/* A month: its first day's weekday (0 is Sunday) and how many days it has. */
struct month {
    int first_weekday, days;
    int64_t starts_unix_s;
};

static struct month month_of(int year, int month)
{
    struct tm first = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = 1};
    struct tm next = {.tm_year = year - 1900, .tm_mon = month, .tm_mday = 1};
    int64_t from = timegm(&first), to = timegm(&next);
    return (struct month){first.tm_wday, (int)((to - from) / 86400), from};
}

/* The working day nearest to @p day, without leaving the month. */
static int workday_near(const struct month *m, int day)
{
    switch ((m->first_weekday + day - 1) % 7) {
    case 6:
        return day > 1 ? day - 1 : 3;
    case 0:
        return day < m->days ? day + 1 : day - 2;
    default:
        return day;
    }
}

static bool fits_day(const struct hd_cron *c, const struct month *m, int day)
{
    if (c->any_day || (c->days >> day & 1) != 0 || (c->last_days >> (m->days - day) & 1) != 0)
        return true;
    if (c->last_workday && workday_near(m, m->days) == day)
        return true;
    for (int near = 1; c->near_days != 0 && near <= m->days; near++)
        if ((c->near_days >> near & 1) != 0 && workday_near(m, near) == day)
            return true;
    return false;
}

static bool fits_weekday(const struct hd_cron *c, const struct month *m, int day)
{
    unsigned weekday = (unsigned)(m->first_weekday + day - 1) % 7;
    return c->any_weekday || (c->weekdays >> weekday & 1) != 0 ||
           ((c->last_weekdays >> weekday & 1) != 0 && day + 7 > m->days) ||
           (c->nth_weekdays[(day - 1) / 7] >> weekday & 1) != 0;
}

static bool fits(const struct hd_cron *c, const struct month *m, int day)
{
    bool d = fits_day(c, m, day), w = fits_weekday(c, m, day);
    return c->either ? d || w : d && w;
}

/* The first hour and minute of a day from @p from_s (seconds of the day) on. @return -1: none. */
static int64_t time_of_day(const struct hd_cron *c, int64_t from_s)
{
    for (int64_t minute = (from_s + 59) / 60; minute < 1440; minute++) {
        if ((c->hours >> minute / 60 & 1) == 0)
            minute += 59 - minute % 60;
        else if ((c->minutes >> minute % 60 & 1) != 0)
            return minute * 60;
    }
    return -1;
}

static int64_t next_of_fields(const struct hd_cron *c, int64_t after_unix_s)
{
    int64_t from = HD_MAX(after_unix_s + 1, INT64_C(0));
    time_t start = (time_t)from;
    struct tm t;
    if (gmtime_r(&start, &t) == NULL)
        return INT64_MAX;
    int year = t.tm_year + 1900, month = t.tm_mon + 1, day = t.tm_mday;
    int64_t of_day = from % 86400;
    for (; year <= YEAR_MAX; year++, month = 1) {
        unsigned bit = (unsigned)(year - YEAR_MIN);
        for (; (c->years[bit / 64] >> bit % 64 & 1) != 0 && month <= 12;
             month++, day = 1, of_day = 0) {
            if ((c->months >> month & 1) == 0)
                continue;
            struct month m = month_of(year, month);
            for (; day <= m.days; day++, of_day = 0) {
                int64_t at = fits(c, &m, day) ? time_of_day(c, of_day) : -1;
                if (at >= 0)
                    return m.starts_unix_s + (int64_t)(day - 1) * 86400 + at;
            }
        }
        day = 1;
        of_day = 0;
    }
    return INT64_MAX;
}

int64_t hd_cron_next(const struct hd_cron *c, int64_t anchor_unix_s, int64_t after_unix_s)
{
    int64_t period, next;
    switch (c->kind) {
    case HD_CRON_RATE:
        period = (int64_t)c->period_s;
        if (after_unix_s < anchor_unix_s)
            return anchor_unix_s + period;
        next = anchor_unix_s + ((after_unix_s - anchor_unix_s) / period + 1) * period;
        return next;
    case HD_CRON_AT:
        return after_unix_s < c->at_unix_s ? c->at_unix_s : INT64_MAX;
    case HD_CRON_FIELDS:
        return next_of_fields(c, after_unix_s);
    case HD_CRON_NONE:
        break;
    }
    return INT64_MAX;
}
