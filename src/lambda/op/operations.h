/* lambda/op/operations.h - the tables of all subjects; each is in the file op_<subject>.c. */
#pragma once

#include "lambda/api/op.h"

extern const struct hd_operation hd_operations_function[];
extern const struct hd_operation hd_operations_function_update[];
extern const struct hd_operation hd_operations_version[];
extern const struct hd_operation hd_operations_alias[];
extern const struct hd_operation hd_operations_concurrency[];
extern const struct hd_operation hd_operations_event_config[];
extern const struct hd_operation hd_operations_event_source[];
extern const struct hd_operation hd_operations_layer[];
extern const struct hd_operation hd_operations_layer_permission[];
extern const struct hd_operation hd_operations_permission[];
extern const struct hd_operation hd_operations_provisioned[];
extern const struct hd_operation hd_operations_refused[]; /* known, and not offered */
extern const struct hd_operation hd_operations_resource_policy[];
extern const struct hd_operation hd_operations_settings[];
extern const struct hd_operation hd_operations_signing[];
extern const struct hd_operation hd_operations_tags[];
extern const struct hd_operation hd_operations_url[];
