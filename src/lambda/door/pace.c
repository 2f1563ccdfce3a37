#include "lambda/door/pace.h"

enum {
    SECOND_US = 1000000,
    SLACK_US = 5000, /* timers are no finer than this in practice */
};

bool hd_pace_take(struct hd_pace *p, const struct hd_pace_rules *rules, uint64_t bytes,
                  uint64_t now_us)
{
    uint64_t before = HD_MAX(p->bytes, (uint64_t)HD_PACE_FREE_BYTES);
    p->bytes += bytes;
    if (p->bytes > rules->max_bytes)
        return false;
    if (rules->rate > 0 && p->bytes > before) { /* what was not used up in a pause is lost */
        uint64_t from_us = now_us > SLACK_US ? now_us - SLACK_US : 0;
        p->due_us = HD_MAX(p->due_us, from_us) + (p->bytes - before) * SECOND_US / rules->rate;
    }
    return true;
}

uint32_t hd_pace_wait_ms(const struct hd_pace *p, uint64_t now_us)
{
    if (p->due_us <= now_us + SLACK_US)
        return 0;
    return (uint32_t)HD_MIN((p->due_us - now_us + 999) / 1000, (uint64_t)UINT32_MAX);
}
