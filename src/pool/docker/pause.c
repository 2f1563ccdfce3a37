/* RUNS ──pause──► PAUSES ──► PAUSED ──unpause──► UNPAUSES ──► RUNS       a call that fails: back
 *
 * A container that is paused can be removed by force: the engine sees to that. What is to end by
 * itself has to run. */
#include "pool/docker/pause.h"

enum { CALL_MS = 10000 };

static void ask(struct hd_docker_pause *p, const char *what);

static void settle(struct hd_docker_pause *p, const struct hd_error *err)
{
    switch (p->fate) {
    case HD_PAUSE_STAYS:
        p->done(p->owner, err);
        break;
    case HD_PAUSE_ENDS:
        if (p->state == HD_PAUSE_PAUSED && err == NULL)
            ask(p, "unpause");
        break;
    case HD_PAUSE_REMOVED:
        p->on_settled(p->arg);
        break;
    }
}

static void on_answer(void *arg, const struct hd_engine_answer *a)
{
    struct hd_docker_pause *p = arg;
    bool pauses = p->state == HD_PAUSE_PAUSES;
    bool ok = a->status == 204 || a->status == 200 || a->status == 304;
    struct hd_error err;
    p->call = NULL;
    p->state = pauses == ok ? HD_PAUSE_PAUSED : HD_PAUSE_RUNS;
    if (!ok)
        hd_engine_fail(&err, HD_EIO, a, pauses ? "pausing a container" : "unpausing a container");
    settle(p, ok ? NULL : &err);
}

static void ask(struct hd_docker_pause *p, const char *what)
{
    hd_auto_free char *path = hd_printf("/containers/%s/%s", p->id, what);
    const struct hd_engine_request req = {.method = "POST", .path = path, .timeout_ms = CALL_MS};
    p->state = p->state == HD_PAUSE_RUNS ? HD_PAUSE_PAUSES : HD_PAUSE_UNPAUSES;
    p->call = hd_engine_ask(p->engine, &req, on_answer, p);
}

void hd_docker_pause_init(struct hd_docker_pause *p, struct hd_engine *engine, const char *id,
                          void (*on_settled)(void *arg), void *arg)
{
    *p = (struct hd_docker_pause){.engine = engine, .id = id, .on_settled = on_settled, .arg = arg};
}

void hd_docker_pause_start(struct hd_docker_pause *p,
                           void (*done)(void *owner, const struct hd_error *err), void *owner)
{
    if (p->state != HD_PAUSE_RUNS || p->fate != HD_PAUSE_STAYS)
        return; /* it is to end */
    p->done = done;
    p->owner = owner;
    ask(p, "pause");
}

int hd_docker_pause_end(struct hd_docker_pause *p,
                        void (*done)(void *owner, const struct hd_error *err), void *owner)
{
    if (p->state != HD_PAUSE_PAUSED)
        return 0;
    p->done = done;
    p->owner = owner;
    ask(p, "unpause");
    return 1;
}

void hd_docker_pause_melt(struct hd_docker_pause *p)
{
    if (p->fate != HD_PAUSE_STAYS)
        return;
    p->fate = HD_PAUSE_ENDS;
    if (p->state == HD_PAUSE_PAUSED)
        ask(p, "unpause");
}

bool hd_docker_pause_break(struct hd_docker_pause *p)
{
    if (p->call == NULL) {
        p->fate = HD_PAUSE_REMOVED;
        return false;
    }
    if (p->fate != HD_PAUSE_REMOVED)
        hd_engine_cancel(p->call);
    p->fate = HD_PAUSE_REMOVED;
    return true;
}
