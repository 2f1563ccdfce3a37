/* gateway/access.h - the access line: one for each request of a function. */
#pragma once

#include "core/log.h"

/** What a line says. Slices are borrowed; peer text is cleaned here. */
struct hd_access {
    const char *id;
    struct hd_str method, prefix, function, path; /* path: after the name, without the query */
    unsigned status;                              /* 499: the client went away */
    uint64_t took_us, waited_us;
    struct hd_str user; /* subject of the verified token; empty: nobody */
    const char *ip;
    uint64_t bytes_in, bytes_out;
    bool cold, stale;
    const char *reason; /* why the gateway answered instead of the function, or NULL */
};

/** The time stamp as last formatted; zeroed is ready. One per loop. */
struct hd_access_clock {
    int64_t unix_s;
    char text[24]; /* "2026-01-31T23:59:59" */
};

/** Log it at level info (error: 500 and up). @param now_unix_ms  wall clock. */
void hd_access_log(struct hd_log *log, struct hd_access_clock *clock, int64_t now_unix_ms,
                   const struct hd_access *a);
