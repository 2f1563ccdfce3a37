#include "lambda/sources/filter.h"

#include "lambda/sources/filter_tree.h"

#include <jansson.h>

/* Where the reader is, for messages: "body.order: ..." */
struct place {
    const struct place *above;
    const char *name;
};

struct reader {
    struct hd_arena *memory;
    struct hd_error *err;
};

static int fail(struct reader *r, const struct place *at, const char *what)
{
    char path[160];
    size_t n = sizeof(path) - 1;
    path[n] = '\0';
    for (const struct place *p = at; p != NULL && p->name != NULL; p = p->above) {
        size_t len = HD_MIN(strlen(p->name), n);
        bool first = path[n] == '\0';
        if (!first && n > 0)
            path[--n] = '.';
        len = HD_MIN(len, n);
        n -= len;
        memcpy(path + n, p->name, len);
    }
    return hd_fail(r->err, HD_EINVAL, "filter pattern: %s%s%s", path + n,
                   path[n] != '\0' ? ": " : "", what);
}

static void *take(struct reader *r, size_t bytes)
{
    void *p = hd_arena_alloc(r->memory, bytes);
    if (p == NULL) /* the pattern is bounded, and so is what it is made into */
        abort();
    return p;
}

static struct hd_str text_of(struct reader *r, const json_t *v)
{
    struct hd_str copy =
        hd_arena_str(r->memory, hd_str_n(json_string_value(v), json_string_length(v)));
    if (copy.ptr == NULL)
        abort();
    return copy;
}

static struct hd_filter_number number_of(const json_t *v)
{
    struct hd_filter_number n = {.is_int = json_is_integer(v), .d = json_number_value(v)};
    if (n.is_int)
        n.i = json_integer_value(v);
    return n;
}

/* --- single tests --- */

static int read_equal(struct reader *r, struct hd_filter_test *t, const json_t *v,
                      const struct place *at)
{
    switch (json_typeof(v)) {
    case JSON_STRING:
        t->kind = HD_FILTER_STRING;
        t->text = text_of(r, v);
        return 0;
    case JSON_INTEGER:
    case JSON_REAL:
        t->kind = HD_FILTER_NUMBER;
        t->number = number_of(v);
        return 0;
    case JSON_TRUE:
        t->kind = HD_FILTER_TRUE;
        return 0;
    case JSON_FALSE:
        t->kind = HD_FILTER_FALSE;
        return 0;
    case JSON_NULL:
        t->kind = HD_FILTER_NULL;
        return 0;
    case JSON_OBJECT:
    case JSON_ARRAY:
        break;
    }
    return fail(r, at, "an entry of the list must be a value or an object with one operator");
}

static int read_text(struct reader *r, struct hd_filter_test *t, enum hd_filter_kind kind,
                     const json_t *v, const struct place *at)
{
    if (!json_is_string(v))
        return fail(r, at, "must be a string");
    t->kind = kind;
    t->text = text_of(r, v);
    return 0;
}

/* "prefix" and "suffix" take a string, or {"equals-ignore-case": string}. */
static int read_affix(struct reader *r, struct hd_filter_test *t, enum hd_filter_kind kind,
                      const json_t *v, const struct place *at)
{
    const json_t *nocase = json_object_get(v, "equals-ignore-case");
    if (nocase == NULL || json_object_size(v) != 1)
        return read_text(r, t, kind, v, at);
    kind = kind == HD_FILTER_PREFIX ? HD_FILTER_PREFIX_NOCASE : HD_FILTER_SUFFIX_NOCASE;
    return read_text(r, t, kind, nocase, at);
}

