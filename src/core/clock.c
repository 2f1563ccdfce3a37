#include "core/clock.h"

#include <time.h>

uint64_t hd_clock_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t hd_clock_ms(void)
{
    return hd_clock_us() / 1000;
}

int64_t hd_clock_unix_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t hd_clock_unix_s(void)
{
    return hd_clock_unix_ms() / 1000;
}
