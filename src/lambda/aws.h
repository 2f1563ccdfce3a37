/* lambda/aws.h - calls to services that speak like AWS (queues, topics, buses, buckets): where they
 * are, who we are to them, signed requests, and what their errors mean. */
#pragma once

#include "auth/sigv4.h"
#include "http/fetch.h"

struct hd_aws;      /* one per loop */
struct hd_aws_call; /* one call under way */

/** Services with an address of their own; the order is that of the names below. */
enum hd_aws_service { HD_AWS_SQS, HD_AWS_SNS, HD_AWS_EVENTS, HD_AWS_S3, HD_AWS_SERVICES };

/** Copied; NULL: see hd_aws_options_from_env(). */
struct hd_aws_options {
    struct hd_loop *loop;       /* NULL: the fetcher's */
    struct hd_fetcher *fetcher; /* borrowed */
    const char *key_id, *secret, *token;
    const char *endpoints[HD_AWS_SERVICES]; /* "http://127.0.0.1:9324" */
    const char *endpoint;                   /* of those that have none of their own */
};
/**
 * Fill what is NULL from the environment, as AWS clients do: AWS_ACCESS_KEY_ID,
 * AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_ENDPOINT_URL_SQS (_SNS, _EVENTBRIDGE, _S3),
 * AWS_ENDPOINT_URL. What was given stays together: a key id of the settings gets no secret of the
 * environment.
 */
void hd_aws_options_from_env(struct hd_aws_options *opt);

/** @return 0 and *out; or HD_EINVAL: an endpoint is no http or https URL. */
int hd_aws_new(struct hd_aws **out, const struct hd_aws_options *opt, struct hd_error *err);
/** No call may be under way. NULL is fine. */
void hd_aws_free(struct hd_aws *a);
struct hd_loop *hd_aws_loop(const struct hd_aws *a);
/** @return whether calls can be made: an address or a key was given. */
bool hd_aws_knows(const struct hd_aws *a, enum hd_aws_service service);

/** All borrowed until hd_aws_start() returns. */
struct hd_aws_request {
    enum hd_aws_service service;
    struct hd_str region;     /* "us-east-1" */
    const char *method;       /* NULL: "POST" */
    const char *path;         /* NULL: "/"; percent-encoded */
    const char *target;       /* X-Amz-Target, "AmazonSQS.ReceiveMessage"; NULL: none */
    const char *content_type; /* NULL: "application/x-amz-json-1.0" */
    struct hd_str body;
    uint32_t timeout_ms;     /* 0: 10000 */
    size_t max_answer_bytes; /* 0: 1 MiB */
};

/** Why a call did not succeed. */
struct hd_aws_failure {
    struct hd_error error; /* a sentence with the service's own words */
    char type[80];         /* "QueueDoesNotExist", without its name space; "": no answer came */
    unsigned status;       /* 0: no answer came */
    bool again;            /* it may work later: the network, a 5xx, a throttle */
};

/**
 * The end, exactly once, never from inside start or cancel.
 * @param body     of an answer 2xx; borrowed until return.
 * @param failure  NULL: it succeeded.
 */
typedef void hd_aws_done_fn(void *arg, struct hd_str body, const struct hd_aws_failure *failure);

/** @return 0 and *out, valid until @p done; or HD_EINVAL or HD_EIO, and @p done is not called. */
int hd_aws_start(struct hd_aws_call **out, struct hd_aws *a, const struct hd_aws_request *req,
                 hd_aws_done_fn *done, void *arg, struct hd_error *err);
/** done() follows with HD_ECANCELED, later. */
void hd_aws_cancel(struct hd_aws_call *call);

/** An attribute of a message. */
struct hd_aws_attribute {
    const char *name, *type; /* "String", "Number" */
    struct hd_str value;
};

/** Parts of "arn:aws:sqs:us-east-1:123456789012:name"; slices. */
struct hd_aws_arn {
    struct hd_str partition, service, region, account, resource;
};
/** @return 0, or HD_EINVAL: fewer than six parts, or no "arn" in front. */
int hd_aws_arn_parse(struct hd_aws_arn *out, struct hd_str arn);
