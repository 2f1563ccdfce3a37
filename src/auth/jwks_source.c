/*            ┌──────── max-age over, or an unknown key ────────┐
 *            ▼                                                 │
 *  start ─► FETCHING ──200: publish; 304: it stays as it is──► FRESH
 *            ▲   └──error: the keys stay──► FAILED ──┐
 *            └───────────── back-off over ───────────┘
 *  FRESH and FAILED are the same timer with another delay.                                 */
#include "auth/jwks_source.h"

#include "core/id.h"

#include <stdatomic.h>

struct hd_jwks_source {
    struct hd_jwks_source_options opt;
    struct hd_loop *loop;
    struct hd_fetcher *fetcher;
    struct hd_jwks_slot *slot;
    struct hd_log *log;
    struct hd_rng rng;
    struct hd_timer next, stale;
    struct hd_fetch *fetch; /* under way, or NULL */
    char *etag;
    struct hd_jwks_source_stats stats;
    uint64_t missing_next_ms; /* no fetch before because of an unknown key */
    _Atomic bool missing;     /* somebody asked, and the loop does not know yet */
    bool closing;
    void (*done)(void *arg);
    void *arg;
};

static void start_fetch(struct hd_jwks_source *s);

/* --- pure decisions --- */

int64_t hd_jwks_fresh_s(struct hd_str cache_control, struct hd_str age)
{
    int64_t fresh = -1;
    struct hd_str part;
    while (hd_str_split(&part, &cache_control, ',')) {
        part = hd_str_trim(part);
        struct hd_str value = part, name;
        hd_str_split(&name, &value, '=');
        uint64_t n;
        if (hd_str_is_nocase(part, "no-store") || hd_str_is_nocase(name, "no-cache"))
            return 0;
        if (hd_str_is_nocase(name, "max-age") && hd_str_to_u64(&n, value) == 0)
            fresh = (int64_t)HD_MIN(n, (uint64_t)INT32_MAX);
    }
    uint64_t spent;
    if (fresh > 0 && hd_str_to_u64(&spent, hd_str_trim(age)) == 0)
        fresh -= (int64_t)HD_MIN(spent, (uint64_t)fresh);
    return fresh;
}

static uint64_t jittered(struct hd_rng *rng, uint64_t ms)
{
    return ms - hd_rng_below(rng, ms / 5 + 1); /* up to a fifth sooner */
}

static uint64_t refresh_delay(struct hd_jwks_source *s, int64_t fresh_s)
{
    uint64_t ms = fresh_s < 0 ? s->opt.refresh_max_ms : (uint64_t)fresh_s * 1000;
    ms = HD_MIN(ms, (uint64_t)s->opt.refresh_max_ms);
    ms = HD_MAX(ms, (uint64_t)s->opt.refresh_min_ms);
    return jittered(&s->rng, ms);
}

static uint64_t retry_delay(struct hd_jwks_source *s)
{
    uint64_t ms = s->opt.retry_min_ms;
    for (uint32_t i = 1; i < s->stats.retries && ms < s->opt.retry_max_ms; i++)
        ms *= 2;
    return jittered(&s->rng, HD_MIN(ms, (uint64_t)s->opt.retry_max_ms));
}

/* --- the loop's side --- */

static void on_next(struct hd_timer *t)
{
    start_fetch(hd_container_of(t, struct hd_jwks_source, next));
}

static void on_stale(struct hd_timer *t)
{
    struct hd_jwks_source *s = hd_container_of(t, struct hd_jwks_source, stale);
    hd_jwks_slot_set(s->slot, hd_jwks_new());
    s->stats.keys = 0;
    free(s->etag);
    s->etag = NULL;
    hd_log(s->log, HD_ERROR, "key set is too old, no key of it is accepted any more",
           hd_kv_str("url", s->opt.url));
}

static void free_source(void *arg)
{
    struct hd_jwks_source *s = arg;
    s->done(s->arg);
    free((char *)(uintptr_t)s->opt.url);
    free(s->etag);
    hd_jwks_slot_unref(s->slot);
    free(s);
}

static int publish(struct hd_jwks_source *s, const struct hd_fetch_result *result,
                   struct hd_error *err)
{
    __attribute__((cleanup(hd_jwks_auto_))) struct hd_jwks *set = hd_jwks_new();
    int rc = hd_jwks_add_json(set, result->body, true, err);
    if (rc < 0)
        return rc;
    const char *why;
    size_t skipped = hd_jwks_skipped(set, &why);
    s->stats.keys = hd_jwks_count(set);
    s->stats.published++;
    hd_jwks_slot_set(s->slot, hd_steal(set));
    struct hd_str etag = hd_fetch_field(result, "etag");
    free(s->etag);
    s->etag = etag.len > 0 && etag.len < 256 ? hd_strdup_n(etag) : NULL;
    hd_log(s->log, HD_INFO, "key set published", hd_kv_str("url", s->opt.url),
           hd_kv_int("keys", (int64_t)s->stats.keys), hd_kv_int("left_out", (int64_t)skipped),
           hd_kv_str("why", skipped > 0 ? why : NULL));
    return 0;
}

static int take_answer(struct hd_jwks_source *s, const struct hd_fetch_result *result,
                       struct hd_error *err)
{
    if (result->status == 304 && s->etag != NULL) {
        s->stats.not_modified++;
        return 0;
    }
    if (result->status != 200)
        return hd_fail(err, HD_EPROTO, "status %u", result->status);
    return publish(s, result, err);
}