/* A backslash stands before a star or a backslash that is meant as it is. */
static int read_wildcard(struct reader *r, struct hd_filter_test *t, const json_t *v,
                         const struct place *at)
{
    int rc = read_text(r, t, HD_FILTER_WILDCARD, v, at);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < t->text.len; i++) {
        char c = t->text.ptr[i], after = i + 1 < t->text.len ? t->text.ptr[i + 1] : '\0';
        if (c == '*' && after == '*')
            return fail(r, at, "two stars in a row");
        if (c == '\\' && after != '*' && after != '\\')
            return fail(r, at, "a backslash stands before \"*\" or \"\\\" only");
        if (c == '\\')
            i++;
    }
    return 0;
}

static int read_cidr(struct reader *r, struct hd_filter_test *t, const json_t *v,
                     const struct place *at)
{
    struct hd_str rest = {json_string_value(v), json_string_length(v)}, address;
    struct hd_ipaddr ip;
    uint64_t bits;
    if (!hd_str_split(&address, &rest, '/') || hd_ipaddr_parse(&ip, address) < 0 ||
        hd_str_to_u64(&bits, rest) < 0 || bits > (ip.family == 4 ? 32 : 128))
        return fail(r, at, "must be an address and its prefix length, as \"10.0.0.0/8\"");
    t->kind = HD_FILTER_CIDR;
    t->cidr = (struct hd_cidr){hd_ipaddr_masked(&ip, (unsigned)bits), (uint8_t)bits};
    return 0;
}

static int read_bound(struct reader *r, struct hd_filter_test *t, const char *sign,
                      const struct hd_filter_number *n, const struct place *at)
{
    struct hd_str s = hd_str(sign);
    bool equal = hd_str_is(s, "="), low = hd_str_is(s, ">") || hd_str_is(s, ">=");
    if (!equal && !low && !hd_str_is(s, "<") && !hd_str_is(s, "<="))
        return fail(r, at, "a comparison must be one of = < <= > >=");
    if (t->has_high || (t->has_low && (equal || low)))
        return fail(r, at, "a range is a lower bound, an upper bound, or both in this order");
    if (equal || low) {
        t->has_low = true;
        t->low = *n;
        t->above = hd_str_is(s, ">");
    }
    if (!low) {
        t->has_high = true;
        t->high = *n;
        t->below = hd_str_is(s, "<");
    }
    return 0;
}

static int read_numeric(struct reader *r, struct hd_filter_test *t, const json_t *v,
                        const struct place *at)
{
    size_t n = json_array_size(v);
    if (n != 2 && n != 4)
        return fail(r, at, "must be a list of a comparison and a number, once or twice");
    t->kind = HD_FILTER_RANGE;
    for (size_t i = 0; i < n; i += 2) {
        const json_t *sign = json_array_get(v, i), *value = json_array_get(v, i + 1);
        if (!json_is_string(sign) || !json_is_number(value))
            return fail(r, at, "must be a list of a comparison and a number, once or twice");
        struct hd_filter_number number = number_of(value);
        int rc = read_bound(r, t, json_string_value(sign), &number, at);
        if (rc < 0)
            return rc;
    }
    bool both = t->has_low && t->has_high && n == 4;
    if (both && hd_filter_compare(&t->low, &t->high) >= 0)
        return fail(r, at, "the lower bound must be less than the upper one");
    return 0;
}

static int read_exists(struct reader *r, struct hd_filter_test *t, const json_t *v,
                       const struct place *at)
{
    if (!json_is_boolean(v))
        return fail(r, at, "must be true or false");
    t->kind = json_is_true(v) ? HD_FILTER_EXISTS : HD_FILTER_ABSENT;
    return 0;
}

/* --- anything-but --- */

