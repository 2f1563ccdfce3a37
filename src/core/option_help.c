#include "core/option_help.h"

#include <stdio.h>

enum { FLAG_COLUMN = 2, TEXT_COLUMN = 30, WIDTH_MIN = 48, WIDTH_MAX = 110, DEFAULT_MAX = 32 };

void hd_text_wrap(struct hd_buf *out, const char *text, unsigned at, unsigned indent,
                  unsigned width)
{
    struct hd_str rest = hd_str(text), word;
    unsigned column = at;
    bool first = true;
    while (hd_str_split(&word, &rest, ' ')) {
        if (word.len == 0)
            continue;
        if (!first && column + 1 + word.len > width) {
            hd_buf_fmt(out, "\n%*s", (int)indent, "");
            column = indent;
            first = true;
        }
        if (!first) {
            hd_buf_char(out, ' ');
            column++;
        }
        hd_buf_str(out, word);
        column += (unsigned)word.len;
        first = false;
    }
}

void hd_text_man(struct hd_buf *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        hd_buf_cstr(out, "\\&");
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '\\')
            hd_buf_cstr(out, "\\e");
        else if (*c == '-')
            hd_buf_cstr(out, "\\-");
        else if (*c == ',' && c[1] != ' ' && c[1] != '\0')
            hd_buf_cstr(out, ",\\:"); /* a long list may be broken there */
        else
            hd_buf_char(out, *c);
    }
}

static bool belongs(const struct hd_option_help *help, const struct hd_option *o)
{
    return (o->commands & help->command) != 0;
}

static bool on_by_default(const struct hd_option *o)
{
    return o->kind == HD_OPTION_BOOL && o->fallback != NULL && strcmp(o->fallback, "true") == 0;
}

/* "-f, --follow", "--port PORT", "--no-access-log"; without a flag: the variable. */
static void flag_text(struct hd_buf *out, const struct hd_option *o)
{
    if (o->flag == NULL) {
        hd_buf_cstr(out, o->env != NULL ? o->env : o->key);
        return;
    }
    if (o->letter != '\0')
        hd_buf_fmt(out, "-%c, ", o->letter);
    if (o->kind == HD_OPTION_ENUM) {
        hd_buf_fmt(out, "--%s ", o->flag);
        for (size_t i = 0; o->words[i] != NULL; i++)
            hd_buf_fmt(out, "%s%s", i > 0 ? "|" : "", o->words[i]);
        return;
    }
    hd_buf_fmt(out, on_by_default(o) ? "--[no-]%s" : "--%s", o->flag);
    if (o->kind != HD_OPTION_BOOL)
        hd_buf_fmt(out, " %s", hd_option_arg(o));
}

/* The sentence, then default and variable in brackets. */
static void sentence(struct hd_buf *out, const struct hd_option *o)
{
    bool shows_default =
        o->fallback != NULL && o->kind != HD_OPTION_BOOL && strlen(o->fallback) <= DEFAULT_MAX;
    bool shows_env = o->env != NULL && o->flag != NULL;
    hd_buf_cstr(out, o->help);
    if (shows_default || shows_env)
        hd_buf_fmt(out, " [%s%s%s]", shows_default ? o->fallback : "",
                   shows_default && shows_env ? "; " : "", shows_env ? o->env : "");
}

static void text_row(struct hd_buf *out, const struct hd_option *o, unsigned width)
{
    struct hd_buf part;
    hd_buf_init(&part, 1024);
    flag_text(&part, o);
    unsigned column = FLAG_COLUMN + (unsigned)part.len;
    hd_buf_fmt(out, "%*s%.*s", FLAG_COLUMN, "", HD_FMT(hd_buf_view(&part)));
    if (column + 2 > TEXT_COLUMN)
        hd_buf_fmt(out, "\n%*s", TEXT_COLUMN, "");
    else
        hd_buf_fmt(out, "%*s", (int)(TEXT_COLUMN - column), "");
    hd_buf_clear(&part);
    sentence(&part, o);
    hd_buf_char(&part, '\0');
    hd_text_wrap(out, part.ptr, TEXT_COLUMN, TEXT_COLUMN, width);
    hd_buf_char(out, '\n');
    hd_buf_done(&part);
}

