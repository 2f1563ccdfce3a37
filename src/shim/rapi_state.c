/*            next                 hd_rapi_give            response, error
 *   INIT ────────────► WAITING ──────────────► RUNNING ──────────────────► ANSWERING
 *     │                 │   ▲                                                  │ complete, cut
 *     │ init/error      │   │ next                    next                     ▼
 *     ▼            lost ▼   │              WAITING ◄──────────────────────  ANSWERED
 *   FAILED              IDLE
 *                                          every phase ──hd_rapi_end()──► OVER               */
#include "shim/rapi_state.h"

static enum hd_rapi_verdict next(struct hd_rapi *r)
{
    if (r->phase != HD_RAPI_INIT && r->phase != HD_RAPI_IDLE && r->phase != HD_RAPI_ANSWERED)
        return HD_RAPI_NOT_NOW;
    r->phase = HD_RAPI_WAITING;
    return HD_RAPI_OK;
}

static enum hd_rapi_verdict answer(struct hd_rapi *r, struct hd_str id)
{
    switch (r->phase) {
    case HD_RAPI_INIT:
    case HD_RAPI_FAILED:
        return HD_RAPI_NOT_NOW;
    case HD_RAPI_IDLE:
    case HD_RAPI_WAITING:
    case HD_RAPI_OVER:
        return HD_RAPI_BAD_ID; /* what it may have answered once is finished */
    case HD_RAPI_RUNNING:
    case HD_RAPI_ANSWERING:
    case HD_RAPI_ANSWERED:
        break;
    }
    if (!hd_str_is(id, r->id))
        return HD_RAPI_BAD_ID;
    if (r->phase != HD_RAPI_RUNNING)
        return HD_RAPI_NOT_NOW;
    r->phase = HD_RAPI_ANSWERING;
    return HD_RAPI_OK;
}

enum hd_rapi_verdict hd_rapi_ask(struct hd_rapi *r, enum hd_rapi_call call, struct hd_str id)
{
    switch (call) {
    case HD_RAPI_NEXT:
        return next(r);
    case HD_RAPI_RESPONSE:
    case HD_RAPI_ERROR:
        return answer(r, id);
    case HD_RAPI_INIT_ERROR:
        if (r->phase != HD_RAPI_INIT)
            return HD_RAPI_NOT_NOW;
        r->phase = HD_RAPI_FAILED;
        return HD_RAPI_OK;
    case HD_RAPI_RESTORE:
        return r->phase == HD_RAPI_INIT ? HD_RAPI_OK : HD_RAPI_NOT_NOW;
    }
    return HD_RAPI_NOT_NOW;
}

void hd_rapi_next_lost(struct hd_rapi *r)
{
    if (r->phase == HD_RAPI_WAITING)
        r->phase = HD_RAPI_IDLE;
}

void hd_rapi_give(struct hd_rapi *r, struct hd_str id)
{
    size_t n = HD_MIN(id.len, (size_t)HD_RAPI_ID_MAX);
    memcpy(r->id, id.ptr, n);
    r->id[n] = '\0';
    r->phase = HD_RAPI_RUNNING;
}

void hd_rapi_answered(struct hd_rapi *r)
{
    if (r->phase == HD_RAPI_ANSWERING)
        r->phase = HD_RAPI_ANSWERED;
}

void hd_rapi_end(struct hd_rapi *r)
{
    r->phase = HD_RAPI_OVER;
    r->id[0] = '\0';
}
