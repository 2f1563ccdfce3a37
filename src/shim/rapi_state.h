/* shim/rapi_state.h - what a runtime may say to the Runtime API, and when. Pure. */
#pragma once

#include "core/base.h"

enum { HD_RAPI_ID_MAX = 128 };

enum hd_rapi_phase {
    HD_RAPI_INIT,      /* it was started, and has not asked for work yet */
    HD_RAPI_IDLE,      /* it asked, and broke the call off */
    HD_RAPI_WAITING,   /* its `next` is open: it can be given an event */
    HD_RAPI_RUNNING,   /* it has an event */
    HD_RAPI_ANSWERING, /* its answer is coming in */
    HD_RAPI_ANSWERED,  /* its answer is complete; it has not asked for work again */
    HD_RAPI_FAILED,    /* it said that its init failed */
    HD_RAPI_OVER,      /* timeout, exit or shutdown: it may say nothing more */
};

/** Zeroed is HD_RAPI_INIT. */
struct hd_rapi {
    enum hd_rapi_phase phase;
    char id[HD_RAPI_ID_MAX + 1]; /* of the event it was given last; "" before the first */
};

enum hd_rapi_call {
    HD_RAPI_NEXT,
    HD_RAPI_RESPONSE,
    HD_RAPI_ERROR,
    HD_RAPI_INIT_ERROR,
    HD_RAPI_RESTORE, /* both calls of snapshots */
};

enum hd_rapi_verdict {
    HD_RAPI_OK,
    HD_RAPI_NOT_NOW, /* 403 InvalidStateTransition */
    HD_RAPI_BAD_ID,  /* 400 InvalidRequestID */
};

/**
 * The runtime calls. On HD_RAPI_OK it is in the phase that follows: `next` waits, an answer is
 * coming in, or init has failed.
 * @param id  of the call's path; for HD_RAPI_RESPONSE and HD_RAPI_ERROR only.
 */
enum hd_rapi_verdict hd_rapi_ask(struct hd_rapi *r, enum hd_rapi_call call, struct hd_str id);
/** The connection of its open `next` is gone: it may ask again. */
void hd_rapi_next_lost(struct hd_rapi *r);
/** Give it an event; it must be waiting. @param id  at most HD_RAPI_ID_MAX bytes. */
void hd_rapi_give(struct hd_rapi *r, struct hd_str id);
/** Its answer is complete, or was cut off. */
void hd_rapi_answered(struct hd_rapi *r);
/** Nothing is legal any more, and no id is known: a late answer reaches nobody. */
void hd_rapi_end(struct hd_rapi *r);
