/* fuzz_jwks.c - key sets as JSON and PEM: every key that is taken can be used as it says. */
#include "auth/pkey.h"
#include "fuzz.h"

static void check_key(const struct hd_jwk *key)
{
    fuzz_check(key->algs != 0);
    fuzz_check((key->type == HD_KEY_SECRET) == (key->pkey == NULL));
    struct hd_str bytes = hd_str("bytes"), nothing = {NULL, 0};
    for (unsigned i = 0; i < HD_ALG_COUNT; i++) {
        const enum hd_alg alg = (enum hd_alg)i;
        if ((key->algs & HD_ALG_BIT(alg)) == 0)
            continue;
        fuzz_check(hd_alg_key_type(alg) == key->type);
        fuzz_check(!hd_pkey_verify(key, alg, bytes, nothing));
        if (!key->can_sign)
            continue;
        unsigned char signature[HD_SIGNATURE_MAX];
        const int n = hd_pkey_sign(signature, key, alg, bytes, NULL);
        fuzz_check(n > 0);
        const struct hd_str signed_by = {(const char *)signature, (size_t)n};
        fuzz_check(hd_pkey_verify(key, alg, bytes, signed_by));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct hd_str in = {(const char *)data, size};
    for (int form = 0; form < 3; form++) {
        struct hd_jwks *set = hd_jwks_new();
        struct hd_error err = {.msg = ""};
        const int rc = form == 2 ? hd_jwks_add_pem(set, in, hd_str("kid"), &err)
                                 : hd_jwks_add_json(set, in, form == 1, &err);
        fuzz_check(rc == 0 ? hd_jwks_count(set) > 0 : err.msg[0] != '\0');
        fuzz_check(rc == 0 || rc == HD_EINVAL || rc == HD_EBUSY);
        for (size_t i = 0; i < hd_jwks_count(set); i++) {
            check_key(hd_jwks_at(set, i));
            fuzz_check(form != 1 || hd_jwks_at(set, i)->type != HD_KEY_SECRET);
        }
        hd_jwks_unref(set);
    }
    return 0;
}
