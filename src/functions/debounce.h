/* functions/debounce.h - when to act on a stream of changes. Pure; @p now_ms is monotonic.
 *
 *   QUIET ──event──► GATHERING ──HD_DEBOUNCE_LEADING_MS after it──► FLUSHING ──done──► QUIET
 *                        ▲                                             │
 *                        └──done, and events came: TRAILING_MS after───┘
 *                           the first of these, or at once if that has passed             */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { HD_DEBOUNCE_LEADING_MS = 40, HD_DEBOUNCE_TRAILING_MS = 200 };

/** Zeroed is quiet. */
struct hd_debounce {
    enum { HD_DEBOUNCE_QUIET, HD_DEBOUNCE_GATHERING, HD_DEBOUNCE_FLUSHING } state;
    bool more; /* events came during the flush */
    uint64_t due_ms;
};

/** Something changed. Later events do not postpone what the first one started. */
void hd_debounce_event(struct hd_debounce *d, uint64_t now_ms);
/** @return true once when it is time to flush; call hd_debounce_done() when that is over. */
bool hd_debounce_flush(struct hd_debounce *d, uint64_t now_ms);
void hd_debounce_done(struct hd_debounce *d, uint64_t now_ms);
/** @return milliseconds until hd_debounce_flush() says true, or -1: it waits for something else. */
int64_t hd_debounce_wait_ms(const struct hd_debounce *d, uint64_t now_ms);
