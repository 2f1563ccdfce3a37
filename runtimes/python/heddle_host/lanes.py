"""emit() and call() for functions in Python (doc/lanes.md, "From a function"): one request each to the
node's lanes, over connections that stay open."""

import asyncio
import base64
import collections
import contextvars
import functools
import importlib.util
import json
import os
import socket
import sys
import time
from urllib.parse import quote

TIMEOUT_S = 30.0
IDLE_S = 60.0  # the node waits longer, so it is never the one that hangs up
ANSWER_MAX = 64 * 1024 * 1024
READ = 64 * 1024
_TYPES = {False: "application/json", True: "application/vnd.heddle.typed+json"}


class LaneError(Exception):
    """What emit() and call() raise; the other three are kinds of it."""

    def __init__(self, message, code="UNKNOWN", status=0, retryable=False):
        super().__init__(message)
        self.code = code
        self.status = status  # of HTTP; 0: there was no answer
        self.retryable = retryable


class LaneTypedError(LaneError):
    """The task raised an error that `errors:` declares."""

    def __init__(self, message, id, data=None, http_code=None, **told):
        super().__init__(message, **told)
        self.id = id
        self.data = data or {}
        self.error_data = self.data  # whoever raises it again passes it on
        self.http_code = http_code


class LaneUnavailable(LaneError):
    """A queue, a peer or the node cannot be reached now: later may work."""


class LaneTimeout(LaneError):
    """There was no answer in time; what was asked for may have happened all the same."""


# The invocation under way ---------------------------------------------------------------------------

class _Invocation:
    def __init__(self, field):
        self.field = field
        left = field("x-heddle-deadline")
        self.end = None if left is None else time.monotonic() + int(left) / 1000

    def lane_context(self):
        """What the lanes wrote into the client context, or {}."""
        text = self.field("x-heddle-client-context")
        try:
            return (json.loads(base64.b64decode(text)) if text else {}).get("heddle") or {}
        except (ValueError, AttributeError):
            return {}  # not from the lanes


_current = contextvars.ContextVar("heddle_lanes", default=None)
_alone = None  # where one invocation runs at a time: also for threads that it has started


def enter(field, alone=False):
    """An invocation begins. field(name): a field of its request, or None."""
    global _alone
    it = _Invocation(field)
    _current.set(it)
    if alone:
        _alone = it


def field_of(request):
    """field() of an http1.Request."""
    def field(name):
        if name.startswith("x-heddle-"):
            return request.control.get(name[9:])
        wanted = name.encode("ascii")
        return next((value.decode("latin-1") for key, value in request.fields if key == wanted), None)
    return field


# One request ----------------------------------------------------------------------------------------

class _Connection:
    def __init__(self, address, seconds):
        self.sock = socket.create_connection(address, seconds)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.since = time.monotonic()

    def _wait_until(self, end):
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.sock.settimeout(left)

    def ask(self, data, end):
        """(status, body)."""
        self._wait_until(end)
        self.sock.sendall(data)
        got = bytearray()
        while (at := got.find(b"\r\n\r\n")) < 0:
            self._more(got, end)
        status, _, rest = bytes(got[:at]).decode("latin-1").partition("\r\n")
        fields = dict(line.lower().split(":", 1) for line in rest.split("\r\n") if ":" in line)
        length = int(fields["content-length"])
        if length > ANSWER_MAX:
            raise ValueError("it is too long")
        while len(got) < at + 4 + length:
            self._more(got, end)
        if fields.get("connection", "").strip() == "close":
            self.sock.close()
        self.since = time.monotonic()
        return int(status.split(" ")[1]), bytes(got[at + 4:at + 4 + length])

    def _more(self, got, end):
        self._wait_until(end)
        data = self.sock.recv(READ)
        if not data:
            raise ConnectionResetError("the node closed the connection")
        got += data


_idle = collections.deque()


def _connection(address, end):
    while _idle:
        try:
            it = _idle.pop()
        except IndexError:  # another thread was faster
            break
        if it.address == address and time.monotonic() - it.since < IDLE_S and it.sock.fileno() >= 0:
            return it
        it.sock.close()
    it = _Connection(address, max(0.001, end - time.monotonic()))
    it.address = address
    return it


