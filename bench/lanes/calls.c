/* bench/lanes/calls.c - how many calls a second a node makes over an RPC lane, 64 at once:
 * calls CONFIGURATION TASK COUNT. Prints calls/s, p50 and p99 as JSON. */
#include "core/clock.h"
#include "lanes/lanes.h"

#include <stdio.h>

enum { AT_ONCE = 64 };

static struct hd_loop *loop;
static struct hd_lanes *lanes;
static uint64_t wanted, begun, ended, *took_us;
static const char *task;

struct caller {
    uint64_t begin_us;
};

static void begin(struct caller *c);

static void on_answer(void *arg, const struct hd_lane_answer *a)
{
    struct caller *c = arg;
    if (a->status != 200) {
        fprintf(stderr, "%u %.*s\n", a->status, HD_FMT(a->body));
        exit(1);
    }
    took_us[ended++] = hd_clock_us() - c->begin_us;
    if (begun < wanted)
        begin(c);
    else if (ended == wanted)
        hd_loop_stop(loop);
}

static void begin(struct caller *c)
{
    struct hd_lane_message m = {.name = hd_str(task), .body = hd_str("{}")};
    begun++;
    c->begin_us = hd_clock_us();
    hd_lanes_call(lanes, 0, &m, on_answer, c);
}

static void stop(void *arg)
{
    (void)arg;
    hd_loop_stop(loop);
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static struct hd_topology *topology(const char *path)
{
    struct hd_topology *t = NULL;
    struct hd_error err;
    static char text[65536];
    FILE *f = fopen(path, "r");
    size_t n = f != NULL ? fread(text, 1, sizeof(text), f) : 0;
    if (f != NULL)
        fclose(f);
    if (hd_topology_read(&t, path, hd_str_n(text, n), NULL, NULL, NULL, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    return t;
}

int main(int argc, char **argv)
{
    static struct hd_caller *callers[1];
    static struct caller all[AT_ONCE];
    struct hd_error err;
    if (argc != 4 || hd_str_to_u64(&wanted, hd_str(argv[3])) < 0 || wanted < AT_ONCE) {
        fprintf(stderr, "usage: calls CONFIGURATION TASK COUNT\n");
        return 64;
    }
    task = argv[2];
    took_us = hd_new_array(uint64_t, wanted);
    if (hd_loop_new(&loop, 0, &err) < 0)
        return 1;
    struct hd_net *net = hd_net_new(loop);
    struct hd_lanes_options opt = {.topology = topology(argv[1]),
                                   .loops = &loop,
                                   .nets = &net,
                                   .callers = callers,
                                   .n_loops = 1};
    if (hd_lanes_new(&lanes, &opt, &err) < 0 || hd_lanes_start(lanes, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    uint64_t begin_us = hd_clock_us();
    for (int i = 0; i < AT_ONCE; i++)
        begin(&all[i]);
    hd_loop_run(loop);
    double seconds = (double)(hd_clock_us() - begin_us) / 1e6;
    qsort(took_us, wanted, sizeof(*took_us), compare);
    printf("{\"rps\":%.0f,\"p50_us\":%llu,\"p99_us\":%llu}\n", (double)wanted / seconds,
           (unsigned long long)took_us[wanted / 2], (unsigned long long)took_us[wanted * 99 / 100]);
    hd_lanes_cooldown(lanes, stop, NULL);
    hd_loop_run(loop);
    hd_lanes_close(lanes, stop, NULL);
    hd_loop_run(loop);
    hd_lanes_free(lanes);
    hd_net_free(net);
    hd_loop_free(loop);
    free(took_us);
    return 0;
}
