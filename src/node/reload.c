/* Hot reload: what the watcher saw is scanned on a work thread and deployed on the control loop.
 * One scan at a time; what comes meanwhile is kept by the watcher (changes) or noted (full scan).
 */
#include "core/clock.h"
#include "core/work.h"
#include "node/private.h"

#include <stdatomic.h>

struct hd_reload {
    struct hd_node *node;
    bool running, full_again, from_watch;
    /* of the scan under way; the work thread has them */
    struct hd_strings paths;
    bool full;
    struct hd_scan scan;
    struct hd_strings watch_list;
    struct hd_error err;
    int rc;
    uint64_t start_us;
};

static void scan(void *arg)
{
    struct hd_reload *r = arg;
    struct hd_registry *registry = r->node->registry;
    r->rc = r->full ? hd_registry_scan(registry, &r->scan, &r->err)
                    : hd_registry_rescan(registry, (const char *const *)r->paths.items, r->paths.n,
                                         &r->scan, &r->err);
    if (r->rc == 0)
        hd_registry_watch_list(registry, &r->watch_list);
}

static void start(struct hd_node *n, bool full);

static bool is_empty(const struct hd_scan *s)
{
    return s->added.n + s->changed.n + s->removed.n + s->settled.n == 0;
}

static void tell(struct hd_reload *r)
{
    struct hd_node *n = r->node;
    const struct hd_scan *s = &r->scan;
    if (s->env_added.n + s->env_changed.n + s->env_removed.n > 0) {
        hd_auto_free char *added = hd_strings_join(&s->env_added, ", ");
        hd_auto_free char *updated = hd_strings_join(&s->env_changed, ", ");
        hd_auto_free char *removed = hd_strings_join(&s->env_removed, ", ");
        hd_log(n->log, HD_INFO, "environment files changed", hd_kv_str("updated", updated),
               hd_kv_str("added", added), hd_kv_str("removed", removed));
    }
    hd_auto_free char *changed = hd_strings_join(&s->changed, ", ");
    hd_auto_free char *added = hd_strings_join(&s->added, ", ");
    hd_auto_free char *removed = hd_strings_join(&s->removed, ", ");
    hd_auto_free char *settled = hd_strings_join(&s->settled, ", ");
    hd_log(n->log, HD_INFO, "reload", hd_kv_str("changed", s->changed.n > 0 ? changed : NULL),
           hd_kv_str("added", s->added.n > 0 ? added : NULL),
           hd_kv_str("removed", s->removed.n > 0 ? removed : NULL),
           hd_kv_str("settings", s->settled.n > 0 ? settled : NULL),
           hd_kv_us("took", hd_clock_us() - r->start_us));
}

static void scanned(void *arg)
{
    struct hd_reload *r = arg;
    struct hd_node *n = r->node;
    bool from_watch = r->from_watch;
    struct hd_strings again = r->scan.again;
    r->scan.again = (struct hd_strings){0};
    r->running = r->from_watch = false;
    hd_strings_done(&r->paths);
    if (r->rc < 0) {
        n->reload_failures++;
        hd_log(n->log, HD_ERROR, "reload failed, what was loaded before goes on",
               hd_kv_str("error", r->err.msg));
    } else {
        if (atomic_load(&n->state) < HD_NODE_DRAINING && !is_empty(&r->scan)) {
            tell(r);
            hd_node_deploy(n, &r->scan);
            n->reloads++;
        }
        hd_scan_done(&r->scan);
        if (n->watch != NULL)
            hd_watch_set(n->watch, &r->watch_list);
        hd_strings_done(&r->watch_list);
    }
    if (from_watch && n->watch != NULL)
        hd_watch_flushed(n->watch);
    if (again.n > 0 && n->watch != NULL)
        hd_watch_again(n->watch, &again);
    hd_strings_done(&again);
    if (r->full_again) {
        r->full_again = false;
        start(n, true);
    }
}

static void start(struct hd_node *n, bool full)
{
    struct hd_reload *r = n->reload;
    struct hd_error err;
    r->running = true;
    r->full = full;
    r->start_us = hd_clock_us();
    r->scan = (struct hd_scan){0};
    if (hd_work(n->workers[0].loop, scan, scanned, r, &err) == 0)
        return;
    r->running = false;
    n->reload_failures++;
    hd_log(n->log, HD_ERROR, "reload failed", hd_kv_str("error", err.msg));
    if (r->from_watch && n->watch != NULL)
        hd_watch_flushed(n->watch);
    r->from_watch = false;
}

static void on_change(void *arg, const struct hd_strings *paths, bool everything)
{
    struct hd_node *n = arg;
    struct hd_reload *r = n->reload;
    if (r->running) { /* a full scan that was asked for: it is followed by another one */
        r->full_again = true;
        hd_watch_flushed(n->watch);
        return;
    }
    r->from_watch = true;
    r->paths = hd_strings_copy(paths);
    start(n, everything);
}

void hd_node_rescan(struct hd_node *n)
{
    if (n->reload->running)
        n->reload->full_again = true;
    else
        start(n, true);
}

int hd_node_watch(struct hd_node *n, struct hd_error *err)
{
    n->reload = hd_new(struct hd_reload);
    n->reload->node = n;
    if (!n->opt->hmr)
        return 0;
    struct hd_watch_options opt = {
        .loop = n->workers[0].loop, .log = n->log, .on_change = on_change, .arg = n};
    int rc = hd_watch_new(&n->watch, &opt, err);
    if (rc < 0)
        return rc;
    struct hd_strings list = {0};
    hd_registry_watch_list(n->registry, &list);
    hd_watch_set(n->watch, &list);
    return 0;
}

void hd_node_unwatch(struct hd_node *n)
{
    hd_node_ahead_stop(n);
    if (n->watch != NULL)
        hd_watch_close(n->watch, NULL, NULL);
    n->watch = NULL;
}
