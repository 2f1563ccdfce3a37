/* What functions print goes on as one record a line. The reader may be slow: what it has not taken
 * waits here, up to a ceiling; then programs wait in their pipes; and when that takes too long,
 * lines are dropped and counted, so that nobody who floods the output stops himself for long. */
#include "shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    WAITING_MAX = 4 << 20, /* bytes that wait for the reader, before programs wait */
    SLACK = 256 << 10,     /* what they may have written by then */
    BLOCK_MS = 1000,       /* so long a function may wait for it, in one invocation */
};

static void on_flood(struct hd_timer *t)
{
    struct hd_shim *s = hd_container_of(t, struct hd_shim, sink.flood);
    s->sink.dropping = true;
    for (int i = 0; i < HD_SHIM_PROGRAMS_MAX; i++) {
        hd_shim_output_resume(&s->programs[i].out);
        hd_shim_output_resume(&s->programs[i].err);
    }
}

bool hd_shim_sink_is_full(const struct hd_shim *s)
{
    return s->sink.full && !s->sink.dropping;
}

/* From now on who prints has to wait, and a little later not any more. */
static void fill_up(struct hd_shim *s)
{
    struct hd_shim_sink *k = &s->sink;
    k->full = true;
    k->full_since_ms = hd_loop_now_ms(s->loop);
    hd_timer_start(s->loop, &k->flood, k->blocked_ms < BLOCK_MS ? BLOCK_MS - k->blocked_ms : 0,
                   on_flood);
}

void hd_shim_sink_forgive(struct hd_shim *s)
{
    s->sink.blocked_ms = 0;
}

static void add(struct hd_shim *s, struct hd_str id, const char *level, struct hd_str text)
{
    int64_t now = hd_net_unix_ms(s->net);
    hd_frame_record(&s->sink.out, hd_str(s->opt.token), id, level, text, now);
}

/* Whether another line may be added. */
static bool has_room(struct hd_shim *s)
{
    struct hd_shim_sink *k = &s->sink;
    if (k->broken)
        return false;
    if (k->out.len >= WAITING_MAX && !k->full)
        fill_up(s);
    if (k->out.len < (k->dropping ? WAITING_MAX : WAITING_MAX + SLACK))
        return true;
    k->dropped++;
    return false;
}

void hd_shim_sink_record(struct hd_shim *s, struct hd_str record)
{
    if (!has_room(s))
        return;
    hd_buf_str(&s->sink.out, record);
    hd_buf_char(&s->sink.out, '\n');
}

void hd_shim_sink_line(struct hd_shim *s, struct hd_str id, const char *level, struct hd_str text)
{
    if (has_room(s))
        add(s, id, level, text);
}

/* There is room again: say what was lost, and let programs go on. */
static void recovered(struct hd_shim *s)
{
    struct hd_shim_sink *k = &s->sink;
    k->blocked_ms += hd_loop_now_ms(s->loop) - k->full_since_ms;
    hd_timer_stop(s->loop, &k->flood);
    k->full = k->dropping = false;
    if (k->dropped > 0) {
        char text[160];
        snprintf(text, sizeof(text),
                 "%llu lines of output were dropped: they came faster than they could be taken",
                 (unsigned long long)k->dropped);
        k->dropped = 0;
        add(s, hd_str_n(NULL, 0), "warn", hd_str(text));
    }
    for (int i = 0; i < HD_SHIM_PROGRAMS_MAX; i++) {
        hd_shim_output_resume(&s->programs[i].out);
        hd_shim_output_resume(&s->programs[i].err);
    }
}

bool hd_shim_sink_flush(struct hd_shim *s)
{
    struct hd_shim_sink *k = &s->sink;
    size_t done = 0;
    while (done < k->out.len && !k->broken) {
        ssize_t n = write(k->watched.fd, k->out.ptr + done, k->out.len - done);
        if (n > 0)
            done += (size_t)n;
        else if (errno == EAGAIN)
            break;
        else if (errno != EINTR)
            k->broken = true;
    }
    if (k->broken)
        hd_buf_done(&k->out);
    else
        hd_buf_consume(&k->out, done);
    if (k->out.len == 0 && k->out.cap > HD_FRAME_RECORD_MAX)
        hd_buf_done(&k->out);
    if (k->full && k->out.len < WAITING_MAX / 2)
        recovered(s);
    return k->out.len == 0;
}

static void on_ready(struct hd_watched *w, uint32_t events)
{
    struct hd_shim *s = hd_container_of(w, struct hd_shim, sink.watched);
    if ((events & (EPOLLERR | EPOLLHUP)) != 0)
        s->sink.broken = true;
    if (s->sink.out.len > 0 && hd_shim_sink_flush(s))
        hd_shim_step(s);
}

int hd_shim_sink_open(struct hd_shim *s, int fd, struct hd_error *err)
{
    struct hd_shim_sink *k = &s->sink;
    struct stat st;
    char path[40];
    hd_buf_init(&k->out, WAITING_MAX + SLACK + 2 * HD_FRAME_RECORD_MAX);
    k->watched = (struct hd_watched){.on_ready = on_ready, .fd = -1};
    if (fstat(fd, &st) < 0)
        return hd_fail_sys(err, errno, "standard error");
    k->pollable = S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode);
    if (!k->pollable) {
        k->watched.fd = fd;
        return 0;
    }
    /* A pipe opened anew blocks or not without regard to others who have it. */
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int own = S_ISFIFO(st.st_mode) ? open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC) : -1;
    if (own < 0) {
        own = fd;
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    }
    int rc = hd_ready_watch(hd_loop_ready(s->loop), &k->watched, own);
    return rc < 0 ? hd_fail_sys(err, -rc, "standard error") : 0;
}

void hd_shim_sink_close(struct hd_shim *s)
{
    hd_timer_stop(s->loop, &s->sink.flood);
    if (s->sink.pollable)
        hd_ready_stop(hd_loop_ready(s->loop), &s->sink.watched);
    hd_buf_done(&s->sink.out);
}
