/*             rate or row reached                cooldown over, somebody asks
 *  CLOSED ─────────────────────────► OPEN ───────────────────────────────────► HALF_OPEN
 *    ▲                                 ▲                                        │    │
 *    │                                 └──── a probe failed: cooldown x 2 ──────┘    │
 *    └───────────────────────────────────────── a probe went well ───────────────────┘
 *
 *  Each state that is entered has an epoch of its own, which is the pass: what was admitted in an
 *  earlier one reports in vain.                                                               */
#include "gateway/breaker.h"

#include "core/id.h"

#include <pthread.h>
#include <stdatomic.h>

static const uint64_t COOLDOWN_MAX_MS = 10 * 60 * 1000;

/* One outcome: when, shifted left, and whether it failed in the lowest bit. */
static uint64_t outcome_of(bool failed, uint64_t now_ms)
{
    return now_ms << 1 | failed;
}

struct hd_breaker {
    struct hd_breaker_options opt;
    _Atomic uint64_t open_pass; /* the pass while CLOSED, 0 in other states */
    _Atomic bool calm;          /* the window is full of successes: one more changes nothing */
    _Atomic uint64_t rejected_total;

    pthread_mutex_t lock; /* guards what follows */
    enum hd_breaker_state state;
    uint64_t epoch, since_ms, cooldown_ms; /* cooldown of the current OPEN */
    uint32_t reopened;                     /* times in a row */
    uint32_t probes;                       /* under way in HALF_OPEN */
    uint64_t opened_total, opened_ms;
    struct hd_rng rng;
    uint64_t *ring; /* oldest at `first` */
    uint32_t first, len, errors, row;
};

static void forget(struct hd_breaker *b)
{
    b->first = b->len = b->errors = b->row = 0;
    atomic_store_explicit(&b->calm, false, memory_order_relaxed);
}

static void enter(struct hd_breaker *b, enum hd_breaker_state state, uint64_t now_ms)
{
    b->state = state;
    b->since_ms = now_ms;
    b->epoch++;
    b->probes = 0;
    forget(b);
    atomic_store_explicit(&b->open_pass, state == HD_BREAKER_CLOSED ? b->epoch : 0,
                          memory_order_release);
}

/* Twice as long each time in a row, and a little off, so that breakers which opened together do
 * not all probe together. */
static uint64_t next_cooldown(struct hd_breaker *b)
{
    uint64_t base = b->opt.cooldown_ms, max = HD_MAX(base, COOLDOWN_MAX_MS);
    for (uint32_t i = 0; i < b->reopened && base < max; i++)
        base *= 2;
    base = HD_MIN(base, max);
    if (b->reopened == 0)
        return base;
    uint64_t tenth = base / 10;
    return base - tenth + hd_rng_below(&b->rng, 2 * tenth + 1);
}

static void trip(struct hd_breaker *b, uint64_t now_ms)
{
    b->cooldown_ms = next_cooldown(b);
    b->opened_total++;
    b->opened_ms = now_ms;
    enter(b, HD_BREAKER_OPEN, now_ms);
}

int hd_breaker_new(struct hd_breaker **out, const struct hd_breaker_options *opt,
                   struct hd_error *err)
{
    if (!(opt->error_rate >= 0 && opt->error_rate <= 1))
        return hd_fail(err, HD_EINVAL, "breaker: error_rate must be between 0 and 1");
    if (opt->window == 0 || opt->window > HD_BREAKER_WINDOW_MAX)
        return hd_fail(err, HD_EINVAL, "breaker: window must be 1 to %d, not %u",
                       HD_BREAKER_WINDOW_MAX, opt->window);
    if (opt->min_requests > opt->window)
        return hd_fail(err, HD_EINVAL, "breaker: min_requests (%u) is over the window (%u)",
                       opt->min_requests, opt->window);
    if (opt->cooldown_ms == 0)
        return hd_fail(err, HD_EINVAL, "breaker: cooldown_ms must be at least 1");

    struct hd_breaker *b = hd_new(struct hd_breaker);
    b->opt = *opt;
    if (b->opt.half_open_probes == 0)
        b->opt.half_open_probes = 1;
    if (b->opt.min_requests == 0)
        b->opt.min_requests = opt->window;
    pthread_mutex_init(&b->lock, NULL);
    hd_rng_init(&b->rng, opt->seed);
    b->ring = hd_new_array(uint64_t, opt->window);
    enter(b, HD_BREAKER_CLOSED, 0);
    *out = b;
    return 0;
}

void hd_breaker_free(struct hd_breaker *b)
{
    if (b == NULL)
        return;
    pthread_mutex_destroy(&b->lock);
    free(b->ring);
    free(b);
}

/* Time may seem to run backwards a little: loops look at their clocks at different moments. */
static uint64_t cooldown_left(const struct hd_breaker *b, uint64_t now_ms)
{
    uint64_t end = b->since_ms + b->cooldown_ms;
    return end > now_ms ? end - now_ms : 0;
}