/* One entry: what is not to match. @p op is NULL for plain values. */
static int read_but_one(struct reader *r, struct hd_filter_test *t, const char *op, const json_t *v,
                        const struct place *at)
{
    int rc;
    if (op == NULL) {
        if (!json_is_string(v) && !json_is_number(v))
            return fail(r, at, "must be a string, a number, or a list of one of them");
        return read_equal(r, t, v, at);
    }
    if (hd_str_is(hd_str(op), "wildcard"))
        return read_wildcard(r, t, v, at);
    if (hd_str_is(hd_str(op), "equals-ignore-case"))
        return read_text(r, t, HD_FILTER_NOCASE, v, at);
    if (hd_str_is(hd_str(op), "prefix"))
        rc = read_affix(r, t, HD_FILTER_PREFIX, v, at);
    else if (hd_str_is(hd_str(op), "suffix"))
        rc = read_affix(r, t, HD_FILTER_SUFFIX, v, at);
    else
        return fail(r, at, "takes prefix, suffix, equals-ignore-case or wildcard");
    if (rc == 0 && t->text.len == 0)
        return fail(r, at, "must not be empty: nothing would match");
    return rc;
}

static int read_but(struct reader *r, struct hd_filter_test *t, const json_t *v,
                    const struct place *at)
{
    const char *op = NULL;
    if (json_is_object(v)) {
        if (json_object_size(v) != 1)
            return fail(r, at, "must have one operator");
        void *only = json_object_iter((json_t *)v);
        op = json_object_iter_key(only);
        v = json_object_iter_value(only);
    }
    struct hd_filter_test **last = &t->none_of;
    size_t n = json_is_array(v) ? json_array_size(v) : 1;
    if (n == 0)
        return fail(r, at, "the list is empty");
    t->kind = HD_FILTER_NONE_OF;
    for (size_t i = 0; i < n; i++) {
        struct hd_filter_test *one = take(r, sizeof(*one));
        const json_t *entry = json_is_array(v) ? json_array_get(v, i) : v;
        int rc = read_but_one(r, one, op, entry, at);
        if (rc < 0)
            return rc;
        if (i > 0 && op == NULL && one->kind != t->none_of->kind)
            return fail(r, at, "the list must hold strings only, or numbers only");
        *last = one;
        last = &one->next;
    }
    return 0;
}

/* --- lists and objects --- */

static int read_operator(struct reader *r, struct hd_filter_test *t, const json_t *v,
                         const struct place *above)
{
    if (json_object_size(v) != 1)
        return fail(r, above, "an object in the list must have one operator");
    void *only = json_object_iter((json_t *)v);
    const struct place at = {above, json_object_iter_key(only)};
    struct hd_str op = hd_str(at.name);
    v = json_object_iter_value(only);
    if (hd_str_is(op, "prefix"))
        return read_affix(r, t, HD_FILTER_PREFIX, v, &at);
    if (hd_str_is(op, "suffix"))
        return read_affix(r, t, HD_FILTER_SUFFIX, v, &at);
    if (hd_str_is(op, "equals-ignore-case"))
        return read_text(r, t, HD_FILTER_NOCASE, v, &at);
    if (hd_str_is(op, "wildcard"))
        return read_wildcard(r, t, v, &at);
    if (hd_str_is(op, "anything-but"))
        return read_but(r, t, v, &at);
    if (hd_str_is(op, "numeric"))
        return read_numeric(r, t, v, &at);
    if (hd_str_is(op, "exists"))
        return read_exists(r, t, v, &at);
    if (hd_str_is(op, "cidr"))
        return read_cidr(r, t, v, &at);
    return fail(r, &at, "is no operator");
}

static int read_tests(struct reader *r, struct hd_filter_test **out, const json_t *list,
                      const struct place *at)
{
    size_t i;
    json_t *v;
    if (json_array_size(list) == 0)
        return fail(r, at, "the list is empty: nothing would match");
    json_array_foreach(list, i, v)
    {
        struct hd_filter_test *t = take(r, sizeof(*t));
        int rc = json_is_object(v) ? read_operator(r, t, v, at) : read_equal(r, t, v, at);
        if (rc < 0)
            return rc;
        *out = t;
        out = &t->next;
    }
    return 0;
}

static int read_object(struct reader *r, struct hd_filter_object **out, const json_t *v,
                       const struct place *at);

