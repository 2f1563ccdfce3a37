"""WSGI callables (PEP 3333), each request in a thread of the pool."""

import asyncio
import contextvars
import io
import sys
from urllib.parse import unquote_to_bytes

from .http1 import ClientGone

READ_SIZE = 65536


class Input(io.RawIOBase):
    """wsgi.input: the body as it arrives; reads wait in the request's thread."""

    def __init__(self, request, loop):
        self.request = request
        self.loop = loop
        self.left = b""

    def readable(self):
        return True

    def readinto(self, into):
        if not self.left:
            self.left = asyncio.run_coroutine_threadsafe(self.request.read(), self.loop).result()
        data, self.left = self.left[:len(into)], self.left[len(into):]
        into[:len(data)] = data
        return len(data)


def make_environ(request, loop):
    path, _, query = request.target.partition(b"?")
    environ = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query.decode("latin-1"),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.input": io.BytesIO() if request.at_end and not request.parts else
                      io.BufferedReader(Input(request, loop), READ_SIZE),
    }
    for name, value in request.fields:
        key, text = name.decode("latin-1").upper().replace("-", "_"), value.decode("latin-1")
        if "_" in name.decode("latin-1"):
            continue  # it would be taken for the field with a hyphen
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = "HTTP_" + key
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    host, _, port = environ.get("HTTP_HOST", "localhost").rpartition(":")
    if not host or not port.isdigit():
        host, port = environ.get("HTTP_HOST", "localhost"), ""
    if environ.get("HTTP_X_FORWARDED_PROTO") == "https":
        environ["wsgi.url_scheme"] = "https"
    environ["SERVER_NAME"] = host
    environ["SERVER_PORT"] = port or ("443" if environ["wsgi.url_scheme"] == "https" else "80")
    peer = environ.get("HTTP_X_FORWARDED_FOR", "").rsplit(",", 1)[-1].strip()
    if peer:
        environ["REMOTE_ADDR"] = peer
    return environ


class Answer:
    """The answer of one request, given from its thread."""

    def __init__(self, request, loop):
        self.request = request
        self.loop = loop
        self.status = None
        self.fields = None
        self.begun = False

    def start_response(self, status, headers, exc_info=None):
        if exc_info:
            try:
                if self.begun:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self.status is not None:
            raise AssertionError("start_response() was called before")
        self.status = int(status.split(" ", 1)[0])
        self.fields = [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in headers]
        return self.write

    def length(self):
        for name, value in self.fields:
            if name == b"content-length":
                return int(value)
        return None

    def write(self, data):
        if not data:
            return
        if self.status is None:
            raise AssertionError("the body came before start_response()")
        request = self.request
        head = b"" if self.begun else request.begin(self.status, self.fields, self.length())
        self.begun = True
        wire = head + request.frame(data)

        async def put():
            request.write(wire)
            await request.drained()

        asyncio.run_coroutine_threadsafe(put(), self.loop).result()

    def finish(self, last=b""):
        if self.status is None:
            raise AssertionError("the WSGI callable did not call start_response()")
        request, wire = self.request, b""
        if not self.begun:
            length = self.length()
            wire = request.begin(self.status, self.fields, len(last) if length is None else length)
        self.begun = True
        self.loop.call_soon_threadsafe(request.end, wire + request.frame(last))


def _run(app, request, loop):
    answer = Answer(request, loop)
    result = app(make_environ(request, loop), answer.start_response)
    try:
        if isinstance(result, (list, tuple)) and len(result) == 1 and not answer.begun:
            answer.finish(result[0])
            return
        for data in result:
            answer.write(data)
        answer.finish()
    finally:
        close = getattr(result, "close", None)
        if close is not None:
            close()


async def answer(app, pool, request):
    """Answer one request. Raises what the callable raises; request.started tells how far it got."""
    loop = asyncio.get_running_loop()
    inside = contextvars.copy_context()
    try:
        await loop.run_in_executor(pool, inside.run, _run, app, request, loop)
    except ClientGone:
        pass
