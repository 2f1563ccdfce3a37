#include "pool/docker/fill.h"

#include "core/tar.h"
#include "core/work.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { SEND_MS = 300000 };

struct hd_fill {
    struct hd_loop *loop;
    struct hd_engine *engine;
    char *container, *dir;
    json_t *mounts;
    int fd; /* the archive */
    struct hd_engine_call *call;
    struct hd_error err;
    void (*done)(void *arg, const struct hd_error *err);
    void *arg;
    bool canceled;
};

static void finish(struct hd_fill *f)
{
    if (f->canceled)
        hd_fail(&f->err, HD_ECANCELED, "canceled");
    if (f->fd >= 0)
        close(f->fd);
    f->done(f->arg, f->err.code != 0 ? &f->err : NULL);
    json_decref(f->mounts);
    free(f->container);
    free(f->dir);
    free(f);
}

/* --- the archive, on a thread of its own --- */

static void add(struct hd_tar *t, const char *from, const char *to, bool read_only)
{
    struct stat st;
    const char *name = to + strspn(to, "/");
    if (!read_only)
        hd_tar_folder(t, name, 01777);
    else if (stat(from, &st) < 0)
        hd_fail_sys(&t->err, errno, "%s", from);
    else if (S_ISDIR(st.st_mode))
        hd_tar_tree(t, name, from);
    else
        hd_tar_file(t, name, 0755, from);
}

static void write_archive(void *arg)
{
    struct hd_fill *f = arg;
    struct hd_tar tar;
    size_t i;
    json_t *mount;
    f->fd = open(f->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (f->fd < 0) {
        hd_fail_sys(&f->err, errno, "%s", f->dir);
        return;
    }
    hd_tar_begin(&tar, f->fd);
    hd_tar_folder(&tar, "heddle", 0755);
    json_array_foreach(f->mounts, i, mount)
    {
        if (tar.err.code == 0)
            add(&tar, json_string_value(json_object_get(mount, "Source")),
                json_string_value(json_object_get(mount, "Target")),
                json_is_true(json_object_get(mount, "ReadOnly")));
    }
    hd_tar_end(&tar, &f->err);
}

/* --- on the loop --- */

static void on_sent(void *arg, const struct hd_engine_answer *a)
{
    struct hd_fill *f = arg;
    if (a->status != 200) {
        int code = a->status >= 400 && a->status < 500 ? HD_EINVAL : HD_EIO;
        hd_engine_fail(&f->err, code, a, "putting files into a container");
    }
    finish(f);
}

static void on_written(void *arg)
{
    struct hd_fill *f = arg;
    if (f->canceled || f->err.code != 0) {
        hd_wrap(&f->err, 0, "the archive for a container");
        finish(f);
        return;
    }
    hd_auto_free char *path =
        hd_printf("/containers/%s/archive?path=/&noOverwriteDirNonDir=true", f->container);
    struct hd_engine_request req = {
        .method = "PUT", .path = path, .body_fd = &f->fd, .timeout_ms = SEND_MS};
    f->call = hd_engine_ask(f->engine, &req, on_sent, f);
}

int hd_fill_start(struct hd_fill **out, struct hd_loop *loop, struct hd_engine *engine,
                  const char *container, const json_t *mounts, const char *dir,
                  void (*done)(void *arg, const struct hd_error *err), void *arg,
                  struct hd_error *err)
{
    struct hd_fill *f = hd_new(struct hd_fill);
    *f = (struct hd_fill){.loop = loop,
                          .engine = engine,
                          .container = hd_strdup(container),
                          .dir = hd_strdup(dir),
                          .mounts = json_deep_copy(mounts),
                          .fd = -1,
                          .done = done,
                          .arg = arg};
    int rc = hd_work(loop, write_archive, on_written, f, err);
    if (rc < 0) {
        json_decref(f->mounts);
        free(f->container);
        free(f->dir);
        free(f);
        return rc;
    }
    *out = f;
    return 0;
}

void hd_fill_cancel(struct hd_fill *f)
{
    if (f->canceled)
        return;
    f->canceled = true;
    if (f->call != NULL)
        hd_engine_cancel(f->call);
}
