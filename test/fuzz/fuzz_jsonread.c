/* fuzz_jsonread.c - a search for values in any text stays inside of it, and a string that is read
 * is one. The first line is the path. */
#include "native/jsonread.h"

#include "fuzz.h"

static void look(struct hd_str text, unsigned depth)
{
    struct hd_jsonread r;
    struct hd_str key, value;
    char out[64];
    hd_jsonread_init(&r, text);
    while (hd_jsonread_next(&r, &key, &value)) {
        fuzz_check_within(key, text);
        fuzz_check_within(value, text);
        fuzz_check(value.len > 0);
        int n = hd_jsonread_string(out, sizeof(out), value);
        fuzz_check(n < 0 ? out[0] == '\0' : strlen(out) == (size_t)n);
        if (depth > 0)
            look(value, depth - 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hd_str rest = hd_str_n((const char *)data, size), path;
    if (!hd_str_split(&path, &rest, '\n'))
        return 0;
    char *words = hd_strdup_n(path);
    struct hd_str found = hd_jsonread_find(rest, words);
    fuzz_check_within(found, rest);
    free(words);
    look(rest, 4);
    return 0;
}
