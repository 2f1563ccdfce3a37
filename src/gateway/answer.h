/* gateway/answer.h - the answers which the gateway makes itself: one catalogue of statuses, reasons
 * and bodies (contract section 4.3). Pure. */
#pragma once

#include "core/buf.h"

/** One of ours. Texts are static or borrowed until it was written. */
struct hd_answer {
    unsigned status;
    const char *error;      /* sentence for "error" */
    const char *reason;     /* word for "reason", to branch on; or NULL */
    const char *extra;      /* more members as JSON text without braces, or NULL */
    uint32_t retry_after_s; /* 0: no Retry-After */
    bool challenge;         /* WWW-Authenticate: Bearer */
    const char *auth_error; /* its error code, or NULL */
    bool warming;           /* X-Heddle-Warming: 1 */
};

/** Append the JSON body. @param id  of the request, or NULL. */
void hd_answer_body(struct hd_buf *out, const struct hd_answer *a, const char *id);
