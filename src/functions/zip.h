/* functions/zip.h - read a zip archive that lies in memory (PKWARE's APPNOTE 6.3.10): stored and
 * deflated entries, Zip64, data descriptors. The central directory is what counts; an entry whose
 * own header says something else is an error. Pure. */
#pragma once

#include "core/base.h"

enum { HD_ZIP_MODE_DEFAULT = 0755 }; /* of entries from systems that have no modes */

struct hd_zip {
    struct hd_str bytes;
    uint64_t base;        /* of all offsets in it: something may stand in front of the archive */
    uint64_t at, end;     /* of the central directory: the next entry, and behind the last */
    uint64_t first;       /* where the central directory begins: data lie before that */
    uint64_t n, declared; /* entries read so far, and how many there should be */
};

enum hd_zip_kind {
    HD_ZIP_FILE,
    HD_ZIP_FOLDER,
    HD_ZIP_LINK,  /* symbolic: its data are the target */
    HD_ZIP_OTHER, /* device, pipe, socket */
};

/** One entry; slices lie in the archive. */
struct hd_zip_entry {
    struct hd_str name; /* as it stands there; anything may be in it */
    enum hd_zip_kind kind;
    uint32_t mode; /* permission bits alone */
    int64_t mtime_unix_s;
    bool dos; /* made where "\" separates folders */
    bool deflated;
    uint32_t crc;
    uint64_t unpacked_bytes; /* as it claims: unpacking never gives more */
    struct hd_str data;      /* packed */
    uint64_t at;             /* its place in the central directory, for messages */
};

/** @return 0 and *z, which borrows @p bytes; or HD_EINVAL: not a zip archive, or a broken one. */
int hd_zip_open(struct hd_zip *z, struct hd_str bytes, struct hd_error *err);
/**
 * Read the next entry.
 * @return 1 and *e; 0: there are no more; or HD_EINVAL: broken, encrypted, or packed in a way that
 *         is not supported.
 */
int hd_zip_next(struct hd_zip *z, struct hd_zip_entry *e, struct hd_error *err);
/**
 * Unpack an entry's data, and see that length and checksum are right.
 * @param sink  takes the bytes as they come; not 0 ends it with that.
 * @return 0; HD_EINVAL: broken; or what @p sink returned.
 */
int hd_zip_unpack(const struct hd_zip_entry *e, int (*sink)(void *arg, struct hd_str bytes),
                  void *arg, struct hd_error *err);
