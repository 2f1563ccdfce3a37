/* From the options to the policies in front of the functions. */
#include "auth/verifier.h"
#include "http/curl.h"
#include "node/private.h"

#include <stdio.h>

static const char *const *items(const struct hd_option_list *l)
{
    return (const char *const *)l->items;
}

static int make_cors(struct hd_node *n, struct hd_error *err)
{
    const struct hd_node_options *o = n->opt;
    struct hd_cors_options cors = {.origins = items(&o->cors_origins),
                                   .allow_headers = items(&o->cors_allow_headers),
                                   .allow_methods = items(&o->cors_allow_methods),
                                   .expose_headers = items(&o->cors_expose_headers),
                                   .dev = o->dev,
                                   .has_max_age = o->cors_max_age_given,
                                   .max_age_s = o->cors_max_age_s,
                                   .has_credentials = o->cors_credentials_given,
                                   .credentials = o->cors_credentials,
                                   .enforce = o->cors_enforce,
                                   .compat = o->compat == HD_COMPAT_1TUBE};
    return hd_cors_new(&n->cors, &cors, err);
}

enum { KEYS_MAX = 64 };

static int make_verifier(struct hd_node *n, struct hd_error *err)
{
    const struct hd_node_options *o = n->opt;
    struct hd_api_key keys[KEYS_MAX];
    size_t n_keys = 0;
    for (size_t i = 0; i < o->service_keys.n && n_keys < KEYS_MAX; i++)
        keys[n_keys++] = (struct hd_api_key){o->service_keys.items[i], "service_role"};
    for (size_t i = 0; i < o->api_keys.n && n_keys < KEYS_MAX; i++)
        keys[n_keys++] = (struct hd_api_key){
            o->api_keys.items[i],
            hd_str_starts(hd_str(o->api_keys.items[i]), hd_str("sb_")) ? NULL : "anon"};
    const char *secrets[] = {o->jwt_secret, NULL}, *jwks[] = {o->jwks, NULL},
               *files[] = {o->jwks_file, NULL};
    uint32_t algs = 0;
    for (size_t i = 0; i < o->jwt_algorithms.n; i++) {
        enum hd_alg alg;
        if (hd_alg_parse(&alg, hd_str(o->jwt_algorithms.items[i])) < 0)
            return hd_fail(err, HD_EINVAL, "auth.jwt_algorithms: %s is not supported",
                           o->jwt_algorithms.items[i]);
        algs |= HD_ALG_BIT(alg);
    }
    if (o->jwks_url != NULL)
        n->jwks_slot = hd_jwks_slot_new();
    struct hd_verifier_options v = {.secrets = secrets,
                                    .jwks = jwks,
                                    .jwks_files = files,
                                    .slot = n->jwks_slot,
                                    .keys = keys,
                                    .n_keys = n_keys,
                                    .rules = {.algs = algs,
                                              .issuers = items(&o->jwt_issuers),
                                              .audiences = items(&o->jwt_audiences),
                                              .leeway_s = o->jwt_leeway_s,
                                              .allow_padding = true}};
    return hd_verifier_new(&n->verifier, &v, err);
}

/* Keys by URL are fetched on the control loop, again and again. */
static int start_jwks(struct hd_node *n, struct hd_error *err)
{
    struct hd_jwks_source_options opt = {.url = n->opt->jwks_url};
    n->fetcher = hd_fetcher_new(n->workers[0].loop);
    if (n->jwks_slot == NULL)
        return 0;
    int rc = hd_curl_load(err) == NULL ? HD_ENOTFOUND : 0;
    if (rc == 0)
        rc = hd_jwks_source_new(&n->jwks_source, n->workers[0].loop, n->fetcher, n->jwks_slot, &opt,
                                n->log, err);
    return rc < 0 ? hd_wrap(err, rc, "auth.jwks_url") : 0;
}

static void on_fetcher_closed(void *arg)
{
    struct hd_node *n = arg;
    n->fetcher = NULL;
    n->after_policies(n);
}

static void close_fetcher(void *arg)
{
    struct hd_node *n = arg;
    n->jwks_source = NULL;
    hd_fetcher_close(n->fetcher, on_fetcher_closed, n);
}

void hd_node_policies_stop(struct hd_node *n, void (*then)(void *node))
{
    n->after_policies = then;
    if (n->jwks_source != NULL)
        hd_jwks_source_close(n->jwks_source, close_fetcher, n);
    else if (n->fetcher != NULL)
        close_fetcher(n);
    else
        then(n);
}

int hd_node_policies(struct hd_node *n, struct hd_error *err)
{
    const struct hd_node_options *o = n->opt;
    int rc = make_cors(n, err);
    if (rc == 0)
        rc = make_verifier(n, err);
    if (rc == 0)
        rc = hd_trusted_new(&n->trusted, items(&o->trusted_proxies), err);
    if (rc == 0)
        rc = start_jwks(n, err);
    if (rc < 0)
        return rc;
    static const enum hd_trust_ids ids[] = {[HD_TRUST_PROXIES] = HD_TRUST_IDS_OF_PROXIES,
                                            [HD_TRUST_ALL] = HD_TRUST_IDS_OF_ALL,
                                            [HD_TRUST_NONE] = HD_TRUST_IDS_OF_NOBODY};
    hd_trusted_set(n->trusted, HD_CLIENT_X_FORWARDED_FOR, ids[o->trust_request_id]);
    if (!o->disable_rate_limit)
        n->ratelimit = hd_ratelimit_new(NULL);
    else
        hd_log(n->log, HD_WARN, "the rate limit is off: for load tests only");
    return 0;
}

void hd_node_policies_done(struct hd_node *n)
{
    hd_cors_free(n->cors);
    hd_verifier_unref(n->verifier);
    hd_jwks_slot_unref(n->jwks_slot);
    hd_trusted_free(n->trusted);
    hd_ratelimit_free(n->ratelimit);
}
