/*  client ──127.0.0.1──► near ─► buffer ─► far ──Unix socket──► service       and the same way back
 * One of the two that says that it has no more is told to the other; both ends said, or one broke:
 * the pair is closed. All of it is one poll() in a thread or a child of its own. */
#include "shim/relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BUFFER_BYTES = 16 << 10, NEAR = 0, FAR = 1, RETRY_MS = 100 };

struct way { /* from side i to the other one */
    char bytes[BUFFER_BYTES];
    size_t begin, end;
    bool over; /* nothing more comes */
    bool told; /* and the other one knows */
};

struct pair {
    int fds[2];
    struct way *ways[2];
};

struct relay {
    int listener;
    const char *path;
    struct pair pairs[HD_SHIM_RELAY_PAIRS];
    unsigned n;
};

/* --- pairs --- */

static int connect_far(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len >= sizeof(at.sun_path))
        return -1;
    memcpy(at.sun_path, path, len + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && (connect(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ||
                    fcntl(fd, F_SETFL, O_NONBLOCK) < 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* @return false: nobody can be taken now. */
static bool accept_one(struct relay *r)
{
    int near = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (near < 0)
        return errno == EINTR || errno == ECONNABORTED || errno == EAGAIN;
    int far = connect_far(r->path);
    if (far < 0) {
        close(near); /* the client sees what it would see of a service that is not there */
        return true;
    }
    struct pair *p = &r->pairs[r->n++];
    *p = (struct pair){.fds = {near, far}};
    for (int i = 0; i < 2; i++)
        p->ways[i] = hd_new(struct way);
    return true;
}

static void close_pair(struct relay *r, unsigned at)
{
    struct pair *p = &r->pairs[at];
    for (int i = 0; i < 2; i++) {
        close(p->fds[i]);
        free(p->ways[i]);
    }
    *p = r->pairs[--r->n];
}

/* --- bytes --- */

/* @return false: it is broken. */
static bool fill(struct way *w, int from)
{
    if (w->over || w->begin < w->end)
        return true;
    ssize_t n = read(from, w->bytes, sizeof(w->bytes));
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    w->over = n == 0;
    w->begin = 0;
    w->end = (size_t)n;
    return true;
}

static bool empty(struct way *w, int to)
{
    while (w->begin < w->end) {
        ssize_t n = send(to, w->bytes + w->begin, w->end - w->begin, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        w->begin += (size_t)n;
    }
    if (w->over && !w->told) {
        w->told = true;
        shutdown(to, SHUT_WR);
    }
    return true;
}

/* @return false: it is over. */
static bool carry(struct pair *p, const struct pollfd *seen)
{
    for (int i = 0; i < 2; i++) {
        bool readable = (seen[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0;
        if (readable && !fill(p->ways[i], p->fds[i]))
            return false;
        if (!empty(p->ways[i], p->fds[1 - i]))
            return false;
    }
    return !p->ways[NEAR]->told || !p->ways[FAR]->told;
}

/* What there is to wait for at one side; nothing: a side that has hung up would be told for ever.
 */
static struct pollfd interest(const struct pair *p, int side)
{
    const struct way *from = p->ways[side], *to = p->ways[1 - side];
    short events = 0;
    if (!from->over && from->begin == from->end)
        events |= POLLIN;
    if (to->begin < to->end)
        events |= POLLOUT;
    return (struct pollfd){.fd = events != 0 ? p->fds[side] : -1, .events = events};
}

static void run(struct relay *r)
{
    struct pollfd all[1 + 2 * HD_SHIM_RELAY_PAIRS];
    bool tired = false; /* of descriptors, say: it is tried again soon */
    for (;;) {
        unsigned n = r->n;
        bool takes = n < HD_SHIM_RELAY_PAIRS && !tired;
        all[0] = (struct pollfd){.fd = takes ? r->listener : -1, .events = POLLIN};
        for (unsigned i = 0; i < n; i++)
            for (int side = 0; side < 2; side++)
                all[1 + 2 * i + (unsigned)side] = interest(&r->pairs[i], side);
        int ready = poll(all, 1 + 2 * n, tired ? RETRY_MS : -1);
        tired = false;
        if (ready < 0)
            continue;
        for (unsigned i = n; i-- > 0;) /* from the end: the last one takes the place of one that is
                                          closed, and has been looked at */
            if (!carry(&r->pairs[i], &all[1 + 2 * i]))
                close_pair(r, i);
        if (all[0].revents != 0)
            tired = !accept_one(r);
    }
}

/* --- the beginning --- */

static int listen_near(uint16_t *port, struct hd_error *err)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(*port)};
    socklen_t len = sizeof(at);
    int on = 1;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return hd_fail_sys(err, errno, "a socket");
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, SOMAXCONN) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) < 0) {
        int sys = errno;
        close(fd);
        return hd_fail_sys(err, sys, "port %u", *port);
    }
    *port = ntohs(at.sin_port);
    return fd;
}

static void *thread(void *arg)
{
    run(arg);
    return NULL;
}

static int start_thread(struct relay *r, struct hd_error *err)
{
    sigset_t all, before;
    pthread_t id;
    sigfillset(&all); /* signals are the other thread's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int sys = pthread_create(&id, NULL, thread, r);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (sys != 0)
        return hd_fail_sys(err, sys, "a thread");
    pthread_detach(id);
    return 0;
}

/* It holds nothing open but what it needs, and ends with who started it. */
static int start_process(struct relay *r, struct hd_error *err)
{
    pid_t parent = getpid(), child = fork();
    if (child < 0)
        return hd_fail_sys(err, errno, "a process");
    if (child > 0) {
        close(r->listener);
        free(r);
        return 0;
    }
    prctl(PR_SET_NAME, "heddle-lanes");
    if (setsid() < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
        _exit(1);
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        close(fd);
    clearenv();
    run(r);
    _exit(0);
}

int hd_shim_relay(uint16_t port, const char *path, bool own_process, struct hd_error *err)
{
    int fd = listen_near(&port, err);
    if (fd < 0)
        return fd;
    struct relay *r = hd_new(struct relay);
    *r = (struct relay){.listener = fd, .path = path};
    int rc = own_process ? start_process(r, err) : start_thread(r, err);
    if (rc == 0)
        return port;
    close(fd);
    free(r);
    return rc;
}
