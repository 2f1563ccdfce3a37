#include "invoke/target.h"

#include "invoke/admission.h"

struct hd_target *hd_target_new(void)
{
    struct hd_target *t = hd_new(struct hd_target);
    atomic_init(&t->owners, 1);
    return t;
}

struct hd_target *hd_target_ref(struct hd_target *t)
{
    atomic_fetch_add_explicit(&t->owners, 1, memory_order_relaxed);
    return t;
}

void hd_target_unref(struct hd_target *t)
{
    if (t == NULL || atomic_fetch_sub(&t->owners, 1) > 1)
        return;
    hd_pool_unref(t->pool);
    hd_admission_unref(t->admission);
    hd_provision_unref(t->provision);
    free(t->name);
    free(t->version);
    free(t->arn);
    free(t->problem);
    free(t->problem_type);
    free(t->runtime);
    free(t->runtime_arn);
    free(t->log_group);
    free(t);
}
