/* The name of a function's queue, for programs without the queue's consumers. */
#include "lambda/async.h"

#include <stdio.h>

__attribute__((weak)) void hd_async_queue_name(char out[HD_ASYNC_QUEUE_CHARS],
                                               struct hd_str account, struct hd_str region,
                                               struct hd_str name)
{
    snprintf(out, HD_ASYNC_QUEUE_CHARS, "lambda:%.*s/%.*s/%.*s", HD_FMT(account), HD_FMT(region),
             HD_FMT(name));
}
