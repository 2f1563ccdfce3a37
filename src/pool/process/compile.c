/* waiting ──pause──► under way ──it ended, or was ended at its deadline──► the next one */
#include "pool/process/compile.h"

enum {
    PAUSE_MS = 5,
    DEADLINE_MS = 10000,
    MEMORY_MB = 512,
};

struct job {
    struct hd_list link;
    char *function;
    struct hd_hostplan plan;
};

static struct job *job_of(struct hd_list *link)
{
    return hd_container_of(link, struct job, link);
}

static void drop(struct hd_compile *c, struct job *j)
{
    hd_list_remove(&j->link);
    c->n_waiting--;
    hd_hostplan_done(&j->plan);
    free(j->function);
    free(j);
}

static void on_pause(struct hd_timer *t);

static void next(struct hd_compile *c)
{
    if (c->now == NULL && c->n_waiting > 0 && !c->closed && !hd_timer_active(&c->timer))
        hd_timer_start(c->site->loop, &c->timer, PAUSE_MS, on_pause);
}

static void on_gone(void *owner, const char *why, bool by_itself)
{
    struct hd_compile *c = owner;
    (void)by_itself;
    hd_timer_stop(c->site->loop, &c->timer);
    c->now = NULL;
    hd_log(c->site->log, HD_DEBUG, "compiled ahead", hd_kv_str("how", why));
    next(c);
}

static void on_deadline(struct hd_timer *t)
{
    struct hd_compile *c = hd_container_of(t, struct hd_compile, timer);
    if (c->now != NULL)
        hd_hostproc_kill(c->now);
}

static const struct hd_hostproc_events events = {.on_gone = on_gone};

static void on_pause(struct hd_timer *t)
{
    struct hd_compile *c = hd_container_of(t, struct hd_compile, timer);
    if (c->n_waiting == 0)
        return;
    struct hd_error err;
    struct job *j = job_of(c->waiting.next);
    int rc = hd_hostproc_start(&c->now, c->site, &j->plan, &events, c, &err);
    if (rc < 0) {
        c->now = NULL;
        hd_log(c->site->log, HD_DEBUG, "cannot be compiled ahead",
               hd_kv_str("function", j->function), hd_kv_str("error", err.msg));
    }
    drop(c, j);
    if (rc < 0) {
        next(c);
        return;
    }
    hd_hostproc_limit(c->now, MEMORY_MB, 0);
    hd_hostproc_yield(c->now);
    hd_timer_start(c->site->loop, &c->timer, DEADLINE_MS, on_deadline);
}

void hd_compile_init(struct hd_compile *c, struct hd_hostproc_site *site)
{
    *c = (struct hd_compile){.site = site};
    hd_list_init(&c->waiting);
}

void hd_compile_add(struct hd_compile *c, const char *function, const struct hd_hostplan *plan)
{
    if (c->closed)
        return;
    hd_compile_forget(c, function);
    if (c->n_waiting == HD_COMPILE_WAITING_MAX)
        drop(c, job_of(c->waiting.next));
    struct job *j = hd_new(struct job);
    hd_list_init(&j->link);
    j->function = hd_strdup(function);
    hd_hostplan_copy(&j->plan, plan);
    hd_list_push(&c->waiting, &j->link);
    c->n_waiting++;
    next(c);
}

void hd_compile_forget(struct hd_compile *c, const char *function)
{
    struct hd_list *link = c->waiting.next;
    while (link != &c->waiting) {
        struct job *j = job_of(link);
        link = link->next;
        if (strcmp(j->function, function) == 0)
            drop(c, j);
    }
}

void hd_compile_close(struct hd_compile *c)
{
    c->closed = true;
    hd_timer_stop(c->site->loop, &c->timer);
    while (c->n_waiting > 0)
        drop(c, job_of(c->waiting.next));
    if (c->now != NULL)
        hd_hostproc_kill(c->now);
}

bool hd_compile_is_closed(const struct hd_compile *c)
{
    return c->closed && c->now == NULL;
}
