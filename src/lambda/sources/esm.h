/* lambda/sources/esm.h - event source mappings: their life, and the seam behind which pollers are.
 *
 *   Creating ─────► Enabled ─────► Updating ──► Enabled      Enabling, Disabling: on the way
 *       └────► Disabled ⇄ Enabled     any ──► Deleting ──► gone      between the two
 *
 * The API's operations store what a caller wants. This hears of it once it is on the disk, tells
 * the poller of the source, and stores the state that follows when the poller has done it. After a
 * restart what was Enabled polls again, and what was on its way arrives. Control loop only. */
#pragma once

#include "lambda/deploy/catalog.h"
#include "lambda/sources/filter.h"

struct hd_esm;

enum hd_esm_kind {
    HD_ESM_SQS, /* a queue by its ARN; also an event lane of that name */
    HD_ESM_MQ,  /* RabbitMQ: a broker by its ARN and a queue in it */
};

/** One mapping as it is to run: what the caller gave, and the defaults where it gave nothing. All
 *  borrowed until return. */
struct hd_esm_mapping {
    const char *uuid;
    enum hd_esm_kind kind;
    const char *account, *region; /* of the mapping and its function */
    const char *source_arn;
    const char *source_name;          /* the queue's name in its ARN; the broker's */
    const char *function_arn;         /* with the qualifier that the caller gave */
    const char *function;             /* its name */
    const char *qualifier;            /* NULL: none */
    uint32_t batch_size;              /* records of one invocation at most, 1 to 10000 */
    uint32_t window_s;                /* how long a batch may gather, 0 to 300 */
    uint32_t max_concurrency;         /* invocations at once, 2 to 1000; 0: no limit of its own */
    bool item_failures;               /* FunctionResponseTypes has ReportBatchItemFailures */
    bool bisect;                      /* a batch that failed is halved and tried again (MQ) */
    struct hd_filter *const *filters; /* a record that fits none of them is dropped (and deleted
                                       * from its queue); n_filters 0: every record is wanted */
    size_t n_filters;
    const char *on_failure;   /* destination of what is given up (MQ); NULL: none */
    const char *queue;        /* MQ: the queue in the broker */
    const char *virtual_host; /* MQ: "/" if not given */
    const char *secret;       /* MQ: BASIC_AUTH, an ARN or a name of a secret; NULL: none */
};

/** What a look at a source found. */
struct hd_esm_probe {
    struct hd_error err;           /* code 0: it is there; else what the caller is told, as
                                    * InvalidParameterValueException */
    uint32_t visibility_timeout_s; /* of a queue; 0: unknown, or there is no such thing */
};
typedef void (*hd_esm_probe_fn)(void *arg, const struct hd_esm_probe *result);

/** Something that polls. All calls on the control loop; none may call back from inside. */
struct hd_esm_poller {
    const char *name; /* "sqs"; for logs; static */
    /** @return whether this source is its to poll; of several the first that was offered gets it.
     *  Looks at kind, ARN and names only. */
    bool (*takes)(void *arg, const struct hd_esm_mapping *m);
    /** Look at the source before a mapping of it is made. @p done exactly once, later, within some
     *  seconds. NULL: there is nothing to look at. */
    void (*probe)(void *arg, const struct hd_esm_mapping *m, hd_esm_probe_fn done, void *done_arg);
    /** Begin to poll; hd_esm_started() must follow, also when the source cannot be reached: that is
     *  retried, and told by hd_esm_result(). */
    void (*start)(void *arg, const struct hd_esm_mapping *m);
    /** It polls, or is about to: go on with these settings; hd_esm_started() must follow. */
    void (*update)(void *arg, const struct hd_esm_mapping *m);
    /** Cancel what waits at the source at once, let invocations that run end, then
     *  hd_esm_stopped() must follow. Comes at most once for each start. */
    void (*stop)(void *arg, const char *uuid);
};

/**
 * Make it from what the catalog has. Nothing polls before a poller is offered.
 * @param log  may be NULL.
 */
struct hd_esm *hd_esm_new(struct hd_catalog *catalog, struct hd_log *log);
/** Stop everything that polls; @p done when all pollers have stopped. */
void hd_esm_close(struct hd_esm *e, void (*done)(void *arg), void *arg);
/** After close is done, or if no poller was ever offered. NULL is fine. */
void hd_esm_free(struct hd_esm *e);
/** Offer a poller, and start what is its to poll. @p ops is static, @p arg alive until closed. */
void hd_esm_offer(struct hd_esm *e, const struct hd_esm_poller *ops, void *arg);

/* --- what pollers tell --- */

void hd_esm_started(struct hd_esm *e, const char *uuid);
void hd_esm_stopped(struct hd_esm *e, const char *uuid);
/** Say how the last poll went: "OK", "No records processed", "PROBLEM: Connection error".
 *  Shown as LastProcessingResult, not kept over a restart. Unknown mappings are fine. */
void hd_esm_result(struct hd_esm *e, const char *uuid, const char *text);

/* --- what the operations ask --- */

/** @return LastProcessingResult, or NULL; borrowed. */
const char *hd_esm_last_result(const struct hd_esm *e, const char *uuid);
/**
 * Find out whether a mapping of this record could be polled here, and look at its source.
 * @param record  as it would be stored (lambda/sources/esm_config.h).
 * @param done    exactly once; from inside too. HD_ENOTFOUND in result->err: no poller takes it.
 */
void hd_esm_probe(struct hd_esm *e, const json_t *record, hd_esm_probe_fn done, void *done_arg);
