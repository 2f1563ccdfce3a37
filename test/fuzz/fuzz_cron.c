/* fuzz_cron.c - schedules: whatever is taken is due later than asked, and in order. */
#include "core/cron.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hd_cron c;
    struct hd_error err = {.msg = ""};
    int rc = hd_cron_parse(&c, hd_str_n((const char *)data, size), &err);
    fuzz_check(rc == 0 || (rc == HD_EINVAL && err.msg[0] != '\0'));
    int64_t at = 1767225600;
    for (int i = 0; rc == 0 && i < 4 && at != INT64_MAX; i++) {
        int64_t next = hd_cron_next(&c, 1767225600, at);
        fuzz_check(next > at);
        fuzz_check(next == INT64_MAX || c.kind != HD_CRON_FIELDS || next % 60 == 0);
        /* and nothing in between */
        if (next != INT64_MAX)
            fuzz_check(hd_cron_next(&c, 1767225600, next - 1) == next);
        at = next;
    }
    return 0;
}
