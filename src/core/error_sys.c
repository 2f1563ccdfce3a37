#include "core/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <uv.h>

static int code_from_uv(int uv)
{
    switch (uv) {
    case UV_ENOENT:
    case UV_ESRCH:
    case UV_ENXIO:
        return HD_ENOTFOUND;
    case UV_EEXIST:
    case UV_EADDRINUSE:
        return HD_EEXIST;
    case UV_EACCES:
    case UV_EPERM:
    case UV_EROFS:
        return HD_EDENIED;
    case UV_ETIMEDOUT:
        return HD_ETIMEOUT;
    case UV_ECANCELED:
        return HD_ECANCELED;
    case UV_EAGAIN:
    case UV_EMFILE:
    case UV_ENFILE:
        return HD_EBUSY;
    default:
        return HD_EIO;
    }
}

int hd_fail_sys(struct hd_error *err, int sys, const char *fmt, ...)
{
    int uv = sys > 0 ? uv_translate_sys_error(sys) : sys;
    int code = code_from_uv(uv);
    if (err == NULL)
        return code;
    char msg[sizeof(err->msg)], what[96];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    uv_strerror_r(uv, what, sizeof(what));
    hd_fail(err, code, "%s: %s", msg, what);
    err->sys = sys;
    return code;
}
