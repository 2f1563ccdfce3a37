/* main.c - heddle-shim: stands between a node and one function that speaks the Lambda Runtime API,
 * inside the function's own process tree, container or pod. */
#include "shim/shim.h"

#include "shim/relay.h"
#include "shim/tree.h"
#include "shim/tunnel.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { EXIT_USAGE = 64, EXIT_SYSTEM = 71, EXIT_NOT_FOUND = 127, TOKEN_CHARS = 32 };

static const char usage[] =
    "usage: heddle-shim [--port PORT] [--front PORT] [--grace MS] [--stdio DIR | --tunnel]\n"
    "                    [--lanes PORT:PATH] [--exec] [-- COMMAND ARG...]\n"
    "\n"
    "Runs one function that speaks the Lambda Runtime API and serves it to a node by heddle's\n"
    "host protocol. A node starts it; by hand it is of use for tests only.\n"
    "\n"
    "  --port PORT   Runtime API port on 127.0.0.1, in a network of the instance's own: everybody\n"
    "                in it may connect. Without it: any free port, for processes of this user.\n"
    "  --front PORT  COMMAND may take events on 127.0.0.1:PORT, as the emulator of the service's\n"
    "                runtime interface does, instead of asking for them\n"
    "  --grace MS    time between SIGTERM and SIGKILL for a runtime without extensions [0]\n"
    "  --stdio DIR   write standard output and error to DIR/out and DIR/err, which are there\n"
    "  --lanes PORT:PATH  take connections to 127.0.0.1:PORT to the Unix socket PATH\n"
    "  --exec        become COMMAND, which speaks the host protocol itself\n"
    "  --tunnel      comes first: carry HEDDLE_SOCKET and the output through standard input and\n"
    "                output, for a node that is not on this machine; the PATH of --lanes, too\n"
    "  COMMAND       what to run; without it the function's bootstrap\n"
    "\n"
    "Environment:\n"
    "  HEDDLE_SOCKET      path of the Unix socket to listen on, or\n"
    "  PORT               TCP port to listen on\n"
    "  HEDDLE_HOST_TOKEN  32 hex digits that control requests carry\n";

#ifdef HD_SHIM_STATIC
/* libuv can look up a home folder and so refers to this. Nothing here asks it to, and without this
 * the C library's own comes along with the name services that it loads at run time. */
int getpwuid_r(uid_t uid, struct passwd *out, char *text, size_t bytes, struct passwd **found)
{
    (void)uid;
    (void)out;
    (void)text;
    (void)bytes;
    *found = NULL;
    return ENOSYS;
}
#endif

/* --- command line and environment --- */

static int number(uint32_t *out, const char *flag, const char *text, uint32_t max)
{
    uint64_t n = 0;
    if (text == NULL || hd_str_to_u64(&n, hd_str(text)) < 0 || n > max) {
        fprintf(stderr, "heddle-shim: %s: must be a number up to %u\n", flag, max);
        return HD_EINVAL;
    }
    *out = (uint32_t)n;
    return 0;
}

/* Let what is written go where a node reads it, whatever started us. */
static int take_stdio(const char *dir)
{
    static const char *const names[] = {"out", "err"};
    for (int i = 0; i < 2; i++) {
        hd_auto_free char *path = hd_printf("%s/%s", dir != NULL ? dir : "", names[i]);
        int fd = dir != NULL ? open(path, O_WRONLY | O_CLOEXEC) : -1;
        if (fd < 0 || dup2(fd, STDOUT_FILENO + i) < 0) {
            fprintf(stderr, "heddle-shim: --stdio: %s: %s\n", path,
                    dir != NULL ? strerrordesc_np(errno) : "a folder is needed");
            return HD_EINVAL;
        }
        close(fd);
    }
    return 0;
}

