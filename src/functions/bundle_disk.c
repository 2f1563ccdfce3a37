/* <key>/info says what it is: its last change is when it was used last. */
#include "functions/bundle_disk.h"

#include "core/base64.h"
#include "core/folder.h"
#include "core/id.h"
#include "functions/bundle_unpack.h"
#include "functions/file.h"
#include "functions/layer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { INFO_MAX = 256 };

/* What a failure of reading or writing means. */
static void failed(struct hd_bundle_result *r, int rc)
{
    r->problem = rc == HD_EINVAL  ? HD_BUNDLE_BAD_ARCHIVE
                 : rc == HD_EBUSY ? HD_BUNDLE_TOO_BIG
                                  : HD_BUNDLE_FAILED;
}

static void set_code_sha256(struct hd_bundle_result *r, const unsigned char *hash)
{
    hd_base64_encode(r->code_sha256, HD_BASE64, hash, SHA256_DIGEST_LENGTH);
    r->code_sha256[HD_CODE_SHA256_CHARS] = '\0';
}

int hd_bundle_disk_open(const struct hd_bundles_options *opt, struct hd_error *err)
{
    hd_auto_free char *tmp = hd_printf("%s/tmp", opt->dir);
    int rc = hd_make_folder(opt->dir, err);
    if (rc < 0)
        return rc;
    hd_remove_tree(tmp);
    return hd_make_folder(tmp, err);
}

void hd_bundle_disk_hash(const struct hd_bundles_options *opt, struct hd_buf *zip, const char *path,
                         char key[HD_DIGEST_CHARS + 1], struct hd_bundle_result *r)
{
    unsigned char hash[SHA256_DIGEST_LENGTH];
    int rc = path != NULL ? hd_file_read(zip, path, NULL, &r->err) : 0;
    if (path != NULL)
        unlink(path);
    if (rc == HD_EBUSY || zip->len > opt->max_zip_bytes) {
        hd_fail(&r->err, HD_EBUSY, "the archive has more than %llu bytes",
                (unsigned long long)opt->max_zip_bytes);
        r->problem = HD_BUNDLE_ZIP_TOO_BIG;
    } else if (rc < 0) {
        r->problem = HD_BUNDLE_FAILED;
    }
    if (r->problem != HD_BUNDLE_OK)
        return;
    SHA256((const unsigned char *)zip->ptr, zip->len, hash);
    hd_hex(key, hash, sizeof(hash));
    set_code_sha256(r, hash);
    r->zip_bytes = zip->len;
}

static int make_plan(const struct hd_bundles_options *opt, struct hd_bundle_plan *plan,
                     struct hd_str zip, struct hd_bundle_result *r)
{
    int rc = hd_bundle_plan_make(plan, zip, opt->max_unpacked_bytes, opt->max_entries, &r->err);
    if (rc == 0)
        r->unpacked_bytes = plan->unpacked_bytes;
    return rc;
}

void hd_bundle_disk_check(const struct hd_bundles_options *opt, struct hd_str zip,
                          struct hd_bundle_result *r)
{
    struct hd_bundle_plan plan;
    int rc = make_plan(opt, &plan, zip, r);
    if (rc == 0) {
        rc = hd_bundle_verify(&plan, &r->err);
        hd_bundle_plan_done(&plan);
    }
    if (rc < 0)
        failed(r, rc);
}

/* Read what is said of a stored bundle, and note that it is in use. @return whether it is there. */
static bool find_stored(const struct hd_bundles_options *opt, const char *key,
                        struct hd_bundle_result *r)
{
    char text[INFO_MAX];
    struct hd_buf info;
    unsigned long long zip_bytes, unpacked_bytes;
    if (!hd_bundle_is_digest(hd_str(key)))
        return false;
    hd_auto_free char *path = hd_printf("%s/%s/info", opt->dir, key);
    hd_buf_init_with(&info, text, sizeof(text), sizeof(text));
    int rc = hd_file_read(&info, path, NULL, NULL);
    hd_buf_char(&info, '\0');
    if (rc < 0 || hd_buf_failed(&info) ||
        sscanf(info.ptr, "heddle-bundle 1 %llu %llu", &zip_bytes, &unpacked_bytes) != 2)
        return false;
    utimensat(AT_FDCWD, path, NULL, 0);
    r->zip_bytes = zip_bytes;
    r->unpacked_bytes = unpacked_bytes;
    r->was_there = true;
    return true;
}

/* Make the folder that will become the stored one, with an empty one for the code in it. */
static int begin(const struct hd_bundles_options *opt, const char *key, char **tmp, char **code,
                 struct hd_error *err)
{
    *tmp = hd_printf("%s/tmp/%s", opt->dir, key);
    *code = hd_printf("%s/code", *tmp);
    hd_remove_tree(*tmp);
    if (mkdir(*tmp, 0700) < 0 || mkdir(*code, 0700) < 0)
        return hd_fail_sys(err, errno, "%s", *tmp);
    return 0;
}

static int publish(const struct hd_bundles_options *opt, const char *key, const char *tmp,
                   struct hd_bundle_result *r)
{
    hd_auto_free char *info = hd_printf("%s/info", tmp);
    hd_auto_free char *text =
        hd_printf("heddle-bundle 1 %llu %llu\n", (unsigned long long)r->zip_bytes,
                  (unsigned long long)r->unpacked_bytes);
    hd_auto_free char *to = hd_printf("%s/%s", opt->dir, key);
    int rc = hd_bundle_write(info, hd_str(text), &r->err);
    if (rc == 0)
        rc = hd_sync_folder(tmp, &r->err);
    if (rc == 0)
        hd_remove_tree(to); /* what is there says nothing of itself: not one of ours any more */
    if (rc == 0 && rename(tmp, to) < 0)
        rc = hd_fail_sys(&r->err, errno, "%s", to);
    return rc == 0 ? hd_sync_folder(opt->dir, &r->err) : rc;
}

