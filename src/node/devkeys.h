/* node/devkeys.h - the keys of development mode: made at the first start, kept in the data folder,
 * so that `heddle dev` needs no project, no network and no settings. */
#pragma once

#include "node/settings.h"

/** The secret that a well-known development stack publishes; refused in production. */
#define HD_KNOWN_SECRET "super-secret-jwt-token-with-at-least-32-characters-long"

struct hd_devkeys {
    char *jwt_secret;             /* 64 hex digits */
    char *anon_key, *service_key; /* tokens signed with it: roles anon and service_role */
    bool created;                 /* by this call */
};

/**
 * Read dev-keys.json in @p data_dir, or make it (mode 0600; the folder: 0700).
 * @param secret  NULL: the file's, or a random one. Else tokens are signed with this one where the
 *                file holds those of another or is missing, and nothing is written.
 * @param may_make  false: never write; HD_ENOTFOUND where there is no file.
 * @return 0 and *out, to be given to hd_devkeys_done(); or an error naming the file.
 */
int hd_devkeys_load(struct hd_devkeys *out, const char *data_dir, const char *secret, bool may_make,
                    struct hd_error *err);
/** Wipe and free. Zeroed is fine. */
void hd_devkeys_done(struct hd_devkeys *keys);

/**
 * What development mode adds before a node starts: where no secret, anon key or service key is
 * set, the generated ones. Does nothing unless opt->dev.
 * @param created  set when the file was made now, so that the keys are printed once; may be NULL.
 */
int hd_devkeys_apply(struct hd_node_options *opt, bool *created, struct hd_error *err);
/**
 * The variables that functions expect in development and that @p env does not set: SUPABASE_URL,
 * SUPABASE_ANON_KEY, SUPABASE_PUBLISHABLE_KEY, SUPABASE_SERVICE_ROLE_KEY, from their VITE_ and
 * newer names or from the keys in use. Nothing unless opt->dev.
 * @param out  "NAME=value"; emptied first; the caller's to free with hd_devkeys_env_done().
 */
void hd_devkeys_env(struct hd_option_list *out, const struct hd_node_options *opt,
                    char *const *env);
/** Wipe and free. */
void hd_devkeys_env_done(struct hd_option_list *list);