def _request(what, kind, name, value, timeout, contexts, request_id, traceparent, typed):
    if not isinstance(name, str) or not name:
        raise TypeError(f"{what}(): the first argument must be the name of "
                        + ("an event" if what == "emit" else "a task"))
    if timeout is not None and not timeout > 0:
        raise ValueError(f"{what}(): timeout: must be a number of seconds above 0")
    body = json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass")
    base, token = os.environ.get("HEDDLE_LANES_URL", ""), os.environ.get("HEDDLE_LANES_TOKEN", "")
    if not base:
        raise LaneError(f"{what}(): there are no lanes here: heddle.yml of the node has no lanes: "
                        "section", code="LANES_NOT_CONFIGURED")
    now = _current.get() or _alone
    given = now.lane_context() if now else {}
    traceparent = traceparent or (now and now.field("traceparent"))
    request_id = request_id or given.get("requestId") or (now and now.field("x-heddle-id"))
    contexts = {**(given.get("contexts") or {}), **(contexts or {})}
    host = base.removeprefix("http://").rstrip("/")
    lines = [f"POST /lanes/v1/{kind}/{quote(name, safe='')} HTTP/1.1", f"host: {host}",
             f"authorization: Bearer {token}", f"content-type: {_TYPES[bool(typed)]}",
             f"content-length: {len(body)}"]
    if traceparent:
        lines.append(f"traceparent: {traceparent}")
    if request_id:
        lines.append(f"x-runner-request-id: {request_id}")
    if contexts:
        lines.append(f"x-heddle-contexts: {json.dumps(contexts)}")
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError(f"{what}(): an option must not hold a line break")
    seconds = TIMEOUT_S if timeout is None else timeout
    if now and now.end is not None:
        seconds = min(seconds, max(0.001, now.end - time.monotonic()))
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    return host, head + body, seconds


def _failure(status, answer):
    error = answer.get("error") if isinstance(answer, dict) else None
    error = error if isinstance(error, dict) else {}
    retryable = isinstance(answer, dict) and answer.get("retryable") is True
    message = error.get("message") or f"the lanes answered {status}"
    told = {"code": error.get("code") or "UNKNOWN", "status": status, "retryable": retryable}
    if isinstance(error.get("id"), str):
        return LaneTypedError(message, error["id"], error.get("data"), error.get("httpCode"), **told)
    if told["code"] == "REQUEST_TIMEOUT":
        return LaneTimeout(message, **told)
    if retryable or status == 503:
        return LaneUnavailable(message, **{**told, "retryable": True})
    return LaneError(message, **told)


def _ask(what, kind, name, value, **options):
    host, data, seconds = _request(what, kind, name, value, **options)
    end = time.monotonic() + seconds
    connection = None
    try:
        connection = _connection((host.rpartition(":")[0], int(host.rpartition(":")[2])), end)
        status, body = connection.ask(data, end)
    except TimeoutError:
        _close(connection)
        raise LaneTimeout(f'{what}("{name}"): no answer within {seconds:g} s',
                          code="REQUEST_TIMEOUT") from None
    except OSError as error:
        _close(connection)
        raise LaneUnavailable(f'{what}("{name}"): the node\'s lanes cannot be reached: {error}',
                              code="UNREACHABLE", retryable=True) from error
    except (ValueError, KeyError, IndexError) as error:
        _close(connection)
        raise LaneError(f'{what}("{name}"): the answer is no HTTP: {error}',
                        code="INVALID_RESPONSE") from error
    _idle.append(connection)
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise LaneError(f'{what}("{name}"): the answer is no JSON', code="INVALID_RESPONSE",
                        status=status) from error
    if status >= 300 or not isinstance(answer, dict) or answer.get("ok") is not True:
        raise _failure(status, answer)
    return answer


def _close(connection):
    if connection is not None:
        connection.sock.close()


# What functions use ---------------------------------------------------------------------------------

def emit(event, data=None, *, timeout=None, contexts=None, request_id=None, traceparent=None,
         typed=False):
    """Emit an event; returns {"messageId", "lane", "mode"} when it is safe. Raises LaneError."""
    answer = _ask("emit", "events", event, data, timeout=timeout, contexts=contexts,
                  request_id=request_id, traceparent=traceparent, typed=typed)
    answer.pop("ok")
    return answer


def call(task, input=None, *, timeout=None, contexts=None, request_id=None, traceparent=None,
         typed=False):
    """Call a task; returns its result. Raises LaneError."""
    return _ask("call", "tasks", task, input, timeout=timeout, contexts=contexts,
                request_id=request_id, traceparent=traceparent, typed=typed).get("result")


async def _in_thread(function, *args, **options):
    inside = contextvars.copy_context()
    work = functools.partial(inside.run, function, *args, **options)
    return await asyncio.get_running_loop().run_in_executor(None, work)


async def emit_async(event, data=None, **options):
    """emit() for `async def` code: the event loop goes on meanwhile."""
    return await _in_thread(emit, event, data, **options)


async def call_async(task, input=None, **options):
    """call() for `async def` code: the event loop goes on meanwhile."""
    return await _in_thread(call, task, input, **options)


class _Finder:
    """Lets functions import heddle, unless they bring along a module of that name."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "heddle":
            return None
        place = os.path.join(os.path.dirname(os.path.abspath(__file__)), "heddle.py")
        return importlib.util.spec_from_file_location(name, place)


def offer():
    """Make `import heddle` work. Once."""
    sys.meta_path.append(_Finder)
