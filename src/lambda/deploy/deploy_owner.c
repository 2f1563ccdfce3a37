#include "lambda/deploy/deploy_owner.h"

struct hd_deploy_place {
    char *key; /* "account/region/" */
    struct hd_account_quota *quota;
    uint64_t promised; /* reserved or provisioned */
    unsigned owners;
};

void hd_deploy_owners_init(struct hd_deploy_owners *all, uint32_t account_limit)
{
    all->account_limit = account_limit;
    hd_map_init(&all->places, 0);
    hd_map_init(&all->owners, 0);
}

void hd_deploy_owners_done(struct hd_deploy_owners *all)
{
    hd_map_done(&all->places);
    hd_map_done(&all->owners);
}

static struct hd_deploy_place *place_of(struct hd_deploy_owners *all, const char *owner_key)
{
    struct hd_str key = hd_str_n(owner_key, (size_t)(strrchr(owner_key, '/') - owner_key) + 1);
    struct hd_deploy_place *p = hd_map_get(&all->places, key);
    if (p != NULL)
        return p;
    p = hd_new(struct hd_deploy_place);
    p->key = hd_strdup_n(key);
    p->quota = hd_account_quota_new(all->account_limit);
    hd_map_put(&all->places, hd_str(p->key), p);
    return p;
}

static uint64_t promised(const struct hd_deploy_owner *o)
{
    return o->reserved >= 0 ? (uint64_t)o->reserved : o->provisioned;
}

struct hd_deploy_owner *hd_deploy_owner_find(const struct hd_deploy_owners *all, struct hd_str key)
{
    return hd_map_get(&all->owners, key);
}

struct hd_deploy_owner *hd_deploy_owner_hold(struct hd_deploy_owners *all, struct hd_str key)
{
    struct hd_deploy_owner *o = hd_map_get(&all->owners, key);
    if (o == NULL) {
        o = hd_new(struct hd_deploy_owner);
        o->key = hd_strdup_n(key);
        o->reserved = -1;
        o->place = place_of(all, o->key);
        o->place->owners++;
        o->admission = hd_admission_new(o->place->quota);
        hd_map_put(&all->owners, hd_str(o->key), o);
    }
    o->users++;
    return o;
}

void hd_deploy_owner_promise(struct hd_deploy_owners *all, struct hd_deploy_owner *o,
                             int64_t reserved, uint32_t provisioned)
{
    struct hd_deploy_place *p = o->place;
    if (reserved == o->reserved && provisioned == o->provisioned)
        return;
    p->promised -= promised(o);
    o->reserved = reserved;
    o->provisioned = provisioned;
    p->promised += promised(o);
    hd_admission_set(o->admission, reserved, provisioned);
    hd_account_quota_set(p->quota, p->promised < all->account_limit
                                       ? all->account_limit - (uint32_t)p->promised
                                       : 0);
}

void hd_deploy_owner_let_go(struct hd_deploy_owners *all, struct hd_deploy_owner *o)
{
    struct hd_deploy_place *p = o->place;
    if (--o->users > 0)
        return;
    hd_deploy_owner_promise(all, o, -1, 0);
    hd_map_remove(&all->owners, hd_str(o->key));
    hd_admission_unref(o->admission);
    free(o->key);
    free(o);
    if (--p->owners > 0)
        return;
    hd_map_remove(&all->places, hd_str(p->key));
    hd_account_quota_unref(p->quota);
    free(p->key);
    free(p);
}
