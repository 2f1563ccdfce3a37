/* lambda/api/api_gc.h - code that no record names any more is removed, an hour later. Control loop.
 */
#pragma once

#include "functions/bundle.h"
#include "lambda/deploy/catalog.h"

struct hd_api_gc;

/** All borrowed. */
struct hd_api_gc_options {
    struct hd_loop *loop;
    struct hd_catalog *catalog;
    struct hd_bundles *bundles;
    struct hd_log *log;
    uint32_t first_ms, every_ms; /* 0: a minute; an hour */
    uint32_t grace_s;            /* as hd_bundles_gc() has it */
};

/** Begin. It looks at a few records at a time. */
struct hd_api_gc *hd_api_gc_new(const struct hd_api_gc_options *opt);
/** @return whether a walk is under way. */
bool hd_api_gc_is_busy(const struct hd_api_gc *gc);
/** Start no other walk; @p idle (may be NULL) when the one under way, if any, has ended. */
void hd_api_gc_stop(struct hd_api_gc *gc, void (*idle)(void *arg), void *arg);
/** It must not be busy. NULL is fine. */
void hd_api_gc_free(struct hd_api_gc *gc);
