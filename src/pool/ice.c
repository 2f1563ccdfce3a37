/* Idle instances that stand still until they are needed; the drawing is in pool/policy.h.
 *
 * Whether one is given out, and whether it is frozen, is decided under the group's lock: who has a
 * place in it keeps it warm, and who comes after it was decided waits, and wakes the control loop,
 * whose plan thaws it. So nothing is handed to an instance that stands still. */
#include "pool/private.h"

enum { AGAIN_MS = 60000 }; /* where freezing failed it is tried again, so much later */

static void set_ice(struct hd_instance *i, enum hd_instance_ice ice)
{
    struct hd_pool *p = i->pool;
    if (i->ice == HD_ICE_WARM && ice != HD_ICE_WARM)
        p->frozen++;
    else if (i->ice != HD_ICE_WARM && ice == HD_ICE_WARM)
        p->frozen--;
    i->ice = ice;
    i->ice_since_ms = hd_loop_now_ms(p->control);
}

void hd_instance_forget_ice(struct hd_instance *i)
{
    if (i->ice != HD_ICE_WARM)
        set_ice(i, HD_ICE_WARM);
}

static void become(struct hd_instance *i, enum hd_instance_ice ice)
{
    struct hd_pool *p = i->pool;
    pthread_mutex_lock(&p->group->lock);
    set_ice(i, ice);
    if (ice == HD_ICE_WARM)
        hd_pool_serve(p);
    pthread_mutex_unlock(&p->group->lock);
}

static void log_failure(const struct hd_instance *i, const char *msg, const struct hd_error *err)
{
    const struct hd_launch *l = &i->pool->launch;
    hd_log(i->pool->set->log, HD_WARN, msg, hd_kv_str("function", l->function),
           hd_kv_str("version", l->version), hd_kv_int("instance", (int64_t)i->serial),
           hd_kv_str("reason", err->msg));
}

static void on_frozen(void *owner, const struct hd_error *err)
{
    struct hd_instance *i = owner;
    struct hd_pool *p = i->pool;
    if (i->state != HD_INSTANCE_READY || i->ice != HD_ICE_FREEZING)
        return;
    if (err != NULL) {
        p->freeze_from_ms =
            err->code == HD_EDENIED ? UINT64_MAX : hd_loop_now_ms(p->control) + AGAIN_MS;
        log_failure(i, "idle instances cannot be frozen, and go on", err);
    }
    become(i, err == NULL ? HD_ICE_FROZEN : HD_ICE_WARM);
    hd_pool_step(p);
}

bool hd_instance_freeze(struct hd_instance *i)
{
    struct hd_pool *p = i->pool;
    const struct hd_backend_ops *ops = p->backend->ops;
    if (ops->freeze == NULL || ops->thaw == NULL) {
        p->freeze_from_ms = UINT64_MAX;
        return true;
    }
    pthread_mutex_lock(&p->group->lock);
    bool idle = atomic_load(&i->in_flight) == 0 && atomic_load(&p->waiting) == 0;
    if (idle)
        set_ice(i, HD_ICE_FREEZING);
    pthread_mutex_unlock(&p->group->lock);
    if (idle)
        ops->freeze(i->handle, on_frozen, i);
    return idle;
}

/* What cannot be woken is ended, by the next plan; who waits gets another one. */
static void thawed(struct hd_instance *i, const struct hd_error *err)
{
    if (err == NULL) {
        become(i, HD_ICE_WARM);
        return;
    }
    log_failure(i, "a frozen instance cannot be thawed, and is ended", err);
    atomic_store(&i->suspicion, HD_SUSPECT_DOOMED);
}

static void on_thawed(void *owner, const struct hd_error *err)
{
    struct hd_instance *i = owner;
    if (i->state != HD_INSTANCE_READY || i->ice != HD_ICE_THAWING)
        return;
    thawed(i, err);
    hd_pool_step(i->pool);
}

void hd_instance_thaw(struct hd_instance *i)
{
    struct hd_error err;
    become(i, HD_ICE_THAWING);
    int rc = i->pool->backend->ops->thaw(i->handle, on_thawed, i, &err);
    if (rc <= 0)
        thawed(i, rc < 0 ? &err : NULL);
}