/* "9002:/path" */
static int read_relay(struct hd_shim_options *o, char *text)
{
    uint32_t port = 0;
    char *colon = text != NULL ? strchr(text, ':') : NULL;
    if (colon != NULL)
        *colon = '\0';
    if (colon == NULL || colon[1] == '\0' || number(&port, "--lanes", text, UINT16_MAX) < 0) {
        fputs("heddle-shim: --lanes: must be PORT:PATH\n", stderr);
        return HD_EINVAL;
    }
    o->relay_port = (uint16_t)port;
    o->relay_path = colon + 1;
    return 0;
}

/* @return 0; 1: all is said and done; HD_EINVAL. */
static int read_arguments(struct hd_shim_options *o, bool *exec, char **argv)
{
    for (char **a = argv + 1, **value = a; *a != NULL; a = value) {
        uint32_t n = 0;
        if (strcmp(*a, "--") == 0) {
            o->argv = a[1] != NULL ? a + 1 : NULL;
            return 0;
        }
        if (strcmp(*a, "--help") == 0 || strcmp(*a, "--version") == 0) {
            fputs((*a)[2] == 'h' ? usage : "heddle-shim " HD_VERSION "\n", stdout);
            return 1;
        }
        if (strcmp(*a, "--exec") == 0) {
            *exec = true;
            value = a + 1;
            continue;
        }
        if (strcmp(*a, "--stdio") == 0) {
            if (take_stdio(a[1]) < 0)
                return HD_EINVAL;
            value = a + 2;
            continue;
        }
        if (strcmp(*a, "--lanes") == 0) {
            if (read_relay(o, a[1]) < 0)
                return HD_EINVAL;
            value = a + 2;
            continue;
        }
        bool front = strcmp(*a, "--front") == 0;
        bool port = front || strcmp(*a, "--port") == 0;
        if (!port && strcmp(*a, "--grace") != 0) {
            fprintf(stderr, "heddle-shim: %s: not an option; --help says which there are\n", *a);
            return HD_EINVAL;
        }
        if (number(&n, *a, a[1], port ? UINT16_MAX : 60000) < 0)
            return HD_EINVAL;
        if (front)
            o->front_port = (uint16_t)n;
        else if (port)
            o->api_port = (uint16_t)n;
        else
            o->grace_ms = n;
        value = a + 2;
    }
    return 0;
}

/* The secret is nobody's but ours: it goes from where /proc shows it, too. */
static int take_token(struct hd_shim_options *o)
{
    char *token = getenv("HEDDLE_HOST_TOKEN");
    if (token == NULL || strlen(token) != TOKEN_CHARS ||
        strspn(token, "0123456789abcdefABCDEF") != TOKEN_CHARS) {
        fputs("heddle-shim: HEDDLE_HOST_TOKEN: 32 hex digits are needed\n", stderr);
        return HD_EINVAL;
    }
    memcpy(o->token, token, TOKEN_CHARS);
    explicit_bzero(token, TOKEN_CHARS);
    unsetenv("HEDDLE_HOST_TOKEN");
    return 0;
}

static int read_environment(struct hd_shim_options *o)
{
    const char *port = getenv("PORT");
    uint32_t n = 0;
    o->socket = getenv("HEDDLE_SOCKET");
    o->env = environ;
    if (o->socket != NULL && o->socket[0] == '\0')
        o->socket = NULL;
    if (o->socket == NULL && port == NULL) {
        fputs("heddle-shim: HEDDLE_SOCKET or PORT must say where to listen\n", stderr);
        return HD_EINVAL;
    }
    if (o->socket == NULL && number(&n, "PORT", port, UINT16_MAX) < 0)
        return HD_EINVAL;
    o->port = (uint16_t)n;
    int rc = take_token(o);
    o->env = environ;
    return rc;
}

/* --- signals --- */

struct signals {
    struct hd_watched watched;
    struct hd_shim *shim;
};

