/* lanes/envelope.h - one message of an event lane: a JSON object as it lies on a queue. */
#pragma once

#include "core/arena.h"
#include "core/buf.h"

/** All borrowed from the text or the arena it was read with. */
struct hd_envelope {
    struct hd_str lane_id, event_id;
    struct hd_str payload;  /* typed text, unescaped */
    struct hd_str contexts; /* typed text of a map; ptr NULL: none */
    struct hd_str source_kind, source_id;
    struct hd_str auth_token; /* ptr NULL: none */
    struct hd_str id;         /* UUID */
    struct hd_str created_at; /* ISO 8601, milliseconds, Z */
    uint32_t max_attempts;    /* written always; read: 0: absent */
    uint32_t attempts;
    struct hd_str cloud;  /* attributes of the CloudEvent that it came as, a JSON object: the member
                           * cloudEvent, which is one of `others`; read only; empty: none */
    struct hd_str others; /* unknown members as JSON text `"k":v,"k2":v2`; kept when republished */
};

/** @return the trace that the emitter was part of (a member `traceparent`, which peers ignore and
 *  keep); empty: none. */
struct hd_str hd_envelope_traceparent(const struct hd_envelope *e);

/** Append the JSON text, members in the order peers write them. */
void hd_envelope_write(struct hd_buf *out, const struct hd_envelope *e);
/** @return 0; HD_EINVAL: not such an object; the message names the member. */
int hd_envelope_read(struct hd_envelope *out, struct hd_arena *arena, struct hd_str json,
                     int64_t now_unix_ms, struct hd_error *err);
