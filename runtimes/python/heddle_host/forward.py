"""Events for functions of the functions folder: a Lambda handler gets the event as it is, a WSGI or ASGI
callable gets it as a POST, and what it answers becomes the result."""

import asyncio
import contextvars
import inspect
import json
import re

from . import lambda_app, lambda_events

EVENT_MAX = 64 * 1024 * 1024  # the node's limits are lower
_JSON = re.compile(r"application/([\w.-]+\+)?json\b", re.I)
_TYPE = (b"content-type", b"application/json")


class EventRequest:
    """A request that carries an event, as the callables' drivers see it; see http1.Request."""

    method = "POST"
    target = b"/"

    def __init__(self, request):
        self.request = request
        self.control = request.control
        self.fields = list(request.fields)
        if not any(name == b"content-type" for name, _ in self.fields):
            self.fields.append(_TYPE)
        self.status, self.type = 200, ""
        self.parts_out, self.size = [], 0
        self.streams = False

    def __getattr__(self, name):  # read, read_all, at_end, parts, gone, ended, started, abort
        return getattr(self.request, name)

    @property
    def on_gone(self):
        return self.request.on_gone

    @on_gone.setter
    def on_gone(self, function):
        self.request.on_gone = function

    # What is answered -----------------------------------------------------------------------------

    def begin(self, status, fields, length=None):
        self.status = status
        for name, value in fields:
            if name.lower() == b"content-type":
                self.type = value.decode("latin-1")
        if self.control["event"] != "stream" or status >= 400 or length is not None:
            return b""
        self.streams = True
        return self.request.begin(200, [
            (b"x-heddle-stream", b"1"),
            (b"content-type", (self.type or "application/octet-stream").encode("latin-1"))])

    def frame(self, data):
        return self.request.frame(data) if self.streams else data

    def write(self, data):
        if self.streams:
            self.request.write(data)
        else:
            self.keep(data)

    async def drained(self):
        if self.streams:
            await self.request.drained()

    def keep(self, data):
        self.size += len(data)
        if data and self.size <= lambda_events.ANSWER_MAX:
            self.parts_out.append(data)

    def end(self, before=b""):
        if self.streams:
            self.request.end(before)
            return
        self.keep(before)
        body = b"".join(self.parts_out)
        if self.status >= 400:
            self.send_fault({"errorType": "HttpError", "errorMessage": f"status {self.status}",
                             "status": self.status, "body": self.body_of(body)})
        elif self.size > lambda_events.ANSWER_MAX:
            self.send_fault(lambda_events.too_large(lambda_events.ANSWER_MAX))
        else:
            self.request.answer(200, [_TYPE], body)

    def body_of(self, data):
        text = data.decode("utf-8", "replace")
        if _JSON.match(self.type):
            try:
                return json.loads(text)
            except ValueError:
                pass  # it says that it is JSON, and is not
        return text

    def send_result(self, data):
        if len(data) > lambda_events.ANSWER_MAX:
            self.send_fault(lambda_events.too_large(lambda_events.ANSWER_MAX))
        else:
            self.request.answer(200, [_TYPE], data)

    def send_fault(self, body):
        self.request.answer(200, [_TYPE, (b"x-heddle-function-error", b"Unhandled")],
                            json.dumps(body).encode())

    def fail(self, error):
        """The callable raised."""
        self.send_fault(lambda_events.fault_body(error, self.control.get("id", "")))


async def answer(handler, what, pool, request):
    """Give the event to a handler(event, context). Raises what it raises, with nothing answered."""
    body = await request.read_all(EVENT_MAX)
    if body is None:
        raise ValueError(f"the event is longer than {EVENT_MAX} bytes")
    event = json.loads(body) if body else {}
    context = lambda_app.Context(what, request)
    if inspect.iscoroutinefunction(handler):
        result = await handler(event, context)
    else:
        inside = contextvars.copy_context()
        result = await asyncio.get_running_loop().run_in_executor(
            pool, inside.run, handler, event, context)
    request.send_result(lambda_events.to_json(result))
