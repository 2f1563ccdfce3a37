/* What is counted of invocations with an event, by Lambda function; and of the store. */
#include "invoke/admission.h"
#include "node/private.h"
#include "telemetry/promtext.h"

struct row {
    const char *account, *region, *name;
    struct hd_admission *admission;
    const struct hd_call_stats *stats;
};

struct rows {
    struct hd_buf *out;
    struct row *all;
    size_t n, cap;
};

static void note(void *arg, const struct hd_lambda_fn *fn)
{
    struct rows *r = arg;
    if (fn->admission == NULL)
        return;
    if (r->n == r->cap) {
        r->cap = r->cap > 0 ? r->cap * 2 : 64;
        r->all = hd_realloc_array(r->all, r->cap, sizeof(*r->all));
    }
    r->all[r->n++] = (struct row){.account = fn->account,
                                  .region = fn->region,
                                  .name = fn->name,
                                  .admission = fn->admission,
                                  .stats = hd_admission_stats(fn->admission)};
}

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

enum { LABELS_MAX = 9 };

/* The row's labels, and one more pair where @p name is not NULL. */
static const char *const *labels(const char *room[LABELS_MAX], const struct row *r,
                                 const char *name, const char *value)
{
    const char *const all[LABELS_MAX] = {"function", r->name, "account", r->account, "region",
                                         r->region,  name,    value,     NULL};
    memcpy(room, all, sizeof(all));
    return room;
}

/* --- one metric each --- */

static uint64_t invocations(const struct row *r)
{
    return load(&r->stats->invocations);
}

static uint64_t throttles(const struct row *r)
{
    return hd_admission_throttles(r->admission);
}

static uint64_t cold_starts(const struct row *r)
{
    return load(&r->stats->cold_starts);
}

static uint64_t running(const struct row *r)
{
    return hd_admission_running(r->admission);
}

static void plain(const struct rows *rows)
{
    static const struct {
        const char *name, *type, *help;
        uint64_t (*of)(const struct row *r);
    } all[] = {
        {"heddle_lambda_invocations_total", "counter", "Invocations that were admitted.",
         invocations},
        {"heddle_lambda_throttles_total", "counter",
         "Invocations that a limit of concurrency turned away.", throttles},
        {"heddle_lambda_cold_starts_total", "counter",
         "Invocations that were the first in their instance.", cold_starts},
        {"heddle_lambda_concurrent_executions", "gauge",
         "Invocations under way, without those in provisioned places.", running},
    };
    const char *room[LABELS_MAX];
    for (size_t m = 0; m < HD_COUNT(all); m++) {
        hd_prom_metric(rows->out, all[m].name, all[m].type, all[m].help);
        for (size_t i = 0; i < rows->n; i++)
            hd_prom_u64(rows->out, all[m].name, labels(room, &rows->all[i], NULL, NULL),
                        all[m].of(&rows->all[i]));
    }
}

static void errors(const struct rows *rows)
{
    static const char name[] = "heddle_lambda_errors_total";
    const char *room[LABELS_MAX];
    hd_prom_metric(rows->out, name, "counter", "Invocations that failed, by what went wrong.");
    for (size_t i = 0; i < rows->n; i++) {
        for (unsigned f = HD_CALL_FAILURE_NONE + 1; f < HD_CALL_FAILURE_COUNT; f++) {
            uint64_t n = load(&rows->all[i].stats->failures[f]);
            if (n > 0)
                hd_prom_u64(rows->out, name,
                            labels(room, &rows->all[i], "type",
                                   hd_call_failure_name((enum hd_call_failure)f)),
                            n);
        }
    }
}

static void histogram(const struct rows *rows, const char *name, const char *help, size_t offset)
{
    const char *room[LABELS_MAX];
    hd_prom_metric(rows->out, name, "histogram", help);
    for (size_t i = 0; i < rows->n; i++) {
        const struct hd_call_histogram *h =
            (const struct hd_call_histogram *)((const char *)rows->all[i].stats + offset);
        uint64_t buckets[HD_CALL_BUCKETS];
        if (load(&h->count) == 0)
            continue;
        for (size_t b = 0; b < HD_COUNT(buckets); b++)
            buckets[b] = load(&h->buckets[b]);
        hd_prom_histogram(rows->out, name, labels(room, &rows->all[i], NULL, NULL),
                          hd_call_bucket_us, buckets, HD_CALL_BUCKETS, load(&h->sum_us));
    }
}

static void store(struct hd_store *s, struct hd_buf *out)
{
    struct hd_store_stats st;
    hd_store_stats(s, &st);
    const struct {
        const char *name, *type, *help;
        uint64_t value;
    } all[] = {
        {"heddle_store_commits_total", "counter", "Commits to the database.", st.commits},
        {"heddle_store_writes_total", "counter", "Writes in them.", st.writes},
        {"heddle_store_failures_total", "counter", "Commits that did not work.", st.failures},
        {"heddle_store_pending", "gauge", "Writes that are not on the disk yet.", st.pending},
        {"heddle_store_bytes", "gauge", "Size of the database file.", st.bytes},
    };
    for (size_t i = 0; i < HD_COUNT(all); i++) {
        hd_prom_metric(out, all[i].name, all[i].type, all[i].help);
        hd_prom_u64(out, all[i].name, NULL, all[i].value);
    }
    hd_prom_metric(out, "heddle_store_last_commit_seconds", "gauge", "How long the last one took.");
    hd_prom_f64(out, "heddle_store_last_commit_seconds", NULL, (double)st.last_commit_us / 1e6);
}

static void api_count(void *arg, const struct hd_api_count *c)
{
    static const char name[] = "heddle_lambda_api_requests_total";
    const struct {
        const char *result;
        uint64_t n;
    } all[] = {{"answered", c->answered}, {"refused", c->refused}, {"failed", c->failed}};
    for (size_t i = 0; i < HD_COUNT(all); i++) {
        const char *const by[] = {"operation", c->operation, "result", all[i].result, NULL};
        if (all[i].n > 0)
            hd_prom_u64(arg, name, by, all[i].n);
    }
}

static void api(const struct hd_node *n, struct hd_buf *out)
{
    hd_prom_metric(out, "heddle_lambda_api_requests_total", "counter",
                   "Requests to the Lambda API but invocations, by how they ended.");
    hd_api_each_count(n->api, api_count, out);
}

void hd_node_metrics_lambda(struct hd_node *n, struct hd_buf *out)
{
    struct rows rows = {.out = out};
    struct hd_view *view = hd_node_view(n);
    if (view != NULL)
        hd_view_each(view, note, &rows);
    if (rows.n > 0) {
        plain(&rows);
        errors(&rows);
        histogram(&rows, "heddle_lambda_duration_seconds", "From delivery to the end.",
                  offsetof(struct hd_call_stats, duration));
        histogram(&rows, "heddle_lambda_init_duration_seconds", "Start of instances.",
                  offsetof(struct hd_call_stats, init));
    }
    if (n->api != NULL)
        api(n, out);
    if (n->store != NULL)
        store(n->store, out);
    hd_view_unref(view);
    free(rows.all);
}
