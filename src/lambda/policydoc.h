/* lambda/policydoc.h - policy documents as texts: build a statement, put it in, take it out, check
 * a whole document. Documents are {"Version":"2012-10-17","Id":"default","Statement":[...]}. */
#pragma once

#include "core/base.h"

enum { HD_POLICYDOC_BYTES_MAX = 20480 };

/** How a condition compares. */
enum hd_policydoc_match {
    HD_MATCH_EQUAL,
    HD_MATCH_NOCASE,
    HD_MATCH_LIKE, /* "*" and "?" */
    HD_MATCH_ARN,  /* same, part by part */
    HD_MATCH_NETWORK,
    HD_MATCH_NULL, /* whether it is there at all */
};
struct hd_policydoc_operator {
    enum hd_policydoc_match match;
    bool negated;
    bool if_exists; /* true where the caller does not have the key */
};
/** Read "StringEquals", "ArnNotLikeIfExists", ... @return 0, or HD_EINVAL: it is not enforced. */
int hd_policydoc_operator(struct hd_policydoc_operator *out, struct hd_str name);

/** One statement as AddPermission describes it. Empty members are not given. */
struct hd_policydoc_permission {
    struct hd_str sid, action;
    struct hd_str principal; /* "*", an account, an ARN of IAM or STS, or a service */
    struct hd_str resource;  /* ARN with the qualifier */
    struct hd_str source_arn, source_account, event_source_token, principal_org, url_auth_type;
    bool via_url_given, via_url;
};

/**
 * @param out  one statement as JSON, the caller's to free.
 * @return 0, or HD_EINVAL: the principal is none of the forms, or is an ARN without an account.
 */
int hd_policydoc_statement(char **out, const struct hd_policydoc_permission *p,
                           struct hd_error *err);
/**
 * Add a statement to a document.
 * @param document  empty: there is none yet.
 * @param out       the new document, the caller's to free.
 * @return 0; HD_EEXIST: the Sid is there; HD_EBUSY: over HD_POLICYDOC_BYTES_MAX; HD_EINVAL: the
 *         document is not one.
 */
int hd_policydoc_add(char **out, struct hd_str document, struct hd_str statement,
                     struct hd_error *err);
/**
 * Take the statement with this Sid out.
 * @param out  set on success: the document without it, the caller's to free; NULL: it was the last.
 * @return 0; HD_ENOTFOUND: no such Sid; HD_EINVAL.
 */
int hd_policydoc_remove(char **out, struct hd_str document, struct hd_str sid,
                        struct hd_error *err);
/**
 * Check a whole document that a caller wrote: every member, operator and condition key in it must
 * be one that is enforced.
 * @param resource  ARN without a qualifier: every Resource must lie in it; empty: anything does.
 * @param out       set on success: the document in its canonical spelling, the caller's to free.
 *                  May be NULL.
 * @return 0; HD_EBUSY: too long; HD_EINVAL: the message names the statement and the member.
 */
int hd_policydoc_check(char **out, struct hd_str document, struct hd_str resource,
                       struct hd_error *err);