static int unpack(const struct hd_bundles_options *opt, const char *key, struct hd_str zip,
                  const struct hd_bundle_plan *plan, struct hd_bundle_result *r)
{
    hd_auto_free char *tmp = NULL, *code = NULL;
    int rc = begin(opt, key, &tmp, &code, &r->err);
    hd_auto_free char *copy = hd_printf("%s/bundle.zip", tmp);
    if (rc == 0)
        rc = hd_bundle_unpack(plan, code, &r->err);
    if (rc == 0)
        rc = hd_bundle_write(copy, zip, &r->err);
    if (rc == 0)
        rc = publish(opt, key, tmp, r);
    if (rc < 0)
        hd_remove_tree(tmp);
    return rc;
}

void hd_bundle_disk_put(const struct hd_bundles_options *opt, const char *key, struct hd_str zip,
                        struct hd_bundle_result *r)
{
    struct hd_bundle_plan plan;
    if (find_stored(opt, key, r))
        return;
    int rc = make_plan(opt, &plan, zip, r);
    if (rc == 0) {
        rc = unpack(opt, key, zip, &plan, r);
        hd_bundle_plan_done(&plan);
    }
    if (rc < 0)
        failed(r, rc);
}

void hd_bundle_disk_find(const struct hd_bundles_options *opt, const char *key,
                         struct hd_bundle_result *r)
{
    unsigned char hash[SHA256_DIGEST_LENGTH];
    if (!find_stored(opt, key, r)) {
        hd_fail(&r->err, HD_ENOTFOUND, "no code is stored under %.64s", key);
        r->problem = HD_BUNDLE_NOT_THERE;
    } else if (r->zip_bytes > 0 && hd_unhex(hash, sizeof(hash), hd_str(key)) == 0) {
        set_code_sha256(r, hash);
    }
}

static bool measure(const struct hd_bundles_options *opt, const char *const *layers, size_t n,
                    uint64_t *sum, struct hd_bundle_result *r)
{
    for (size_t i = 0; i < n; i++) {
        struct hd_bundle_result one = {.problem = HD_BUNDLE_OK};
        if (!find_stored(opt, layers[i], &one)) {
            hd_fail(&r->err, HD_ENOTFOUND, "layer %zu: no code is stored under %.64s", i + 1,
                    layers[i]);
            r->problem = HD_BUNDLE_NOT_THERE;
            return false;
        }
        *sum += one.unpacked_bytes;
    }
    return true;
}

static int merge(const struct hd_bundles_options *opt, const char *key, const char *const *layers,
                 size_t n, struct hd_bundle_result *r)
{
    hd_auto_free char *tmp = NULL, *code = NULL;
    char *dirs[HD_BUNDLE_LAYERS_MAX] = {NULL};
    int rc = begin(opt, key, &tmp, &code, &r->err);
    for (size_t i = 0; i < n; i++)
        dirs[i] = hd_printf("%s/%s/code", opt->dir, layers[i]);
    if (rc == 0)
        rc = hd_layer_merge(code, (const char *const *)dirs, n, &r->err);
    if (rc == 0)
        rc = publish(opt, key, tmp, r);
    if (rc < 0)
        hd_remove_tree(tmp);
    for (size_t i = 0; i < n; i++)
        free(dirs[i]);
    return rc;
}

void hd_bundle_disk_merge(const struct hd_bundles_options *opt, const char *key,
                          const char *const *layers, size_t n, struct hd_bundle_result *r)
{
    uint64_t sum = 0;
    if (!measure(opt, layers, n, &sum, r) || find_stored(opt, key, r))
        return;
    r->unpacked_bytes = sum;
    int rc = sum <= opt->max_unpacked_bytes ? merge(opt, key, layers, n, r) : 0;
    if (rc < 0)
        failed(r, rc);
}

/* --- what nobody uses --- */

/* @return when it was used last; 0: nothing says so. */
static int64_t last_use(const struct hd_bundles_options *opt, const char *key)
{
    struct stat st;
    hd_auto_free char *path = hd_printf("%s/%s/info", opt->dir, key);
    return stat(path, &st) == 0 ? st.st_mtim.tv_sec : 0;
}

bool hd_bundle_disk_remove(const struct hd_bundles_options *opt, const char *key,
                           int64_t used_before_unix_s)
{
    if (last_use(opt, key) >= used_before_unix_s)
        return false;
    hd_auto_free char *from = hd_printf("%s/%s", opt->dir, key);
    hd_auto_free char *to = hd_printf("%s/tmp/%s", opt->dir, key);
    hd_remove_tree(to);
    bool moved = rename(from, to) == 0;
    hd_remove_tree(to);
    return moved;
}

void hd_bundle_disk_scan(const struct hd_bundles_options *opt, int64_t used_before_unix_s,
                         void (*each)(void *arg, const char *key), void *arg)
{
    DIR *dir = opendir(opt->dir);
    if (dir == NULL)
        return;
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        if (hd_bundle_is_digest(hd_str(e->d_name)) && last_use(opt, e->d_name) < used_before_unix_s)
            each(arg, e->d_name);
    closedir(dir);
}
