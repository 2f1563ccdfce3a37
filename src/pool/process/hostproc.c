/* RUNNING ──the pidfd becomes readable──► reaped, output drained
 *   ──handles closed──► cgroup emptied ──► folder removed (work thread) ──► on_gone             */
#include "pool/process/hostproc.h"

#include "core/id.h"
#include "core/work.h"
#include "pool/process/adopt.h"
#include "pool/process/freezer.h"
#include "pool/process/procfs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    TOKEN_BYTES = 16,
    READ_BYTES = 16 << 10,    /* in one turn of the loop */
    OUTPUT_WINDOW_MS = 100,   /* in each window of time ... */
    OUTPUT_BYTES = 256 << 10, /* ... so much output is read; then it waits in the pipe */
    OUTPUT_LINE_BYTES = 64,   /* what a line costs beside its bytes */
    DRAIN_BYTES = 256 << 10,  /* of output read after the end */
    FLUSH_BYTES = 1 << 20,    /* of one stream, at once: who writes faster has to wait */
    TAIL_LINES = 3,           /* of standard error, for the report of a crash */
    TAIL_BYTES = 120,
    WATCH_MS = 100, /* between looks at memory that no cgroup limits */
    CGROUP_RETRY_MS = 5,
    CGROUP_TRIES = 400,
    UIDS = 1000,
    LOWEST = 19, /* priority */
};

struct stream {
    struct hd_hostproc *p;
    uv_poll_t poll;
    int fd;
    bool reading;
    struct hd_capture capture;
};

struct hd_hostproc {
    struct hd_hostproc_site *site;
    struct hd_hostproc_events events;
    void *owner;
    struct hd_child child;
    uv_poll_t exit_poll;
    struct stream out, err;
    struct hd_timer window, retry, watch;
    uint64_t most_bytes; /* that were seen by looking */
    bool too_big;
    uint32_t budget; /* bytes of output that may be read in this window */
    unsigned open_handles, tries;
    uint32_t serial, memory_mb;
    uint16_t port;
    char *folder;
    char token[2 * TOKEN_BYTES + 1];
    struct hd_cgroup cgroup;
    enum { WARM, FREEZING, FROZEN } ice; /* FREEZING: `cgroup` is a work thread's to read */
    bool melts;                          /* FREEZING: it is to be thawed when that is over */
    int ice_rc;                          /* the work thread's */
    struct hd_error ice_err;
    void (*on_frozen)(void *owner, const struct hd_error *err);
    bool ended, by_itself;
    bool told; /* we told it to end */
    bool ran;  /* its program was started */
    struct hd_exit_status exit;
    char tail[TAIL_LINES][TAIL_BYTES + 1];
    unsigned tail_n;
    char why[400];
};

/* --- output --- */

static void on_line(void *arg, struct hd_str id, int level, struct hd_str text)
{
    struct stream *s = arg;
    struct hd_hostproc *p = s->p;
    p->budget -= HD_MIN(p->budget, (uint32_t)OUTPUT_LINE_BYTES);
    if (s == &p->err && (level >= HD_WARN || id.len == 0) && hd_str_trim(text).len > 0)
        snprintf(p->tail[p->tail_n++ % TAIL_LINES], sizeof(p->tail[0]), "%.*s", HD_FMT(text));
    if (p->events.on_line != NULL)
        p->events.on_line(p->owner, id, level, text);
}

/* @return whether there may be more. */
static bool read_some(struct stream *s)
{
    char buf[READ_BYTES];
    ssize_t n = read(s->fd, buf, sizeof(buf));
    if (n > 0) {
        s->p->budget -= HD_MIN(s->p->budget, (uint32_t)n);
        hd_capture_feed(&s->capture, hd_str_n(buf, (size_t)n), on_line, s);
        return true;
    }
    return n < 0 && errno == EINTR;
}

static void on_readable(uv_poll_t *poll, int status, int events);

static void set_reading(struct stream *s, bool on)
{
    if (s->reading == on || s->fd < 0)
        return;
    s->reading = on;
    if (on)
        uv_poll_start(&s->poll, UV_READABLE | UV_DISCONNECT, on_readable);
    else
        uv_poll_stop(&s->poll);
}

