/* pool/lambdaenv.h - the environment of an instance with Lambda semantics: the whole table of names
 * that the service documents, in order, the function's own variables last. Pure, but for the random
 * numbers of hd_lambdaenv_draw(). Every backend uses it. */
#pragma once

#include "functions/strings.h"

#include <heddle/sys/backend.h>

enum {
    HD_LAMBDAENV_KEY_BYTES = 32,
    HD_LAMBDAENV_KEY_ID_CHARS = 20, /* "ASIA" and 16 of A-Z2-7 */
    HD_LAMBDAENV_SECRET_CHARS = 40,
    HD_LAMBDAENV_SESSION_CHARS = 64,
    HD_LAMBDAENV_STREAM_MAX = 80,
};

/** What is different for each instance. Secrets: wipe it when the instance is started. */
struct hd_lambdaenv_instance {
    char log_stream[HD_LAMBDAENV_STREAM_MAX + 1]; /* "2026/01/31/[$LATEST]<32 hex>"; one that the
                                                     launch has counts more */
    char access_key_id[HD_LAMBDAENV_KEY_ID_CHARS + 1];
    char secret_access_key[HD_LAMBDAENV_SECRET_CHARS + 1];
    char session_token[HD_LAMBDAENV_SESSION_CHARS + 1]; /* what the token is made of, with the
                                                           account */
};

/** Where the function finds things, as it sees them. NULL: the place the service has. */
struct hd_lambdaenv_places {
    const char *task_root;   /* ["/var/task"] */
    const char *runtime_dir; /* ["/var/runtime"] */
    const char *opt_dir;     /* ["/opt"]; "": layers are not to be seen */
    const char *path;        /* PATH behind what the service has in it; NULL: nothing */
    const char *runtime_api; /* "127.0.0.1:9001"; NULL: the shim sets it, or there is none */
    const char *endpoint;    /* AWS_ENDPOINT_URL: this node, for SDKs; NULL: none */
};

/** Draw the name of an instance's log stream. @param version  "$LATEST" or a number. */
void hd_lambdaenv_stream(char out[HD_LAMBDAENV_STREAM_MAX + 1], const char *version,
                         int64_t now_unix_s);
/**
 * Draw an instance's values.
 * @param key         this node's; the secret and the token follow from it and the key id, so that
 *                    the node can check them without a list. NULL: random, and nobody can.
 * @param version     "$LATEST" or a number.
 * @param instance    its id, which the key id ends with (see hd_lambdaenv_instance()); NULL:
 * random.
 */
void hd_lambdaenv_draw(struct hd_lambdaenv_instance *out, const uint8_t *key, const char *version,
                       const char *instance, int64_t now_unix_s);
/** @return the id of the instance that was given this key id; empty: it is none of ours. */
struct hd_str hd_lambdaenv_instance(struct hd_str access_key_id);
/**
 * Compute the secret of a key id that hd_lambdaenv_draw() made with the same key.
 * @return 0, or HD_ENOTFOUND: it does not look like one of ours.
 */
int hd_lambdaenv_secret(char out[HD_LAMBDAENV_SECRET_CHARS + 1], const uint8_t *key,
                        struct hd_str access_key_id);
/**
 * Find the account of a session token, AWS_SESSION_TOKEN of an instance.
 * @param key  as above.
 * @param out  12 digits.
 * @return whether this token was made for this key id, with the same key.
 */
bool hd_lambdaenv_account(char out[13], const uint8_t *key, struct hd_str access_key_id,
                          struct hd_str token);
/** Append "KEY=value" for everything in @p what (its lambda is not NULL), each name once. */
void hd_lambdaenv_list(struct hd_strings *out, const struct hd_launch *what,
                       const struct hd_lambdaenv_places *places,
                       const struct hd_lambdaenv_instance *instance);
/** @return whether a function may not set this variable itself: create and update refuse it. */
bool hd_lambdaenv_is_reserved(struct hd_str name);
/** @return whether external extensions get this variable. */
bool hd_lambdaenv_is_for_extensions(struct hd_str name);
