#include "shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum {
    READ_BYTES = 16 << 10,
    READS = 16,            /* in one turn of the loop */
    DRAIN_BYTES = 4 << 20, /* read at once of what was written before an answer */
};

static struct hd_str running_id(const struct hd_shim *s)
{
    return hd_str(s->event != NULL ? s->event->id : NULL);
}

static void on_line(void *arg, struct hd_str line)
{
    struct hd_shim_output *o = arg;
    if (hd_frame_is_record(&o->frame, line))
        hd_shim_sink_record(o->shim, line);
    else
        hd_shim_sink_line(o->shim, running_id(o->shim), "info", line);
    hd_shim_telemetry_line(o->shim, o->extension, line);
}

bool hd_shim_output_is_open(const struct hd_shim_output *o)
{
    return o->shim != NULL && o->watched.fd >= 0;
}

static void end(struct hd_shim_output *o)
{
    int fd = o->watched.fd;
    hd_frame_flush(&o->frame, on_line, o);
    hd_ready_stop(hd_loop_ready(o->shim->loop), &o->watched);
    close(fd);
}

/* @return whether there may be more. */
static bool read_some(struct hd_shim_output *o)
{
    char bytes[READ_BYTES];
    ssize_t n = read(o->watched.fd, bytes, sizeof(bytes));
    if (n > 0) {
        hd_frame_feed(&o->frame, hd_str_n(bytes, (size_t)n), on_line, o);
        return true;
    }
    if (n < 0 && errno == EINTR)
        return true;
    if (n == 0 || errno != EAGAIN)
        end(o);
    return false;
}

static void on_ready(struct hd_watched *w, uint32_t events)
{
    struct hd_shim_output *o = hd_container_of(w, struct hd_shim_output, watched);
    (void)events;
    o->waits = false;
    bool more = true;
    for (int i = 0; more && i < READS; i++) {
        if (hd_shim_sink_is_full(o->shim)) {
            o->waits = true;
            break;
        }
        more = read_some(o);
    }
    if (more && !o->waits)
        hd_ready_again(hd_loop_ready(o->shim->loop), w);
    hd_shim_sink_flush(o->shim);
    if (!hd_shim_output_is_open(o))
        hd_shim_step(o->shim);
}

void hd_shim_output_open(struct hd_shim_output *o, struct hd_shim *s, int fd, bool extension)
{
    *o = (struct hd_shim_output){
        .watched = {.on_ready = on_ready, .fd = -1}, .shim = s, .extension = extension};
    hd_frame_init(&o->frame, hd_str(s->opt.token));
    if (hd_ready_watch(hd_loop_ready(s->loop), &o->watched, fd) < 0)
        close(fd);
}

void hd_shim_output_drain(struct hd_shim_output *o)
{
    if (!hd_shim_output_is_open(o))
        return;
    for (int i = 0; i < DRAIN_BYTES / READ_BYTES && read_some(o); i++)
        ;
    if (hd_shim_output_is_open(o))
        hd_frame_flush(&o->frame, on_line, o);
}

void hd_shim_output_resume(struct hd_shim_output *o)
{
    if (hd_shim_output_is_open(o) && o->waits)
        hd_ready_again(hd_loop_ready(o->shim->loop), &o->watched);
}

void hd_shim_output_close(struct hd_shim_output *o)
{
    if (o->shim == NULL)
        return;
    if (hd_shim_output_is_open(o))
        end(o);
    hd_frame_done(&o->frame);
    o->shim = NULL;
}
