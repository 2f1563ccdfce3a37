/* esm_rig.h - event sources on the Lambda API's real catalog, store and mappings; instead of
 * functions there is a sink that writes down its events and answers as the test says. */
#pragma once

#include "lambda/sources/esm_poll.h"
#include "lambda/sources/esm_source.h"
#include "op_rig.h"

#define ESM_PATH "/2015-03-31/event-source-mappings"

enum { ESM_EVENTS = 256 };

struct esm_rig {
    struct lr lr;
    struct hd_esm_source_options source; /* for hd_esm_..._new() */
    json_t *events[ESM_EVENTS];
    unsigned n_events, ended, calling, most_calling;
    /** What the next calls come to. */
    enum hd_esm_called how;
    const char *answer;
    bool hold; /* calls do not end before esm_release() */
    struct esm_call *held[ESM_EVENTS];
    unsigned n_held;
    char uuid[64]; /* of the mapping that was made last */
};

/** Open everything; make the function "demo". */
void esm_rig_start(struct esm_rig *r);
/** Close; then free what was offered, then esm_rig_done(). */
void esm_rig_close(struct esm_rig *r);
void esm_rig_done(struct esm_rig *r);
/** Make a mapping of "demo". @param more  further members, as ",\"BatchSize\":5". */
void esm_rig_map(struct esm_rig *r, const char *arn, const char *more);
/** Wait until the mapping's State is this; "": it is gone. */
void esm_rig_state(struct esm_rig *r, const char *state);
/** Wait until so many calls began. */
void esm_rig_events(struct esm_rig *r, unsigned n);
/** Let held calls end. */
void esm_rig_release(struct esm_rig *r);
/** Let the loop turn for some time. */
void esm_rig_turn(struct esm_rig *r, unsigned ms);
/** Let the loop turn until this is so; fails the test after a long time. */
void esm_rig_until(struct esm_rig *r, bool (*so)(void *arg), void *arg);
/** @return a record of an event, by places; NULL: none. */
const json_t *esm_rig_record(const struct esm_rig *r, unsigned event, unsigned record);