static uint64_t admit_locked(struct hd_breaker *b, uint64_t now_ms, uint64_t *retry_after_ms)
{
    switch (b->state) {
    case HD_BREAKER_CLOSED:
        return b->epoch;
    case HD_BREAKER_OPEN:
        *retry_after_ms = cooldown_left(b, now_ms);
        if (*retry_after_ms > 0)
            return 0;
        enter(b, HD_BREAKER_HALF_OPEN, now_ms);
        break;
    case HD_BREAKER_HALF_OPEN:
        break;
    }
    if (b->probes < b->opt.half_open_probes) {
        b->probes++;
        return b->epoch;
    }
    *retry_after_ms = 1000; /* a probe is under way: soon somebody will know */
    return 0;
}

uint64_t hd_breaker_admit(struct hd_breaker *b, uint64_t now_ms, uint64_t *retry_after_ms)
{
    uint64_t pass = atomic_load_explicit(&b->open_pass, memory_order_acquire);
    if (pass != 0)
        return pass;
    pthread_mutex_lock(&b->lock);
    pass = admit_locked(b, now_ms, retry_after_ms);
    pthread_mutex_unlock(&b->lock);
    if (pass == 0)
        atomic_fetch_add_explicit(&b->rejected_total, 1, memory_order_relaxed);
    return pass;
}

static void drop_oldest(struct hd_breaker *b)
{
    b->errors -= (uint32_t)(b->ring[b->first] & 1);
    b->first = b->first + 1 < b->opt.window ? b->first + 1 : 0;
    b->len--;
}

static void drop_old(struct hd_breaker *b, uint64_t now_ms)
{
    while (b->opt.window_ms > 0 && b->len > 0 &&
           (b->ring[b->first] >> 1) + b->opt.window_ms <= now_ms)
        drop_oldest(b);
}

/* @return whether that is too much. */
static bool count(struct hd_breaker *b, bool failed, uint64_t now_ms)
{
    drop_old(b, now_ms);
    if (b->len == b->opt.window)
        drop_oldest(b);
    uint32_t at = b->first + b->len;
    b->ring[at < b->opt.window ? at : at - b->opt.window] = outcome_of(failed, now_ms);
    b->len++;
    b->errors += failed;
    b->row = failed ? b->row + 1 : 0;
    /* Times of success matter only where old ones are dropped. */
    bool calm = b->len == b->opt.window && b->errors == 0 && b->opt.window_ms == 0;
    atomic_store_explicit(&b->calm, calm, memory_order_relaxed);
    if (b->opt.consecutive > 0 && b->row >= b->opt.consecutive)
        return true;
    return b->opt.error_rate > 0 && b->len >= b->opt.min_requests &&
           (double)b->errors >= b->opt.error_rate * (double)b->len;
}

static enum hd_breaker_change report_locked(struct hd_breaker *b, uint64_t pass,
                                            enum hd_breaker_outcome outcome, uint64_t now_ms)
{
    if (pass != b->epoch)
        return HD_BREAKER_SAME;
    switch (b->state) {
    case HD_BREAKER_CLOSED:
        if (outcome == HD_BREAKER_VOID || !count(b, outcome == HD_BREAKER_FAILED, now_ms))
            return HD_BREAKER_SAME;
        b->reopened = 0;
        trip(b, now_ms);
        return HD_BREAKER_OPENED;
    case HD_BREAKER_OPEN:
        return HD_BREAKER_SAME; /* no pass of this epoch is out */
    case HD_BREAKER_HALF_OPEN:
        break;
    }
    if (outcome == HD_BREAKER_VOID) {
        b->probes -= b->probes > 0;
        return HD_BREAKER_SAME;
    }
    if (outcome == HD_BREAKER_FAILED) {
        b->reopened++;
        trip(b, now_ms);
        return HD_BREAKER_REOPENED;
    }
    b->reopened = 0;
    enter(b, HD_BREAKER_CLOSED, now_ms);
    return HD_BREAKER_SHUT;
}

enum hd_breaker_change hd_breaker_report(struct hd_breaker *b, uint64_t pass,
                                         enum hd_breaker_outcome outcome, uint64_t now_ms)
{
    if (outcome == HD_BREAKER_OK && atomic_load_explicit(&b->calm, memory_order_relaxed))
        return HD_BREAKER_SAME;
    pthread_mutex_lock(&b->lock);
    enum hd_breaker_change change = report_locked(b, pass, outcome, now_ms);
    pthread_mutex_unlock(&b->lock);
    return change;
}

void hd_breaker_reset(struct hd_breaker *b)
{
    pthread_mutex_lock(&b->lock);
    b->reopened = 0;
    enter(b, HD_BREAKER_CLOSED, b->since_ms);
    pthread_mutex_unlock(&b->lock);
}

void hd_breaker_stats(struct hd_breaker_stats *out, struct hd_breaker *b, uint64_t now_ms)
{
    pthread_mutex_lock(&b->lock);
    drop_old(b, now_ms);
    *out = (struct hd_breaker_stats){
        .state = b->state,
        .window = b->len,
        .errors = b->errors,
        .opened_total = b->opened_total,
        .rejected_total = atomic_load_explicit(&b->rejected_total, memory_order_relaxed),
        .opened_ms = b->opened_ms,
    };
    pthread_mutex_unlock(&b->lock);
}

const char *hd_breaker_state_name(enum hd_breaker_state state)
{
    switch (state) {
    case HD_BREAKER_CLOSED:
        return "closed";
    case HD_BREAKER_OPEN:
        return "open";
    case HD_BREAKER_HALF_OPEN:
        return "half_open";
    }
    return "unknown";
}
