/* typed_record.c - what the payload of each tag must look like, and its one form. */
#include "core/map.h"
#include "lanes/typed_private.h"

#include <math.h>

static const struct {
    const char *name;
    unsigned element_bytes; /* of a byte type */
} tags[HD_TAG_COUNT] = {
    [HD_TAG_UNDEFINED] = {"Undefined", 0},
    [HD_TAG_NON_FINITE] = {"NonFiniteNumber", 0},
    [HD_TAG_BIGINT] = {"BigInt", 0},
    [HD_TAG_DATE] = {"Date", 0},
    [HD_TAG_REGEXP] = {"RegExp", 0},
    [HD_TAG_MAP] = {"Map", 0},
    [HD_TAG_SET] = {"Set", 0},
    [HD_TAG_SYMBOL] = {"Symbol", 0},
    [HD_TAG_ERROR] = {"Error", 0},
    [HD_TAG_URL] = {"URL", 0},
    [HD_TAG_URL_SEARCH_PARAMS] = {"URLSearchParams", 0},
    [HD_TAG_ARRAY_BUFFER] = {"ArrayBuffer", 1},
    [HD_TAG_DATA_VIEW] = {"DataView", 1},
    [HD_TAG_BUFFER] = {"Buffer", 1},
    [HD_TAG_INT8] = {"Int8Array", 1},
    [HD_TAG_UINT8] = {"Uint8Array", 1},
    [HD_TAG_UINT8_CLAMPED] = {"Uint8ClampedArray", 1},
    [HD_TAG_INT16] = {"Int16Array", 2},
    [HD_TAG_UINT16] = {"Uint16Array", 2},
    [HD_TAG_INT32] = {"Int32Array", 4},
    [HD_TAG_UINT32] = {"Uint32Array", 4},
    [HD_TAG_FLOAT32] = {"Float32Array", 4},
    [HD_TAG_FLOAT64] = {"Float64Array", 8},
    [HD_TAG_BIGINT64] = {"BigInt64Array", 8},
    [HD_TAG_BIGUINT64] = {"BigUint64Array", 8},
};

struct making {
    struct hd_arena *arena;
    struct hd_typed *record, *payload;
    struct hd_error *err;
};

enum hd_typed_tag hd_typed_tag_of(struct hd_str name)
{
    unsigned t = 0;
    while (t < HD_TAG_COUNT && !hd_str_is(name, tags[t].name))
        t++;
    return t;
}

const char *hd_typed_tag_name(enum hd_typed_tag tag)
{
    return tags[tag].name;
}

unsigned hd_typed_element_bytes(enum hd_typed_tag tag)
{
    return tags[tag].element_bytes;
}

static int wrong(struct making *m, const char *must)
{
    return hd_fail(m->err, HD_EINVAL, "a %s record must hold %s", tags[m->record->tag].name, must);
}

static bool is_string(const struct hd_typed *v)
{
    return v != NULL && v->kind == HD_TYPED_STRING;
}

/* The payload becomes this text. */
static int hold_text(struct making *m, struct hd_str text)
{
    struct hd_typed *v = hd_typed_new(m->arena, HD_TYPED_STRING);
    if (v == NULL)
        return hd_typed_no_room(m->err);
    v->text = text;
    m->record->items[0] = v;
    return 0;
}

static int hold_copy(struct making *m, struct hd_str text)
{
    struct hd_str copy = hd_arena_str(m->arena, text);
    return copy.ptr != NULL ? hold_text(m, copy) : hd_typed_no_room(m->err);
}

/* The payload becomes an object of these members; those without a value are left out. */
static int hold_object(struct making *m, const char *const *names, struct hd_typed *const *values,
                       size_t n)
{
    struct hd_typed *o = hd_typed_new(m->arena, HD_TYPED_OBJECT);
    struct hd_str *own_names = hd_arena_alloc(m->arena, n * sizeof(*own_names));
    struct hd_typed **items = hd_arena_alloc(m->arena, n * sizeof(*items));
    if (o == NULL || own_names == NULL || items == NULL)
        return hd_typed_no_room(m->err);
    for (size_t i = 0; i < n; i++) {
        if (values[i] == NULL)
            continue;
        own_names[o->n] = hd_str(names[i]);
        items[o->n++] = values[i];
    }
    o->names = own_names;
    o->items = items;
    m->record->items[0] = o;
    return 0;
}

