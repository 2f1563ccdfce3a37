/* lambda/door/urlanswer.h - what a function gave back as the HTTP answer of its URL (payload
 * format 2.0), whole or as a stream with a prelude; and the cross-origin fields that heddle adds.
 * Pure. */
#pragma once

#include "core/arena.h"
#include "core/buf.h"
#include "lambda/deploy/view.h"

#include <heddle/invoke.h>

enum { HD_URL_FIELDS_MAX = 256, HD_URL_PRELUDE_MAX = 64 << 10 };

/** Head and body; slices of the arena or of the payload. */
struct hd_url_answer {
    unsigned status;
    struct hd_field *fields; /* Content-Type is among them, Set-Cookie for each cookie */
    size_t n_fields;
    struct hd_str body;
    struct hd_arena memory;
};

/**
 * Read the result of a function that does not stream. An object with `statusCode` says it all;
 * anything else is the body of a 200: a string as it is, other values as JSON.
 * @param payload  JSON, borrowed as long as the answer.
 * @return 0, and the answer to be ended with hd_url_answer_done(); HD_EPROTO: an object with a
 *         status, header or body that cannot be (answer 502). Ended all the same then.
 */
int hd_url_answer_read(struct hd_url_answer *out, struct hd_str payload, struct hd_error *err);
void hd_url_answer_done(struct hd_url_answer *a);

/**
 * The head in front of a streamed body: JSON `{statusCode, headers, cookies}`, 8 NUL bytes, then
 * the body. Zeroed is ready.
 */
struct hd_url_prelude {
    struct hd_buf json;
    unsigned nuls;
};
/**
 * Take the next bytes of the stream.
 * @param used  set: how many of them belong to the prelude.
 * @return 1: it is complete, what follows is the body: hd_url_prelude_answer(); 0: more bytes are
 *         needed; HD_EPROTO: over HD_URL_PRELUDE_MAX, or fewer than 8 NULs
 * (Runtime.InvalidResponse).
 */
int hd_url_prelude_feed(struct hd_url_prelude *p, size_t *used, struct hd_str bytes,
                        struct hd_error *err);
/** Read a complete prelude. @return as hd_url_answer_read(); the body is empty. */
int hd_url_prelude_answer(struct hd_url_answer *out, struct hd_url_prelude *p,
                          struct hd_error *err);
void hd_url_prelude_done(struct hd_url_prelude *p);
/** @return whether a content type says that a prelude comes. */
bool hd_url_has_prelude(struct hd_str content_type);

enum { HD_URL_CORS_FIELDS = 8 };
struct hd_url_cors_answer {
    bool preflight; /* answer 200 with these fields; the function is not called */
    struct hd_field fields[HD_URL_CORS_FIELDS];
    size_t n_fields;
    struct hd_buf memory;
};
/**
 * Decide for a URL that has Cors: which fields its answers get. To be ended with
 * hd_url_cors_done(). Where Cors is not given, nothing happens.
 * @param head  as received; the fields' slices are the answer's too.
 */
void hd_url_cors_decide(struct hd_url_cors_answer *out, const struct hd_url_cors *cors,
                        const struct hd_request_head *head);
void hd_url_cors_done(struct hd_url_cors_answer *a);
/** @return whether a field of the function's answer is dropped where Cors is given. */
bool hd_url_cors_owns(struct hd_str field_name);
