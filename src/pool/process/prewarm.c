/* A host on a shelf:  STARTING ──it has rehearsed──► READY ──taken──► somebody else's
 *                        └──it ends, or says nothing──► gone; the shelf tries again, later and
 *                                                       later                                  */
#include "pool/process/prewarm.h"

#include "pool/process/hostclient.h"

enum {
    UNUSED_MS = 30 * 60 * 1000,
    REFILL_MS = 50, /* after one was taken: its own load comes first; half of it is jitter */
    BACKOFF_FIRST_MS = 250,
    BACKOFF_MAX_MS = 30000,
};

struct shelf {
    struct hd_list link;
    struct hd_prewarm *w;
    struct hd_hostplan plan;
    struct hd_list hosts; /* struct warm */
    unsigned n, want, starting;
    bool asleep; /* not used for long: keeps no hosts until somebody asks */
    uint32_t backoff_ms;
    struct hd_timer refill, unused;
};

struct warm {
    struct hd_list link; /* in the shelf's hosts, or in w->leaving */
    struct hd_prewarm *w;
    struct shelf *shelf; /* NULL: it is being ended */
    struct hd_hostproc *host;
    struct hd_hostcall *call; /* while it starts */
    bool ready;
};

static struct shelf *shelf_of(struct hd_list *link)
{
    return hd_container_of(link, struct shelf, link);
}

static struct warm *warm_of(struct hd_list *link)
{
    return hd_container_of(link, struct warm, link);
}

static void on_refill(struct hd_timer *t);

static void refill_in(struct shelf *s, uint64_t ms)
{
    if (!s->w->closed && !hd_timer_active(&s->refill))
        hd_timer_start(s->w->site->loop, &s->refill, ms / 2 + hd_rng_below(&s->w->rng, ms / 2 + 1),
                       on_refill);
}

static void refill_after_failure(struct shelf *s)
{
    s->backoff_ms =
        s->backoff_ms == 0 ? BACKOFF_FIRST_MS : HD_MIN(s->backoff_ms * 2, (uint32_t)BACKOFF_MAX_MS);
    refill_in(s, s->backoff_ms);
}

/* Take a host off its shelf; it stays in no list. */
static void off_shelf(struct warm *h)
{
    struct shelf *s = h->shelf;
    hd_hostcall_cancel(hd_steal(h->call));
    hd_list_remove(&h->link);
    s->n--;
    s->w->n_hosts--;
    if (!h->ready)
        s->starting--;
    h->shelf = NULL;
}

static void end_host(struct warm *h)
{
    off_shelf(h);
    hd_list_push(&h->w->leaving, &h->link);
    hd_hostproc_kill(h->host);
}

static void on_host_gone(void *owner, const char *why, bool by_itself)
{
    (void)by_itself;
    struct warm *h = owner;
    struct shelf *s = h->shelf;
    if (s != NULL) {
        hd_log(h->w->site->log, HD_WARN, "a prewarmed host ended, retrying", hd_kv_str("how", why),
               hd_kv_bool("was_ready", h->ready));
        off_shelf(h);
        refill_after_failure(s);
    }
    hd_list_remove(&h->link);
    free(h);
}

static void on_host_line(void *owner, struct hd_str id, int level, struct hd_str text)
{
    struct warm *h = owner;
    (void)id;
    hd_log(h->w->site->log, level >= HD_WARN ? HD_WARN : HD_DEBUG, "a prewarmed host says",
           hd_kv_slice("text", text));
}

static void on_answer(void *arg, const struct hd_hostcall_answer *a)
{
    struct warm *h = arg;
    struct shelf *s = h->shelf;
    h->call = NULL;
    if (a->rc < 0 || (a->status != 200 && a->status != 404)) { /* 404: it has nothing to rehearse */
        hd_log(h->w->site->log, HD_WARN, "a prewarmed host does not answer, retrying",
               hd_kv_str("error", a->rc < 0 ? a->err->msg : "not with status 200"));
        end_host(h);
        refill_after_failure(s);
        return;
    }
    h->ready = true;
    s->starting--;
    s->backoff_ms = 0;
    refill_in(s, 0);
}

static const struct hd_hostproc_events host_events = {.on_line = on_host_line,
                                                      .on_gone = on_host_gone};

static int start_host(struct shelf *s, struct hd_error *err)
{
    struct warm *h = hd_new(struct warm);
    h->w = s->w;
    h->shelf = s;
    hd_list_init(&h->link);
    int rc = hd_hostproc_start(&h->host, s->w->site, &s->plan, &host_events, h, err);
    if (rc < 0) {
        free(h);
        return rc;
    }
    struct hd_hostcall_request req = {.retry = true,
                                      .method = "POST",
                                      .path = "/.heddle/rehearsal",
                                      .token = hd_hostproc_token(h->host),
                                      .body = hd_str("{}"),
                                      .within_ms = s->w->start_timeout_ms};
    req.n_at = hd_hostproc_endpoints(h->host, req.at);
    h->call = hd_hostcall_start(s->w->site->loop, &req, on_answer, h);
    hd_list_push(&s->hosts, &h->link);
    s->n++;
    s->starting++;
    s->w->n_hosts++;
    return 0;
}

