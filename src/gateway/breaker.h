/* gateway/breaker.h - circuit breaker of one function: stop calling it while it keeps failing. */
#pragma once

#include "core/base.h"

/** All times in ms. */
struct hd_breaker_options {
    double error_rate;         /* above 0, up to 1: opens when so much of the window failed; 0: no
                                  rate opens it */
    uint32_t window;           /* outcomes looked at, 1 to HD_BREAKER_WINDOW_MAX */
    uint32_t min_requests;     /* in the window before the rate counts; 0: all of it */
    uint32_t window_ms;        /* outcomes older than this do not count; 0: all do */
    uint32_t consecutive;      /* opens after so many failures in a row; 0: no number does */
    uint32_t cooldown_ms;      /* how long it stays open the first time, 1 or more */
    uint32_t half_open_probes; /* requests that may try at once after that; 0: 1 */
    uint64_t seed;             /* of the jitter; 0: random */
};
enum { HD_BREAKER_WINDOW_MAX = 65536 };

enum hd_breaker_state { HD_BREAKER_CLOSED, HD_BREAKER_OPEN, HD_BREAKER_HALF_OPEN };

/** How a request ended. */
enum hd_breaker_outcome {
    HD_BREAKER_OK,     /* any answer below 500 */
    HD_BREAKER_FAILED, /* the function's own doing: its 5xx, a throw, a timeout, its crash */
    HD_BREAKER_VOID,   /* says nothing about it: the client left, or we failed */
};

/** What a report changed, to be logged once by the one who is told. */
enum hd_breaker_change { HD_BREAKER_SAME, HD_BREAKER_OPENED, HD_BREAKER_REOPENED, HD_BREAKER_SHUT };

struct hd_breaker_stats {
    enum hd_breaker_state state;
    uint32_t window, errors; /* outcomes in the window, and failures among them */
    uint64_t opened_total;   /* times that it opened */
    uint64_t rejected_total; /* requests turned away */
    uint64_t opened_ms;      /* when it opened last; 0: never */
};

/**
 * Any thread. While it is closed and everything goes well, asking and reporting read two atomics
 * and write nothing; a failure and the other states take a short lock.
 */
struct hd_breaker;

/**
 * @return 0 and *out, the caller's to free; or HD_EINVAL. A breaker that nothing opens
 *         (error_rate and consecutive both 0) is fine: it admits everything.
 */
int hd_breaker_new(struct hd_breaker **out, const struct hd_breaker_options *opt,
                   struct hd_error *err);
void hd_breaker_free(struct hd_breaker *b); /* NULL is fine */

/**
 * Ask to send one request.
 * @param now_ms          monotonic; here and below.
 * @param retry_after_ms  set when turned away: when to ask again, 1 or more.
 * @return a pass to report with, exactly once; or 0: turned away.
 */
uint64_t hd_breaker_admit(struct hd_breaker *b, uint64_t now_ms, uint64_t *retry_after_ms);
/** Report how it went. A pass from before the last change of state is void. */
enum hd_breaker_change hd_breaker_report(struct hd_breaker *b, uint64_t pass,
                                         enum hd_breaker_outcome outcome, uint64_t now_ms);
/** Close and forget: the function was reloaded, or its instances were replaced. */
void hd_breaker_reset(struct hd_breaker *b);
void hd_breaker_stats(struct hd_breaker_stats *out, struct hd_breaker *b, uint64_t now_ms);
/** @return "closed", "open" or "half_open". */
const char *hd_breaker_state_name(enum hd_breaker_state state);

HD_AUTO(hd_breaker)