void hd_option_help_text(struct hd_buf *out, const struct hd_option_help *help)
{
    unsigned most = HD_MIN(help->width, (unsigned)WIDTH_MAX);
    unsigned width = HD_MAX((unsigned)WIDTH_MIN, most);
    const char *group = NULL;
    for (size_t i = 0; i < help->n; i++) {
        const struct hd_option *o = &help->options[i];
        if (!belongs(help, o))
            continue;
        if (group == NULL || strcmp(group, o->group) != 0)
            hd_buf_fmt(out, "\n%s%s%s\n", help->bold ? "\033[1m" : "", o->group,
                       help->bold ? "\033[0m" : "");
        group = o->group;
        text_row(out, o, width);
    }
}

/* A cell: bars would end it. */
static void cell(struct hd_buf *out, struct hd_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '|')
            hd_buf_char(out, '\\');
        hd_buf_char(out, text.ptr[i]);
    }
}

static void code_cell(struct hd_buf *out, const char *text)
{
    hd_buf_char(out, '`');
    cell(out, hd_str(text));
    hd_buf_char(out, '`');
}

static void names_cell(struct hd_buf *out, const struct hd_option *o)
{
    struct hd_str rest = hd_str(o->history), part;
    if (o->env != NULL)
        code_cell(out, o->env);
    while (hd_str_split(&part, &rest, ' ')) {
        if (part.len > 0)
            hd_buf_fmt(out, ", `%.*s`", HD_FMT(part));
    }
}

static void flags_cell(struct hd_buf *out, const struct hd_option *o)
{
    struct hd_str rest = hd_str(o->alias), part;
    if (o->flag == NULL)
        return;
    if (o->letter != '\0')
        hd_buf_fmt(out, "`-%c`, ", o->letter);
    hd_buf_fmt(out, "`--%s%s%s`", o->flag, o->kind != HD_OPTION_BOOL ? " " : "", hd_option_arg(o));
    if (o->kind == HD_OPTION_BOOL)
        hd_buf_fmt(out, ", `--no-%s`", o->flag);
    if (o->inverse != NULL)
        hd_buf_fmt(out, ", `--%s`", o->inverse);
    while (hd_str_split(&part, &rest, ' ')) {
        if (part.len > 0)
            hd_buf_fmt(out, ", `--%.*s`", HD_FMT(part));
    }
}

static void markdown_row(struct hd_buf *out, const struct hd_option *o)
{
    struct hd_buf range;
    hd_buf_init(&range, 1024);
    hd_option_range(&range, o);
    hd_buf_cstr(out, "| ");
    flags_cell(out, o);
    hd_buf_cstr(out, " | ");
    names_cell(out, o);
    hd_buf_cstr(out, " | ");
    if (!o->no_file)
        code_cell(out, o->key);
    hd_buf_cstr(out, " | ");
    cell(out, hd_buf_view(&range));
    hd_buf_cstr(out, " | ");
    if (o->fallback != NULL)
        code_cell(out, o->fallback);
    else if (o->kind == HD_OPTION_BOOL)
        code_cell(out, "false");
    hd_buf_cstr(out, " | ");
    cell(out, hd_str(o->help));
    hd_buf_cstr(out, " |\n");
    hd_buf_done(&range);
}

void hd_option_help_markdown(struct hd_buf *out, const struct hd_option_help *help,
                             const char *heading)
{
    const char *group = NULL;
    for (size_t i = 0; i < help->n; i++) {
        const struct hd_option *o = &help->options[i];
        if (!belongs(help, o))
            continue;
        if (group == NULL || strcmp(group, o->group) != 0)
            hd_buf_fmt(out,
                       "\n%s %s\n\n| flag | variable | key | value | default | what it does |\n"
                       "|---|---|---|---|---|---|\n",
                       heading, o->group);
        group = o->group;
        markdown_row(out, o);
    }
}

