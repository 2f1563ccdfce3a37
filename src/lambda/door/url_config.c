#include "lambda/door/url_config.h"

#include <strings.h>

void hd_url_id(char out[HD_URL_ID_CHARS + 1], struct hd_rng *rng)
{
    static const char signs[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    for (int i = 0; i < HD_URL_ID_CHARS; i++)
        out[i] = signs[hd_rng_below(rng, sizeof(signs) - 1)];
    out[HD_URL_ID_CHARS] = '\0';
}

bool hd_url_id_ok(struct hd_str id)
{
    if (id.len < 1 || id.len > 63 || id.ptr[0] == '-' || id.ptr[id.len - 1] == '-')
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
            return false;
    }
    return true;
}

char *hd_url_address(const char *scheme, const char *id, const char *region, const char *domain,
                     uint16_t port)
{
    bool own = port == 0 || port == (strcmp(scheme, "https") == 0 ? 443 : 80);
    hd_auto_free char *suffix = own ? hd_strdup("") : hd_printf(":%u", (unsigned)port);
    return hd_printf("%s://%s.lambda-url.%s.%s%s/", scheme, id, region, domain, suffix);
}

void hd_url_take(json_t *record, const json_t *given)
{
    static const char *const members[] = {"AuthType", "InvokeMode", "Cors"};
    for (size_t i = 0; i < HD_COUNT(members); i++) {
        json_t *v = json_object_get(given, members[i]);
        if (v != NULL)
            json_object_set(record, members[i], v);
    }
    if (json_object_size(json_object_get(record, "Cors")) == 0)
        json_object_del(record, "Cors");
}

/* RFC 9110 section 5.6.2: what a field name or a method can be made of. */
static bool is_token(const char *s)
{
    if (*s == '\0')
        return false;
    for (; *s != '\0'; s++) {
        char c = *s;
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && strchr("!#$%&'*+-.^_`|~", c) == NULL)
            return false;
    }
    return true;
}

/* Any ("*"), any of a scheme ("https://" and a star), or scheme://host[:port]. */
static bool is_origin(const char *s)
{
    if (strcmp(s, "*") == 0)
        return true;
    const char *host = strstr(s, "://");
    if (host == NULL || host == s || host[3] == '\0')
        return false;
    for (const char *at = host + 3; *at != '\0'; at++) {
        if (*at == '/' || *at == '?' || *at == '#' || (unsigned char)*at <= ' ')
            return false;
    }
    return true;
}

static int check_list(const json_t *cors, const char *member, bool (*ok)(const char *text),
                      const char *must, struct hd_error *err)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(cors, member), i, v)
    {
        const char *text = json_string_value(v);
        if (text == NULL || !ok(text))
            return hd_fail(err, HD_EINVAL, "Cors.%s[%zu]: \"%.80s\" must be %s.", member, i,
                           text != NULL ? text : "", must);
    }
    return 0;
}

static bool is_method(const char *s)
{
    static const char *const known[] = {"*", "GET", "PUT", "HEAD", "POST", "PATCH", "DELETE"};
    for (size_t i = 0; i < HD_COUNT(known); i++) {
        if (strcasecmp(s, known[i]) == 0)
            return true;
    }
    return false;
}

int hd_url_check_cors(const json_t *cors, struct hd_error *err)
{
    int rc = check_list(cors, "AllowOrigins", is_origin,
                        "\"*\", or a scheme and a host such as https://www.example.com", err);
    if (rc == 0)
        rc = check_list(cors, "AllowMethods", is_method,
                        "\"*\", GET, PUT, HEAD, POST, PATCH or DELETE", err);
    if (rc == 0)
        rc = check_list(cors, "AllowHeaders", is_token, "\"*\" or a header's name", err);
    if (rc == 0)
        rc = check_list(cors, "ExposeHeaders", is_token, "\"*\" or a header's name", err);
    return rc;
}
