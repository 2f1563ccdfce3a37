"""A small HTTP server for test_fetch and test_jwks_source.

fetch_server.py DIR [SOCKET]: serves on a free loopback port, or on the Unix socket, prints the port
and ends when its standard input is closed. /jwks is answered as the files in DIR say.
"""

import hashlib
import http.server
import os
import socketserver
import sys
import threading
import urllib.parse


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder = "."

    def log_message(self, *_):
        pass

    def address_string(self):
        return "client"

    def answer(self, status, body=b"", **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status != 304:
            self.wfile.write(body)

    def read(self, name, fallback=""):
        try:
            with open(os.path.join(self.folder, name), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return fallback

    def jwks(self):
        body = self.read("jwks.json").encode()
        status = int(self.read("status", "200"))
        etag = '"' + hashlib.sha256(body).hexdigest()[:16] + '"'
        if status == 200 and self.headers.get("If-None-Match") == etag:
            status = 304
        with open(os.path.join(self.folder, "requests"), "a", encoding="utf-8") as file:
            file.write(f"{status}\n")
        self.answer(status, body, ETag=etag, Cache_Control=self.read("cache", "max-age=3600"))

    def do_any(self):
        url = urllib.parse.urlsplit(self.path)
        arg = urllib.parse.unquote(url.query)
        sent = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if url.path == "/jwks":
            self.jwks()
        elif url.path == "/echo":
            text = f"{self.command} {arg} {self.headers.get('X-Test')} {sent.decode()}"
            self.answer(200, text.encode(), X_Answer=" yes ")
        elif url.path == "/big":
            self.answer(200, b"x" * int(arg))
        elif url.path == "/chunks":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for part in arg.split(","):
                self.wfile.write(f"{len(part):x}\r\n{part}\r\n".encode())
            self.wfile.write(b"0\r\n\r\n")
        elif url.path == "/fields":
            self.answer(200, **{f"X_Long_{n}": "x" * 1000 for n in range(int(arg))})
        elif url.path == "/to":
            self.answer(302, b"moved", Location=arg)
        elif url.path == "/never":
            threading.Event().wait()
        elif url.path == "/broken":
            self.wfile.write(b"this is not HTTP\r\n\r\n")
            self.close_connection = True
        else:
            self.answer(404, b"nothing here")

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_any


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


Handler.folder = sys.argv[1]
server = UnixServer(sys.argv[2], Handler) if len(sys.argv) > 2 else Server(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1] if len(sys.argv) == 2 else 0, flush=True)
sys.stdin.read()
