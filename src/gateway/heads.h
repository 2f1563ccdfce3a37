/* gateway/heads.h - which header fields cross the gateway, and which are made by it. Pure. */
#pragma once

#include "gateway/cors.h"
#include "http/parse.h"

/** What a request's fields say to the gateway; slices of the head, ptr NULL where absent. */
struct hd_seen {
    struct hd_str authorization, apikey, origin;
    struct hd_str request_method, request_headers, request_private; /* Access-Control-Request-* */
    struct hd_str forwarded_for, forwarded, forwarded_proto, forwarded_host, real_ip;
    struct hd_str request_id, traceparent, via;
    struct hd_field *pass; /* what the function gets, before what we add */
    size_t n_pass;
};

/**
 * Sort the fields of a request. Hop-by-hop fields, framing, Host, Expect and every name in a
 * namespace of ours (x-heddle-*, x-1tube-*) do not pass; nor do the fields which say where a
 * request came from, for they are set anew.
 * @param pass  room for HD_HEAD_FIELDS_MAX fields, which *out refers to.
 */
void hd_seen_sort(struct hd_seen *out, const struct hd_head *head, struct hd_field *pass);

/** @return whether a name is in a namespace of ours. */
bool hd_is_reserved(struct hd_str name);

/**
 * Copy the fields of a function's answer which the client gets: none of ours, none that @p own
 * (fields the gateway sets itself) replaces, none that CORS answers for.
 * @param cors   NULL: the function answers for itself.
 * @param error  set to the value of x-heddle-error, or left alone.
 * @return how many were copied to @p out, which has room for all.
 */
size_t hd_answer_sort(struct hd_field *out, const struct hd_field *fields, size_t n,
                      const struct hd_field *own, size_t n_own, const struct hd_cors *cors,
                      struct hd_str *error);
