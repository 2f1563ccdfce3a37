"""Calls a Lambda handler with events: context, result as JSON, errors as AWS tells them."""

import asyncio
import base64
import decimal
import json
import os
import time
import types

from . import lambda_log, log
from .lambda_find import Fault, frames

ANSWER_MAX = 6 * 1024 * 1024 + 100  # what Lambda takes of a buffered result
NO_LIMIT_MS = 2 ** 31 - 1

_TRACE = "_X_AMZN_TRACE_ID"


def _number(value):
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


_encode = json.JSONEncoder(ensure_ascii=False, default=_number).encode
_encode_ascii = json.JSONEncoder(default=_number).encode


def to_json(result):
    """A result as bytes. Raises Fault: it has no JSON form."""
    try:
        try:
            return _encode(result).encode()
        except UnicodeEncodeError:  # half a character, as an escape
            return _encode_ascii(result).encode()
    except (TypeError, ValueError, RecursionError, decimal.InvalidOperation) as error:
        raise Fault("Runtime.MarshalError", f"Unable to marshal response: {error}") from error


class CognitoIdentity:
    def __init__(self, given):
        self.cognito_identity_id = given.get("cognitoIdentityId")
        self.cognito_identity_pool_id = given.get("cognitoIdentityPoolId")


class Client:
    def __init__(self, given):
        for name in ("installation_id", "app_title", "app_version_name", "app_version_code",
                     "app_package_name"):
            setattr(self, name, given.get(name))


class ClientContext:
    def __init__(self, given):
        self.custom = given.get("custom")
        self.env = given.get("env")
        self.client = Client(given.get("client") or {})
        self.heddle = given.get("heddle")


def _decoded(fields, name, make):
    field = fields.get(name)
    if field is None:
        return None
    given = json.loads(base64.b64decode(field))
    return make(given) if isinstance(given, dict) else None


class LambdaContext:
    """What handlers get beside the event."""

    def __init__(self, function, fields):
        self.aws_request_id = fields.get("id", "")
        self.function_name = function.get("name")
        self.function_version = function.get("version")
        self.invoked_function_arn = fields.get("arn") or function.get("arn")
        self.memory_limit_in_mb = str(function.get("memoryMB"))
        self.log_group_name = function.get("logGroup")
        self.log_stream_name = function.get("logStream")
        self.tenant_id = fields.get("tenant")
        self.client_context = _decoded(fields, "client-context", ClientContext)
        self.identity = _decoded(fields, "identity", CognitoIdentity) or CognitoIdentity({})
        left = fields.get("deadline")
        self._end = time.monotonic() + (NO_LIMIT_MS if left is None else int(left)) / 1000

    def get_remaining_time_in_millis(self):
        return max(0, int((self._end - time.monotonic()) * 1000))

    def log(self, message):
        print(message)


def fault_body(error, id):
    """The JSON of an error, for who waits for the result."""
    if isinstance(error, Fault):
        kind, trace = error.kind, error.trace
    else:
        kind, trace = type(error).__name__, frames(error)
    try:
        message = str(error)
    except Exception:
        message = "the error's text cannot be made"
    body = {"errorMessage": message, "errorType": kind, "requestId": id, "stackTrace": trace}
    data = getattr(error, "error_data", None)
    if isinstance(data, dict):
        body["errorData"] = data  # what a typed error of a lane tells its caller
    return body


def too_large(limit):
    return {"errorMessage": "Response payload size exceeded maximum allowed payload size "
                            f"({limit} bytes).",
            "errorType": "Function.ResponseSizeTooLarge"}


class Function:
    """A loaded function, or one whose init failed."""

    def __init__(self, what, handler, failure=None):
        self.function = what["lambda"]
        self.handler = handler
        self.failure = failure
        self.limit = self.function.get("maxAnswerBytes") or ANSWER_MAX
        self.trace = None
        self.loop = None

    def call(self, fields, body):
        """
        Answer one event. fields: x-heddle-* by what follows the prefix.
        Returns (bytes of the result or the error's JSON, whether it is an error). Raises SystemExit.
        """
        id = fields.get("id", "")
        log.enter(id)
        try:
            if self.failure is not None:
                told = {**self.failure, "requestId": id}
                lambda_log.fault(told)  # with the id as well, where its caller looks for it
                return json.dumps(told).encode(), True
            trace = fields.get("trace")
            if trace != self.trace:
                self.trace = trace
                if trace is None:
                    os.environ.pop(_TRACE, None)
                else:
                    os.environ[_TRACE] = trace
            try:
                event = json.loads(body) if body else {}
                result = self.handler(event, LambdaContext(self.function, fields))
                if type(result) is types.CoroutineType:
                    result = self.wait(result)
                data = to_json(result)
            except SystemExit:
                raise
            except BaseException as error:
                told = fault_body(error, id)
                lambda_log.fault(told)
                return json.dumps(told).encode(), True
            if len(data) > self.limit:
                return json.dumps(too_large(self.limit)).encode(), True
            return data, False
        finally:
            log.leave()

    def wait(self, coroutine):
        """The result of an `async def` handler, on a loop that stays for the next one."""
        if self.loop is None:
            self.loop = asyncio.new_event_loop()
        return self.loop.run_until_complete(coroutine)
