/* filter.c - the pattern is checked once, as a whole; matching then trusts its form. */
#include "lambda/filter.h"

#include <math.h>

enum { PATH_MAX_CHARS = 120, DEPTH_MAX = 64 };

struct hd_filter {
    json_t *pattern;
};

static struct hd_str text_of(const json_t *v)
{
    return hd_str_n(json_string_value(v), json_string_length(v));
}

/* --- checking --- */

struct place {
    char path[PATH_MAX_CHARS];
    unsigned depth;
    struct hd_error *err;
};

static int refuse(const struct place *at, const char *why)
{
    return hd_fail(at->err, HD_EINVAL, "%s: %s", at->path[0] != '\0' ? at->path : "the pattern",
                   why);
}

static struct place below(const struct place *at, const char *key)
{
    struct place p = *at;
    size_t n = strlen(p.path);
    snprintf(p.path + n, sizeof(p.path) - n, "%s%.60s", n > 0 ? "." : "", key);
    p.depth++;
    return p;
}

static bool is_plain(const json_t *v)
{
    return v != NULL && !json_is_object(v) && !json_is_array(v);
}

/* "*" may stand anywhere, but not twice in a row; a backslash takes it (and itself) as it is. */
static bool is_wildcard(const json_t *v)
{
    const char *s = json_string_value(v);
    for (; s != NULL && *s != '\0'; s++) {
        if (*s == '\\' && s[1] != '*' && s[1] != '\\')
            return false;
        if (*s == '\\')
            s++;
        else if (*s == '*' && s[1] == '*')
            return false;
    }
    return s != NULL;
}

/* Text, or {"equals-ignore-case": text}. */
static bool is_affix(const json_t *v)
{
    if (json_is_object(v) && json_object_size(v) == 1)
        v = json_object_get(v, "equals-ignore-case");
    return json_is_string(v);
}

static bool each(const json_t *v, bool (*ok)(const json_t *one))
{
    if (!json_is_array(v))
        return ok(v);
    for (size_t i = 0; i < json_array_size(v); i++) {
        if (!ok(json_array_get(v, i)))
            return false;
    }
    return json_array_size(v) > 0;
}

static bool is_text(const json_t *v)
{
    return json_is_string(v);
}

static bool is_excludable(const json_t *v)
{
    return json_is_string(v) || json_is_number(v);
}

static bool is_anything_but(const json_t *v)
{
    if (!json_is_object(v))
        return each(v, is_excludable);
    if (json_object_size(v) != 1)
        return false;
    const char *rule = json_object_iter_key(json_object_iter((json_t *)v));
    const json_t *of = json_object_get(v, rule);
    if (strcmp(rule, "wildcard") == 0)
        return each(of, is_wildcard);
    return (strcmp(rule, "prefix") == 0 || strcmp(rule, "suffix") == 0 ||
            strcmp(rule, "equals-ignore-case") == 0) &&
           each(of, is_text);
}

/* ["=", n], [">", n], or a range [">", n, "<=", m]. */
static bool is_numeric(const json_t *v)
{
    size_t n = json_array_size(v);
    if (n != 2 && n != 4)
        return false;
    const char *op[2] = {json_string_value(json_array_get(v, 0)),
                         json_string_value(json_array_get(v, 2))};
    if (op[0] == NULL || !json_is_number(json_array_get(v, 1)))
        return false;
    bool above = strcmp(op[0], ">") == 0 || strcmp(op[0], ">=") == 0;
    if (n == 2)
        return above || strcmp(op[0], "=") == 0 || strcmp(op[0], "<") == 0 ||
               strcmp(op[0], "<=") == 0;
    return above && op[1] != NULL && (strcmp(op[1], "<") == 0 || strcmp(op[1], "<=") == 0) &&
           json_is_number(json_array_get(v, 3)) &&
           json_number_value(json_array_get(v, 1)) < json_number_value(json_array_get(v, 3));
}

