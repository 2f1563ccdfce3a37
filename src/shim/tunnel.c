#include "shim/tunnel.h"

#include "http/tunnel.h"
#include "shim/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    EXIT_NO_SOCKET = 64,
    EXIT_SYSTEM = 71,
    EXIT_SIGNAL = 128, /* and its number, as shells have it */
    READ_BYTES = 32 << 10,
    ARGV_MAX = 1024,
    REST_FIRST_MS = 20, /* for what is still to come when the program ended */
    REST_LOOK_MS = 10,
    REST_LOOKS = 100,
};

struct pipe {
    struct hd_watched watched;
    struct shim_tunnel *tunnel;
    uint32_t which;
    bool waits; /* it may have more, and there is no room */
};

struct shim_tunnel {
    struct hd_loop *loop;
    struct hd_net *net;
    struct hd_tunnel *inner;
    struct hd_watched up, down, signals, lanes; /* stdin, stdout */
    struct pipe out, err;
    struct hd_timer rest;
    unsigned looks;
    pid_t child;
    int exit_code;
    bool ended;
};

static void stop(struct shim_tunnel *t, int exit_code)
{
    if (!t->ended)
        t->exit_code = exit_code;
    t->ended = true;
    hd_loop_stop(t->loop);
}

/* --- output --- */

static void read_pipe(struct pipe *p)
{
    char bytes[READ_BYTES];
    while (p->watched.fd >= 0) {
        size_t room = hd_tunnel_output_room(p->tunnel->inner, p->which);
        p->waits = room == 0;
        if (room == 0)
            return;
        ssize_t n = read(p->watched.fd, bytes, HD_MIN(room, sizeof(bytes)));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            hd_ready_stop(hd_loop_ready(p->tunnel->loop), &p->watched);
        else
            hd_tunnel_output(p->tunnel->inner, p->which, hd_str_n(bytes, (size_t)n));
    }
}

static void on_pipe(struct hd_watched *w, uint32_t events)
{
    (void)events;
    read_pipe(hd_container_of(w, struct pipe, watched));
}

static void on_room(void *arg)
{
    struct shim_tunnel *t = arg;
    if (t->out.waits)
        read_pipe(&t->out);
    if (t->err.waits)
        read_pipe(&t->err);
}

static void on_turn(void *arg)
{
    struct shim_tunnel *t = arg;
    read_pipe(&t->out);
    read_pipe(&t->err);
}

/* --- the carrier --- */

static size_t send_down(void *arg, struct hd_str bytes)
{
    struct shim_tunnel *t = arg;
    size_t sent = 0;
    while (sent < bytes.len && t->down.fd >= 0) {
        ssize_t n = write(t->down.fd, bytes.ptr + sent, bytes.len - sent);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            stop(t, EXIT_SYSTEM);
        if (n < 0)
            break;
        sent += (size_t)n;
    }
    return sent;
}

static void on_down(struct hd_watched *w, uint32_t events)
{
    struct shim_tunnel *t = hd_container_of(w, struct shim_tunnel, down);
    if ((events & EPOLLERR) != 0)
        stop(t, EXIT_SYSTEM); /* nobody reads it any more */
    else
        hd_tunnel_writable(t->inner);
}

static void on_up(struct hd_watched *w, uint32_t events)
{
    struct shim_tunnel *t = hd_container_of(w, struct shim_tunnel, up);
    struct hd_error err;
    char bytes[READ_BYTES];
    (void)events;
    for (;;) {
        ssize_t n = read(w->fd, bytes, sizeof(bytes));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n > 0 && hd_tunnel_feed(t->inner, hd_str_n(bytes, (size_t)n), &err) == 0)
            continue;
        if (n > 0)
            fprintf(stderr, "heddle-shim: %s\n", err.msg);
        hd_ready_stop(hd_loop_ready(t->loop), w);
        stop(t, n == 0 ? 0 : EXIT_SYSTEM);
        return;
    }
}

/* --- the program --- */

static void on_rest(struct hd_timer *timer)
{
    struct shim_tunnel *t = hd_container_of(timer, struct shim_tunnel, rest);
    on_turn(t);
    if (hd_tunnel_is_flushed(t->inner) || ++t->looks >= REST_LOOKS)
        hd_loop_stop(t->loop);
    else
        hd_timer_start(t->loop, timer, REST_LOOK_MS, on_rest);
}

static void on_child(struct shim_tunnel *t, int status)
{
    t->exit_code = WIFSIGNALED(status) ? EXIT_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
    t->ended = true;
    t->child = 0;
    hd_timer_start(t->loop, &t->rest, REST_FIRST_MS, on_rest);
}

static void on_signal(struct hd_watched *w, uint32_t events)
{
    struct shim_tunnel *t = hd_container_of(w, struct shim_tunnel, signals);
    struct signalfd_siginfo info;
    int status;
    pid_t pid;
    (void)events;
    while (read(w->fd, &info, sizeof(info)) == sizeof(info))
        if (info.ssi_signo != SIGCHLD && t->child != 0)
            kill(t->child, (int)info.ssi_signo);
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == t->child)
            on_child(t, status);
}

static int open_signals(struct shim_tunnel *t)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGCHLD);
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    t->signals.on_ready = on_signal;
    return fd < 0 ? -errno : hd_ready_watch(hd_loop_ready(t->loop), &t->signals, fd);
}

