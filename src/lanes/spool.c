/*  taken ──► filling ──(nothing is being written)──► writing, on a work thread ──► on_idle, or the
 *                                                                                  next batch
 * What is being written belongs to the work thread, with the open file. */
#include "lanes/spool.h"

#include "core/buf.h"
#include "core/id.h"
#include "core/work.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_BYTES = 16, BATCH_MAX = 16 << 20 };

/* The next `len` bytes of a batch go to this file. */
struct piece {
    unsigned file;
    size_t len;
};

struct batch {
    struct hd_buf pieces, bytes;
};

struct hd_spool {
    struct hd_loop *loop;
    char *dir;
    unsigned files; /* begun */
    struct batch filling, writing;
    bool busy, dead;
    /* of the work thread, while it is busy */
    bool made;     /* the folder is there */
    int fd;        /* of file `open`; -1: none */
    unsigned open; /* made so far; the last one may be open */
    struct hd_error error;
    void (*on_idle)(void *arg);
    void *arg;
    void (*gone)(void *arg);
    void *gone_arg;
};

static void batch_init(struct batch *b)
{
    hd_buf_init(&b->pieces, BATCH_MAX);
    hd_buf_init(&b->bytes, BATCH_MAX);
}

static void batch_done(struct batch *b)
{
    hd_buf_done(&b->pieces);
    hd_buf_done(&b->bytes);
}

struct hd_spool *hd_spool_new(struct hd_loop *loop, const char *dir, void (*on_idle)(void *arg),
                              void *arg)
{
    struct hd_spool *s = hd_new(struct hd_spool);
    unsigned char name[NAME_BYTES];
    char hex[2 * NAME_BYTES + 1];
    hd_random(name, sizeof(name));
    hd_hex(hex, name, sizeof(name));
    s->loop = loop;
    s->dir = hd_printf("%s/%s", dir, hex);
    s->fd = -1;
    s->on_idle = on_idle;
    s->arg = arg;
    batch_init(&s->filling);
    batch_init(&s->writing);
    return s;
}

char *hd_spool_path(const struct hd_spool *s, unsigned file)
{
    return hd_printf("%s/%u", s->dir, file);
}

/* --- on a work thread --- */

static int open_next(struct hd_spool *s)
{
    if (!s->made && (mkdir(s->dir, 0711) < 0 || chmod(s->dir, 0711) < 0))
        return hd_fail_sys(&s->error, errno, "folder %s", s->dir);
    s->made = true;
    if (s->fd >= 0)
        close(s->fd);
    hd_auto_free char *path = hd_spool_path(s, s->open++);
    s->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (s->fd < 0 || fchmod(s->fd, 0644) < 0)
        return hd_fail_sys(&s->error, errno, "file %s", path);
    return 0;
}

static int write_all(struct hd_spool *s, struct hd_str bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(s->fd, bytes.ptr, bytes.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return hd_fail_sys(&s->error, errno, "file %s/%u", s->dir, s->open - 1);
        bytes = hd_str_n(bytes.ptr + n, bytes.len - (size_t)n);
    }
    return 0;
}

static void write_batch(void *arg)
{
    struct hd_spool *s = arg;
    const struct piece *pieces = (const struct piece *)(const void *)s->writing.pieces.ptr;
    size_t n = s->writing.pieces.len / sizeof(*pieces);
    struct hd_str rest = hd_buf_view(&s->writing.bytes);
    int rc = s->error.code;
    for (size_t i = 0; i < n && rc == 0; i++) {
        while (s->open <= pieces[i].file && rc == 0)
            rc = open_next(s);
        if (rc == 0)
            rc = write_all(s, hd_str_n(rest.ptr, pieces[i].len));
        if (pieces[i].len > 0)
            rest = hd_str_n(rest.ptr + pieces[i].len, rest.len - pieces[i].len);
    }
}

static void remove_all(void *arg)
{
    struct hd_spool *s = arg;
    if (s->fd >= 0)
        close(s->fd);
    for (unsigned i = 0; i < s->open; i++) {
        hd_auto_free char *path = hd_spool_path(s, i);
        unlink(path);
    }
    if (s->made)
        rmdir(s->dir);
}

/* --- on the loop --- */

static void on_removed(void *arg)
{
    struct hd_spool *s = arg;
    batch_done(&s->filling);
    batch_done(&s->writing);
    s->gone(s->gone_arg);
    free(s->dir);
    free(s);
}

static void begin_removal(struct hd_spool *s)
{
    if (s->made && hd_work(s->loop, remove_all, on_removed, s, NULL) == 0)
        return;
    remove_all(s);
    hd_loop_post(s->loop, on_removed, s);
}

static void go_on(struct hd_spool *s);

static void on_written(void *arg)
{
    struct hd_spool *s = arg;
    s->busy = false;
    hd_buf_clear(&s->writing.pieces);
    hd_buf_clear(&s->writing.bytes);
    if (s->dead)
        begin_removal(s);
    else if (s->filling.pieces.len > 0 && s->error.code == 0)
        go_on(s);
    else
        s->on_idle(s->arg);
}

static void go_on(struct hd_spool *s)
{
    if (s->busy)
        return;
    struct batch full = s->filling;
    s->filling = s->writing;
    s->writing = full;
    s->busy = true;
    if (hd_buf_failed(&full.bytes) || hd_buf_failed(&full.pieces))
        hd_fail(&s->error, HD_EIO, "files come faster than they can be written");
    if (s->error.code != 0 || hd_work(s->loop, write_batch, on_written, s, &s->error) < 0)
        hd_loop_post(s->loop, on_written, s);
}

static void add(struct hd_spool *s, struct hd_str bytes)
{
    struct hd_buf *pieces = &s->filling.pieces;
    struct piece *last =
        pieces->len > 0 ? (struct piece *)(void *)(pieces->ptr + pieces->len - sizeof(struct piece))
                        : NULL;
    if (last != NULL && last->file == s->files - 1) {
        last->len += bytes.len;
    } else {
        struct piece p = {.file = s->files - 1, .len = bytes.len};
        hd_buf_add(pieces, &p, sizeof(p));
    }
    hd_buf_str(&s->filling.bytes, bytes);
    go_on(s);
}

unsigned hd_spool_begin(struct hd_spool *s)
{
    s->files++;
    add(s, hd_str_n(NULL, 0));
    return s->files - 1;
}

bool hd_spool_write(struct hd_spool *s, struct hd_str bytes)
{
    add(s, bytes);
    return s->filling.bytes.len + s->writing.bytes.len < HD_SPOOL_QUEUED;
}

bool hd_spool_is_idle(const struct hd_spool *s)
{
    return !s->busy;
}

int hd_spool_failed(const struct hd_spool *s, struct hd_error *err)
{
    if (!s->busy && s->error.code != 0)
        return hd_fail(err, s->error.code, "%s", s->error.msg);
    return 0;
}

void hd_spool_free(struct hd_spool *s, void (*gone)(void *arg), void *arg)
{
    s->dead = true;
    s->gone = gone;
    s->gone_arg = arg;
    if (!s->busy)
        begin_removal(s);
}
