/* lambda/layers.h - layers: their names, and the rules by which functions use them. */
#pragma once

#include "lambda/op.h"

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

/**
 * Look up the layers that a function wants, and check that it may have them together: how many,
 * one version of each, in the function's region, there, and its account's or allowed to it.
 * @param arns   array of texts: the member Layers of CreateFunction; their form was checked.
 * @return [{"Arn", "Digest", "CodeSize"}] in the order given, a new reference; or NULL, and the
 *         operation has failed.
 */
json_t *hd_layers_attach(struct hd_op *op, const json_t *arns);
