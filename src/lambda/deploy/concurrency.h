/* lambda/deploy/concurrency.h - how much of an account's concurrency is promised to whom, and what
 * may still be promised. Pure but for reading the catalog. */
#pragma once

#include "lambda/api/api.h"
#include "lambda/deploy/catalog.h"

struct hd_concurrency_limits {
    uint32_t account;        /* at once, of all functions together */
    uint32_t unreserved_min; /* must stay for functions without a reservation */
};

/** @param l  with its defaults filled in. */
void hd_concurrency_limits(struct hd_concurrency_limits *out, const struct hd_api_limits *l);

/** What one function has been promised. */
struct hd_concurrency_share {
    int64_t reserved;     /* -1: no reservation */
    uint64_t provisioned; /* sum over its versions and aliases */
};
/** What is promised in an account and region. */
struct hd_concurrency_sum {
    uint64_t reserved;    /* reservations of all functions */
    uint64_t provisioned; /* of functions without a reservation: theirs lie in the reservation */
};

/** Count one function. @param key  "account/region/name". */
void hd_concurrency_share(struct hd_concurrency_share *out, const struct hd_catalog *c,
                          const char *key);
/** Count all functions. @param place  "account/region/". */
void hd_concurrency_sum(struct hd_concurrency_sum *out, const struct hd_catalog *c,
                        const char *place);
/** @return what is left for functions without a reservation; never negative. */
uint64_t hd_concurrency_unreserved(const struct hd_concurrency_limits *limits,
                                   const struct hd_concurrency_sum *sum);

/**
 * May a function get this reservation?
 * @param sum   of all functions, this one with what it has now.
 * @param self  this one now.
 * @return 0, or HD_EINVAL with the service's message.
 */
int hd_concurrency_check_reserved(const struct hd_concurrency_limits *limits,
                                  const struct hd_concurrency_sum *sum,
                                  const struct hd_concurrency_share *self, uint64_t wanted,
                                  struct hd_error *err);
/**
 * May one of its versions or aliases get so much provisioned concurrency?
 * @param had  what this one has now.
 */
int hd_concurrency_check_provisioned(const struct hd_concurrency_limits *limits,
                                     const struct hd_concurrency_sum *sum,
                                     const struct hd_concurrency_share *self, uint64_t had,
                                     uint64_t wanted, struct hd_error *err);
