/* shim/subscription.h - what an extension wants of the telemetry stream, and the stream's events
 * cut into batches. Pure. */
#pragma once

#include "core/buf.h"

enum { HD_SUBSCRIPTION_PATH_MAX = 255 };

/** Kinds of events. */
enum { HD_TELE_PLATFORM = 1, HD_TELE_FUNCTION = 2, HD_TELE_EXTENSION = 4 };

struct hd_subscription {
    unsigned types;     /* HD_TELE_* */
    uint32_t max_items; /* of one batch, and ... */
    uint32_t max_bytes;
    uint32_t timeout_ms; /* the first of a batch waits so long for others */
    uint16_t port;
    char path[HD_SUBSCRIPTION_PATH_MAX + 1]; /* with a slash in front */
};

/**
 * Read the body of a subscription.
 * @return 0; HD_EINVAL: the message says which member is wrong and what it may be.
 */
int hd_subscription_parse(struct hd_subscription *out, struct hd_str body, struct hd_error *err);
/** Append the names of @p types as a JSON list. */
void hd_subscription_types(struct hd_buf *out, unsigned types);

/**
 * Take a batch off a queue of events, one JSON text a line.
 * @param out    set to a JSON list, appended.
 * @param items  how many there are in it.
 * @return how many bytes of the queue it stands for; 0: the queue is empty.
 */
size_t hd_subscription_batch(struct hd_buf *out, unsigned *items, struct hd_str queue,
                             const struct hd_subscription *s);

/** Append an event as one line: {"time":…,"type":…,"record":…}. @p record  JSON without line
 *  breaks. */
void hd_subscription_event(struct hd_buf *out, int64_t unix_ms, const char *type,
                           struct hd_str record);
