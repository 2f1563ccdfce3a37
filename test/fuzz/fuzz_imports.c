/* fuzz_imports.c - every name that is found stands in the text; nothing is read beyond its end. */
#include "functions/imports.h"
#include "fuzz.h"

static void check_js(struct hd_str text)
{
    struct hd_strings names = {0};
    hd_imports_js(&names, text);
    for (size_t i = 0; i < names.n; i++) {
        size_t len = strlen(names.items[i]);
        fuzz_check(len > 0 && memmem(text.ptr, text.len, names.items[i], len) != NULL);
        fuzz_check(strchr(names.items[i], '\\') == NULL);
    }
    hd_strings_done(&names);
}

static void check_python(struct hd_str text)
{
    struct hd_strings names = {0};
    hd_imports_python(&names, text);
    for (size_t i = 0; i < names.n; i++)
        fuzz_check(names.items[i][0] != '\0' && strpbrk(names.items[i], " \t\n\"'#(") == NULL);
    hd_strings_done(&names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct hd_str text = {(const char *)data, size};
    check_js(text);
    check_python(text);
    return 0;
}
