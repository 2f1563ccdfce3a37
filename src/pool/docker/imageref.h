/* pool/docker/imageref.h - image references as engines take them. Pure. */
#pragma once

#include <heddle/error.h>
#include <heddle/str.h>

/** What `registry.example:5000/team/name:1.2` is made of. */
struct hd_imageref {
    struct hd_str repo;     /* "registry.example:5000/team/name" */
    struct hd_str tag;      /* "1.2"; "latest" if it has neither; or "sha256:..." behind an @ */
    struct hd_str registry; /* "registry.example:5000"; "docker.io" if it names none */
    bool digest;
};

/** @return 0, or HD_EINVAL: @p ref is no reference. */
int hd_imageref_check(const char *ref, struct hd_error *err);
/** Take one apart that was checked; borrows from it. */
void hd_imageref_split(struct hd_imageref *out, const char *ref);
