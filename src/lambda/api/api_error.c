#include "lambda/api/api_error.h"

/* How the service spells the message: both are read by its clients, and each error has its own. */
enum spelling { CAPITAL, SMALL, BARE };

struct kind {
    const char *name;
    unsigned status;
    enum spelling spelling;
};

static const struct kind kinds[HD_API_ERROR_COUNT] = {
    [HD_API_NOT_FOUND] = {"ResourceNotFoundException", 404, CAPITAL},
    [HD_API_NO_PROVISIONED] = {"ProvisionedConcurrencyConfigNotFoundException", 404, SMALL},
    [HD_API_NO_CODE_SIGNING] = {"CodeSigningConfigNotFoundException", 404, SMALL},
    [HD_API_CONFLICT] = {"ResourceConflictException", 409, SMALL},
    [HD_API_IN_USE] = {"ResourceInUseException", 400, SMALL},
    [HD_API_INVALID] = {"InvalidParameterValueException", 400, SMALL},
    [HD_API_VALIDATION] = {"ValidationException", 400, BARE},
    [HD_API_BAD_CONTENT] = {"InvalidRequestContentException", 400, SMALL},
    [HD_API_POLICY_TOO_LONG] = {"PolicyLengthExceededException", 400, SMALL},
    [HD_API_CODE_STORAGE] = {"CodeStorageExceededException", 400, SMALL},
    [HD_API_RECURSIVE] = {"RecursiveInvocationException", 400, SMALL},
    [HD_API_SERIALIZATION] = {"SerializationException", 400, SMALL},
    [HD_API_PRECONDITION] = {"PreconditionFailedException", 412, SMALL},
    [HD_API_TOO_LARGE] = {"RequestTooLargeException", 413, SMALL},
    [HD_API_ENTITY_TOO_LARGE] = {"RequestEntityTooLargeException", 413, BARE},
    [HD_API_MEDIA_TYPE] = {"UnsupportedMediaTypeException", 415, SMALL},
    [HD_API_TOO_MANY] = {"TooManyRequestsException", 429, SMALL},
    [HD_API_SERVICE] = {"ServiceException", 500, CAPITAL},
    [HD_API_RUNTIME] = {"InvalidRuntimeException", 502, SMALL},
    [HD_API_ZIP] = {"InvalidZipFileException", 502, SMALL},
    [HD_API_NOT_READY] = {"ResourceNotReadyException", 502, SMALL},
    [HD_API_DENIED] = {"AccessDeniedException", 403, CAPITAL},
    [HD_API_NO_SIGNATURE] = {"MissingAuthenticationTokenException", 403, BARE},
    [HD_API_INCOMPLETE_SIGNATURE] = {"IncompleteSignatureException", 403, BARE},
    [HD_API_UNKNOWN_KEY] = {"UnrecognizedClientException", 403, BARE},
    [HD_API_BAD_SIGNATURE] = {"InvalidSignatureException", 403, BARE},
    [HD_API_UNKNOWN_OPERATION] = {"UnknownOperationException", 404, CAPITAL},
    [HD_API_NO_METHOD] = {"UnknownOperationException", 405, CAPITAL},
};

const char *hd_api_error_name(enum hd_api_error e)
{
    return kinds[e].name;
}

unsigned hd_api_error_status(enum hd_api_error e)
{
    return kinds[e].status;
}

void hd_api_error_body(struct hd_buf *out, enum hd_api_error e, struct hd_str message,
                       const char *reason)
{
    const struct kind *k = &kinds[e];
    hd_buf_char(out, '{');
    if (reason != NULL) {
        hd_buf_cstr(out, "\"Reason\":");
        hd_buf_json(out, hd_str(reason));
        hd_buf_char(out, ',');
    }
    if (k->spelling != BARE)
        hd_buf_fmt(out, "\"Type\":\"%s\",", k->status >= 500 ? "Service" : "User");
    if (e == HD_API_TOO_MANY)
        hd_buf_cstr(out, "\"retryAfterSeconds\":\"1\",");
    hd_buf_cstr(out, k->spelling == CAPITAL ? "\"Message\":" : "\"message\":");
    hd_buf_json(out, message);
    hd_buf_char(out, '}');
}
