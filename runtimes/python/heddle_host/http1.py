"""HTTP/1.1 on an asyncio transport, for one trusted peer: the node. Requests come one after the other
on a connection, their bodies are streamed with back-pressure in both directions, and an answer may
begin before the request has ended.

    HEAD ──head complete──► BODY ──end of body──► DONE ──answer ended──► HEAD
                              └────answer ended────► DROP ──end of body──► HEAD, or a second──► closed
"""

import asyncio
import re
import sys
from http import HTTPStatus

HEAD_MAX = 128 * 1024  # more than the node lets through
BODY_HIGH = 256 * 1024  # bytes of a request's body that wait for the function
CHUNK_LINE_MAX = 256
DROP_S = 1.0  # for the rest of a request that was answered already
NO_BODY = (204, 304)

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BAD_VALUE = re.compile(rb"[\x00\r\n]")
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class BadRequest(Exception):
    pass


class ClientGone(Exception):
    """The node closed the connection: the client went away, or the time is over."""


class Request:
    """One request and its answer. Belongs to the event loop's thread."""

    __slots__ = ("connection", "method", "target", "fields", "control", "length", "chunked",
                 "parts", "waiting", "at_end", "waiter", "started", "ended", "answer_chunked",
                 "answer_left", "bare", "gone", "on_gone", "expects")

    def __init__(self, connection):
        self.connection = connection
        self.control = {}  # x-heddle-*: name after the prefix -> value
        self.parts, self.waiting = [], 0
        self.at_end = False
        self.waiter = None
        self.started = self.ended = self.gone = False
        self.on_gone = None

    async def read(self):
        """The next part of the body; b"" at its end. Raises ClientGone."""
        connection = self.connection
        if self.expects and not self.started and not self.at_end:
            connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.expects = False
        while not self.parts:
            if self.at_end:
                return b""
            if self.gone:
                raise ClientGone
            self.waiter = connection.loop.create_future()
            await self.waiter
        data = b"".join(self.parts)
        self.parts.clear()
        self.waiting = 0
        connection.resume_reading()
        return data

    async def read_all(self, limit):
        """The whole body, or None: it is longer than the limit."""
        parts, size = [], 0
        while part := await self.read():
            size += len(part)
            if size > limit:
                return None
            parts.append(part)
        return b"".join(parts)

    def begin(self, status, fields, length=None):
        """
        Write the head. fields: pairs of bytes; framing fields are ours and left out of them.
        length: of the body, or None: chunked.
        """
        lines = [b"HTTP/1.1 %d %s" % (status, _REASONS.get(status, "").encode())]
        for name, value in fields:
            if not _TOKEN.fullmatch(name) or _BAD_VALUE.search(value):
                raise ValueError(f"the answer's field {name!r} has a name or value that HTTP forbids")
            if name.lower() in (b"transfer-encoding", b"connection", b"content-length"):
                continue
            lines.append(name + b": " + value)
        no_body = status in NO_BODY or status < 200
        self.bare = no_body or self.method == "HEAD"
        self.answer_chunked = length is None and not no_body
        self.answer_left = length
        if self.answer_chunked:
            lines.append(b"transfer-encoding: chunked")
        elif not no_body:
            lines.append(b"content-length: %d" % length)
        self.started = True
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def frame(self, data):
        """Bytes of the body as they go on the wire."""
        if self.bare or not data:
            return b""
        if self.answer_chunked:
            return b"%x\r\n%b\r\n" % (len(data), data)
        self.answer_left -= len(data)
        if self.answer_left < 0:
            raise ValueError("the answer's body is longer than its content-length")
        return data

    def write(self, data):
        """Write bytes on the wire. Raises ClientGone."""
        if self.gone:
            raise ClientGone
        if data:
            self.connection.transport.write(data)

    async def drained(self):
        """Wait until the peer has taken enough. Raises ClientGone."""
        await self.connection.drained()
        if self.gone:
            raise ClientGone

    def end(self, before=b""):
        """Write what is before the end, and the end."""
        if self.ended or self.gone:
            return
        self.ended = True
        if not self.bare and self.answer_chunked:
            before += b"0\r\n\r\n"
        elif not self.bare and self.answer_left:
            self.connection.transport.write(before)
            self.connection.transport.abort()  # shorter than promised: a whole answer it is not
            return
        self.connection.transport.write(before)
        self.connection.request_done(self)

    def answer(self, status, fields, body):
        """The whole answer in one write."""
        self.end(self.begin(status, fields, len(body)) + self.frame(body))

    def abort(self):
        """Break off: the answer cannot be finished."""
        self.ended = True
        self.connection.transport.abort()


