/* lambda/async/async_record.h - the texts of an asynchronous invocation: what its queue keeps of
 * it, and the record of how it ended. Pure. */
#pragma once

#include "lambda/async/async.h"
#include "lambda/async/async_policy.h"

/** Append what is kept beside the payload. An event that came without a trace begins one here, so
 *  that all attempts are parts of it. */
void hd_async_meta_write(struct hd_buf *out, const struct hd_async_event *event,
                         int64_t now_unix_ms);

/** What was kept; slices of `text`. */
struct hd_async_meta {
    struct hd_buf text;
    struct hd_str qualifier, client_context, identity, tenant, trace, traceparent;
};
/** Read it; what cannot be read is empty. To be ended with hd_async_meta_done(). */
void hd_async_meta_read(struct hd_async_meta *m, struct hd_str json);
void hd_async_meta_done(struct hd_async_meta *m);

/** How an event ended; all borrowed. */
struct hd_async_ending {
    enum hd_async_end end;
    struct hd_str request_id;
    struct hd_str arn;     /* unqualified */
    struct hd_str version; /* that ran, or would have */
    uint32_t attempts;
    struct hd_str payload;
    bool answered; /* the last attempt has an answer */
    bool function_error;
    struct hd_str answer; /* JSON, or whatever the function said */
    int64_t now_unix_ms;
};
/** Append the record that destinations get. */
void hd_async_record_write(struct hd_buf *out, const struct hd_async_ending *e);
/** Append the error message for dead letters: at most 1024 bytes, whole characters. */
void hd_async_error_message(struct hd_buf *out, const struct hd_async_ending *e);

/** What a delivery to a destination knows; kept as the meta of its item. */
struct hd_async_delivery_meta {
    struct hd_buf text;
    struct hd_str arn, version; /* of the function whose event it was */
    struct hd_str error;        /* dead letters: the message */
    struct hd_str trace;
    bool success, dead_letter;
};
void hd_async_delivery_write(struct hd_buf *out, const struct hd_async_delivery_meta *m);
void hd_async_delivery_read(struct hd_async_delivery_meta *m, struct hd_str json);
void hd_async_delivery_done(struct hd_async_delivery_meta *m);
