/* policydoc.c - every member of a document is either enforced by policy.c or refused here. */
#include "lambda/policydoc.h"

#include "core/ipaddr.h"

#include <jansson.h>

/* --- condition operators --- */

int hd_policydoc_operator(struct hd_policydoc_operator *out, struct hd_str name)
{
    static const struct {
        const char *name;
        enum hd_policydoc_match match;
        bool negated;
    } known[] = {
        {"StringEquals", HD_MATCH_EQUAL, false},
        {"StringNotEquals", HD_MATCH_EQUAL, true},
        {"StringEqualsIgnoreCase", HD_MATCH_NOCASE, false},
        {"StringNotEqualsIgnoreCase", HD_MATCH_NOCASE, true},
        {"StringLike", HD_MATCH_LIKE, false},
        {"StringNotLike", HD_MATCH_LIKE, true},
        {"ArnEquals", HD_MATCH_ARN, false},
        {"ArnNotEquals", HD_MATCH_ARN, true},
        {"ArnLike", HD_MATCH_ARN, false},
        {"ArnNotLike", HD_MATCH_ARN, true},
        {"Bool", HD_MATCH_NOCASE, false},
        {"IpAddress", HD_MATCH_NETWORK, false},
        {"NotIpAddress", HD_MATCH_NETWORK, true},
        {"Null", HD_MATCH_NULL, false},
    };
    static const struct hd_str suffix = HD_LIT("IfExists");
    bool if_exists = hd_str_ends(name, suffix);
    if (if_exists)
        name.len -= suffix.len;
    for (size_t i = 0; i < HD_COUNT(known); i++) {
        if (!hd_str_is(name, known[i].name) || (if_exists && known[i].match == HD_MATCH_NULL))
            continue;
        *out = (struct hd_policydoc_operator){known[i].match, known[i].negated, if_exists};
        return 0;
    }
    return HD_EINVAL;
}

static bool key_known(struct hd_str key)
{
    static const char *const known[] = {
        "aws:SourceArn",           "aws:SourceAccount",          "aws:SourceIp",
        "aws:PrincipalArn",        "aws:PrincipalAccount",       "aws:PrincipalOrgID",
        "lambda:EventSourceToken", "lambda:FunctionUrlAuthType", "lambda:InvokedViaFunctionUrl",
    };
    for (size_t i = 0; i < HD_COUNT(known); i++) {
        if (hd_str_is_nocase(key, known[i]))
            return true;
    }
    return false;
}

/* --- principals --- */

static bool is_account(struct hd_str s)
{
    if (s.len != 12)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
    }
    return true;
}

/* arn:<partition>:iam|sts::<account>:<what> */
static bool is_principal_arn(struct hd_str s)
{
    struct hd_str part[5] = {{NULL, 0}};
    for (int i = 0; i < 5; i++) {
        if (!hd_str_split(&part[i], &s, ':'))
            return false;
    }
    return hd_str_is(part[0], "arn") && hd_str_starts(part[1], hd_str("aws")) &&
           (hd_str_is(part[2], "iam") || hd_str_is(part[2], "sts")) && is_account(part[4]) &&
           s.len > 0 && hd_str_find(s, '*') == s.len;
}

static bool is_service(struct hd_str s)
{
    static const char *const domains[] = {".amazonaws.com", ".amazonaws.com.cn", ".amazon.com",
                                          ".aws.internal"};
    bool ends = false;
    for (size_t i = 0; i < HD_COUNT(domains); i++)
        ends = ends || (hd_str_ends(s, hd_str(domains[i])) && s.len > strlen(domains[i]));
    for (size_t i = 0; ends && i < s.len; i++) {
        char c = s.ptr[i];
        ends = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
    }
    return ends;
}

static json_t *text(struct hd_str s)
{
    return json_stringn(s.ptr != NULL ? s.ptr : "", s.len);
}

static json_t *make_principal(struct hd_str p)
{
    if (hd_str_is(p, "*"))
        return json_string("*");
    if (is_account(p)) {
        hd_auto_free char *root = hd_printf("arn:aws:iam::%.*s:root", HD_FMT(p));
        return json_pack("{s:s}", "AWS", root);
    }
    if (is_principal_arn(p))
        return json_pack("{s:o}", "AWS", text(p));
    return is_service(p) ? json_pack("{s:o}", "Service", text(p)) : NULL;
}

/* --- one statement --- */

static void add_condition(json_t *conditions, const char *op, const char *key, struct hd_str value)
{
    if (value.len == 0)
        return;
    json_t *keys = json_object_get(conditions, op);
    if (keys == NULL) {
        keys = json_object();
        json_object_set_new(conditions, op, keys);
    }
    json_object_set_new(keys, key, text(value));
}

