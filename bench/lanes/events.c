/* bench/lanes/events.c - how many events a second go through a lane, from the emission to a hook in
 * this process that does nothing: events DRIVER COUNT BYTES [URL or FILE]. Prints events/s. */
#include "core/clock.h"
#include "lanes/lanes.h"

#include <stdio.h>
#include <unistd.h>

enum { WINDOW = 1024 }; /* emissions that wait for their answer at once */

static struct hd_loop *loop;
static struct hd_lanes *lanes;
static uint64_t wanted, emitted, accepted, seen, begin_us, end_us;
static char *payload;

static void emit_more(void);

static void on_answer(void *arg, const struct hd_lane_answer *a)
{
    (void)arg;
    if (a->status != 202) {
        fprintf(stderr, "%u %.*s\n", a->status, HD_FMT(a->body));
        exit(1);
    }
    accepted++;
    emit_more();
}

static void emit_more(void)
{
    struct hd_lane_message m = {.name = hd_str("placed"), .body = hd_str(payload)};
    while (emitted < wanted && emitted - accepted < WINDOW) {
        emitted++;
        hd_lanes_emit(lanes, 0, &m, on_answer, NULL);
    }
}

static int hook(void *arg, struct hd_str event, struct hd_str context, struct hd_buf *answer)
{
    (void)arg;
    (void)event;
    (void)context;
    (void)answer;
    if (++seen == wanted) {
        end_us = hd_clock_us();
        hd_loop_stop(loop);
    }
    return 0;
}

static void stop(void *arg)
{
    (void)arg;
    hd_loop_stop(loop);
}

static void begin(struct hd_timer *t)
{
    (void)t;
    struct hd_buf status;
    hd_buf_init(&status, 1 << 16);
    hd_lanes_status(lanes, &status);
    hd_buf_char(&status, '\0');
    bool ready = strstr(status.ptr, "\"connected\":true") != NULL;
    hd_buf_done(&status);
    if (!ready) {
        hd_timer_start(loop, t, 10, begin);
        return;
    }
    begin_us = hd_clock_us();
    emit_more();
}

static struct hd_topology *topology(const char *driver, const char *url)
{
    struct hd_topology *t = NULL;
    struct hd_error err;
    hd_auto_free char *text = hd_printf(
        "lanes:\n  events: { placed: { lane: orders } }\n"
        "  hooks: [ { event: placed, function: hook } ]\n  event_lanes: { orders: {} }\n"
        "  queues: { q: { driver: %s, url: '%s', prefetch: 64, concurrency: 64,\n"
        "                 queue: { name: heddle-bench-%d, quorum: true, durable: true } } }\n"
        "  bindings: [ { lane: orders, queue: q, prefetch: 64 } ]\n",
        driver, url, (int)getpid());
    if (hd_topology_read(&t, "bench.yml", hd_str(text), NULL, NULL, NULL, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    return t;
}

static struct hd_store *store_for(const char *driver, const char *path)
{
    struct hd_store *s = NULL;
    struct hd_error err;
    if (strcmp(driver, "sqlite") != 0)
        return NULL;
    struct hd_store_options opt = {.path = path, .boot_id = "bench"};
    if (hd_store_open(&s, &opt, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    return s;
}

int main(int argc, char **argv)
{
    static const struct hd_lane_native natives[] = {{.function = "hook", .run = hook}};
    static struct hd_caller *callers[1];
    struct hd_error err;
    uint64_t bytes = 0;
    if (argc < 4 || hd_str_to_u64(&wanted, hd_str(argv[2])) < 0 ||
        hd_str_to_u64(&bytes, hd_str(argv[3])) < 0) {
        fprintf(stderr, "usage: events sqlite|memory|rabbitmq COUNT BYTES [FILE or URL]\n");
        return 64;
    }
    payload = hd_alloc(bytes + 3);
    memset(payload, 'x', bytes + 2);
    payload[0] = payload[bytes + 1] = '"';
    if (hd_loop_new(&loop, 0, &err) < 0)
        return 1;
    struct hd_net *net = hd_net_new(loop);
    struct hd_store *store = store_for(argv[1], argc > 4 ? argv[4] : "bench.db");
    struct hd_lanes_options opt = {.topology =
                                       topology(argv[1], argc > 4 ? argv[4] : "amqp://localhost"),
                                   .loops = &loop,
                                   .nets = &net,
                                   .callers = callers,
                                   .n_loops = 1,
                                   .store = store,
                                   .natives = natives,
                                   .n_natives = 1};
    if (hd_lanes_new(&lanes, &opt, &err) < 0 || hd_lanes_start(lanes, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    struct hd_timer t = {0};
    hd_timer_start(loop, &t, 1, begin);
    hd_loop_run(loop);
    printf("%.0f\n", (double)wanted * 1e6 / (double)(end_us - begin_us));
    hd_lanes_cooldown(lanes, stop, NULL);
    hd_loop_run(loop);
    hd_lanes_close(lanes, stop, NULL);
    hd_loop_run(loop);
    hd_lanes_free(lanes);
    if (store != NULL) {
        hd_store_close(store, loop, stop, NULL);
        hd_loop_run(loop);
        hd_store_free(store);
    }
    hd_net_free(net);
    hd_loop_free(loop);
    free(payload);
    return 0;
}
