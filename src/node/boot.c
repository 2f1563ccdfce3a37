/* The first starts, as they are told: to a program a record each; to a person a numbered line each,
 * and, on a terminal, one that stands below them until all is loaded. */
#include "core/clock.h"
#include "node/private.h"

enum { TICK_MS = 100, HEARTBEAT_MS = 2000, NAMES_SHOWN = 3 };

struct hd_boot {
    struct hd_node *node;
    struct hd_map seen; /* functions that had their first result; keys are owned */
    struct hd_timer tick;
    uint64_t start_us;
    uint32_t total, done, failed;
    bool begun, settled;
};

struct hd_boot *hd_boot_new(struct hd_node *n)
{
    struct hd_boot *b = hd_new(struct hd_boot);
    b->node = n;
    b->start_us = hd_clock_us();
    hd_map_init(&b->seen, 0);
    return b;
}

static void forget(struct hd_boot *b)
{
    size_t at = 0;
    struct hd_str key;
    while (hd_map_next(&b->seen, &at, &key, NULL))
        free((char *)key.ptr);
    hd_map_done(&b->seen);
}

void hd_boot_free(struct hd_boot *b)
{
    if (b == NULL)
        return;
    forget(b);
    free(b);
}

static uint32_t waiting(const struct hd_boot *b)
{
    struct hd_pool_warmup w;
    hd_pool_set_warmup(b->node->pools, &w);
    return w.by_state[HD_POOL_LOADING] + w.by_state[HD_POOL_QUEUED];
}

/* Some of the names that are still to come. */
static void names_left(const struct hd_boot *b, struct hd_buf *out)
{
    size_t count;
    const struct hd_function *const *all = hd_snapshot_all(b->node->snapshot, &count);
    unsigned shown = 0;
    for (size_t i = 0; i < count; i++) {
        if (all[i]->problem != NULL || hd_map_get(&b->seen, hd_str(all[i]->name)) != NULL)
            continue;
        if (shown == NAMES_SHOWN) {
            hd_buf_cstr(out, ", \xe2\x80\xa6");
            return;
        }
        hd_buf_fmt(out, "%s%s", shown++ > 0 ? ", " : ": ", all[i]->name);
    }
}

static void on_tick(struct hd_timer *t)
{
    struct hd_boot *b = hd_container_of(t, struct hd_boot, tick);
    struct hd_node *n = b->node;
    bool live = hd_log_get_terminal(n->log);
    if (b->settled)
        return;
    struct hd_buf text;
    hd_buf_init(&text, 1024);
    names_left(b, &text);
    hd_auto_free char *names = hd_buf_take(&text);
    uint64_t took_us = hd_clock_us() - b->start_us;
    if (live) {
        char line[400];
        snprintf(line, sizeof(line), "  loading, %u of %u done, %.1f s%s", b->done, b->total,
                 (double)took_us / 1e6, names != NULL ? names : "");
        hd_log_status(n->log, line);
    } else if (took_us / 1000 >= HEARTBEAT_MS) {
        hd_log(n->log, HD_INFO, "still loading", hd_kv_int("done", b->done),
               hd_kv_int("of", b->total), hd_kv_str("left", names != NULL ? names + 2 : NULL));
    }
    hd_timer_start(n->workers[0].loop, t, live ? TICK_MS : HEARTBEAT_MS, on_tick);
}

static void settle(struct hd_boot *b)
{
    struct hd_log *log = b->node->log;
    b->settled = true;
    hd_timer_stop(b->node->workers[0].loop, &b->tick);
    hd_log_status(log, "");
    forget(b);
    if (b->done == 0)
        return;
    uint64_t took_us = hd_clock_us() - b->start_us;
    if (hd_log_get_format(log) == HD_LOG_JSON) {
        hd_log(log, b->failed > 0 ? HD_WARN : HD_INFO, "functions loaded",
               hd_kv_int("loaded", b->done - b->failed), hd_kv_int("failed", b->failed),
               hd_kv_us("took", took_us));
        return;
    }
    char text[160];
    uint32_t loaded = b->done - b->failed;
    int len = snprintf(text, sizeof(text), "Loaded %u function%s in %u ms", loaded,
                       loaded == 1 ? "" : "s", (unsigned)(took_us / 1000));
    if (b->failed > 0)
        snprintf(text + len, sizeof(text) - (size_t)len, ", %u failed", b->failed);
    hd_log(log, b->failed > 0 ? HD_WARN : HD_INFO, text);
}

