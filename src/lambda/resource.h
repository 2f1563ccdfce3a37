/* lambda/resource.h - what an ARN of the Lambda API names: a function, a mapping, a signing config.
 * Pure. */
#pragma once

#include "lambda/names.h"

/* Any ARN, where an input takes one of whatever service. */
#define HD_PATTERN_RESOURCE_ARN                                                                  \
    "arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\\-])+:([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1})?" \
    ":(\\d{12})?:(.*)"

enum hd_resource_kind {
    HD_RESOURCE_FUNCTION,
    HD_RESOURCE_EVENT_SOURCE, /* event-source-mapping */
    HD_RESOURCE_CODE_SIGNING, /* code-signing-config */
    HD_RESOURCE_LAYER,
};

/** Slices of the text. */
struct hd_resource {
    enum hd_resource_kind kind;
    struct hd_str region, account;
    struct hd_str name;      /* a function's or layer's name, a mapping's UUID, "csc-..." */
    struct hd_str qualifier; /* what follows it; empty: nothing */
};
/** @return 0, or HD_EINVAL: it is no ARN, or one of another service or kind. */
int hd_resource_parse(struct hd_resource *out, struct hd_str arn);
