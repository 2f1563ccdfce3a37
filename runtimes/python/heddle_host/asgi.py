"""ASGI 3 callables: lifespan and http. Everything is on the event loop."""

import asyncio
from urllib.parse import unquote

from . import log
from .http1 import ClientGone

SPEC = {"version": "3.0", "spec_version": "2.4"}
STARTUP_S = 60


def make_scope(request, state):
    path, _, query = request.target.partition(b"?")
    scheme, host, peer = "http", b"localhost", ""
    for name, value in request.fields:
        if name == b"x-forwarded-proto" and value == b"https":
            scheme = "https"
        elif name == b"host":
            host = value
        elif name == b"x-forwarded-for":
            peer = value.decode("latin-1").rsplit(",", 1)[-1].strip()
    name, _, port = host.decode("latin-1").rpartition(":")
    if not name or not port.isdigit():
        name, port = host.decode("latin-1"), "443" if scheme == "https" else "80"
    return {
        "type": "http",
        "asgi": SPEC,
        "http_version": "1.1",
        "method": request.method,
        "scheme": scheme,
        "path": unquote(path.decode("latin-1")),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": request.fields,
        "client": (peer, 0) if peer else None,
        "server": (name, int(port)),
        "state": dict(state),
        "extensions": {},
    }


class Exchange:
    """receive() and send() of one request."""

    def __init__(self, request):
        self.request = request
        self.body_given = False
        self.over = asyncio.Event()
        self.head = None
        self.begun = False
        request.on_gone = self.over.set

    async def receive(self):
        if self.body_given:
            await self.over.wait()
            return {"type": "http.disconnect"}
        try:
            data = await self.request.read()
        except ClientGone:
            return {"type": "http.disconnect"}
        request = self.request
        self.body_given = request.at_end and not request.parts
        return {"type": "http.request", "body": data, "more_body": not self.body_given}

    async def send(self, message):
        kind = message["type"]
        if kind == "http.response.start":
            if self.head is not None:
                raise RuntimeError("http.response.start was sent before")
            fields = [(bytes(n).lower(), bytes(v)) for n, v in message.get("headers", ())]
            self.head = (message["status"], fields)
        elif kind == "http.response.body":
            if self.head is None:
                raise RuntimeError("http.response.body came before http.response.start")
            await self.body(bytes(message.get("body", b"")), message.get("more_body", False))
        else:
            raise RuntimeError(f"a message of type {kind!r} is not known here")

    async def body(self, data, more):
        request = self.request
        if request.ended:
            raise RuntimeError("the answer's body had ended before")
        if request.gone:
            return  # as the specification wants it: sending to nobody is no error
        wire = b""
        if not self.begun:
            status, fields = self.head
            length = next((int(v) for n, v in fields if n == b"content-length"), None)
            wire = request.begin(status, fields, len(data) if length is None and not more else length)
            self.begun = True
        wire += request.frame(data)
        if more:
            request.write(wire)
            try:
                await request.drained()
            except ClientGone:
                return
        else:
            request.end(wire)
            self.over.set()


async def answer(app, state, request):
    """Answer one request; returns when the callable has, which may be later than the answer."""
    exchange = Exchange(request)
    await app(make_scope(request, state), exchange.receive, exchange.send)
    if not request.ended and not request.gone:
        raise RuntimeError("the ASGI callable returned without a whole answer")


class Lifespan:
    """The lifespan of an application: startup before the first request, shutdown after the last."""

    def __init__(self, app):
        self.app = app
        self.state = {}
        self.events = asyncio.Queue(2)
        self.started = asyncio.get_running_loop().create_future()
        self.stopped = asyncio.get_running_loop().create_future()
        self.task = None

    async def _send(self, message):
        kind = message["type"]
        if kind == "lifespan.startup.complete":
            self._settle(self.started, None)
        elif kind == "lifespan.startup.failed":
            self._settle(self.started, RuntimeError(message.get("message") or "startup failed"))
        elif kind.startswith("lifespan.shutdown."):
            self._settle(self.stopped, None)

    @staticmethod
    def _settle(future, error):
        if not future.done():
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

    async def _run(self):
        try:
            await self.app({"type": "lifespan", "asgi": SPEC, "state": self.state},
                           self.events.get, self._send)
        except Exception as error:
            if self.started.done():
                log.thrown(error)
            # else: an application without lifespan raises here, and that is fine
        self._settle(self.started, None)
        self._settle(self.stopped, None)

    async def startup(self):
        """Raises RuntimeError when the application says that it cannot start."""
        self.task = asyncio.create_task(self._run())
        self.events.put_nowait({"type": "lifespan.startup"})
        await asyncio.wait_for(asyncio.shield(self.started), STARTUP_S)

    async def shutdown(self):
        self.events.put_nowait({"type": "lifespan.shutdown"})
        await self.stopped
