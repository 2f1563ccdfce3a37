#include "functions/toml.h"

enum { DEPTH_MAX = 32, STRING_MAX = 1 << 20, PATH_PARTS_MAX = 32 };

struct reader {
    const char *at, *end;
    unsigned line;
    struct hd_strings path; /* the open table, then the key that is being read */
    struct hd_buf text;
    int (*on_value)(void *arg, const struct hd_toml_value *value);
    void *arg;
    struct hd_error *err;
};

static int fail(const struct reader *r, const char *what)
{
    return hd_fail(r->err, HD_EINVAL, "%u: %s", r->line, what);
}

static bool is_at(const struct reader *r, char c)
{
    return r->at < r->end && *r->at == c;
}

static bool starts(const struct reader *r, const char *token)
{
    size_t len = strlen(token);
    return (size_t)(r->end - r->at) >= len && memcmp(r->at, token, len) == 0;
}

static void skip_blanks(struct reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t'))
        r->at++;
}

/* Blanks, comments and line breaks. */
static void skip_lines(struct reader *r)
{
    for (; r->at < r->end; r->at++) {
        if (*r->at == '\n') {
            r->line++;
        } else if (*r->at == '#') {
            while (r->at + 1 < r->end && r->at[1] != '\n')
                r->at++;
        } else if (*r->at != ' ' && *r->at != '\t' && *r->at != '\r') {
            return;
        }
    }
}

static void truncate_path(struct reader *r, size_t parts)
{
    while (r->path.n > parts) {
        free(r->path.items[--r->path.n]);
        r->path.items[r->path.n] = NULL;
    }
}

static void add_utf8(struct hd_buf *b, uint32_t c)
{
    if (c < 0x80) {
        hd_buf_char(b, (char)c);
        return;
    }
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = {0, 0xc0, 0xe0, 0xf0};
    hd_buf_char(b, (char)(lead[more] | (c >> (6 * more))));
    while (more-- > 0)
        hd_buf_char(b, (char)(0x80 | ((c >> (6 * more)) & 0x3f)));
}

static int take_unicode(struct reader *r, int digits)
{
    uint32_t c = 0;
    for (int i = 0; i < digits; i++, r->at++) {
        char d = r->at < r->end ? *r->at : 0;
        uint32_t v = d >= '0' && d <= '9'   ? (uint32_t)(d - '0')
                     : d >= 'a' && d <= 'f' ? (uint32_t)(d - 'a' + 10)
                     : d >= 'A' && d <= 'F' ? (uint32_t)(d - 'A' + 10)
                                            : 16;
        if (v == 16)
            return fail(r, "a \\u escape needs hex digits");
        c = (c << 4) | v;
    }
    if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return fail(r, "a \\u escape that is no character");
    add_utf8(&r->text, c);
    return 0;
}

/* Cursor behind a backslash in a basic string. */
static int take_escape(struct reader *r, bool multiline)
{
    static const char from[] = "btnfr\"\\e", to[] = "\b\t\n\f\r\"\\\x1b";
    char c = r->at < r->end ? *r->at++ : 0;
    const char *known = c != 0 ? strchr(from, c) : NULL;
    if (known != NULL) {
        hd_buf_char(&r->text, to[known - from]);
        return 0;
    }
    if (c == 'u' || c == 'U')
        return take_unicode(r, c == 'u' ? 4 : 8);
    if (multiline && (c == '\n' || c == '\r' || c == ' ' || c == '\t')) {
        r->at--;
        while (r->at < r->end && strchr(" \t\r\n", *r->at) != NULL)
            r->line += *r->at++ == '\n';
        return 0;
    }
    return fail(r, "unknown escape in a string");
}

