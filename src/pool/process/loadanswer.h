/* pool/process/loadanswer.h - what a host answers to the load request (doc/host-protocol.md). Pure.
 */
#pragma once

#include "core/base.h"

#include <heddle/sys/backend.h>

/** Owns what `declared` points to. */
struct hd_loadanswer {
    struct hd_declared declared;
    bool ok;
    char *message, *stack; /* when it is not ok; stack may be NULL */
    void *json;            /* the document behind it all */
    const char **require, **imports;
};

/** @return 0 and *out, to be done with; or HD_EPROTO: it is not an answer; *out holds nothing. */
int hd_loadanswer_parse(struct hd_loadanswer *out, struct hd_str body, struct hd_error *err);
void hd_loadanswer_done(struct hd_loadanswer *a);
