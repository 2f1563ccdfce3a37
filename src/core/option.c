/* option.c - values: parse by kind, keep with their origin, write back. */
#include "core/option.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

enum { VALUE_MAX = 64 * 1024, LIST_MAX = 1024 };

static const uint64_t mib = 1024 * 1024;

static void *slot(const struct hd_option_set *set, const struct hd_option *option)
{
    return (char *)set->values + option->offset;
}

static struct hd_option_origin *origin_of(const struct hd_option_set *set,
                                          const struct hd_option *option)
{
    assert(option >= set->options && option < set->options + set->n);
    return &set->origins[option - set->options];
}

static void free_string(char *s, bool secret)
{
    if (s != NULL && secret)
        explicit_bzero(s, strlen(s));
    free(s);
}

static void set_string(char **at, char *value, bool secret)
{
    free_string(*at, secret);
    *at = value;
}

void hd_option_list_clear(struct hd_option_set *set, const struct hd_option *option)
{
    struct hd_option_list *list = slot(set, option);
    for (size_t i = 0; i < list->n; i++)
        free_string(list->items[i], option->secret);
    free(list->items);
    *list = (struct hd_option_list){0};
}

static bool is_string(enum hd_option_kind kind)
{
    return kind == HD_OPTION_STR || kind == HD_OPTION_PATH || kind == HD_OPTION_PROGRAM;
}

void hd_option_set_init(struct hd_option_set *set, const struct hd_option *options, size_t n,
                        void *values, const char *cwd)
{
    *set = (struct hd_option_set){.options = options,
                                  .n = n,
                                  .values = values,
                                  .origins = hd_new_array(struct hd_option_origin, n),
                                  .cwd = hd_strdup(cwd)};
    for (size_t i = 0; i < n; i++) {
        const struct hd_option *o = &options[i];
        set->origins[i].text = hd_strdup("default");
        if (is_string(o->kind))
            *(char **)slot(set, o) = NULL;
        else if (o->kind == HD_OPTION_LIST)
            *(struct hd_option_list *)slot(set, o) = (struct hd_option_list){0};
        if (o->fallback == NULL)
            continue;
        int rc = hd_option_set_value(set, o, HD_OPTION_DEFAULT, hd_str(o->fallback), NULL,
                                     "default", NULL);
        assert(rc == 0);
        (void)rc;
    }
}

void hd_option_set_done(struct hd_option_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct hd_option *o = &set->options[i];
        if (is_string(o->kind))
            set_string(slot(set, o), NULL, o->secret);
        else if (o->kind == HD_OPTION_LIST)
            hd_option_list_clear(set, o);
        free(set->origins[i].text);
    }
    free(set->origins);
    free(set->cwd);
    *set = (struct hd_option_set){0};
}

static uint64_t type_max(enum hd_option_kind kind)
{
    if (kind == HD_OPTION_U16)
        return UINT16_MAX;
    return kind == HD_OPTION_U64 ? UINT64_MAX : UINT32_MAX;
}

static uint64_t number_max(const struct hd_option *o)
{
    return o->max > 0 ? o->max : type_max(o->kind);
}

void hd_option_range(struct hd_buf *out, const struct hd_option *o)
{
    switch (o->kind) {
    case HD_OPTION_BOOL:
        hd_buf_cstr(out, "true or false");
        return;
    case HD_OPTION_U16:
    case HD_OPTION_U32:
    case HD_OPTION_U64:
    case HD_OPTION_MS:
        if (number_max(o) == type_max(o->kind) && o->kind != HD_OPTION_U16)
            hd_buf_fmt(out, "a whole number, %" PRIu64 " or more", o->min);
        else
            hd_buf_fmt(out, "a whole number from %" PRIu64 " to %" PRIu64, o->min, number_max(o));
        if (o->zero != NULL)
            hd_buf_fmt(out, ", or %s", o->zero);
        return;
    case HD_OPTION_MB:
        hd_buf_cstr(out, "a number of MiB over 0, or none");
        return;
    case HD_OPTION_ENUM:
        for (size_t i = 0; o->words[i] != NULL; i++)
            hd_buf_fmt(out, "%s%s",
                       i == 0                    ? ""
                       : o->words[i + 1] == NULL ? " or "
                                                 : ", ",
                       o->words[i]);
        return;
    case HD_OPTION_STR:
        hd_buf_cstr(out, "text");
        return;
    case HD_OPTION_PATH:
        hd_buf_cstr(out, "a path");
        return;
    case HD_OPTION_PROGRAM:
        hd_buf_cstr(out, "a program's name or path");
        return;
    case HD_OPTION_LIST:
        hd_buf_cstr(out, "a list");
        return;
    }
}

