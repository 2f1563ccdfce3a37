#include "functions/envfile.h"

#include "functions/file.h"
#include "functions/manifest.h"

enum { FILE_MAX = 4 << 20, VARS_MAX = 2000 };

struct reader {
    const char *at, *end;
    unsigned line;
    const char *name;
    struct hd_buf value;
    struct hd_error *err;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static void skip_blanks(struct reader *r)
{
    while (r->at < r->end && is_blank(*r->at))
        r->at++;
}

static void skip_line(struct reader *r)
{
    while (r->at < r->end && *r->at != '\n')
        r->at++;
}

static int fail(const struct reader *r, const char *what)
{
    return hd_fail(r->err, HD_EINVAL, "%s:%u: %s", r->name, r->line, what);
}

static struct hd_str take_word(struct reader *r)
{
    const char *start = r->at;
    while (r->at < r->end && !is_blank(*r->at) && *r->at != '=' && *r->at != '\n')
        r->at++;
    return hd_str_n(start, (size_t)(r->at - start));
}

static int take_key(struct reader *r, struct hd_str *key)
{
    *key = take_word(r);
    skip_blanks(r);
    if (hd_str_is(*key, "export") && r->at < r->end && *r->at != '=') {
        *key = take_word(r);
        skip_blanks(r);
    }
    if (!hd_env_name_ok(*key))
        return fail(r, "expected KEY=value; a key has letters, digits and '_' and does not begin "
                       "with a digit");
    if (r->at >= r->end || *r->at != '=')
        return hd_fail(r->err, HD_EINVAL, "%s:%u: %.*s: expected '=' after the key", r->name,
                       r->line, HD_FMT(*key));
    r->at++;
    skip_blanks(r);
    return 0;
}

/* Cursor behind the backslash. What is no escape stays as it is. */
static void take_escape(struct reader *r)
{
    static const char from[] = "nrt\"\\", to[] = "\n\r\t\"\\";
    const char *known = r->at < r->end && *r->at != '\0' ? strchr(from, *r->at) : NULL;
    if (known == NULL) {
        hd_buf_char(&r->value, '\\');
        return;
    }
    hd_buf_char(&r->value, to[known - from]);
    r->at++;
}

static int take_quoted(struct reader *r)
{
    char quote = *r->at++;
    unsigned first_line = r->line;
    while (r->at < r->end && *r->at != quote) {
        char c = *r->at++;
        r->line += c == '\n';
        if (c == '\\' && quote == '"')
            take_escape(r);
        else
            hd_buf_char(&r->value, c);
    }
    if (r->at >= r->end) {
        r->line = first_line;
        return fail(r, "the quoted value has no end");
    }
    r->at++;
    skip_blanks(r);
    if (r->at < r->end && *r->at != '\n' && *r->at != '#')
        return fail(r, "expected the end of the line after the closing quote");
    return 0;
}

static void take_bare(struct reader *r)
{
    const char *start = r->at, *end = start;
    bool blank = true; /* the value may be nothing but a comment */
    for (; end < r->end && *end != '\n'; end++) {
        if (*end == '#' && blank)
            break;
        blank = is_blank(*end);
    }
    r->at = end;
    while (end > start && is_blank(end[-1]))
        end--;
    hd_buf_add(&r->value, start, (size_t)(end - start));
}

static void push(struct hd_env_file *f, struct hd_str key, struct hd_str value, unsigned line)
{
    if (f->n == 0 || (f->n & (f->n - 1)) == 0) { /* room is 1, 2, 4, 8, ... */
        struct hd_env_var *more = hd_new_array(struct hd_env_var, f->n > 0 ? f->n * 2 : 1);
        if (f->n > 0)
            memcpy(more, f->vars, f->n * sizeof(*more));
        free(f->vars);
        f->vars = more;
    }
    f->vars[f->n++] =
        (struct hd_env_var){.key = hd_strdup_n(key), .value = hd_strdup_n(value), .line = line};
}

static int take_pair(struct reader *r, struct hd_env_file *out)
{
    struct hd_str key;
    unsigned line = r->line;
    int rc = take_key(r, &key);
    if (rc < 0)
        return rc;
    hd_buf_clear(&r->value);
    if (r->at < r->end && (*r->at == '"' || *r->at == '\''))
        rc = take_quoted(r);
    else
        take_bare(r);
    if (rc < 0)
        return rc;
    struct hd_str value = hd_buf_view(&r->value);
    if (value.len > 0 && memchr(value.ptr, '\0', value.len) != NULL)
        return hd_fail(r->err, HD_EINVAL, "%s:%u: %.*s: the value has a NUL byte", r->name, line,
                       HD_FMT(key));
    if (hd_env_file_find(out, key) != NULL)
        hd_strings_addf(&out->warnings, "%s:%u: %.*s: came before; the first one is used", r->name,
                        line, HD_FMT(key));
    else if (out->n >= VARS_MAX)
        return fail(r, "more than 2000 variables");
    else
        push(out, key, value, line);
    return 0;
}

int hd_env_file_parse(struct hd_env_file *out, struct hd_str text, const char *name,
                      struct hd_error *err)
{
    static const struct hd_str bom = HD_LIT("\xef\xbb\xbf");
    *out = (struct hd_env_file){.name = hd_strdup(name)};
    struct reader r = {
        .at = text.ptr, .end = text.ptr + text.len, .line = 1, .name = name, .err = err};
    if (hd_str_starts(text, bom))
        r.at += bom.len;
    hd_buf_init(&r.value, FILE_MAX);
    int rc = 0;
    while (rc == 0 && r.at < r.end) {
        skip_blanks(&r);
        if (r.at < r.end && *r.at != '#' && *r.at != '\n')
            rc = take_pair(&r, out);
        skip_line(&r);
        if (r.at < r.end) {
            r.at++;
            r.line++;
        }
    }
    if (r.value.ptr != NULL)
        explicit_bzero(r.value.ptr, r.value.cap);
    hd_buf_done(&r.value);
    if (rc < 0)
        hd_env_file_done(out);
    return rc;
}

int hd_env_file_read(struct hd_env_file *out, const char *path, const char *name,
                     struct hd_error *err)
{
    struct hd_buf text;
    *out = (struct hd_env_file){0};
    hd_buf_init(&text, FILE_MAX);
    int rc = hd_file_read(&text, path, NULL, err);
    if (rc == 0)
        rc = hd_env_file_parse(out, hd_buf_view(&text), name, err);
    if (text.ptr != NULL)
        explicit_bzero(text.ptr, text.cap);
    hd_buf_done(&text);
    return rc;
}

void hd_env_file_done(struct hd_env_file *f)
{
    for (size_t i = 0; i < f->n; i++) {
        explicit_bzero(f->vars[i].value, strlen(f->vars[i].value));
        free(f->vars[i].value);
        free(f->vars[i].key);
    }
    free(f->vars);
    free(f->name);
    hd_strings_done(&f->warnings);
    *f = (struct hd_env_file){0};
}

const struct hd_env_var *hd_env_file_find(const struct hd_env_file *f, struct hd_str key)
{
    for (size_t i = 0; i < f->n; i++) {
        if (hd_str_is(key, f->vars[i].key))
            return &f->vars[i];
    }
    return NULL;
}