static void on_signal(struct hd_watched *w, uint32_t events)
{
    struct signals *sg = hd_container_of(w, struct signals, watched);
    struct signalfd_siginfo info;
    bool children = false;
    (void)events;
    while (read(w->fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            children = true;
        else
            hd_shim_asked_to_end(sg->shim);
    }
    if (children)
        hd_shim_reap(sg->shim);
}

static int open_signals(struct signals *sg, struct hd_shim *s, struct hd_error *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGCHLD);
    signal(SIGPIPE, SIG_IGN);
    int fd = sigprocmask(SIG_BLOCK, &set, NULL) < 0
                 ? -1
                 : signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    *sg = (struct signals){.watched = {.on_ready = on_signal, .fd = -1}, .shim = s};
    int rc = fd < 0 ? -errno : hd_ready_watch(hd_loop_ready(s->loop), &sg->watched, fd);
    return rc < 0 ? hd_fail_sys(err, -rc, "signals") : 0;
}

/* --- life --- */

static int open_all(struct hd_shim *s, struct signals *sg, struct hd_error *err)
{
    hd_tree_adopt();
    int rc = hd_loop_new(&s->loop, 0, err);
    if (rc < 0)
        return rc;
    s->net = hd_net_new(s->loop);
    rc = open_signals(sg, s, err);
    if (rc == 0)
        rc = hd_shim_sink_open(s, STDERR_FILENO, err);
    if (rc == 0)
        rc = hd_shim_api_open(s, err);
    if (rc == 0)
        rc = hd_shim_up_open(s, err); /* last: who can connect is served */
    return rc;
}

static void on_server_closed(void *arg)
{
    unsigned *open = arg;
    (*open)--;
}

static void on_closed(void *arg)
{
    hd_loop_stop(arg);
}

static void close_all(struct hd_shim *s, struct signals *sg)
{
    unsigned open = 2;
    hd_server_close(s->up, on_server_closed, &open);
    hd_server_close(s->api, on_server_closed, &open);
    while (open > 0) {
        hd_loop_post(s->loop, on_closed, s->loop);
        hd_loop_run(s->loop);
    }
    hd_server_free(s->up);
    hd_server_free(s->api);
    hd_shim_close_programs(s);
    hd_shim_direct_close(s);
    hd_shim_telemetry_close(s);
    hd_shim_event_free(s);
    hd_shim_sink_close(s);
    hd_loadreq_free(s->load);
    hd_failure_done(&s->fault);
    hd_ready_stop(hd_loop_ready(s->loop), &sg->watched);
    hd_net_free(s->net);
    hd_loop_free(s->loop);
    explicit_bzero(s->opt.token, sizeof(s->opt.token));
    free(s);
}

/* What fails is said, and is no reason not to run. */
static void relay(const struct hd_shim_options *o, bool own_process)
{
    struct hd_error err;
    if (o->relay_path != NULL && hd_shim_relay(o->relay_port, o->relay_path, own_process, &err) < 0)
        fprintf(stderr, "heddle-shim: the lanes cannot be reached: %s\n", err.msg);
}

/* @return only if that cannot be. */
static int become(const struct hd_shim_options *o)
{
    char *const *argv = o->argv;
    if (argv == NULL) {
        fputs("heddle-shim: --exec: a command is needed\n", stderr);
        return EXIT_USAGE;
    }
    relay(o, true);
    execvp(argv[0], argv);
    fprintf(stderr, "heddle-shim: %s: %s\n", argv[0], strerrordesc_np(errno));
    return EXIT_NOT_FOUND;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--tunnel") == 0)
        return hd_shim_tunnel(argv + 2);
    struct hd_shim *s = hd_new(struct hd_shim);
    struct signals sg;
    struct hd_error err;
    bool exec = false;
    int rc = read_arguments(&s->opt, &exec, argv);
    if (rc == 0 && exec)
        return become(&s->opt);
    if (rc == 0)
        rc = read_environment(&s->opt);
    if (rc != 0)
        return rc > 0 ? 0 : EXIT_USAGE;
    if (open_all(s, &sg, &err) < 0) {
        fprintf(stderr, "heddle-shim: %s\n", err.msg);
        return EXIT_SYSTEM;
    }
    relay(&s->opt, false);
    hd_loop_run(s->loop);
    int code = s->exit_code;
    close_all(s, &sg);
    return code;
}
