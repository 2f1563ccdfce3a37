#include "pool/alive.h"

#include "core/id.h"
#include "core/map.h"

#include <pthread.h>
#include <stdio.h>

struct hd_alive {
    pthread_mutex_t lock;
    struct hd_map by_id; /* of struct life */
};

struct life {
    char id[HD_ALIVE_ID_CHARS + 1];
    struct hd_alive_who who;
};

struct hd_alive *hd_alive_new(void)
{
    struct hd_alive *a = hd_new(struct hd_alive);
    pthread_mutex_init(&a->lock, NULL);
    hd_map_init(&a->by_id, 0);
    return a;
}

void hd_alive_free(struct hd_alive *a)
{
    size_t at = 0;
    void *value;
    if (a == NULL)
        return;
    while (hd_map_next(&a->by_id, &at, NULL, &value))
        free(value);
    hd_map_done(&a->by_id);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

void hd_alive_draw(char id[HD_ALIVE_ID_CHARS + 1])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint8_t random[HD_ALIVE_ID_CHARS];
    hd_random(random, sizeof(random));
    for (size_t i = 0; i < sizeof(random); i++)
        id[i] = alphabet[random[i] % 32];
    id[HD_ALIVE_ID_CHARS] = '\0';
}

void hd_alive_begin(struct hd_alive *a, const char *id, const char *function, const char *role)
{
    if (a == NULL)
        return;
    struct life *l = hd_new(struct life);
    memcpy(l->id, id, sizeof(l->id));
    snprintf(l->who.function, sizeof(l->who.function), "%s", function);
    snprintf(l->who.role, sizeof(l->who.role), "%s", role != NULL ? role : "function");
    pthread_mutex_lock(&a->lock);
    void *before = hd_map_put(&a->by_id, hd_str(l->id), l);
    pthread_mutex_unlock(&a->lock);
    free(before);
}

void hd_alive_end(struct hd_alive *a, const char *id)
{
    if (a == NULL)
        return;
    pthread_mutex_lock(&a->lock);
    void *life = hd_map_remove(&a->by_id, hd_str(id));
    pthread_mutex_unlock(&a->lock);
    free(life);
}

bool hd_alive_is(struct hd_alive *a, struct hd_str id)
{
    pthread_mutex_lock(&a->lock);
    bool is = hd_map_get(&a->by_id, id) != NULL;
    pthread_mutex_unlock(&a->lock);
    return is;
}

bool hd_alive_find(struct hd_alive *a, struct hd_alive_who *out, struct hd_str id)
{
    pthread_mutex_lock(&a->lock);
    const struct life *l = hd_map_get(&a->by_id, id);
    if (l != NULL)
        *out = l->who;
    pthread_mutex_unlock(&a->lock);
    return l != NULL;
}