int hd_policydoc_statement(char **out, const struct hd_policydoc_permission *p,
                           struct hd_error *err)
{
    json_t *principal = make_principal(p->principal);
    if (principal == NULL)
        return hd_fail(err, HD_EINVAL,
                       "The provided principal was invalid. Please check the principal and try "
                       "again.");
    json_t *conditions = json_object();
    add_condition(conditions, "StringEquals", "lambda:FunctionUrlAuthType", p->url_auth_type);
    add_condition(conditions, "StringEquals", "AWS:SourceAccount", p->source_account);
    add_condition(conditions, "StringEquals", "lambda:EventSourceToken", p->event_source_token);
    add_condition(conditions, "StringEquals", "aws:PrincipalOrgID", p->principal_org);
    add_condition(conditions, "ArnLike", "AWS:SourceArn", p->source_arn);
    if (p->via_url_given)
        add_condition(conditions, "Bool", "lambda:InvokedViaFunctionUrl",
                      hd_str(p->via_url ? "true" : "false"));
    json_t *s =
        json_pack("{s:o, s:s, s:o, s:o, s:o}", "Sid", text(p->sid), "Effect", "Allow", "Principal",
                  principal, "Action", text(p->action), "Resource", text(p->resource));
    if (json_object_size(conditions) > 0)
        json_object_set(s, "Condition", conditions);
    json_decref(conditions);
    *out = json_dumps(s, JSON_COMPACT);
    json_decref(s);
    return *out != NULL ? 0 : hd_fail(err, HD_EINVAL, "the statement is not valid UTF-8");
}

/* --- editing --- */

static int load(json_t **out, struct hd_str document, struct hd_error *err)
{
    json_error_t at;
    json_t *root = json_loadb(document.ptr, document.len, JSON_REJECT_DUPLICATES, &at);
    if (root == NULL)
        return hd_fail(err, HD_EINVAL, "policy: not JSON at byte %d: %s", at.position, at.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return hd_fail(err, HD_EINVAL, "policy: must be a JSON object");
    }
    json_t *list = json_object_get(root, "Statement");
    if (json_is_object(list)) { /* one is as good as a list of one */
        json_t *array = json_array();
        json_array_append(array, list);
        json_object_set_new(root, "Statement", array);
    }
    *out = root;
    return 0;
}

static int find(const json_t *list, struct hd_str sid)
{
    size_t i;
    json_t *s;
    json_array_foreach(list, i, s)
    {
        const json_t *v = json_object_get(s, "Sid");
        if (json_is_string(v) &&
            hd_str_eq(sid, hd_str_n(json_string_value(v), json_string_length(v))))
            return (int)i;
    }
    return -1;
}

static int dump(char **out, json_t *root, struct hd_error *err)
{
    hd_auto_free char *document = json_dumps(root, JSON_COMPACT);
    if (document == NULL || strlen(document) > HD_POLICYDOC_BYTES_MAX)
        return hd_fail(err, HD_EBUSY, "The final policy size is bigger than the limit (%d).",
                       HD_POLICYDOC_BYTES_MAX);
    if (out != NULL)
        *out = hd_steal(document);
    return 0;
}

int hd_policydoc_add(char **out, struct hd_str document, struct hd_str statement,
                     struct hd_error *err)
{
    json_t *root = NULL, *one = NULL;
    int rc = load(&one, statement, err);
    if (rc == 0)
        rc = load(&root,
                  document.len > 0 ? document
                                   : hd_str("{\"Version\":\"2012-10-17\",\"Id\":\"default\","
                                            "\"Statement\":[]}"),
                  err);
    json_t *list = json_object_get(root, "Statement");
    const char *sid = json_string_value(json_object_get(one, "Sid"));
    if (rc == 0 && (sid == NULL || !json_is_array(list)))
        rc = hd_fail(err, HD_EINVAL, "policy: no Statement, or a statement without a Sid");
    if (rc == 0 && find(list, hd_str(sid)) >= 0)
        rc = hd_fail(err, HD_EEXIST,
                     "The statement id (%s) provided already exists. Please provide a new "
                     "statement id, or remove the existing statement.",
                     sid);
    if (rc == 0) {
        json_array_append(list, one);
        rc = dump(out, root, err);
    }
    json_decref(one);
    json_decref(root);
    return rc;
}