static int read_choice(struct reader *r, struct hd_filter_choice **out, const json_t *list,
                       const struct place *at)
{
    struct hd_filter_choice *choice = take(r, sizeof(*choice));
    struct hd_filter_object **last = &choice->options;
    size_t i;
    json_t *v;
    if (json_array_size(list) < 2)
        return fail(r, at, "must be a list of two patterns or more");
    json_array_foreach(list, i, v)
    {
        int rc = read_object(r, last, v, at);
        if (rc < 0)
            return rc;
        last = &(*last)->next;
    }
    *out = choice;
    return 0;
}

static int read_member(struct reader *r, struct hd_filter_member *m, const json_t *v,
                       const struct place *at)
{
    m->name = hd_arena_str(r->memory, hd_str(at->name));
    if (m->name.ptr == NULL)
        abort();
    if (json_is_object(v))
        return read_object(r, &m->object, v, at);
    if (json_is_array(v))
        return read_tests(r, &m->tests, v, at);
    return fail(r, at, "must be a list of values, or an object");
}

static int read_object(struct reader *r, struct hd_filter_object **out, const json_t *v,
                       const struct place *at)
{
    if (!json_is_object(v) || (at != NULL && json_object_size(v) == 0))
        return fail(r, at, "must be an object that is not empty");
    struct hd_filter_object *object = take(r, sizeof(*object));
    struct hd_filter_member **last_member = &object->members;
    struct hd_filter_choice **last_choice = &object->choices;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)v, key, value)
    {
        const struct place here = {at, key};
        int rc;
        if (hd_str_is(hd_str(key), "$or")) {
            rc = read_choice(r, last_choice, value, &here);
            if (rc == 0)
                last_choice = &(*last_choice)->next;
        } else {
            struct hd_filter_member *m = take(r, sizeof(*m));
            rc = read_member(r, m, value, &here);
            *last_member = m;
            last_member = &m->next;
        }
        if (rc < 0)
            return rc;
    }
    *out = object;
    return 0;
}

int hd_filter_new(struct hd_filter **out, struct hd_str pattern, struct hd_error *err)
{
    json_error_t at;
    if (pattern.len > HD_FILTER_BYTES_MAX)
        return hd_fail(err, HD_EINVAL, "filter pattern: %zu bytes, the limit is %d", pattern.len,
                       HD_FILTER_BYTES_MAX);
    json_t *root = json_loadb(pattern.ptr != NULL ? pattern.ptr : "", pattern.len,
                              JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &at);
    if (root == NULL)
        return hd_fail(err, HD_EINVAL, "filter pattern: no JSON: %s at byte %d", at.text,
                       at.position);
    hd_auto(hd_filter) f = hd_new(struct hd_filter);
    atomic_init(&f->owners, 1);
    hd_arena_init(&f->memory, NULL, 0, 4 << 20);
    struct reader r = {.memory = &f->memory, .err = err};
    int rc = read_object(&r, &f->root, root, NULL);
    json_decref(root);
    if (rc == 0)
        *out = hd_steal(f);
    return rc;
}

struct hd_filter *hd_filter_ref(struct hd_filter *f)
{
    atomic_fetch_add(&f->owners, 1);
    return f;
}

void hd_filter_free(struct hd_filter *f)
{
    if (f == NULL || atomic_fetch_sub(&f->owners, 1) > 1)
        return;
    hd_arena_done(&f->memory);
    free(f);
}

struct json_t *hd_filter_parse(struct hd_str text)
{
    size_t at = 0;
    while (at < text.len && strchr(" \t\r\n", text.ptr[at]) != NULL && text.ptr[at] != '\0')
        at++;
    if (at == text.len || (text.ptr[at] != '{' && text.ptr[at] != '['))
        return NULL;
    json_error_t why;
    json_t *v = json_loadb(text.ptr, text.len, JSON_ALLOW_NUL, &why);
    if (v == NULL && json_error_code(&why) == json_error_numeric_overflow)
        v = json_loadb(text.ptr, text.len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
    return v;
}
