/* cli/term.h - output for people: colour, width, aligned tables, a line that changes in place. */
#pragma once

#include "core/buf.h"

#include <stdio.h>

enum hd_style { HD_PLAIN, HD_BOLD, HD_DIM, HD_GOOD, HD_BAD, HD_NOTE };

/** One output stream and what it can show. */
struct hd_term {
    FILE *file;
    bool tty, color;
    unsigned width;
    bool in_place; /* a progress line stands there */
};

/**
 * Look at a stream: colour only on a terminal that is not "dumb", and never with NO_COLOR set
 * (https://no-color.org).
 * @param env  "NAME=value", NULL-terminated.
 */
void hd_term_init(struct hd_term *t, FILE *file, char *const *env);
/** @return the sequence that switches a style on, or "" where there is no colour. */
const char *hd_term_on(const struct hd_term *t, enum hd_style style);
/** @return the sequence that switches all styles off, or "". */
const char *hd_term_off(const struct hd_term *t);
/** Print words of a text, wrapped. @param indent  of every line. */
void hd_term_text(struct hd_term *t, const char *text, unsigned indent);
/** Show a line that the next one replaces; on what is no terminal: nothing. */
void hd_term_progress(struct hd_term *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/** Remove it. */
void hd_term_progress_end(struct hd_term *t);

/** Rows whose columns are aligned when all of them are there. */
struct hd_table {
    unsigned columns;
    struct hd_cell {
        char *text;
        enum hd_style style;
    } * cells;
    size_t n;
};
enum { HD_TABLE_COLUMNS = 8 };

/** @param columns  1 to HD_TABLE_COLUMNS. */
void hd_table_init(struct hd_table *t, unsigned columns);
void hd_table_done(struct hd_table *t);
/** Append the next cell; rows fill from left to right. @param text  copied; NULL: empty. */
void hd_table_add(struct hd_table *t, enum hd_style style, const char *text);
void hd_table_addf(struct hd_table *t, enum hd_style style, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/** Print; on a terminal long cells are cut: the last column to what is left of the width. */
void hd_table_print(const struct hd_table *t, struct hd_term *term);
/** Columns that a UTF-8 text takes, counting one a code point. */
size_t hd_text_columns(struct hd_str text);
/** @return the value of a variable, or NULL where it is not set or empty. */
const char *hd_env_get(char *const *env, const char *name);
