/* node/defaults.h - what a node's options mean for its functions. */
#pragma once

#include "functions/effective.h"
#include "node/settings.h"

/**
 * Fill in what holds where a function says nothing, and who said so.
 * @param opt  borrowed as long as @p d is used.
 */
void hd_node_defaults(struct hd_defaults *d, const struct hd_node_options *opt);
