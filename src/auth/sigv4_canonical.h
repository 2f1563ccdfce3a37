/* auth/sigv4_canonical.h - the one spelling of a request that both sides sign, and the signature
 * over it. Used by the two halves of auth/sigv4.h. Pure. */
#pragma once

#include "auth/sigv4.h"

enum {
    HD_SIGV4_TEXT_MAX = 1 << 18, /* of a canonical request */
    HD_SIGV4_PARAMS_MAX = 256,   /* in a query */
    HD_SIGV4_SECRET_MAX = 256,
};

struct hd_sigv4_canon {
    const struct hd_sigv4_request *req;
    struct hd_str signed_headers; /* lower case, ";" between them */
    const struct hd_field *extra; /* fields that count as well */
    size_t n_extra;
    struct hd_str payload_hash; /* as it stands at the end */
    bool plain_path;            /* S3 */
};

/**
 * Append the canonical request. X-Amz-Signature is left out of the query.
 * @return 0; HD_EINVAL: a header that is said to be signed is not there, or there are more
 *         parameters or bytes than we look at.
 */
int hd_sigv4_canonical(struct hd_buf *out, const struct hd_sigv4_canon *c, struct hd_error *err);

/** Sign: hex of the HMAC over the string to sign that is made of @p canonical. */
void hd_sigv4_signature(char out[2 * HD_SHA256_BYTES + 1], struct hd_str canonical,
                        struct hd_str time, struct hd_str date, struct hd_str region,
                        struct hd_str service, struct hd_str secret, struct hd_sigv4_keys *keys);

/** Take the value of a field that is there once. @return how many there are. */
size_t hd_sigv4_field(struct hd_str *value, const struct hd_sigv4_request *req, const char *name);
