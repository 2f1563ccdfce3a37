"""A host that does just what doc/host-protocol.md asks for, to test the node's side with.

The entry file is run as Python; `handle(path)` in it answers requests with a string.
"""
import json
import os
import signal
import socketserver
import sys
import traceback
from http.server import BaseHTTPRequestHandler

TOKEN = os.environ.pop("HEDDLE_HOST_TOKEN")
function = {}


def log(msg, invocation=None, level="info"):
    record = {"id": invocation, "level": level, "msg": msg, "ts": 0}
    sys.stderr.write("\x1e%s %s\n" % (TOKEN, json.dumps(record)))
    sys.stderr.flush()


def load(body):
    os.environ.update(body["env"])
    function.update(log=log, body=body)
    with open(body["entry"], encoding="utf-8") as f:
        exec(compile(f.read(), body["entry"], "exec"), function)
    answer = {"ok": True, "kind": "fetch"}
    answer.update(function.get("declared", {}))
    return answer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def address_string(self):
        return "node"

    def answer(self, status, text, kind="application/json"):
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self):
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.startswith("/.heddle/") and self.headers.get("x-heddle-token") != TOKEN:
            return self.answer(403, "{}")
        if self.path == "/.heddle/load":
            try:
                return self.answer(200, json.dumps(load(json.loads(data))))
            except Exception as e:
                return self.answer(500, json.dumps({"ok": False, "message": str(e),
                                                    "stack": traceback.format_exc()}))
        if self.path == "/.heddle/drain":
            function.get("on_drain", lambda: None)()
            return self.answer(200, "{}")
        if self.path.startswith("/.heddle/"):
            return self.answer(404, "{}")
        return self.do_GET()

    def do_GET(self):
        if self.path == "/.heddle/ping":
            return self.answer(200, '{"background": 0}')
        try:
            self.answer(200, function["handle"](self.path), "text/plain")
        except Exception:
            self.answer(500, traceback.format_exc(), "text/plain")


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def get_request(self):
        connection, _ = super().get_request()
        return connection, ("", 0)


signal.signal(signal.SIGTERM, lambda *_: function.get("on_term", lambda: os._exit(0))())
os.umask(0o177)
with Server(os.environ["HEDDLE_SOCKET"], Handler) as server:
    server.serve_forever()
