/* imports_python.c - the modules that Python sources import. */
#include "functions/imports.h"

#include "core/buf.h"

enum { NAMES_MAX = 10000, NAME_LEN_MAX = 1024 };

struct scanner {
    const char *at, *end;
    unsigned brackets;
};

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (unsigned char)c >= 0x80;
}

/* Cursor on a quote; afterwards behind the string. A short one ends with its line. */
static void skip_string(struct scanner *s)
{
    char quote = *s->at;
    bool triple = s->end - s->at >= 3 && s->at[1] == quote && s->at[2] == quote;
    s->at += triple ? 3 : 1;
    while (s->at < s->end) {
        if (*s->at == '\\' && s->at + 1 < s->end) {
            s->at += 2;
        } else if (!triple && (*s->at == quote || *s->at == '\n')) {
            s->at += *s->at == quote;
            return;
        } else if (triple && s->end - s->at >= 3 && *s->at == quote && s->at[1] == quote &&
                   s->at[2] == quote) {
            s->at += 3;
            return;
        } else {
            s->at++;
        }
    }
}

static void skip_comment(struct scanner *s)
{
    while (s->at < s->end && *s->at != '\n')
        s->at++;
}

/* Blanks, and a line break that a backslash hides. */
static void skip_blanks(struct scanner *s)
{
    while (s->at < s->end) {
        if (*s->at == '\\' && s->at + 1 < s->end && (s->at[1] == '\n' || s->at[1] == '\r'))
            s->at += 2;
        else if (*s->at == ' ' || *s->at == '\t' || *s->at == '\r' || *s->at == '\f')
            s->at++;
        else
            return;
    }
}

/* A dotted name; dots in front are allowed. */
static struct hd_str take_name(struct scanner *s)
{
    skip_blanks(s);
    const char *start = s->at;
    while (s->at < s->end && (is_name_char(*s->at) || *s->at == '.'))
        s->at++;
    return hd_str_n(start, (size_t)(s->at - start));
}

static bool take_keyword(struct scanner *s, const char *word)
{
    const char *before = s->at;
    if (hd_str_is(take_name(s), word))
        return true;
    s->at = before;
    return false;
}

static void add(struct hd_strings *out, struct hd_str package, struct hd_str name)
{
    if (out->n >= NAMES_MAX || package.len + name.len > NAME_LEN_MAX || package.len + name.len == 0)
        return;
    bool dot = package.len > 0 && name.len > 0 && package.ptr[package.len - 1] != '.';
    hd_strings_addf(out, "%.*s%s%.*s", HD_FMT(package), dot ? "." : "", HD_FMT(name));
}

static void take_import(struct scanner *s, struct hd_strings *out)
{
    do {
        struct hd_str name = take_name(s);
        add(out, name, hd_str_n("", 0));
        if (take_keyword(s, "as"))
            take_name(s);
        skip_blanks(s);
    } while (s->at < s->end && *s->at == ',' && s->at++ != NULL);
}

static void take_from(struct scanner *s, struct hd_strings *out)
{
    struct hd_str package = take_name(s);
    if (package.len == 0 || !take_keyword(s, "import"))
        return;
    add(out, package, hd_str_n("", 0));
    skip_blanks(s);
    bool parenthesis = s->at < s->end && *s->at == '(';
    s->at += parenthesis;
    while (s->at < s->end) {
        skip_blanks(s);
        if (parenthesis && s->at < s->end && *s->at == '#')
            skip_comment(s);
        if (parenthesis && s->at < s->end && *s->at == '\n') {
            s->at++;
            continue;
        }
        struct hd_str name = take_name(s);
        if (name.len > 0)
            add(out, package, name);
        if (take_keyword(s, "as"))
            take_name(s);
        skip_blanks(s);
        if (s->at < s->end && *s->at == ',')
            s->at++;
        else if (name.len == 0 || !parenthesis || s->at >= s->end || *s->at == ')')
            break;
    }
    if (parenthesis && s->at < s->end && *s->at == ')')
        s->at++;
}

/* From the start of a statement to behind its end. */
static void take_statement(struct scanner *s, struct hd_strings *out)
{
    skip_blanks(s);
    const char *start = s->at;
    struct hd_str word = take_name(s);
    bool blank_follows = s->at < s->end && !is_name_char(*s->at);
    if (hd_str_is(word, "import") && blank_follows)
        take_import(s, out);
    else if (hd_str_is(word, "from") && blank_follows)
        take_from(s, out);
    else
        s->at = start;
    for (s->brackets = 0; s->at < s->end; s->at++) {
        char c = *s->at;
        if (c == '"' || c == '\'') {
            skip_string(s);
            s->at--;
        } else if (c == '#') {
            skip_comment(s);
            s->at--;
        } else if (c == '(' || c == '[' || c == '{') {
            s->brackets++;
        } else if (c == ')' || c == ']' || c == '}') {
            s->brackets -= s->brackets > 0;
        } else if (c == '\\' && s->at + 1 < s->end && s->at[1] == '\n') {
            s->at++;
        } else if ((c == '\n' && s->brackets == 0) || c == ';' ||
                   (c == ':' && s->brackets == 0)) { /* `try: import x` */
            s->at++;
            return;
        }
    }
}

void hd_imports_python(struct hd_strings *out, struct hd_str text)
{
    struct scanner s = {.at = text.ptr, .end = text.ptr + text.len};
    while (s.at < s.end)
        take_statement(&s, out);
}
