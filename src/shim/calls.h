/* shim/calls.h - the calls of the Runtime API and of the Extensions API, by method and path. Pure.
 */
#pragma once

#include "core/base.h"

enum hd_call_kind {
    HD_CALL_NEXT,
    HD_CALL_RESPONSE,
    HD_CALL_ERROR,
    HD_CALL_INIT_ERROR,
    HD_CALL_RESTORE_NEXT,
    HD_CALL_RESTORE_ERROR,
    HD_CALL_PING,
    HD_CALL_EXT_REGISTER,
    HD_CALL_EXT_NEXT,
    HD_CALL_EXT_INIT_ERROR,
    HD_CALL_EXT_EXIT_ERROR,
    HD_CALL_TELEMETRY,
    HD_CALL_LOGS,
};

/**
 * @param id  set for HD_CALL_RESPONSE and HD_CALL_ERROR: the request id, a slice of @p path.
 * @return 0 and *call; 404: no such path; 405: the path has another method, which *allow names.
 */
unsigned hd_calls_find(enum hd_call_kind *call, struct hd_str *id, const char **allow,
                       struct hd_str method, struct hd_str path);
