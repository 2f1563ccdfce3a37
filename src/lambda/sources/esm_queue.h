/* lambda/sources/esm_queue.h - the node's own durable queues as event sources: event lanes, under
 * the ARN of a queue of that name (arn:aws:sqs:REGION:ACCOUNT:NAME), without any other server.
 * Functions get records as from SQS; a record's body is the message as the lane wrote it. */
#pragma once

#include "lambda/sources/esm_source.h"
#include "store/queue.h"

struct hd_esm_queue;

struct hd_esm_queue_options {
    struct hd_store *store; /* borrowed, as all of this */
    /** @return the store's name of the queue that is called so, for the caller to free; NULL: there
     *  is none of ours, or somebody else on this node consumes it. */
    char *(*queue_of)(void *arg, const char *name);
    void *arg;
    uint32_t max_receives; /* then a message that fails is a dead letter; 0: 5 */
};

/** Offer them to the mappings; before others that take queues. */
struct hd_esm_queue *hd_esm_queue_new(const struct hd_esm_source_options *source,
                                      const struct hd_esm_queue_options *opt);
/** After hd_esm_close() is done. NULL is fine. */
void hd_esm_queue_free(struct hd_esm_queue *q);
void hd_esm_queue_stats(const struct hd_esm_queue *q, struct hd_esm_poll_stats *out);
