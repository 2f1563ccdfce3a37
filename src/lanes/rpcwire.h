/* lanes/rpcwire.h - the bodies of RPC lanes' requests and answers. Pure. */
#pragma once

#include "lanes/run.h"

/** What a JSON body asked for; lies in the arena. */
struct hd_rpc_body {
    const struct hd_typed *value; /* input or payload */
    bool return_payload;          /* events: the payload after the hooks is wanted */
};

/** Read the body of a task's or an event's request; empty is undefined. @return 0 or HD_EINVAL. */
int hd_rpc_body_read(struct hd_rpc_body *out, struct hd_arena *arena, struct hd_str body,
                     bool is_event, struct hd_error *err);
/** Append what a caller sends, which is also what its token's hash is made of. */
void hd_rpc_body_write(struct hd_buf *out, const struct hd_rpc_body *body, bool is_event);

/** Append the envelope of a success. @param value  typed text; ptr NULL: none is sent. */
void hd_rpc_ok(struct hd_buf *out, struct hd_str value);
/** Append the envelope of an error. */
void hd_rpc_error(struct hd_buf *out, const struct hd_lane_error *error);
/** An error of the protocol itself. @param code, @param message  static. */
struct hd_lane_error hd_rpc_refusal(unsigned status, const char *code, const char *message);

/** @return whether a request id is one that is taken as it is: 1 to 128 of [A-Za-z0-9._:-]. */
bool hd_rpc_request_id_ok(struct hd_str id);

/** @return the code, static, if it is one of this protocol's; else "OTHER": for counters, where
 * what a peer makes up has no place. */
const char *hd_rpc_code_known(const char *code);

/** What a caller was answered. */
struct hd_rpc_answer {
    bool ok;
    bool streamed;              /* it went to the stream, all of it if ok */
    struct hd_str value;        /* typed text as it stands in the body; ptr NULL: none */
    struct hd_lane_error error; /* code: the server's, HTTP_ERROR, INVALID_RESPONSE or UNKNOWN */
    char code[64];              /* what error.code points to, where a server made it up */
};
/**
 * Read an answer. @param want_result  one without a result is no answer.
 * @param out  its texts lie in the arena.
 */
void hd_rpc_answer_read(struct hd_rpc_answer *out, struct hd_arena *arena, unsigned status,
                        struct hd_str body, bool want_result);

/**
 * Filter the contexts of a message.
 * @param text     typed text of an object from context ids to strings; broken text is none.
 * @param allowed  ids that pass; NULL: none do.
 * @return a JSON object in the arena; ptr NULL: nothing passed.
 */
struct hd_str hd_rpc_contexts(struct hd_arena *arena, struct hd_str text,
                              const struct hd_strings *allowed);