void hd_boot_begin(struct hd_boot *b)
{
    b->begun = true;
    b->total = waiting(b) + b->done;
    if (waiting(b) == 0)
        settle(b);
    else
        on_tick(&b->tick);
}

void hd_boot_end(struct hd_boot *b)
{
    if (!b->settled) {
        b->done = 0; /* no sum of what was broken off */
        settle(b);
    }
}

static void tell_people(struct hd_boot *b, const char *name, uint64_t took_us, const char *why)
{
    struct hd_log *log = b->node->log;
    bool color = hd_log_get_color(log);
    const char *dim = color ? "\033[2m" : "", *off = color ? "\033[0m" : "",
               *good = color ? "\033[32m" : "", *bad = color ? "\033[31m" : "";
    if (!hd_log_enabled(log, why != NULL ? HD_ERROR : HD_INFO))
        return;
    struct hd_buf line;
    hd_buf_init(&line, 8192);
    hd_buf_fmt(&line, "  %s[%u/%u]%s ", dim, b->done, HD_MAX(b->total, b->done), off);
    if (why == NULL) {
        hd_buf_fmt(&line, "%s\xe2\x9c\x93%s %s", good, off, name);
        if (took_us > 0)
            hd_buf_fmt(&line, " %s(%ums)%s", dim, (unsigned)(took_us / 1000), off);
        hd_buf_char(&line, '\n');
    } else {
        struct hd_str rest = hd_str(why), part;
        hd_auto_free char *known = hd_printf("function %s: ", name);
        if (strncmp(why, known, strlen(known)) == 0)
            rest = hd_str(why + strlen(known));
        hd_buf_fmt(&line, "%s\xe2\x9c\x97 %s%s\n", bad, name, off);
        while (hd_str_split(&part, &rest, '\n')) {
            hd_buf_cstr(&line, "      ");
            hd_buf_printable(&line, part);
            hd_buf_char(&line, '\n');
        }
    }
    if (!hd_buf_failed(&line))
        hd_log_raw(log, hd_buf_view(&line));
    hd_buf_done(&line);
}

static void tell(struct hd_boot *b, const char *name, uint64_t took_us, const char *why)
{
    struct hd_log *log = b->node->log;
    if (hd_log_get_format(log) == HD_LOG_TEXT && !b->settled)
        tell_people(b, name, took_us, why);
    else if (why != NULL)
        hd_log(log, HD_ERROR, "function failed to load", hd_kv_str("function", name),
               hd_kv_str("error", why));
    else if (!b->settled)
        hd_log(log, HD_INFO, "function ready", hd_kv_str("function", name),
               hd_kv_us("took", took_us));
}

void hd_boot_state(struct hd_boot *b, struct hd_pool *p, enum hd_pool_state state,
                   const struct hd_error *why)
{
    const char *name = hd_pool_key(p);
    bool failed = state == HD_POOL_FAILED;
    if (state != HD_POOL_READY && !failed)
        return;
    struct hd_pool_stats stats;
    hd_pool_stats(p, &stats);
    if (!failed && stats.cold_start_us == 0)
        return; /* it sleeps: nobody asked for it */
    if (!b->settled) {
        if (hd_map_get(&b->seen, hd_str(name)) != NULL)
            return;
        hd_map_put(&b->seen, hd_str(hd_strdup(name)), b);
        b->done++;
        b->failed += failed;
    }
    tell(b, name, stats.cold_start_us,
         !failed                         ? NULL
         : why != NULL && why->code != 0 ? why->msg
                                         : "no reason is known");
    if (!b->settled && b->begun && waiting(b) == 0)
        settle(b);
}

bool hd_boot_settled(const struct hd_boot *b)
{
    return b->settled;
}
