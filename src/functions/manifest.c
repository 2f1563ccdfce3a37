#include "functions/manifest.h"

#include "functions/jsonlines.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

enum { TEXT_MAX = 4096, LIST_MAX = 1000, WRONG_MAX = 200 };

static const double MEGABYTE = 1048576, MEGABYTES_MAX = 1 << 30;

void hd_manifest_init(struct hd_manifest *m, const char *file)
{
    *m = (struct hd_manifest){.file = hd_strdup(file)};
}

static void clear(struct hd_value *v)
{
    free(v->text);
    hd_strings_done(&v->list);
    *v = (struct hd_value){0};
}

void hd_manifest_done(struct hd_manifest *m)
{
    for (size_t i = 0; i < HD_KEY_COUNT; i++)
        clear(&m->v[i]);
    free(m->file);
    hd_strings_done(&m->warnings);
    *m = (struct hd_manifest){0};
}

struct parse {
    struct hd_manifest *m;
    struct hd_json_lines lines;
    bool lenient;
    struct hd_error *err;
};

/* What is wrong with the value of a key: an error, or a warning where we are lenient. */
static int wrong(struct parse *p, const char *path, const char *what, const char *so)
{
    unsigned line = hd_json_line(&p->lines, path);
    char at[16] = "";
    if (line > 0)
        snprintf(at, sizeof(at), ":%u", line);
    if (!p->lenient)
        return hd_fail(p->err, HD_EINVAL, "%s%s: %s: %s", p->m->file, at, path, what);
    if (p->m->warnings.n < WRONG_MAX)
        hd_strings_addf(&p->m->warnings, "%s%s: %s: %s; %s", p->m->file, at, path, what, so);
    return 0;
}

static int wrong_value(struct parse *p, const struct hd_key_spec *k, const char *expected,
                       const json_t *got)
{
    hd_auto_free char *shown = json_dumps(got, JSON_ENCODE_ANY | JSON_COMPACT);
    char what[200];
    snprintf(what, sizeof(what), "must be %s, not %.60s%s", expected,
             shown != NULL ? shown : "this", shown != NULL && strlen(shown) > 60 ? "..." : "");
    return wrong(p, k->path, what, "the default is used");
}

static int set_choice(struct hd_value *v, const struct hd_key_spec *k, struct hd_str text)
{
    struct hd_str rest = hd_str(k->choices), one;
    for (int64_t i = 0; hd_str_split(&one, &rest, '|'); i++) {
        if (!hd_str_eq(one, text))
            continue;
        v->n = i;
        v->text = hd_strdup_n(text);
        v->given = true;
        return 0;
    }
    return HD_EINVAL;
}

static int parse_choice(struct parse *p, const struct hd_key_spec *k, const json_t *j)
{
    const char *text = json_string_value(j);
    if (text != NULL && set_choice(&p->m->v[k - hd_key_specs], k, hd_str(text)) == 0)
        return 0;
    char expected[96] = "one of ";
    struct hd_str rest = hd_str(k->choices), one;
    for (const char *between = ""; hd_str_split(&one, &rest, '|'); between = ", ") {
        size_t used = strlen(expected);
        snprintf(expected + used, sizeof(expected) - used, "%s\"%.*s\"", between, HD_FMT(one));
    }
    return wrong_value(p, k, expected, j);
}

static int parse_text(struct parse *p, const struct hd_key_spec *k, const json_t *j)
{
    if (!json_is_string(j) || json_string_length(j) == 0 || json_string_length(j) > TEXT_MAX)
        return wrong_value(p, k, "a text that is not empty", j);
    struct hd_value *v = &p->m->v[k - hd_key_specs];
    if (k == &hd_key_specs[HD_KEY_HEALTH] && json_string_value(j)[0] != '/')
        return wrong_value(p, k, "a path that begins with /", j);
    v->text = hd_strdup(json_string_value(j));
    v->given = true;
    return 0;
}

static int parse_int(struct parse *p, const struct hd_key_spec *k, const json_t *j)
{
    /* 1tube.json knows positive numbers only. */
    int64_t min = p->lenient ? HD_MAX(k->min, (int64_t)1) : k->min;
    double d = json_number_value(j);
    bool whole = json_is_number(j) && (p->lenient || d == floor(d));
    if (!whole || !(floor(d) >= (double)min) || !(floor(d) <= (double)k->max)) {
        char expected[80];
        snprintf(expected, sizeof(expected), "a whole number from %lld to %lld", (long long)min,
                 (long long)k->max);
        return wrong_value(p, k, expected, j);
    }
    struct hd_value *v = &p->m->v[k - hd_key_specs];
    v->n = (int64_t)floor(d);
    v->given = true;
    return 0;
}

static int parse_rate(struct parse *p, const struct hd_key_spec *k, const json_t *j)
{
    double d = json_number_value(j);
    bool clamped = p->lenient && json_is_number(j);
    if (clamped)
        d = d < 0 ? 0 : d > 1 ? 1 : d;
    if (!json_is_number(j) || d < 0 || d > 1)
        return wrong_value(p, k, "a number from 0 to 1", j);
    struct hd_value *v = &p->m->v[k - hd_key_specs];
    v->number = d;
    v->given = true;
    return 0;
}

