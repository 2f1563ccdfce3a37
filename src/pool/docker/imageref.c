#include "pool/docker/imageref.h"

#include "core/base.h"

enum { REF_MAX = 512 };

int hd_imageref_check(const char *ref, struct hd_error *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789._-/:@";
    size_t len = strspn(ref, allowed);
    if (len == 0 || len > REF_MAX || ref[len] != '\0' || ref[0] == '/' || strstr(ref, "..") != NULL)
        return hd_fail(err, HD_EINVAL, "image %.100s: must be a reference such as name:tag", ref);
    return 0;
}

void hd_imageref_split(struct hd_imageref *out, const char *ref)
{
    struct hd_str all = hd_str(ref);
    size_t at = hd_str_find(all, '@');
    *out = (struct hd_imageref){.tag = hd_str("latest"), .registry = hd_str("docker.io")};
    out->repo = hd_str_n(all.ptr, at);
    if (at < all.len) {
        out->digest = true;
        out->tag = hd_str_n(all.ptr + at + 1, all.len - at - 1);
    }
    size_t slash = out->repo.len; /* behind the last one */
    while (slash > 0 && all.ptr[slash - 1] != '/')
        slash--;
    struct hd_str name = hd_str_n(all.ptr + slash, out->repo.len - slash);
    size_t colon = hd_str_find(name, ':');
    if (colon < name.len) {
        if (!out->digest)
            out->tag = hd_str_n(name.ptr + colon + 1, name.len - colon - 1);
        out->repo.len = slash + colon;
    }
    /* A first part that could be a host is one; else it is a part of the name. */
    size_t first = hd_str_find(out->repo, '/');
    struct hd_str host = hd_str_n(all.ptr, first);
    if (first < out->repo.len && (hd_str_find(host, '.') < first ||
                                  hd_str_find(host, ':') < first || hd_str_is(host, "localhost")))
        out->registry = host;
}
