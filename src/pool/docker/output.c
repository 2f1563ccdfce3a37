#include "pool/docker/output.h"

#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 64 << 10, READS_MAX = 64 };

/* @return whether it is empty now. */
static bool read_all(struct hd_docker_stream *s)
{
    char buf[READ_BYTES];
    for (int i = 0; i < READS_MAX; i++) {
        ssize_t n = read(s->watched.fd, buf, sizeof(buf));
        if (n <= 0)
            return true;
        hd_capture_feed(&s->capture, hd_str_n(buf, (size_t)n), s->all->on_line, s->all->arg);
    }
    return false;
}

static void on_ready(struct hd_watched *w, uint32_t events)
{
    struct hd_docker_stream *s = hd_container_of(w, struct hd_docker_stream, watched);
    (void)events;
    if (!read_all(s))
        hd_ready_again(hd_loop_ready(s->all->loop), w);
}

static void close_stream(struct hd_docker_stream *s)
{
    int fd = s->watched.fd;
    if (fd < 0)
        return;
    hd_ready_stop(hd_loop_ready(s->all->loop), &s->watched);
    close(fd);
    s->watched.fd = -1;
}

static int open_stream(struct hd_docker_stream *s, struct hd_docker_output *o, const char *dir,
                       const char *name, uint32_t uid, uint32_t gid, struct hd_error *err)
{
    hd_auto_free char *path = hd_printf("%s/%s", dir, name);
    s->all = o;
    s->watched = (struct hd_watched){.on_ready = on_ready, .fd = -1};
    if (mkfifo(path, 0600) < 0)
        return hd_fail_sys(err, errno, "%s", path);
    /* Held open for writing too: there is no end of it while nobody has opened it yet. */
    int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return hd_fail_sys(err, errno, "%s", path);
    if (geteuid() == 0 && fchown(fd, uid, gid) < 0) {
        int sys = errno;
        close(fd);
        return hd_fail_sys(err, sys, "%s", path);
    }
    int rc = hd_ready_watch(hd_loop_ready(o->loop), &s->watched, fd);
    if (rc == 0)
        return 0;
    close(fd);
    s->watched.fd = -1;
    return hd_fail_sys(err, -rc, "%s", path);
}

int hd_docker_output_open(struct hd_docker_output *o, struct hd_loop *loop, const char *dir,
                          uint32_t uid, uint32_t gid, const char *token, hd_capture_fn on_line,
                          void *arg, struct hd_error *err)
{
    *o = (struct hd_docker_output){.loop = loop, .on_line = on_line, .arg = arg, .open = true};
    hd_capture_init(&o->out.capture, hd_str_n(NULL, 0), HD_INFO);
    hd_capture_init(&o->err.capture, hd_str(token), HD_WARN);
    o->err.watched.fd = -1;
    int rc = open_stream(&o->out, o, dir, "out", uid, gid, err);
    if (rc == 0)
        rc = open_stream(&o->err, o, dir, "err", uid, gid, err);
    if (rc < 0)
        hd_docker_output_close(o);
    return rc;
}

void hd_docker_output_feed(struct hd_docker_output *o, bool is_err, struct hd_str bytes)
{
    if (o->open)
        hd_capture_feed(is_err ? &o->err.capture : &o->out.capture, bytes, o->on_line, o->arg);
}

void hd_docker_output_flush(struct hd_docker_output *o)
{
    struct hd_docker_stream *const both[] = {&o->out, &o->err};
    for (size_t i = 0; o->open && i < HD_COUNT(both); i++) {
        while (!read_all(both[i]))
            ;
        hd_capture_flush(&both[i]->capture, o->on_line, o->arg);
    }
}

void hd_docker_output_close(struct hd_docker_output *o)
{
    struct hd_docker_stream *const both[] = {&o->out, &o->err};
    if (!o->open)
        return;
    o->open = false;
    for (size_t i = 0; i < HD_COUNT(both); i++) {
        if (both[i]->watched.fd >= 0)
            read_all(both[i]);
        hd_capture_end(&both[i]->capture, o->on_line, o->arg);
        hd_capture_done(&both[i]->capture);
        both[i]->all = o;
        close_stream(both[i]);
    }
}