static int parse_megabytes(struct parse *p, const struct hd_key_spec *k, const json_t *j)
{
    double d = json_number_value(j);
    bool none = json_is_string(j) && strcmp(json_string_value(j), "none") == 0;
    if (!none && (!json_is_number(j) || !(d > 0) || d > MEGABYTES_MAX))
        return wrong_value(p, k, "a number above 0 or \"none\"", j);
    struct hd_value *v = &p->m->v[k - hd_key_specs];
    v->number = none ? INFINITY : floor(d * MEGABYTE);
    v->given = true;
    return 0;
}

/* @return 0 and the entries in `out`, or what wrong() returned with *bad set. */
static int take_list(struct parse *p, const struct hd_key_spec *k, const json_t *j,
                     struct hd_strings *out, bool *bad)
{
    enum hd_key key = (enum hd_key)(k - hd_key_specs);
    const json_t *item;
    size_t i;
    json_array_foreach(j, i, item)
    {
        struct hd_error why;
        *bad = true;
        if (!json_is_string(item) || json_string_length(item) > TEXT_MAX || i >= LIST_MAX)
            return wrong_value(p, k, "a list of texts", j);
        struct hd_str text = hd_str(json_string_value(item));
        if (k->group != NULL && hd_permission_check(key, text, &why) < 0)
            return wrong(p, k->path, why.msg, "the list is ignored");
        if (text.len == 0)
            return wrong_value(p, k, "a list of texts that are not empty", j);
        *bad = false;
        hd_strings_add(out, text);
    }
    return 0;
}

static int parse_list(struct parse *p, const struct hd_key_spec *k, const json_t *j)
{
    struct hd_strings list = {0};
    hd_strings_give(&list);
    bool bad = false;
    int rc = 0;
    if (k->kind == HD_KIND_WORDS && json_is_string(j) && json_string_length(j) > 0) {
        hd_strings_add(&list, hd_str(json_string_value(j)));
    } else if (!json_is_array(j)) {
        bad = true;
        rc = wrong_value(
            p, k, k->kind == HD_KIND_WORDS ? "a text or a list of texts" : "a list of texts", j);
    } else {
        rc = take_list(p, k, j, &list, &bad);
    }
    if (!bad && k == &hd_key_specs[HD_KEY_COMMAND] && list.n == 0) {
        bad = true;
        rc = wrong_value(p, k, "a list with at least the program", j);
    }
    if (bad) {
        hd_strings_done(&list);
        return rc;
    }
    p->m->v[k - hd_key_specs].list = list;
    p->m->v[k - hd_key_specs].given = true;
    return 0;
}