static int check_rule(const struct place *at, const json_t *rule)
{
    if (json_object_size(rule) != 1)
        return refuse(at, "a rule has exactly one member");
    const char *name = json_object_iter_key(json_object_iter((json_t *)rule));
    const json_t *v = json_object_get(rule, name);
    if (strcmp(name, "prefix") == 0 || strcmp(name, "suffix") == 0)
        return is_affix(v) ? 0 : refuse(at, "prefix and suffix take a text");
    if (strcmp(name, "equals-ignore-case") == 0)
        return is_text(v) ? 0 : refuse(at, "equals-ignore-case takes a text");
    if (strcmp(name, "anything-but") == 0)
        return is_anything_but(v) ? 0
                                  : refuse(at, "anything-but takes a text, a number, a list of "
                                               "them, or one rule of text");
    if (strcmp(name, "numeric") == 0)
        return is_numeric(v) ? 0 : refuse(at, "numeric takes [\"<=\", 5] or [\">\", 0, \"<\", 5]");
    if (strcmp(name, "exists") == 0)
        return json_is_boolean(v) ? 0 : refuse(at, "exists takes true or false");
    if (strcmp(name, "wildcard") == 0)
        return is_wildcard(v) ? 0 : refuse(at, "wildcard takes a text without \"**\"");
    return refuse(at, "has a rule that there is not");
}