int hd_policydoc_remove(char **out, struct hd_str document, struct hd_str sid, struct hd_error *err)
{
    json_t *root = NULL;
    int rc = load(&root, document, err);
    if (rc < 0)
        return rc;
    json_t *list = json_object_get(root, "Statement");
    int at = find(list, sid);
    if (at < 0)
        rc = hd_fail(err, HD_ENOTFOUND, "Statement %.*s is not found in resource policy.",
                     HD_FMT(sid));
    if (rc == 0) {
        json_array_remove(list, (size_t)at);
        *out = NULL;
        if (json_array_size(list) > 0)
            rc = dump(out, root, err);
    }
    json_decref(root);
    return rc;
}

/* --- checking what a caller wrote --- */

struct check {
    size_t index; /* of the statement */
    struct hd_str resource;
    struct hd_error *err;
};

static int refuse(const struct check *c, const char *member, const char *why)
{
    return hd_fail(c->err, HD_EINVAL, "policy: Statement[%zu].%s: %s", c->index, member, why);
}

/* A text, or a list of at least one; each has to pass. */
static int each_text(const struct check *c, const char *member, const json_t *v,
                     const char *(*wrong)(const struct check *c, struct hd_str text))
{
    size_t n = json_is_array(v) ? json_array_size(v) : 1;
    if (n == 0)
        return refuse(c, member, "must not be an empty list");
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_is_array(v) ? json_array_get(v, i) : v;
        if (!json_is_string(one))
            return refuse(c, member, "must be a string, or a list of strings");
        struct hd_str s = hd_str_n(json_string_value(one), json_string_length(one));
        const char *why = strstr(json_string_value(one), "${") != NULL
                              ? "policy variables are not offered by this server"
                              : wrong(c, s);
        if (why != NULL)
            return refuse(c, member, why);
    }
    return 0;
}

static const char *wrong_action(const struct check *c, struct hd_str s)
{
    (void)c;
    if (hd_str_is(s, "*") || (s.len > 7 && hd_str_eq_nocase(hd_str_n(s.ptr, 7), hd_str("lambda:"))))
        return NULL;
    return "must be \"lambda:<operation>\" or \"*\"";
}

static const char *wrong_resource(const struct check *c, struct hd_str s)
{
    if (s.len > 0 && (c->resource.len == 0 || hd_str_starts(s, c->resource)))
        return NULL;
    return "must be the ARN that the policy is attached to, or a qualified one of it";
}

static const char *wrong_aws(const struct check *c, struct hd_str s)
{
    (void)c;
    if (hd_str_is(s, "*") || is_account(s) || is_principal_arn(s))
        return NULL;
    return "must be \"*\", a 12-digit account, or the ARN of a principal of IAM or STS";
}

static const char *wrong_service(const struct check *c, struct hd_str s)
{
    (void)c;
    return is_service(s) ? NULL : "must be the name of a service, as \"s3.amazonaws.com\"";
}

static int check_principal(const struct check *c, json_t *v)
{
    if (json_is_string(v) && hd_str_is(hd_str(json_string_value(v)), "*"))
        return 0;
    if (!json_is_object(v) || json_object_size(v) == 0)
        return refuse(c, "Principal", "must be \"*\" or {\"AWS\": ..., \"Service\": ...}");
    const char *kind;
    json_t *who;
    json_object_foreach(v, kind, who)
    {
        int rc;
        if (strcmp(kind, "AWS") == 0)
            rc = each_text(c, "Principal.AWS", who, wrong_aws);
        else if (strcmp(kind, "Service") == 0)
            rc = each_text(c, "Principal.Service", who, wrong_service);
        else
            rc = refuse(c, "Principal", "only AWS and Service are offered by this server");
        if (rc < 0)
            return rc;
    }
    return 0;
}

static const char *wrong_network(const struct check *c, struct hd_str s)
{
    struct hd_cidr net;
    (void)c;
    return hd_cidr_parse(&net, s, NULL) == 0 ? NULL
                                             : "must be an address or a network as 10.0.0.0/8";
}

static const char *wrong_truth(const struct check *c, struct hd_str s)
{
    (void)c;
    return hd_str_is(s, "true") || hd_str_is(s, "false") ? NULL : "must be \"true\" or \"false\"";
}

static const char *wrong_nothing(const struct check *c, struct hd_str s)
{
    (void)c;
    (void)s;
    return NULL;
}

