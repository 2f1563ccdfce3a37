/* Functions that wait to be called are prepared a while after a change, when the folder is calm:
 * those whose files changed last. deploy ──names──► calm for a while ──► the newest ──► the backend
 */
#include "node/private.h"

#include <sys/stat.h>

enum {
    CALM_MS = 250,
    NAMES_MAX = 1000, /* that are looked at */
    NEWEST_MAX = 32,  /* that are prepared */
};

struct candidate {
    const struct hd_function *fn;
    struct timespec changed;
};

static int by_change(const void *a, const void *b)
{
    const struct timespec *x = &((const struct candidate *)a)->changed;
    const struct timespec *y = &((const struct candidate *)b)->changed;
    if (x->tv_sec != y->tv_sec)
        return x->tv_sec > y->tv_sec ? -1 : 1;
    return (x->tv_nsec < y->tv_nsec) - (x->tv_nsec > y->tv_nsec);
}

static size_t look(const struct hd_node *n, struct candidate *out, const struct hd_strings *names)
{
    size_t count = 0;
    for (size_t i = 0; i < names->n && n->snapshot != NULL; i++) {
        const struct hd_function *fn = hd_snapshot_find(n->snapshot, hd_str(names->items[i]));
        struct stat st;
        if (fn == NULL || fn->problem != NULL || fn->runtime != HD_RUNTIME_DENO ||
            stat(fn->entry, &st) < 0)
            continue;
        out[count++] = (struct candidate){.fn = fn, .changed = st.st_mtim};
    }
    return count;
}

static void on_calm(struct hd_timer *t)
{
    struct hd_ahead *a = hd_container_of(t, struct hd_ahead, calm);
    struct hd_node *n = a->node;
    struct candidate *all = hd_new_array(struct candidate, a->names.n);
    size_t count = look(n, all, &a->names);
    if (count > 1)
        qsort(all, count, sizeof(all[0]), by_change);
    for (size_t i = 0; i < HD_MIN(count, (size_t)NEWEST_MAX); i++) {
        struct hd_launch what = hd_node_launch(n, all[i].fn);
        n->backend->ops->prepare(n->backend, &what);
    }
    free(all);
    hd_strings_done(&a->names);
}

static void note(struct hd_ahead *a, const struct hd_strings *names)
{
    for (size_t i = 0; i < names->n && a->names.n < NAMES_MAX; i++)
        hd_strings_add(&a->names, hd_str(names->items[i]));
}

void hd_node_ahead(struct hd_node *n, const struct hd_scan *scan)
{
    struct hd_ahead *a = &n->ahead;
    if (n->opt->prewarm == 0 || n->backend->ops->prepare == NULL)
        return;
    a->node = n;
    note(a, &scan->changed);
    note(a, &scan->added);
    if (a->names.n > 0)
        hd_timer_start(n->workers[0].loop, &a->calm, CALM_MS, on_calm);
}

void hd_node_ahead_stop(struct hd_node *n)
{
    if (n->workers[0].loop != NULL)
        hd_timer_stop(n->workers[0].loop, &n->ahead.calm);
    hd_strings_done(&n->ahead.names);
}
