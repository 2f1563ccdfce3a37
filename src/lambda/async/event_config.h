/* lambda/async/event_config.h - the rules of asynchronous invocation settings and of destinations.
 * Pure.
 */
#pragma once

#include "lambda/names.h"

#include <jansson.h>

/* What a destination may be: the service's ARNs, and two of this server: an URL that gets a POST,
 * and "lane:<name>", an event lane. */
#define HD_PATTERN_DESTINATION                                                                     \
    "^$|arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\\-])+:([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1})" \
    "?"                                                                                            \
    ":(\\d{12})?:(.*)|https?://[^\\s/?#]+[^\\s]*|lane:[a-zA-Z0-9_.-]+"

enum hd_destination_kind {
    HD_DESTINATION_NONE, /* empty: nothing is sent */
    HD_DESTINATION_FUNCTION,
    HD_DESTINATION_SQS,
    HD_DESTINATION_SNS,
    HD_DESTINATION_EVENTS, /* EventBridge */
    HD_DESTINATION_S3,
    HD_DESTINATION_HTTP,
    HD_DESTINATION_LANE,
    HD_DESTINATION_OTHER, /* not one that can be written to */
};
enum hd_destination_kind hd_destination_kind(struct hd_str destination);

/** What a change of the settings gives; what it does not give is NULL. */
struct hd_event_config_input {
    json_t *retries, *age, *destinations;
};
/**
 * Make the new settings.
 * @param old    what they were, for an update; NULL: all of it is new.
 * @param now_s  seconds since 1970 with their fraction.
 * @return the record, a new reference; or NULL: nothing is given.
 */
json_t *hd_event_config_make(const json_t *old, const struct hd_event_config_input *in,
                             double now_s);
/**
 * Say that a destination cannot be one, as the service says it.
 * @return the message, for the caller to free.
 */
char *hd_event_config_bad_destination(const json_t *destinations);
/** @return the destination of OnSuccess or OnFailure; empty: none. */
struct hd_str hd_event_config_destination(const json_t *destinations, const char *when);
