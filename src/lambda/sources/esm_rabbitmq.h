/* lambda/sources/esm_rabbitmq.h - queues of RabbitMQ brokers as event sources, in the shape of AWS
 * MQ. */
#pragma once

#include "lambda/sources/esm_source.h"

struct hd_esm_rabbitmq;

struct hd_esm_rabbitmq_options {
    /** @return amqp://... of the broker of that name (arn:aws:mq:REGION:ACCOUNT:broker:NAME:ID),
     *  borrowed; NULL: it is not known here. */
    const char *(*url_of)(void *arg, const char *broker);
    /** @return "user:password" of a secret that a mapping names, borrowed; NULL: there is none. */
    const char *(*secret_of)(void *arg, const char *secret);
    void *arg;
};

/** Offer brokers to the mappings. */
struct hd_esm_rabbitmq *hd_esm_rabbitmq_new(const struct hd_esm_source_options *source,
                                            const struct hd_esm_rabbitmq_options *opt);
/** After hd_esm_close() is done. NULL is fine. */
void hd_esm_rabbitmq_free(struct hd_esm_rabbitmq *r);
void hd_esm_rabbitmq_stats(const struct hd_esm_rabbitmq *r, struct hd_esm_poll_stats *out);
