/* typed_pattern.c - regular expressions of a peer are never run here, but handed on to code that
 * may: so the ones that can be made to take for ever are refused, by a rule of thumb that the peers
 * have too. A group that repeats must not hold a repetition, nor alternatives of which one begins
 * with another. */
#include "lanes/typed_private.h"

enum { GROUPS_MAX = 64, BRANCHES_MAX = 32 };

struct group {
    bool repeats; /* something in it is repeated */
    bool overlap; /* two alternatives, one the beginning of the other */
    unsigned n_branches;
    struct hd_str branches[BRANCHES_MAX];
    const char *branch;
};

struct scan {
    const char *p, *end;
    struct group groups[GROUPS_MAX];
    unsigned depth;
};

/* @return bytes of a quantifier at @p p, or 0. */
static size_t quantifier(const char *p, const char *end)
{
    if (p == end)
        return 0;
    if (*p == '*' || *p == '+' || *p == '?')
        return 1;
    if (*p != '{')
        return 0;
    const char *at = p + 1;
    while (at < end && ((*at >= '0' && *at <= '9') || *at == ','))
        at++;
    return at < end && *at == '}' && at > p + 1 && p[1] != ',' ? (size_t)(at + 1 - p) : 0;
}

/* Of "x?" at most one more is read: it repeats nothing. */
static bool repeats(const char *p, size_t n)
{
    return n > 0 && *p != '?' && !(n == 3 && p[1] <= '1');
}

static void end_branch(struct group *g, const char *at)
{
    struct hd_str branch = hd_str_n(g->branch, (size_t)(at - g->branch));
    for (unsigned i = 0; i < g->n_branches; i++) {
        if (hd_str_starts(branch, g->branches[i]) || hd_str_starts(g->branches[i], branch))
            g->overlap = true;
    }
    if (g->n_branches < BRANCHES_MAX)
        g->branches[g->n_branches++] = branch;
    else
        g->overlap = true; /* too many to tell: as if */
    g->branch = at + 1;
}

static const char *skip_class(const char *p, const char *end)
{
    for (p++; p < end && *p != ']'; p++) {
        if (*p == '\\')
            p++;
    }
    return p;
}

static int open_group(struct scan *s, struct hd_error *err)
{
    if (++s->depth == GROUPS_MAX)
        return hd_fail(err, HD_EINVAL, "a pattern with groups deeper than %d", GROUPS_MAX - 1);
    struct group *g = &s->groups[s->depth];
    *g = (struct group){.branch = s->p + 1};
    if (s->end - s->p > 2 && s->p[1] == '?') { /* (?: (?= (?! (?<= (?<name> */
        g->branch = s->p + 3;
        if (s->p[2] == '<') {
            const char *close = memchr(s->p, '>', (size_t)(s->end - s->p));
            bool behind = s->end - s->p > 3 && (s->p[3] == '=' || s->p[3] == '!');
            g->branch = behind ? s->p + 4 : close != NULL ? close + 1 : s->end;
        }
        s->p = HD_MIN(g->branch, s->end) - 1;
    }
    return 0;
}

static int close_group(struct scan *s, struct hd_error *err)
{
    if (s->depth == 0)
        return hd_fail(err, HD_EINVAL, "a pattern with a \")\" too many");
    struct group *g = &s->groups[s->depth];
    if (g->n_branches > 0)
        end_branch(g, s->p);
    size_t n = quantifier(s->p + 1, s->end);
    if (repeats(s->p + 1, n) && (g->repeats || g->overlap))
        return hd_fail(err, HD_EINVAL,
                       "a pattern that can take for ever: a group that repeats "
                       "holds a repetition, or alternatives that overlap");
    s->depth--;
    if (g->repeats || repeats(s->p + 1, n))
        s->groups[s->depth].repeats = true;
    s->p += n;
    return 0;
}

static int check(struct hd_str pattern, struct hd_error *err)
{
    struct scan s = {.p = pattern.ptr, .end = pattern.ptr + pattern.len};
    s.groups[0].branch = s.p;
    for (; s.p < s.end; s.p++) {
        int rc = 0;
        if (*s.p == '\\') {
            if (++s.p == s.end)
                return hd_fail(err, HD_EINVAL, "a pattern that ends in a backslash");
        } else if (*s.p == '[') {
            s.p = skip_class(s.p, s.end);
            if (s.p >= s.end)
                return hd_fail(err, HD_EINVAL, "a pattern with a class that does not end");
        } else if (*s.p == '(') {
            rc = open_group(&s, err);
        } else if (*s.p == ')') {
            rc = close_group(&s, err);
        } else if (*s.p == '|') {
            end_branch(&s.groups[s.depth], s.p);
        } else {
            size_t n = quantifier(s.p, s.end);
            if (repeats(s.p, n))
                s.groups[s.depth].repeats = true;
            s.p += n > 0 ? n - 1 : 0;
        }
        if (rc < 0)
            return rc;
    }
    return s.depth == 0 ? 0 : hd_fail(err, HD_EINVAL, "a pattern with a group that does not end");
}

/* Characters beyond U+FFFF count twice there. */
static size_t utf16_units(struct hd_str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        n += (c & 0xc0) != 0x80;
        n += c >= 0xf0;
    }
    return n;
}

int hd_typed_pattern(struct hd_buf *out, struct hd_str pattern, struct hd_error *err)
{
    if (utf16_units(pattern) > HD_TYPED_PATTERN_MAX)
        return hd_fail(err, HD_EINVAL, "a pattern longer than %d", HD_TYPED_PATTERN_MAX);
    if (pattern.len == 0) {
        hd_buf_cstr(out, "(?:)");
        return 0;
    }
    int rc = check(pattern, err);
    if (rc < 0)
        return rc;
    bool in_class = false;
    for (size_t i = 0; i < pattern.len; i++) {
        char c = pattern.ptr[i];
        if (c == '\\') {
            hd_buf_char(out, c);
            c = pattern.ptr[++i];
        } else if (c == '/' && !in_class) {
            hd_buf_char(out, '\\');
        } else if (c == '[' || c == ']') {
            in_class = c == '[';
        }
        if (c == '\n' || c == '\r') {
            if (i == 0 || pattern.ptr[i - 1] != '\\')
                hd_buf_char(out, '\\');
            c = c == '\n' ? 'n' : 'r';
        }
        hd_buf_char(out, c);
    }
    return 0;
}
