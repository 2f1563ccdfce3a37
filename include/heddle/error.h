/* heddle/error.h - one error value on the caller's stack: a code to branch on, a sentence to read.
 */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

/** What went wrong, far below zero so that it is never mistaken for errno or UV_E*. */
enum hd_code {
    HD_EINVAL = -9020,    /* the input is wrong; the message says where and what to do */
    HD_ENOTFOUND = -9019, /* there is no such thing */
    HD_EEXIST = -9018,    /* there already is one */
    HD_EDENIED = -9017,   /* not allowed */
    HD_ETIMEOUT = -9016,  /* a deadline passed */
    HD_ECANCELED = -9015, /* somebody took it back */
    HD_EBUSY = -9014,     /* a limit is reached; later may work */
    HD_EPROTO = -9013,    /* the peer broke its protocol */
    HD_EIO = -9012,       /* the system failed; `sys` says how */
};

struct hd_error {
    int code;      /* enum hd_code, or 0 */
    int sys;       /* errno (positive) or UV_E* (negative) behind it, or 0 */
    char msg[240]; /* one sentence, NUL-terminated, without a line break */
};

/**
 * Fill in @p err and return @p code, so that a failing function can `return hd_fail(...)`.
 * @param err   may be NULL.
 * @param code  an enum hd_code.
 */
int hd_fail(struct hd_error *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/**
 * Same, from an errno (positive) or a UV_E* code (negative): ": <what the system says>" is
 * appended.
 * @return HD_ENOTFOUND, HD_EEXIST, HD_EDENIED, HD_ETIMEOUT or HD_ECANCELED where that is what
 *         @p sys means, else HD_EIO.
 */
int hd_fail_sys(struct hd_error *err, int sys, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/** Put "context: " in front of the message. @return @p rc, unchanged. */
int hd_wrap(struct hd_error *err, int rc, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/** @return a lower-case name such as "invalid" or "not_found"; static, never NULL. */
const char *hd_code_name(int code);

#ifdef __cplusplus
}
#endif
