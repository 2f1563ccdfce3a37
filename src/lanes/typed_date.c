/* typed_date.c - dates as JavaScript writes and reads them (ECMA-262 section 21.4.1.32). */
#include "lanes/typed_private.h"

#include <math.h>

#define RANGE_MS 8.64e15 /* furthest from 1970 that a Date can be */

static const int64_t DAY_MS = 86400000;

/* Days since 1970 of a date in the proleptic Gregorian calendar, by 400-year eras. */
static int64_t days_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400, of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void date_of(int64_t days, int64_t *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097, of_era = days - era * 146097;
    int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;
    *day = (int)(of_year - (153 * m + 2) / 5 + 1);
    *month = (int)(m < 10 ? m + 3 : m - 9);
    *year = y + era * 400 + (*month <= 2);
}

/* So many digits, and what comes behind them. @return the next place. */
static char *put(char *to, int64_t value, int digits, char after)
{
    to[digits] = after;
    for (int i = digits; i-- > 0; value /= 10)
        to[i] = (char)('0' + value % 10);
    return to + digits + 1;
}

void hd_typed_iso(char *out, double unix_ms)
{
    int64_t ms = (int64_t)unix_ms, days = ms / DAY_MS, rest = ms % DAY_MS, year;
    int month, day;
    if (rest < 0) {
        rest += DAY_MS;
        days--;
    }
    date_of(days, &year, &month, &day);
    bool large = year > 9999 || year < 0;
    if (large)
        *out++ = year < 0 ? '-' : '+';
    out = put(out, year < 0 ? -year : year, large ? 6 : 4, '-');
    out = put(out, month, 2, '-');
    out = put(out, day, 2, 'T');
    out = put(out, rest / 3600000, 2, ':');
    out = put(out, rest / 60000 % 60, 2, ':');
    out = put(out, rest / 1000 % 60, 2, '.');
    out = put(out, rest % 1000, 3, 'Z');
    *out = '\0';
}

/* Exactly @p n digits. */
static bool number(int64_t *out, struct hd_str *s, size_t n)
{
    int64_t value = 0;
    if (s->len < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (s->ptr[i] < '0' || s->ptr[i] > '9')
            return false;
        value = value * 10 + (s->ptr[i] - '0');
    }
    *out = value;
    s->ptr += n;
    s->len -= n;
    return true;
}

static bool take(struct hd_str *s, char c)
{
    if (s->len == 0 || *s->ptr != c)
        return false;
    s->ptr++;
    s->len--;
    return true;
}

static bool year_of(int64_t *out, struct hd_str *s)
{
    if (take(s, '+'))
        return number(out, s, 6);
    if (!take(s, '-'))
        return number(out, s, 4);
    bool ok = number(out, s, 6) && *out != 0;
    *out = -*out;
    return ok;
}

/* Digits after the point; what is below a millisecond is cut off. */
static bool fraction(int64_t *out, struct hd_str *s)
{
    size_t n = 0;
    int64_t value = 0;
    while (s->len > 0 && *s->ptr >= '0' && *s->ptr <= '9') {
        if (n++ < 3)
            value = value * 10 + (*s->ptr - '0');
        s->ptr++;
        s->len--;
    }
    for (size_t i = n; i < 3; i++)
        value *= 10;
    *out = value;
    return n > 0;
}

/* What follows the T. Without an offset it is UTC: a node has no time zone of its own. */
static bool time_of(int64_t *ms, struct hd_str *s)
{
    int64_t hour, minute, second = 0, milli = 0, off_hour, off_minute;
    if (!number(&hour, s, 2) || !take(s, ':') || !number(&minute, s, 2))
        return false;
    if (take(s, ':') && !number(&second, s, 2))
        return false;
    if (take(s, '.') && !fraction(&milli, s))
        return false;
    if (minute > 59 || second > 59 || hour > 24 || (hour == 24 && (minute | second | milli) != 0))
        return false;
    *ms = ((hour * 60 + minute) * 60 + second) * 1000 + milli;
    if (s->len == 0 || take(s, 'Z'))
        return s->len == 0;
    bool west = *s->ptr == '-';
    if (!take(s, west ? '-' : '+') || !number(&off_hour, s, 2) || !take(s, ':') ||
        !number(&off_minute, s, 2) || off_hour > 23 || off_minute > 59)
        return false;
    int64_t offset = (off_hour * 60 + off_minute) * 60000;
    *ms += west ? offset : -offset;
    return s->len == 0;
}

bool hd_typed_iso_parse(double *unix_ms, struct hd_str s)
{
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t year, month = 1, day = 1, ms = 0;
    if (!year_of(&year, &s))
        return false;
    if (take(&s, '-')) {
        if (!number(&month, &s, 2) || month < 1 || month > 12)
            return false;
        if (take(&s, '-') && !number(&day, &s, 2))
            return false;
    }
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day < 1 || day > month_days[month - 1] + (month == 2 && leap))
        return false;
    if (s.len > 0 && (!take(&s, 'T') || !time_of(&ms, &s)))
        return false;
    double value = (double)(days_of(year, (int)month, (int)day) * DAY_MS + ms);
    if (s.len > 0 || fabs(value) > RANGE_MS)
        return false;
    *unix_ms = value;
    return true;
}
