/* lambda/deploy/catalog.h - everything that the API can show, in memory, as the store has it.
 *
 *   change_new ─► put, delete ... ─► commit ─► seen by reads at once ─► on the disk ─► listeners
 *                                                                    └─► failed: taken back
 *
 * A record is a JSON document under a key (store/store.h names the kinds). It is kept as text and
 * parsed when it is asked for: the caller gets a document of its own, changes it as it likes, and
 * puts it back. Keys are in the order of their bytes, those of versions in the order of their
 * numbers (hd_names_key_cmp()). Control loop only.
 *
 * The documents; members that are not set are absent:
 *
 * FUNCTION "account/region/name" and VERSION "account/region/name/7":
 *   Config      the configuration as GetFunctionConfiguration answers it, but for FunctionArn and
 *               Version, which are made of the key; of $LATEST with State and LastUpdateStatus
 *   Code        {"Digest": hex SHA-256 of the zip, "ImageUri", "ResolvedImageUri",
 *                "Directory": of hot-reload code, "Size"}
 *   Layers      [{"Arn", "Digest", "CodeSize"}]: what Config.Layers stands for
 *  and FUNCTION only:
 *   Serving                       Config, Code and Layers that go on serving while an update is
 *                                 under way, or after it failed
 *   Tags                          {"team": "a"}
 *   NextVersion                   number of the next version
 *   LastPublished                 number of the last one that was published, as text
 *   CodeSigningConfigArn          text
 *   ReservedConcurrentExecutions  number
 *   RecursiveLoop                 "Allow" or "Terminate"
 *   RuntimeManagement             {qualifier: {"UpdateRuntimeOn", "RuntimeVersionArn"}}
 * ALIAS "account/region/name/prod":
 *   Name, FunctionVersion, Description, RoutingConfig, RevisionId
 * POLICY "account/region/name[:qualifier]": Policy, the document as text; RevisionId
 * EVENT_CONFIG "account/region/name:qualifier" ($LATEST, a number or an alias):
 *   MaximumRetryAttempts, MaximumEventAgeInSeconds, DestinationConfig, LastModified
 * FUNCTION_URL "account/region/name[:alias]": FunctionUrl's id in Id, and AuthType, Cors,
 *   InvokeMode, CreationTime, LastModifiedTime
 * PROVISIONED "account/region/name:qualifier": RequestedProvisionedConcurrentExecutions,
 *   LastModified
 * LAYER, LAYER_VERSION, EVENT_SOURCE, CODE_SIGNING: their operations' own. */
#pragma once

#include "store/store.h"

#include <jansson.h>

struct hd_catalog;
struct hd_change; /* several writes that become true together */

/** Read everything from the store. Blocks; before the loops run. @return 0 and *out, or an error
 *  that says which record cannot be read. */
int hd_catalog_new(struct hd_catalog **out, struct hd_store *store, struct hd_loop *loop,
                   struct hd_error *err);
/** No change may be on its way to the disk. NULL is fine. */
void hd_catalog_free(struct hd_catalog *c);

/** @return the document, a new reference; or NULL. */
json_t *hd_catalog_get(const struct hd_catalog *c, enum hd_record kind, const char *key);
bool hd_catalog_has(const struct hd_catalog *c, enum hd_record kind, const char *key);
/**
 * Walk in order.
 * @param prefix  keys begin with it: whole parts of a key with the "/" or ":" behind; "": all.
 * @param after   the key to go on from; NULL: from the first. It need not exist.
 * @return the next key, valid until the next change; or NULL.
 */
const char *hd_catalog_next(const struct hd_catalog *c, enum hd_record kind, const char *prefix,
                            const char *after);
/** @return how many records have keys that begin with @p prefix. */
size_t hd_catalog_count(const struct hd_catalog *c, enum hd_record kind, const char *prefix);
/** @return the sum of Code.Size over all functions and versions under @p prefix. */
uint64_t hd_catalog_code_bytes(const struct hd_catalog *c, const char *prefix);

/**
 * Write a record's key: "account/region/name", then @p sep ('/' or ':') and @p last if last is
 * neither NULL nor "".
 * @param out  HD_NAMES_KEY_MAX bytes.
 * @return out.
 */
char *hd_catalog_key(char *out, const char *account, const char *region, const char *name, char sep,
                     const char *last);

struct hd_change *hd_change_new(struct hd_catalog *c);
/** @param doc  borrowed. */
void hd_change_put(struct hd_change *ch, enum hd_record kind, const char *key, const json_t *doc);
void hd_change_delete(struct hd_change *ch, enum hd_record kind, const char *key);
/** Every record that is there now and whose key begins with @p prefix. */
void hd_change_delete_under(struct hd_change *ch, enum hd_record kind, const char *prefix);
/** @return the store's transaction: what else is put into it becomes true with the change. */
struct hd_store_tx *hd_change_tx(struct hd_change *ch);
/**
 * Make it so. Reads see it when this returns; @p done comes when it is on the disk (err NULL), or
 * could not be written and was taken back. Listeners were told before @p done is.
 * @param done  later, exactly once; may be NULL.
 */
void hd_change_commit(struct hd_change *ch, void (*done)(void *arg, const struct hd_error *err),
                      void *arg);
/** Throw it away. NULL is fine. */
void hd_change_drop(struct hd_change *ch);

/**
 * Hear of every record that was changed, after it is on the disk; hd_catalog_get() says whether it
 * is there still. Once for each listener and record of a change, in the order of their writing;
 * then @p fn with a NULL key: the change is complete.
 */
void hd_catalog_listen(struct hd_catalog *c,
                       void (*fn)(void *arg, enum hd_record kind, const char *key), void *arg);
/**
 * Wait until everything that reads can see now is on the disk, or was taken back.
 * @param done  later, exactly once; err: something of it was taken back.
 * @return false: it is on the disk already, and @p done is not called.
 */
bool hd_catalog_wait(struct hd_catalog *c, void (*done)(void *arg, const struct hd_error *err),
                     void *arg);
/** @return whether changes are on their way to the disk. */
bool hd_catalog_is_busy(const struct hd_catalog *c);
