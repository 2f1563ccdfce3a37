/* fuzz_sigv4.c - signed requests: nothing is taken that was not signed, whatever it says; and what
 * we sign ourselves is taken back. The input is lines: method, path, query, Authorization,
 * X-Amz-Date, then the value of another field. */
#include "auth/sigv4.h"
#include "fuzz.h"

enum { PARTS = 6 };

static const struct hd_sigv4_key key = {.id = HD_LIT("AKIAIOSFODNN7EXAMPLE"),
                                        .secret = HD_LIT("no-input-is-signed-with-this")};
static const struct hd_str empty = {NULL, 0};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hd_str rest = {(const char *)data, size}, part[PARTS] = {empty};
    for (size_t i = 0; i < PARTS && hd_str_split(&part[i], &rest, '\n'); i++)
        ;
    unsigned char hash[HD_SHA256_BYTES];
    hd_sigv4_hash(hash, rest);
    struct hd_field fields[] = {
        {HD_LIT("Authorization"), part[3]},
        {HD_LIT("X-Amz-Date"), part[4]},
        {HD_LIT("X-Something"), part[5]},
    };
    struct hd_sigv4_request req = {.method = part[0],
                                   .path = part[1],
                                   .query = part[2],
                                   .authority = HD_LIT("localhost"),
                                   .fields = fields,
                                   .n_fields = HD_COUNT(fields),
                                   .body_sha256 = hash};
    struct hd_sigv4_claim claim;
    struct hd_sigv4_refusal refusal;
    enum hd_sigv4_fault fault = hd_sigv4_parse(&claim, &req, &refusal);
    fuzz_check((fault == HD_SIGV4_GOOD) == (refusal.message[0] == '\0'));
    if (fault == HD_SIGV4_GOOD) {
        const struct hd_str memory = {claim.memory, sizeof(claim.memory)};
        fuzz_check_within(claim.key_id, memory);
        fuzz_check_within(claim.region, memory);
        fuzz_check_within(claim.signed_headers, memory);
        fuzz_check(claim.signature.len == 64 && claim.time.len == 16 && claim.date.len == 8);
        const struct hd_sigv4_rules rules = {.service = "lambda", .now_unix_s = claim.time_unix_s};
        fuzz_check(hd_sigv4_verify(&claim, &req, &key, &rules, &refusal) != HD_SIGV4_GOOD);
        fuzz_check(refusal.message[0] != '\0');
    }

    /* The same request, signed by us. */
    req.fields = &fields[2];
    req.n_fields = 1;
    struct hd_sigv4_signed out = {.time = ""};
    const struct hd_sigv4_scope scope = {
        .region = HD_LIT("eu-west-1"), .service = HD_LIT("lambda"), .now_unix_s = 1800000000};
    if (hd_sigv4_sign(&out, &req, &key, &scope, NULL) == 0) {
        fields[0].value = hd_buf_view(&out.authorization);
        fields[1].value = hd_str(out.time);
        req.fields = fields;
        req.n_fields = HD_COUNT(fields);
        fault = hd_sigv4_parse(&claim, &req, &refusal);
        const struct hd_sigv4_rules rules = {.service = "lambda", .now_unix_s = 1800000100};
        if (fault == HD_SIGV4_GOOD)
            fuzz_check(hd_sigv4_verify(&claim, &req, &key, &rules, &refusal) == HD_SIGV4_GOOD);
        else /* the query has parameters of a presigned one as well */
            fuzz_check(fault == HD_SIGV4_INCOMPLETE);
    }
    hd_sigv4_signed_done(&out);
    return 0;
}
