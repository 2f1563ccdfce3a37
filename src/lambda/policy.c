/*  document ──checked──► statements ──principal, action, resource, condition──► silent, allow, deny
 *  All four must fit; a Deny anywhere wins over every Allow (IAM's evaluation logic).           */
#include "lambda/policy.h"

#include "core/ipaddr.h"
#include "lambda/policydoc.h"

#include <jansson.h>
#include <stdatomic.h>

struct hd_policies {
    atomic_uint owners;
    json_t *statements; /* array; never changed once shared */
};

struct hd_policies *hd_policies_new(void)
{
    struct hd_policies *p = hd_new(struct hd_policies);
    atomic_init(&p->owners, 1);
    p->statements = json_array();
    return p;
}

struct hd_policies *hd_policies_ref(struct hd_policies *p)
{
    if (p != NULL)
        atomic_fetch_add_explicit(&p->owners, 1, memory_order_relaxed);
    return p;
}

void hd_policies_unref(struct hd_policies *p)
{
    if (p == NULL || atomic_fetch_sub_explicit(&p->owners, 1, memory_order_acq_rel) != 1)
        return;
    json_decref(p->statements);
    free(p);
}

int hd_policies_add(struct hd_policies *p, struct hd_str document, struct hd_error *err)
{
    int rc = hd_policydoc_check(NULL, document, hd_str_n(NULL, 0), err);
    if (rc < 0)
        return rc;
    json_t *root = json_loadb(document.ptr, document.len, 0, NULL);
    const json_t *list = json_object_get(root, "Statement");
    size_t i;
    json_t *one;
    if (json_is_object(list))
        json_array_append(p->statements, (json_t *)list);
    json_array_foreach(list, i, one) json_array_append(p->statements, one);
    json_decref(root);
    return 0;
}

/* --- patterns --- */

