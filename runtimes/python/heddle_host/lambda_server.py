"""The host protocol for a Lambda function: one request at a time, in the main thread, without an event
loop, so that a handler may do whatever it does at Lambda: asyncio.run(), signals, threads.

    wait ──load──► serving ──SIGTERM, between two requests──► exit 0
      │        └─ init failed ──first event──► exit 1
      └──load of something else──► given to the event loop of host.py
"""

import gc
import hmac
import json
import os
import select
import signal
import socket
import sys
import time

from . import lambda_events, lambda_find, lambda_log, lanes, log, rehearse

READ = 64 * 1024
HEAD_MAX = 128 * 1024
EVENT_MAX = 64 * 1024 * 1024  # the node's limits are lower
LOAD_MAX = 4 * 1024 * 1024
EX_INIT = 1

# What the host was started with and a Lambda function's environment does not have by itself.
NOT_LAMBDAS = ("HEDDLE_RUN_DIR", "HOME", "LANG", "TMPDIR", "TZ")

_OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
_FAULT = (b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
          b"x-heddle-function-error: Unhandled\r\n%bcontent-length: %d\r\n\r\n")
_PLAIN = b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n"
_REASONS = {200: b"OK", 400: b"Bad Request", 403: b"Forbidden", 404: b"Not Found", 409: b"Conflict",
            413: b"Content Too Large", 503: b"Service Unavailable"}