static void on_window(struct hd_timer *t)
{
    struct hd_hostproc *p = hd_container_of(t, struct hd_hostproc, window);
    p->budget = OUTPUT_BYTES;
    if (p->ended)
        return;
    set_reading(&p->out, true);
    set_reading(&p->err, true);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct stream *s = poll->data;
    struct hd_hostproc *p = s->p;
    (void)events;
    if (!hd_timer_active(&p->window))
        hd_timer_start(p->site->loop, &p->window, OUTPUT_WINDOW_MS, on_window);
    if (status < 0 || (!read_some(s) && errno != EAGAIN)) {
        set_reading(s, false); /* it has closed its end */
        s->fd = -1;
        return;
    }
    if (p->budget == 0) { /* the rest waits in the pipe, and then in the function */
        set_reading(&p->out, false);
        set_reading(&p->err, false);
    }
}

static void flush(struct stream *s)
{
    for (unsigned i = 0; s->fd >= 0 && i < FLUSH_BYTES / READ_BYTES && read_some(s); i++)
        ;
    hd_capture_flush(&s->capture, on_line, s);
}

void hd_hostproc_flush(struct hd_hostproc *p)
{
    if (p->ended)
        return;
    flush(&p->out);
    flush(&p->err);
}

static void drain(struct stream *s)
{
    for (unsigned i = 0; s->fd >= 0 && i < DRAIN_BYTES / READ_BYTES && read_some(s); i++)
        ;
    hd_capture_end(&s->capture, on_line, s);
}

/* --- the end --- */

static void describe_end(struct hd_hostproc *p, struct hd_child_end end)
{
    char report[HD_CHILD_REPORT_MAX], first[200] = "";
    int by_signal = end.by_signal ? end.value : 0, code = end.by_signal ? 0 : end.value;
    size_t len = hd_child_report(&p->child, report);
    struct hd_str rest = hd_str_n(report, len), line;
    while (len > 0 && hd_str_split(&line, &rest, '\n')) {
        if (line.len > 1 && line.ptr[0] == '!')
            snprintf(first, sizeof(first), "%.*s", (int)line.len - 1, line.ptr + 1);
        if (line.len > 1 && line.ptr[0] == '=') {
            uint64_t word = 0;
            if (hd_str_to_u64(&word, hd_str_n(line.ptr + 1, line.len - 1)) < 0)
                continue;
            int status = (int)word;
            by_signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
            code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
        }
    }
    int n;
    p->by_itself = by_signal == 0;
    p->ran = first[0] == '\0';
    p->exit = (struct hd_exit_status){.signal = by_signal,
                                      .code = code,
                                      .oom = by_signal != 0 &&
                                             (p->too_big || hd_cgroup_oom_kills(&p->cgroup) > 0)};
    if (first[0] != '\0')
        n = snprintf(p->why, sizeof(p->why), "could not be started: %s", first);
    else if (p->exit.oom)
        n = snprintf(p->why, sizeof(p->why), "killed by SIG%s (memory limit of %u MB)",
                     sigabbrev_np(by_signal), p->memory_mb);
    else if (by_signal != 0)
        n = snprintf(p->why, sizeof(p->why), "killed by SIG%s", sigabbrev_np(by_signal));
    else
        n = snprintf(p->why, sizeof(p->why), "exited with code %d", code);
    unsigned lines = HD_MIN(p->tail_n, (unsigned)TAIL_LINES);
    for (unsigned i = 0; i < lines && n > 0 && (size_t)n < sizeof(p->why); i++)
        n += snprintf(p->why + n, sizeof(p->why) - (size_t)n, "%s%s", i == 0 ? ": " : " | ",
                      p->tail[(p->tail_n - lines + i) % TAIL_LINES]);
}

static void gone(void *arg)
{
    struct hd_hostproc *p = arg;
    hd_rundir_forget(&p->site->dir, p->serial);
    hd_timer_stop(p->site->loop, &p->window);
    hd_timer_stop(p->site->loop, &p->watch);
    hd_capture_done(&p->out.capture);
    hd_capture_done(&p->err.capture);
    hd_cgroup_done(&p->cgroup);
    if (p->events.on_exit != NULL && p->ran && (!p->told || p->exit.oom))
        p->events.on_exit(p->owner, &p->exit);
    if (p->events.on_gone != NULL)
        p->events.on_gone(p->owner, p->why, p->by_itself);
    explicit_bzero(p->token, sizeof(p->token));
    free(p->folder);
    free(p);
}

static void remove_folder(void *arg)
{
    struct hd_hostproc *p = arg;
    hd_remove_tree(p->folder);
}

