/* A program that speaks the host protocol itself, as those with libheddle-function do, is offered
 * the node's socket: it listens at another path and says so, and its socket takes the place of
 * ours. From then on the node reaches it without us, and we only look after it. */
#include "shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "shim/envtable.h"

enum { PROGRAM_MAX = 256 << 20 };

static const char sign[] = "HEDDLE_DIRECT_SOCKET";

/* Who has never heard of the offer does not find it in its environment. */
static bool knows_of_it(const char *program)
{
    int fd = open(program, O_RDONLY | O_CLOEXEC);
    struct stat st;
    bool found = false;
    if (fd < 0)
        return false;
    if (fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size < PROGRAM_MAX) {
        size_t bytes = (size_t)st.st_size;
        void *text = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        if (text != MAP_FAILED) {
            found = memmem(text, bytes, sign, sizeof(sign) - 1) != NULL;
            munmap(text, bytes);
        }
    }
    close(fd);
    return found;
}

int hd_shim_direct_offer(struct hd_shim *s, const char *program, char ***env)
{
    struct hd_shim_direct *d = &s->direct;
    int ends[2];
    if (s->opt.socket == NULL || s->exts.n > 0 || !knows_of_it(program))
        return -1;
    hd_auto_free char *path = hd_printf("%s.d", s->opt.socket);
    if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path) ||
        pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    free(d->path);
    d->path = hd_steal(path);
    d->read_fd = ends[0];
    d->write_fd = ends[1];
    hd_auto_free char *socket = hd_printf("%s=%s", sign, d->path);
    hd_auto_free char *token = hd_printf("HEDDLE_DIRECT_TOKEN=%s", s->opt.token);
    hd_auto_free char *fd = hd_printf("HEDDLE_DIRECT_FD=%d", d->write_fd);
    hd_envtable_set(env, socket);
    hd_envtable_set(env, token);
    hd_envtable_set(env, fd);
    explicit_bzero(token, strlen(token));
    return d->write_fd;
}

static void stop(struct hd_shim *s)
{
    struct hd_shim_direct *d = &s->direct;
    int fd = d->watched.fd;
    if (!d->watching)
        return;
    d->watching = false;
    hd_ready_stop(hd_loop_ready(s->loop), &d->watched);
    close(fd);
}

static void on_ready(struct hd_watched *w, uint32_t events)
{
    static const char word[] = "direct\n";
    struct hd_shim *s = hd_container_of(w, struct hd_shim, direct.watched);
    struct hd_shim_direct *d = &s->direct;
    char said[sizeof(word)];
    (void)events;
    ssize_t n = read(w->fd, said, sizeof(said));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    stop(s);
    if (n != sizeof(word) - 1 || memcmp(said, word, sizeof(word) - 1) != 0 ||
        s->phase != HD_SHIM_INIT)
        return; /* it ended, or will call `next` */
    if (rename(d->path, s->opt.socket) == 0) {
        hd_shim_direct_taken(s);
        return;
    }
    struct hd_failure failure = {0};
    hd_failure_set(&failure, "Runtime.InvalidEntrypoint", "it said to listen at %s: %s", d->path,
                   strerrordesc_np(errno));
    hd_shim_failed(s, &failure);
    hd_failure_done(&failure);
}

void hd_shim_direct_started(struct hd_shim *s, bool started)
{
    struct hd_shim_direct *d = &s->direct;
    if (d->write_fd <= 0)
        return;
    close(d->write_fd);
    d->write_fd = 0;
    d->watched = (struct hd_watched){.on_ready = on_ready, .fd = -1};
    d->watching = started && hd_ready_watch(hd_loop_ready(s->loop), &d->watched, d->read_fd) == 0;
    if (!d->watching)
        close(d->read_fd);
}

void hd_shim_direct_close(struct hd_shim *s)
{
    stop(s);
    if (s->direct.path != NULL)
        unlink(s->direct.path); /* what was begun there and did not come to be */
    free(s->direct.path);
    s->direct.path = NULL;
}