static int wrong(const struct hd_option *o, struct hd_str text, struct hd_error *err)
{
    char room[160];
    struct hd_buf range;
    hd_buf_init(&range, sizeof(room) - 1);
    hd_option_range(&range, o);
    snprintf(room, sizeof(room), "%.*s", (int)range.len, range.len > 0 ? range.ptr : "");
    hd_buf_done(&range);
    if (o->secret)
        return hd_fail(err, HD_EINVAL, "must be %s", room);
    return hd_fail(err, HD_EINVAL, "must be %s, not \"%.*s\"", room, (int)HD_MIN(text.len, 60u),
                   text.len > 0 ? text.ptr : "");
}

static int parse_bool(bool *out, struct hd_str s)
{
    static const char *const on[] = {"1", "true", "yes", "on"};
    static const char *const off[] = {"0", "false", "no", "off"};
    for (size_t i = 0; i < HD_COUNT(on); i++) {
        if (hd_str_is_nocase(s, on[i]) || hd_str_is_nocase(s, off[i])) {
            *out = hd_str_is_nocase(s, on[i]);
            return 0;
        }
    }
    return HD_EINVAL;
}

/* "30", "0.5": whole MiB and a fraction of at most six digits, rounded down to bytes. */
static int parse_mb(uint64_t *bytes, struct hd_str s)
{
    if (hd_str_is_nocase(s, "none")) {
        *bytes = UINT64_MAX;
        return 0;
    }
    size_t dot = hd_str_find(s, '.');
    uint64_t whole, fraction = 0, scale = 1;
    if (hd_str_to_u64(&whole, hd_str_n(s.ptr, dot)) < 0)
        return HD_EINVAL;
    if (dot < s.len) {
        struct hd_str digits = hd_str_n(s.ptr + dot + 1, s.len - dot - 1);
        if (digits.len > 6 || hd_str_to_u64(&fraction, digits) < 0)
            return HD_EINVAL;
        for (size_t i = 0; i < digits.len; i++)
            scale *= 10;
    }
    if (whole > UINT32_MAX)
        return HD_EINVAL;
    *bytes = whole * mib + fraction * mib / scale;
    return *bytes > 0 ? 0 : HD_EINVAL;
}

static int parse_number(uint64_t *out, const struct hd_option *o, struct hd_str s)
{
    if (o->zero != NULL && hd_str_is_nocase(s, o->zero)) {
        *out = 0;
        return 0;
    }
    if (hd_str_to_u64(out, s) < 0 || *out < o->min || *out > number_max(o))
        return HD_EINVAL;
    return 0;
}

static int parse_word(unsigned *out, const struct hd_option *o, struct hd_str s)
{
    for (unsigned i = 0; o->words[i] != NULL; i++) {
        if (hd_str_is_nocase(s, o->words[i])) {
            *out = i;
            return 0;
        }
    }
    return HD_EINVAL;
}

static char *absolute(const char *base, struct hd_str path)
{
    while (path.len > 2 && path.ptr[0] == '.' && path.ptr[1] == '/') {
        path = hd_str_n(path.ptr + 2, path.len - 2);
        while (path.len > 1 && path.ptr[0] == '/')
            path = hd_str_n(path.ptr + 1, path.len - 1);
    }
    while (path.len > 1 && path.ptr[path.len - 1] == '/')
        path.len--;
    if (path.ptr[0] == '/')
        return hd_strdup_n(path);
    if (hd_str_is(path, ".") || hd_str_is(path, "./"))
        return hd_strdup(base);
    return hd_printf("%s/%.*s", strcmp(base, "/") == 0 ? "" : base, HD_FMT(path));
}