/* --- each tag --- */

static int undefined(struct making *m)
{
    m->record->items[0] = hd_typed_new(m->arena, HD_TYPED_NULL);
    return m->record->items[0] != NULL ? 0 : hd_typed_no_room(m->err);
}

static int non_finite(struct making *m)
{
    struct hd_str s = is_string(m->payload) ? m->payload->text : hd_str("");
    if (!hd_str_is(s, "NaN") && !hd_str_is(s, "Infinity") && !hd_str_is(s, "-Infinity"))
        return wrong(m, "\"NaN\", \"Infinity\" or \"-Infinity\"");
    return 0;
}

static int bigint(struct making *m)
{
    if (!is_string(m->payload))
        return wrong(m, "decimal digits");
    struct hd_str s = m->payload->text;
    while (s.len > 0 && strchr(" \t\n\r", *s.ptr) != NULL) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && strchr(" \t\n\r", s.ptr[s.len - 1]) != NULL)
        s.len--;
    bool minus = s.len > 0 && *s.ptr == '-';
    if (s.len > 0 && (*s.ptr == '-' || *s.ptr == '+')) {
        s.ptr++;
        s.len--;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return wrong(m, "decimal digits");
    }
    if (s.len == 0)
        return wrong(m, "decimal digits");
    while (s.len > 1 && *s.ptr == '0') {
        s.ptr++;
        s.len--;
    }
    char *text = hd_arena_alloc(m->arena, s.len + 2);
    if (text == NULL)
        return hd_typed_no_room(m->err);
    size_t n = 0;
    if (minus && !hd_str_is(s, "0"))
        text[n++] = '-';
    memcpy(text + n, s.ptr, s.len);
    return hold_text(m, hd_str_n(text, n + s.len));
}

static int date(struct making *m)
{
    double ms;
    char iso[32];
    if (m->payload->kind == HD_TYPED_NUMBER)
        ms = trunc(m->payload->number);
    else if (!is_string(m->payload) || !hd_typed_iso_parse(&ms, m->payload->text))
        return wrong(m, "an ISO 8601 date, or milliseconds since 1970");
    if (fabs(ms) > 8.64e15)
        return wrong(m, "a date within 100 million days of 1970");
    hd_typed_iso(iso, ms);
    return hold_copy(m, hd_str(iso));
}

static int regexp(struct making *m)
{
    static const char known[] = "dgimsuvy";
    static const char *const names[] = {"pattern", "flags"};
    const struct hd_typed *pattern = hd_typed_get(m->payload, "pattern");
    const struct hd_typed *flags = hd_typed_get(m->payload, "flags");
    if (!is_string(pattern) || !is_string(flags))
        return wrong(m, "a pattern and flags");
    unsigned seen = 0;
    char sorted[sizeof(known)];
    size_t n = 0;
    for (size_t i = 0; i < flags->text.len; i++) {
        char c = flags->text.ptr[i];
        const char *at = c != '\0' ? strchr(known, c) : NULL;
        unsigned bit = at != NULL ? 1u << (at - known) : 0;
        if (bit == 0 || (seen & bit) != 0)
            return wrong(m, "flags out of \"dgimsuvy\", each once");
        seen |= bit;
    }
    for (size_t i = 0; known[i] != '\0'; i++) {
        if ((seen & 1u << i) != 0)
            sorted[n++] = known[i];
    }
    struct hd_buf source;
    hd_buf_init(&source, 4 * HD_TYPED_PATTERN_MAX * 2);
    int rc = hd_typed_pattern(&source, pattern->text, m->err);
    struct hd_typed *values[] = {hd_typed_new(m->arena, HD_TYPED_STRING),
                                 hd_typed_new(m->arena, HD_TYPED_STRING)};
    if (rc == 0 && values[0] != NULL && values[1] != NULL) {
        values[0]->text = hd_arena_str(m->arena, hd_buf_view(&source));
        values[1]->text = hd_arena_str(m->arena, hd_str_n(sorted, n));
        rc = hold_object(m, names, values, HD_COUNT(values));
        if (values[0]->text.ptr == NULL || values[1]->text.ptr == NULL)
            rc = hd_typed_no_room(m->err);
    } else if (rc == 0) {
        rc = hd_typed_no_room(m->err);
    }
    hd_buf_done(&source);
    return rc;
}

