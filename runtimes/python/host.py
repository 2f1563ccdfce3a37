"""Runs one function in Python and speaks doc/host-protocol.md.

    start ──► listen, nothing loaded ──POST /.heddle/load──► serving ──SIGTERM──► drained, exit 0
                                                └── failed: answers why; the node ends us
"""

import asyncio
import gc
import hmac
import json
import os
import re
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor

_HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, _HERE)
sys.dont_write_bytecode = True  # nothing of ours between the user's files

from heddle_host import (asgi, find, forward, http1, lambda_app, lambda_server, lanes,  # noqa: E402
                         log, wsgi)

sys.path.remove(_HERE)

EX_USAGE = 64
LOAD_MAX = 4 * 1024 * 1024
WSGI_THREADS = 16
BACKLOG = 1024
JSON = [(b"content-type", b"application/json")]
HOST_VARIABLES = ("HEDDLE_HOST_TOKEN", "HEDDLE_SOCKET", "PORT")


def send_json(request, status, body, fields=()):
    request.answer(status, [*JSON, *fields], json.dumps(body).encode())


class Host:
    def __init__(self, token):
        self.token = token
        self.server = http1.Server(self.handle)
        self.loading = False
        self.what = {}  # the load request
        self.kind = None
        self.handler = None
        self.pool = None
        self.lifespan = None
        self.controls = set()
        self.running = {}  # task -> request
        self.idle_waiters = []
        self.taken = None  # what a Lambda function's server goes on with

    # Answering ------------------------------------------------------------------------------------

    def handle(self, request):
        if request.target.startswith(b"/."):
            task = asyncio.create_task(self.control(request))
            self.controls.add(task)  # kept until it ends
            task.add_done_callback(self.controls.discard)
            return
        if self.kind is None:
            send_json(request, 503, {"error": "Nothing is loaded yet"})
            return
        log.invocation.set(request.control.get("id", ""))
        lanes.enter(lanes.field_of(request))
        if "event" in request.control:
            request = forward.EventRequest(request)
        task = asyncio.create_task(self.answer(request))
        self.running[task] = request
        task.add_done_callback(self.answered)

    def answered(self, task):
        del self.running[task]
        if self.background() == 0:
            waiters, self.idle_waiters = self.idle_waiters, []
            for waiter in waiters:
                waiter.set_result(None)

    def background(self):
        """Functions that work on after their answer has ended."""
        return sum(1 for request in self.running.values() if request.ended)

    async def idle(self):
        if self.background():
            waiter = asyncio.get_running_loop().create_future()
            self.idle_waiters.append(waiter)
            await waiter

    async def answer(self, request):
        try:
            if self.kind == "asgi":
                await asgi.answer(self.handler, self.lifespan.state, request)
            elif self.kind == "wsgi":
                await wsgi.answer(self.handler, self.pool, request)
            elif isinstance(request, forward.EventRequest):
                await forward.answer(self.handler, self.what, self.pool, request)
            else:
                await lambda_app.answer(self.handler, self.what, self.pool, request)
        except http1.ClientGone:
            pass
        except (Exception, SystemExit) as error:
            log.thrown(error)
            self.failed(request, error)
        finally:
            log.finish()

    def failed(self, request, error):
        if request.gone or request.ended:
            return
        if request.started:
            request.abort()
            return
        if isinstance(request, forward.EventRequest):
            request.fail(error)
            return
        body = {"error": "Internal server error"}
        if self.what.get("dev"):
            body["message"] = f"{type(error).__name__}: {error}"
        send_json(request, 500, body, [(b"x-heddle-error", b"unhandled")])

    # Control --------------------------------------------------------------------------------------

    async def control(self, request):
        try:
            if not hmac.compare_digest(request.control.get("token", "").encode(), self.token.encode()):
                send_json(request, 403, {"error": "Wrong or missing x-heddle-token"})
                return
            what = f"{request.method} {request.target.decode('latin-1')}"
            if what == "POST /.heddle/load":
                await self.load(request)
            elif what == "GET /.heddle/ping":
                send_json(request, 200, {"background": self.background()})
            elif what == "POST /.heddle/drain":
                await self.idle()
                send_json(request, 200, {})
            else:
                send_json(request, 404, {"error": f"No control request {what}"})
        except http1.ClientGone:
            pass

    async def load(self, request):
        if self.loading:
            send_json(request, 409, {"ok": False,
                                     "message": "load: came before; a host loads one function"})
            return
        self.loading = True
        try:
            body = await request.read_all(LOAD_MAX)
            if body is None:
                raise find.LoadError(f"load request: more than {LOAD_MAX} bytes")
            what = json.loads(body)
            for key in ("name", "root") if what.get("lambda") else ("name", "root", "entry"):
                if not isinstance(what.get(key), str) or not what[key]:
                    raise find.LoadError(f"load request: {key}: must be a string that is not empty")
            self.what = what
            if what.get("lambda"):
                self.taken.set_result(self.server.hand_over(request))
                return
            os.environ.update(what.get("env") or {})
            if what.get("env", {}).get("TZ"):
                time.tzset()
            sys.argv = [what["entry"], *(what.get("argv") or [])]
            module = find.import_entry(what["entry"], what["root"])
            kind, self.handler = find.find_handler(module, what.get("handler"))
            declared = await self.prepare(kind)
        except find.LoadError as error:
            send_json(request, 500, {"ok": False, "message": str(error), "stack": error.stack})
            return
        except Exception as error:
            send_json(request, 500, {"ok": False, "message": f"{type(error).__name__}: {error}"})
            return
        self.kind = kind
        gc.collect()
        gc.freeze()  # what was loaded stays; collections need not look at it
        if what.get("dev"):
            declared["imports"] = find.local_imports(what["entry"], what["root"])
        send_json(request, 200, {"ok": True, "kind": kind, **declared})

    async def prepare(self, kind):
        """What a kind needs before the first request. Returns what it declares."""
        if kind == "asgi":
            self.lifespan = asgi.Lifespan(self.handler)
            await self.lifespan.startup()
            return {}
        threads = WSGI_THREADS if kind == "wsgi" else 1
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="function")
        return {"concurrency": threads}

    # Starting and ending --------------------------------------------------------------------------

    async def run(self, listener, connections, port):
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self.on_loop_error)
        loop.add_signal_handler(signal.SIGTERM, self.server.stop)
        self.taken = loop.create_future()
        await self.server.listen(listener, port)
        gc.collect()  # now, while nobody waits: after the load there is little left to look at
        gc.freeze()
        for sock, data in connections:
            await self.server.go_on(sock, data)
        await asyncio.wait((self.server.stopped, self.taken), return_when=asyncio.FIRST_COMPLETED)
        if self.taken.done():
            loop.remove_signal_handler(signal.SIGTERM)
            return
        await self.idle()
        if self.lifespan is not None:
            await self.lifespan.shutdown()
        log.finish()
        os._exit(0)  # threads that a function left behind do not keep us

    @staticmethod
    def on_loop_error(loop, context):
        error = context.get("exception")
        if error is not None:
            log.thrown(error)
        else:
            log.record("error", context.get("message", "error in the event loop"))


def listen(path):
    """A Unix socket that is ours alone from birth."""
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(before)
    listener.listen(BACKLOG)
    return listener


def main():
    token = os.environ.get("HEDDLE_HOST_TOKEN", "")
    path = os.environ.get("HEDDLE_SOCKET")
    port = os.environ.get("PORT", "")
    for name in HOST_VARIABLES:
        os.environ.pop(name, None)
    log.begin(token)
    if not re.fullmatch("[0-9a-f]{32}", token) or (path is None and not port.isdigit()):
        log.record("error", "python host: HEDDLE_HOST_TOKEN (32 hex digits) and HEDDLE_SOCKET or PORT "
                            "must be set: heddle starts this program, it is not started by hand")
        sys.exit(EX_USAGE)
    log.capture()
    lanes.offer()
    listener, connections = None, ()
    if path is not None:
        listener = listen(path)
        gc.collect()
        gc.freeze()
        connections = lambda_server.wait(token, listener)
    host = Host(token)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(host.run(listener, connections, int(port) if path is None else None))
    lambda_server.serve(token, *host.taken.result(), host.what, loop.close)


if __name__ == "__main__":
    main()
