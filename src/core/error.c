#include "core/base.h"

#include <stdarg.h>
#include <stdio.h>

/* A message may quote a peer: keep it on one line and printable. */
static void clean(char *msg)
{
    for (char *c = msg; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    }
}

int hd_fail(struct hd_error *err, int code, const char *fmt, ...)
{
    if (err == NULL)
        return code;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
    va_end(ap);
    clean(err->msg);
    err->code = code;
    err->sys = 0;
    return code;
}

int hd_wrap(struct hd_error *err, int rc, const char *fmt, ...)
{
    if (err == NULL)
        return rc;
    char msg[sizeof(err->msg)];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    size_t used = strlen(msg);
    snprintf(msg + used, sizeof(msg) - used, ": %.*s", (int)(sizeof(msg) - 1), err->msg);
    memcpy(err->msg, msg, sizeof(msg));
    clean(err->msg);
    return rc;
}

const char *hd_code_name(int code)
{
    switch ((enum hd_code)code) {
    case HD_EINVAL:
        return "invalid";
    case HD_ENOTFOUND:
        return "not_found";
    case HD_EEXIST:
        return "exists";
    case HD_EDENIED:
        return "denied";
    case HD_ETIMEOUT:
        return "timeout";
    case HD_ECANCELED:
        return "canceled";
    case HD_EBUSY:
        return "busy";
    case HD_EPROTO:
        return "protocol";
    case HD_EIO:
        return "io";
    }
    return "unknown";
}