static int check_list(const struct place *at, const json_t *list)
{
    size_t i;
    json_t *one;
    if (json_array_size(list) == 0)
        return refuse(at, "an empty list fits nothing");
    json_array_foreach(list, i, one)
    {
        int rc = 0;
        if (json_is_array(one))
            rc = refuse(at, "a list must not hold a list");
        else if (json_is_object(one))
            rc = check_rule(at, one);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int check_object(const struct place *at, const json_t *pattern);

static int check_or(const struct place *at, const json_t *list)
{
    size_t i;
    json_t *one;
    if (json_array_size(list) < 2)
        return refuse(at, "$or takes a list of two patterns or more");
    json_array_foreach(list, i, one)
    {
        int rc = check_object(at, one);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int check_object(const struct place *at, const json_t *pattern)
{
    const char *key;
    json_t *v;
    if (!json_is_object(pattern))
        return refuse(at, "must be an object");
    if (at->depth > DEPTH_MAX)
        return refuse(at, "is too deep");
    json_object_foreach((json_t *)pattern, key, v)
    {
        struct place p = below(at, key);
        int rc;
        if (strcmp(key, "$or") == 0)
            rc = check_or(&p, v);
        else if (json_is_object(v))
            rc = json_object_size(v) > 0 ? check_object(&p, v) : refuse(&p, "must not be empty");
        else if (json_is_array(v))
            rc = check_list(&p, v);
        else
            rc = refuse(&p, "must be a list, or an object");
        if (rc < 0)
            return rc;
    }
    return 0;
}

int hd_filter_new(struct hd_filter **out, struct hd_str pattern, struct hd_error *err)
{
    json_error_t at;
    if (pattern.len > HD_FILTER_BYTES_MAX)
        return hd_fail(err, HD_EINVAL, "the pattern has %zu bytes, the limit is %d", pattern.len,
                       HD_FILTER_BYTES_MAX);
    json_t *json = json_loadb(pattern.ptr, pattern.len, JSON_REJECT_DUPLICATES, &at);
    if (json == NULL)
        return hd_fail(err, HD_EINVAL, "the pattern is not JSON at byte %d: %s", at.position,
                       at.text);
    struct place root = {.path = "", .err = err};
    int rc = check_object(&root, json);
    if (rc < 0) {
        json_decref(json);
        return rc;
    }
    *out = hd_new(struct hd_filter);
    (*out)->pattern = json;
    return 0;
}

void hd_filter_free(struct hd_filter *f)
{
    if (f == NULL)
        return;
    json_decref(f->pattern);
    free(f);
}

/* --- matching: one value against one element of a list --- */

static bool fits_wildcard(struct hd_str pattern, struct hd_str text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, from = 0;
    while (t < text.len) {
        size_t literal = p < pattern.len && pattern.ptr[p] == '\\' ? p + 1 : p;
        bool any = p < pattern.len && pattern.ptr[p] == '*';
        if (any) {
            star = p++;
            from = t;
        } else if (literal < pattern.len && pattern.ptr[literal] == text.ptr[t]) {
            p = literal + 1;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++from;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

static bool fits_affix(const json_t *wanted, struct hd_str text, bool prefix)
{
    bool nocase = json_is_object(wanted);
    struct hd_str w = text_of(nocase ? json_object_get(wanted, "equals-ignore-case") : wanted);
    if (w.len > text.len)
        return false;
    struct hd_str part = hd_str_n(prefix ? text.ptr : text.ptr + text.len - w.len, w.len);
    return nocase ? hd_str_eq_nocase(part, w) : hd_str_eq(part, w);
}

static bool fits_plain(const json_t *wanted, const json_t *v)
{
    if (json_is_number(wanted))
        return json_is_number(v) && json_number_value(wanted) == json_number_value(v);
    return json_equal(wanted, v) != 0;
}

static bool compare(const char *op, double a, double b)
{
    if (strcmp(op, "=") == 0)
        return a == b;
    bool less = op[0] == '<';
    return (less ? a < b : a > b) || (op[1] == '=' && a == b);
}

static bool fits_numeric(const json_t *rule, const json_t *v)
{
    if (!json_is_number(v))
        return false;
    for (size_t i = 0; i + 1 < json_array_size(rule); i += 2) {
        if (!compare(json_string_value(json_array_get(rule, i)), json_number_value(v),
                     json_number_value(json_array_get(rule, i + 1))))
            return false;
    }
    return true;
}

static bool fits_text_rule(const char *name, const json_t *of, struct hd_str text)
{
    if (strcmp(name, "prefix") == 0 || strcmp(name, "suffix") == 0)
        return fits_affix(of, text, name[0] == 'p');
    if (strcmp(name, "wildcard") == 0)
        return fits_wildcard(text_of(of), text);
    return hd_str_eq_nocase(text_of(of), text);
}

static bool fits_anything_but(const json_t *of, const json_t *v)
{
    const char *name = NULL;
    if (json_is_object(of)) {
        name = json_object_iter_key(json_object_iter((json_t *)of));
        of = json_object_get(of, name);
    }
    size_t n = json_is_array(of) ? json_array_size(of) : 1;
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_is_array(of) ? json_array_get(of, i) : of;
        if (name == NULL ? fits_plain(one, v)
                         : json_is_string(v) && fits_text_rule(name, one, text_of(v)))
            return false;
    }
    return true;
}

static bool fits_one(const json_t *wanted, const json_t *v)
{
    if (!json_is_object(wanted))
        return fits_plain(wanted, v);
    const char *name = json_object_iter_key(json_object_iter((json_t *)wanted));
    const json_t *of = json_object_get(wanted, name);
    if (strcmp(name, "exists") == 0)
        return json_is_true(of);
    if (strcmp(name, "numeric") == 0)
        return fits_numeric(of, v);
    if (strcmp(name, "anything-but") == 0)
        return fits_anything_but(of, v);
    return json_is_string(v) && fits_text_rule(name, of, text_of(v));
}

/* --- matching: a list, an object --- */

static bool list_fits_value(const json_t *list, const json_t *v)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (is_plain(v) && fits_one(json_array_get(list, i), v))
            return true;
    }
    return false;
}

static bool wants_absence(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (json_is_false(json_object_get(json_array_get(list, i), "exists")))
            return true;
    }
    return false;
}

static bool fits_object(const json_t *pattern, const json_t *record);

/* A member of the pattern against what the record has there; v may be NULL. */
static bool fits_member(const json_t *wanted, const json_t *v)
{
    bool list = json_is_array(wanted);
    if (list && (v == NULL || json_is_object(v))) /* an object is no leaf */
        return wants_absence(wanted);
    if (!json_is_array(v))
        return list ? list_fits_value(wanted, v) : fits_object(wanted, v);
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *one = json_array_get(v, i);
        if (list ? list_fits_value(wanted, one) : fits_object(wanted, one))
            return true;
    }
    return false;
}

static bool fits_object(const json_t *pattern, const json_t *record)
{
    const char *key;
    json_t *wanted;
    json_object_foreach((json_t *)pattern, key, wanted)
    {
        bool fits = false;
        if (strcmp(key, "$or") == 0) {
            for (size_t i = 0; !fits && i < json_array_size(wanted); i++)
                fits = fits_object(json_array_get(wanted, i), record);
        } else {
            fits = fits_member(wanted, json_object_get(record, key));
        }
        if (!fits)
            return false;
    }
    return true;
}

bool hd_filter_match(const struct hd_filter *f, const json_t *record)
{
    return fits_object(f->pattern, record);
}
