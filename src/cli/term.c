#include "cli/term.h"

#include "core/option_help.h"

#include <stdarg.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { WIDTH_DEFAULT = 80, WIDTH_MIN = 20, WIDTH_MAX = 1000, GAP = 2, COLUMN_MAX = 48 };

const char *hd_env_get(char *const *env, const char *name)
{
    size_t len = strlen(name);
    for (; *env != NULL; env++) {
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=' && (*env)[len + 1] != '\0')
            return *env + len + 1;
    }
    return NULL;
}

static unsigned width_of(const struct hd_term *t, char *const *env)
{
    struct winsize size = {0};
    uint64_t columns = 0;
    const char *said = hd_env_get(env, "COLUMNS");
    if (said == NULL || hd_str_to_u64(&columns, hd_str(said)) < 0)
        columns = t->tty && ioctl(fileno(t->file), TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
    if (columns == 0)
        columns = WIDTH_DEFAULT;
    columns = HD_MAX(columns, (uint64_t)WIDTH_MIN);
    return (unsigned)HD_MIN(columns, (uint64_t)WIDTH_MAX);
}

void hd_term_init(struct hd_term *t, FILE *file, char *const *env)
{
    const char *term = hd_env_get(env, "TERM");
    *t = (struct hd_term){.file = file, .tty = isatty(fileno(file)) == 1};
    t->width = width_of(t, env);
    t->color =
        t->tty && hd_env_get(env, "NO_COLOR") == NULL && term != NULL && strcmp(term, "dumb") != 0;
}

const char *hd_term_on(const struct hd_term *t, enum hd_style style)
{
    if (!t->color)
        return "";
    switch (style) {
    case HD_PLAIN:
        return "";
    case HD_BOLD:
        return "\033[1m";
    case HD_DIM:
        return "\033[2m";
    case HD_GOOD:
        return "\033[32m";
    case HD_BAD:
        return "\033[31m";
    case HD_NOTE:
        return "\033[33m";
    }
    return "";
}

const char *hd_term_off(const struct hd_term *t)
{
    return t->color ? "\033[0m" : "";
}

void hd_term_text(struct hd_term *t, const char *text, unsigned indent)
{
    struct hd_buf out;
    hd_buf_init(&out, 1 << 16);
    hd_buf_fmt(&out, "%*s", (int)indent, "");
    hd_text_wrap(&out, text, indent, indent, t->width);
    fprintf(t->file, "%.*s\n", HD_FMT(hd_buf_view(&out)));
    hd_buf_done(&out);
}

void hd_term_progress(struct hd_term *t, const char *fmt, ...)
{
    if (!t->tty)
        return;
    char line[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    fprintf(t->file, "\r\033[K%.*s", (int)t->width - 1, line);
    fflush(t->file);
    t->in_place = true;
}

void hd_term_progress_end(struct hd_term *t)
{
    if (t->in_place)
        fputs("\r\033[K", t->file);
    t->in_place = false;
}

void hd_table_init(struct hd_table *t, unsigned columns)
{
    *t = (struct hd_table){.columns = columns};
}

void hd_table_done(struct hd_table *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->cells[i].text);
    free(t->cells);
    hd_table_init(t, t->columns);
}

static void add(struct hd_table *t, enum hd_style style, char *text)
{
    t->cells = hd_realloc_array(t->cells, t->n + 1, sizeof(*t->cells));
    t->cells[t->n++] = (struct hd_cell){.text = text, .style = style};
}

void hd_table_add(struct hd_table *t, enum hd_style style, const char *text)
{
    add(t, style, hd_strdup(text != NULL ? text : ""));
}

void hd_table_addf(struct hd_table *t, enum hd_style style, const char *fmt, ...)
{
    struct hd_buf text;
    hd_buf_init(&text, 1 << 16);
    va_list ap;
    va_start(ap, fmt);
    hd_buf_vfmt(&text, fmt, ap);
    va_end(ap);
    char *whole = hd_buf_take(&text);
    add(t, style, whole != NULL ? whole : hd_strdup(""));
}

size_t hd_text_columns(struct hd_str text)
{
    size_t columns = 0;
    for (size_t i = 0; i < text.len; i++)
        columns += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    return columns;
}

/* The bytes of at most @p columns code points. */
static size_t bytes_of(struct hd_str text, size_t columns)
{
    size_t at = 0;
    while (at < text.len) {
        bool starts = ((unsigned char)text.ptr[at] & 0xc0) != 0x80;
        if (starts && columns-- == 0)
            break;
        at++;
    }
    return at;
}

/* What stands in a cell may come from files and peers: control characters are not printed. */
static void print_cell(struct hd_term *term, const struct hd_cell *cell, size_t width, bool last)
{
    struct hd_str text = hd_str(cell->text);
    size_t columns = hd_text_columns(text);
    bool cut = term->tty && columns > width && width > 1;
    if (cut) {
        text.len = bytes_of(text, width - 1);
        columns = width;
    }
    fputs(hd_term_on(term, cell->style), term->file);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        fputc(c < 0x20 || c == 0x7f ? '?' : c, term->file);
    }
    if (cut)
        fputs("…", term->file);
    fputs(hd_term_off(term), term->file);
    if (!last)
        fprintf(term->file, "%*s", (int)(width - HD_MIN(columns, width)) + GAP, "");
}

/* What a terminal's line has left for the column @p at. */
static size_t left(const size_t *widths, size_t at, const struct hd_term *term)
{
    size_t used = 0;
    for (size_t i = 0; i < at; i++)
        used += widths[i] + GAP;
    return used < term->width ? term->width - used : 0;
}

void hd_table_print(const struct hd_table *t, struct hd_term *term)
{
    size_t widths[HD_TABLE_COLUMNS] = {0};
    for (size_t i = 0; i < t->n; i++) {
        size_t columns = hd_text_columns(hd_str(t->cells[i].text)), at = i % t->columns;
        widths[at] = HD_MAX(widths[at], columns);
        if (term->tty)
            widths[at] = HD_MIN(widths[at], (size_t)COLUMN_MAX);
    }
    widths[t->columns - 1] = left(widths, t->columns - 1, term);
    for (size_t i = 0; i < t->n; i++) {
        size_t at = i % t->columns;
        size_t end = HD_MIN(i - at + t->columns, t->n); /* of this row */
        while (end > i + 1 && t->cells[end - 1].text[0] == '\0')
            end--; /* what is empty at its end is not padded */
        bool last = i + 1 == end;
        print_cell(term, &t->cells[i], last ? left(widths, at, term) : widths[at], last);
        if (last) {
            fputc('\n', term->file);
            i += t->columns - at - 1;
        }
    }
}
