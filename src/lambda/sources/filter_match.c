#include "lambda/sources/filter_tree.h"

#include "core/utf8.h"

#include <jansson.h>
#include <locale.h>
#include <pthread.h>
#include <wctype.h>

/* The way from the record's root to where we are: absence is a question about the whole record. */
struct way {
    const struct way *above;
    struct hd_str name;
};

/* --- letters of either case --- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static locale_t letters; /* knows all of Unicode's; written once */

static void load_letters(void)
{
    letters = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

wchar_t hd_filter_fold(const char **at, const char *end)
{
    static const unsigned char mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    const unsigned char *p = (const unsigned char *)*at;
    size_t n = hd_utf8_len(p, (const unsigned char *)end);
    *at += n > 0 ? n : 1;
    if (n == 0)
        return (wchar_t)(0x110000 + p[0]); /* no character: equal to itself only */
    unsigned c = p[0] & mask[n];
    for (size_t i = 1; i < n; i++)
        c = c << 6 | (p[i] & 0x3f);
    if (c < 0x80)
        return (wchar_t)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    pthread_once(&once, load_letters);
    return letters != (locale_t)0
               ? (wchar_t)towlower_l((wint_t)towupper_l((wint_t)c, letters), letters)
               : (wchar_t)c;
}

/* How much of @p s the text @p prefix covers in any case; SIZE_MAX: it is no prefix. */
static size_t nocase_prefix(struct hd_str s, struct hd_str prefix)
{
    const char *a = s.ptr, *b = prefix.ptr, *a_end = s.ptr + s.len,
               *b_end = prefix.ptr + prefix.len;
    while (b < b_end)
        if (a == a_end || hd_filter_fold(&a, a_end) != hd_filter_fold(&b, b_end))
            return SIZE_MAX;
    return (size_t)(a - s.ptr);
}

/* Both forms of a letter are one character, though not always of as many bytes. */
static bool nocase_suffix(struct hd_str s, struct hd_str suffix)
{
    size_t at = s.len;
    for (size_t i = suffix.len; i > 0; i--) {
        if (((unsigned char)suffix.ptr[i - 1] & 0xc0) == 0x80)
            continue; /* not where a character begins */
        if (at == 0)
            return false;
        do
            at--;
        while (at > 0 && ((unsigned char)s.ptr[at] & 0xc0) == 0x80);
    }
    return nocase_prefix(hd_str_n(s.ptr + at, s.len - at), suffix) == s.len - at;
}

/* --- values --- */

int hd_filter_compare(const struct hd_filter_number *a, const struct hd_filter_number *b)
{
    if (a->is_int && b->is_int)
        return a->i < b->i ? -1 : a->i > b->i;
    return a->d < b->d ? -1 : a->d > b->d;
}

/* Greedy, with one place to come back to: the last star. */
static bool wildcard(struct hd_str s, struct hd_str pattern)
{
    size_t i = 0, p = 0, star = SIZE_MAX, from = 0;
    for (;;) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            from = i;
            continue;
        }
        size_t literal = p < pattern.len && pattern.ptr[p] == '\\' ? p + 1 : p;
        if (i < s.len && literal < pattern.len && pattern.ptr[literal] == s.ptr[i]) {
            i++;
            p = literal + 1;
            continue;
        }
        if (i == s.len && p == pattern.len)
            return true;
        if (star == SIZE_MAX || from == s.len)
            return false;
        i = ++from;
        p = star + 1;
    }
}

static bool match_text(const struct hd_filter_test *t, struct hd_str s)
{
    struct hd_ipaddr address;
    switch (t->kind) {
    case HD_FILTER_STRING:
        return hd_str_eq(s, t->text);
    case HD_FILTER_PREFIX:
        return hd_str_starts(s, t->text);
    case HD_FILTER_SUFFIX:
        return hd_str_ends(s, t->text);
    case HD_FILTER_NOCASE:
        return nocase_prefix(s, t->text) == s.len;
    case HD_FILTER_PREFIX_NOCASE:
        return nocase_prefix(s, t->text) != SIZE_MAX;
    case HD_FILTER_SUFFIX_NOCASE:
        return nocase_suffix(s, t->text);
    case HD_FILTER_WILDCARD:
        return wildcard(s, t->text);
    case HD_FILTER_CIDR:
        return hd_ipaddr_parse(&address, s) == 0 && hd_cidr_has(&t->cidr, &address);
    case HD_FILTER_NUMBER:
    case HD_FILTER_TRUE:
    case HD_FILTER_FALSE:
    case HD_FILTER_NULL:
    case HD_FILTER_RANGE:
    case HD_FILTER_EXISTS:
    case HD_FILTER_ABSENT:
    case HD_FILTER_NONE_OF:
        break;
    }
    return false;
}

