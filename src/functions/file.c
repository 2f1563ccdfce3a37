#include "functions/file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

bool hd_file_id_eq(const struct hd_file_id *a, const struct hd_file_id *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

static int64_t nanoseconds(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

struct hd_file_id hd_file_id_of(const struct stat *st)
{
    return (struct hd_file_id){.device = (uint64_t)st->st_dev,
                               .inode = (uint64_t)st->st_ino,
                               .size = (uint64_t)st->st_size,
                               .mtime_ns = nanoseconds(st->st_mtim),
                               .ctime_ns = nanoseconds(st->st_ctim)};
}

static int read_all(struct hd_buf *out, int fd, size_t expected, const char *path,
                    struct hd_error *err)
{
    for (;;) {
        size_t left = out->max - out->len;
        if (left == 0) {
            char more;
            if (read(fd, &more, 1) == 0)
                return 0;
            return hd_fail(err, HD_EBUSY, "%s: is bigger than %zu bytes", path, out->max);
        }
        /* One byte more than expected, so that the end is seen without growing. */
        size_t wanted = HD_MAX(expected + 1, (size_t)512);
        size_t room = HD_MIN(wanted, left);
        char *to = hd_buf_reserve(out, room);
        ssize_t n = read(fd, to, room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return hd_fail_sys(err, errno, "%s: cannot be read", path);
        if (n == 0)
            return 0;
        hd_buf_commit(out, (size_t)n);
        expected = expected > (size_t)n ? expected - (size_t)n : 0;
    }
}

int hd_file_read(struct hd_buf *out, const char *path, struct stat *st, struct hd_error *err)
{
    struct stat own;
    st = st != NULL ? st : &own;
    /* Without O_NONBLOCK a pipe that nobody writes to would hold this thread for ever. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return hd_fail_sys(err, errno, "%s: cannot be opened", path);
    int rc;
    if (fstat(fd, st) < 0)
        rc = hd_fail_sys(err, errno, "%s", path);
    else if (!S_ISREG(st->st_mode))
        rc = hd_fail(err, HD_EINVAL, "%s: is not a regular file", path);
    else
        rc = read_all(out, fd, (size_t)st->st_size, path, err);
    close(fd);
    return rc;
}

char *hd_file_join(const char *dir, const char *name)
{
    if (name[0] == '/')
        return hd_strdup(name);
    size_t len = strlen(dir);
    return hd_printf("%s%s%s", dir, len > 0 && dir[len - 1] == '/' ? "" : "/", name);
}

char *hd_file_clean(const char *path)
{
    size_t cap = strlen(path) + 2, len = 0;
    char *out = hd_alloc(cap);
    bool absolute = path[0] == '/';
    if (absolute)
        out[len++] = '/';
    size_t floor = len; /* ".." does not go below */
    struct hd_str rest = hd_str(path), part;
    while (hd_str_split(&part, &rest, '/')) {
        if (part.len == 0 || hd_str_is(part, "."))
            continue;
        if (hd_str_is(part, "..")) {
            if (len > floor) {
                while (len > floor && out[len - 1] != '/')
                    len--;
                if (len > floor)
                    len--; /* the slash */
                continue;
            }
            if (absolute)
                continue;
            /* a relative path that climbs keeps its ".." */
        }
        if (len > 0 && out[len - 1] != '/')
            out[len++] = '/';
        memcpy(out + len, part.ptr, part.len);
        len += part.len;
        if (hd_str_is(part, ".."))
            floor = len;
    }
    if (len == 0)
        out[len++] = '.';
    out[len] = '\0';
    return out;
}

bool hd_file_within(const char *path, const char *dir)
{
    size_t len = strlen(dir);
    if (len == 1 && dir[0] == '/')
        return path[0] == '/';
    return strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

const char *hd_file_below(const char *path, const char *dir)
{
    if (!hd_file_within(path, dir))
        return path;
    const char *rest = path + strlen(dir);
    return *rest == '/' ? rest + 1 : rest;
}
