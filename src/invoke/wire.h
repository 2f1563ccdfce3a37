/* invoke/wire.h - an event as a request to an instance, and its answer's fields, as the host
 * protocol has them (doc/host-protocol.md, "Events"). Pure. */
#pragma once

#include "core/buf.h"
#include "core/trace.h"
#include "http/parse.h"
#include "invoke/call.h"

enum {
    HD_WIRE_HEAD_MAX = 64 * 1024,
    HD_WIRE_ERROR_MAX = 256 * 1024, /* of an error that comes in trailers */
};

struct hd_wire_event {
    const struct hd_call_request *request;
    const char *arn; /* where the request has none */
    const char *request_id, *xray;
    const struct hd_trace *trace;
    uint32_t timeout_ms; /* 0: none */
    uint64_t event_bytes;
};

/**
 * Append the request's head.
 * @return 0, or HD_EINVAL: a value that the caller gave cannot stand in a field.
 */
int hd_wire_request(struct hd_buf *out, const struct hd_wire_event *event, struct hd_error *err);

/** What the fields of an answer say. */
struct hd_wire_answer {
    unsigned status;
    bool function_error; /* the body is an error's JSON; of a stream: see error_body */
    bool streams;
    bool exits;       /* the instance ends itself after this */
    bool undelivered; /* the function was not given the event: another instance may take it */
    struct hd_buf content_type;
    struct hd_buf error_type; /* empty: what the JSON says */
    struct hd_buf error_body; /* of a stream that failed */
    char type_bytes[96];      /* first room of content_type: this struct does not move */
};

void hd_wire_answer_init(struct hd_wire_answer *a);
void hd_wire_answer_done(struct hd_wire_answer *a);
void hd_wire_answer_head(struct hd_wire_answer *a, const struct hd_head *head);
/** Trailers at the end of a stream. */
void hd_wire_answer_trailers(struct hd_wire_answer *a, const struct hd_field *fields, size_t n);
