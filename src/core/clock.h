/* core/clock.h - what time it is. Pure code takes `now_ms` as an argument instead. */
#pragma once

#include <stdint.h>

/** Monotonic time; the zero point means nothing. */
uint64_t hd_clock_ms(void);
uint64_t hd_clock_us(void);
/** Wall clock: since 1970, UTC. */
int64_t hd_clock_unix_ms(void);
int64_t hd_clock_unix_s(void);
