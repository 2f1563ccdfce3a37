/* shim/loadreq.h - the load request: which function, with what environment (doc/host-protocol.md).
 * Pure. */
#pragma once

#include "core/base.h"

/** All strings are its own; NULL where the request has none. */
struct hd_loadreq {
    char *name;
    char *root; /* where the function's files lie; "/var/task" unless it says */
    char *handler;
    char **env;  /* "KEY=value", NULL-terminated, never NULL */
    char **argv; /* a program instead of a bootstrap; NULL-terminated, may be empty */
    char *function_name, *function_version; /* what extensions are told */
    char *account;                          /* of the ARN; NULL: none is known */
    char *opt_dir;                          /* "/opt" unless it says */
    char *runtime_dir;                      /* "/var/runtime" unless it says */
    uint32_t memory_mb;                     /* 0: not given */
    uint32_t init_timeout_ms, timeout_ms;   /* timeout_ms 0: not given */
    bool lambda; /* it has Lambda semantics: its environment is the given one and nothing else */
};

/** @return 0 and *out, the caller's to free; HD_EINVAL: it is no load request; the message says
 *  which key. */
int hd_loadreq_parse(struct hd_loadreq **out, struct hd_str body, struct hd_error *err);
void hd_loadreq_free(struct hd_loadreq *l); /* NULL is fine */
HD_AUTO(hd_loadreq)
