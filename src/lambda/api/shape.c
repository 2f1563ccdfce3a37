#include "lambda/api/shape.h"

#include <ctype.h>
#include <math.h>

/* --- types --- */

static const char *json_word(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        return "STRING_VALUE";
    case JSON_INTEGER:
    case JSON_REAL:
        return "NUMBER_VALUE";
    case JSON_TRUE:
        return "TRUE_VALUE";
    case JSON_FALSE:
        return "FALSE_VALUE";
    case JSON_ARRAY:
        return "START_LIST";
    case JSON_OBJECT:
        return "START_MAP";
    case JSON_NULL:
        break;
    }
    return "NULL_VALUE";
}

static const char *kind_word(enum hd_shape_kind kind)
{
    switch (kind) {
    case HD_SHAPE_STRING:
        return "a String";
    case HD_SHAPE_BLOB:
        return "a Blob (base64 text)";
    case HD_SHAPE_INTEGER:
        return "an Integer";
    case HD_SHAPE_DOUBLE:
        return "a Double";
    case HD_SHAPE_BOOLEAN:
        return "a Boolean";
    case HD_SHAPE_TIME:
        return "a Timestamp";
    case HD_SHAPE_LIST:
        return "a List";
    case HD_SHAPE_MAP:
        return "a Map";
    case HD_SHAPE_STRUCT:
        break;
    }
    return "a Structure";
}

static bool has_type(enum hd_shape_kind kind, const json_t *v)
{
    switch (kind) {
    case HD_SHAPE_STRING:
    case HD_SHAPE_BLOB:
        return json_is_string(v);
    case HD_SHAPE_INTEGER:
        return json_is_integer(v) || (json_is_real(v) && fabs(json_real_value(v)) < 1e15 &&
                                      json_real_value(v) == floor(json_real_value(v)));
    case HD_SHAPE_DOUBLE:
    case HD_SHAPE_TIME:
        return json_is_number(v);
    case HD_SHAPE_BOOLEAN:
        return json_is_boolean(v);
    case HD_SHAPE_LIST:
        return json_is_array(v);
    case HD_SHAPE_MAP:
    case HD_SHAPE_STRUCT:
        break;
    }
    return json_is_object(v);
}

static int value_types(const struct hd_shape *shape, const char *name, json_t *v,
                       struct hd_error *err);

