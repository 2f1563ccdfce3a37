#include "lambda/resource.h"

int hd_resource_parse(struct hd_resource *out, struct hd_str arn)
{
    static const struct {
        const char *word;
        enum hd_resource_kind kind;
    } kinds[] = {
        {"function", HD_RESOURCE_FUNCTION},
        {"event-source-mapping", HD_RESOURCE_EVENT_SOURCE},
        {"code-signing-config", HD_RESOURCE_CODE_SIGNING},
        {"layer", HD_RESOURCE_LAYER},
    };
    struct hd_arn a;
    if (hd_names_arn(&a, arn) < 0 || !hd_str_is(a.service, "lambda"))
        return HD_EINVAL;
    struct hd_str word, name, rest = a.resource;
    if (!hd_str_split(&word, &rest, ':') || !hd_str_split(&name, &rest, ':') || name.len == 0)
        return HD_EINVAL;
    for (size_t i = 0; i < HD_COUNT(kinds); i++) {
        if (!hd_str_is(word, kinds[i].word))
            continue;
        *out = (struct hd_resource){kinds[i].kind, a.region, a.account, name, rest};
        return 0;
    }
    return HD_EINVAL;
}
