/* lanes/cloudevent.h - CloudEvents 1.0 in HTTP: the binary and the structured mode, read strictly.
 * Pure.
 * https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
 *
 * The data becomes an event's payload; the attributes travel beside it, for hooks that ask for
 * CloudEvents. */
#pragma once

#include "core/arena.h"
#include "http/parse.h"

enum hd_cloud_mode {
    HD_CLOUD_NONE,
    HD_CLOUD_BINARY,     /* attributes in ce-* fields, the data is the body */
    HD_CLOUD_STRUCTURED, /* application/cloudevents+json */
    HD_CLOUD_OTHER,      /* a batch, or another format than JSON: not taken */
};
/** @return how a request carries its event. */
enum hd_cloud_mode hd_cloud_mode(const struct hd_head *head);

/** All in the arena. */
struct hd_cloud_event {
    struct hd_str type;        /* of the event */
    struct hd_str attributes;  /* JSON object: id, source, type, time, subject, dataschema and the
                                * extensions; neither specversion nor what is about the data */
    struct hd_str traceparent; /* of the extension with this name; empty: none */
    struct hd_str data;        /* JSON; empty: there is none */
    bool typed;                /* data is typed text, else ordinary JSON */
};

/**
 * Read the attributes of a binary event.
 * @return 0; HD_EINVAL: one is missing or wrong, the message names it.
 */
int hd_cloud_binary(struct hd_cloud_event *out, struct hd_arena *arena, const struct hd_head *head,
                    struct hd_error *err);
/**
 * Make the data of a binary event's body: JSON is taken as it is (and checked by who reads it),
 * text becomes a string, anything else bytes.
 */
int hd_cloud_binary_data(struct hd_cloud_event *out, struct hd_arena *arena,
                         struct hd_str content_type, struct hd_str body, struct hd_error *err);
/** Read a structured event. @return 0; HD_EINVAL as above. */
int hd_cloud_structured(struct hd_cloud_event *out, struct hd_arena *arena, struct hd_str body,
                        struct hd_error *err);
