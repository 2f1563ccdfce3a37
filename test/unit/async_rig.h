/* async_rig.h - the asynchronous worker over a real store, a virtual clock, functions that are made
 * up, and calls that the test ends. */
#pragma once

#include "core/list.h"
#include "lambda/async/async.h"
#include "lambda/async/destination.h"
#include "lambda/deploy/view_table.h"
#include "store_rig.h"

#define ACCOUNT "000000000000"
#define REGION "us-east-1"
#define ARN(name) "arn:aws:lambda:" REGION ":" ACCOUNT ":function:" name
#define QUEUE(name) "lambda:" ACCOUNT "/" REGION "/" name

/** A call that the worker has made: what it asked for. */
struct hd_call {
    struct hd_list link;
    struct hd_target *target;
    struct async_rig *rig;
    const struct hd_call_events *events;
    void *arg;
    char *event, *arn, *context, *trace, *source;
    char request_id[64];
    struct hd_timer timer; /* for the rig's `on_call` */
    int number;
};

struct async_settings {
    const char *name;
    const char *qualifier; /* of the settings; NULL: "$LATEST" */
    int32_t max_retries, max_age_s;
    const char *on_success, *on_failure, *dead_letter;
    bool off, loops_allowed;
};

enum { ASYNC_RIG_WAITS = 1 };

struct async_rig {
    struct rig store;
    struct hd_async *async;
    struct hd_destinations *destinations;
    struct hd_view *view;
    struct hd_targets targets;
    struct hd_list calls; /* under way */
    int n_calls, n_canceled;
    int starts;  /* of anything: whether it is still */
    bool folder; /* any name is a function */
    /** NULL: calls wait in `calls` for async_rig_end(). */
    void (*on_call)(struct hd_call *call);
    /** What event lanes do; NULL: they take everything. @return 0, or an error's code, or
     *  ASYNC_RIG_WAITS: until async_rig_emitted(). */
    int (*on_emit)(struct async_rig *r, struct hd_str lane, struct hd_str id, struct hd_str json);
    void *emission; /* that waits */
    void *arg;
    uint32_t workers, max_running;
    uint64_t max_events;
};

void async_rig_init(struct async_rig *r);
/** Open the store, and begin. */
void async_rig_open(struct async_rig *r);
/** End as an orderly node does: what runs is given up. The store stays open. */
void async_rig_close(struct async_rig *r);
/** Close, leave what a dead process would leave, open and begin. */
void async_rig_crash(struct async_rig *r);
void async_rig_done(struct async_rig *r);
/** The lane has taken the one that waits. */
void async_rig_emitted(struct async_rig *r);

/** Make or change a function. Versions: $LATEST and 1; alias "prod": 1. */
void async_rig_function(struct async_rig *r, const struct async_settings *s);
void async_rig_remove(struct async_rig *r, const char *name);

/** Accept an event. @return the error's code, or 0. */
int async_rig_event(struct async_rig *r, const char *name, const char *id, const char *payload);
int async_rig_event_of(struct async_rig *r, const struct hd_async_event *event);
/** Run until nothing happens any more at this time. */
void async_rig_still(struct async_rig *r);
/** Let time go on, all that is due in between happens at its time. */
void async_rig_pass(struct async_rig *r, int64_t ms);
int64_t async_rig_now(void);

void async_rig_end(struct hd_call *call, enum hd_call_outcome outcome, const char *payload);
/** @return the oldest call under way; fails without one. */
struct hd_call *async_rig_call(struct async_rig *r);
struct hd_async_stats async_rig_stats(struct async_rig *r);