class Connection(asyncio.Protocol):
    """One connection from the node."""

    def __init__(self, server, loop):
        self.server = server
        self.loop = loop
        self.transport = None
        self.pending = b""
        self.request = None
        self.chunk_left = 0
        self.chunk_state = 0  # 0: size line, 1: data, 2: line end after data, 3: trailers
        self.paused = False
        self.writable = None

    # What asyncio calls ---------------------------------------------------------------------------

    def connection_made(self, transport):
        self.transport = transport
        self.server.connections.add(self)

    def data_received(self, data):
        self.pending = self.pending + data if self.pending else data
        try:
            self.advance()
        except BadRequest as error:
            if self.request is not None and self.request.started:
                self.transport.abort()
                return
            text = str(error).encode()
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n"
                                 b"content-length: %d\r\n\r\n%b" % (len(text), text))
            self.transport.close()

    def eof_received(self):
        return False  # the node never half-closes

    def connection_lost(self, _):
        self.server.connections.discard(self)
        request = self.request
        if self.writable is not None and not self.writable.done():
            self.writable.set_result(None)
        if request is not None:
            request.gone = True
            wake(request)
            if request.on_gone is not None:
                request.on_gone()
        self.server.check_stopped()

    def pause_writing(self):
        self.writable = self.loop.create_future()

    def resume_writing(self):
        if self.writable is not None and not self.writable.done():
            self.writable.set_result(None)
        self.writable = None

    # What requests call ---------------------------------------------------------------------------

    async def drained(self):
        if self.writable is not None:
            await asyncio.shield(self.writable)

    def resume_reading(self):
        if self.paused:
            self.paused = False
            self.transport.resume_reading()

    def request_done(self, request):
        """The answer has ended, and the request with it or some time later."""
        self.resume_reading()
        if not request.at_end:
            request.parts.clear()
            self.loop.call_later(DROP_S, self.drop_until_now, request)
            return
        self.request = None
        if self.server.stopping:
            self.transport.close()
        elif self.pending:
            self.loop.call_soon(self.data_received, b"")

    def drop_until_now(self, request):
        if self.request is request:
            self.transport.close()

    # Reading --------------------------------------------------------------------------------------

    def advance(self):
        if self.request is None:
            end = self.pending.find(b"\r\n\r\n")
            if end < 0:
                if len(self.pending) > HEAD_MAX:
                    raise BadRequest("the request's head is too long")
                return
            head, self.pending = self.pending[:end], self.pending[end + 4:]
            self.request = self.parse(head)
            if self.pending and not self.request.at_end:
                self.body()
            self.server.handle(self.request)
        elif not self.request.at_end:
            self.body()
            if self.request.ended and self.request.at_end:
                self.request_done(self.request)
        elif len(self.pending) > HEAD_MAX:
            raise BadRequest("more requests at once than a connection takes")

    def parse(self, head):
        lines = head.split(b"\r\n")
        start = lines[0].split(b" ")
        if len(start) != 3 or start[2] != b"HTTP/1.1" or start[1][:1] not in (b"/", b"*") \
                or not _TOKEN.fullmatch(start[0]):
            raise BadRequest("the request line is not METHOD /path HTTP/1.1")
        request = Request(self)
        request.method = start[0].decode("ascii")
        request.target = start[1]
        request.length, request.chunked, request.expects = 0, False, False
        request.fields = fields = []
        length = None
        for line in lines[1:]:
            name, colon, value = line.partition(b":")
            if not colon or not _TOKEN.fullmatch(name):
                raise BadRequest("a field's line is not name: value")
            name, value = name.lower(), value.strip(b" \t")
            if _BAD_VALUE.search(value):
                raise BadRequest("a field's value holds a control character")
            if name.startswith(b"x-heddle-"):
                request.control[name[9:].decode("ascii")] = value.decode("latin-1")
                continue
            fields.append((name, value))
            if name == b"content-length":
                if not value.isdigit() or (length is not None and length != int(value)):
                    raise BadRequest("content-length is not one number")
                length = int(value)
            elif name == b"transfer-encoding":
                if value.lower() != b"chunked" or request.chunked:
                    raise BadRequest("transfer-encoding is not chunked")
                request.chunked = True
            elif name == b"expect":
                request.expects = value.lower() == b"100-continue"
        if request.chunked and length is not None:
            raise BadRequest("both content-length and transfer-encoding")
        request.length = length or 0
        request.at_end = not request.chunked and request.length == 0
        self.chunk_state = self.chunk_left = 0
        return request

    def body(self):
        request = self.request
        if not request.chunked:
            data, self.pending = self.pending[:request.length], self.pending[request.length:]
            request.length -= len(data)
            request.at_end = request.length == 0
            self.deliver(data)
            return
        while self.pending and not request.at_end:
            if self.chunk_state == 1:
                data, self.pending = self.pending[:self.chunk_left], self.pending[self.chunk_left:]
                self.chunk_left -= len(data)
                if self.chunk_left == 0:
                    self.chunk_state = 2
                self.deliver(data)
                continue
            line, end, rest = self.pending.partition(b"\r\n")
            if not end:
                if len(line) > CHUNK_LINE_MAX:
                    raise BadRequest("a chunk's line is too long")
                break
            self.pending = rest
            if self.chunk_state == 0:
                size = line.partition(b";")[0].strip()
                if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", size):
                    raise BadRequest("a chunk's size is not a hexadecimal number")
                self.chunk_left = int(size, 16)
                self.chunk_state = 1 if self.chunk_left else 3
            elif self.chunk_state == 2:
                if line:
                    raise BadRequest("a chunk is longer than its size")
                self.chunk_state = 0
            elif not line:  # the end of the trailers
                request.at_end = True
        if request.at_end:
            self.deliver(b"")

    def deliver(self, data):
        request = self.request
        if data and not request.ended:
            request.parts.append(data)
            request.waiting += len(data)
            if request.waiting > BODY_HIGH and not self.paused:
                self.paused = True
                self.transport.pause_reading()
        wake(request)


