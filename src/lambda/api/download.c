#include "lambda/api/download.h"

#include "core/clock.h"
#include "functions/bundle.h"
#include "lambda/api/api_private.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define PREFIX "/_lambda/code/"

enum { GOOD_FOR_S = 600, MAC_BYTES = 32, MAC_CHARS = 2 * MAC_BYTES };

static void sign(const struct hd_api *api, struct hd_str digest, int64_t expires_unix_s,
                 char out[MAC_CHARS + 1])
{
    char text[HD_DIGEST_CHARS + 32];
    unsigned char mac[EVP_MAX_MD_SIZE] = {0};
    unsigned len = 0;
    int n = snprintf(text, sizeof(text), "%.*s:%lld", HD_FMT(digest), (long long)expires_unix_s);
    HMAC(EVP_sha256(), api->download_key, sizeof(api->download_key), (unsigned char *)text,
         (size_t)n, mac, &len);
    hd_hex(out, mac, MAC_BYTES);
}

json_t *hd_download_link(const struct hd_op *op, const char *digest)
{
    char mac[MAC_CHARS + 1];
    int64_t expires = hd_clock_unix_s() + GOOD_FOR_S;
    sign(op->api, hd_str(digest), expires, mac);
    return json_sprintf("%s" PREFIX "%s?expires=%lld&signature=%s", op->request->base_url.ptr,
                        digest, (long long)expires, mac);
}

bool hd_api_is_download(struct hd_str path)
{
    return hd_str_starts(path, hd_str(PREFIX));
}

static bool is_signed(const struct hd_op *op, struct hd_str digest)
{
    char mac[MAC_CHARS + 1];
    uint64_t until;
    struct hd_str expires, signature;
    if (!hd_api_query(op->request->query, "expires", 0, &expires) ||
        !hd_api_query(op->request->query, "signature", 0, &signature) ||
        hd_str_to_u64(&until, expires) < 0 || until > INT64_MAX)
        return false;
    sign(op->api, digest, (int64_t)until, mac);
    return hd_str_eq_secret(signature, hd_str_n(mac, MAC_CHARS)) &&
           (int64_t)until >= hd_clock_unix_s();
}

static void on_found(void *arg, const struct hd_bundle_result *result)
{
    struct hd_op *op = arg;
    if (result->problem != HD_BUNDLE_OK) {
        hd_op_fail(op, HD_API_NOT_FOUND, "The code of this link is not there any more.");
        return;
    }
    hd_auto_free char *path = hd_bundles_zip(op->api->opt.bundles, result->digest);
    hd_op_file(op, path);
}

void hd_download_serve(struct hd_op *op)
{
    struct hd_str path = op->request->path;
    struct hd_str digest = hd_str_n(path.ptr + sizeof(PREFIX) - 1, path.len - sizeof(PREFIX) + 1);
    if (!hd_str_is(op->request->method, "GET") && !hd_str_is(op->request->method, "HEAD")) {
        hd_op_fail(op, HD_API_NO_METHOD, "Code is downloaded with GET.");
        return;
    }
    if (!hd_bundle_is_digest(digest) || !is_signed(op, digest)) {
        hd_op_fail(op, HD_API_DENIED,
                   "This link is wrong or too old: ask GetFunction for a new one.");
        return;
    }
    hd_auto_free char *text = hd_strdup_n(digest);
    hd_bundles_find(op->api->opt.bundles, text, on_found, op);
}
