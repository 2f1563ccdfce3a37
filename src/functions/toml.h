/* functions/toml.h - read TOML 1.0 (https://toml.io/en/v1.0.0) as a stream of keys with their
 * lines. What a reader of other people's configuration needs: it is strict about the form of the
 * document, but numbers and dates are passed on as text, and a table may be opened twice. */
#pragma once

#include "core/buf.h"
#include "functions/strings.h"

enum hd_toml_kind {
    HD_TOML_STRING,
    HD_TOML_BOOL,
    HD_TOML_STRINGS, /* an array of nothing but strings */
    HD_TOML_OTHER,   /* number, date, mixed array */
};

/** One `key = value`; all borrowed until the callback returns. */
struct hd_toml_value {
    const struct hd_strings *path; /* table and key: {"functions", "hello", "verify_jwt"} */
    unsigned line;
    enum hd_toml_kind kind;
    struct hd_str text; /* STRING: decoded; OTHER: as written */
    bool on;            /* BOOL */
    const struct hd_strings *list;
};

/**
 * Read a document. Inline tables come as their keys, one by one.
 * @param on_value  not 0 ends the reading and is returned.
 * @param err       filled in where the document is broken: "12: expected '='" (line first).
 * @return 0, HD_EINVAL, or what on_value returned.
 */
int hd_toml_read(struct hd_str text, int (*on_value)(void *arg, const struct hd_toml_value *value),
                 void *arg, struct hd_error *err);
