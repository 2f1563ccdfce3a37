/* lambda/sources/sqs.h - a client of SQS and of servers that speak it (AWS JSON 1.0). Answers are
 * JSON values as the service names their members. */
#pragma once

#include "lambda/aws.h"

#include <jansson.h>

enum { HD_SQS_BATCH_MAX = 10, HD_SQS_WAIT_MAX_S = 20 };

/**
 * The end, exactly once, never from inside.
 * @param answer   an object, borrowed until return; NULL with a failure.
 */
typedef void hd_sqs_done_fn(void *arg, const json_t *answer, const struct hd_aws_failure *failure);

struct hd_sqs_op; /* one under way */

/** Where a queue is. */
struct hd_sqs_queue {
    struct hd_aws *aws;
    struct hd_str region;
    struct hd_str url; /* empty: not known yet, GetQueueUrl only */
};

/** All: @return the operation, valid until @p done; failures come there too. Inputs are copied. */

/** GetQueueUrl: `QueueUrl`. @param account  the owner's; empty: not said. */
struct hd_sqs_op *hd_sqs_get_url(const struct hd_sqs_queue *q, struct hd_str name,
                                 struct hd_str account, hd_sqs_done_fn *done, void *arg);
/** GetQueueAttributes of all: `Attributes`, values are strings. */
struct hd_sqs_op *hd_sqs_attributes(const struct hd_sqs_queue *q, hd_sqs_done_fn *done, void *arg);
/**
 * ReceiveMessage with all attributes: `Messages`, or none of them.
 * @param max     1 to HD_SQS_BATCH_MAX.
 * @param wait_s  0 to HD_SQS_WAIT_MAX_S, how long the service waits for the first one.
 */
struct hd_sqs_op *hd_sqs_receive(const struct hd_sqs_queue *q, unsigned max, unsigned wait_s,
                                 hd_sqs_done_fn *done, void *arg);
/** DeleteMessageBatch: `Successful` and `Failed`, whose `Id` is the place in @p handles. @param n 1
 *  to HD_SQS_BATCH_MAX. */
struct hd_sqs_op *hd_sqs_delete(const struct hd_sqs_queue *q, const struct hd_str *handles,
                                size_t n, hd_sqs_done_fn *done, void *arg);
/** ChangeMessageVisibilityBatch, as hd_sqs_delete(). @param timeout_s  0: visible at once. */
struct hd_sqs_op *hd_sqs_visibility(const struct hd_sqs_queue *q, const struct hd_str *handles,
                                    size_t n, unsigned timeout_s, hd_sqs_done_fn *done, void *arg);

/** All borrowed until return. */
struct hd_sqs_message {
    struct hd_str body;
    const struct hd_aws_attribute *attributes;
    size_t n_attributes;
    struct hd_str group, deduplication; /* FIFO; empty: not said */
};
/** SendMessage: `MessageId`. */
struct hd_sqs_op *hd_sqs_send(const struct hd_sqs_queue *q, const struct hd_sqs_message *m,
                              hd_sqs_done_fn *done, void *arg);

/** done() follows with HD_ECANCELED. */
void hd_sqs_cancel(struct hd_sqs_op *op);
