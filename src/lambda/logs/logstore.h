/* lambda/logs/logstore.h - the newest lines that Lambda functions logged, by group and stream; what
 * is over the size goes, the oldest first. Control loop only. */
#pragma once

#include "core/list.h"

struct hd_logstore;

struct hd_log_group {
    struct hd_list link; /* in the store's groups, by time of making */
    struct hd_str space; /* "account/region" */
    struct hd_str name;  /* "/aws/lambda/resize" */
    int64_t made_unix_ms;
    uint64_t bytes;         /* of the lines that are kept */
    struct hd_list streams; /* those with lines, by time of making */
    size_t n_streams;
    char text[]; /* what the store finds it by */
};

struct hd_log_stream {
    struct hd_list link; /* in its group's streams */
    struct hd_log_group *group;
    struct hd_str name; /* "2026/01/31/[$LATEST]<32 hex>" */
    int64_t made_unix_ms;
    int64_t first_unix_ms, last_unix_ms, last_added_unix_ms;
    size_t lines;
    char text[]; /* what the store finds it by */
};

struct hd_log_entry {
    struct hd_log_stream *stream;
    int64_t unix_ms, added_unix_ms;
    size_t len;
    char text[];
};

/** @param max_bytes  of what is kept, with 64 bytes for each line. */
struct hd_logstore *hd_logstore_new(size_t max_bytes);
void hd_logstore_free(struct hd_logstore *s); /* NULL is fine */
/** Keep a line; one that is longer than all may be is dropped. All copied. Lines of a stream are
 * never earlier than those before them. */
void hd_logstore_add(struct hd_logstore *s, struct hd_str space, struct hd_str group,
                     struct hd_str stream, struct hd_str text, int64_t unix_ms,
                     int64_t now_unix_ms);

/** Lines have numbers, counted from 0 on; those from first to before end are kept. */
uint64_t hd_logstore_first(const struct hd_logstore *s);
uint64_t hd_logstore_end(const struct hd_logstore *s);
/** @return the line, until the next one is added. @param n  from first to before end. */
const struct hd_log_entry *hd_logstore_at(const struct hd_logstore *s, uint64_t n);

/** @return NULL: nothing was logged there, or it is long ago. */
const struct hd_log_group *hd_logstore_group(const struct hd_logstore *s, struct hd_str space,
                                             struct hd_str name);
/** @return the list of all groups. */
const struct hd_list *hd_logstore_groups(const struct hd_logstore *s);