static void on_fetched(void *arg, const struct hd_fetch_result *result, const struct hd_error *why)
{
    struct hd_jwks_source *s = arg;
    s->fetch = NULL;
    if (s->closing) {
        hd_loop_post(s->loop, free_source, s);
        return;
    }
    struct hd_error err;
    int rc = result != NULL ? take_answer(s, result, &err) : why->code;
    if (rc < 0) {
        s->stats.failures++;
        s->stats.retries++;
        uint64_t delay = retry_delay(s);
        hd_timer_stop(s->loop, &s->next);
        hd_timer_start(s->loop, &s->next, delay, on_next);
        hd_log(s->log, HD_WARN, "key set cannot be fetched, retrying", hd_kv_str("url", s->opt.url),
               hd_kv_str("why", result != NULL ? err.msg : why->msg),
               hd_kv_int("retry_ms", (int64_t)delay),
               hd_kv_int("keys_in_use", (int64_t)s->stats.keys));
        return;
    }
    if (s->stats.retries > 0)
        hd_log(s->log, HD_INFO, "key set can be fetched again", hd_kv_str("url", s->opt.url));
    s->stats.retries = 0;
    s->stats.ok_ms = hd_loop_now_ms(s->loop);
    int64_t fresh_s =
        hd_jwks_fresh_s(hd_fetch_field(result, "cache-control"), hd_fetch_field(result, "age"));
    hd_timer_stop(s->loop, &s->next);
    hd_timer_start(s->loop, &s->next, refresh_delay(s, fresh_s), on_next);
    hd_timer_start(s->loop, &s->stale, s->opt.stale_max_ms, on_stale);
}

static void start_fetch(struct hd_jwks_source *s)
{
    if (s->fetch != NULL)
        return; /* one for all who ask */
    struct hd_field fields[2] = {{hd_str("accept"), hd_str("application/json")}};
    size_t n = 1;
    if (s->etag != NULL)
        fields[n++] = (struct hd_field){hd_str("if-none-match"), hd_str(s->etag)};
    const struct hd_fetch_request request = {
        .url = s->opt.url,
        .fields = fields,
        .n_fields = n,
        .timeout_ms = s->opt.timeout_ms,
        .max_body_bytes = HD_JWKS_BYTES_MAX,
        .max_redirects = 3,
    };
    struct hd_error err;
    s->stats.fetches++;
    int rc = hd_fetch_start(&s->fetch, s->fetcher, &request, on_fetched, s, &err);
    if (rc < 0)
        on_fetched(s, NULL, &err);
}

/* A token asked for an unknown key. Soon after the last time it waits: whoever makes up key names
 * must not make us hammer the issuer. */
static void on_missing_posted(void *arg)
{
    struct hd_jwks_source *s = arg;
    atomic_store_explicit(&s->missing, false, memory_order_release);
    if (s->closing || s->fetch != NULL)
        return;
    uint64_t now = hd_loop_now_ms(s->loop);
    if (now >= s->missing_next_ms) {
        s->missing_next_ms = now + s->opt.missing_interval_ms;
        hd_timer_stop(s->loop, &s->next);
        start_fetch(s);
    } else if (!hd_timer_active(&s->next) || s->next.due_ms > s->missing_next_ms) {
        hd_timer_start(s->loop, &s->next, s->missing_next_ms - now, on_next);
        s->missing_next_ms += s->opt.missing_interval_ms;
    }
}

/* Any thread, with the slot locked. */
static void on_missing(void *arg)
{
    struct hd_jwks_source *s = arg;
    if (!atomic_exchange_explicit(&s->missing, true, memory_order_acq_rel))
        hd_loop_post(s->loop, on_missing_posted, s);
}

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value > 0 ? value : fallback;
}

int hd_jwks_source_new(struct hd_jwks_source **out, struct hd_loop *loop,
                       struct hd_fetcher *fetcher, struct hd_jwks_slot *slot,
                       const struct hd_jwks_source_options *opt, struct hd_log *log,
                       struct hd_error *err)
{
    struct hd_str url = hd_str(opt->url);
    if (!hd_str_starts(url, hd_str("https://")) && !hd_str_starts(url, hd_str("http://")))
        return hd_fail(err, HD_EINVAL, "auth.jwks_url: must begin with https:// or http://");
    struct hd_jwks_source *s = hd_new(struct hd_jwks_source);
    s->opt = (struct hd_jwks_source_options){
        .url = hd_strdup(opt->url),
        .timeout_ms = or_default(opt->timeout_ms, 10000),
        .refresh_min_ms = or_default(opt->refresh_min_ms, 60000),
        .refresh_max_ms = or_default(opt->refresh_max_ms, 3600000),
        .retry_min_ms = or_default(opt->retry_min_ms, 1000),
        .retry_max_ms = or_default(opt->retry_max_ms, 300000),
        .missing_interval_ms = or_default(opt->missing_interval_ms, 10000),
        .stale_max_ms = or_default(opt->stale_max_ms, 86400000),
    };
    s->loop = loop;
    s->fetcher = fetcher;
    s->slot = hd_jwks_slot_ref(slot);
    s->log = log;
    hd_rng_init(&s->rng, opt->seed);
    hd_jwks_slot_on_missing(slot, on_missing, s);
    hd_timer_start(loop, &s->next, 0, on_next);
    *out = s;
    return 0;
}

void hd_jwks_source_close(struct hd_jwks_source *s, void (*done)(void *arg), void *arg)
{
    hd_jwks_slot_on_missing(s->slot, NULL, NULL);
    hd_timer_stop(s->loop, &s->next);
    hd_timer_stop(s->loop, &s->stale);
    s->closing = true;
    s->done = done;
    s->arg = arg;
    if (s->fetch != NULL)
        hd_fetch_cancel(s->fetch);
    else
        hd_loop_post(s->loop, free_source, s); /* behind what on_missing() may have posted */
}

void hd_jwks_source_stats(struct hd_jwks_source_stats *out, const struct hd_jwks_source *s)
{
    *out = s->stats;
}
