#include "lambda/door/rights.h"

#include "lambda/api/api_routes.h"
#include "lambda/names.h"
#include "lambda/policy.h"

#include <stdio.h>

/* The function that the path names. @return to free; NULL: it names none. */
static char *named(const struct hd_api_route *route)
{
    static const struct hd_str name = HD_LIT("FunctionName");
    for (size_t i = 0; i < route->n_params; i++) {
        const struct hd_api_param *p = &route->params[i];
        size_t len;
        if (hd_str_eq(hd_str_n(p->name, p->name_len), name))
            return hd_api_decode(p->value, false, &len);
    }
    return NULL;
}

static bool policy_allows(const struct hd_who *who, const struct hd_lambda_fn *fn,
                          const struct hd_rights_refusal *asked)
{
    hd_auto_free char *action = hd_printf("lambda:%s", asked->operation);
    const struct hd_policy_query query = {.action = hd_str(action),
                                          .resource = hd_str(asked->resource),
                                          .owner = hd_str(fn->account),
                                          .account = hd_str(who->account),
                                          .principal = hd_str(who->principal)};
    return hd_policies_ask(fn->policies, &query) == HD_POLICY_ALLOW;
}

/* Every operation is asked about the function of its path; those without one are the account's. */
static bool may(struct hd_rights_refusal *out, const struct hd_who *who, const struct hd_view *view,
                const struct hd_rights_request *request, const char *name)
{
    struct hd_fn_name fn;
    struct hd_str qualifier = {NULL, 0};
    if (hd_names_function(&fn, hd_str(name)) < 0)
        return false;
    hd_api_query(request->query, "Qualifier", 0, &qualifier);
    if (fn.qualifier.len > 0)
        qualifier = fn.qualifier;
    struct hd_str account = fn.account.len > 0 ? fn.account : hd_str(who->account);
    snprintf(out->resource, sizeof(out->resource), "arn:aws:lambda:%s:%.*s:function:%.*s%s%.*s",
             who->region, HD_FMT(account), HD_FMT(fn.name), qualifier.len > 0 ? ":" : "",
             HD_FMT(qualifier));
    const struct hd_lambda_fn *found =
        view != NULL ? hd_view_find(view, account, hd_str(who->region), fn.name) : NULL;
    bool own = hd_str_is(account, who->account) && hd_str_is(fn.name, who->function);
    return (own && hd_str_is(request->method, "GET")) ||
           (found != NULL && policy_allows(who, found, out));
}

bool hd_rights_ask(struct hd_rights_refusal *out, const struct hd_who *who,
                   const struct hd_view *view, const struct hd_rights_request *request)
{
    struct hd_api_route route;
    if (who->function[0] == '\0' ||
        hd_api_find(&route, request->method, request->path, request->query) != HD_API_ROUTED)
        return true;
    *out = (struct hd_rights_refusal){.operation = route.operation->name, .resource = "*"};
    hd_auto_free char *name = named(&route);
    return name != NULL && may(out, who, view, request, name);
}