static bool like(struct hd_str pattern, struct hd_str text, bool nocase)
{
    size_t p = 0, t = 0, star = SIZE_MAX, from = 0; /* the last "*", and where its text ends */
    while (t < text.len) {
        bool one =
            p < pattern.len && pattern.ptr[p] != '*' &&
            (pattern.ptr[p] == '?' || pattern.ptr[p] == text.ptr[t] ||
             (nocase && hd_str_eq_nocase(hd_str_n(pattern.ptr + p, 1), hd_str_n(text.ptr + t, 1))));
        if (one) {
            p++;
            t++;
        } else if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            from = t;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++from;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

bool hd_policy_like(struct hd_str pattern, struct hd_str text)
{
    return like(pattern, text, false);
}

bool hd_policy_like_arn(struct hd_str pattern, struct hd_str text)
{
    struct hd_str a, b;
    for (int i = 0; i < 5; i++) {
        if (!hd_str_split(&a, &pattern, ':') || !hd_str_split(&b, &text, ':'))
            return false;
        if (!like(a, b, false))
            return false;
    }
    /* A pattern that ends early ("arn:aws:s3:*") speaks of nothing: an ARN has six parts. */
    return pattern.ptr != NULL && text.ptr != NULL && like(pattern, text, false);
}

/* --- a value that is one text or a list of them --- */

static struct hd_str text_of(const json_t *v)
{
    return hd_str_n(json_string_value(v), json_string_length(v));
}

static size_t count_of(const json_t *v)
{
    return json_is_array(v) ? json_array_size(v) : 1;
}

static struct hd_str at_of(const json_t *v, size_t i)
{
    const json_t *one = json_is_array(v) ? json_array_get(v, i) : v;
    if (json_is_boolean(one))
        return json_is_true(one) ? hd_str("true") : hd_str("false");
    return text_of(one);
}

/* --- principal --- */

/* "arn:aws:iam::111122223333:root" and "111122223333": everybody of that account. */
static struct hd_str whole_account(struct hd_str principal)
{
    struct hd_str part = principal, rest = principal;
    if (hd_str_find(principal, ':') == principal.len)
        return principal.len == 12 ? principal : hd_str_n(NULL, 0);
    for (int i = 0; i < 5 && hd_str_split(&part, &rest, ':'); i++)
        ;
    return hd_str_is(rest, "root") ? part : hd_str_n(NULL, 0);
}

/* A role is written as arn:aws:iam::A:role/path/R; who took it on is
 * arn:aws:sts::A:assumed-role/R/session. */
static bool is_role_of(struct hd_str role, struct hd_str caller)
{
    static const struct hd_str mark = HD_LIT("assumed-role/");
    struct hd_str part, role_account = {NULL, 0}, caller_account = {NULL, 0};
    for (int i = 0; i < 5; i++) {
        if (!hd_str_split(&part, &role, ':'))
            return false;
        role_account = part;
        if (!hd_str_split(&part, &caller, ':'))
            return false;
        caller_account = part;
    }
    if (!hd_str_eq(role_account, caller_account) || !hd_str_starts(caller, mark) ||
        !hd_str_starts(role, hd_str("role/")))
        return false;
    caller = hd_str_n(caller.ptr + mark.len, caller.len - mark.len);
    caller.len = hd_str_find(caller, '/');
    struct hd_str name = {NULL, 0};
    while (hd_str_split(&part, &role, '/'))
        name = part; /* the last: paths are not in the caller's ARN */
    return hd_str_eq(name, caller);
}

static bool aws_fits(struct hd_str wanted, const struct hd_policy_query *q)
{
    if (hd_str_is(wanted, "*"))
        return true;
    struct hd_str account = whole_account(wanted);
    if (account.len > 0)
        return hd_str_eq(account, q->account);
    return q->principal.len > 0 &&
           (hd_str_eq(wanted, q->principal) || is_role_of(wanted, q->principal));
}

static bool principal_fits(const json_t *statement, const struct hd_policy_query *q)
{
    const json_t *principal = json_object_get(statement, "Principal");
    if (json_is_string(principal))
        return hd_str_is(text_of(principal), "*");
    const json_t *aws = json_object_get(principal, "AWS");
    for (size_t i = 0; aws != NULL && i < count_of(aws); i++) {
        if (aws_fits(at_of(aws, i), q))
            return true;
    }
    const json_t *service = json_object_get(principal, "Service");
    for (size_t i = 0; service != NULL && q->service.len > 0 && i < count_of(service); i++) {
        if (hd_str_eq(at_of(service, i), q->service))
            return true;
    }
    return false;
}

/* --- action and resource --- */

static bool any_like(const json_t *patterns, struct hd_str text, bool nocase)
{
    for (size_t i = 0; i < count_of(patterns); i++) {
        if (like(at_of(patterns, i), text, nocase))
            return true;
    }
    return false;
}

static bool member_fits(const json_t *statement, const char *name, const char *not_name,
                        struct hd_str text, bool nocase)
{
    const json_t *patterns = json_object_get(statement, name);
    if (patterns != NULL)
        return any_like(patterns, text, nocase);
    patterns = json_object_get(statement, not_name);
    return patterns == NULL || !any_like(patterns, text, nocase);
}

/* --- conditions --- */

static struct hd_str key_value(const char *key, const struct hd_policy_query *q)
{
    const struct {
        const char *name;
        struct hd_str value;
    } known[] = {
        {"aws:SourceArn", q->source_arn},
        {"aws:SourceAccount", q->source_account},
        {"aws:SourceIp", q->source_ip},
        {"aws:PrincipalArn", q->principal},
        {"aws:PrincipalAccount", q->account},
        {"aws:PrincipalOrgID", q->principal_org},
        {"lambda:EventSourceToken", q->event_source_token},
        {"lambda:FunctionUrlAuthType", q->url_auth_type},
        {"lambda:InvokedViaFunctionUrl", q->via_url ? hd_str("true") : hd_str("false")},
    };
    for (size_t i = 0; i < HD_COUNT(known); i++) {
        if (hd_str_is_nocase(hd_str(key), known[i].name))
            return known[i].value;
    }
    return hd_str_n(NULL, 0);
}

static bool in_network(struct hd_str network, struct hd_str address)
{
    struct hd_cidr net;
    struct hd_ipaddr ip;
    return hd_cidr_parse(&net, network, NULL) == 0 && hd_ipaddr_parse(&ip, address) == 0 &&
           hd_cidr_has(&net, &ip);
}

static bool one_fits(enum hd_policydoc_match match, struct hd_str wanted, struct hd_str value)
{
    switch (match) {
    case HD_MATCH_EQUAL:
        return hd_str_eq(wanted, value);
    case HD_MATCH_NOCASE:
        return hd_str_eq_nocase(wanted, value);
    case HD_MATCH_LIKE:
        return like(wanted, value, false);
    case HD_MATCH_ARN:
        return hd_policy_like_arn(wanted, value);
    case HD_MATCH_NETWORK:
        return in_network(wanted, value);
    case HD_MATCH_NULL:
        break;
    }
    return false;
}

static bool key_fits(const struct hd_policydoc_operator *op, const json_t *wanted,
                     struct hd_str value)
{
    if (op->match == HD_MATCH_NULL) /* {"Null": {"key": "true"}}: it must not be there */
        return hd_str_is(at_of(wanted, 0), "true") == (value.len == 0);
    if (value.len == 0)
        return op->if_exists || op->negated;
    for (size_t i = 0; i < count_of(wanted); i++) {
        if (one_fits(op->match, at_of(wanted, i), value))
            return !op->negated;
    }
    return op->negated;
}

static bool condition_fits(const json_t *statement, const struct hd_policy_query *q)
{
    json_t *condition = json_object_get(statement, "Condition");
    const char *name, *key;
    json_t *keys, *wanted;
    json_object_foreach(condition, name, keys)
    {
        struct hd_policydoc_operator op;
        if (hd_policydoc_operator(&op, hd_str(name)) < 0)
            return false; /* refused when it was added */
        json_object_foreach(keys, key, wanted)
        {
            if (!key_fits(&op, wanted, key_value(key, q)))
                return false;
        }
    }
    return true;
}

/* --- all together --- */

static struct hd_str without_latest(struct hd_str arn)
{
    static const struct hd_str latest = HD_LIT(":$LATEST");
    if (hd_str_ends(arn, latest))
        arn.len -= latest.len;
    return arn;
}

enum hd_policy_verdict hd_policies_ask(const struct hd_policies *p,
                                       const struct hd_policy_query *query)
{
    enum hd_policy_verdict verdict = HD_POLICY_SILENT;
    struct hd_str resource = without_latest(query->resource);
    for (size_t i = 0; p != NULL && i < json_array_size(p->statements); i++) {
        const json_t *s = json_array_get(p->statements, i);
        if (!principal_fits(s, query) ||
            !member_fits(s, "Action", "NotAction", query->action, true) ||
            !member_fits(s, "Resource", "NotResource", resource, false) ||
            !condition_fits(s, query))
            continue;
        if (hd_str_is(text_of(json_object_get(s, "Effect")), "Deny"))
            return HD_POLICY_DENY;
        verdict = HD_POLICY_ALLOW;
    }
    return verdict;
}

bool hd_policies_allow(const struct hd_policies *p, const struct hd_policy_query *query)
{
    switch (hd_policies_ask(p, query)) {
    case HD_POLICY_DENY:
        return false;
    case HD_POLICY_ALLOW:
        return true;
    case HD_POLICY_SILENT:
        break;
    }
    return query->account.len > 0 && hd_str_eq(query->account, query->owner);
}
