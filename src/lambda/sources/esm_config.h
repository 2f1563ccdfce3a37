/* lambda/sources/esm_config.h - event source mappings as records: what a caller may set for which
 * source, defaults, and the mapping as pollers get it. Pure. */
#pragma once

#include "lambda/sources/esm.h"

/* The record, under its UUID:
 *   Account, Region   its name space
 *   Function          the function's name; Qualifier: what the caller put behind it, if anything
 *   Enabled           what the caller wants
 *   Mapping           the object as the API answers it, with State
 *   Tags */

/** What kind of source a caller names. */
enum hd_esm_source {
    HD_ESM_SOURCE_NONE, /* no EventSourceArn, no SelfManagedEventSource */
    HD_ESM_SOURCE_SQS,
    HD_ESM_SOURCE_MQ,
    HD_ESM_SOURCE_STREAM, /* Kinesis, DynamoDB */
    HD_ESM_SOURCE_KAFKA,  /* managed or not */
    HD_ESM_SOURCE_DOCUMENTDB,
    HD_ESM_SOURCE_UNKNOWN, /* an ARN of something else */
};
enum hd_esm_source hd_esm_source(const json_t *input);

/**
 * Make the Mapping of a new one: checks what is given for its source, fills in defaults.
 * UUID, ARNs of mapping and function, State and times are the caller's to add.
 * @param input  as the API got it; its shape was checked.
 * @return 0 and *out, a new reference; or HD_EINVAL with the service's message.
 */
int hd_esm_config_new(json_t **out, const json_t *input, struct hd_error *err);
/** Put what is given over what is there. @return 0; or HD_EINVAL, and the mapping is spoiled. */
int hd_esm_config_update(json_t *mapping, const json_t *input, struct hd_error *err);

/** @return whether it is on its way to another state: it must not be changed then. */
bool hd_esm_state_moves(const char *state);

/**
 * Read a record as pollers get it.
 * @param out  its texts are the record's, which must live as long; to be ended with
 *             hd_esm_mapping_done().
 * @return 0, or HD_EINVAL: it is damaged.
 */
int hd_esm_mapping_init(struct hd_esm_mapping *out, const json_t *record, struct hd_error *err);
void hd_esm_mapping_done(struct hd_esm_mapping *m);