/* What tells two primitive keys apart; empty for what is only equal to itself. */
static struct hd_str key_of(struct hd_arena *arena, const struct hd_typed *v)
{
    struct hd_buf text;
    if (v->kind == HD_TYPED_ARRAY || v->kind == HD_TYPED_OBJECT ||
        (v->kind == HD_TYPED_RECORD && v->tag != HD_TAG_UNDEFINED && v->tag != HD_TAG_NON_FINITE &&
         v->tag != HD_TAG_BIGINT && v->tag != HD_TAG_SYMBOL))
        return hd_str("");
    hd_buf_init(&text, SIZE_MAX / 2);
    hd_typed_write(&text, v);
    struct hd_str key = hd_arena_str(arena, hd_buf_view(&text));
    hd_buf_done(&text);
    return key;
}

/* Equal keys: the first place, for a map with the last value. */
static int unique(struct making *m, bool pairs)
{
    struct hd_typed *list = m->payload;
    struct hd_map seen;
    size_t kept = 0;
    int rc = 0;
    hd_map_init(&seen, (uint64_t)(uintptr_t)&seen ^ (uint64_t)(uintptr_t)list);
    for (size_t i = 0; i < list->n && rc == 0; i++) {
        struct hd_typed *item = list->items[i];
        struct hd_str key = key_of(m->arena, pairs ? item->items[0] : item);
        if (key.ptr == NULL)
            rc = hd_typed_no_room(m->err);
        uintptr_t at = key.len > 0 ? (uintptr_t)hd_map_get(&seen, key) : 0;
        if (at == 0) {
            list->items[kept++] = item;
            if (key.len > 0)
                hd_map_put(&seen, key, (void *)kept);
        } else if (pairs) {
            list->items[at - 1]->items[1] = item->items[1];
        }
    }
    hd_map_done(&seen);
    list->n = kept;
    return rc;
}

static int map(struct making *m)
{
    if (m->payload->kind != HD_TYPED_ARRAY)
        return wrong(m, "an array of pairs");
    for (size_t i = 0; i < m->payload->n; i++) {
        const struct hd_typed *pair = m->payload->items[i];
        if (pair->kind != HD_TYPED_ARRAY || pair->n != 2)
            return wrong(m, "an array of pairs");
    }
    return unique(m, true);
}

static int set(struct making *m)
{
    if (m->payload->kind != HD_TYPED_ARRAY)
        return wrong(m, "an array");
    return unique(m, false);
}

static int symbol(struct making *m)
{
    static const char *const names[] = {"kind", "key"};
    static const char *const known[] = {"asyncIterator", "hasInstance", "isConcatSpreadable",
                                        "iterator",      "match",       "matchAll",
                                        "replace",       "search",      "species",
                                        "split",         "toPrimitive", "toStringTag",
                                        "unscopables"};
    struct hd_typed *values[] = {(struct hd_typed *)hd_typed_get(m->payload, "kind"),
                                 (struct hd_typed *)hd_typed_get(m->payload, "key")};
    bool ok = is_string(values[0]) && is_string(values[1]);
    bool well_known = ok && hd_str_is(values[0]->text, "WellKnown");
    bool found = ok && hd_str_is(values[0]->text, "For");
    for (size_t i = 0; well_known && i < HD_COUNT(known); i++)
        found = found || hd_str_is(values[1]->text, known[i]);
    return found ? hold_object(m, names, values, 2)
                 : wrong(m, "a kind, For or WellKnown, and a key");
}

