/* lambda/door/invocation.h - what an Invoke request asks for: function, qualifier, kind, options.
 * Pure: which function that is, and whether it may, is for the door to find out. */
#pragma once

#include "core/buf.h"
#include "http/parse.h"
#include "lambda/api/api_error.h"
#include "lambda/names.h"

enum {
    HD_INVOCATION_EVENT_BYTES = 6291456, /* of a synchronous invocation */
    HD_INVOCATION_ASYNC_BYTES = 1048576, /* of an asynchronous one */
    HD_INVOCATION_CONTEXT_CHARS = 3583,  /* of a client context, in base64 */
    HD_INVOCATION_NAME_MAX = 256,        /* of a FunctionName, decoded */
    HD_INVOCATION_QUALIFIER_MAX = 128,
};

enum hd_invoke_op {
    HD_INVOKE_NONE,   /* the request is for something else */
    HD_INVOKE_CALL,   /* Invoke */
    HD_INVOKE_ASYNC,  /* InvokeAsync, the old one */
    HD_INVOKE_STREAM, /* InvokeWithResponseStream */
};
enum hd_invoke_kind { HD_INVOKE_WAIT, HD_INVOKE_EVENT, HD_INVOKE_DRY };

/**
 * Tell from the request line.
 * @param name  set: the FunctionName as on the wire.
 */
enum hd_invoke_op hd_invocation_op(struct hd_str method, struct hd_str path, struct hd_str *name);
/** @return "Invoke", "InvokeAsync", "InvokeWithResponseStream". */
const char *hd_invoke_op_name(enum hd_invoke_op op);

struct hd_invocation_ask {
    enum hd_invoke_op op;
    enum hd_invoke_kind kind;
    bool tail;
    struct hd_fn_name fn;                     /* slices of `text`; qualifier: of name or query */
    struct hd_str traceparent, trace, tenant; /* slices of the head's fields */
    struct hd_buf context;                    /* the client context's JSON text; empty: none */
    char text[HD_INVOCATION_NAME_MAX + HD_INVOCATION_QUALIFIER_MAX + 2];
    /* what is wrong, if something is */
    enum hd_api_error fault;
    char message[800];
};

/**
 * Read name, query and fields; to be ended with hd_invocation_done() in any case.
 * @param name  as hd_invocation_op() gave it.
 * @return 0; or HD_EINVAL: ask->fault and ask->message say how the service would.
 */
int hd_invocation_read(struct hd_invocation_ask *ask, enum hd_invoke_op op, struct hd_str name,
                       struct hd_str query, const struct hd_field *fields, size_t n_fields);
/** Check size and form of the payload. @return as above. */
int hd_invocation_check(struct hd_invocation_ask *ask, struct hd_str payload);
void hd_invocation_done(struct hd_invocation_ask *ask);
