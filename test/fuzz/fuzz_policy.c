/* fuzz_policy.c - resource policies of any kind, asked by anybody. The input is a line each:
 * action, resource, principal, account, source ARN, then a document. What must hold: what is taken
 * reads the same again, a statement that is put in comes out again, nothing beats a Deny, and the
 * owner may unless something denies it. */
#include "lambda/policy.h"
#include "lambda/policydoc.h"

#include "fuzz.h"

#define SID "a-sid-that-nobody-has"

static struct hd_str line(struct hd_str *rest)
{
    struct hd_str part = {NULL, 0};
    hd_str_split(&part, rest, '\n');
    return part;
}

static void check_editing(const char *document)
{
    static const char statement[] =
        "{\"Sid\":\"" SID "\",\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"*\","
        "\"Resource\":\"*\"}";
    struct hd_error err = {.msg = ""};
    hd_auto_free char *more = NULL, *back = NULL;
    int rc = hd_policydoc_add(&more, hd_str(document), hd_str(statement), &err);
    if (rc < 0) { /* too long, or it has this one */
        fuzz_check((rc == HD_EBUSY || rc == HD_EEXIST) && err.msg[0] != '\0');
        return;
    }
    fuzz_check(hd_policydoc_check(NULL, hd_str(more), hd_str(""), &err) == 0);
    fuzz_check(hd_policydoc_add(&back, hd_str(more), hd_str(statement), &err) == HD_EEXIST);
    fuzz_check(hd_policydoc_remove(&back, hd_str(more), hd_str(SID), &err) == 0);
    fuzz_check(back != NULL && strcmp(back, document) == 0);
}

static void check_asking(struct hd_str document, struct hd_policy_query *q)
{
    struct hd_policies *p = hd_policies_new();
    fuzz_check(hd_policies_add(p, document, NULL) == 0);
    enum hd_policy_verdict verdict = hd_policies_ask(p, q);
    bool allowed = hd_policies_allow(p, q);
    bool own = q->account.len > 0 && hd_str_eq(q->account, q->owner);
    fuzz_check(allowed == (verdict == HD_POLICY_ALLOW || (verdict == HD_POLICY_SILENT && own)));
    q->owner = q->account;
    fuzz_check(q->account.len == 0 || hd_policies_allow(p, q) == (verdict != HD_POLICY_DENY));
    static const char deny[] = "{\"Statement\":{\"Effect\":\"Deny\",\"Principal\":\"*\","
                               "\"Action\":\"*\",\"Resource\":\"*\"}}";
    fuzz_check(hd_policies_add(p, hd_str(deny), NULL) == 0);
    fuzz_check(hd_policies_ask(p, q) == HD_POLICY_DENY && !hd_policies_allow(p, q));
    hd_policies_unref(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hd_str rest = {(const char *)data, size};
    struct hd_policy_query q = {.owner = hd_str("000000000000"), .via_url = size % 2 == 1};
    q.action = line(&rest);
    q.resource = line(&rest);
    q.principal = line(&rest);
    q.account = line(&rest);
    q.source_arn = line(&rest);
    q.service = q.principal;
    q.source_ip = q.source_arn;
    q.source_account = q.account;
    (void)hd_policy_like(q.action, q.resource);
    fuzz_check(hd_policy_like_arn(q.resource, q.resource) ==
               (hd_policy_like_arn(hd_str("*:*:*:*:*:*"), q.resource)));
    struct hd_error err = {.msg = ""};
    hd_auto_free char *document = NULL, *again = NULL;
    int rc = hd_policydoc_check(&document, rest, hd_str_n(NULL, 0), &err);
    if (rc < 0) {
        fuzz_check((rc == HD_EINVAL || rc == HD_EBUSY) && err.msg[0] != '\0');
        return 0;
    }
    fuzz_check(hd_policydoc_check(&again, hd_str(document), hd_str_n(NULL, 0), &err) == 0);
    fuzz_check(strcmp(document, again) == 0);
    check_editing(document);
    check_asking(hd_str(document), &q);
    return 0;
}
