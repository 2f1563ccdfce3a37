/* lambda/logs/logs.h - the part of the CloudWatch Logs API that reads: what `aws logs tail`, the
 * CLI's other reading commands and SDKs need. AWS JSON 1.1 on the control listener, over the lines
 * that are kept in memory (lambda/logs/logstore.h).
 *
 * A request comes on any loop, is carried out on the control loop, and answered on its own. */
#pragma once

#include "core/loop.h"
#include "lambda/logs/logstore.h"

struct hd_logs;

struct hd_logs_request {
    struct hd_str operation;       /* "FilterLogEvents" */
    struct hd_str body;            /* JSON */
    struct hd_str account, region; /* the name space */
};

struct hd_logs_answer {
    unsigned status;
    const char *error_type; /* NULL: no error */
    struct hd_str body;     /* JSON */
};

/** @param control  the loop of @p store. */
struct hd_logs *hd_logs_new(struct hd_logstore *store, struct hd_loop *control);
/** No request is under way. NULL is fine. */
void hd_logs_free(struct hd_logs *l);
/** @return the operation's name of an X-Amz-Target, or an empty slice: it is of another service. */
struct hd_str hd_logs_operation(struct hd_str target);
/**
 * Carry it out. Any loop.
 * @param request  copied.
 * @param done     on @p loop, exactly once, never from inside; the answer is borrowed until return.
 */
void hd_logs_handle(struct hd_logs *l, const struct hd_logs_request *request, struct hd_loop *loop,
                    void (*done)(void *arg, const struct hd_logs_answer *answer), void *arg);
