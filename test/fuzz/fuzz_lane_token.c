/* test/fuzz/fuzz_lane_token.c - lane tokens of a peer: none that was not signed is taken. */
#include "fuzz.h"
#include "lanes/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct hd_lane_keys *keys;
    if (keys == NULL) {
        struct hd_lane_auth auth = {.mode = HD_LANE_AUTH_HMAC,
                                    .secret = "nobody knows it",
                                    .token_ttl_ms = 60000,
                                    .accept_legacy_tokens = true};
        fuzz_check(hd_lane_keys_new(&keys, &auth, NULL) == 0);
    }
    struct hd_lane_claims want = {.lane = hd_str("l"), .target = hd_str("t")};
    struct hd_str token =
        hd_lane_token_of(hd_str("authorization"), hd_str_n((const char *)data, size));
    fuzz_check_within(token, hd_str_n((const char *)data, size));
    fuzz_check(hd_lane_token_verify(keys, token, &want, hd_str(""), 1700000000000, NULL) < 0);
    return 0;
}