static bool match_number(const struct hd_filter_test *t, const json_t *v)
{
    struct hd_filter_number n = {.is_int = json_is_integer(v), .d = json_number_value(v)};
    if (n.is_int)
        n.i = json_integer_value(v);
    if (t->kind == HD_FILTER_NUMBER)
        return hd_filter_compare(&n, &t->number) == 0;
    if (t->kind != HD_FILTER_RANGE)
        return false;
    int low = t->has_low ? hd_filter_compare(&n, &t->low) : 1;
    int high = t->has_high ? hd_filter_compare(&n, &t->high) : -1;
    return (t->above ? low > 0 : low >= 0) && (t->below ? high < 0 : high <= 0);
}

/* Whether a value that is neither object nor list passes a test. */
static bool match_value(const struct hd_filter_test *t, const json_t *v)
{
    if (t->kind == HD_FILTER_EXISTS)
        return true;
    if (t->kind == HD_FILTER_NONE_OF) {
        for (const struct hd_filter_test *one = t->none_of; one != NULL; one = one->next)
            if (match_value(one, v))
                return false;
        return true;
    }
    switch (json_typeof(v)) {
    case JSON_STRING:
        return match_text(t, hd_str_n(json_string_value(v), json_string_length(v)));
    case JSON_INTEGER:
    case JSON_REAL:
        return match_number(t, v);
    case JSON_TRUE:
        return t->kind == HD_FILTER_TRUE;
    case JSON_FALSE:
        return t->kind == HD_FILTER_FALSE;
    case JSON_NULL:
        return t->kind == HD_FILTER_NULL;
    case JSON_OBJECT:
    case JSON_ARRAY:
        break;
    }
    return false;
}

/* --- the tree --- */

/* Whether there is a value at @p way below @p v, in any element of the lists on it. */
static bool has_value(const json_t *v, const struct way *const *steps, size_t n)
{
    size_t i;
    json_t *element;
    if (json_is_array(v)) {
        json_array_foreach(v, i, element) if (has_value(element, steps, n)) return true;
        return false;
    }
    if (n == 0)
        return v != NULL && !json_is_object(v);
    return json_is_object(v) &&
           has_value(json_object_getn(v, steps[0]->name.ptr, steps[0]->name.len), steps + 1, n - 1);
}

enum { DEPTH_MAX = HD_FILTER_BYTES_MAX / 4 }; /* of a pattern: {"":{"":... */

static bool is_absent(const json_t *record, const struct way *way)
{
    const struct way *steps[DEPTH_MAX];
    size_t n = 0;
    for (const struct way *w = way; w != NULL; w = w->above)
        n++;
    size_t at = n;
    for (const struct way *w = way; w != NULL; w = w->above)
        steps[--at] = w;
    return !has_value(record, steps, n);
}

static bool match_tests(const json_t *record, const struct hd_filter_test *tests, const json_t *v,
                        const struct way *way)
{
    size_t i;
    json_t *element;
    if (json_is_array(v)) {
        json_array_foreach(v, i, element) if (match_tests(record, tests, element, way)) return true;
        if (json_array_size(v) > 0)
            return false;
    }
    bool value = v != NULL && !json_is_object(v) && !json_is_array(v);
    for (const struct hd_filter_test *t = tests; t != NULL; t = t->next)
        if (t->kind == HD_FILTER_ABSENT ? is_absent(record, way) : value && match_value(t, v))
            return true;
    return false;
}

static bool match_object(const json_t *record, const struct hd_filter_object *o, const json_t *v,
                         const struct way *way);

static bool match_member(const json_t *record, const struct hd_filter_member *member,
                         const json_t *v, const struct way *above)
{
    const struct way way = {above, member->name};
    const json_t *at =
        json_is_object(v) ? json_object_getn(v, member->name.ptr, member->name.len) : NULL;
    return member->object != NULL ? match_object(record, member->object, at, &way)
                                  : match_tests(record, member->tests, at, &way);
}

static bool match_choice(const json_t *record, const struct hd_filter_choice *c, const json_t *v,
                         const struct way *way)
{
    for (const struct hd_filter_object *o = c->options; o != NULL; o = o->next)
        if (match_object(record, o, v, way))
            return true;
    return false;
}

/* @p v may be NULL or no object: members that must be absent are, then. */
static bool match_object(const json_t *record, const struct hd_filter_object *o, const json_t *v,
                         const struct way *way)
{
    size_t i;
    json_t *element;
    if (json_array_size(v) > 0) {
        json_array_foreach(v, i, element) if (match_object(record, o, element, way)) return true;
        return false;
    }
    for (const struct hd_filter_member *member = o->members; member != NULL; member = member->next)
        if (!match_member(record, member, v, way))
            return false;
    for (const struct hd_filter_choice *c = o->choices; c != NULL; c = c->next)
        if (!match_choice(record, c, v, way))
            return false;
    return true;
}

bool hd_filter_match(const struct hd_filter *f, const struct json_t *record)
{
    return match_object(record, f->root, record, NULL);
}
