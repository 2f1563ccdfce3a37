#include "functions/names.h"

#include "functions/function.h"

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_name_char(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

enum hd_name_kind hd_function_name_check(struct hd_str name, struct hd_error *err)
{
    static const struct hd_str shared = HD_LIT("_shared");
    if (name.len == 0 || name.ptr[0] == '_' || name.ptr[0] == '.' || hd_str_ends(name, shared) ||
        hd_str_is(name, "node_modules"))
        return HD_NAME_SKIPPED;
    if (name.len > HD_FUNCTION_NAME_MAX) {
        hd_fail(err, HD_EINVAL, "the name has %zu characters; at most %d are possible", name.len,
                HD_FUNCTION_NAME_MAX);
        return HD_NAME_BAD;
    }
    if (!is_letter(name.ptr[0])) {
        hd_fail(err, HD_EINVAL, "the name must begin with a letter from a to z or A to Z");
        return HD_NAME_BAD;
    }
    for (size_t i = 1; i < name.len; i++) {
        if (is_name_char(name.ptr[i]))
            continue;
        hd_fail(err, HD_EINVAL,
                "the name has a wrong character at position %zu; letters, digits, '_' and '-' "
                "are possible",
                i + 1);
        return HD_NAME_BAD;
    }
    return HD_NAME_GOOD;
}
