/* hd_fail_sys() without libuv: the function library needs nothing but the C library. */
#include "core/base.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static int code_from_errno(int sys)
{
    switch (sys) {
    case ENOENT:
    case ESRCH:
    case ENXIO:
        return HD_ENOTFOUND;
    case EEXIST:
    case EADDRINUSE:
        return HD_EEXIST;
    case EACCES:
    case EPERM:
    case EROFS:
        return HD_EDENIED;
    case ETIMEDOUT:
        return HD_ETIMEOUT;
    case ECANCELED:
        return HD_ECANCELED;
    case EAGAIN:
    case EMFILE:
    case ENFILE:
        return HD_EBUSY;
    default:
        return HD_EIO;
    }
}

int hd_fail_sys(struct hd_error *err, int sys, const char *fmt, ...)
{
    int positive = sys < 0 ? -sys : sys; /* on Unix a UV_E* is an errno with a minus */
    int code = code_from_errno(positive);
    if (err == NULL)
        return code;
    char msg[sizeof(err->msg)], what[96];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    hd_fail(err, code, "%s: %s", msg, strerror_r(positive, what, sizeof(what)));
    err->sys = sys;
    return code;
}