class Refused(Exception):
    """The peer does not speak as it should; the connection ends."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


class Gone(Exception):
    """The peer closed the connection."""


class NotLambda(Exception):
    """What is to be loaded is no Lambda function."""


class Connection:
    def __init__(self, sock, pending=b""):
        sock.setblocking(True)
        self.sock = sock
        self.pending = pending

    def more(self):
        try:
            data = self.sock.recv(READ)
        except ConnectionError:
            data = b""
        if not data:
            raise Gone
        return data

    def exactly(self, data, n):
        """The first n bytes of data and what follows it, and the rest."""
        if len(data) < n:
            parts, size = [data], len(data)
            while size < n:
                part = self.more()
                parts.append(part)
                size += len(part)
            data = b"".join(parts)
        return data[:n], data[n:]

    def line(self, data):
        while (end := data.find(b"\r\n")) < 0:
            if len(data) > HEAD_MAX:
                raise Refused(400, "a line of a chunked body is too long")
            data += self.more()
        return data[:end], data[end + 2:]

    def chunked(self, data):
        parts, size = [], 0
        while True:
            line, data = self.line(data)
            try:
                n = int(line.partition(b";")[0], 16)
            except ValueError:
                raise Refused(400, "a chunk's size is not a hexadecimal number") from None
            if n == 0:
                break
            size += n
            if not 0 < n <= EVENT_MAX or size > EVENT_MAX:
                raise Refused(413, f"the event is longer than {EVENT_MAX} bytes")
            part, data = self.exactly(data, n + 2)
            parts.append(part[:-2])
        while line:
            line, data = self.line(data)
        return b"".join(parts), data

    def request(self, data):
        """(method, target, fields, body, what follows), or None: its head is not whole yet."""
        end = data.find(b"\r\n\r\n")
        if end < 0:
            if len(data) > HEAD_MAX:
                raise Refused(400, "the request's head is too long")
            return None
        start, *lines = data[:end].decode("latin-1").split("\r\n")
        try:
            method, target, version = start.split(" ")
            fields = {}
            for line in lines:
                name, value = line.split(":", 1)
                fields[name.lower()] = value.strip()
            length = int(fields.get("content-length", 0))
        except ValueError:
            raise Refused(400, "this is no HTTP request") from None
        if version != "HTTP/1.1" or length < 0:
            raise Refused(400, "this is no HTTP/1.1 request")
        if length > EVENT_MAX:
            raise Refused(413, f"the event is longer than {EVENT_MAX} bytes")
        if "transfer-encoding" in fields:
            if fields["transfer-encoding"].lower() != "chunked" or "content-length" in fields:
                raise Refused(400, "transfer-encoding is not chunked, or not alone")
            body, rest = self.chunked(data[end + 4:])
        else:
            if "expect" in fields and len(data) < end + 4 + length:
                self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            body, rest = self.exactly(data[end + 4:], length)
        return method, target, fields, body, rest

    def send(self, data):
        try:
            self.sock.sendall(data)
        except ConnectionError:
            raise Gone from None

    def send_json(self, status, body, *fields):
        text = json.dumps(body).encode()
        more = b"".join(field + b"\r\n" for field in fields)
        self.send(_PLAIN % (status, _REASONS[status], more, len(text)) + text)


class Server:
    def __init__(self, token, listeners, connections):
        self.token = token.encode()
        self.listeners = {sock.fileno(): sock for sock in listeners}
        self.connections = {c.sock.fileno(): c for c in connections}
        self.function = None
        self.rehearsed = False
        self.in_hand = False  # a function is being loaded, or is there: it is not broken off
        self.stopping = False
        self.wake, self.wakes = os.pipe()

    # Serving --------------------------------------------------------------------------------------

    def run(self):
        poll = select.epoll()
        for listener in self.listeners.values():
            listener.setblocking(False)
        for fd in (self.wake, *self.listeners, *self.connections):
            poll.register(fd, select.EPOLLIN)
        while not self.stopping:
            for fd, _ in poll.poll():
                connection = self.connections.get(fd)
                if connection is not None:
                    self.readable(connection, fd)
                elif fd != self.wake:
                    self.accept(self.listeners[fd], poll)

    def accept(self, listener, poll):
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connections[sock.fileno()] = Connection(sock)
        poll.register(sock.fileno(), select.EPOLLIN)

    def readable(self, connection, fd):
        try:
            data = connection.pending + connection.more()
            while data and (request := connection.request(data)) is not None:
                data = connection.pending = request[4]
                self.answer(connection, *request[:4])
            connection.pending = data
        except Refused as error:
            try:
                connection.send_json(error.status, {"error": str(error)}, b"connection: close")
            except Gone:
                pass
            self.drop(connection, fd)
        except Gone:
            self.drop(connection, fd)

    def drop(self, connection, fd):
        del self.connections[fd]
        connection.sock.close()  # takes it out of epoll

    def answer(self, connection, method, target, fields, body):
        if target.startswith("/.heddle/") and "x-heddle-event" not in fields:
            self.control(connection, f"{method} {target}", fields, body)
        elif self.function is None:
            connection.send_json(503, {"error": "Nothing is loaded yet"})
        elif "x-heddle-event" in fields:
            self.answer_event(connection, fields, body)
        else:
            connection.send_json(400, {"error": "A Lambda function takes events only: "
                                                "POST / with x-heddle-event"})

    def answer_event(self, connection, fields, body):
        ours = {name[9:]: value for name, value in fields.items() if name.startswith("x-heddle-")}
        lanes.enter(fields.get, alone=True)
        data, failed = self.function.call(ours, body)
        if not failed:
            connection.send(_OK % len(data) + data)
        elif self.function.failure is None:
            connection.send(_FAULT % (b"", len(data)) + data)
        else:
            connection.send(_FAULT % (b"x-heddle-exit: 1\r\n", len(data)) + data)
            finish(EX_INIT)

    def control(self, connection, what, fields, body):
        if not hmac.compare_digest(fields.get("x-heddle-token", "").encode("latin-1"), self.token):
            connection.send_json(403, {"error": "Wrong or missing x-heddle-token"})
        elif what == "GET /.heddle/ping":
            connection.send_json(200, {"background": 0})
        elif what == "POST /.heddle/drain":
            connection.send_json(200, {})
        elif what == "POST /.heddle/rehearsal":
            self.rehearse(connection)
            connection.send_json(200, {})
        elif what == "POST /.heddle/load" and self.function is None:
            self.load_first(connection, fields, body)
        elif what == "POST /.heddle/load":
            connection.send_json(409, {"ok": False,
                                       "message": "load: came before; a host loads one function"})
        else:
            connection.send_json(404, {"error": f"No control request {what}"})

    # Loading --------------------------------------------------------------------------------------

    def rehearse(self, connection):
        if self.function is None and not self.rehearsed:
            self.rehearsed = True
            rehearse.rehearse(connection, set_environment)

    def load_first(self, connection, fields, body):
        try:
            what = json.loads(body) if len(body) <= LOAD_MAX else None
        except ValueError:
            what = None
        if is_lambda(what):
            connection.send_json(200, self.load(what))
            return
        head = b"POST /.heddle/load HTTP/1.1\r\nx-heddle-token: %b\r\ncontent-length: %d\r\n\r\n"
        connection.pending = head % (self.token, len(body)) + body + connection.pending
        raise NotLambda

    def load(self, what):
        """Returns the answer to the load request."""
        self.in_hand = True
        set_environment(what.get("env") or {})
        sys.argv = [sys.argv[0]]
        os.chdir(what["root"])
        lambda_log.capture()
        kind, handler, failure = "lambda", None, None
        try:
            handler = lambda_find.locate(what.get("handler", os.environ.get("_HANDLER")), what["root"],
                                         what["lambda"].get("opt") or "/opt")
        except SystemExit as error:
            lambda_log.fault(lambda_events.fault_body(error, ""))
            raise
        except BaseException as error:
            kind, failure = "init-failed", lambda_events.fault_body(error, "")
            lambda_log.fault(failure)
        log.leave()
        self.function = lambda_events.Function(what, handler, failure)
        gc.collect()
        gc.freeze()  # what was loaded stays; collections need not look at it
        return {"ok": True, "kind": kind, "concurrency": 1}

    def on_sigterm(self, *_):
        if not self.in_hand:
            finish(0)
        self.stopping = True
        os.write(self.wakes, b"x")


def is_lambda(what):
    """Whether that is a good load request for a Lambda function."""
    return (isinstance(what, dict) and bool(what.get("lambda"))
            and all(isinstance(what.get(key), str) and what[key] for key in ("name", "root")))


def set_environment(env):
    zone = os.environ.get("TZ")
    for name in NOT_LAMBDAS:
        if name not in env:
            os.environ.pop(name, None)
    os.environ.update(env)
    if os.environ.get("TZ") != zone:
        time.tzset()


def finish(code):
    """End the process as the service does: without waiting for what a function left behind."""
    log.leave()
    sys.__stdout__.flush()
    sys.__stderr__.flush()
    os._exit(code)


def exit_code(error):
    """What sys.exit() with this argument means."""
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xff
    print(error.code, file=sys.stderr)
    return 1


def wait(token, listener):
    """
    Serve until something is to be loaded that is no Lambda function. Returns [(socket, bytes that
    came)] of the connections for whoever loads it; does not return from a Lambda function.
    """
    server = Server(token, [listener], [])
    signal.signal(signal.SIGTERM, server.on_sigterm)
    try:
        serve_on(server)
    except NotLambda:
        os.close(server.wake)
        os.close(server.wakes)
        return [(c.sock, c.pending) for c in server.connections.values()]


def serve_on(server, begin=lambda: None):
    """Serve to the end of this process. begin() comes first."""
    try:
        begin()
        server.run()
    except SystemExit as error:
        code = exit_code(error)
        log.record("warn", f"the function ended its process, exit code {code}: this instance is gone, "
                           "and an invocation under way fails with Runtime.ExitError")
        finish(code)
    finish(0)


def serve(token, listeners, connections, loader, what, loaded):
    """
    Load the function and serve it; does not return.
    connections: (socket, bytes that came) of those that are open; loader: the one among the sockets
    on which the load request came; loaded: what is to be called when that is answered.
    """
    server = Server(token, listeners, [Connection(*c) for c in connections])
    signal.signal(signal.SIGTERM, server.on_sigterm)

    def begin():
        answer = server.load(what)
        try:
            server.connections[loader.fileno()].send_json(200, answer)
        except Gone:
            server.drop(server.connections[loader.fileno()], loader.fileno())
        loaded()
    serve_on(server, begin)
