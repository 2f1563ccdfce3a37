/* The instances of a node, shown one by one, and taken out of service. */
#include "node/private.h"

#include <inttypes.h>

void hd_node_which(struct hd_node_which *out, struct hd_str id, struct hd_str function)
{
    *out = (struct hd_node_which){.serial = 0};
    if (id.len > 0 && (hd_str_to_u64(&out->serial, id) < 0 || out->serial == 0))
        out->wrong = true;
    if (function.len > HD_FUNCTION_NAME_MAX)
        out->wrong = true;
    else if (function.len > 0)
        memcpy(out->function, function.ptr, function.len);
}

struct list {
    struct hd_buf *out;
    const char *comma;
};

static void add(void *arg, const struct hd_instance_report *r)
{
    struct list *l = arg;
    struct hd_buf *b = l->out;
    hd_buf_fmt(b, "%s{\"id\":%" PRIu64 ",\"function\":", l->comma, r->serial);
    l->comma = ",";
    hd_buf_json(b, hd_str(r->function));
    hd_buf_cstr(b, ",\"pool\":");
    hd_buf_json(b, hd_str(r->key));
    hd_buf_cstr(b, ",\"fingerprint\":");
    hd_buf_json(b, hd_str(r->version));
    hd_buf_fmt(b,
               ",\"backend\":\"%s\",\"state\":\"%s\",\"ageMs\":%" PRIu64 ",\"inFlight\":%" PRIu32
               ",\"served\":%" PRIu64,
               r->backend, r->state, r->age_ms, r->in_flight, r->requests);
    if (r->unused_ms >= 0)
        hd_buf_fmt(b, ",\"lastUsedMsAgo\":%" PRId64, r->unused_ms);
    hd_buf_fmt(b,
               ",\"memoryBytes\":%" PRIu64 ",\"memoryPeakBytes\":%" PRIu64
               ",\"initMs\":%.1f,\"initialization\":\"%s\"}",
               r->rss_bytes, r->peak_bytes, (double)r->init_us / 1000,
               r->provisioned ? "provisioned-concurrency" : "on-demand");
}

void hd_node_instances(struct hd_node *n, struct hd_buf *out)
{
    struct list l = {out, ""};
    hd_buf_cstr(out, "{\"instances\":[");
    hd_pool_set_each_instance(n->pools, add, &l);
    hd_buf_cstr(out, "]}");
}

static bool wanted(void *arg, const struct hd_instance_report *r)
{
    const struct hd_node_which *w = arg;
    return !w->wrong && (w->serial == 0 || w->serial == r->serial) &&
           (w->function[0] == '\0' || strcmp(w->function, r->function) == 0);
}

void hd_node_drain_instances(struct hd_node *n, const struct hd_node_which *which,
                             struct hd_buf *out)
{
    hd_buf_fmt(out, "{\"draining\":%u}", hd_pool_set_drain(n->pools, wanted, (void *)which));
}
