/* lambda/sources/esm_sqs.h - SQS queues as event sources, on AWS or on any server that speaks it.
 */
#pragma once

#include "lambda/aws.h"
#include "lambda/sources/esm_source.h"

struct hd_esm_sqs;

/** Offer queues to the mappings. @param aws  borrowed. */
struct hd_esm_sqs *hd_esm_sqs_new(const struct hd_esm_source_options *opt, struct hd_aws *aws);
/** After hd_esm_close() is done. NULL is fine. */
void hd_esm_sqs_free(struct hd_esm_sqs *s);
/** Of all its mappings together. */
void hd_esm_sqs_stats(const struct hd_esm_sqs *s, struct hd_esm_poll_stats *out);
