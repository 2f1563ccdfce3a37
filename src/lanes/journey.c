#include "lanes/journey.h"

#include "core/clock.h"

/* --- answers --- */

void hd_journey_free(struct hd_journey *j)
{
    hd_buf_done(&j->envelope);
    hd_arena_done(&j->arena);
    hd_slab_put(&j->loop->journeys, j);
}

void hd_journey_answer(struct hd_journey *j, unsigned status, struct hd_str body, bool retryable)
{
    struct hd_lane_answer a = {
        .status = status, .body = body, .retryable = retryable, .streamed = j->streams};
    j->done(j->arg, &a);
    hd_journey_free(j);
}

void hd_journey_error(struct hd_journey *j, const struct hd_lane_error *error, bool retryable)
{
    struct hd_buf body;
    hd_buf_init(&body, HD_JOURNEY_VALUES_MAX);
    hd_rpc_error(&body, error);
    if (retryable && body.len > 0) {
        body.len--; /* its last brace */
        hd_buf_cstr(&body, ",\"retryable\":true}");
    }
    hd_journey_answer(j, error->status, hd_buf_view(&body), retryable);
    hd_buf_done(&body);
}

void hd_journey_refuse(struct hd_journey *j, unsigned status, const char *code, const char *message,
                       bool retryable)
{
    struct hd_lane_error error = hd_rpc_refusal(status, code, message);
    hd_journey_error(j, &error, retryable);
}

/* A result as the asker wants to see it: typed text, or ordinary JSON. */
void hd_journey_value(struct hd_journey *j, struct hd_str value)
{
    struct hd_typed *read = NULL;
    struct hd_buf body;
    hd_buf_init(&body, HD_JOURNEY_VALUES_MAX);
    hd_buf_cstr(&body, "{\"ok\":true");
    if (value.len > 0) {
        hd_buf_cstr(&body, ",\"result\":");
        if (j->m.typed)
            hd_buf_str(&body, value);
        else if (hd_typed_read(&read, &j->arena, value, NULL) == 0)
            hd_typed_to_plain(&body, read);
        else
            hd_buf_cstr(&body, "null");
    }
    hd_buf_char(&body, '}');
    hd_journey_answer(j, 200, hd_buf_view(&body), false);
    hd_buf_done(&body);
}

/* --- spans --- */

/* What follows is below ours. */
void hd_journey_begin_span(struct hd_journey *j)
{
    hd_span_begin(&j->span, j->m.traceparent, &j->loop->rng, hd_clock_unix_ms());
    if (j->span.on)
        j->m.traceparent = hd_str(j->span.traceparent);
}

void hd_journey_end_span(const struct hd_journey *j, const char *name, const char *lane,
                         bool failed)
{
    const struct hd_lanes *l = j->loop->lanes;
    if (!j->span.on)
        return;
    const struct hd_span_end end = {
        .name = name,
        .lane = lane,
        .of = hd_str(j->task != NULL ? j->task->wire_id : j->event->wire_id),
        .id = j->id,
        .failed = failed,
        .end_unix_ms = hd_clock_unix_ms()};
    hd_span_tell(&j->span, l->opt.log, l->topology->debug ? HD_INFO : HD_DEBUG, &end);
}
