"""The Lambda Runtime API for one function under test: hands out events, collects what comes back."""

import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DEADLINE_S = 20


class Post:
    """What a function sent."""

    def __init__(self, path, fields, body, trailers):
        self.path, self.fields, self.body, self.trailers = path, fields, body, trailers

    def json(self):
        return json.loads(self.body)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body, fields=()):
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        api = self.server.api
        assert self.path == "/2018-06-01/runtime/invocation/next"
        event = api.events.get()
        if event is None:
            self.close_connection = True
            return
        fields, body, close = event
        if close:
            fields = [*fields, ("Connection", "close")]
            self.close_connection = True
        self.answer(200, body, fields)

    def read_chunked(self):
        body, trailers = b"", {}
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
            self.server.api.chunks.put(body)
        while line := self.rfile.readline().strip().decode():
            name, value = line.split(":", 1)
            trailers[name.lower()] = value.strip()
        return body, trailers

    def do_POST(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            body, trailers = self.read_chunked()
        else:
            body, trailers = self.rfile.read(int(self.headers["Content-Length"])), {}
        fields = {name.lower(): value for name, value in self.headers.items()}
        if self.server.api.drop_posts > 0: # as if it had closed the connection before
            self.server.api.drop_posts -= 1
            self.close_connection = True
            return
        self.server.api.posts.put(Post(self.path, fields, body, trailers))
        self.answer(202, b'{"status":"OK"}\n')


class RuntimeApi:
    """Serves on a free loopback port until stop()."""

    def __init__(self):
        self.events, self.posts, self.chunks = queue.Queue(), queue.Queue(), queue.Queue()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.drop_posts = 0
        self.server.api = self
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def give(self, body, id="r-1", close=False, **fields):
        """Hand out an event; fields: Lambda-Runtime-<name>, with _ for -."""
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.events.put(([("Lambda-Runtime-Aws-Request-Id", id),
                          *(("Lambda-Runtime-" + k.replace("_", "-"), v) for k, v in fields.items())],
                         body, close))

    def post(self):
        """The next thing the function sent."""
        return self.posts.get(timeout=DEADLINE_S)

    def call(self, body, id="r-1", **more):
        self.give(body, id, **more)
        return self.post()

    def stop(self):
        """End it; a function that waits for an event sees the connection close."""
        self.events.put(None)
        self.server.shutdown()
        self.server.server_close()
