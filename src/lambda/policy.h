/* lambda/policy.h - who besides the owner may do what: the resource policies of a function, ready
 * to be asked. Editing the documents is lambda/policydoc.h. */
#pragma once

#include "core/base.h"

/** The documents of one function (its own, and those of its aliases and versions), parsed;
 *  immutable once shared, counted, any thread. */
struct hd_policies;

struct hd_policies *hd_policies_new(void);
struct hd_policies *hd_policies_ref(struct hd_policies *p); /* NULL gives NULL */
void hd_policies_unref(struct hd_policies *p);              /* NULL is fine */
/**
 * Add a document: {"Version", "Statement": [...]}. Before it is shared.
 * @return 0, or HD_EINVAL as hd_policydoc_check() says it, and nothing was added.
 */
int hd_policies_add(struct hd_policies *p, struct hd_str document, struct hd_error *err);

/** What is asked. Empty members are what the caller does not have; all borrowed. */
struct hd_policy_query {
    struct hd_str action;    /* "lambda:InvokeFunction" */
    struct hd_str resource;  /* ARN, with the qualifier that is used; ":$LATEST" is as without */
    struct hd_str owner;     /* account of the resource */
    struct hd_str account;   /* of the caller; empty: anonymous, or a service */
    struct hd_str principal; /* ARN of the caller */
    struct hd_str service;   /* "sqs.amazonaws.com" */
    struct hd_str source_arn, source_account; /* on whose behalf a service asks */
    struct hd_str source_ip;
    struct hd_str event_source_token;
    struct hd_str principal_org;
    struct hd_str url_auth_type; /* "NONE" or "AWS_IAM", of a function URL */
    bool via_url;                /* it came by a function URL */
};

enum hd_policy_verdict {
    HD_POLICY_SILENT, /* no statement speaks of it */
    HD_POLICY_ALLOW,
    HD_POLICY_DENY, /* a Deny is stronger than every Allow */
};
/** @param p  NULL: no policy. @return what the statements say, whoever owns it. */
enum hd_policy_verdict hd_policies_ask(const struct hd_policies *p,
                                       const struct hd_policy_query *query);
/**
 * @return whether it may: nobody against a Deny; else everybody of the owner's account, and whom a
 *         statement allows. A function URL with AuthType NONE is asked with an empty account.
 */
bool hd_policies_allow(const struct hd_policies *p, const struct hd_policy_query *query);

/** @return whether @p text fits @p pattern, in which "*" is any text and "?" any character. */
bool hd_policy_like(struct hd_str pattern, struct hd_str text);
/** Same, where each of the first five ":" of an ARN separates parts that match on their own. */
bool hd_policy_like_arn(struct hd_str pattern, struct hd_str text);

static inline void hd_policies_auto_(struct hd_policies **p)
{
    hd_policies_unref(*p);
}
