#include "core/tar.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

enum { BLOCK = 512, NAME_MAX_ = 100, OUT_MAX = 4 << 20, WRITE_AT = 1 << 20, DEPTH_MAX = 64 };

/* POSIX.1-2017, pax, "ustar Interchange Format". */
struct header {
    char name[NAME_MAX_], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type,
        link[NAME_MAX_], magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155],
        pad[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is a block");

static void fail(struct hd_tar *t, int sys, const char *what)
{
    if (t->err.code == 0)
        hd_fail_sys(&t->err, sys, "%s", what);
}

static void write_out(struct hd_tar *t)
{
    struct hd_str rest = hd_buf_view(&t->out);
    while (rest.len > 0 && t->err.code == 0) {
        ssize_t n = write(t->fd, rest.ptr, rest.len);
        if (n < 0 && errno != EINTR)
            fail(t, errno, "writing the archive");
        rest = hd_str_n(rest.ptr + HD_MAX(n, 0), rest.len - (size_t)HD_MAX(n, 0));
    }
    hd_buf_clear(&t->out);
}

static void add(struct hd_tar *t, const void *bytes, size_t n)
{
    hd_buf_add(&t->out, bytes, n);
    if (t->out.len >= WRITE_AT)
        write_out(t);
}

static void pad(struct hd_tar *t, uint64_t size)
{
    static const char zeros[BLOCK];
    if (size % BLOCK != 0)
        add(t, zeros, BLOCK - size % BLOCK);
}

static void octal(char *out, size_t size, uint64_t n)
{
    out[--size] = '\0';
    for (; size > 0; n >>= 3)
        out[--size] = (char)('0' + (n & 7));
}

static void add_header(struct hd_tar *t, char type, const char *name, const char *target,
                       mode_t mode, uint64_t size, int64_t mtime)
{
    struct header h = {.type = type, .magic = "ustar", .version = {'0', '0'}};
    unsigned sum = 0;
    memcpy(h.name, name, HD_MIN(strlen(name), sizeof(h.name)));
    if (target != NULL)
        memcpy(h.link, target, HD_MIN(strlen(target), sizeof(h.link)));
    octal(h.mode, sizeof(h.mode), mode & 07777);
    octal(h.uid, sizeof(h.uid), 0);
    octal(h.gid, sizeof(h.gid), 0);
    octal(h.size, sizeof(h.size), size);
    octal(h.mtime, sizeof(h.mtime), mtime > 0 ? (uint64_t)mtime : 0);
    memset(h.sum, ' ', sizeof(h.sum));
    for (size_t i = 0; i < BLOCK; i++)
        sum += ((const unsigned char *)&h)[i];
    octal(h.sum, sizeof(h.sum) - 1, sum);
    add(t, &h, sizeof(h));
}

/* "27 path=some/long/name\n": the number counts itself, too. */
static void add_record(struct hd_buf *out, const char *key, const char *value)
{
    size_t rest = strlen(key) + strlen(value) + 3, all = rest + 1;
    for (char digits[24]; all != rest + (size_t)snprintf(digits, sizeof(digits), "%zu", all);)
        all = rest + (size_t)snprintf(digits, sizeof(digits), "%zu", all);
    hd_buf_fmt(out, "%zu %s=%s\n", all, key, value);
}

static void add_entry(struct hd_tar *t, char type, const char *name, const char *target,
                      mode_t mode, uint64_t size, int64_t mtime)
{
    struct hd_buf pax;
    hd_buf_init(&pax, 4 * PATH_MAX);
    if (strlen(name) > NAME_MAX_)
        add_record(&pax, "path", name);
    if (target != NULL && strlen(target) > NAME_MAX_)
        add_record(&pax, "linkpath", target);
    if (pax.len > 0) {
        add_header(t, 'x', "pax", NULL, 0644, pax.len, mtime);
        add(t, pax.ptr, pax.len);
        pad(t, pax.len);
    }
    if (hd_buf_failed(&pax))
        fail(t, ENAMETOOLONG, name);
    hd_buf_done(&pax);
    add_header(t, type, name, target, mode, size, mtime);
}

void hd_tar_begin(struct hd_tar *t, int fd)
{
    *t = (struct hd_tar){.fd = fd};
    hd_buf_init(&t->out, OUT_MAX);
}

void hd_tar_folder(struct hd_tar *t, const char *name, mode_t mode)
{
    hd_auto_free char *path = hd_printf("%s/", name);
    add_entry(t, '5', path, NULL, mode, 0, 0);
}

void hd_tar_text(struct hd_tar *t, const char *name, mode_t mode, struct hd_str bytes)
{
    add_entry(t, '0', name, NULL, mode, bytes.len, 0);
    for (size_t at = 0; at < bytes.len; at += WRITE_AT)
        add(t, bytes.ptr + at, HD_MIN(bytes.len - at, (size_t)WRITE_AT));
    pad(t, bytes.len);
}

void hd_tar_link(struct hd_tar *t, const char *name, const char *target)
{
    add_entry(t, '2', name, target, 0777, 0, 0);
}

/* Exactly as many bytes as the header says, whatever happens to the file meanwhile. */
static void add_bytes(struct hd_tar *t, int fd, uint64_t size, const char *path)
{
    for (uint64_t left = size; left > 0 && t->err.code == 0;) {
        size_t want = left < WRITE_AT ? (size_t)left : (size_t)WRITE_AT;
        char *into = hd_buf_reserve(&t->out, want);
        ssize_t n = into != NULL ? read(fd, into, want) : -1;
        if (n <= 0) {
            fail(t, n < 0 ? errno : EIO, path);
            return;
        }
        hd_buf_commit(&t->out, (size_t)n);
        left -= (uint64_t)n;
        if (t->out.len >= WRITE_AT)
            write_out(t);
    }
    pad(t, size);
}

void hd_tar_file(struct hd_tar *t, const char *name, mode_t mode, const char *path)
{
    struct stat st;
    if (t->err.code != 0)
        return;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        fail(t, fd < 0 ? errno : EINVAL, path);
    } else {
        add_entry(t, '0', name, NULL, mode != 0 ? mode : st.st_mode, (uint64_t)st.st_size,
                  st.st_mtime);
        add_bytes(t, fd, (uint64_t)st.st_size, path);
    }
    if (fd >= 0)
        close(fd);
}

