#include "lambda/logs/logfilter.h"

/* @return the term's end, after a closing quote if it has one; NULL: the quote is not closed. */
static const char *quoted(struct hd_logfilter *f, size_t *used, struct hd_str *out, const char *at,
                          const char *end)
{
    size_t from = *used;
    for (; at < end && *at != '"'; at++) {
        if (*at == '\\' && end - at > 1)
            at++;
        f->unescaped[(*used)++] = *at; /* never longer than the pattern */
    }
    *out = hd_str_n(f->unescaped + from, *used - from);
    return at < end ? at + 1 : NULL;
}

static const char *bare(struct hd_str *out, const char *at, const char *end)
{
    const char *from = at;
    while (at < end && *at != ' ')
        at++;
    *out = hd_str_n(from, (size_t)(at - from));
    return at;
}

int hd_logfilter_parse(struct hd_logfilter *f, struct hd_str pattern, struct hd_error *err)
{
    size_t used = 0;
    f->n = f->n_must = f->n_may = 0;
    if (pattern.len == 0)
        return 0;
    const char *at = pattern.ptr, *end = at + pattern.len;
    if (pattern.len > sizeof(f->unescaped))
        return hd_fail(err, HD_EINVAL, "A filter pattern has at most %zu bytes.",
                       sizeof(f->unescaped));
    if (*at == '{' || *at == '[' || *at == '%')
        return hd_fail(err, HD_EINVAL,
                       "This server offers filter patterns of terms (ERROR, \"two words\", ?this "
                       "?that, -without), not those that begin with '%c'.",
                       *at);
    while (at < end) {
        if (*at == ' ') {
            at++;
            continue;
        }
        if (f->n == HD_LOGFILTER_TERMS)
            return hd_fail(err, HD_EINVAL, "A filter pattern has at most %d terms.",
                           HD_LOGFILTER_TERMS);
        struct hd_str text;
        bool sign = (*at == '-' || *at == '?') && end - at > 1 && at[1] != ' ';
        char c = *at;
        at += sign;
        at = *at == '"' ? quoted(f, &used, &text, at + 1, end) : bare(&text, at, end);
        if (at == NULL)
            return hd_fail(err, HD_EINVAL, "The filter pattern has a quote that is not closed.");
        f->terms[f->n].kind = !sign ? HD_LOGTERM_MUST : c == '-' ? HD_LOGTERM_NOT : HD_LOGTERM_MAY;
        f->n_must += f->terms[f->n].kind == HD_LOGTERM_MUST;
        f->n_may += f->terms[f->n].kind == HD_LOGTERM_MAY;
        f->terms[f->n++].text = text;
    }
    return 0;
}

bool hd_logfilter_match(const struct hd_logfilter *f, struct hd_str line)
{
    bool one = f->n_may == 0 || f->n_must > 0; /* beside those that must, others say nothing */
    for (size_t i = 0; i < f->n; i++) {
        struct hd_str t = f->terms[i].text;
        bool there = t.len == 0 || memmem(line.ptr, line.len, t.ptr, t.len) != NULL;
        switch (f->terms[i].kind) {
        case HD_LOGTERM_MUST:
            if (!there)
                return false;
            break;
        case HD_LOGTERM_NOT:
            if (there)
                return false;
            break;
        case HD_LOGTERM_MAY:
            one = one || there;
            break;
        }
    }
    return one;
}
