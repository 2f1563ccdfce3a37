/* LISTENING ──the stream breaks──► wait, longer each time ──► LISTENING, and a list
 *     └──────every 30 s──► a list                                                    */
#include "pool/docker/events.h"

#include "core/base.h"
#include "core/clock.h"

#include <inttypes.h>

enum {
    LIST_MS = 30000,
    CALL_MS = 60000,
    FIRST_WAIT_MS = 100,
    LONGEST_WAIT_MS = 10000,
    STABLE_MS = 5000, /* a stream that lived so long breaks by chance */
    OVERLAP_S = 2,
};

struct hd_docker_events {
    struct hd_docker_events_options opt;
    char *node_id;
    struct hd_engine_call *stream, *list;
    struct hd_timer again, net;
    int64_t since_unix_s; /* where the stream is taken up */
    uint64_t began_ms;
    uint32_t wait_ms;
    bool closing;
    void (*done)(void *arg);
    void *done_arg;
};

static void listen_now(struct hd_docker_events *e);

/* --- the end --- */

static void on_closed(void *arg)
{
    struct hd_docker_events *e = arg;
    e->done(e->done_arg);
    free(e->node_id);
    free(e);
}

static bool ended(struct hd_docker_events *e)
{
    if (e->closing && e->stream == NULL && e->list == NULL)
        hd_loop_post(e->opt.loop, on_closed, e);
    return e->closing;
}

/* --- the list --- */

static void on_list(void *arg, const struct hd_engine_answer *a)
{
    struct hd_docker_events *e = arg;
    e->list = NULL;
    if (ended(e))
        return;
    if (a->status == 200 && json_is_array(a->json))
        e->opt.on_list(e->opt.arg, a->json);
}

static void list_now(struct hd_docker_events *e);

static void on_net(struct hd_timer *t)
{
    list_now(hd_container_of(t, struct hd_docker_events, net));
}

static void list_now(struct hd_docker_events *e)
{
    hd_timer_start(e->opt.loop, &e->net, LIST_MS, on_net);
    if (e->list != NULL)
        return;
    hd_auto_free char *path =
        hd_printf("/containers/json?filters=%%7B%%22label%%22%%3A%%5B%%22heddle.node%%3D%s%%22%%5D"
                  "%%2C%%22status%%22%%3A%%5B%%22running%%22%%2C%%22paused%%22%%5D%%7D",
                  e->node_id);
    struct hd_engine_request req = {.method = "GET", .path = path, .timeout_ms = CALL_MS};
    e->list = hd_engine_ask(e->opt.engine, &req, on_list, e);
}

/* --- the stream --- */

static void on_line(void *arg, const json_t *line)
{
    /* Docker's words and Podman's */
    static const char *const ends[] = {"die", "died", "destroy", "remove"};
    struct hd_docker_events *e = arg;
    const char *id = json_string_value(json_object_get(json_object_get(line, "Actor"), "ID"));
    struct hd_str what = hd_str(json_string_value(json_object_get(line, "Action")));
    e->since_unix_s = hd_clock_unix_s();
    if (id == NULL || e->closing)
        return;
    bool end = false;
    for (size_t i = 0; i < HD_COUNT(ends); i++)
        end = end || hd_str_is(what, ends[i]);
    if (end || hd_str_is(what, "oom"))
        e->opt.on_event(e->opt.arg, id, !end);
}

static void on_again(struct hd_timer *t)
{
    struct hd_docker_events *e = hd_container_of(t, struct hd_docker_events, again);
    listen_now(e);
    list_now(e);
}

static void on_broken(void *arg, const struct hd_engine_answer *a)
{
    struct hd_docker_events *e = arg;
    e->stream = NULL;
    if (ended(e))
        return;
    bool stable = hd_loop_now_ms(e->opt.loop) >= e->began_ms + STABLE_MS;
    e->wait_ms = stable || e->wait_ms == 0 ? (uint32_t)FIRST_WAIT_MS
                                           : HD_MIN(2 * e->wait_ms, (uint32_t)LONGEST_WAIT_MS);
    hd_log(e->opt.log, e->wait_ms == LONGEST_WAIT_MS ? HD_WARN : HD_DEBUG,
           "the container engine's events broke off, listening again",
           hd_kv_int("status", (int)a->status),
           hd_kv_str("error", a->err != NULL ? a->err->msg : ""));
    hd_timer_start(e->opt.loop, &e->again, e->wait_ms, on_again);
}

static void listen_now(struct hd_docker_events *e)
{
    hd_auto_free char *path =
        hd_printf("/events?since=%" PRId64 "&filters=%%7B%%22type%%22%%3A%%5B%%22container%%22%%5D"
                  "%%2C%%22label%%22%%3A%%5B%%22heddle.node%%3D%s%%22%%5D%%7D",
                  e->since_unix_s - OVERLAP_S, e->node_id);
    struct hd_engine_request req = {.method = "GET", .path = path, .on_line = on_line};
    e->began_ms = hd_loop_now_ms(e->opt.loop);
    e->since_unix_s = hd_clock_unix_s();
    e->stream = hd_engine_ask(e->opt.engine, &req, on_broken, e);
}

struct hd_docker_events *hd_docker_events_new(const struct hd_docker_events_options *opt)
{
    struct hd_docker_events *e = hd_new(struct hd_docker_events);
    e->opt = *opt;
    e->node_id = hd_strdup(opt->node_id);
    e->since_unix_s = hd_clock_unix_s();
    listen_now(e);
    hd_timer_start(opt->loop, &e->net, LIST_MS, on_net);
    return e;
}

void hd_docker_events_close(struct hd_docker_events *e, void (*done)(void *arg), void *arg)
{
    e->closing = true;
    e->done = done;
    e->done_arg = arg;
    hd_timer_stop(e->opt.loop, &e->again);
    hd_timer_stop(e->opt.loop, &e->net);
    if (e->stream == NULL && e->list == NULL)
        hd_loop_post(e->opt.loop, on_closed, e);
    if (e->stream != NULL)
        hd_engine_cancel(e->stream);
    if (e->list != NULL)
        hd_engine_cancel(e->list);
}
