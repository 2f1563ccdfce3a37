#include "lambda/tags.h"

static const char edge_tag[] = "heddle.edge", freeze_tag[] = "heddle.freeze";

/* Characters, not bytes: the limits are the service's. */
static size_t chars(const char *s)
{
    size_t n = 0;
    for (; *s != '\0'; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static enum hd_edge_access edge_of(const char *text)
{
    if (text != NULL && strcmp(text, "protected") == 0)
        return HD_EDGE_PROTECTED;
    return text != NULL && strcmp(text, "public") == 0 ? HD_EDGE_PUBLIC : HD_EDGE_NONE;
}

static enum hd_tags_freeze freeze_of(const char *text)
{
    if (text != NULL && strcmp(text, "true") == 0)
        return HD_TAGS_FREEZE_ON;
    return text != NULL && strcmp(text, "false") == 0 ? HD_TAGS_FREEZE_OFF : HD_TAGS_FREEZE_UNSAID;
}

static int check(const char *key, const json_t *value, struct hd_error *err)
{
    const char *text = json_string_value(value);
    size_t n = chars(key);
    if (text == NULL)
        return hd_fail(err, HD_EINVAL, "The value of the tag '%.128s' must be a string.", key);
    if (n < 1 || n > HD_TAGS_KEY_CHARS)
        return hd_fail(err, HD_EINVAL, "A tag's key must have 1 to %d characters, not %zu.",
                       HD_TAGS_KEY_CHARS, n);
    if (chars(text) > HD_TAGS_VALUE_CHARS)
        return hd_fail(err, HD_EINVAL,
                       "The value of the tag '%.128s' must have at most %d characters.", key,
                       HD_TAGS_VALUE_CHARS);
    if (hd_str_eq_nocase(hd_str_n(key, HD_MIN(n, (size_t)4)), hd_str("aws:")))
        return hd_fail(err, HD_EINVAL,
                       "The tag key '%.128s' begins with 'aws:', which is reserved.", key);
    if (strcmp(key, edge_tag) == 0 && edge_of(text) == HD_EDGE_NONE)
        return hd_fail(err, HD_EINVAL,
                       "The tag '%s' must be 'protected' or 'public', not '%.40s'; without it the "
                       "function has no edge URL.",
                       edge_tag, text);
    if (strcmp(key, freeze_tag) == 0 && freeze_of(text) == HD_TAGS_FREEZE_UNSAID)
        return hd_fail(err, HD_EINVAL,
                       "The tag '%s' must be 'true' or 'false', not '%.40s'; without it the node's "
                       "setting holds.",
                       freeze_tag, text);
    return 0;
}

int hd_tags_add(json_t *tags, const json_t *more, unsigned max, struct hd_error *err)
{
    size_t fresh = 0;
    const char *key;
    json_t *value;
    if (json_object_size(more) == 0)
        return hd_fail(err, HD_EINVAL, "An error occurred and the request cannot be processed.");
    json_object_foreach((json_t *)more, key, value)
    {
        int rc = check(key, value, err);
        if (rc < 0)
            return rc;
        fresh += json_object_get(tags, key) == NULL;
    }
    if (json_object_size(tags) + fresh > (max > 0 ? max : HD_TAGS_MAX))
        return hd_fail(err, HD_EBUSY, "Number of tags exceeds resource tag limit.");
    json_object_update(tags, (json_t *)more);
    return 0;
}

enum hd_edge_access hd_tags_edge(const json_t *tags)
{
    return edge_of(json_string_value(json_object_get(tags, edge_tag)));
}

enum hd_tags_freeze hd_tags_freeze(const json_t *tags)
{
    return freeze_of(json_string_value(json_object_get(tags, freeze_tag)));
}

void hd_tags_remove(json_t *tags, const json_t *keys)
{
    size_t i;
    json_t *key;
    json_array_foreach(keys, i, key) json_object_del(tags, json_string_value(key));
}
