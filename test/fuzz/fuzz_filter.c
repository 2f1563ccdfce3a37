/* fuzz_filter.c - event filters: patterns and records of any kind. The input is a pattern, a line
 * break, and a record. What must hold: "anything-but" is the opposite for a value that is there,
 * "$or" of a pattern with itself is that pattern, and reading twice gives the same answer. */
#include "lambda/sources/filter.h"

#include "core/buf.h"
#include "fuzz.h"

#include <jansson.h>

static bool matches(const char *before, struct hd_str pattern, const char *after,
                    const json_t *record, bool *known)
{
    struct hd_buf text;
    struct hd_filter *f = NULL;
    hd_buf_init(&text, 1 << 16);
    hd_buf_cstr(&text, before);
    hd_buf_str(&text, pattern);
    hd_buf_cstr(&text, after);
    struct hd_error err = {.msg = ""};
    int rc = hd_filter_new(&f, hd_buf_view(&text), &err);
    fuzz_check(rc == 0 || (rc == HD_EINVAL && err.msg[0] != '\0'));
    bool match = rc == 0 && hd_filter_match(f, record);
    *known = rc == 0;
    hd_filter_free(f);
    hd_buf_done(&text);
    return match;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hd_str rest = {(const char *)data, size}, pattern;
    if (!hd_str_split(&pattern, &rest, '\n'))
        return 0;
    json_t *record = json_loadb(rest.ptr != NULL ? rest.ptr : "", rest.len, JSON_DECODE_ANY, NULL);
    json_decref(hd_filter_parse(rest));
    bool plain_known, known;
    bool plain = matches("", pattern, "", record, &plain_known);
    struct hd_buf twice;
    hd_buf_init(&twice, 1 << 16);
    hd_buf_str(&twice, pattern);
    hd_buf_char(&twice, ',');
    hd_buf_str(&twice, pattern);
    if (plain_known && pattern.len < HD_FILTER_BYTES_MAX / 2 - 20) {
        bool either = matches("{\"$or\":[", hd_buf_view(&twice), "]}", record, &known);
        fuzz_check(!known || either == plain); /* {} stands alone only */
    }
    hd_buf_done(&twice);
    json_decref(record);

    /* The pattern as a value to look for. */
    if (pattern.len > 0 && pattern.ptr[0] == '"') {
        json_t *value = json_loadb(pattern.ptr, pattern.len, JSON_DECODE_ANY, NULL);
        record = json_object();
        json_object_set_new(record, "a", value);
        if (value != NULL) {
            bool is = matches("{\"a\":[", pattern, "]}", record, &known);
            fuzz_check(is == known);
            bool but = matches("{\"a\":[{\"anything-but\":", pattern, "}]}", record, &known);
            fuzz_check(!but);
            is = matches("{\"a\":[{\"equals-ignore-case\":", pattern, "}]}", record, &known);
            fuzz_check(is == known);
            is = matches("{\"a\":[{\"suffix\":{\"equals-ignore-case\":", pattern, "}}]}", record,
                         &known);
            fuzz_check(is == known);
        }
        json_decref(record);
    }
    return 0;
}