static int check_condition(const struct check *c, json_t *v)
{
    const char *name, *key;
    json_t *keys, *wanted;
    if (!json_is_object(v))
        return refuse(c, "Condition", "must be an object");
    json_object_foreach(v, name, keys)
    {
        struct hd_policydoc_operator op;
        if (hd_policydoc_operator(&op, hd_str(name)) < 0)
            return refuse(c, "Condition", "has an operator that this server does not offer");
        if (!json_is_object(keys))
            return refuse(c, "Condition", "each operator holds an object of keys");
        json_object_foreach(keys, key, wanted)
        {
            if (!key_known(hd_str(key)))
                return refuse(c, "Condition", "has a key that this server does not know");
            bool truth = op.match == HD_MATCH_NULL || strncmp(name, "Bool", 4) == 0;
            if (truth && json_is_boolean(wanted))
                continue;
            int rc = each_text(c, "Condition", wanted,
                               op.match == HD_MATCH_NETWORK ? wrong_network
                               : truth                      ? wrong_truth
                                                            : wrong_nothing);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

static int check_member(const struct check *c, const char *name, json_t *v)
{
    if (strcmp(name, "Sid") == 0)
        return json_is_string(v) ? 0 : refuse(c, name, "must be a string");
    if (strcmp(name, "Effect") == 0) {
        const char *s = json_is_string(v) ? json_string_value(v) : "";
        return strcmp(s, "Allow") == 0 || strcmp(s, "Deny") == 0
                   ? 0
                   : refuse(c, name, "must be \"Allow\" or \"Deny\"");
    }
    if (strcmp(name, "Principal") == 0)
        return check_principal(c, v);
    if (strcmp(name, "Action") == 0 || strcmp(name, "NotAction") == 0)
        return each_text(c, name, v, wrong_action);
    if (strcmp(name, "Resource") == 0 || strcmp(name, "NotResource") == 0)
        return each_text(c, name, v, wrong_resource);
    if (strcmp(name, "Condition") == 0)
        return check_condition(c, v);
    return hd_fail(c->err, HD_EINVAL,
                   "policy: Statement[%zu]: \"%.40s\" is not offered by this "
                   "server",
                   c->index, name);
}

static int check_statement(const struct check *c, json_t *s)
{
    if (!json_is_object(s))
        return hd_fail(c->err, HD_EINVAL, "policy: Statement[%zu]: must be an object", c->index);
    const char *name;
    json_t *v;
    json_object_foreach(s, name, v)
    {
        int rc = check_member(c, name, v);
        if (rc < 0)
            return rc;
    }
    if (json_object_get(s, "Effect") == NULL)
        return refuse(c, "Effect", "is missing");
    if (json_object_get(s, "Principal") == NULL)
        return refuse(c, "Principal", "is missing");
    if ((json_object_get(s, "Action") == NULL) == (json_object_get(s, "NotAction") == NULL))
        return refuse(c, "Action", "exactly one of Action and NotAction is needed");
    if ((json_object_get(s, "Resource") == NULL) == (json_object_get(s, "NotResource") == NULL))
        return refuse(c, "Resource", "exactly one of Resource and NotResource is needed");
    return 0;
}

static int check_root(json_t *root, struct hd_error *err)
{
    const char *name;
    json_t *v;
    json_object_foreach(root, name, v)
    {
        if (strcmp(name, "Version") == 0) {
            const char *s = json_is_string(v) ? json_string_value(v) : "";
            if (strcmp(s, "2012-10-17") != 0 && strcmp(s, "2008-10-17") != 0)
                return hd_fail(err, HD_EINVAL, "policy: Version: must be \"2012-10-17\"");
        } else if (strcmp(name, "Id") == 0) {
            if (!json_is_string(v))
                return hd_fail(err, HD_EINVAL, "policy: Id: must be a string");
        } else if (strcmp(name, "Statement") != 0) {
            return hd_fail(err, HD_EINVAL, "policy: \"%.40s\": no member of a policy", name);
        }
    }
    if (json_array_size(json_object_get(root, "Statement")) == 0)
        return hd_fail(err, HD_EINVAL, "policy: Statement: at least one is needed");
    return 0;
}

int hd_policydoc_check(char **out, struct hd_str document, struct hd_str resource,
                       struct hd_error *err)
{
    if (document.len > HD_POLICYDOC_BYTES_MAX)
        return hd_fail(err, HD_EBUSY, "The final policy size is bigger than the limit (%d).",
                       HD_POLICYDOC_BYTES_MAX);
    json_t *root = NULL;
    int rc = load(&root, document, err);
    if (rc < 0)
        return rc;
    rc = check_root(root, err);
    struct check c = {.resource = resource, .err = err};
    json_t *list = json_object_get(root, "Statement"), *s;
    json_array_foreach(list, c.index, s)
    {
        if (rc == 0)
            rc = check_statement(&c, s);
        const json_t *sid = json_object_get(s, "Sid");
        if (rc == 0 && json_is_string(sid) &&
            find(list, hd_str_n(json_string_value(sid), json_string_length(sid))) != (int)c.index)
            rc = refuse(&c, "Sid", "is used twice");
    }
    if (rc == 0)
        rc = dump(out, root, err);
    json_decref(root);
    return rc;
}