static void list_add(struct hd_option_list *list, char *item)
{
    list->items = hd_realloc_array(list->items, list->n + 2, sizeof(char *));
    list->items[list->n++] = item;
    list->items[list->n] = NULL;
}

static int list_parse(struct hd_option_list *list, const struct hd_option *o, struct hd_str text,
                      const char *base, struct hd_error *err)
{
    struct hd_str part;
    while (hd_str_split(&part, &text, o->whole ? '\0' : ',')) {
        part = hd_str_trim(part);
        if (part.len == 0)
            continue;
        if (list->n >= LIST_MAX)
            return hd_fail(err, HD_EINVAL, "has more than %d items", LIST_MAX);
        list_add(list, o->paths ? absolute(base, part) : hd_strdup_n(part));
    }
    return 0;
}

/* Text for people and programs; a path or name has no control characters at all. */
static int check_text(const struct hd_option *o, struct hd_str s, struct hd_error *err)
{
    if (s.len > VALUE_MAX)
        return hd_fail(err, HD_EINVAL, "is longer than %d bytes", VALUE_MAX);
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        bool blank = c == '\n' || c == '\r' || c == '\t';
        if ((c < 0x20 && !(blank && o->kind == HD_OPTION_STR)) || c == 0x7f)
            return hd_fail(err, HD_EINVAL, "has a control character (byte %zu)", i);
    }
    if (s.len == 0 && o->kind != HD_OPTION_LIST && o->kind != HD_OPTION_STR)
        return hd_fail(err, HD_EINVAL, "is empty");
    return 0;
}

int hd_option_set_value(struct hd_option_set *set, const struct hd_option *o,
                        enum hd_option_rank rank, struct hd_str text, const char *base,
                        const char *origin, struct hd_error *err)
{
    struct hd_option_origin *from = origin_of(set, o);
    void *at = slot(set, o);
    bool wins = rank >= from->rank;
    uint64_t number = 0;
    unsigned word = 0;
    bool flag = false;
    int rc = check_text(o, text, err);
    if (rc < 0)
        return rc;
    base = base != NULL ? base : set->cwd;
    switch (o->kind) {
    case HD_OPTION_BOOL:
        if (parse_bool(&flag, text) < 0)
            return wrong(o, text, err);
        if (wins)
            *(bool *)at = flag;
        break;
    case HD_OPTION_U16:
    case HD_OPTION_U32:
    case HD_OPTION_U64:
    case HD_OPTION_MS:
        if (parse_number(&number, o, text) < 0)
            return wrong(o, text, err);
        if (wins && o->kind == HD_OPTION_U16)
            *(uint16_t *)at = (uint16_t)number;
        else if (wins && o->kind == HD_OPTION_U64)
            *(uint64_t *)at = number;
        else if (wins)
            *(uint32_t *)at = (uint32_t)number;
        break;
    case HD_OPTION_MB:
        if (parse_mb(&number, text) < 0)
            return wrong(o, text, err);
        if (wins)
            *(uint64_t *)at = number;
        break;
    case HD_OPTION_ENUM:
        if (parse_word(&word, o, text) < 0)
            return wrong(o, text, err);
        if (wins)
            memcpy(at, &word, sizeof(word));
        break;
    case HD_OPTION_STR:
        if (wins)
            set_string(at, text.len > 0 ? hd_strdup_n(text) : NULL, o->secret);
        break;
    case HD_OPTION_PATH:
        if (wins)
            set_string(at, absolute(base, text), o->secret);
        break;
    case HD_OPTION_PROGRAM:
        if (wins)
            set_string(at,
                       hd_str_find(text, '/') < text.len ? absolute(base, text) : hd_strdup_n(text),
                       o->secret);
        break;
    case HD_OPTION_LIST:
        if (!wins)
            break;
        if (rank > from->rank || rank == HD_OPTION_DEFAULT)
            hd_option_list_clear(set, o);
        rc = list_parse(at, o, text, base, err);
        if (rc < 0)
            return rc;
        break;
    }
    if (wins) {
        from->rank = rank;
        char *copy = hd_strdup(origin); /* may be from->text itself */
        free(from->text);
        from->text = copy;
    }
    return 0;
}

