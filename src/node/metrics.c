#include "core/clock.h"
#include "node/private.h"
#include "telemetry/promtext.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define LABELS(...) ((const char *const[]){__VA_ARGS__, NULL})

enum { POOL_KEY_MAX = 320, POOL_LABELS_MAX = 12 };

struct scrape {
    struct hd_node *node;
    struct hd_buf *out;
    size_t n;
    struct hd_route *const *routes;
    struct hd_stats_sum *sums;
    /* pool reports, copied out of the locked set */
    struct pool_row {
        char key[POOL_KEY_MAX];
        const char *labels[POOL_LABELS_MAX]; /* pairs; room for one more at the end */
        size_t n_labels;
        struct hd_pool_stats stats;
        struct hd_pool_counters counters;
    } * pools;
    size_t n_pools, cap_pools;
};

/* A function of the folder is its name; the key of a Lambda function's version is
 * "lambda:account:region:name:version". The key is cut into its parts. */
static void label_pool(struct pool_row *row)
{
    static const char *const names[] = {"account", "region", "function", "version"};
    static const char lambda[] = "lambda:";
    if (strncmp(row->key, lambda, sizeof(lambda) - 1) != 0) {
        row->labels[row->n_labels++] = "function";
        row->labels[row->n_labels++] = row->key;
        return;
    }
    char *at = row->key + sizeof(lambda) - 1;
    for (size_t i = 0; i < HD_COUNT(names) && at != NULL; i++) {
        row->labels[row->n_labels++] = names[i];
        row->labels[row->n_labels++] = at;
        at = strchr(at, ':');
        if (at != NULL)
            *at++ = '\0';
    }
}

/* @return the row's labels, with one more where @p name is not NULL; valid until the next call. */
static const char *const *labels_of(struct pool_row *row, const char *name, const char *value)
{
    row->labels[row->n_labels] = name;
    row->labels[row->n_labels + 1] = value;
    row->labels[row->n_labels + 2] = NULL;
    return row->labels;
}

static void note_pool(void *arg, const struct hd_pool_report *r)
{
    struct scrape *s = arg;
    if (s->n_pools == s->cap_pools) {
        s->cap_pools = s->cap_pools > 0 ? s->cap_pools * 2 : 64;
        s->pools = hd_realloc_array(s->pools, s->cap_pools, sizeof(*s->pools));
    }
    struct pool_row *row = &s->pools[s->n_pools++];
    row->n_labels = 0;
    snprintf(row->key, sizeof(row->key), "%s", r->key);
    row->stats = r->stats;
    row->counters = r->counters;
}

