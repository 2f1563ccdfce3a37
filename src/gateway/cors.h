/* gateway/cors.h - cross-origin requests (Fetch standard, section 3.2): which fields an answer
 * gets. Pure: everything is put together when it is configured. */
#pragma once

#include "core/base.h"

#include <heddle/invoke.h>

/** All borrowed until hd_cors_new() returns; lists are NULL-terminated, NULL: the default. */
struct hd_cors_options {
    /**
     * "*" is any origin. "https://app.example.com:8443" is that one; without a port the scheme's
     * own. "app.example.com" is https://app.example.com. "*.example.com", also with scheme and
     * port, is every host below example.com, at any depth, and not example.com itself. What follows
     * the port, and userinfo, is dropped. NULL or empty: any in development, else CORS is off.
     */
    const char *const *origins;
    const char *const *allow_headers;
    const char *const *allow_methods;
    const char *const *expose_headers; /* added to the default, which always stands */
    bool dev;
    bool has_max_age;
    uint32_t max_age_s;
    bool has_credentials; /* else: yes for a list of origins, no for any */
    bool credentials;
    bool enforce; /* refuse other origins with 403 */
    bool compat;  /* as the reference does: all fields on every answer, its names exposed */
};

enum { HD_CORS_FIELDS_MAX = 8, HD_CORS_ORIGINS_MAX = 256 };

/** Immutable; any thread. */
struct hd_cors;

struct hd_cors_request {
    struct hd_str origin; /* value of Origin; ptr NULL: none was sent */
    struct hd_str host;   /* value of Host; its own pages are never refused */
    bool preflight;       /* method OPTIONS */
    bool private_network; /* Access-Control-Request-Private-Network: true was sent */
};

/** Fields to add; valid as long as the hd_cors and the request's slices. */
struct hd_cors_answer {
    struct hd_field fields[HD_CORS_FIELDS_MAX];
    size_t n;
    bool refused; /* answer 403, with these fields, and do not run the function */
};

/**
 * @return 0 and *out, the caller's to free; or HD_EINVAL: an entry that is no origin, a name with
 *         characters that cannot stand in a field, or credentials for any origin, which would give
 *         every page on the web the user's rights.
 */
int hd_cors_new(struct hd_cors **out, const struct hd_cors_options *opt, struct hd_error *err);
void hd_cors_free(struct hd_cors *c); /* NULL is fine */
/** @return whether CORS is on: in production without a list of origins it is not. */
bool hd_cors_enabled(const struct hd_cors *c);

/** Decide. Allocates nothing. */
void hd_cors_answer(struct hd_cors_answer *out, const struct hd_cors *c,
                    const struct hd_cors_request *request);

/** @return whether a function's answer must lose this field because the gateway answers for it:
 *          Access-Control-*, but only where CORS is on. */
bool hd_cors_owns(const struct hd_cors *c, struct hd_str name);
/**
 * The field that hd_cors_answer() gives as Vary is added beside the function's own ones, as HTTP
 * allows for lists (RFC 9110 section 5.3).
 * @return whether @p vary, a Vary value of the function, says it already ("*", or with "Origin").
 */
bool hd_cors_vary_has_origin(struct hd_str vary);

HD_AUTO(hd_cors)
