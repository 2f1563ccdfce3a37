/* typed_write.c - values as the text that JavaScript's JSON.stringify writes. */
#include "core/jsonscan.h"
#include "lanes/typed_private.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

/* --- numbers --- */

/* The fewest digits that are read back as the same number, the closest of these; see
 * ECMA-262 section 6.1.6.1.20. @return the power of ten of the digit before the first one. */
static int shortest(char *out, double number)
{
    char text[40];
    int fewest = number < DBL_MIN ? 1 : DBL_DIG; /* subnormal numbers have fewer digits */
    for (int precision = fewest; precision <= 17; precision++) {
        snprintf(text, sizeof(text), "%.*e", precision - 1, number);
        if (precision == 17 || strtod(text, NULL) == number)
            break;
    }
    const char *e = strchr(text, 'e');
    size_t n = 0;
    for (const char *p = text; p < e; p++) {
        if (*p != '.')
            out[n++] = *p;
    }
    while (n > 1 && out[n - 1] == '0')
        n--;
    out[n] = '\0';
    uint64_t power = 0;
    hd_str_to_u64(&power, hd_str(e + 2)); /* behind its sign */
    return (e[1] == '-' ? -(int)power : (int)power) + 1;
}

static void zeros(struct hd_buf *out, int n)
{
    for (int i = 0; i < n; i++)
        hd_buf_char(out, '0');
}

void hd_typed_write_number(struct hd_buf *out, double number)
{
    enum { PLAIN_DIGITS = 21, PLAIN_ZEROS = 6 };
    char d[24];
    if (number == 0) {
        hd_buf_char(out, '0');
        return;
    }
    if (number < 0)
        hd_buf_char(out, '-');
    number = fabs(number);
    if (number < 9007199254740992.0 && number == floor(number)) {
        hd_buf_u64(out, (uint64_t)number);
        return;
    }
    int point = shortest(d, number), n = (int)strlen(d);
    if (n <= point && point <= PLAIN_DIGITS) {
        hd_buf_cstr(out, d);
        zeros(out, point - n);
    } else if (0 < point && point <= PLAIN_DIGITS) {
        hd_buf_add(out, d, (size_t)point);
        hd_buf_char(out, '.');
        hd_buf_cstr(out, d + point);
    } else if (-PLAIN_ZEROS < point && point <= 0) {
        hd_buf_cstr(out, "0.");
        zeros(out, -point);
        hd_buf_cstr(out, d);
    } else {
        hd_buf_char(out, d[0]);
        if (n > 1) {
            hd_buf_char(out, '.');
            hd_buf_cstr(out, d + 1);
        }
        hd_buf_fmt(out, "e%c%d", point > 0 ? '+' : '-', abs(point - 1));
    }
}

/* --- strings --- */

static bool is_surrogate(const unsigned char *p, const unsigned char *end)
{
    return p[0] == 0xed && end - p >= 3 && p[1] >= 0xa0;
}

void hd_typed_write_string(struct hd_buf *out, struct hd_str text)
{
    static const char from[] = "\"\\\b\f\n\r\t", into[] = "\"\\bfnrt";
    const unsigned char *p = (const unsigned char *)text.ptr, *end = p + text.len;
    hd_buf_char(out, '"');
    while (p < end) {
        const unsigned char *plain = p;
        p += hd_json_plain((const char *)p, (const char *)end);
        while (p < end && *p >= 0x20 && *p != '"' && *p != '\\' && !is_surrogate(p, end))
            p++;
        hd_buf_add(out, plain, (size_t)(p - plain));
        if (p == end)
            break;
        if (is_surrogate(p, end)) {
            hd_buf_fmt(out, "\\u%04x", 0xd000u | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu));
            p += 3;
            continue;
        }
        const char *at = *p != 0 ? strchr(from, *p) : NULL;
        if (at != NULL)
            hd_buf_add(out, (char[]){'\\', into[at - from]}, 2);
        else
            hd_buf_fmt(out, "\\u%04x", *p);
        p++;
    }
    hd_buf_char(out, '"');
}

/* --- the rest --- */

static void write_name(struct hd_buf *out, struct hd_str name)
{
    struct hd_str prefix = hd_str(HD_TYPED_ESCAPE);
    if (!hd_str_is(name, "__type") && !hd_str_is(name, "__graph") && !hd_str_starts(name, prefix)) {
        hd_typed_write_string(out, name);
        return;
    }
    hd_buf_char(out, '"');
    hd_buf_str(out, prefix);
    size_t quote = out->len;
    hd_typed_write_string(out, name); /* its first quote goes */
    if (!hd_buf_failed(out)) {
        memmove(out->ptr + quote, out->ptr + quote + 1, out->len - quote - 1);
        out->len--;
    }
}

static void write_object(struct hd_buf *out, const struct hd_typed *v)
{
    hd_buf_char(out, '{');
    for (size_t i = 0; i < v->n; i++) {
        if (i > 0)
            hd_buf_char(out, ',');
        write_name(out, v->names[i]);
        hd_buf_char(out, ':');
        hd_typed_write(out, v->items[i]);
    }
    hd_buf_char(out, '}');
}

static void write_array(struct hd_buf *out, const struct hd_typed *v)
{
    hd_buf_char(out, '[');
    for (size_t i = 0; i < v->n; i++) {
        if (i > 0)
            hd_buf_char(out, ',');
        hd_typed_write(out, v->items[i]);
    }
    hd_buf_char(out, ']');
}

static void write_bytes(struct hd_buf *out, struct hd_str bytes)
{
    hd_buf_char(out, '[');
    for (size_t i = 0; i < bytes.len; i++) {
        if (i > 0)
            hd_buf_char(out, ',');
        hd_buf_u64(out, (unsigned char)bytes.ptr[i]);
    }
    hd_buf_char(out, ']');
}

static void write_record(struct hd_buf *out, const struct hd_typed *v)
{
    hd_buf_cstr(out, "{\"__type\":\"");
    hd_buf_cstr(out, hd_typed_tag_name(v->tag));
    hd_buf_cstr(out, "\",\"value\":");
    if (hd_typed_element_bytes(v->tag) > 0)
        write_bytes(out, v->text);
    else
        hd_typed_write(out, v->items[0]);
    hd_buf_char(out, '}');
}

void hd_typed_write(struct hd_buf *out, const struct hd_typed *v)
{
    switch (v->kind) {
    case HD_TYPED_NULL:
        hd_buf_cstr(out, "null");
        return;
    case HD_TYPED_FALSE:
        hd_buf_cstr(out, "false");
        return;
    case HD_TYPED_TRUE:
        hd_buf_cstr(out, "true");
        return;
    case HD_TYPED_NUMBER:
        if (isinf(v->number)) /* as 1e400 is read */
            hd_buf_fmt(out, "{\"__type\":\"NonFiniteNumber\",\"value\":\"%sInfinity\"}",
                       v->number < 0 ? "-" : "");
        else
            hd_typed_write_number(out, v->number);
        return;
    case HD_TYPED_STRING:
        hd_typed_write_string(out, v->text);
        return;
    case HD_TYPED_ARRAY:
        write_array(out, v);
        return;
    case HD_TYPED_OBJECT:
        write_object(out, v);
        return;
    case HD_TYPED_RECORD:
        write_record(out, v);
        return;
    }
}
