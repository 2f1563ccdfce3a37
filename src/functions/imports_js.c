/* imports_js.c - the specifiers of TypeScript and JavaScript modules. */
#include "functions/imports.h"

enum { NAMES_MAX = 10000, NAME_LEN_MAX = 1024, TEMPLATE_DEPTH_MAX = 64 };

enum kind { END, WORD, STRING, PUNCTUATION, REGEX };

struct token {
    enum kind kind;
    struct hd_str text; /* STRING: what is between the quotes, undecoded */
    bool literal;       /* STRING: no escape and no ${} in it */
};

struct scanner {
    const char *at, *end;
    bool value_before; /* what came last ends a value: a slash divides */
    /* Braces open inside each ${ of a template literal around the cursor. */
    size_t template_braces[TEMPLATE_DEPTH_MAX];
    size_t templates;
};

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '$' || (unsigned char)c >= 0x80;
}

static bool follows(const struct scanner *s, char c)
{
    return s->at + 1 < s->end && s->at[1] == c;
}

static void skip_to(struct scanner *s, const char *mark)
{
    const char *found = memmem(s->at, (size_t)(s->end - s->at), mark, strlen(mark));
    s->at = found != NULL ? found + strlen(mark) : s->end;
}

static void skip_space(struct scanner *s)
{
    while (s->at < s->end) {
        if (*s->at == '/' && follows(s, '/')) {
            skip_to(s, "\n");
        } else if (*s->at == '/' && follows(s, '*')) {
            s->at += 2;
            skip_to(s, "*/");
        } else if (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r') {
            s->at++;
        } else {
            return;
        }
    }
}

/* After the words that an operand follows, a slash begins a regular expression. */
static bool ends_value(struct hd_str word)
{
    static const char *const before_operand[] = {"return", "typeof", "instanceof", "in",    "of",
                                                 "new",    "delete", "void",       "throw", "case",
                                                 "do",     "else",   "yield",      "await"};
    for (size_t i = 0; i < HD_COUNT(before_operand); i++) {
        if (hd_str_is(word, before_operand[i]))
            return false;
    }
    return true;
}

/* Cursor on the quote. A line break ends it: the text was no string after all (JSX, a regular
 * expression that we took for a division), and the damage stays on its line. */
static struct token take_string(struct scanner *s)
{
    char quote = *s->at++;
    struct token t = {.kind = STRING, .literal = true};
    const char *start = s->at;
    while (s->at < s->end && *s->at != quote && *s->at != '\n') {
        if (*s->at == '\\') {
            t.literal = false;
            s->at++;
        }
        if (s->at < s->end)
            s->at++;
    }
    t.text = hd_str_n(start, (size_t)(s->at - start));
    if (s->at < s->end && *s->at == quote)
        s->at++;
    else
        t.literal = false;
    return t;
}

/* Cursor behind the backtick, or behind the } that closes a ${. */
static struct token take_template(struct scanner *s, bool from_start)
{
    struct token t = {.kind = STRING, .literal = from_start};
    const char *start = s->at;
    for (; s->at < s->end && *s->at != '`'; s->at++) {
        if (*s->at == '\\' && s->at + 1 < s->end) {
            t.literal = false;
            s->at++;
        } else if (*s->at == '$' && follows(s, '{') && s->templates < TEMPLATE_DEPTH_MAX) {
            s->at += 2;
            s->template_braces[s->templates++] = 0;
            t.literal = false;
            return t;
        }
    }
    t.text = hd_str_n(start, (size_t)(s->at - start));
    if (s->at < s->end)
        s->at++;
    return t;
}

static struct token take_regex(struct scanner *s)
{
    bool in_class = false;
    for (s->at++; s->at < s->end && *s->at != '\n'; s->at++) {
        if (*s->at == '\\' && s->at + 1 < s->end && s->at[1] != '\n')
            s->at++;
        else if (*s->at == '[')
            in_class = true;
        else if (*s->at == ']')
            in_class = false;
        else if (*s->at == '/' && !in_class)
            break;
    }
    if (s->at < s->end)
        s->at++;
    return (struct token){.kind = REGEX};
}

static struct token take_punctuation(struct scanner *s)
{
    char c = *s->at;
    struct token t = {.kind = PUNCTUATION, .text = hd_str_n(s->at++, 1)};
    if (s->templates == 0)
        return t;
    size_t *braces = &s->template_braces[s->templates - 1];
    if (c == '{')
        ++*braces;
    else if (c == '}' && *braces > 0)
        --*braces;
    else if (c == '}') {
        s->templates--;
        return take_template(s, false);
    }
    return t;
}

static struct token next(struct scanner *s)
{
    skip_space(s);
    if (s->at >= s->end)
        return (struct token){.kind = END};
    struct token t;
    char c = *s->at;
    if (is_word_char(c)) {
        const char *start = s->at;
        while (s->at < s->end && is_word_char(*s->at))
            s->at++;
        t = (struct token){.kind = WORD, .text = hd_str_n(start, (size_t)(s->at - start))};
        s->value_before = ends_value(t.text);
        return t;
    }
    if (c == '"' || c == '\'') {
        t = take_string(s);
    } else if (c == '`') {
        s->at++;
        t = take_template(s, true);
    } else if (c == '/' && !s->value_before) {
        t = take_regex(s);
    } else {
        t = take_punctuation(s);
    }
    bool opened = t.kind == STRING && s->at[-1] == '{'; /* the ${ of a template */
    s->value_before = !opened && (t.kind != PUNCTUATION || c == ')' || c == ']' || c == '}');
    return t;
}

static bool is_punctuation(const struct token *t, char c)
{
    return t->kind == PUNCTUATION && t->text.ptr[0] == c;
}

static void add(struct hd_strings *out, const struct token *t)
{
    if (t->literal && t->text.len > 0 && t->text.len <= NAME_LEN_MAX && out->n < NAMES_MAX &&
        memchr(t->text.ptr, '\0', t->text.len) == NULL)
        hd_strings_add(out, t->text);
}

/* What may stand between `import` or `export` and `from`. */
static bool belongs_to_clause(const struct token *t)
{
    return t->kind == WORD || t->kind == STRING || is_punctuation(t, '{') ||
           is_punctuation(t, '}') || is_punctuation(t, ',') || is_punctuation(t, '*');
}

void hd_imports_js(struct hd_strings *out, struct hd_str text)
{
    struct scanner s = {.at = text.ptr, .end = text.ptr + text.len};
    struct token before2 = {.kind = END}, before = {.kind = END};
    bool in_clause = false;
    for (;;) {
        struct token t = next(&s);
        if (t.kind == END)
            return;
        bool member = is_punctuation(&before, '.');
        if (t.kind == WORD && !member &&
            (hd_str_is(t.text, "import") || hd_str_is(t.text, "export"))) {
            in_clause = true;
        } else if (t.kind == STRING && before.kind == WORD && in_clause &&
                   (hd_str_is(before.text, "from") || hd_str_is(before.text, "import"))) {
            add(out, &t);
            in_clause = false;
        } else if (t.kind == STRING && is_punctuation(&before, '(') && before2.kind == WORD &&
                   (hd_str_is(before2.text, "import") || hd_str_is(before2.text, "require") ||
                    (hd_str_is(before2.text, "URL") && t.text.len > 0 && t.text.ptr[0] == '.'))) {
            add(out, &t);
        } else if (!belongs_to_clause(&t)) {
            in_clause = false;
        }
        before2 = before;
        before = t;
    }
}
