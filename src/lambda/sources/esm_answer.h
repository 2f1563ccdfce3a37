/* lambda/sources/esm_answer.h - which records of a batch a function says it could not handle
 * (ReportBatchItemFailures). Pure. */
#pragma once

#include "core/base.h"

/**
 * Read `{"batchItemFailures": [{"itemIdentifier": id}, ...]}`. No answer, null, `{}`, and a list
 * that is null or empty: all went well. An identifier that is empty, null or of no record, or
 * another shape: all failed.
 * @param answer  the function's result, JSON.
 * @param ids     of the records; NULL-free.
 * @param failed  n_ids of them; set to which failed.
 * @return how many failed.
 */
size_t hd_esm_answer(bool *failed, struct hd_str answer, const char *const *ids, size_t n_ids);
