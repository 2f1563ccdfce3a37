/* A file as the answer: read piece by piece on work threads, as fast as the client takes it.
 *
 * OPENING ─► READING ─► written; the client takes it ─► READING ... ─► end
 *                          └─ it does not: wait for writable ─┘ */
#include "lambda/door/door_private.h"

#include "core/work.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE_BYTES = 256 * 1024 };

struct hd_door_file {
    struct hd_door_request *request;
    char *path;
    int fd;
    int64_t size, sent; /* size -1: not known yet */
    ssize_t got;
    bool reading, waiting, failed;
    char bytes[PIECE_BYTES];
};

static void free_file(struct hd_door_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    free(f->path);
    free(f);
}

/* Off the loop: open it the first time, then read. */
static void read_piece(void *arg)
{
    struct hd_door_file *f = arg;
    struct stat st;
    if (f->fd < 0) {
        f->fd = open(f->path, O_RDONLY | O_CLOEXEC);
        if (f->fd < 0 || fstat(f->fd, &st) != 0 || !S_ISREG(st.st_mode)) {
            f->failed = true;
            return;
        }
        f->size = st.st_size;
    }
    do
        f->got = read(f->fd, f->bytes, sizeof(f->bytes));
    while (f->got < 0 && errno == EINTR);
}

static void on_read(void *arg);

static void read_on(struct hd_door_file *f)
{
    f->reading = true;
    if (hd_work(f->request->door->net->loop, read_piece, on_read, f, NULL) == 0)
        return;
    f->failed = true;
    on_read(f);
}

static void end(struct hd_door_file *f)
{
    struct hd_door_request *r = f->request;
    r->file = NULL;
    free_file(f);
    hd_door_end(r);
}

/* Half of it is out: only a broken connection says that it is not whole. */
static void break_off(struct hd_door_file *f)
{
    struct hd_exchange *ex = f->request->ex;
    f->request->ex = NULL;
    hd_exchange_abort(ex);
    end(f);
}

static void fail(struct hd_door_file *f)
{
    struct hd_door_request *r = f->request;
    r->file = NULL;
    free_file(f);
    hd_door_failf(r, HD_API_SERVICE, "The file cannot be read.");
}

static bool begin(struct hd_door_request *r, struct hd_door_file *f, struct hd_str piece, bool last)
{
    struct hd_field fields[] = {{HD_LIT("content-type"), HD_LIT("application/zip")},
                                {HD_LIT("x-amzn-RequestId"), hd_str(r->id)}};
    struct hd_response_head head = {
        .status = 200, .fields = fields, .n_fields = 2, .body_bytes = f->size};
    struct hd_exchange *ex = r->ex;
    r->responded = true;
    if (last)
        r->ex = NULL;
    return hd_exchange_respond(ex, &head, piece, last);
}

static void on_read(void *arg)
{
    struct hd_door_file *f = arg;
    struct hd_door_request *r = f->request;
    f->reading = false;
    if (r->ex == NULL) { /* the client went away */
        end(f);
        return;
    }
    bool cut = f->got <= 0 && f->sent < f->size;
    if (f->failed || cut || f->sent + f->got > f->size) {
        if (r->responded)
            break_off(f);
        else
            fail(f);
        return;
    }
    struct hd_str piece = hd_str_n(f->bytes, (size_t)f->got);
    bool last = f->sent + f->got == f->size, flows;
    f->sent += f->got;
    if (!r->responded) {
        flows = begin(r, f, piece, last);
    } else {
        struct hd_exchange *ex = r->ex;
        if (last)
            r->ex = NULL;
        flows = hd_exchange_write(ex, piece, last);
    }
    if (last)
        end(f);
    else if (flows)
        read_on(f);
    else
        f->waiting = true;
}

void hd_door_file_writable(struct hd_door_request *r)
{
    if (!r->file->waiting)
        return;
    r->file->waiting = false;
    read_on(r->file);
}

void hd_door_file_gone(struct hd_door_request *r)
{
    if (!r->file->reading)
        end(r->file);
}

void hd_door_send_file(struct hd_door_request *r, const char *path)
{
    struct hd_door_file *f = hd_new(struct hd_door_file);
    f->request = r;
    f->path = hd_strdup(path);
    f->fd = -1;
    f->size = -1;
    r->file = f;
    if (r->ex == NULL)
        end(f);
    else
        read_on(f);
}
