/* lambda/api/api_routes.h - from a request line to an operation: one table of all operations, those
 * that are not offered too. */
#pragma once

#include "lambda/api/op.h"

enum hd_api_routed {
    HD_API_ROUTED,
    HD_API_NO_PATH,      /* no operation has such a path */
    HD_API_OTHER_METHOD, /* one has, with another method */
};

/** A segment of the path that stands for a member of the input. */
struct hd_api_param {
    const char *name; /* "FunctionName"; static */
    size_t name_len;
    struct hd_str value; /* as on the wire */
};
enum { HD_API_PARAMS_MAX = 4 };

struct hd_api_route {
    const struct hd_operation *operation;
    size_t index; /* of the operation, as hd_api_next_operation() counts */
    struct hd_api_param params[HD_API_PARAMS_MAX];
    size_t n_params;
};

/**
 * Find the operation.
 * @param path   percent-encoded; a slash at the end makes no difference.
 * @param query  without "?": tells operations of one path apart.
 */
enum hd_api_routed hd_api_find(struct hd_api_route *out, struct hd_str method, struct hd_str path,
                               struct hd_str query);
/** Walk over all operations: start with *at = 0. @return NULL at the end. */
const struct hd_operation *hd_api_next_operation(size_t *at);
/** @return the operation of that name, or NULL. */
const struct hd_operation *hd_api_operation(const char *name);

/**
 * Find a parameter of a query, the @p nth of those with this name.
 * @return false: there is none. *value is as on the wire.
 */
bool hd_api_query(struct hd_str query, const char *name, size_t nth, struct hd_str *value);
/** Decode a query's or path's percent-escapes (@p plus: "+" is a blank). @return for the caller to
 *  free, NUL-terminated, *len without the NUL; NULL: an escape is broken. */
char *hd_api_decode(struct hd_str text, bool plus, size_t *len);
