#include "functions/debounce.h"

void hd_debounce_event(struct hd_debounce *d, uint64_t now_ms)
{
    switch (d->state) {
    case HD_DEBOUNCE_QUIET:
        d->state = HD_DEBOUNCE_GATHERING;
        d->due_ms = now_ms + HD_DEBOUNCE_LEADING_MS;
        return;
    case HD_DEBOUNCE_GATHERING:
        return;
    case HD_DEBOUNCE_FLUSHING:
        if (!d->more)
            d->due_ms = now_ms + HD_DEBOUNCE_TRAILING_MS;
        d->more = true;
        return;
    }
}

bool hd_debounce_flush(struct hd_debounce *d, uint64_t now_ms)
{
    if (d->state != HD_DEBOUNCE_GATHERING || now_ms < d->due_ms)
        return false;
    d->state = HD_DEBOUNCE_FLUSHING;
    d->more = false;
    return true;
}

void hd_debounce_done(struct hd_debounce *d, uint64_t now_ms)
{
    if (d->state != HD_DEBOUNCE_FLUSHING)
        return;
    d->state = d->more ? HD_DEBOUNCE_GATHERING : HD_DEBOUNCE_QUIET;
    if (d->due_ms < now_ms)
        d->due_ms = now_ms;
}

int64_t hd_debounce_wait_ms(const struct hd_debounce *d, uint64_t now_ms)
{
    if (d->state != HD_DEBOUNCE_GATHERING)
        return -1;
    return d->due_ms > now_ms ? (int64_t)(d->due_ms - now_ms) : 0;
}
