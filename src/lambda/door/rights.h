/* lambda/door/rights.h - what the keys that a function's instance was given may do at the API,
 * beside invoking: look at their own function, and what a policy allows them. Keys of people may do
 * everything in their account. Pure. */
#pragma once

#include "lambda/deploy/view.h"
#include "lambda/who.h"

/** The request, as on the wire. */
struct hd_rights_request {
    struct hd_str method, path, query;
};
/** Why not. */
struct hd_rights_refusal {
    const char *operation; /* "UpdateFunctionCode"; static */
    char resource[400];    /* ARN, or "*" */
};

/**
 * @param view  where the policies of functions are; NULL: there are none.
 * @return whether it may, or is no operation at all; else *out.
 */
bool hd_rights_ask(struct hd_rights_refusal *out, const struct hd_who *who,
                   const struct hd_view *view, const struct hd_rights_request *request);
