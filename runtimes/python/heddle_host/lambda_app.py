"""Handlers written for AWS Lambda: handler(event, context). The event has the payload format 2.0 that
function URLs send; results are read as AWS documents for it."""

import asyncio
import base64
import contextvars
import inspect
import json
import re
import time
import types
from datetime import datetime, timezone
from urllib.parse import parse_qsl

BODY_MAX = 6 * 1024 * 1024  # what Lambda takes
_TEXT = re.compile(r"(text/|application/(json|javascript|xml|graphql|x-www-form-urlencoded)"
                   r"|[^;]*\+(json|xml)\b)", re.I)


def _client_context(text):
    if not text:
        return None
    return types.SimpleNamespace(**json.loads(base64.b64decode(text)))


class Context:
    """What handlers get beside the event."""

    def __init__(self, what, request):
        self.function_name = what["name"]
        self.function_version = "$LATEST"
        self.invoked_function_arn = f"arn:aws:lambda:local:000000000000:function:{what['name']}"
        self.memory_limit_in_mb = str(what.get("memoryMB") or 0)
        self.aws_request_id = request.control.get("id", "")
        self.log_group_name = f"/aws/lambda/{what['name']}"
        self.log_stream_name = what.get("version") or ""
        self.identity = None
        self.client_context = _client_context(request.control.get("client-context"))
        left = int(request.control.get("deadline") or what.get("timeoutMs") or 0)
        self._end = time.monotonic() + left / 1000

    def get_remaining_time_in_millis(self):
        return max(0, int((self._end - time.monotonic()) * 1000))


def _joined(pairs):
    values = {}
    for name, value in pairs:
        values[name] = f"{values[name]},{value}" if name in values else value
    return values


def make_event(what, request, body):
    headers = _joined((n.decode("latin-1"), v.decode("latin-1")) for n, v in request.fields)
    path, _, query = request.target.decode("latin-1").partition("?")
    host = headers.get("host", "")
    now = datetime.now(timezone.utc)
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": what["name"],
            "domainName": host,
            "domainPrefix": host.split(".")[0],
            "http": {
                "method": request.method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": headers.get("x-forwarded-for", "").rsplit(",", 1)[-1].strip(),
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": request.control.get("id", ""),
            "routeKey": "$default",
            "stage": "$default",
            "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": int(now.timestamp() * 1000),
        },
        "isBase64Encoded": False,
    }
    if query:
        event["queryStringParameters"] = _joined(parse_qsl(query, keep_blank_values=True))
    if "cookie" in headers:
        event["cookies"] = re.split(r"; *", headers.pop("cookie"))
    auth = request.control.get("auth")
    if auth:
        claims = json.loads(base64.urlsafe_b64decode(auth + "=" * (-len(auth) % 4)))
        event["requestContext"]["authorizer"] = {"jwt": {"claims": claims, "scopes": None}}
    if body:
        text = None
        if _TEXT.match(headers.get("content-type", "")):
            try:
                text = body.decode()
            except UnicodeDecodeError:
                pass  # it says that it is text, and is not
        event["isBase64Encoded"] = text is None
        event["body"] = base64.b64encode(body).decode("ascii") if text is None else text
    return event


def read_result(result):
    """What a handler gave, as (status, fields, body). Raises TypeError: it is no answer."""
    if not isinstance(result, dict) or "statusCode" not in result:
        text = result if isinstance(result, str) else json.dumps(result)
        return 200, [(b"content-type", b"application/json")], text.encode()
    try:
        status = int(result["statusCode"])
    except (TypeError, ValueError):
        status = 0
    if not 200 <= status <= 599:
        raise TypeError(f"the handler's statusCode must be 200 to 599, not {result['statusCode']!r}")
    fields = [(str(name).lower().encode("latin-1"), str(value).encode("utf-8"))
              for name, value in (result.get("headers") or {}).items() if value is not None]
    fields += [(b"set-cookie", str(cookie).encode("utf-8")) for cookie in result.get("cookies") or []]
    if not any(name == b"content-type" for name, _ in fields):
        fields.append((b"content-type", b"application/json"))
    body = result.get("body", "")
    if body is None:
        body = ""
    if not isinstance(body, (str, bytes)):
        body = json.dumps(body)
    if result.get("isBase64Encoded"):
        body = base64.b64decode(body)
    return status, fields, body.encode() if isinstance(body, str) else body


async def answer(handler, what, pool, request):
    """Answer one request. Raises what the handler raises, with nothing answered yet."""
    body = await request.read_all(BODY_MAX)
    if body is None:
        text = json.dumps({"error": "Request body too large", "limit": BODY_MAX}).encode()
        request.answer(413, [(b"content-type", b"application/json")], text)
        return
    event, context = make_event(what, request, body), Context(what, request)
    if inspect.iscoroutinefunction(handler):
        result = await handler(event, context)
    else:
        inside = contextvars.copy_context()
        result = await asyncio.get_running_loop().run_in_executor(
            pool, inside.run, handler, event, context)
    request.answer(*read_result(result))