static uint64_t own_rss(void)
{
    unsigned long total = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL)
        return 0;
    int got = fscanf(f, "%lu %lu", &total, &resident);
    fclose(f);
    return got == 2 ? (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static void one(struct scrape *s, const char *name, const char *type, const char *help,
                uint64_t value)
{
    hd_prom_metric(s->out, name, type, help);
    hd_prom_u64(s->out, name, NULL, value);
}

static void node_part(struct scrape *s)
{
    struct hd_node *n = s->node;
    uint64_t requests = 0, errors = 0;
    uint32_t client_conns = 0;
    for (size_t i = 0; i < s->n; i++) {
        requests += s->sums[i].requests;
        errors += s->sums[i].errors;
    }
    for (unsigned i = 0; i < n->n_workers; i++)
        client_conns += atomic_load_explicit(&n->workers[i].net->open_client, memory_order_relaxed);
    hd_prom_metric(s->out, "heddle_build_info", "gauge", "Version of the program.");
    hd_prom_u64(s->out, "heddle_build_info", LABELS("version", HD_VERSION), 1);
    hd_prom_metric(s->out, "heddle_uptime_seconds", "gauge", "Since the node started.");
    hd_prom_f64(s->out, "heddle_uptime_seconds", NULL, (double)(hd_clock_us() - n->start_us) / 1e6);
    one(s, "heddle_requests_total", "counter", "Requests for functions.", requests);
    one(s, "heddle_errors_total", "counter", "Requests answered with a status of 400 or more.",
        errors);
    one(s, "heddle_connections", "gauge", "Open client connections.", hd_gate_open(n->gate));
    one(s, "heddle_connections_refused_total", "counter",
        "Client connections turned away at a limit.", hd_gate_refused(n->gate));
    one(s, "heddle_instance_connections", "gauge", "Open connections to instances.", client_conns);
    one(s, "heddle_functions", "gauge", "Functions known.", s->n);
    one(s, "heddle_deploys_total", "counter", "Routing tables made.", n->deploys);
    one(s, "heddle_reloads_total", "counter", "Hot reloads.", n->reloads);
    one(s, "heddle_reload_failures_total", "counter", "Hot reloads that could not read the folder.",
        n->reload_failures);
    one(s, "heddle_log_dropped_total", "counter", "Log lines lost to a slow reader.",
        hd_log_dropped(n->log));
    one(s, "heddle_instances_memory_bytes", "gauge", "Memory of all instances, as last sampled.",
        hd_pool_set_memory(n->pools));
    one(s, "heddle_resident_memory_bytes", "gauge", "Memory of the node itself.", own_rss());
}

static void count_part(struct scrape *s)
{
    static const struct {
        const char *name, *help;
        size_t at;
    } counters[] = {
        {"heddle_function_invocations_total", "Requests.", offsetof(struct hd_stats_sum, requests)},
        {"heddle_function_errors_total", "Requests answered with a status of 400 or more.",
         offsetof(struct hd_stats_sum, errors)},
        {"heddle_function_unhandled_total", "Requests whose handler threw.",
         offsetof(struct hd_stats_sum, unhandled)},
        {"heddle_function_stale_total", "Requests answered by an older version.",
         offsetof(struct hd_stats_sum, stale)},
        {"heddle_function_bytes_in_total", "Bytes of request bodies.",
         offsetof(struct hd_stats_sum, bytes_in)},
        {"heddle_function_bytes_out_total", "Bytes of answers' bodies.",
         offsetof(struct hd_stats_sum, bytes_out)},
    };
    for (size_t c = 0; c < HD_COUNT(counters); c++) {
        hd_prom_metric(s->out, counters[c].name, "counter", counters[c].help);
        for (size_t i = 0; i < s->n; i++) {
            uint64_t value;
            memcpy(&value, (const char *)&s->sums[i] + counters[c].at, sizeof(value));
            hd_prom_u64(s->out, counters[c].name, LABELS("function", s->routes[i]->fn->name),
                        value);
        }
    }
}

static void request_part(struct scrape *s)
{
    static const char *const classes[] = {"canceled", "1xx", "2xx", "3xx", "4xx", "5xx"};
    uint64_t bounds[HD_LATENCY_BUCKETS - 1];
    for (size_t i = 0; i < HD_COUNT(bounds); i++)
        bounds[i] = hd_latency_bound_us[i];
    hd_prom_metric(s->out, "heddle_function_responses_total", "counter",
                   "Requests by class of status.");
    for (size_t i = 0; i < s->n; i++) {
        for (size_t c = 0; c < HD_COUNT(classes); c++) {
            if (s->sums[i].by_class[c] > 0)
                hd_prom_u64(s->out, "heddle_function_responses_total",
                            LABELS("function", s->routes[i]->fn->name, "class", classes[c]),
                            s->sums[i].by_class[c]);
        }
    }
    hd_prom_metric(s->out, "heddle_rejected_total", "counter",
                   "Requests which the gateway answered itself.");
    for (size_t i = 0; i < s->n; i++) {
        for (unsigned c = 0; c < HD_REJECTED_COUNT; c++) {
            if (s->sums[i].rejected[c] > 0)
                hd_prom_u64(s->out, "heddle_rejected_total",
                            LABELS("function", s->routes[i]->fn->name, "reason",
                                   hd_reject_name((enum hd_reject)c)),
                            s->sums[i].rejected[c]);
        }
    }
    hd_prom_metric(s->out, "heddle_request_duration_seconds", "histogram",
                   "From the request's head to the end of the answer.");
    for (size_t i = 0; i < s->n; i++) {
        if (s->sums[i].requests > 0)
            hd_prom_histogram(s->out, "heddle_request_duration_seconds",
                              LABELS("function", s->routes[i]->fn->name), bounds,
                              s->sums[i].latency, HD_LATENCY_BUCKETS, s->sums[i].duration_us);
    }
    hd_prom_metric(s->out, "heddle_requests_in_flight", "gauge", "Requests under way.");
    for (size_t i = 0; i < s->n; i++)
        hd_prom_u64(s->out, "heddle_requests_in_flight", LABELS("function", s->routes[i]->fn->name),
                    (uint64_t)HD_MAX(s->sums[i].in_flight, (int64_t)0));
    hd_prom_metric(s->out, "heddle_function_duration_ms_avg", "gauge",
                   "Mean duration over the life of the node.");
    for (size_t i = 0; i < s->n; i++) {
        uint64_t requests = s->sums[i].requests;
        hd_prom_u64(s->out, "heddle_function_duration_ms_avg",
                    LABELS("function", s->routes[i]->fn->name),
                    requests > 0 ? (s->sums[i].duration_us / requests + 500) / 1000 : 0);
    }
}

static void breaker_part(struct scrape *s)
{
    hd_prom_metric(s->out, "heddle_function_breaker_open", "gauge", "1 while it turns away.");
    for (size_t i = 0; i < s->n; i++) {
        struct hd_breaker_stats v = {0};
        if (s->routes[i]->breaker != NULL)
            hd_breaker_stats(&v, s->routes[i]->breaker, hd_clock_ms());
        hd_prom_u64(s->out, "heddle_function_breaker_open",
                    LABELS("function", s->routes[i]->fn->name), v.state != HD_BREAKER_CLOSED);
    }
    hd_prom_metric(s->out, "heddle_function_breaker_state", "gauge", "1 for the state it is in.");
    for (size_t i = 0; i < s->n; i++) {
        struct hd_breaker_stats v = {0};
        if (s->routes[i]->breaker == NULL)
            continue;
        hd_breaker_stats(&v, s->routes[i]->breaker, hd_clock_ms());
        hd_prom_u64(
            s->out, "heddle_function_breaker_state",
            LABELS("function", s->routes[i]->fn->name, "state", hd_breaker_state_name(v.state)), 1);
    }
    hd_prom_metric(s->out, "heddle_function_error_rate", "gauge",
                   "Share of errors in the breaker's window.");
    for (size_t i = 0; i < s->n; i++) {
        struct hd_breaker_stats v = {0};
        if (s->routes[i]->breaker != NULL)
            hd_breaker_stats(&v, s->routes[i]->breaker, hd_clock_ms());
        hd_prom_f64(s->out, "heddle_function_error_rate",
                    LABELS("function", s->routes[i]->fn->name),
                    v.window > 0 ? (double)v.errors / v.window : 0);
    }
}

static void pool_gauges(struct scrape *s)
{
    static const char *const states[] = {"starting", "idle", "frozen", "busy", "draining"};
    hd_prom_metric(s->out, "heddle_pool_instances", "gauge", "Instances by state.");
    for (size_t i = 0; i < s->n_pools; i++) {
        const struct hd_pool_stats *st = &s->pools[i].stats;
        const uint32_t n[] = {st->starting, st->idle, st->frozen, st->busy, st->draining};
        for (size_t k = 0; k < HD_COUNT(n); k++)
            hd_prom_u64(s->out, "heddle_pool_instances",
                        labels_of(&s->pools[i], "state", states[k]), n[k]);
    }
    hd_prom_metric(s->out, "heddle_pool_waiting", "gauge", "Requests that wait for an instance.");
    for (size_t i = 0; i < s->n_pools; i++)
        hd_prom_u64(s->out, "heddle_pool_waiting", labels_of(&s->pools[i], NULL, NULL),
                    s->pools[i].stats.waiting);
    hd_prom_metric(s->out, "heddle_pool_in_flight", "gauge", "Requests in instances.");
    for (size_t i = 0; i < s->n_pools; i++)
        hd_prom_u64(s->out, "heddle_pool_in_flight", labels_of(&s->pools[i], NULL, NULL),
                    s->pools[i].stats.in_flight);
    hd_prom_metric(s->out, "heddle_pool_memory_bytes", "gauge", "Memory of the instances.");
    for (size_t i = 0; i < s->n_pools; i++)
        hd_prom_u64(s->out, "heddle_pool_memory_bytes", labels_of(&s->pools[i], NULL, NULL),
                    s->pools[i].stats.rss_bytes);
    hd_prom_metric(s->out, "heddle_pool_cpu_seconds", "gauge", "CPU time of the instances now.");
    for (size_t i = 0; i < s->n_pools; i++)
        hd_prom_f64(s->out, "heddle_pool_cpu_seconds", labels_of(&s->pools[i], NULL, NULL),
                    (double)s->pools[i].stats.cpu_us / 1e6);
}

static void pool_counters(struct scrape *s)
{
    static const struct {
        const char *name, *help;
        size_t at;
    } counters[] = {
        {"heddle_pool_launches_total", "Instances begun.",
         offsetof(struct hd_pool_counters, launches)},
        {"heddle_pool_cold_starts_total", "Starts that a request waited for.",
         offsetof(struct hd_pool_counters, cold_starts)},
        {"heddle_pool_crashes_total", "Ready instances that ended by themselves.",
         offsetof(struct hd_pool_counters, crashes)},
        {"heddle_instance_oom_total", "Instances that ended for their memory.",
         offsetof(struct hd_pool_counters, ooms)},
        {"heddle_pool_evictions_total", "Idle instances ended for the memory of others.",
         offsetof(struct hd_pool_counters, evictions)},
    };
    for (size_t c = 0; c < HD_COUNT(counters); c++) {
        hd_prom_metric(s->out, counters[c].name, "counter", counters[c].help);
        for (size_t i = 0; i < s->n_pools; i++) {
            uint64_t value;
            memcpy(&value, (const char *)&s->pools[i].counters + counters[c].at, sizeof(value));
            hd_prom_u64(s->out, counters[c].name, labels_of(&s->pools[i], NULL, NULL), value);
        }
    }
    hd_prom_metric(s->out, "heddle_pool_launch_failures_total", "counter",
                   "Instances that did not become ready.");
    for (size_t i = 0; i < s->n_pools; i++) {
        for (unsigned k = 0; k < HD_FAILURE_COUNT; k++) {
            if (s->pools[i].counters.failures[k] > 0)
                hd_prom_u64(s->out, "heddle_pool_launch_failures_total",
                            labels_of(&s->pools[i], "reason",
                                      hd_pool_failure_name((enum hd_pool_failure)k)),
                            s->pools[i].counters.failures[k]);
        }
    }
    hd_prom_metric(s->out, "heddle_pool_recycles_total", "counter",
                   "Working instances that were ended, and why.");
    for (size_t i = 0; i < s->n_pools; i++) {
        for (unsigned k = 0; k < HD_RECYCLE_COUNT; k++) {
            if (s->pools[i].counters.recycles[k] > 0)
                hd_prom_u64(s->out, "heddle_pool_recycles_total",
                            labels_of(&s->pools[i], "reason",
                                      hd_pool_recycle_name((enum hd_pool_recycle)k)),
                            s->pools[i].counters.recycles[k]);
        }
    }
}

static void pool_times(struct scrape *s)
{
    static const struct {
        const char *name, *help;
        size_t at;
    } times[] = {
        {"heddle_queue_wait_seconds", "Wait of requests that did not get their place at once.",
         offsetof(struct hd_pool_counters, queue_wait)},
        {"heddle_cold_start_seconds", "From launch to ready.",
         offsetof(struct hd_pool_counters, cold_start)},
    };
    for (size_t t = 0; t < HD_COUNT(times); t++) {
        hd_prom_metric(s->out, times[t].name, "histogram", times[t].help);
        for (size_t i = 0; i < s->n_pools; i++) {
            struct hd_pool_histogram h;
            memcpy(&h, (const char *)&s->pools[i].counters + times[t].at, sizeof(h));
            if (h.count > 0)
                hd_prom_histogram(s->out, times[t].name, labels_of(&s->pools[i], NULL, NULL),
                                  hd_pool_bucket_us, h.buckets, HD_POOL_BUCKETS, h.sum_us);
        }
    }
}

static void prewarmed(struct scrape *s)
{
    const struct hd_backend *b = s->node->backend;
    struct hd_process_prewarm_counts c;
    hd_process_prewarm_counts(&c, b);
    const struct {
        const char *host;
        uint64_t n;
    } starts[] = {
        {"ready", c.ready}, {"starting", c.starting}, {"none", c.none}, {"unfit", c.unfit}};
    hd_prom_metric(s->out, "heddle_prewarm_starts_total", "counter",
                   "Instances begun, by the prewarmed host that was there for them.");
    for (size_t i = 0; i < HD_COUNT(starts); i++)
        hd_prom_u64(s->out, "heddle_prewarm_starts_total", LABELS("host", starts[i].host),
                    starts[i].n);
    hd_prom_metric(s->out, "heddle_prewarm_hosts", "gauge", "Hosts that wait for a function.");
    hd_prom_u64(s->out, "heddle_prewarm_hosts", LABELS(NULL, NULL), hd_process_prewarm_ready(b));
    hd_prom_metric(s->out, "heddle_prewarm_memory_bytes", "gauge", "Memory of these hosts.");
    hd_prom_u64(s->out, "heddle_prewarm_memory_bytes", LABELS(NULL, NULL),
                hd_process_prewarm_rss_bytes(b));
}

void hd_node_metrics(struct hd_node *n, struct hd_buf *out)
{
    struct scrape s = {.node = n, .out = out};
    s.routes = n->table != NULL ? hd_routes_all(n->table, &s.n) : NULL;
    s.sums = hd_new_array(struct hd_stats_sum, s.n);
    for (size_t i = 0; i < s.n; i++)
        hd_stats_sum(s.routes[i]->stats, &s.sums[i]);
    hd_pool_set_each(n->pools, note_pool, &s);
    for (size_t i = 0; i < s.n_pools; i++) /* they do not move any more */
        label_pool(&s.pools[i]);
    node_part(&s);
    count_part(&s);
    request_part(&s);
    breaker_part(&s);
    pool_gauges(&s);
    pool_counters(&s);
    pool_times(&s);
    prewarmed(&s);
    hd_node_metrics_lambda(n, out);
    hd_node_lanes_metrics(n, out);
    hd_node_metrics_async(n, out);
    hd_node_metrics_feeds(n, out);
    free(s.pools);
    free(s.sums);
}
