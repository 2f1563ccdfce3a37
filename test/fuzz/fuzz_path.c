/* fuzz_path.c - the parts of a path are the path, and what is refused is what decoding shows. */
#include "fuzz.h"
#include "http/path.h"

static bool is_dots(struct hd_str segment)
{
    hd_auto_free char *plain = hd_alloc(segment.len);
    const int n = hd_path_decode(plain, segment);
    return n > 0 && (hd_str_is(hd_str_n(plain, (size_t)n), ".") ||
                     hd_str_is(hd_str_n(plain, (size_t)n), ".."));
}

/* Whether a name has a second meaning. */
static bool is_bad(struct hd_str name)
{
    hd_auto_free char *plain = hd_alloc(name.len);
    const int n = hd_path_decode(plain, name);
    for (int i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)plain[i];
        if (c < 0x20 || c == 0x7f || c == '/' || c == '\\')
            return true;
    }
    return n < 0 || is_dots(name);
}

static void check(struct hd_str in, struct hd_str prefix)
{
    struct hd_path p;
    struct hd_error err = {0};
    const int rc = hd_path_split(&p, in, prefix, &err);
    fuzz_check((rc < 0) == (err.msg[0] != '\0'));
    if (rc == 0)
        return;
    fuzz_check(hd_str_starts(in, prefix) && in.ptr[prefix.len] == '/');
    const struct hd_str tail = {in.ptr + prefix.len + 1, in.len - prefix.len - 1};
    const struct hd_str name = {tail.ptr, hd_str_find(tail, '/')};
    fuzz_check(rc == (is_bad(name) ? HD_EINVAL : 1));
    if (rc < 0)
        return;
    fuzz_check(hd_str_eq(p.name, name) && p.name.len > 0);
    fuzz_check(p.rest.ptr == name.ptr + name.len && p.rest.len == tail.len - name.len);
    bool dots = false;
    struct hd_str segment, segments = p.rest;
    while (hd_str_split(&segment, &segments, '/'))
        dots = dots || is_dots(segment);
    fuzz_check(p.dots == dots);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct hd_str in = {(const char *)data, size};
    check(in, hd_str(""));
    check(in, hd_str("/f"));
    return 0;
}