static int error(struct making *m)
{
    static const char *const names[] = {"name", "message", "customFields", "stack", "cause"};
    struct hd_typed *values[HD_COUNT(names)];
    for (size_t i = 0; i < HD_COUNT(names); i++)
        values[i] = (struct hd_typed *)hd_typed_get(m->payload, names[i]);
    if (!is_string(values[0]) || !is_string(values[1]))
        return wrong(m, "a name and a message");
    if (values[2] == NULL || values[2]->kind != HD_TYPED_OBJECT)
        values[2] = hd_typed_new(m->arena, HD_TYPED_OBJECT);
    if (values[2] == NULL)
        return hd_typed_no_room(m->err);
    if (!is_string(values[3]))
        values[3] = NULL;
    return hold_object(m, names, values, HD_COUNT(names));
}

static int url(struct making *m)
{
    struct hd_str s = is_string(m->payload) ? m->payload->text : hd_str("");
    size_t colon = hd_str_find(s, ':');
    bool ok = colon > 0 && colon < s.len && ((*s.ptr | 0x20) >= 'a' && (*s.ptr | 0x20) <= 'z');
    for (size_t i = 0; ok && i < s.len; i++)
        ok = (unsigned char)s.ptr[i] > ' ';
    return ok ? 0 : wrong(m, "an absolute URL");
}

static int search_params(struct making *m)
{
    if (!is_string(m->payload))
        return wrong(m, "a query string");
    struct hd_str s = m->payload->text;
    return s.len > 0 && *s.ptr == '?' ? hold_text(m, hd_str_n(s.ptr + 1, s.len - 1)) : 0;
}

static int bytes(struct making *m)
{
    const struct hd_typed *list = m->payload;
    unsigned element = tags[m->record->tag].element_bytes;
    if (list->kind != HD_TYPED_ARRAY || list->n % element != 0)
        return wrong(m, "an array of bytes, as many as its elements take");
    char *to = hd_arena_alloc(m->arena, HD_MAX(list->n, (size_t)1));
    if (to == NULL)
        return hd_typed_no_room(m->err);
    for (size_t i = 0; i < list->n; i++) {
        const struct hd_typed *b = list->items[i];
        if (b->kind != HD_TYPED_NUMBER || b->number < 0 || b->number > 255 ||
            b->number != floor(b->number))
            return wrong(m, "bytes, 0 to 255");
        to[i] = (char)(unsigned char)b->number;
    }
    m->record->text = hd_str_n(to, list->n);
    return 0;
}

int hd_typed_record(struct hd_typed **out, struct hd_arena *arena, enum hd_typed_tag tag,
                    struct hd_typed *payload, struct hd_error *err)
{
    static int (*const makers[HD_TAG_COUNT])(struct making * m) = {
        [HD_TAG_UNDEFINED] = undefined,
        [HD_TAG_NON_FINITE] = non_finite,
        [HD_TAG_BIGINT] = bigint,
        [HD_TAG_DATE] = date,
        [HD_TAG_REGEXP] = regexp,
        [HD_TAG_MAP] = map,
        [HD_TAG_SET] = set,
        [HD_TAG_SYMBOL] = symbol,
        [HD_TAG_ERROR] = error,
        [HD_TAG_URL] = url,
        [HD_TAG_URL_SEARCH_PARAMS] = search_params,
    };
    struct making m = {.arena = arena, .payload = payload, .err = err};
    m.record = hd_typed_new(arena, HD_TYPED_RECORD);
    if (m.record == NULL)
        return hd_typed_no_room(err);
    m.record->items = hd_arena_alloc(arena, sizeof(*m.record->items));
    if (m.record->items == NULL)
        return hd_typed_no_room(err);
    m.record->tag = tag;
    m.record->n = 1;
    m.record->items[0] = payload;
    *out = m.record;
    return tags[tag].element_bytes > 0 ? bytes(&m) : makers[tag](&m);
}
