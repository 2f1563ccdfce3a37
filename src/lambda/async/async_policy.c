#include "lambda/async/async_policy.h"

#include "core/map.h"
#include "invoke/xray.h"

#include <inttypes.h>

enum {
    MAX_RETRIES = 2,
    MAX_AGE_S = 21600,
    BACKOFF_MS = 1000,
    BACKOFF_MAX_MS = 300000,
    LINEAGE_KEPT = 8, /* functions in a lineage; the oldest go */
    ATTEMPT_BITS = 8,
};

static const uint32_t default_delays_ms[] = {60000, 120000};

const char *hd_async_condition(enum hd_async_end end)
{
    switch (end) {
    case HD_ASYNC_GOES_ON:
        break;
    case HD_ASYNC_SUCCESS:
        return "Success";
    case HD_ASYNC_EXHAUSTED:
        return "RetriesExhausted";
    case HD_ASYNC_EXPIRED:
        return "EventAgeExceeded";
    case HD_ASYNC_OFF:
        return "ZeroReservedConcurrency";
    case HD_ASYNC_LOOP:
        return "RecursiveLoop";
    }
    return "";
}

uint32_t hd_async_attempts(uint32_t progress)
{
    return progress & ((1U << ATTEMPT_BITS) - 1);
}

static uint32_t misses(uint32_t progress)
{
    return progress >> ATTEMPT_BITS;
}

static uint32_t pack(uint32_t attempts, uint32_t not_run)
{
    return (not_run << ATTEMPT_BITS) | attempts;
}

static int64_t expires_unix_ms(const struct hd_async_rules *rules,
                               const struct hd_async_event_state *event)
{
    int32_t age_s = rules->max_age_s >= 0 ? rules->max_age_s : MAX_AGE_S;
    return event->first_unix_ms + (int64_t)age_s * 1000;
}

enum hd_async_end hd_async_before(const struct hd_async_rules *rules,
                                  const struct hd_async_event_state *event, int64_t now_unix_ms)
{
    if (rules->off)
        return HD_ASYNC_OFF;
    if (event->loops >= HD_LINEAGE_MAX && !rules->loops_allowed)
        return HD_ASYNC_LOOP;
    if (now_unix_ms >= expires_unix_ms(rules, event))
        return HD_ASYNC_EXPIRED;
    return HD_ASYNC_GOES_ON;
}

uint32_t hd_async_backoff_ms(uint32_t tries, double random)
{
    uint32_t ms = BACKOFF_MAX_MS;
    if (tries <= 9)
        ms = HD_MIN((uint32_t)BACKOFF_MAX_MS, (uint32_t)BACKOFF_MS << (tries - 1));
    return ms + (uint32_t)(random * ms / 4);
}

static uint32_t delay_ms(const struct hd_async_rules *rules, uint32_t attempts)
{
    const uint32_t *delays = rules->n_delays > 0 ? rules->delays_ms : default_delays_ms;
    size_t n = rules->n_delays > 0 ? rules->n_delays : HD_COUNT(default_delays_ms);
    return delays[HD_MIN((size_t)attempts - 1, n - 1)];
}

/* When the next attempt would come too late, the last error is told now, while it is known. */
static struct hd_async_verdict after_error(const struct hd_async_rules *rules,
                                           const struct hd_async_event_state *event,
                                           int64_t now_unix_ms)
{
    uint32_t attempts = hd_async_attempts(event->progress) + 1;
    int32_t retries = rules->max_retries >= 0 ? rules->max_retries : MAX_RETRIES;
    struct hd_async_verdict v = {.progress = pack(attempts, 0)};
    if (attempts > (uint32_t)retries) {
        v.end = HD_ASYNC_EXHAUSTED;
        return v;
    }
    v.due_unix_ms = now_unix_ms + delay_ms(rules, attempts);
    if (v.due_unix_ms >= expires_unix_ms(rules, event))
        v.end = HD_ASYNC_EXPIRED;
    return v;
}

static struct hd_async_verdict after_miss(const struct hd_async_rules *rules,
                                          const struct hd_async_event_state *event,
                                          int64_t now_unix_ms, double random)
{
    uint32_t tries = HD_MIN(misses(event->progress) + 1, 1000U);
    int64_t due = now_unix_ms + hd_async_backoff_ms(tries, random);
    return (struct hd_async_verdict){
        .progress = pack(hd_async_attempts(event->progress), tries),
        .due_unix_ms = HD_MIN(due, expires_unix_ms(rules, event)),
    };
}

struct hd_async_verdict hd_async_after(const struct hd_async_rules *rules,
                                       const struct hd_async_event_state *event,
                                       enum hd_async_tried how, int64_t now_unix_ms, double random)
{
    switch (how) {
    case HD_ASYNC_OK:
        return (struct hd_async_verdict){
            .end = HD_ASYNC_SUCCESS, .progress = pack(hd_async_attempts(event->progress) + 1, 0)};
    case HD_ASYNC_FUNCTION_ERROR:
        return after_error(rules, event, now_unix_ms);
    case HD_ASYNC_NOT_RUN:
        break;
    }
    return after_miss(rules, event, now_unix_ms, random);
}

/* --- lineage --- */

static void function_hash(char out[9], struct hd_str arn)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t hash = hd_hash(arn.ptr, arn.len, 0);
    for (int i = 0; i < 8; i++, hash >>= 4)
        out[i] = digits[hash & 15];
    out[8] = '\0';
}

/* @return whether an entry is the function's. */
static bool read_entry(uint32_t *times, struct hd_str entry, const char *hash)
{
    uint64_t n = 0;
    size_t colon = hd_str_find(entry, ':');
    if (colon == entry.len || !hd_str_is(hd_str_n(entry.ptr, colon), hash))
        return false;
    if (hd_str_to_u64(&n, hd_str_n(entry.ptr + colon + 1, entry.len - colon - 1)) < 0)
        n = 0;
    *times = (uint32_t)HD_MIN(n, (uint64_t)1000000);
    return true;
}

uint32_t hd_lineage_times(struct hd_str header, struct hd_str arn)
{
    char hash[9];
    struct hd_str entry, rest = hd_xray_part(header, "Lineage");
    uint32_t times = 0;
    function_hash(hash, arn);
    while (hd_str_split(&entry, &rest, '|')) {
        if (read_entry(&times, entry, hash))
            return times;
    }
    return 0;
}

void hd_lineage_add(struct hd_buf *out, struct hd_str header, struct hd_str arn)
{
    char hash[9];
    struct hd_str part, rest = header, entry;
    uint32_t ignored;
    function_hash(hash, arn);
    while (hd_str_split(&part, &rest, ';')) {
        part = hd_str_trim(part);
        if (part.len == 0 || hd_str_starts(part, (struct hd_str)HD_LIT("Lineage=")))
            continue;
        hd_buf_str(out, part);
        hd_buf_char(out, ';');
    }
    hd_buf_fmt(out, "Lineage=%s:%" PRIu32, hash, hd_lineage_times(header, arn) + 1);
    rest = hd_xray_part(header, "Lineage");
    for (int kept = 1; kept < LINEAGE_KEPT && hd_str_split(&entry, &rest, '|');) {
        if (entry.len == 0 || read_entry(&ignored, entry, hash))
            continue;
        hd_buf_char(out, '|');
        hd_buf_str(out, entry);
        kept++;
    }
}
