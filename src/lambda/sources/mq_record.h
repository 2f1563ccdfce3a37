/* lambda/sources/mq_record.h - a message of RabbitMQ as functions see it, in the shape of AWS MQ.
 * Pure. */
#pragma once

#include "core/base.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <jansson.h>

/** @return {"basicProperties", "redelivered", "data": base64}, a new reference. */
json_t *hd_mq_record(const amqp_basic_properties_t *p, struct hd_str body, bool redelivered);
/** @return the same with data decoded: JSON if it is, else text; NULL: it is neither. */
json_t *hd_mq_view(const json_t *record, struct hd_str body);