/* One at a time: a start is work for all cores, and functions come first. */
static void on_refill(struct hd_timer *t)
{
    struct shelf *s = hd_container_of(t, struct shelf, refill);
    struct hd_error err;
    if (s->w->closed || s->asleep || s->starting > 0 || s->n >= s->want ||
        s->w->n_hosts >= s->w->max_hosts)
        return;
    if (start_host(s, &err) == 0)
        return;
    hd_log(s->w->site->log, HD_WARN, "a host cannot be prewarmed, retrying",
           hd_kv_str("error", err.msg));
    refill_after_failure(s);
}

static void empty_shelf(struct shelf *s)
{
    hd_list_each(link, &s->hosts) end_host(warm_of(link));
}

static void on_unused(struct hd_timer *t)
{
    struct shelf *s = hd_container_of(t, struct shelf, unused);
    s->asleep = true;
    empty_shelf(s);
}

static void used(struct shelf *s)
{
    s->asleep = false;
    hd_list_remove(&s->link);
    hd_list_push(&s->w->shelves, &s->link);
    hd_timer_start(s->w->site->loop, &s->unused, UNUSED_MS, on_unused);
}

static struct shelf *find(struct hd_prewarm *w, const char *key)
{
    hd_list_each(link,
                 &w->shelves) if (strcmp(shelf_of(link)->plan.key, key) == 0) return shelf_of(link);
    return NULL;
}

static void free_shelf(struct shelf *s)
{
    empty_shelf(s);
    hd_timer_stop(s->w->site->loop, &s->refill);
    hd_timer_stop(s->w->site->loop, &s->unused);
    hd_list_remove(&s->link);
    s->w->n_shelves--;
    hd_hostplan_done(&s->plan);
    free(s);
}

static struct shelf *add_shelf(struct hd_prewarm *w, const struct hd_hostplan *plan)
{
    if (w->n_shelves == HD_PREWARM_SHELVES_MAX)
        free_shelf(shelf_of(w->shelves.next));
    struct shelf *s = hd_new(struct shelf);
    s->w = w;
    hd_list_init(&s->link);
    hd_list_init(&s->hosts);
    hd_hostplan_copy(&s->plan, plan);
    w->n_shelves++;
    return s;
}

void hd_prewarm_init(struct hd_prewarm *w, struct hd_hostproc_site *site, unsigned max_hosts,
                     uint32_t start_timeout_ms)
{
    *w = (struct hd_prewarm){
        .site = site, .max_hosts = max_hosts, .start_timeout_ms = start_timeout_ms};
    hd_list_init(&w->shelves);
    hd_list_init(&w->leaving);
    hd_rng_init(&w->rng, 0);
}

void hd_prewarm_want(struct hd_prewarm *w, const struct hd_hostplan *plan, unsigned count)
{
    struct shelf *s = find(w, plan->key);
    if (w->closed)
        return;
    if (count == 0) {
        if (s != NULL)
            free_shelf(s);
        return;
    }
    if (s == NULL)
        s = add_shelf(w, plan);
    s->want = count;
    used(s);
    while (s->n > s->want)
        end_host(warm_of(s->hosts.next));
    refill_in(s, 0);
}

bool hd_prewarm_has(struct hd_prewarm *w, const struct hd_hostplan *plan)
{
    return plan->key != NULL && find(w, plan->key) != NULL;
}

void hd_prewarm_forget(struct hd_prewarm *w, const char *key)
{
    struct shelf *s = find(w, key);
    if (s != NULL)
        free_shelf(s);
}

struct hd_hostproc *hd_prewarm_take(struct hd_prewarm *w, const struct hd_hostplan *plan,
                                    bool *ready)
{
    struct shelf *s = plan->key != NULL ? find(w, plan->key) : NULL;
    if (s == NULL || w->closed)
        return NULL;
    used(s);
    refill_in(s, REFILL_MS);
    if (s->n == 0)
        return NULL;
    struct warm *h = warm_of(s->hosts.next); /* the oldest: ready, or the first to be */
    struct hd_hostproc *host = h->host;
    *ready = h->ready;
    off_shelf(h);
    free(h);
    return host;
}

void hd_prewarm_discard(struct hd_prewarm *w, struct hd_hostproc *host)
{
    struct warm *h = hd_new(struct warm);
    *h = (struct warm){.w = w, .host = host};
    hd_list_init(&h->link);
    hd_list_push(&w->leaving, &h->link);
    hd_hostproc_own(host, &host_events, h);
    hd_hostproc_kill(host);
}

uint64_t hd_prewarm_rss_bytes(const struct hd_prewarm *w)
{
    uint64_t sum = 0;
    hd_list_each(link, &w->shelves) hd_list_each(item, &shelf_of(link)->hosts) sum +=
        hd_hostproc_rss_bytes(warm_of(item)->host);
    return sum;
}

unsigned hd_prewarm_ready(const struct hd_prewarm *w)
{
    unsigned n = 0;
    hd_list_each(link, &w->shelves) hd_list_each(item, &shelf_of(link)->hosts) n +=
        warm_of(item)->ready;
    return n;
}

void hd_prewarm_close(struct hd_prewarm *w)
{
    w->closed = true;
    hd_list_each(link, &w->shelves) free_shelf(shelf_of(link));
}

bool hd_prewarm_is_closed(const struct hd_prewarm *w)
{
    return w->closed && hd_list_empty(&w->leaving);
}
