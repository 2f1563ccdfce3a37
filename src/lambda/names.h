/* lambda/names.h - the names of the Lambda API: what a FunctionName can be, and ARNs. Pure. */
#pragma once

#include "core/base.h"

enum {
    HD_NAMES_FUNCTION_MAX = 64, /* characters of a function's own name */
    HD_NAMES_KEY_MAX = 320,     /* bytes of a record's key, with its NUL */
};

/** What a FunctionName says; what it does not say is empty. Slices of the text. */
struct hd_fn_name {
    struct hd_str region, account, name, qualifier;
};

/**
 * Take a FunctionName apart: "name", "name:qualifier", "account:function:name[:qualifier]",
 * "function:name", or an ARN.
 * @return 0, or HD_EINVAL: it is none of these.
 */
int hd_names_function(struct hd_fn_name *out, struct hd_str text);

/** What an ARN says: "arn:aws:lambda:us-east-1:000000000000:layer:tools:3". Slices of the text. */
struct hd_arn {
    struct hd_str partition, service, region, account;
    struct hd_str resource; /* all that follows the account: "layer:tools:3" */
};
/** @return 0, or HD_EINVAL: fewer than six parts, or it does not begin with "arn". */
int hd_names_arn(struct hd_arn *out, struct hd_str text);

/**
 * Make "arn:aws:lambda:<region>:<account>:<type>:<name>[:<qualifier>]".
 * @param type       "function", "layer", "event-source-mapping", "code-signing-config".
 * @param qualifier  NULL or "": none.
 * @return for the caller to free.
 */
char *hd_names_make_arn(const char *type, const char *account, const char *region, const char *name,
                        const char *qualifier);

/** @return whether it is a version's number: digits, not beginning with 0. */
bool hd_names_is_number(struct hd_str qualifier);
/** @return whether it is empty or "$LATEST". */
bool hd_names_is_latest(struct hd_str qualifier);

/**
 * Compare two records' keys: by bytes, but a number after the last "/" by its value, and before
 * what is none, so that version 9 comes before version 10.
 */
int hd_names_key_cmp(const char *a, const char *b);
/** @return the function's key, "account/region/name", at the front of the key of something that
 *  belongs to it: "account/region/name/7", "account/region/name:prod". */
struct hd_str hd_names_function_of_key(const char *key);
