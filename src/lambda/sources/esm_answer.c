#include "lambda/sources/esm_answer.h"

#include "core/map.h"

#include <jansson.h>

static size_t all(bool *failed, size_t n, bool value)
{
    memset(failed, value, n);
    return value ? n : 0;
}

/* @return false: the list is not to be trusted. */
static bool mark(bool *failed, const json_t *list, const struct hd_map *places,
                 const char *const *ids)
{
    size_t i;
    json_t *entry;
    json_array_foreach(list, i, entry)
    {
        const char *id = json_string_value(json_object_get(entry, "itemIdentifier"));
        const char *const *at = id != NULL ? hd_map_get(places, hd_str(id)) : NULL;
        if (at == NULL)
            return false;
        failed[at - ids] = true;
    }
    return true;
}

/* Where the mark of a record is: several of one id share it. */
static size_t place_of(const struct hd_map *places, const char *id, const char *const *ids,
                       size_t own)
{
    const char *const *at = id[0] != '\0' ? hd_map_get(places, hd_str(id)) : NULL;
    return at != NULL ? (size_t)(at - ids) : own;
}

size_t hd_esm_answer(bool *failed, struct hd_str answer, const char *const *ids, size_t n_ids)
{
    size_t count = 0;
    json_t *root =
        answer.len > 0 ? json_loadb(answer.ptr, answer.len, JSON_DECODE_ANY, NULL) : json_null();
    const json_t *list = json_object_get(root, "batchItemFailures");
    bool nothing =
        json_is_null(root) || (json_is_object(root) && (list == NULL || json_is_null(list)));
    all(failed, n_ids, false);
    if (!nothing && !json_is_array(list)) {
        count = all(failed, n_ids, true);
    } else if (!nothing) {
        struct hd_map places;
        hd_map_init(&places, 0);
        for (size_t i = 0; i < n_ids; i++)
            if (ids[i][0] != '\0')
                hd_map_put(&places, hd_str(ids[i]), (void *)&ids[i]);
        bool good = mark(failed, list, &places, ids);
        for (size_t i = 0; i < n_ids; i++) {
            failed[i] = !good || failed[place_of(&places, ids[i], ids, i)];
            count += failed[i];
        }
        hd_map_done(&places);
    }
    json_decref(root);
    return count;
}
