#include "lambda/api/shape_pattern.h"

#include "core/map.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum { STEPS_MAX = 200000 }; /* far more than a pattern of ours needs for the longest name */

struct hd_patterns {
    struct hd_map compiled; /* by the pattern's text: pcre2_code */
    pcre2_match_context *context;
};

struct hd_patterns *hd_patterns_new(void)
{
    struct hd_patterns *p = hd_new(struct hd_patterns);
    hd_map_init(&p->compiled, 0);
    p->context = pcre2_match_context_create(NULL);
    if (p->context != NULL)
        pcre2_set_match_limit(p->context, STEPS_MAX);
    return p;
}

void hd_patterns_free(struct hd_patterns *p)
{
    if (p == NULL)
        return;
    size_t at = 0;
    void *code;
    while (hd_map_next(&p->compiled, &at, NULL, &code))
        pcre2_code_free(code);
    hd_map_done(&p->compiled);
    pcre2_match_context_free(p->context);
    free(p);
}

static pcre2_code *compiled(struct hd_patterns *p, const char *pattern)
{
    pcre2_code *code = hd_map_get(&p->compiled, hd_str(pattern));
    if (code != NULL)
        return code;
    int error;
    PCRE2_SIZE offset;
    code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                         PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOLLAR_ENDONLY,
                         &error, &offset, NULL);
    if (code != NULL)
        hd_map_put(&p->compiled, hd_str(pattern), code);
    return code;
}

bool hd_patterns_match(struct hd_patterns *p, const char *pattern, struct hd_str text)
{
    pcre2_code *code = compiled(p, pattern);
    pcre2_match_data *match = code != NULL ? pcre2_match_data_create(1, NULL) : NULL;
    if (match == NULL)
        return false;
    const char *at = text.len > 0 ? text.ptr : "";
    int rc = pcre2_match(code, (PCRE2_SPTR)at, text.len, 0, 0, match, p->context);
    pcre2_match_data_free(match);
    return rc >= 0;
}
