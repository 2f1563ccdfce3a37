/* lambda/op/op_function.h - what the operations on functions and versions share: the members they
 * take, the rules between them, and how a function is shown. */
#pragma once

#include "lambda/api/op.h"

/* --- op_function_shape.c: the members --- */

extern const struct hd_shape hd_function_create_input[];
extern const struct hd_shape hd_function_configuration_input[];
extern const struct hd_shape hd_function_code_input[];

/* --- op_function_config.c: the configuration --- */

/**
 * Make the configuration of a new function out of the input: everything but what the code says
 * (CodeSize, CodeSha256) and Layers.
 * @return a new reference; or NULL, and the operation has failed.
 */
json_t *hd_function_config_new(struct hd_op *op);
/** Take what is given over into a configuration that is there. @return as above, but a bool. */
bool hd_function_config_update(struct hd_op *op, json_t *config);
/** Set CodeSize, CodeSha256 and Layers in a document's configuration from what it has of them. */
void hd_function_config_derive(json_t *doc);
/** Begin a transition: Pending (@p first) or InProgress, with a new RevisionId and LastModified. */
void hd_function_config_begin(json_t *config, bool first);

enum hd_function_form {
    HD_FUNCTION_FULL, /* as GetFunctionConfiguration answers */
    HD_FUNCTION_ITEM, /* as an item of a list: without what changes by itself */
};
/**
 * Show a document's configuration.
 * @param version    "$LATEST" or a number: Version.
 * @param qualifier  what follows the name in FunctionArn; NULL: nothing.
 * @return a new reference.
 */
json_t *hd_function_shown(const struct hd_op *op, const json_t *doc, const char *version,
                          const char *qualifier, enum hd_function_form form);
/** @return false, and the operation has failed with 409, while an update of it is under way. */
bool hd_function_is_settled(struct hd_op *op, const json_t *doc);

/* --- op_function_rules.c: what fits together --- */

/** Runtime and handler of a function of PackageType Zip; NULL: not given. */
bool hd_function_runtime_ok(struct hd_op *op, const char *runtime);
bool hd_function_environment_ok(struct hd_op *op, const json_t *environment);
/** @param format_now  LogFormat of the function so far. */
bool hd_function_logging_ok(struct hd_op *op, const json_t *logging, const char *format_now);

/* --- op_function_code.c: the code --- */

/** How the code of an operation got here. The result is a document's Code. */
typedef void hd_function_code_fn(struct hd_op *op, json_t *code);
/** @return whether any source is given among these members. */
bool hd_function_code_given(const json_t *members);
/**
 * Get the code: from the request, S3, a folder, or an image's reference.
 * @param members  ZipFile, S3Bucket, S3Key, S3ObjectVersion, ImageUri; borrowed from the input.
 * @param image    the function's PackageType is Image.
 * @param store    false: only look whether it is good.
 * @param done     gets the result's ownership; not called when the operation has failed.
 */
void hd_function_code_get(struct hd_op *op, const json_t *members, bool image, bool store,
                          hd_function_code_fn *done);
/** @return false, and the operation has failed: the account's code would take too much with this.
 */
bool hd_function_storage_ok(struct hd_op *op, const json_t *code);
/**
 * Merge the layers of a document, so that they are there when its instances start.
 * @param done  may be called from inside; not when the operation has failed.
 */
void hd_function_layers_merge(struct hd_op *op, const json_t *doc, void (*done)(struct hd_op *op));

/* --- op_version.c --- */

/**
 * Put the next version of a function into a change: a snapshot of the document.
 * @param doc          of the function; its NextVersion and LastPublished change.
 * @param description  NULL: the function's.
 * @param number       gets its number.
 * @return the version's document, a new reference.
 */
json_t *hd_version_add(struct hd_op *op, struct hd_change *change, json_t *doc,
                       const char *description, char number[24]);
