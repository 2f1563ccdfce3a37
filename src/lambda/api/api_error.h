/* lambda/api/api_error.h - the error types of the Lambda API: name, status, and how the body is
 * spelled. One table for management operations, Invoke and signature checks. Pure. */
#pragma once

#include "core/buf.h"

enum hd_api_error {
    HD_API_NOT_FOUND,            /* ResourceNotFoundException */
    HD_API_NO_PROVISIONED,       /* ProvisionedConcurrencyConfigNotFoundException */
    HD_API_NO_CODE_SIGNING,      /* CodeSigningConfigNotFoundException */
    HD_API_CONFLICT,             /* ResourceConflictException */
    HD_API_IN_USE,               /* ResourceInUseException */
    HD_API_INVALID,              /* InvalidParameterValueException */
    HD_API_VALIDATION,           /* ValidationException */
    HD_API_BAD_CONTENT,          /* InvalidRequestContentException */
    HD_API_POLICY_TOO_LONG,      /* PolicyLengthExceededException */
    HD_API_CODE_STORAGE,         /* CodeStorageExceededException */
    HD_API_RECURSIVE,            /* RecursiveInvocationException */
    HD_API_SERIALIZATION,        /* SerializationException */
    HD_API_PRECONDITION,         /* PreconditionFailedException */
    HD_API_TOO_LARGE,            /* RequestTooLargeException */
    HD_API_ENTITY_TOO_LARGE,     /* RequestEntityTooLargeException */
    HD_API_MEDIA_TYPE,           /* UnsupportedMediaTypeException */
    HD_API_TOO_MANY,             /* TooManyRequestsException */
    HD_API_SERVICE,              /* ServiceException */
    HD_API_RUNTIME,              /* InvalidRuntimeException */
    HD_API_ZIP,                  /* InvalidZipFileException */
    HD_API_NOT_READY,            /* ResourceNotReadyException */
    HD_API_DENIED,               /* AccessDeniedException */
    HD_API_NO_SIGNATURE,         /* MissingAuthenticationTokenException */
    HD_API_INCOMPLETE_SIGNATURE, /* IncompleteSignatureException */
    HD_API_UNKNOWN_KEY,          /* UnrecognizedClientException */
    HD_API_BAD_SIGNATURE,        /* InvalidSignatureException */
    HD_API_UNKNOWN_OPERATION,    /* UnknownOperationException */
    HD_API_NO_METHOD,            /* the path is known, the method is not: 405 */
    HD_API_ERROR_COUNT
};

const char *hd_api_error_name(enum hd_api_error e);
unsigned hd_api_error_status(enum hd_api_error e);
/**
 * Append the JSON body.
 * @param reason  HD_API_TOO_MANY only: its Reason; else NULL.
 */
void hd_api_error_body(struct hd_buf *out, enum hd_api_error e, struct hd_str message,
                       const char *reason);