def wake(request):
    if request.waiter is not None and not request.waiter.done():
        request.waiter.set_result(None)
    request.waiter = None


class Server:
    """Listens, counts, and stops when what is in flight has ended."""

    def __init__(self, handle):
        self.handle = handle
        self.connections = set()
        self.stopping = False
        self.stopped = None
        self.listener = None

    async def listen(self, listener, port):
        """On a Unix socket that listens already, or else on a TCP port."""
        loop = asyncio.get_running_loop()
        self.stopped = loop.create_future()
        make = lambda: Connection(self, loop)
        if listener is not None:
            # A socket that somebody else goes on with must stay where it is.
            keep = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
            self.listener = await loop.create_unix_server(make, sock=listener, backlog=1024,
                                                           **keep)
        else:
            self.listener = await loop.create_server(make, None, port, backlog=1024)

    async def go_on(self, sock, data):
        """Take over a connection, and what came on it."""
        loop = asyncio.get_running_loop()
        _, connection = await loop.connect_accepted_socket(lambda: Connection(self, loop), sock)
        if data:
            connection.data_received(data)

    def stop(self):
        """Take no more; `stopped` resolves when the last request has ended."""
        self.stopping = True
        self.listener.close()
        for connection in list(self.connections):
            if connection.request is None:
                connection.transport.close()
        self.check_stopped()

    def hand_over(self, request):
        """
        Give everything up for somebody else to go on with.
        Returns (listening sockets, [(socket, bytes that came), ...], the socket of the request).
        """
        listeners = [sock.dup() for sock in self.listener.sockets]
        self.listener.close()
        taken, of_request = [], None
        for connection in list(self.connections):
            sock = connection.transport.get_extra_info("socket").dup()
            if connection is request.connection:
                of_request = sock
            taken.append((sock, connection.pending))
            connection.request = None
            connection.transport.abort()
        return listeners, taken, of_request

    def check_stopped(self):
        if self.stopping and not self.connections and not self.stopped.done():
            self.stopped.set_result(None)
