/* metrics.c - counters by their labels. A loop counts in a table of its own, whose lock nobody else
 * wants but the reader. */
#include "lanes/metrics.h"

#include "core/map.h"

#include <pthread.h>
#include <stdio.h>

enum { LABELS_MAX = 400, BUCKETS = 12, SERIES_MAX = 10000 };

static const uint64_t bucket_us[BUCKETS - 1] = {100,   250,   500,    1000,    2500,    5000,
                                                10000, 50000, 250000, 1000000, 10000000};

struct series {
    char key[LABELS_MAX]; /* metric and labels, as they are written */
    uint64_t n;
};

struct histogram {
    uint64_t count, sum_us, buckets[BUCKETS];
};

/* The last series of a kind: mostly the next one as well. */
struct recent {
    const char *lane;
    struct series *series;
};

struct share {
    pthread_mutex_t lock;
    struct recent recent[HD_LANE_COUNTS];
    struct recent recent_rpc[2];
    struct hd_map series;
    struct histogram in, out;
};

struct hd_lane_metrics {
    unsigned n;
    struct share *shares;
};

struct hd_lane_metrics *hd_lane_metrics_new(unsigned n_loops)
{
    struct hd_lane_metrics *m = hd_new(struct hd_lane_metrics);
    m->n = n_loops;
    m->shares = hd_new_array(struct share, n_loops);
    for (unsigned i = 0; i < n_loops; i++) {
        pthread_mutex_init(&m->shares[i].lock, NULL);
        hd_map_init(&m->shares[i].series, 0);
    }
    return m;
}

void hd_lane_metrics_free(struct hd_lane_metrics *m)
{
    if (m == NULL)
        return;
    for (unsigned i = 0; i < m->n; i++) {
        size_t at = 0;
        struct hd_str key;
        void *value;
        while (hd_map_next(&m->shares[i].series, &at, &key, &value))
            free(value);
        hd_map_done(&m->shares[i].series);
        pthread_mutex_destroy(&m->shares[i].lock);
    }
    free(m->shares);
    free(m);
}

static struct series *count(struct share *s, const char *key)
{
    struct series *one = hd_map_get(&s->series, hd_str(key));
    if (one == NULL && s->series.count < SERIES_MAX) {
        one = hd_new(struct series);
        snprintf(one->key, sizeof(one->key), "%s", key);
        hd_map_put(&s->series, hd_str(one->key), one);
    }
    if (one != NULL)
        one->n++;
    return one;
}

void hd_lane_metrics_event(struct hd_lane_metrics *m, unsigned loop_index, const char *lane,
                           enum hd_lane_count what, const char *detail)
{
    static const char *const names[HD_LANE_COUNTS] = {
        [HD_LANE_ENQUEUED] = "enqueued", [HD_LANE_RELAYED] = "relayed",
        [HD_LANE_RETRIED] = "retried",   [HD_LANE_REJECTED] = "rejected",
        [HD_LANE_SKIPPED] = "skipped",
    };
    struct share *s = &m->shares[loop_index];
    struct recent *recent = &s->recent[what];
    char key[LABELS_MAX];
    if (detail == NULL && recent->lane == lane && recent->series != NULL) {
        pthread_mutex_lock(&s->lock);
        recent->series->n++;
        pthread_mutex_unlock(&s->lock);
        return;
    }
    if (detail != NULL)
        snprintf(key, sizeof(key), "lanes_events_%s_total{lane=\"%s\",reason=\"%s\"}", names[what],
                 lane, detail);
    else
        snprintf(key, sizeof(key), "lanes_events_%s_total{lane=\"%s\"}", names[what], lane);
    pthread_mutex_lock(&s->lock);
    struct series *series = count(s, key);
    pthread_mutex_unlock(&s->lock);
    if (detail == NULL)
        *recent = (struct recent){.lane = lane, .series = series};
}

