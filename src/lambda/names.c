#include "lambda/names.h"

static bool is_digits(struct hd_str s, size_t n)
{
    if (s.len != n)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
    return true;
}

/* The last part takes what is left, colons and all. @return how many parts there are. */
static size_t split(struct hd_str *parts, size_t max, struct hd_str text)
{
    size_t n = 0;
    struct hd_str rest = text;
    while (n + 1 < max && hd_str_split(&parts[n], &rest, ':'))
        n++;
    if (n + 1 == max && rest.ptr != NULL)
        parts[n++] = rest;
    return n;
}

int hd_names_arn(struct hd_arn *out, struct hd_str text)
{
    struct hd_str part[6];
    if (split(part, 6, text) != 6 || !hd_str_is(part[0], "arn"))
        return HD_EINVAL;
    *out = (struct hd_arn){part[1], part[2], part[3], part[4], part[5]};
    return 0;
}

int hd_names_function(struct hd_fn_name *out, struct hd_str text)
{
    struct hd_arn arn;
    *out = (struct hd_fn_name){0};
    if (hd_str_starts(text, hd_str("arn:"))) {
        if (hd_names_arn(&arn, text) < 0 || !hd_str_is(arn.service, "lambda") ||
            !hd_str_starts(arn.resource, hd_str("function:")))
            return HD_EINVAL;
        out->region = arn.region;
        out->account = arn.account;
        text = arn.resource;
    }
    struct hd_str part[7];
    size_t n = split(part, 7, text), at = 0;
    /* The region may stand before an account, as the pattern of the API allows. */
    if (n > 3 && is_digits(part[1], 12) && hd_str_is(part[2], "function"))
        out->region = part[at++];
    if (n - at > 2 && is_digits(part[at], 12) && hd_str_is(part[at + 1], "function"))
        out->account = part[at++];
    if (n - at > 1 && hd_str_is(part[at], "function"))
        at++;
    if (n - at < 1 || n - at > 2 || part[at].len == 0)
        return HD_EINVAL;
    out->name = part[at];
    if (n - at == 2)
        out->qualifier = part[at + 1];
    return n - at == 2 && out->qualifier.len == 0 ? HD_EINVAL : 0;
}

char *hd_names_make_arn(const char *type, const char *account, const char *region, const char *name,
                        const char *qualifier)
{
    bool q = qualifier != NULL && qualifier[0] != '\0';
    return hd_printf("arn:aws:lambda:%s:%s:%s:%s%s%s", region, account, type, name, q ? ":" : "",
                     q ? qualifier : "");
}

bool hd_names_is_number(struct hd_str qualifier)
{
    return qualifier.len > 0 && qualifier.len < 20 && qualifier.ptr[0] != '0' &&
           is_digits(qualifier, qualifier.len);
}

bool hd_names_is_latest(struct hd_str qualifier)
{
    return qualifier.len == 0 || hd_str_is(qualifier, "$LATEST");
}

int hd_names_key_cmp(const char *a, const char *b)
{
    const char *an = strrchr(a, '/'), *bn = strrchr(b, '/');
    if (an == NULL || bn == NULL || an - a != bn - b || memcmp(a, b, (size_t)(an - a)) != 0)
        return strcmp(a, b);
    struct hd_str as = hd_str(an + 1), bs = hd_str(bn + 1);
    bool a_is = hd_names_is_number(as), b_is = hd_names_is_number(bs);
    if (as.len == 0 || bs.len == 0 || a_is != b_is)
        return as.len == 0 || bs.len == 0 ? strcmp(a, b) : (int)b_is - (int)a_is;
    if (a_is && as.len != bs.len)
        return as.len < bs.len ? -1 : 1;
    return strcmp(a, b);
}

struct hd_str hd_names_function_of_key(const char *key)
{
    unsigned slashes = 0;
    size_t n = 0;
    while (key[n] != '\0' && key[n] != ':' && (key[n] != '/' || ++slashes < 3))
        n++;
    return hd_str_n(key, n);
}
