/* invoke/fault.h - what a caller is told when a function failed and could not say so itself: the
 * error payloads that the node makes. Pure. */
#pragma once

#include "core/buf.h"

#include <heddle/sys/backend.h>

/** Append "exit status 3", "signal: killed" and so on; "" where the exit gives no reason. */
void hd_fault_exit_text(struct hd_buf *out, const struct hd_exit_status *how);
/**
 * Append {"errorType":"Runtime.ExitError", ...}: the instance ended.
 * @param how  NULL: nobody knows how.
 */
void hd_fault_exit(struct hd_buf *out, const char *request_id, const struct hd_exit_status *how);
/** Append {"errorType":"Sandbox.Timedout", ...}. */
void hd_fault_timeout(struct hd_buf *out, const char *request_id, uint32_t timeout_ms);
/** Append {"errorType":"Function.ResponseSizeTooLarge", ...}. */
void hd_fault_too_large(struct hd_buf *out, uint64_t max_bytes);
/** Append {"errorType": @p type, "errorMessage": "RequestId: ... Error: <text>"}. */
void hd_fault_plain(struct hd_buf *out, const char *type, const char *request_id,
                    struct hd_str text);
/** Append {"errorType":"HttpError", "errorMessage":"status 500", "status":500, "body":...}: a
 *  handler of another form answered with an error. The body stands as text, or base64 of it. */
void hd_fault_http(struct hd_buf *out, unsigned status, struct hd_str body);
/** @return the member errorType of an error's JSON; empty where there is none. A slice of it. */
struct hd_str hd_fault_type(struct hd_str payload);
