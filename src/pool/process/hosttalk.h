/* pool/process/hosttalk.h - what a backend says to the host of one instance, whatever the instance
 * is made of: load, drain, ping; and how it hears that output was read. */
#pragma once

#include "pool/process/hostclient.h"
#include "pool/process/loadanswer.h"

/** Lies in the instance; zeroed but for `loop` and `owner`. */
struct hd_hosttalk {
    struct hd_loop *loop;
    void *owner; /* of the call's done() */
    struct hd_hostcall *call, *ping;
    void (*on_pong)(void *owner, int rc);
    void *pong_owner;
    struct hd_hosttalk_flush *flush; /* one that was not told to be done yet */
};

/** Make the call of the moment; one that is under way is forgotten. */
void hd_hosttalk_call(struct hd_hosttalk *t, const struct hd_hostcall_request *req,
                      void (*done)(void *owner, const struct hd_hostcall_answer *a));
/** Ask whether it is alive, as in hd_backend_ops. */
void hd_hosttalk_ping(struct hd_hosttalk *t, const struct hd_hostcall_request *req,
                      void (*done)(void *owner, int rc), void *owner);
/** Output was read: tell so, later. */
void hd_hosttalk_flushed(struct hd_hosttalk *t, void (*done)(void *owner), void *owner);
/** Forget the call of the moment. */
void hd_hosttalk_hush(struct hd_hosttalk *t);
/** Forget calls; the instance ends. */
void hd_hosttalk_stop(struct hd_hosttalk *t);
/** Forget all; its memory goes. */
void hd_hosttalk_done(struct hd_hosttalk *t);

/**
 * Read the answer to a load request. What a failed load says goes to @p on_line, too.
 * @param within_ms  as it was asked.
 * @return 0 and *out, to be freed; HD_ETIMEOUT; HD_EINVAL: the function cannot be loaded; or as the
 *         call failed.
 */
int hd_hosttalk_loaded(struct hd_loadanswer *out, const struct hd_hostcall_answer *a,
                       uint32_t within_ms,
                       void (*on_line)(void *owner, struct hd_str id, int level,
                                       struct hd_str text),
                       void *owner, struct hd_error *err);
/** @return of the time that an instance has to end in, the part before it is told to by a signal.
 */
uint32_t hd_hosttalk_soft_ms(uint32_t grace_ms);