static void empty_cgroup(struct hd_timer *t)
{
    struct hd_hostproc *p = hd_container_of(t, struct hd_hostproc, retry);
    struct hd_error err;
    if (p->ice == FREEZING) { /* that ends soon, in one way or the other */
        hd_timer_start(p->site->loop, &p->retry, CGROUP_RETRY_MS, empty_cgroup);
        return;
    }
    if (!hd_cgroup_remove(&p->cgroup)) {
        hd_cgroup_kill(&p->cgroup);
        if (p->tries++ < CGROUP_TRIES) {
            hd_timer_start(p->site->loop, &p->retry, CGROUP_RETRY_MS, empty_cgroup);
            return;
        }
        hd_log(p->site->log, HD_WARN, "a cgroup cannot be removed, left behind",
               hd_kv_int("instance", p->serial));
    }
    if (hd_work(p->site->loop, remove_folder, gone, p, &err) == 0)
        return;
    hd_log(p->site->log, HD_WARN, "an instance's folder is left behind",
           hd_kv_str("error", err.msg));
    gone(p);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct hd_hostproc *p = handle->data;
    if (--p->open_handles > 0)
        return;
    hd_child_close(&p->child);
    empty_cgroup(&p->retry);
}

static void on_stream_closed(uv_handle_t *handle)
{
    struct stream *s = handle->data;
    handle->data = s->p;
    on_handle_closed(handle);
}

static void close_handles(struct hd_hostproc *p)
{
    uv_close((uv_handle_t *)&p->exit_poll, on_handle_closed);
    uv_close((uv_handle_t *)&p->out.poll, on_stream_closed);
    uv_close((uv_handle_t *)&p->err.poll, on_stream_closed);
}

static void on_exit_readable(uv_poll_t *poll, int status, int events)
{
    struct hd_hostproc *p = poll->data;
    struct hd_child_end end;
    (void)status;
    (void)events;
    if (p->ended || !hd_child_reap(&p->child, &end))
        return;
    p->ended = true;
    hd_cgroup_kill(&p->cgroup);
    drain(&p->out);
    drain(&p->err);
    describe_end(p, end);
    close_handles(p);
}

/* --- the start --- */

/* A port that is free now, for a program that wants one; nothing keeps others from taking it. */
static uint16_t free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        a.sin_port = 0;
    close(fd);
    return ntohs(a.sin_port);
}

static void own_environment(struct hd_hostproc *p, struct hd_sandbox_spec *s, bool is_host)
{
    if (is_host) {
        unsigned char secret[TOKEN_BYTES];
        hd_random(secret, sizeof(secret));
        hd_hex(p->token, secret, sizeof(secret));
        explicit_bzero(secret, sizeof(secret));
        hd_auto_free char *text = hd_printf("HEDDLE_HOST_TOKEN=%s", p->token);
        hd_spec_list_add(&s->env, text);
        explicit_bzero(text, strlen(text));
        return;
    }
    if ((s->parts & HD_SANDBOX_NET) == 0)
        p->port = free_port();
    if (p->port != 0) {
        hd_auto_free char *text = hd_printf("PORT=%u", p->port);
        hd_spec_list_add(&s->env, text);
    }
}

static int spawn(struct hd_hostproc *p, const struct hd_hostplan *from, struct hd_error *err)
{
    struct hd_hostplan plan;
    struct hd_sandbox_spec *s = &plan.spec;
    hd_hostplan_copy(&plan, from);
    hd_hostplan_settle(&plan, p->folder);
    own_environment(p, s, plan.host);
    s->uid = s->parts & HD_SANDBOX_UID ? p->site->uid_base + p->serial % UIDS : geteuid();
    s->gid = s->parts & HD_SANDBOX_UID ? s->uid : getegid();
    int rc = 0;
    if (s->uid != geteuid() && chown(p->folder, s->uid, s->gid) < 0)
        rc = hd_fail_sys(err, errno, "owner of folder %s", p->folder);
    if (rc == 0)
        rc = hd_cgroup_make(&p->cgroup, &p->site->cgroups, p->serial, err);
    if (rc == 0) {
        hd_cgroup_dirs(&p->cgroup, &s->cgroups);
        rc = hd_child_spawn(&p->child, s, err);
    }
    if (rc == 0) {
        if (p->cgroup.freezer != NULL)
            hd_spec_list_add(&s->cgroups, p->cgroup.freezer); /* where it may be by then */
        rc = hd_rundir_record(&p->site->dir, p->serial, p->child.pid, &s->cgroups, err);
        if (rc < 0) {
            hd_child_kill(&p->child);
            waitid(P_PIDFD, (id_t)p->child.pidfd, &(siginfo_t){0}, WEXITED);
            hd_child_close(&p->child);
        }
    }
    hd_hostplan_done(&plan);
    return rc;
}