static void add_tree(struct hd_tar *t, const char *name, const char *path, unsigned depth)
{
    DIR *dir = depth < DEPTH_MAX ? opendir(path) : NULL;
    if (dir == NULL) {
        fail(t, depth < DEPTH_MAX ? errno : ELOOP, path);
        return;
    }
    hd_tar_folder(t, name, 0755);
    for (struct dirent *d; t->err.code == 0 && (d = readdir(dir)) != NULL;) {
        char target[PATH_MAX];
        struct stat st;
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        hd_auto_free char *from = hd_printf("%s/%s", path, d->d_name);
        hd_auto_free char *to = hd_printf("%s/%s", name, d->d_name);
        if (lstat(from, &st) < 0)
            continue; /* it went */
        ssize_t n = S_ISLNK(st.st_mode) ? readlink(from, target, sizeof(target) - 1) : 0;
        if (S_ISDIR(st.st_mode)) {
            add_tree(t, to, from, depth + 1);
        } else if (S_ISREG(st.st_mode)) {
            hd_tar_file(t, to, 0, from);
        } else if (n > 0) {
            target[n] = '\0';
            hd_tar_link(t, to, target);
        }
    }
    closedir(dir);
}

void hd_tar_tree(struct hd_tar *t, const char *name, const char *path)
{
    add_tree(t, name, path, 0);
}

int hd_tar_end(struct hd_tar *t, struct hd_error *err)
{
    static const char zeros[2 * BLOCK];
    add(t, zeros, sizeof(zeros));
    write_out(t);
    hd_buf_done(&t->out);
    if (t->err.code != 0 && err != NULL)
        *err = t->err;
    return t->err.code;
}
