/* lambda/sources/schedule.h - functions that run at times: "rate(5 minutes)", "cron(0 3 * * ? *)".
 *
 * When a run is due its event is handed over, and the time is noted in the store afterwards: a
 * crash in between makes it run twice, never not at all. What was missed while the node was down,
 * or the clock jumped, is made up for by one run, however many there would have been. Times are
 * UTC. */
#pragma once

#include "core/cron.h"
#include "core/log.h"
#include "core/loop.h"
#include "store/store.h"

struct hd_schedules;

/** What is to happen, as one line: "NAME FUNCTION EXPRESSION [EVENT]". */
struct hd_schedule_line {
    struct hd_str name;     /* letters, digits, "-" and "_", up to 64; its own */
    struct hd_str function; /* a name, name:qualifier, or an ARN */
    struct hd_str expression;
    struct hd_str event; /* a JSON object; empty: the event that EventBridge would send */
    struct hd_cron cron;
};
/** @return 0, slices of @p text; or HD_EINVAL: the message says where and what. */
int hd_schedule_parse(struct hd_schedule_line *out, struct hd_str text, struct hd_error *err);

/** A run that is due; borrowed until return. */
struct hd_schedule_run {
    const char *name, *function;
    struct hd_str event;
    int64_t due_unix_s;
};

struct hd_schedules_options {
    struct hd_loop *loop;
    struct hd_store *store; /* borrowed, as all of this */
    struct hd_log *log;     /* may be NULL */
    const char *account, *region;
    const char *const *lines; /* copied; NULL-terminated; NULL: none */
    int64_t (*clock)(void);   /* milliseconds since 1970; NULL: the wall clock. For tests */
    /** Have it run. @p done once, later: NULL: it will, whatever happens now; else it is tried
     *  again until the next one is due. */
    void (*run)(void *arg, const struct hd_schedule_run *run,
                void (*done)(void *done_arg, const struct hd_error *err), void *done_arg);
    void *arg;
};

/**
 * Read lines and what is stored of them. Blocks; before the loops run.
 * @return 0 and *out; HD_EINVAL: a line is wrong, or two have one name; or what the store says.
 */
int hd_schedules_new(struct hd_schedules **out, const struct hd_schedules_options *opt,
                     struct hd_error *err);
/** Begin. Its loop. */
void hd_schedules_start(struct hd_schedules *s);
/** Begin nothing new. Its loop. */
void hd_schedules_stop(struct hd_schedules *s);
/** No run may be on its way to `done`. NULL is fine. */
void hd_schedules_free(struct hd_schedules *s);

/** What there is of one; borrowed until return. */
struct hd_schedule_info {
    const char *name, *function, *expression;
    int64_t last_unix_s; /* 0: never yet */
    int64_t next_unix_s; /* INT64_MAX: never again */
    uint64_t runs, failures;
};
/** Its loop. */
void hd_schedules_each(const struct hd_schedules *s,
                       void (*each)(void *arg, const struct hd_schedule_info *info), void *arg);