static void watch(struct hd_hostproc *p)
{
    uv_loop_t *uv = hd_loop_uv(p->site->loop);
    struct stream *const streams[] = {&p->out, &p->err};
    p->out.fd = p->child.out;
    p->err.fd = p->child.err;
    p->budget = OUTPUT_BYTES;
    p->open_handles = 3;
    hd_capture_init(&p->out.capture, hd_str_n(NULL, 0), HD_INFO);
    hd_capture_init(&p->err.capture, hd_str(p->token), HD_WARN);
    /* These can fail for a descriptor that epoll does not take, which pipes and pidfds are not. */
    for (size_t i = 0; i < HD_COUNT(streams); i++) {
        streams[i]->p = p;
        uv_poll_init(uv, &streams[i]->poll, streams[i]->fd);
        streams[i]->poll.data = streams[i];
        set_reading(streams[i], true);
    }
    uv_poll_init(uv, &p->exit_poll, p->child.pidfd);
    p->exit_poll.data = p;
    uv_poll_start(&p->exit_poll, UV_READABLE, on_exit_readable);
}

int hd_hostproc_start(struct hd_hostproc **out, struct hd_hostproc_site *site,
                      const struct hd_hostplan *plan, const struct hd_hostproc_events *events,
                      void *owner, struct hd_error *err)
{
    struct hd_hostproc *p = hd_new(struct hd_hostproc);
    p->site = site;
    hd_hostproc_own(p, events, owner);
    int rc = hd_rundir_add(&site->dir, &p->folder, &p->serial, err);
    if (rc == 0)
        rc = spawn(p, plan, err);
    if (rc < 0) {
        if (p->folder != NULL)
            rmdir(p->folder);
        hd_cgroup_remove(&p->cgroup);
        hd_cgroup_done(&p->cgroup);
        free(p->folder);
        free(p);
        return rc;
    }
    watch(p);
    *out = p;
    return 0;
}

void hd_hostproc_own(struct hd_hostproc *p, const struct hd_hostproc_events *events, void *owner)
{
    p->events = events != NULL ? *events : (struct hd_hostproc_events){.on_line = NULL};
    p->owner = owner;
}

void hd_hostproc_limit(struct hd_hostproc *p, uint32_t memory_mb, uint32_t pids)
{
    struct hd_error err;
    p->memory_mb = memory_mb;
    if (hd_cgroup_limit(&p->cgroup, memory_mb, pids > 0 ? pids : p->site->default_pids, &err) < 0)
        hd_log(p->site->log, HD_WARN, "a limit cannot be set, going on without",
               hd_kv_str("error", err.msg));
}

static void on_watch(struct hd_timer *t)
{
    struct hd_hostproc *p = hd_container_of(t, struct hd_hostproc, watch);
    uint64_t max = (uint64_t)p->memory_mb << 20, now = hd_proc_tree_bytes(p->child.pid);
    if (p->ended)
        return;
    p->most_bytes = HD_MAX(p->most_bytes, now);
    p->too_big = now > max + max / 10;
    if (p->too_big)
        hd_hostproc_kill(p);
    else
        hd_timer_start(p->site->loop, t, WATCH_MS, on_watch);
}

void hd_hostproc_keep_to(struct hd_hostproc *p, uint32_t memory_mb)
{
    struct hd_error err;
    if (hd_cgroup_share(&p->cgroup, memory_mb, &err) < 0)
        hd_log(p->site->log, HD_WARN, "a share of CPU time cannot be set, going on without",
               hd_kv_str("error", err.msg));
    if (memory_mb > 0 && p->cgroup.memory == NULL)
        hd_timer_start(p->site->loop, &p->watch, WATCH_MS, on_watch);
}

void hd_hostproc_yield(struct hd_hostproc *p)
{
    setpriority(PRIO_PGRP, (id_t)p->child.pid, LOWEST);
    hd_cgroup_share(&p->cgroup, 1, NULL);
}

