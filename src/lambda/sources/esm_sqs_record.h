/* lambda/sources/esm_sqs_record.h - messages of SQS as functions and filters see them. Pure. */
#pragma once

#include "core/buf.h"
#include "core/list.h"

#include <jansson.h>

/** @return the record of a message as ReceiveMessage gives it, a new reference; NULL: it has no id,
 *  no handle or no body. */
json_t *hd_esm_sqs_record(const json_t *message, const char *arn, const char *region);
/** @return the record as filters see it, a new reference: `body` is looked into if it is JSON. */
json_t *hd_esm_sqs_view(const json_t *record);
/** Write the event around the first @p n of a list of struct hd_esm_record. */
void hd_esm_sqs_event(struct hd_buf *out, const struct hd_list *records, size_t n);
