/* lambda/awssend.h - send one message to a queue, topic, bus or bucket that an ARN names: what dead
 * letters and destinations of invocations take. */
#pragma once

#include "lambda/aws.h"

struct hd_aws_send;

/** All borrowed until hd_aws_send_start() returns. */
struct hd_aws_message {
    struct hd_str arn; /* arn:aws:sqs:..., arn:aws:sns:..., arn:aws:events:...:event-bus/name, S3 */
    struct hd_str body;
    const struct hd_aws_attribute *attributes; /* queues and topics */
    size_t n_attributes;
    struct hd_str group, deduplication; /* of a FIFO queue or topic; empty: by the id */
    struct hd_str id;                   /* of the message, unique: FIFO defaults, object key */
    const char *source, *detail_type;   /* buses */
    const struct hd_str *resources;     /* buses */
    size_t n_resources;
    struct hd_str object_key; /* buckets; empty: the id */
};

/** @return whether messages can be sent there. */
bool hd_aws_can_send(struct hd_str arn);

/**
 * Send. The URL of a queue is asked for first.
 * @param done  once, never from inside; NULL failure: the service has taken the message.
 * @return 0 and *out, valid until @p done; or HD_EINVAL (no such kind of target), HD_EIO.
 */
int hd_aws_send_start(struct hd_aws_send **out, struct hd_aws *a, const struct hd_aws_message *m,
                      void (*done)(void *arg, const struct hd_aws_failure *failure), void *arg,
                      struct hd_error *err);
/** done() follows with HD_ECANCELED. */
void hd_aws_send_cancel(struct hd_aws_send *s);
