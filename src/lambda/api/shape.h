/* lambda/api/shape.h - the input of an operation, declared: members, types, constraints; and the
 * check of a document against it, with the service's own messages.
 *
 * A table ends with an entry without a name:
 *
 *     static const struct hd_shape tracing[] = {
 *         {.name = "Mode", .kind = HD_SHAPE_STRING, .words = modes}, {0}};
 *     static const struct hd_shape input[] = {
 *         {.name = "FunctionName", .in = HD_SHAPE_PATH, .kind = HD_SHAPE_STRING, .required = true,
 *          .min = 1, .max = 140, .pattern = HD_PATTERN_FUNCTION},
 *         {.name = "TracingConfig", .kind = HD_SHAPE_STRUCT, .of = tracing},
 *         {.name = "Layers", .kind = HD_SHAPE_LIST, .of = layer},   // layer[0]: an element
 *         {.name = "Tags", .kind = HD_SHAPE_MAP, .of = tag},        // tag[0]: a key, [1]: a value
 *         {0}}; */
#pragma once

#include "core/buf.h"
#include "lambda/api/shape_pattern.h"

#include <jansson.h>

enum hd_shape_kind {
    HD_SHAPE_STRING,
    HD_SHAPE_BLOB,    /* base64 in a string; not decoded here */
    HD_SHAPE_INTEGER, /* min and max are of the value */
    HD_SHAPE_DOUBLE,  /* same */
    HD_SHAPE_BOOLEAN,
    HD_SHAPE_TIME,   /* seconds since 1970, a number */
    HD_SHAPE_LIST,   /* min and max are of the number of elements */
    HD_SHAPE_MAP,    /* same */
    HD_SHAPE_STRUCT, /* members that are not in the table are ignored */
};

enum hd_shape_place { HD_SHAPE_BODY, HD_SHAPE_PATH, HD_SHAPE_QUERY };

struct hd_shape {
    const char *name;  /* as on the wire; NULL ends a table */
    const char *query; /* HD_SHAPE_QUERY: the parameter's name where it is another ("tagKeys") */
    enum hd_shape_kind kind;
    enum hd_shape_place in; /* top level only */
    bool required;
    bool refused;             /* the API has it, and this server does not offer it */
    bool secret;              /* its value is not repeated in messages */
    bool has_min;             /* min is meant although it is 0 */
    double min, max;          /* both included; 0: not limited (but see has_min) */
    const char *pattern;      /* the whole value must match it (PCRE syntax); shown in messages */
    const char *const *words; /* the values there are, NULL-terminated */
    const struct hd_shape *of;
};

/* Patterns that several operations use. */
#define HD_PATTERN_FUNCTION                                                             \
    "(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?" \
    "(\\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?"
#define HD_PATTERN_QUALIFIER "(|[a-zA-Z0-9$_-]+)"
#define HD_PATTERN_ALIAS "(?!^[0-9]+$)([a-zA-Z0-9-_]+)"
#define HD_PATTERN_VERSION "(\\$LATEST|[0-9]+)"
#define HD_PATTERN_ARN "(arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()"

/* The members that nearly every operation on a function has. The namespaced form of a name may be
 * longer where something is only read. */
#define HD_SHAPE_FUNCTION_NAME                                                               \
    {                                                                                        \
        .name = "FunctionName", .in = HD_SHAPE_PATH, .required = true, .min = 1, .max = 140, \
        .pattern = HD_PATTERN_FUNCTION                                                       \
    }
#define HD_SHAPE_ANY_FUNCTION_NAME                                                           \
    {                                                                                        \
        .name = "FunctionName", .in = HD_SHAPE_PATH, .required = true, .min = 1, .max = 256, \
        .pattern = HD_PATTERN_FUNCTION                                                       \
    }
#define HD_SHAPE_QUALIFIER                                                                     \
    {                                                                                          \
        .name = "Qualifier", .in = HD_SHAPE_QUERY, .max = 128, .pattern = HD_PATTERN_QUALIFIER \
    }
#define HD_SHAPE_MARKER                        \
    {                                          \
        .name = "Marker", .in = HD_SHAPE_QUERY \
    }
#define HD_SHAPE_MAX_ITEMS(most)                                                      \
    {                                                                                 \
        .name = "MaxItems", .in = HD_SHAPE_QUERY, .kind = HD_SHAPE_INTEGER, .min = 1, \
        .max = (most)                                                                 \
    }

/**
 * Check that every member has its type; members that are null count as not given and are removed.
 * @return 0, or HD_EINVAL: "NUMBER_VALUE can not be converted to a String: 'description'".
 */
int hd_shape_types(const struct hd_shape *members, json_t *object, struct hd_error *err);
/** @return the name of a member that is given although it is refused; NULL: there is none. */
const char *hd_shape_refused(const struct hd_shape *members, const json_t *object);
/**
 * Check the constraints of an object whose types are right.
 * @param out  gets the message: "2 validation errors detected: Value '0' at 'timeout' failed to
 *             satisfy constraint: Member must have value greater than or equal to 1; Value ...";
 *             cut where the buffer's ceiling is.
 * @return how many constraints are broken.
 */
unsigned hd_shape_check(struct hd_patterns *patterns, const struct hd_shape *members,
                        const json_t *object, struct hd_buf *out);
/**
 * Turn text of a path or query into a member's value.
 * @return 0 and *out, a new reference; or HD_EINVAL.
 */
int hd_shape_text(const struct hd_shape *member, struct hd_str text, json_t **out,
                  struct hd_error *err);