static int list_types(const struct hd_shape *shape, const char *name, json_t *list,
                      struct hd_error *err)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        int rc = value_types(shape->of, name, json_array_get(list, i), err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int map_types(const struct hd_shape *shape, const char *name, json_t *map,
                     struct hd_error *err)
{
    const char *key;
    json_t *v;
    void *tmp;
    json_object_foreach_safe(map, tmp, key, v)
    {
        int rc =
            json_is_null(v) ? json_object_del(map, key) : value_types(&shape->of[1], name, v, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int value_types(const struct hd_shape *shape, const char *name, json_t *v,
                       struct hd_error *err)
{
    if (shape->refused)
        return 0;
    if (!has_type(shape->kind, v))
        return hd_fail(err, HD_EINVAL, "%s can not be converted to %s: '%s'", json_word(v),
                       kind_word(shape->kind), name);
    switch (shape->kind) {
    case HD_SHAPE_LIST:
        return list_types(shape, name, v, err);
    case HD_SHAPE_MAP:
        return map_types(shape, name, v, err);
    case HD_SHAPE_STRUCT:
        return hd_shape_types(shape->of, v, err);
    case HD_SHAPE_STRING:
    case HD_SHAPE_BLOB:
    case HD_SHAPE_INTEGER:
    case HD_SHAPE_DOUBLE:
    case HD_SHAPE_BOOLEAN:
    case HD_SHAPE_TIME:
        break;
    }
    return 0;
}

int hd_shape_types(const struct hd_shape *members, json_t *object, struct hd_error *err)
{
    for (const struct hd_shape *m = members; m != NULL && m->name != NULL; m++) {
        json_t *v = json_object_get(object, m->name);
        if (v == NULL)
            continue;
        if (json_is_null(v)) {
            json_object_del(object, m->name);
            continue;
        }
        int rc = value_types(m, m->name, v, err);
        if (rc < 0)
            return rc;
        if (m->kind == HD_SHAPE_INTEGER && json_is_real(v)) /* 3.0 is 3 */
            json_object_set_new(object, m->name, json_integer((json_int_t)json_real_value(v)));
    }
    return 0;
}

int hd_shape_text(const struct hd_shape *member, struct hd_str text, json_t **out,
                  struct hd_error *err)
{
    uint64_t n;
    bool minus = text.len > 0 && text.ptr[0] == '-';
    switch (member->kind) {
    case HD_SHAPE_INTEGER:
        if (hd_str_to_u64(&n, minus ? hd_str_n(text.ptr + 1, text.len - 1) : text) < 0 ||
            n > INT64_MAX)
            break;
        *out = json_integer(minus ? -(json_int_t)n : (json_int_t)n);
        return 0;
    case HD_SHAPE_BOOLEAN:
        if (!hd_str_is_nocase(text, "true") && !hd_str_is_nocase(text, "false"))
            break;
        *out = json_boolean(hd_str_is_nocase(text, "true"));
        return 0;
    default:
        *out = json_stringn(text.len > 0 ? text.ptr : "", text.len);
        if (*out != NULL)
            return 0;
        return hd_fail(err, HD_EINVAL, "the value of '%s' is not UTF-8", member->name);
    }
    return hd_fail(err, HD_EINVAL, "STRING_VALUE can not be converted to %s: '%s'",
                   kind_word(member->kind), member->name);
}

const char *hd_shape_refused(const struct hd_shape *members, const json_t *object)
{
    for (const struct hd_shape *m = members; m != NULL && m->name != NULL; m++) {
        const json_t *v = json_object_get(object, m->name), *item;
        const char *found = v != NULL && m->refused ? m->name : NULL;
        size_t i;
        if (v != NULL && found == NULL && m->kind == HD_SHAPE_STRUCT)
            found = hd_shape_refused(m->of, v);
        if (v != NULL && found == NULL && m->kind == HD_SHAPE_LIST &&
            m->of->kind == HD_SHAPE_STRUCT)
            json_array_foreach(v, i, item) found =
                found == NULL ? hd_shape_refused(m->of->of, item) : found;
        if (found != NULL)
            return found;
    }
    return NULL;
}

/* --- constraints --- */

struct check {
    struct hd_patterns *patterns;
    struct hd_buf *out;
    struct hd_buf path; /* "vpcConfig.subnetIds" */
    unsigned broken;
};

static void print_value(struct hd_buf *out, const json_t *v)
{
    const char *key;
    json_t *item;
    size_t i;
    switch (json_typeof(v)) {
    case JSON_STRING:
        hd_buf_str(out, hd_str_n(json_string_value(v), json_string_length(v)));
        break;
    case JSON_INTEGER:
        hd_buf_fmt(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        break;
    case JSON_REAL:
        hd_buf_fmt(out, "%.15g", json_real_value(v));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        hd_buf_cstr(out, json_is_true(v) ? "true" : "false");
        break;
    case JSON_NULL:
        hd_buf_cstr(out, "null");
        break;
    case JSON_ARRAY:
        hd_buf_char(out, '[');
        json_array_foreach(v, i, item)
        {
            hd_buf_cstr(out, i > 0 ? ", " : "");
            print_value(out, item);
        }
        hd_buf_char(out, ']');
        break;
    case JSON_OBJECT:
        i = 0;
        hd_buf_char(out, '{');
        json_object_foreach((json_t *)v, key, item)
        {
            hd_buf_cstr(out, i++ > 0 ? ", " : "");
            hd_buf_cstr(out, key);
            hd_buf_char(out, '=');
            print_value(out, item);
        }
        hd_buf_char(out, '}');
        break;
    }
}

/* Up to the constraint's own text. @param v  NULL: missing. */
static void begin(struct check *c, const struct hd_shape *shape, const json_t *v)
{
    hd_buf_cstr(c->out, c->broken++ > 0 ? "; Value" : "Value");
    if (v == NULL) {
        hd_buf_cstr(c->out, " null");
    } else if (!shape->secret) {
        hd_buf_cstr(c->out, " '");
        print_value(c->out, v);
        hd_buf_char(c->out, '\'');
    }
    hd_buf_cstr(c->out, " at '");
    hd_buf_str(c->out, hd_buf_view(&c->path));
    hd_buf_cstr(c->out, "' failed to satisfy constraint: ");
}

enum rule { RULE_MAX, RULE_MIN, RULE_PATTERN, RULE_WORDS, RULE_COUNT };

static bool counts(enum hd_shape_kind kind)
{
    return kind != HD_SHAPE_INTEGER && kind != HD_SHAPE_DOUBLE;
}

static bool has_rule(const struct hd_shape *s, enum rule rule)
{
    switch (rule) {
    case RULE_MAX:
        return s->max > 0;
    case RULE_MIN:
        return s->min > 0 || s->has_min;
    case RULE_PATTERN:
        return s->pattern != NULL;
    case RULE_WORDS:
        return s->words != NULL;
    case RULE_COUNT:
        break;
    }
    return false;
}

static void print_rule(struct hd_buf *out, const struct hd_shape *s, enum rule rule)
{
    const char *what = counts(s->kind) ? "length" : "value";
    switch (rule) {
    case RULE_MAX:
        hd_buf_fmt(out, "Member must have %s less than or equal to %.15g", what, s->max);
        break;
    case RULE_MIN:
        hd_buf_fmt(out, "Member must have %s greater than or equal to %.15g", what, s->min);
        break;
    case RULE_PATTERN:
        hd_buf_cstr(out, "Member must satisfy regular expression pattern: ");
        hd_buf_cstr(out, s->pattern);
        break;
    case RULE_WORDS:
        hd_buf_cstr(out, "Member must satisfy enum value set: [");
        for (size_t i = 0; s->words[i] != NULL; i++) {
            hd_buf_cstr(out, i > 0 ? ", " : "");
            hd_buf_cstr(out, s->words[i]);
        }
        hd_buf_char(out, ']');
        break;
    case RULE_COUNT:
        break;
    }
}

static size_t characters(struct hd_str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
    return n;
}

static double measure(const struct hd_shape *s, const json_t *v)
{
    switch (s->kind) {
    case HD_SHAPE_INTEGER:
    case HD_SHAPE_DOUBLE:
    case HD_SHAPE_TIME:
        return json_number_value(v);
    case HD_SHAPE_LIST:
        return (double)json_array_size(v);
    case HD_SHAPE_MAP:
    case HD_SHAPE_STRUCT:
        return (double)json_object_size(v);
    case HD_SHAPE_STRING:
    case HD_SHAPE_BLOB:
    case HD_SHAPE_BOOLEAN:
        break;
    }
    return (double)characters(hd_str_n(json_string_value(v), json_string_length(v)));
}

static bool is_word(const struct hd_shape *s, const char *text)
{
    for (size_t i = 0; s->words[i] != NULL; i++)
        if (text != NULL && strcmp(s->words[i], text) == 0)
            return true;
    return false;
}

static bool keeps(struct check *c, const struct hd_shape *s, enum rule rule, const json_t *v)
{
    switch (rule) {
    case RULE_MAX:
        return measure(s, v) <= s->max;
    case RULE_MIN:
        return measure(s, v) >= s->min;
    case RULE_PATTERN:
        return hd_patterns_match(c->patterns, s->pattern,
                                 hd_str_n(json_string_value(v), json_string_length(v)));
    case RULE_WORDS:
        return is_word(s, json_string_value(v));
    case RULE_COUNT:
        break;
    }
    return true;
}

static bool keeps_all(struct check *c, const struct hd_shape *s, const json_t *v)
{
    for (enum rule r = 0; r < RULE_COUNT; r++)
        if (has_rule(s, r) && !keeps(c, s, r, v))
            return false;
    return true;
}

/* "Member must satisfy constraint: [a, b, Member must not be null]": the service names all of
 * them where an element breaks one. */
static void print_all(struct check *c, const char *what, const struct hd_shape *s)
{
    hd_buf_cstr(c->out, what);
    hd_buf_cstr(c->out, " must satisfy constraint: [");
    for (enum rule r = 0; r < RULE_COUNT; r++) {
        if (!has_rule(s, r))
            continue;
        print_rule(c->out, s, r);
        hd_buf_cstr(c->out, ", ");
    }
    hd_buf_cstr(c->out, "Member must not be null]");
}

static void check_value(struct check *c, const struct hd_shape *shape, const json_t *v);
static void check_members(struct check *c, const struct hd_shape *members, const json_t *object);

/* Put "name" behind the path, with its first letter small. @return the length to go back to. */
static size_t enter(struct check *c, const char *name)
{
    size_t back = c->path.len;
    if (back > 0)
        hd_buf_char(&c->path, '.');
    hd_buf_char(&c->path, (char)tolower((unsigned char)name[0]));
    hd_buf_cstr(&c->path, name + 1);
    return back;
}

static void check_list(struct check *c, const struct hd_shape *shape, const json_t *list)
{
    const struct hd_shape *of = shape->of;
    size_t i;
    json_t *v;
    bool nested = of->kind == HD_SHAPE_STRUCT || of->kind == HD_SHAPE_LIST;
    json_array_foreach(list, i, v)
    {
        if (nested) {
            size_t back = c->path.len;
            hd_buf_fmt(&c->path, ".%zu.member", i + 1);
            check_value(c, of, v);
            c->path.len = back;
        } else if (!keeps_all(c, of, v)) {
            begin(c, shape, list);
            print_all(c, "Member", of);
            return;
        }
    }
}

static void check_map(struct check *c, const struct hd_shape *shape, const json_t *map)
{
    const char *key;
    json_t *v;
    bool keys = true, values = true;
    json_object_foreach((json_t *)map, key, v)
    {
        json_t *k = json_string(key);
        keys = keys && keeps_all(c, &shape->of[0], k);
        json_decref(k);
        if (shape->of[1].kind == HD_SHAPE_STRUCT || shape->of[1].kind == HD_SHAPE_LIST) {
            size_t back = enter(c, key);
            check_value(c, &shape->of[1], v);
            c->path.len = back;
        } else {
            values = values && keeps_all(c, &shape->of[1], v);
        }
    }
    if (!keys) {
        begin(c, shape, map);
        print_all(c, "Map keys", &shape->of[0]);
    }
    if (!values) {
        begin(c, shape, map);
        print_all(c, "Map value", &shape->of[1]);
    }
}

static void check_value(struct check *c, const struct hd_shape *shape, const json_t *v)
{
    for (enum rule r = 0; r < RULE_COUNT; r++) {
        if (!has_rule(shape, r) || keeps(c, shape, r, v))
            continue;
        begin(c, shape, v);
        print_rule(c->out, shape, r);
    }
    if (shape->kind == HD_SHAPE_LIST)
        check_list(c, shape, v);
    else if (shape->kind == HD_SHAPE_MAP)
        check_map(c, shape, v);
    else if (shape->kind == HD_SHAPE_STRUCT)
        check_members(c, shape->of, v);
}

static void check_members(struct check *c, const struct hd_shape *members, const json_t *object)
{
    for (const struct hd_shape *m = members; m != NULL && m->name != NULL; m++) {
        const json_t *v = json_object_get(object, m->name);
        size_t back = enter(c, m->name);
        if (v != NULL) {
            check_value(c, m, v);
        } else if (m->required) {
            begin(c, m, NULL);
            hd_buf_cstr(c->out, "Member must not be null");
        }
        c->path.len = back;
    }
}

unsigned hd_shape_check(struct hd_patterns *patterns, const struct hd_shape *members,
                        const json_t *object, struct hd_buf *out)
{
    struct hd_buf text;
    hd_buf_init(&text, out->max);
    struct check c = {.patterns = patterns, .out = &text};
    hd_buf_init(&c.path, 4096);
    check_members(&c, members, object);
    if (c.broken > 0) {
        hd_buf_fmt(out, "%u validation error%s detected: ", c.broken, c.broken > 1 ? "s" : "");
        hd_buf_str(out, hd_str_n(text.ptr, HD_MIN(text.len, out->max - out->len)));
    }
    hd_buf_done(&c.path);
    hd_buf_done(&text);
    return c.broken;
}
