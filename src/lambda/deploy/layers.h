/* lambda/deploy/layers.h - layers: their names, and the rules by which functions use them. */
#pragma once

#include "lambda/api/op.h"

/* The records:
 * LAYER "account/region/name": NextVersion, the number of the next version
 * LAYER_VERSION "account/region/name/3": Description, LicenseInfo, CompatibleRuntimes,
 *   CompatibleArchitectures, CreatedDate, Digest (hex), CodeSha256 (base64), CodeSize,
 *   UnpackedSize; and once it has a policy Policy (text) and RevisionId */

/** What names a layer, or a version of one; what is not said is empty. Slices of the text. */
struct hd_layer_name {
    struct hd_str region, account, name;
    struct hd_str version; /* digits */
};
/**
 * Take a name or an ARN apart: "tools", "arn:aws:lambda:eu-west-1:123456789012:layer:tools[:7]".
 * @return 0, or HD_EINVAL: it is neither.
 */
int hd_layer_name_parse(struct hd_layer_name *out, struct hd_str text);

/* The members that operations on layers have. */
#define HD_SHAPE_LAYER_NAME                                                                 \
    {                                                                                       \
        .name = "LayerName", .in = HD_SHAPE_PATH, .required = true, .min = 1, .max = 140,   \
        .pattern = "(arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\\d{12}:layer:[a-zA-Z0-9-_]+)|" \
                   "[a-zA-Z0-9-_]+"                                                         \
    }
#define HD_SHAPE_LAYER_NUMBER                                                                    \
    {                                                                                            \
        .name = "VersionNumber", .in = HD_SHAPE_PATH, .kind = HD_SHAPE_INTEGER, .required = true \
    }

/**
 * Read LayerName, which must be of this account and region.
 * @param out  may be NULL; has no version.
 * @return false, and the operation has failed.
 */
bool hd_layers_name(struct hd_op *op, struct hd_layer_name *out);
/**
 * Read LayerName, which may be another account's, and VersionNumber.
 * @param number  memory for the version.
 */
bool hd_layers_version(struct hd_op *op, struct hd_layer_name *out, char number[24]);

/**
 * Find a version of a layer, of this account and region, or of another one that lets the caller.
 * @param e        what it means that there is none.
 * @param missing  what is said then; NULL: "Layer version <arn> does not exist.".
 * @param arn      gets the version's ARN, HD_NAMES_KEY_MAX bytes.
 * @param key      gets the record's key, HD_NAMES_KEY_MAX bytes; may be NULL.
 * @return the record, a new reference; or NULL, and the operation has failed: there is none, or it
 *         is another account's and no policy allows it.
 */
json_t *hd_layers_find(struct hd_op *op, const struct hd_layer_name *name, enum hd_api_error e,
                       const char *missing, char *arn, char *key);
/**
 * Look up the layers that a function wants, and check that it may have them together: how many,
 * one version of each, in the function's region, there, and its account's or allowed to it.
 * @param arns   array of texts: the member Layers of CreateFunction; their form was checked.
 * @return [{"Arn", "Digest", "CodeSize"}] in the order given, a new reference; or NULL, and the
 *         operation has failed.
 */
json_t *hd_layers_attach(struct hd_op *op, const json_t *arns);
