/* auth/sigv4.h - AWS Signature Version 4: check what AWS clients sign, and sign what we send to
 * services that speak like AWS. Pure; no clock, no randomness. */
#pragma once

#include "core/buf.h"

#include <heddle/invoke.h>

enum { HD_SHA256_BYTES = 32 };

/** A request as it is on the wire; all borrowed. */
struct hd_sigv4_request {
    struct hd_str method;
    struct hd_str path;      /* percent-encoded as sent, without the query */
    struct hd_str query;     /* as sent, without "?" */
    struct hd_str authority; /* Host, if it is not among the fields */
    const struct hd_field *fields;
    size_t n_fields;
    const unsigned char *body_sha256; /* HD_SHA256_BYTES; of the body as it was received */
};

/** What is wrong with a request's credentials. */
enum hd_sigv4_fault {
    HD_SIGV4_GOOD,
    HD_SIGV4_MISSING,    /* there are none */
    HD_SIGV4_INCOMPLETE, /* they cannot be read */
    HD_SIGV4_UNKNOWN,    /* nobody has that key, or the session token is not its */
    HD_SIGV4_INVALID,    /* wrong signature, wrong scope, too early, too late */
};
/** How AWS tells it. */
struct hd_sigv4_refusal {
    enum hd_sigv4_fault fault;
    char message[400];
};
/** @return the x-amzn-ErrorType, as "InvalidSignatureException"; its status is 403. "" for good. */
const char *hd_sigv4_error_type(enum hd_sigv4_fault fault);

/** What a request says about who signed it; nothing of it is checked yet. */
struct hd_sigv4_claim {
    bool presigned;               /* in the query, not in Authorization */
    struct hd_str key_id;         /* "AKIA..." */
    struct hd_str date;           /* of the scope: "20260102" */
    struct hd_str region;         /* letters, digits and "-" only */
    struct hd_str service;        /* "lambda" */
    struct hd_str signed_headers; /* "content-type;host;x-amz-date" */
    struct hd_str signature;      /* 64 hex digits */
    struct hd_str token;          /* session token; ptr NULL: none */
    struct hd_str time;           /* "20260102T030405Z" */
    int64_t time_unix_s;
    uint32_t expires_s; /* presigned only */
    size_t used;
    char memory[6144]; /* what the slices above point to */
};

/**
 * Read the credentials of a request, from Authorization or from the query.
 * @param claim  filled when good; do not copy it: it points into itself.
 * @return HD_SIGV4_GOOD; HD_SIGV4_MISSING: none of ours (an Authorization of another scheme is for
 *         others to judge); HD_SIGV4_INCOMPLETE. Unless good, *refusal says it as AWS does.
 */
enum hd_sigv4_fault hd_sigv4_parse(struct hd_sigv4_claim *claim, const struct hd_sigv4_request *req,
                                   struct hd_sigv4_refusal *refusal);

struct hd_sigv4_key {
    struct hd_str id;     /* used when signing only */
    struct hd_str secret; /* 1 to 256 bytes */
    struct hd_str token;  /* session token that must come with it; empty: none may */
};

/** Derived signing keys, so that a request costs one HMAC and not five. One per thread. */
struct hd_sigv4_keys;
struct hd_sigv4_keys *hd_sigv4_keys_new(void);
void hd_sigv4_keys_free(struct hd_sigv4_keys *k); /* wipes; NULL is fine */

struct hd_sigv4_rules {
    const char *service; /* the scope must name it */
    int64_t now_unix_s;
    uint32_t max_skew_s;        /* 0: 300 */
    struct hd_sigv4_keys *keys; /* NULL: derive anew */
};

/**
 * Check a claim against the request it came with: scope, time, headers that must be signed (Host
 * and all X-Amz-*), the hash of the body, the signature. A payload that says it is unsigned is
 * refused.
 * @param key  of claim->key_id, or NULL: nobody has it.
 */
enum hd_sigv4_fault hd_sigv4_verify(const struct hd_sigv4_claim *claim,
                                    const struct hd_sigv4_request *req,
                                    const struct hd_sigv4_key *key,
                                    const struct hd_sigv4_rules *rules,
                                    struct hd_sigv4_refusal *refusal);

/* --- signing --- */

struct hd_sigv4_scope {
    struct hd_str region, service;
    int64_t now_unix_s;
    bool plain_path;            /* S3: the path is encoded once and never tidied */
    struct hd_sigv4_keys *keys; /* NULL: derive anew */
};

/** Fields to send with what was signed, and as it was signed. */
struct hd_sigv4_signed {
    char time[17];               /* X-Amz-Date */
    char body_hex[65];           /* X-Amz-Content-Sha256; it was signed if `plain_path` */
    struct hd_buf authorization; /* Authorization; hd_buf_done() it */
};

/**
 * Sign a request: Host, all its fields, X-Amz-Date, X-Amz-Security-Token if the key has one, and
 * X-Amz-Content-Sha256 for S3. The last three must not be among the fields.
 * @param out  to be zeroed before, or used for signing before.
 * @return 0, or HD_EINVAL: the secret has no possible length, or there are too many fields.
 */
int hd_sigv4_sign(struct hd_sigv4_signed *out, const struct hd_sigv4_request *req,
                  const struct hd_sigv4_key *key, const struct hd_sigv4_scope *scope,
                  struct hd_error *err);
void hd_sigv4_signed_done(struct hd_sigv4_signed *out);
/** The SHA-256 of some bytes. */
void hd_sigv4_hash(unsigned char out[HD_SHA256_BYTES], struct hd_str bytes);
