/* shim/failure.h - the errors that the shim itself reports for a function: their types and texts,
 * as the callers of functions and the runtime clients know them. Pure. */
#pragma once

#include "core/buf.h"

enum {
    HD_FAILURE_TYPE_MAX = 100,
    HD_FAILURE_TEXT_MAX = 600,
    HD_ANSWER_MAX = 6 * 1024 * 1024 + 100, /* bytes of a buffered answer */
};

/** Why an invocation, or the init before it, failed. Zeroed: nothing failed. */
struct hd_failure {
    char type[HD_FAILURE_TYPE_MAX + 1]; /* "Runtime.ExitError" */
    char text[HD_FAILURE_TEXT_MAX + 1]; /* without the request id, which may not be known yet */
    bool plain;   /* the text stands alone, without "RequestId: … Error: " */
    char *posted; /* JSON that the function sent, instead of all that; owned */
    size_t posted_len;
};

void hd_failure_set(struct hd_failure *f, const char *type, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/**
 * What a runtime or an extension posted as its error.
 * @param type  of the header, or what stands for it; must be one of hd_failure_type().
 * @param body  handed on as it is if it is JSON, else replaced.
 */
void hd_failure_post(struct hd_failure *f, const char *type, struct hd_str body);
/** It ended by itself: @p status as wait() gives it. @p who  "Runtime", or an extension. */
void hd_failure_exit(struct hd_failure *f, const char *type, const char *who, int status);
void hd_failure_done(struct hd_failure *f);
static inline bool hd_failure_is(const struct hd_failure *f)
{
    return f->type[0] != '\0';
}

/** Append the error as the caller gets it: {"errorType":…,"errorMessage":"RequestId: … Error: …"}.
 */
void hd_failure_json(struct hd_buf *out, const struct hd_failure *f, struct hd_str request_id);
/** Append an error answer of the APIs: {"errorMessage":…,"errorType":…}. */
void hd_failure_api_json(struct hd_buf *out, const char *type, const char *text);
/**
 * @param given     a header's value; ptr NULL: there was none.
 * @param fallback  static.
 * @param room      for a copy.
 * @return the value if it has the form "Runtime.Name" or "Function.Name" (or "Extension.Name"),
 *         else the fallback.
 */
const char *hd_failure_type(struct hd_str given, const char *fallback,
                            char room[HD_FAILURE_TYPE_MAX + 1]);
/** @return whether it is one JSON text. */
bool hd_failure_is_json(struct hd_str body);