void hd_option_help_markdown_own(struct hd_buf *out, const struct hd_option_help *help)
{
    for (size_t i = 0; i < help->n; i++) {
        const struct hd_option *o = &help->options[i];
        if (!belongs(help, o))
            continue;
        struct hd_buf range;
        hd_buf_init(&range, 1024);
        hd_option_range(&range, o);
        hd_buf_cstr(out, "| ");
        flags_cell(out, o);
        hd_buf_cstr(out, " | ");
        cell(out, o->kind != HD_OPTION_BOOL ? hd_buf_view(&range) : hd_str(NULL));
        hd_buf_cstr(out, " | ");
        if (o->fallback != NULL)
            code_cell(out, o->fallback);
        hd_buf_cstr(out, " | ");
        cell(out, hd_str(o->help));
        hd_buf_cstr(out, " |\n");
        hd_buf_done(&range);
    }
}

static void man_row(struct hd_buf *out, const struct hd_option *o)
{
    struct hd_buf part;
    hd_buf_init(&part, 1024);
    flag_text(&part, o);
    hd_buf_char(&part, '\0');
    hd_buf_cstr(out, ".TP\n.B ");
    hd_text_man(out, part.ptr);
    hd_buf_char(out, '\n');
    hd_text_man(out, o->help);
    hd_buf_cstr(out, ".\n");
    hd_buf_clear(&part);
    if (o->kind != HD_OPTION_STR && o->kind != HD_OPTION_BOOL) {
        hd_buf_cstr(&part, "Value: ");
        hd_option_range(&part, o);
        hd_buf_cstr(&part, ". ");
    }
    if (o->fallback != NULL && o->kind != HD_OPTION_BOOL)
        hd_buf_fmt(&part, "Default: %s. ", o->fallback);
    if (o->env != NULL)
        hd_buf_fmt(&part, "Variable: %s%s%s. ", o->env, o->history != NULL ? " " : "",
                   o->history != NULL ? o->history : "");
    if (!o->no_file)
        hd_buf_fmt(&part, "Key: %s.", o->key);
    while (part.len > 0 && part.ptr[part.len - 1] == ' ')
        part.len--;
    hd_buf_char(&part, '\0');
    if (part.len > 1) {
        hd_text_man(out, part.ptr);
        hd_buf_char(out, '\n');
    }
    hd_buf_done(&part);
}

void hd_option_help_man(struct hd_buf *out, const struct hd_option_help *help)
{
    const char *group = NULL;
    for (size_t i = 0; i < help->n; i++) {
        const struct hd_option *o = &help->options[i];
        if (!belongs(help, o))
            continue;
        if (group == NULL || strcmp(group, o->group) != 0) {
            hd_buf_cstr(out, ".SS \"");
            hd_text_man(out, o->group);
            hd_buf_cstr(out, "\"\n");
        }
        group = o->group;
        man_row(out, o);
    }
}

void hd_option_help_man_own(struct hd_buf *out, const struct hd_option_help *help)
{
    for (size_t i = 0; i < help->n; i++) {
        if (belongs(help, &help->options[i]))
            man_row(out, &help->options[i]);
    }
}

void hd_option_help_flags(struct hd_buf *out, const struct hd_option_help *help)
{
    for (size_t i = 0; i < help->n; i++) {
        const struct hd_option *o = &help->options[i];
        if (!belongs(help, o) || o->flag == NULL)
            continue;
        bool first = out->len == 0 || out->ptr[out->len - 1] == ' ';
        hd_buf_fmt(out, "%s--%s%s", first ? "" : " ", on_by_default(o) ? "no-" : "", o->flag);
    }
}
