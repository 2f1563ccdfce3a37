/* lambda/op/op_event_source.h - the inputs of the operations on event source mappings. */
#pragma once

#include "lambda/api/op.h"

extern const struct hd_shape hd_event_source_create_input[];
extern const struct hd_shape hd_event_source_update_input[];
extern const struct hd_shape hd_event_source_one_input[];
extern const struct hd_shape hd_event_source_list_input[];
