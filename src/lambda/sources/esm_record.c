#include "lambda/sources/esm_poll_private.h"

struct hd_esm_record *hd_esm_record_new(const char *id, const char *handle, char *json)
{
    struct hd_esm_record *r = hd_new(struct hd_esm_record);
    hd_list_init(&r->link);
    r->id = hd_strdup(id);
    r->handle = hd_strdup(handle);
    r->json = json;
    r->json_len = strlen(json);
    r->held_until_ms = UINT64_MAX;
    return r;
}

void hd_esm_record_free(struct hd_esm_record *r)
{
    if (r == NULL)
        return;
    free(r->json);
    free(r->id);
    free(r->handle);
    free(r);
}

void hd_esm_records_free(struct hd_list *records)
{
    struct hd_list *item;
    while ((item = hd_list_pop(records)) != NULL)
        hd_esm_record_free(hd_esm_record_of(item));
}

void hd_esm_records_move(struct hd_list *to, struct hd_list *from)
{
    struct hd_list *item;
    while ((item = hd_list_pop(from)) != NULL)
        hd_list_push(to, item);
}
