/* functions/bundle.h - the store of deployed code: zip archives under their SHA-256, each unpacked
 * once, and merged layers.
 *
 * <dir>/<sha256>/code        what the archive holds; never changes
 * <dir>/<sha256>/bundle.zip  the archive, byte for byte
 * <dir>/<key>/code           layers merged into one folder (hard links)
 * <dir>/tmp/                 work under way; emptied at start
 *
 * A folder appears whole and on the disk, or not at all. What is asked for twice at the same time
 * is done once. Control loop, all of it; the work is done on work threads. */
#pragma once

#include "core/buf.h"
#include "core/log.h"
#include "core/loop.h"

enum {
    HD_DIGEST_CHARS = 64, /* lower-case hex of a SHA-256 */
    HD_CODE_SHA256_CHARS = 44,
    HD_BUNDLE_UNPACKED_MAX = 262144000, /* bytes of a function's files and its layers' together */
    HD_BUNDLE_ZIPPED_MAX = 52428800,    /* bytes of an archive in a request */
    HD_BUNDLE_LAYERS_MAX = 5,
};

struct hd_bundles;

struct hd_bundles_options {
    const char *dir; /* absolute; made where it is missing */
    struct hd_loop *loop;
    struct hd_log *log;
    uint64_t max_zip_bytes;      /* 0: HD_BUNDLE_ZIPPED_MAX */
    uint64_t max_unpacked_bytes; /* 0: HD_BUNDLE_UNPACKED_MAX */
    uint32_t max_entries;        /* files and folders of one archive; 0: 100000 */
};

/** Why code was not taken. */
enum hd_bundle_problem {
    HD_BUNDLE_OK,
    HD_BUNDLE_BAD_ARCHIVE, /* no archive, a broken one, or one with entries that lead out of it */
    HD_BUNDLE_TOO_BIG,     /* unpacked */
    HD_BUNDLE_ZIP_TOO_BIG, /* as it came */
    HD_BUNDLE_LAYERS_BIG,  /* with the layers, unpacked */
    HD_BUNDLE_NOT_THERE,   /* no bundle with this digest */
    HD_BUNDLE_FAILED,      /* the machine: disk full, ...; another try may work */
};
/** @return what the Lambda API says of it, with the limit in it where there is one; static, never
 *  NULL. */
const char *hd_bundle_problem_text(enum hd_bundle_problem problem);

/** What is stored, or why not; borrowed until the callback returns. */
struct hd_bundle_result {
    enum hd_bundle_problem problem;
    struct hd_error err;                        /* where there is a problem: which entry, and why */
    char digest[HD_DIGEST_CHARS + 1];           /* of merged layers: their key */
    char code_sha256[HD_CODE_SHA256_CHARS + 1]; /* base64 of the same; of merged layers: empty */
    uint64_t zip_bytes, unpacked_bytes;
    bool was_there; /* nothing had to be unpacked */
};
typedef void (*hd_bundle_done_fn)(void *arg, const struct hd_bundle_result *result);

/**
 * Open the store: make its folder, throw away what was under way when a node died.
 * @return 0 and *out, to be closed; HD_EINVAL: not an absolute path; HD_EDENIED, HD_EIO.
 */
int hd_bundles_new(struct hd_bundles **out, const struct hd_bundles_options *opt,
                   struct hd_error *err);
/** Take no more work; @p done when what is under way has ended, and everything is freed. Every
 *  callback is called before that. */
void hd_bundles_close(struct hd_bundles *b, void (*done)(void *arg), void *arg);

/**
 * Store an archive. @p done is called exactly once, later: what it tells is on the disk by then.
 * @param zip  its contents are taken; the buffer is as after init.
 */
void hd_bundles_put(struct hd_bundles *b, struct hd_buf *zip, hd_bundle_done_fn done, void *arg);
/** Same, of a file, which is moved or removed. @p path is copied. */
void hd_bundles_put_file(struct hd_bundles *b, const char *path, hd_bundle_done_fn done, void *arg);
/** Look whether an archive is valid and what it would be, and store nothing. */
void hd_bundles_check(struct hd_bundles *b, struct hd_buf *zip, hd_bundle_done_fn done, void *arg);
/** Look up what is stored under a digest, or under a key of merged layers. */
void hd_bundles_find(struct hd_bundles *b, const char *digest, hd_bundle_done_fn done, void *arg);

/**
 * Make one folder of several layers: where two have the same name the later one wins.
 * @param digests     in the order of attachment; 1 to HD_BUNDLE_LAYERS_MAX. Copied.
 * @param code_bytes  unpacked bytes of the function that they are for: counted in the limit.
 */
void hd_bundles_merge(struct hd_bundles *b, const char *const *digests, size_t n,
                      uint64_t code_bytes, hd_bundle_done_fn done, void *arg);
/** Write the key under which these layers are, or would be, merged; of one layer: its digest. */
void hd_bundles_merge_key(char out[HD_DIGEST_CHARS + 1], const char *const *digests, size_t n);

/** @return whether it looks like a digest or a key. */
bool hd_bundle_is_digest(struct hd_str s);
/** @return the folder with the code, absolute, for the caller to free; whether it is there or not.
 *  @p digest may be a key of merged layers. */
char *hd_bundles_dir(const struct hd_bundles *b, const char *digest);
/** @return the path of the archive, for the caller to free. */
char *hd_bundles_zip(const struct hd_bundles *b, const char *digest);

/**
 * Remove what is not in @p keep and was neither stored nor asked for (put, find, merge) within the
 * last @p grace_s seconds. @p keep must name what running instances use as well.
 * @param keep  digests and keys; copied.
 * @param done  exactly once, later; may be NULL.
 */
void hd_bundles_gc(struct hd_bundles *b, const char *const *keep, size_t n, uint32_t grace_s,
                   void (*done)(void *arg, unsigned removed), void *arg);