static int parse_map(struct parse *p, const struct hd_key_spec *k, json_t *j)
{
    struct hd_value *v = &p->m->v[k - hd_key_specs];
    const char *name;
    json_t *item;
    if (!json_is_object(j) || json_object_size(j) > LIST_MAX)
        return wrong_value(p, k, "an object of names and texts", j);
    v->given = true;
    hd_strings_give(&v->list);
    json_object_foreach(j, name, item)
    {
        char path[320];
        snprintf(path, sizeof(path), "%s.%.*s", k->path, 256, name);
        int rc = 0;
        if (!hd_env_name_ok(hd_str(name)))
            rc = wrong(p, path, "is no variable's name", "it is ignored");
        else if (!json_is_string(item)) /* the value may be a secret: not shown */
            rc = wrong(p, path, "must be a text", "it is ignored");
        else
            hd_strings_addf(&v->list, "%s=%s", name, json_string_value(item));
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int parse_value(struct parse *p, const struct hd_key_spec *k, json_t *j)
{
    switch (k->kind) {
    case HD_KIND_TEXT:
        return parse_text(p, k, j);
    case HD_KIND_CHOICE:
        return parse_choice(p, k, j);
    case HD_KIND_BOOL:
        if (!json_is_boolean(j))
            return wrong_value(p, k, "true or false", j);
        p->m->v[k - hd_key_specs].n = json_is_true(j);
        p->m->v[k - hd_key_specs].given = true;
        return 0;
    case HD_KIND_INT:
        return parse_int(p, k, j);
    case HD_KIND_RATE:
        return parse_rate(p, k, j);
    case HD_KIND_MEGABYTE:
        return parse_megabytes(p, k, j);
    case HD_KIND_LIST:
    case HD_KIND_WORDS:
        return parse_list(p, k, j);
    case HD_KIND_MAP:
        return parse_map(p, k, j);
    }
    return 0;
}

static bool same_group(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static const struct hd_key_spec *find_key(const char *group, const char *name)
{
    for (size_t i = 0; i < HD_KEY_COUNT; i++) {
        const struct hd_key_spec *k = &hd_key_specs[i];
        if (same_group(group, k->group) &&
            (strcmp(name, k->name) == 0 || (k->alias != NULL && strcmp(name, k->alias) == 0)))
            return k;
    }
    return NULL;
}

static void suggest(const char **best, size_t *best_distance, const char *candidate,
                    const char *name)
{
    size_t d = hd_edit_distance(hd_str(candidate), hd_str(name));
    if (d < *best_distance) {
        *best = candidate;
        *best_distance = d;
    }
}

/* The closest known key of the same group, or of any, if it is close at all. */
static const char *closest(const char *group, const char *name)
{
    const char *best = NULL;
    size_t distance = HD_MIN(strlen(name) / 2, (size_t)3) + 1;
    for (size_t i = 0; i < HD_KEY_COUNT; i++) {
        const struct hd_key_spec *k = &hd_key_specs[i];
        if (!same_group(group, k->group)) {
            if (strcmp(k->name, name) == 0)
                return k->path; /* right name, wrong place */
            if (group == NULL)
                suggest(&best, &distance, k->group != NULL ? k->group : k->path, name);
            continue;
        }
        suggest(&best, &distance, k->path, name);
        suggest(&best, &distance, k->name, name);
    }
    return best;
}

static int parse_object(struct parse *p, const char *group, json_t *object);

static bool is_group(const char *name)
{
    for (size_t i = 0; i < HD_KEY_COUNT; i++) {
        if (hd_key_specs[i].group != NULL && strcmp(hd_key_specs[i].group, name) == 0)
            return true;
    }
    return false;
}

static int parse_member(struct parse *p, const char *group, const char *name, json_t *value)
{
    char path[320];
    snprintf(path, sizeof(path), "%s%s%.256s", group != NULL ? group : "", group != NULL ? "." : "",
             name);
    if (group == NULL && strcmp(name, "$schema") == 0)
        return 0;
    if (group == NULL && is_group(name)) {
        if (json_is_object(value))
            return parse_object(p, name, value);
        return wrong(p, path, "must be an object", "it is ignored");
    }
    const struct hd_key_spec *k = find_key(group, name);
    if (k == NULL) {
        const char *near = closest(group, name);
        char what[160];
        snprintf(what, sizeof(what), "unknown key%s%s%s", near != NULL ? "; did you mean \"" : "",
                 near != NULL ? near : "", near != NULL ? "\"?" : "");
        return wrong(p, path, what, "it is ignored");
    }
    struct hd_value *v = &p->m->v[k - hd_key_specs];
    if (v->given && !p->lenient)
        return wrong(p, path, "is given twice, under both of its names", "");
    clear(v);
    int rc = parse_value(p, k, value);
    v->line = hd_json_line(&p->lines, path);
    return rc;
}

static int parse_object(struct parse *p, const char *group, json_t *object)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        int rc = parse_member(p, group, name, value);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int broken(struct parse *p, int line, const char *what)
{
    if (!p->lenient)
        return hd_fail(p->err, HD_EINVAL, "%s:%d: %s", p->m->file, HD_MAX(line, 1), what);
    hd_strings_addf(&p->m->warnings, "%s:%d: %s; the defaults are used", p->m->file,
                    HD_MAX(line, 1), what);
    return 0;
}

int hd_manifest_parse(struct hd_manifest *m, struct hd_str text, bool lenient, struct hd_error *err)
{
    static const struct hd_str bom = HD_LIT("\xef\xbb\xbf");
    if (hd_str_starts(text, bom))
        text = hd_str_n(text.ptr + bom.len, text.len - bom.len);
    struct parse p = {.m = m, .lenient = lenient, .err = err};
    json_error_t why;
    json_t *root = json_loadb(text.ptr != NULL ? text.ptr : "", text.len,
                              lenient ? 0 : JSON_REJECT_DUPLICATES, &why);
    if (root == NULL)
        return broken(&p, why.line, why.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return broken(&p, 1, "must be a JSON object");
    }
    hd_json_lines_init(&p.lines, text);
    int rc = parse_object(&p, NULL, root);
    hd_json_lines_done(&p.lines);
    json_decref(root);
    return rc;
}

int hd_manifest_set(struct hd_manifest *m, enum hd_key key, struct hd_str text, unsigned line,
                    struct hd_error *err)
{
    const struct hd_key_spec *k = &hd_key_specs[key];
    struct parse p = {.m = m, .err = err};
    json_t *j = NULL;
    if (k->kind == HD_KIND_TEXT || k->kind == HD_KIND_CHOICE)
        j = json_stringn(text.ptr != NULL ? text.ptr : "", text.len);
    else
        j = json_loadb(text.ptr, text.len, JSON_DECODE_ANY, NULL);
    if (j == NULL)
        return hd_fail(err, HD_EINVAL, "%s:%u: %s: the value cannot be read", m->file, line,
                       k->path);
    clear(&m->v[key]);
    int rc = parse_value(&p, k, j);
    m->v[key].line = line;
    json_decref(j);
    return rc;
}
