/* What a node says when its doors are open. */
#include "core/clock.h"
#include "node/private.h"

#include <stdio.h>

/* A function that answers without a token makes the better first example. */
static const struct hd_function *example(const struct hd_snapshot *s)
{
    size_t n;
    const struct hd_function *const *all = hd_snapshot_all(s, &n);
    const struct hd_function *hello = hd_snapshot_find(s, hd_str("hello"));
    if (hello != NULL && hello->problem == NULL)
        return hello;
    for (size_t i = 0; i < n; i++) {
        if (all[i]->problem == NULL && !all[i]->set.verify_jwt)
            return all[i];
    }
    return n > 0 ? all[0] : NULL;
}

void hd_node_url_of(char *out, size_t room, const char *host, uint16_t port)
{
    bool any = strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
    bool v6 = strchr(host, ':') != NULL && !any;
    snprintf(out, room, v6 ? "http://[%s]:%u" : "http://%s:%u", any ? "127.0.0.1" : host, port);
}

static void say_to_people(struct hd_node *n, const char *url, const char *control)
{
    bool color = hd_log_get_color(n->log);
    const char *bold = color ? "\033[1m" : "", *dim = color ? "\033[2m" : "",
               *cyan = color ? "\033[36m" : "", *off = color ? "\033[0m" : "";
    size_t count;
    const struct hd_function *const *all = hd_snapshot_all(n->snapshot, &count);
    struct hd_buf b;
    hd_buf_init(&b, 256 * 1024);
    hd_buf_fmt(&b, "\n  %sheddle %s%s on %s  %s%s, %zu function%s, %u loop%s%s\n\n", bold,
               HD_VERSION, off, url, dim, n->opt->dev ? "development mode" : "production mode",
               count, count == 1 ? "" : "s", n->n_workers, n->n_workers == 1 ? "" : "s", off);
    enum { SHOWN = 20 };
    int width = 0;
    for (size_t i = 0; i < count && i < SHOWN; i++)
        width = HD_MAX(width, (int)strlen(all[i]->name));
    for (size_t i = 0; i < count && i < SHOWN; i++) {
        const struct hd_function *fn = all[i];
        hd_buf_fmt(&b, "  %s%s%s/%-*s%s  %s%s%s%s\n", cyan, url, n->opt->route_prefix, width,
                   fn->name, off, dim, hd_runtime_name(fn->runtime),
                   fn->problem != NULL  ? ", cannot run"
                   : fn->set.verify_jwt ? ", needs a token"
                                        : "",
                   off);
    }
    if (count > SHOWN)
        hd_buf_fmt(&b, "  %s... and %zu more: heddle list%s\n", dim, count - SHOWN, off);
    const struct hd_function *fn = example(n->snapshot);
    if (fn != NULL && fn->set.verify_jwt && n->opt->dev) /* it has the keys */
        hd_buf_fmt(&b, "\n  Try it:  %sheddle invoke %s --port %u%s\n", bold, fn->name, n->port,
                   off);
    else if (fn != NULL)
        hd_buf_fmt(&b, "\n  Try it:  %scurl %s%s/%s%s\n", bold, url, n->opt->route_prefix, fn->name,
                   off);
    else
        hd_buf_fmt(&b,
                   "  No functions in %s yet; make one:\n  %sheddle new hello --functions %s%s\n",
                   n->opt->functions_dir, bold, n->opt->functions_dir, off);
    hd_buf_fmt(&b, "  AWS clients:  %sexport AWS_ENDPOINT_URL=%s%s\n", bold, control, off);
    hd_buf_fmt(&b, "  %sCtrl-C ends it.%s\n\n", dim, off);
    hd_log_raw(n->log, hd_buf_view(&b));
    hd_buf_done(&b);
}

void hd_node_say_ready(struct hd_node *n)
{
    size_t count;
    char url[300], control[300];
    hd_node_url_of(url, sizeof(url), n->opt->host, n->port);
    hd_node_url_of(control, sizeof(control), n->opt->control_host, n->control_port);
    hd_snapshot_all(n->snapshot, &count);
    if (hd_log_get_format(n->log) == HD_LOG_TEXT && hd_log_enabled(n->log, HD_INFO)) {
        say_to_people(n, url, control);
    } else {
        hd_log(n->log, HD_INFO, "ready", hd_kv_str("url", url), hd_kv_int("port", n->port),
               hd_kv_str("control", control), hd_kv_int("control_port", n->control_port),
               hd_kv_int("exposure_port", hd_node_lanes_port(n)),
               hd_kv_int("functions", (int64_t)count), hd_kv_str("admin", n->opt->admin_socket),
               hd_kv_us("took", hd_clock_us() - n->start_us));
    }
    hd_log_flush(n->log, 0); /* somebody, or something, waits for this */
}