static int start(struct shim_tunnel *t, char **argv, struct hd_error *err)
{
    char *whole[ARGV_MAX] = {"heddle-shim"};
    int out[2], errs[2];
    for (size_t i = 0; argv[i] != NULL; i++) {
        if (i + 2 >= ARGV_MAX)
            return hd_fail(err, HD_EINVAL, "more than %d arguments", ARGV_MAX - 2);
        whole[i + 1] = argv[i];
    }
    if (pipe2(out, O_CLOEXEC) < 0 || pipe2(errs, O_CLOEXEC) < 0)
        return hd_fail_sys(err, errno, "pipe");
    struct hd_tree_program what = {.path = "/proc/self/exe",
                                   .argv = whole,
                                   .env = environ,
                                   .out = out[1],
                                   .err = errs[1],
                                   .keep_fd = -1};
    int rc = hd_tree_start(&t->child, &what, err);
    close(out[1]);
    close(errs[1]);
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    fcntl(errs[0], F_SETFL, O_NONBLOCK);
    t->out = (struct pipe){{.on_ready = on_pipe, .fd = -1}, t, HD_TUNNEL_OUT, false};
    t->err = (struct pipe){{.on_ready = on_pipe, .fd = -1}, t, HD_TUNNEL_ERR, false};
    hd_ready_watch(hd_loop_ready(t->loop), &t->out.watched, out[0]);
    hd_ready_watch(hd_loop_ready(t->loop), &t->err.watched, errs[0]);
    return rc;
}

static int watch_carrier(struct shim_tunnel *t)
{
    fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
    fcntl(STDOUT_FILENO, F_SETFL, fcntl(STDOUT_FILENO, F_GETFL) | O_NONBLOCK);
    t->up.on_ready = on_up;
    t->down.on_ready = on_down;
    int rc = hd_ready_watch(hd_loop_ready(t->loop), &t->down, STDOUT_FILENO);
    return rc < 0 ? rc : hd_ready_watch(hd_loop_ready(t->loop), &t->up, STDIN_FILENO);
}

/* --- what the program reaches of the node --- */

static void on_local(struct hd_watched *w, uint32_t events)
{
    struct shim_tunnel *t = hd_container_of(w, struct shim_tunnel, lanes);
    int fd;
    (void)events;
    while ((fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        hd_tunnel_adopt(t->inner, fd);
}

/* "--lanes PORT:PATH" of the program: it will connect to PATH. */
static int open_lanes(struct shim_tunnel *t, char **argv, struct hd_error *err)
{
    const char *path = NULL;
    for (; *argv != NULL && strcmp(*argv, "--") != 0; argv++)
        if (strcmp(*argv, "--lanes") == 0 && argv[1] != NULL)
            path = strchr(argv[1], ':');
    if (path == NULL)
        return 0;
    t->lanes.on_ready = on_local;
    return hd_listen_local(&t->lanes, t->loop, path + 1, err);
}

static int open_all(struct shim_tunnel *t, const char *socket, char **argv, struct hd_error *err)
{
    struct hd_endpoint to = {.kind = HD_ENDPOINT_UNIX};
    if (strlen(socket) >= sizeof(to.address))
        return hd_fail(err, HD_EINVAL, "HEDDLE_SOCKET: longer than %zu bytes",
                       sizeof(to.address) - 1);
    memcpy(to.address, socket, strlen(socket) + 1);
    hd_tree_adopt();
    int rc = hd_loop_new(&t->loop, 0, err);
    if (rc < 0)
        return rc;
    t->net = hd_net_new(t->loop);
    struct hd_tunnel_options opt = {.net = t->net,
                                    .send = send_down,
                                    .on_room = on_room,
                                    .on_turn = on_turn,
                                    .arg = t,
                                    .shim = true,
                                    .to = &to};
    t->inner = hd_tunnel_new(&opt);
    hd_tunnel_open_output(t->inner);
    rc = open_signals(t);
    if (rc == 0)
        rc = watch_carrier(t);
    if (rc < 0)
        return hd_fail_sys(err, -rc, "--tunnel: standard input and output must be pipes");
    rc = open_lanes(t, argv, err);
    return rc < 0 ? rc : start(t, argv, err);
}

int hd_shim_tunnel(char **argv)
{
    struct shim_tunnel *t = hd_new(struct shim_tunnel);
    const char *socket = getenv("HEDDLE_SOCKET");
    struct hd_error err;
    t->up.fd = t->down.fd = t->signals.fd = t->lanes.fd = -1;
    if (socket == NULL || socket[0] == '\0') {
        fputs("heddle-shim: --tunnel: HEDDLE_SOCKET must say where to listen\n", stderr);
        return EXIT_NO_SOCKET;
    }
    if (open_all(t, socket, argv, &err) < 0) {
        fprintf(stderr, "heddle-shim: %s\n", err.msg);
        return EXIT_SYSTEM;
    }
    char *token = getenv("HEDDLE_HOST_TOKEN");
    if (token != NULL) /* the program has it; /proc shows ours */
        explicit_bzero(token, strlen(token));
    hd_loop_run(t->loop);
    hd_tree_signal(getpid(), SIGKILL);
    _exit(t->exit_code);
}
