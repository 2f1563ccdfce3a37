/* core/option_help.h - what people read about options, made from their table. */
#pragma once

#include "core/option.h"

/** Which options of a table, and how wide. */
struct hd_option_help {
    const struct hd_option *options;
    size_t n;
    uint32_t command; /* only those with one of these bits */
    unsigned width;   /* columns of the terminal; text only */
    bool bold;        /* headings in bold; text only */
};

/** Groups with a heading, flags aligned, sentences wrapped. */
void hd_option_help_text(struct hd_buf *out, const struct hd_option_help *help);
/** The same as Markdown tables, one a group, with variable, key, range and default. */
void hd_option_help_markdown(struct hd_buf *out, const struct hd_option_help *help,
                             const char *heading);
/** Rows of one table without headings, variables and keys: for what is on the command line only. */
void hd_option_help_markdown_own(struct hd_buf *out, const struct hd_option_help *help);
/** The same as part of a man page (man(7) macros). */
void hd_option_help_man(struct hd_buf *out, const struct hd_option_help *help);
/** The same without headings. */
void hd_option_help_man_own(struct hd_buf *out, const struct hd_option_help *help);
/** The flags, "--port --host ...", separated by blanks; for completions. */
void hd_option_help_flags(struct hd_buf *out, const struct hd_option_help *help);

/**
 * Append words of @p text in lines of at most @p width columns.
 * @param at      column where the first word starts.
 * @param indent  blanks in front of each further line.
 */
void hd_text_wrap(struct hd_buf *out, const char *text, unsigned at, unsigned indent,
                  unsigned width);
/** Append @p text as man page input: backslashes, hyphens, and dots at a line's start escaped. */
void hd_text_man(struct hd_buf *out, const char *text);