void hd_lane_metrics_rpc(struct hd_lane_metrics *m, unsigned loop_index, const char *dir,
                         const char *task, const char *code, uint64_t us)
{
    struct share *s = &m->shares[loop_index];
    struct histogram *h = dir[0] == 'i' ? &s->in : &s->out;
    struct recent *recent = &s->recent_rpc[dir[0] == 'i'];
    bool again = strcmp(code, "OK") == 0 && recent->lane == task && recent->series != NULL;
    char key[LABELS_MAX];
    unsigned bucket = 0;
    if (!again)
        snprintf(key, sizeof(key), "lanes_rpc_requests_total{dir=\"%s\",task=\"%s\",code=\"%s\"}",
                 dir, task, code);
    while (bucket < BUCKETS - 1 && us > bucket_us[bucket])
        bucket++;
    pthread_mutex_lock(&s->lock);
    struct series *series = recent->series;
    if (again)
        series->n++;
    else
        series = count(s, key);
    h->count++;
    h->sum_us += us;
    h->buckets[bucket]++;
    pthread_mutex_unlock(&s->lock);
    if (strcmp(code, "OK") == 0)
        *recent = (struct recent){.lane = task, .series = series};
}

/* --- reading --- */

static int by_key(const void *a, const void *b)
{
    return strcmp((*(struct series *const *)a)->key, (*(struct series *const *)b)->key);
}

static void gather(struct hd_map *all, struct share *s, struct histogram *in, struct histogram *out)
{
    size_t at = 0;
    struct hd_str key;
    void *value;
    pthread_mutex_lock(&s->lock);
    while (hd_map_next(&s->series, &at, &key, &value)) {
        const struct series *from = value;
        struct series *to = hd_map_get(all, key);
        if (to == NULL) {
            to = hd_new(struct series);
            memcpy(to->key, from->key, sizeof(to->key));
            hd_map_put(all, hd_str(to->key), to);
        }
        to->n += from->n;
    }
    struct histogram *pairs[][2] = {{in, &s->in}, {out, &s->out}};
    for (size_t i = 0; i < HD_COUNT(pairs); i++) {
        pairs[i][0]->count += pairs[i][1]->count;
        pairs[i][0]->sum_us += pairs[i][1]->sum_us;
        for (unsigned b = 0; b < BUCKETS; b++)
            pairs[i][0]->buckets[b] += pairs[i][1]->buckets[b];
    }
    pthread_mutex_unlock(&s->lock);
}

static void write_series(struct hd_buf *out, struct hd_map *all)
{
    struct series **sorted = hd_new_array(struct series *, all->count + 1);
    size_t n = 0, at = 0;
    struct hd_str key, last = {NULL, 0};
    void *value;
    while (hd_map_next(all, &at, &key, &value))
        sorted[n++] = value;
    qsort(sorted, n, sizeof(struct series *), by_key);
    for (size_t i = 0; i < n; i++) {
        struct hd_str name = hd_str_n(sorted[i]->key, hd_str_find(hd_str(sorted[i]->key), '{'));
        if (!hd_str_eq(name, last))
            hd_buf_fmt(out, "# TYPE %.*s counter\n", HD_FMT(name));
        last = name;
        hd_buf_fmt(out, "%s %llu\n", sorted[i]->key, (unsigned long long)sorted[i]->n);
    }
    for (size_t i = 0; i < n; i++)
        free(sorted[i]);
    free(sorted);
}

static void write_histogram(struct hd_buf *out, const char *dir, const struct histogram *h)
{
    uint64_t sum = 0;
    for (unsigned b = 0; b < BUCKETS - 1; b++) {
        sum += h->buckets[b];
        hd_buf_fmt(out, "lanes_rpc_seconds_bucket{dir=\"%s\",le=\"%g\"} %llu\n", dir,
                   (double)bucket_us[b] / 1e6, (unsigned long long)sum);
    }
    hd_buf_fmt(out, "lanes_rpc_seconds_bucket{dir=\"%s\",le=\"+Inf\"} %llu\n", dir,
               (unsigned long long)h->count);
    hd_buf_fmt(out, "lanes_rpc_seconds_sum{dir=\"%s\"} %.6f\n", dir, (double)h->sum_us / 1e6);
    hd_buf_fmt(out, "lanes_rpc_seconds_count{dir=\"%s\"} %llu\n", dir,
               (unsigned long long)h->count);
}

void hd_lane_metrics_write(struct hd_lane_metrics *m, struct hd_buf *out)
{
    struct hd_map all;
    struct histogram in = {0}, to = {0};
    hd_map_init(&all, 0);
    for (unsigned i = 0; i < m->n; i++)
        gather(&all, &m->shares[i], &in, &to);
    write_series(out, &all);
    hd_map_done(&all);
    hd_buf_cstr(out, "# TYPE lanes_rpc_seconds histogram\n");
    write_histogram(out, "in", &in);
    write_histogram(out, "out", &to);
}
