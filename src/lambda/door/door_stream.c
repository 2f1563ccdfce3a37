/* A streamed answer in event-stream frames (InvokeWithResponseStream).
 *
 * started ─► the call is placed: the head goes out ─► a frame for each piece ─► InvokeComplete
 *    └─► it cannot run: an ordinary error */
#include "lambda/door/door_private.h"

#include "lambda/door/eventstream.h"

#include <stdio.h>

/* --- how much, and how fast --- */

bool hd_door_may_stream(struct hd_door_request *r, size_t bytes)
{
    if (!hd_pace_take(&r->pace, &r->door->edge->pace, bytes, hd_clock_us()))
        r->too_much = true;
    return !r->too_much;
}

static void on_pace(struct hd_timer *t)
{
    struct hd_door_request *r = hd_container_of(t, struct hd_door_request, timer);
    r->waits = false;
    if (r->call != NULL)
        hd_call_resume(r->call);
}

bool hd_door_streamed(struct hd_door_request *r, bool flows)
{
    struct hd_loop *loop = r->door->net->loop;
    uint32_t wait_ms = hd_pace_wait_ms(&r->pace, hd_clock_us());
    if (wait_ms == 0)
        return flows;
    r->waits = true;
    hd_timer_start(loop, &r->timer, wait_ms, on_pace);
    return false;
}

/* --- frames --- */

static void respond(struct hd_door_request *r)
{
    struct hd_field f[] = {{HD_LIT("content-type"), HD_LIT("application/vnd.amazon.eventstream")},
                           {HD_LIT("x-amzn-RequestId"), hd_str(r->id)},
                           {HD_LIT("X-Amz-Executed-Version"), hd_str(r->target->version)}};
    struct hd_response_head head = {
        .status = 200, .fields = f, .n_fields = HD_COUNT(f), .body_bytes = HD_BODY_UNKNOWN};
    if (r->responded)
        return;
    r->responded = true;
    hd_exchange_respond(r->ex, &head, hd_str_n(NULL, 0), false);
}

void hd_door_stream_started(struct hd_door_request *r)
{
    if (hd_call_is_placed(r->call))
        respond(r);
}

static void on_placed(void *arg)
{
    respond(arg);
}

static void on_head(void *arg, const struct hd_call_head *head)
{
    (void)head; /* frames have no place for it */
    respond(arg);
}

/* The last frame, and the end. */
static void complete(struct hd_door_request *r, const struct hd_eventstream_complete *end)
{
    struct hd_buf *b = &r->door->frame;
    struct hd_exchange *ex = r->ex;
    respond(r);
    r->ex = NULL;
    hd_buf_clear(b);
    hd_eventstream_complete(b, end);
    hd_exchange_write(ex, hd_buf_view(b), true);
    hd_door_end(r);
}

static bool on_data(void *arg, struct hd_str bytes)
{
    struct hd_door_request *r = arg;
    struct hd_buf *b = &r->door->frame;
    if (!hd_door_may_stream(r, bytes.len))
        return true; /* the end says so */
    hd_buf_clear(b);
    hd_eventstream_chunk(b, bytes);
    return hd_door_streamed(r, hd_exchange_write(r->ex, hd_buf_view(b), false));
}

static void on_end(void *arg, const struct hd_call_result *result)
{
    struct hd_door_request *r = arg;
    struct hd_eventstream_complete end = {.log_tail =
                                              r->ask.tail ? result->tail : hd_str_n(NULL, 0)};
    r->call = NULL;
    bool ran = result->outcome == HD_CALL_OK || result->outcome == HD_CALL_FUNCTION_ERROR;
    if (!ran && !r->responded) {
        hd_door_not_run(r, result);
        return;
    }
    char text[96];
    if (r->too_much) {
        snprintf(text, sizeof(text), "The streamed answer is larger than %llu bytes.",
                 (unsigned long long)r->door->edge->pace.max_bytes);
        end.error_code = hd_str("Function.ResponseSizeTooLarge");
        end.error_details = hd_str(text);
    } else if (result->outcome == HD_CALL_FUNCTION_ERROR) {
        end.error_code = hd_str("Unhandled");
        end.error_details = result->payload;
    } else if (!ran) {
        end.error_code = hd_str("ServiceException");
        end.error_details = hd_str(result->error.msg);
    }
    complete(r, &end);
}

const struct hd_call_events hd_door_stream_events = {
    .on_placed = on_placed, .on_head = on_head, .on_data = on_data, .on_end = on_end};
