/* http/path.h - the route of a request path: prefix, function name, rest. Pure. */
#pragma once

#include "core/base.h"

struct hd_path {
    struct hd_str name; /* one segment as received: may have percent-escapes, see hd_path_decode */
    struct hd_str rest; /* what follows: empty, or from its "/" on */
    bool dots; /* the rest has a segment "." or "..", "%2e" being a dot: a URL parser behind
                  us would leave the function's own path */
};

/**
 * Split "<prefix>/<name>[/<rest>]".
 * @param path    of a parsed request, without query.
 * @param prefix  empty, or "/" and segments without a slash at the end; compared byte by byte.
 * @return 1: split; 0: not under the prefix, or there is no name; HD_EINVAL: the name has a broken
 *         percent-escape, an escaped slash, backslash or control byte, or is a dot segment. Those
 *         are refused because what is behind us might take them for another path.
 */
int hd_path_split(struct hd_path *out, struct hd_str path, struct hd_str prefix,
                  struct hd_error *err);

/**
 * Decode the percent-escapes of a segment.
 * @param out  room for in.len bytes, no NUL is added; may be in.ptr itself.
 * @return the number of bytes, or HD_EINVAL: an escape is broken. The result may have any byte.
 */
int hd_path_decode(char *out, struct hd_str in);