/* Cursor on the opening quote; the decoded string replaces r->text. */
static int take_string(struct reader *r)
{
    char quote = *r->at;
    const char *triple = quote == '"' ? "\"\"\"" : "'''";
    bool multiline = starts(r, triple);
    unsigned first_line = r->line;
    r->at += multiline ? 3 : 1;
    hd_buf_clear(&r->text);
    if (multiline && is_at(r, '\r'))
        r->at++;
    if (multiline && is_at(r, '\n')) {
        r->at++;
        r->line++;
    }
    while (r->at < r->end) {
        if (multiline ? starts(r, triple) : *r->at == quote) {
            r->at += multiline ? 3 : 1;
            while (multiline && is_at(r, quote)) /* up to two quotes belong to the text */
                hd_buf_char(&r->text, *r->at++);
            return hd_buf_failed(&r->text) ? fail(r, "the string is too long") : 0;
        }
        char c = *r->at++;
        if (c == '\n' && !multiline)
            break;
        r->line += c == '\n';
        int rc = 0;
        if (c == '\\' && quote == '"')
            rc = take_escape(r, multiline);
        else
            hd_buf_char(&r->text, c);
        if (rc < 0)
            return rc;
    }
    r->line = first_line;
    return fail(r, "the string has no end");
}

static bool is_bare(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

/* A dotted key, appended to the path. */
static int take_key(struct reader *r)
{
    for (;;) {
        skip_blanks(r);
        if (is_at(r, '"') || is_at(r, '\'')) {
            int rc = take_string(r);
            if (rc < 0)
                return rc;
            hd_strings_add(&r->path, hd_buf_view(&r->text));
        } else {
            const char *start = r->at;
            while (r->at < r->end && is_bare(*r->at))
                r->at++;
            if (r->at == start)
                return fail(r, "expected a key");
            hd_strings_add(&r->path, hd_str_n(start, (size_t)(r->at - start)));
        }
        if (r->path.n > PATH_PARTS_MAX)
            return fail(r, "the key has too many parts");
        skip_blanks(r);
        if (!is_at(r, '.'))
            return 0;
        r->at++;
    }
}

static int take_value(struct reader *r, int depth, struct hd_strings *element, bool *is_string);

static int emit(struct reader *r, struct hd_toml_value *v)
{
    v->path = &r->path;
    return r->on_value(r->arg, v);
}

static int take_array(struct reader *r, int depth, bool report)
{
    struct hd_strings list = {0};
    hd_strings_give(&list);
    struct hd_toml_value v = {.line = r->line, .kind = HD_TOML_STRINGS, .list = &list};
    int rc = 0;
    r->at++;
    for (skip_lines(r); rc == 0 && !is_at(r, ']'); skip_lines(r)) {
        bool is_string = false;
        rc = take_value(r, depth + 1, &list, &is_string);
        if (!is_string)
            v.kind = HD_TOML_OTHER;
        skip_lines(r);
        if (is_at(r, ','))
            r->at++;
        else if (rc == 0 && !is_at(r, ']'))
            rc = fail(r, "expected ',' or ']' in an array");
    }
    if (rc == 0) {
        r->at++;
        rc = report ? emit(r, &v) : 0;
    }
    hd_strings_done(&list);
    return rc;
}

static int take_pair(struct reader *r, int depth, bool report);

static int take_inline_table(struct reader *r, int depth, bool report)
{
    r->at++;
    skip_blanks(r);
    for (int rc; !is_at(r, '}');) {
        rc = take_pair(r, depth + 1, report);
        if (rc != 0)
            return rc;
        skip_blanks(r);
        if (is_at(r, ','))
            r->at++;
        else if (!is_at(r, '}'))
            return fail(r, "expected ',' or '}' in an inline table");
        skip_blanks(r);
    }
    r->at++;
    return 0;
}

/* Roughly: the form is not checked further, as nobody reads the value. A date may have a blank
 * before its time. */
static bool is_number_or_date(struct hd_str word)
{
    static const char others[] = "+-_.:TtZzeEoxbabcdfABCDF ";
    if (hd_str_is(word, "inf") || hd_str_is(word, "nan"))
        return true;
    bool sign = word.ptr[0] == '+' || word.ptr[0] == '-';
    if (sign && (hd_str_is(word, "+inf") || hd_str_is(word, "-inf") || hd_str_is(word, "+nan") ||
                 hd_str_is(word, "-nan")))
        return true;
    size_t blanks = 0;
    for (size_t i = 0; i < word.len; i++) {
        bool digit = word.ptr[i] >= '0' && word.ptr[i] <= '9';
        if (!digit && strchr(others, word.ptr[i]) == NULL)
            return false;
        blanks += word.ptr[i] == ' ';
    }
    size_t first = sign ? 1 : 0;
    return first < word.len && word.ptr[first] >= '0' && word.ptr[first] <= '9' &&
           (blanks == 0 || (blanks == 1 && word.len > 10 && word.ptr[10] == ' '));
}

/* A number, a date, true or false: up to what can follow a value. */
static int take_word(struct reader *r, bool report)
{
    const char *start = r->at;
    while (r->at < r->end && strchr(",]}#\r\n", *r->at) == NULL)
        r->at++;
    struct hd_str word = hd_str_trim(hd_str_n(start, (size_t)(r->at - start)));
    struct hd_toml_value v = {.line = r->line, .kind = HD_TOML_OTHER, .text = word};
    if (hd_str_is(word, "true") || hd_str_is(word, "false")) {
        v.kind = HD_TOML_BOOL;
        v.on = word.len == 4;
    } else if (word.len == 0) {
        return fail(r, "expected a value");
    } else if (!is_number_or_date(word)) {
        return fail(r, "expected a value: text needs quotes, and each key its own line");
    }
    return report ? emit(r, &v) : 0;
}

/* @param element  the list of the array around it, which takes a string; NULL: report the value. */
static int take_value(struct reader *r, int depth, struct hd_strings *element, bool *is_string)
{
    bool report = element == NULL;
    if (depth > DEPTH_MAX)
        return fail(r, "values are nested too deeply");
    if (r->at >= r->end)
        return fail(r, "expected a value");
    if (*r->at == '[')
        return take_array(r, depth, report);
    if (*r->at == '{')
        return take_inline_table(r, depth, report);
    if (*r->at != '"' && *r->at != '\'')
        return take_word(r, report);
    struct hd_toml_value v = {.line = r->line, .kind = HD_TOML_STRING};
    int rc = take_string(r);
    if (rc < 0)
        return rc;
    v.text = hd_buf_view(&r->text);
    if (report)
        return emit(r, &v);
    *is_string = true;
    hd_strings_add(element, v.text);
    return 0;
}

static int take_pair(struct reader *r, int depth, bool report)
{
    size_t outer = r->path.n;
    int rc = take_key(r);
    if (rc < 0)
        return rc;
    if (!is_at(r, '='))
        return fail(r, "expected '=' after the key");
    r->at++;
    skip_blanks(r);
    struct hd_strings ignored = {0};
    bool is_string = false;
    rc = take_value(r, depth, report ? NULL : &ignored, &is_string);
    hd_strings_done(&ignored);
    truncate_path(r, outer);
    return rc;
}

/* [table] or [[table]] */
static int take_header(struct reader *r)
{
    bool array = starts(r, "[[");
    r->at += array ? 2 : 1;
    truncate_path(r, 0);
    int rc = take_key(r);
    if (rc < 0)
        return rc;
    if (!starts(r, array ? "]]" : "]"))
        return fail(r, array ? "expected ']]'" : "expected ']'");
    r->at += array ? 2 : 1;
    return 0;
}

static int take_line(struct reader *r)
{
    int rc = *r->at == '[' ? take_header(r) : take_pair(r, 0, true);
    if (rc != 0)
        return rc;
    skip_blanks(r);
    if (r->at < r->end && strchr("#\r\n", *r->at) == NULL)
        return fail(r, "expected the end of the line");
    return 0;
}

int hd_toml_read(struct hd_str text, int (*on_value)(void *arg, const struct hd_toml_value *value),
                 void *arg, struct hd_error *err)
{
    static const struct hd_str bom = HD_LIT("\xef\xbb\xbf");
    struct reader r = {.at = text.ptr,
                       .end = text.ptr + text.len,
                       .line = 1,
                       .err = err,
                       .on_value = on_value,
                       .arg = arg};
    if (hd_str_starts(text, bom))
        r.at += bom.len;
    hd_buf_init(&r.text, STRING_MAX);
    int rc = 0;
    if (text.len > 0 && memchr(text.ptr, '\0', text.len) != NULL)
        rc = fail(&r, "the file has a NUL byte; it is not TOML");
    for (skip_lines(&r); rc == 0 && r.at < r.end; skip_lines(&r))
        rc = take_line(&r);
    hd_strings_done(&r.path);
    hd_buf_done(&r.text);
    return rc;
}
