#include "http/format.h"

/* Days since 1970 to a date of the Gregorian calendar. Years are counted from March, so that the
 * leap day is the last of a year; 400 of them have 146097 days. */
static void civil(int64_t days, unsigned *year, unsigned *month, unsigned *day)
{
    const unsigned since_0000_03 = (unsigned)(days + 719468);
    const unsigned era = since_0000_03 / 146097, of_era = since_0000_03 % 146097;
    const unsigned y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const unsigned of_year = of_era - (365 * y + y / 4 - y / 100);
    const unsigned m = (5 * of_year + 2) / 153; /* 0 is March */
    *day = of_year - (153 * m + 2) / 5 + 1;
    *month = m < 10 ? m + 3 : m - 9;
    *year = y + era * 400 + (*month <= 2);
}

static char *two(char *at, unsigned n)
{
    at[0] = (char)('0' + n / 10 % 10);
    at[1] = (char)('0' + n % 10);
    return at + 2;
}

void hd_date_format(char out[HD_DATE_CHARS + 1], int64_t unix_s)
{
    static const char days[][4] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const int64_t end = 253402300799; /* 9999-12-31 23:59:59 */
    const int64_t t = unix_s < 0 ? 0 : unix_s > end ? end : unix_s;
    const unsigned of_day = (unsigned)(t % 86400);
    unsigned year, month, day;
    civil(t / 86400, &year, &month, &day);
    char *at = out;
    memcpy(at, days[t / 86400 % 7], 3);
    memcpy(at + 3, ", ", 2);
    at = two(at + 5, day);
    *at++ = ' ';
    memcpy(at, months[month - 1], 3);
    at[3] = ' ';
    at = two(two(at + 4, year / 100), year % 100);
    *at++ = ' ';
    at = two(at, of_day / 3600);
    *at++ = ':';
    at = two(at, of_day / 60 % 60);
    *at++ = ':';
    at = two(at, of_day % 60);
    memcpy(at, " GMT", 5);
}