int hd_hostproc_adopt(struct hd_hostproc *p, const struct hd_late *late, struct hd_error *err)
{
    if (p->ended)
        return hd_fail(err, HD_ENOTFOUND, "it has ended");
    return hd_adopt(p->child.pid, late, err);
}

unsigned hd_hostproc_endpoints(const struct hd_hostproc *p, struct hd_endpoint at[2])
{
    at[0] = (struct hd_endpoint){.kind = HD_ENDPOINT_UNIX};
    snprintf(at[0].address, sizeof(at[0].address), "%s/sock", p->folder);
    if (p->port == 0)
        return 1;
    at[1] = (struct hd_endpoint){.kind = HD_ENDPOINT_TCP, .address = "127.0.0.1", .port = p->port};
    return 2;
}

const char *hd_hostproc_token(const struct hd_hostproc *p)
{
    return p->token;
}

/* --- standing still --- */

static void freeze_work(void *arg)
{
    struct hd_hostproc *p = arg;
    p->ice_rc = hd_freezer_freeze(&p->cgroup, &p->ice_err);
}

static void on_freeze_worked(void *arg)
{
    struct hd_hostproc *p = arg;
    bool melts = p->melts || p->ended;
    p->ice = p->ice_rc == 0 ? FROZEN : WARM;
    p->melts = false;
    if (melts)
        hd_hostproc_thaw(p, NULL);
    else
        p->on_frozen(p->owner, p->ice_rc == 0 ? NULL : &p->ice_err);
}

/* The first time its processes are moved to another cgroup, which may take the kernel a while. */
void hd_hostproc_freeze(struct hd_hostproc *p,
                        void (*done)(void *owner, const struct hd_error *err))
{
    if (p->ended || p->told || p->ice != WARM)
        return;
    p->on_frozen = done;
    p->ice = FREEZING;
    p->ice_rc = hd_work(p->site->loop, freeze_work, on_freeze_worked, p, &p->ice_err);
    if (p->ice_rc < 0)
        hd_loop_post(p->site->loop, on_freeze_worked, p);
}

int hd_hostproc_thaw(struct hd_hostproc *p, struct hd_error *err)
{
    if (p->ice == FREEZING)
        p->melts = true;
    if (p->ice != FROZEN)
        return 0;
    p->ice = WARM;
    return hd_freezer_thaw(&p->cgroup, err);
}

void hd_hostproc_ask(struct hd_hostproc *p)
{
    p->told = true;
    if (p->ended)
        return;
    hd_child_signal(&p->child, SIGTERM);
    hd_hostproc_thaw(p, NULL);
}

void hd_hostproc_kill(struct hd_hostproc *p)
{
    if (p->ended)
        return;
    p->told = true;
    hd_child_kill(&p->child);
    hd_cgroup_kill(&p->cgroup);
    hd_hostproc_thaw(p, NULL);
}

/* The process that uses memory and CPU is the init's child where there is an init. */
static int usage(const struct hd_hostproc *p, struct hd_proc *out)
{
    if (p->ended)
        return HD_ENOTFOUND;
    pid_t target = hd_proc_child(p->child.pid);
    struct hd_proc self;
    if (hd_proc_read(out, p->child.pid) < 0)
        return HD_ENOTFOUND;
    if (target > 0 && out->rss_bytes < (8U << 20) && hd_proc_read(&self, target) == 0)
        *out = self;
    return 0;
}

uint64_t hd_hostproc_rss_bytes(const struct hd_hostproc *p)
{
    struct hd_proc proc;
    uint64_t counted = hd_cgroup_memory(&p->cgroup);
    if (counted > 0)
        return counted;
    return usage(p, &proc) == 0 ? proc.rss_bytes : 0;
}

uint64_t hd_hostproc_peak_bytes(const struct hd_hostproc *p)
{
    uint64_t counted = hd_cgroup_peak(&p->cgroup);
    return counted > 0 ? counted : HD_MAX(p->most_bytes, hd_hostproc_rss_bytes(p));
}

uint64_t hd_hostproc_cpu_us(const struct hd_hostproc *p)
{
    struct hd_proc proc;
    uint64_t counted = hd_cgroup_cpu_us(&p->cgroup);
    if (counted > 0)
        return counted;
    return usage(p, &proc) == 0 ? proc.cpu_us : 0;
}
