#include "lambda/deploy/concurrency.h"

#include "lambda/names.h"

void hd_concurrency_limits(struct hd_concurrency_limits *out, const struct hd_api_limits *l)
{
    out->account = l->account_concurrency;
    out->unreserved_min = HD_MIN(l->unreserved_min, l->account_concurrency);
}

static uint64_t number(const json_t *doc, const char *member)
{
    json_int_t n = json_integer_value(json_object_get(doc, member));
    return n > 0 ? (uint64_t)n : 0;
}

void hd_concurrency_share(struct hd_concurrency_share *out, const struct hd_catalog *c,
                          const char *key)
{
    char prefix[HD_NAMES_KEY_MAX + 1];
    json_t *doc = hd_catalog_get(c, HD_RECORD_FUNCTION, key);
    bool reserved = json_object_get(doc, "ReservedConcurrentExecutions") != NULL;
    *out = (struct hd_concurrency_share){
        .reserved = reserved ? (int64_t)number(doc, "ReservedConcurrentExecutions") : -1,
    };
    json_decref(doc);
    snprintf(prefix, sizeof(prefix), "%s:", key);
    const char *at = NULL;
    while ((at = hd_catalog_next(c, HD_RECORD_PROVISIONED, prefix, at)) != NULL) {
        doc = hd_catalog_get(c, HD_RECORD_PROVISIONED, at);
        out->provisioned += number(doc, "RequestedProvisionedConcurrentExecutions");
        json_decref(doc);
    }
}

void hd_concurrency_sum(struct hd_concurrency_sum *out, const struct hd_catalog *c,
                        const char *place)
{
    const char *key = NULL;
    *out = (struct hd_concurrency_sum){0};
    while ((key = hd_catalog_next(c, HD_RECORD_FUNCTION, place, key)) != NULL) {
        struct hd_concurrency_share one;
        hd_concurrency_share(&one, c, key);
        if (one.reserved >= 0)
            out->reserved += (uint64_t)one.reserved;
        else
            out->provisioned += one.provisioned;
    }
}

uint64_t hd_concurrency_unreserved(const struct hd_concurrency_limits *limits,
                                   const struct hd_concurrency_sum *sum)
{
    uint64_t promised = sum->reserved + sum->provisioned;
    return promised < limits->account ? limits->account - promised : 0;
}

int hd_concurrency_check_reserved(const struct hd_concurrency_limits *limits,
                                  const struct hd_concurrency_sum *sum,
                                  const struct hd_concurrency_share *self, uint64_t wanted,
                                  struct hd_error *err)
{
    if (wanted < self->provisioned)
        return hd_fail(err, HD_EINVAL,
                       " ReservedConcurrentExecutions  %llu should not be lower than function's "
                       "total provisioned concurrency [%llu].",
                       (unsigned long long)wanted, (unsigned long long)self->provisioned);
    struct hd_concurrency_sum others = *sum; /* its provisioned places lie inside from now on */
    if (self->reserved >= 0)
        others.reserved -= (uint64_t)self->reserved;
    else
        others.provisioned -= self->provisioned;
    uint64_t left = hd_concurrency_unreserved(limits, &others);
    if (wanted > left || left - wanted < limits->unreserved_min)
        return hd_fail(err, HD_EINVAL,
                       "Specified ReservedConcurrentExecutions for function decreases account's "
                       "UnreservedConcurrentExecution below its minimum value of [%u].",
                       limits->unreserved_min);
    return 0;
}

int hd_concurrency_check_provisioned(const struct hd_concurrency_limits *limits,
                                     const struct hd_concurrency_sum *sum,
                                     const struct hd_concurrency_share *self, uint64_t had,
                                     uint64_t wanted, struct hd_error *err)
{
    if (self->reserved >= 0) {
        uint64_t total;
        if (__builtin_add_overflow(self->provisioned - had, wanted, &total) ||
            total > (uint64_t)self->reserved)
            return hd_fail(err, HD_EINVAL,
                           "Requested Provisioned Concurrency should not be greater than the "
                           "reservedConcurrentExecution for function");
        return 0;
    }
    struct hd_concurrency_sum others = *sum;
    others.provisioned -= had;
    uint64_t left = hd_concurrency_unreserved(limits, &others);
    if (wanted > left)
        return hd_fail(err, HD_EINVAL,
                       "Specified ConcurrentExecutions for function is greater than account's "
                       "unreserved concurrency [%llu].",
                       (unsigned long long)left);
    if (left - wanted < limits->unreserved_min)
        return hd_fail(err, HD_EINVAL,
                       "Specified ConcurrentExecutions for function decreases account's "
                       "UnreservedConcurrentExecution below its minimum value of [%u].",
                       limits->unreserved_min);
    return 0;
}