const struct hd_option *hd_option_find(const struct hd_option_set *set, const char *key)
{
    for (size_t i = 0; i < set->n; i++) {
        if (strcmp(set->options[i].key, key) == 0)
            return &set->options[i];
    }
    return NULL;
}

const struct hd_option_origin *hd_option_origin(const struct hd_option_set *set, const char *key)
{
    const struct hd_option *o = hd_option_find(set, key);
    assert(o != NULL);
    return origin_of(set, o);
}

bool hd_option_given(const struct hd_option_set *set, const struct hd_option *o)
{
    const void *at = slot(set, o);
    if (is_string(o->kind))
        return *(char *const *)at != NULL;
    if (o->kind == HD_OPTION_LIST)
        return ((const struct hd_option_list *)at)->n > 0;
    return true;
}

static void format_mb(struct hd_buf *out, uint64_t bytes)
{
    if (bytes == UINT64_MAX) {
        hd_buf_cstr(out, "none");
        return;
    }
    hd_buf_u64(out, bytes / mib);
    uint64_t millionths = bytes % mib * 1000000 / mib;
    if (bytes % mib == 0)
        return;
    char digits[8];
    snprintf(digits, sizeof(digits), "%06" PRIu64, millionths);
    size_t len = 6;
    while (len > 1 && digits[len - 1] == '0')
        len--;
    hd_buf_char(out, '.');
    hd_buf_add(out, digits, len);
}

static void format_number(struct hd_buf *out, const struct hd_option *o, uint64_t n)
{
    if (n == 0 && o->zero != NULL)
        hd_buf_cstr(out, o->zero);
    else
        hd_buf_u64(out, n);
}

void hd_option_format(struct hd_buf *out, const struct hd_option_set *set,
                      const struct hd_option *o)
{
    const void *at = slot(set, o);
    if (!hd_option_given(set, o))
        return;
    if (o->secret) {
        hd_buf_cstr(out, "(set)");
        return;
    }
    switch (o->kind) {
    case HD_OPTION_BOOL:
        hd_buf_cstr(out, *(const bool *)at ? "true" : "false");
        return;
    case HD_OPTION_U16:
        format_number(out, o, *(const uint16_t *)at);
        return;
    case HD_OPTION_U32:
    case HD_OPTION_MS:
        format_number(out, o, *(const uint32_t *)at);
        return;
    case HD_OPTION_U64:
        format_number(out, o, *(const uint64_t *)at);
        return;
    case HD_OPTION_MB:
        format_mb(out, *(const uint64_t *)at);
        return;
    case HD_OPTION_ENUM: {
        unsigned word;
        memcpy(&word, at, sizeof(word));
        hd_buf_cstr(out, o->words[word]);
        return;
    }
    case HD_OPTION_STR:
    case HD_OPTION_PATH:
    case HD_OPTION_PROGRAM:
        hd_buf_cstr(out, *(char *const *)at);
        return;
    case HD_OPTION_LIST: {
        const struct hd_option_list *list = at;
        for (size_t i = 0; i < list->n; i++)
            hd_buf_fmt(out, "%s%s", i > 0 ? "," : "", list->items[i]);
        return;
    }
    }
}

const char *hd_option_arg(const struct hd_option *o)
{
    if (o->arg != NULL)
        return o->arg;
    switch (o->kind) {
    case HD_OPTION_BOOL:
        return "";
    case HD_OPTION_U16:
    case HD_OPTION_U32:
    case HD_OPTION_U64:
        return "N";
    case HD_OPTION_MS:
        return "MS";
    case HD_OPTION_MB:
        return "MB";
    case HD_OPTION_STR:
        return "TEXT";
    case HD_OPTION_PATH:
        return "PATH";
    case HD_OPTION_PROGRAM:
        return "PROGRAM";
    case HD_OPTION_ENUM:
        return "WORD";
    case HD_OPTION_LIST:
        return "A,B";
    }
    return "";
}
