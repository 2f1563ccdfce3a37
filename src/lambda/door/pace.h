/* lambda/door/pace.h - how much a streamed answer may be, and how fast it may go. Pure. */
#pragma once

#include "core/base.h"

enum { HD_PACE_FREE_BYTES = 6 << 20 }; /* what goes out as fast as it can, whatever the rate */

struct hd_pace_rules {
    uint64_t max_bytes; /* of an answer */
    uint64_t rate;      /* bytes a second after the first ones; 0: as fast as they go */
};

/** One answer; zeroed at its begin. */
struct hd_pace {
    uint64_t bytes;  /* sent, and those that were not because they are too many */
    uint64_t due_us; /* when the next ones may go */
};

/** @return whether @p bytes more may be sent; they are counted in any case. */
bool hd_pace_take(struct hd_pace *p, const struct hd_pace_rules *rules, uint64_t bytes,
                  uint64_t now_us);
/** @return milliseconds until the next bytes may be sent; 0: now, or nearly. */
uint32_t hd_pace_wait_ms(const struct hd_pace *p, uint64_t now_us);
