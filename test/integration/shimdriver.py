"""Drives heddle-shim over its socket, as a node would, with functions made of scripts. See
doc/host-protocol.md, "Events"."""

import json
import os
import threading
import time
import uuid
from pathlib import Path

import hostdriver
from hostdriver import DEADLINE_S, Connection

from heddle import SANITIZER, binary

# The smallest runtime there is: a shell and curl.
SHELL_BOOTSTRAP = """#!/bin/sh
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime
while :; do
    head=$(mktemp)
    event=$(curl -sS -D "$head" "$api/invocation/next") || exit 1
    id=$(grep -i '^lambda-runtime-aws-request-id:' "$head" | tr -d '\\r' | cut -d' ' -f2)
    echo "got $event"
    curl -sS -o /dev/null -d "{\\"echo\\": $event}" "$api/invocation/$id/response"
done
"""

# A runtime of a few lines that tests can bend: `handle(next, call)` answers one event.
PYTHON_BOOTSTRAP = """#!/usr/bin/python3
import http.client, json, os, signal, socket, sys, time
HOST = os.environ["AWS_LAMBDA_RUNTIME_API"]
BASE = "/2018-06-01/runtime"

class Api:
    def __init__(self):
        self.http = http.client.HTTPConnection(HOST, timeout=60)

    def call(self, method, path, body=None, headers={}):
        self.http.request(method, path, body, headers)
        answer = self.http.getresponse()
        answer.text = answer.read()
        return answer

    def next(self, patient=False):
        answer = self.call("GET", BASE + "/invocation/next")
        while patient and answer.status == 403:  # what was cut off is not noticed at once
            time.sleep(0.01)
            answer = self.call("GET", BASE + "/invocation/next")
        assert answer.status == 200, answer.text
        answer.id = answer.headers["Lambda-Runtime-Aws-Request-Id"]
        return answer

    def respond(self, id, body, headers={}, kind="response"):
        return self.call("POST", f"{BASE}/invocation/{id}/{kind}", body, headers)

api = Api()

def fresh(method, path, body=None, headers={}):
    return Api().call(method, path, body, headers)

def raw(text):
    host, port = HOST.split(":")
    s = socket.create_connection((host, int(port)))
    s.sendall(text)
    return s

def loop(handle, patient=False):
    while True:
        event = api.next(patient)
        handle(event)

"""

# Put after the above: a streamed answer, part by part.
STREAM = """
MODE = {"Lambda-Runtime-Function-Response-Mode": "streaming", "Transfer-Encoding": "chunked"}
def stream(event, parts, headers={}, trailers=None):
    fields = "".join(f"{k}: {v}\\r\\n" for k, v in {**MODE, **headers}.items())
    s = raw(f"POST {BASE}/invocation/{event.id}/response HTTP/1.1\\r\\nHost: x\\r\\n{fields}\\r\\n".encode())
    for part in parts:
        s.sendall(b"%x\\r\\n%b\\r\\n" % (len(part), part))
    s.sendall(b"0\\r\\n" + "".join(f"{k}: {v}\\r\\n" for k, v in (trailers or {}).items()).encode() + b"\\r\\n")
    return s.recv(4096).decode()
"""


class Shim(hostdriver.Host):
    """A running shim with a function folder. Use as a context manager."""

    def __init__(self, folder, args=(), env=None, kind="asan", tcp=False, collect=True, wrap=()):
        self.task, self.opt = folder / "task", folder / "opt"
        for path in (self.task, self.opt, folder / "run"):
            path.mkdir(parents=True, exist_ok=True)
        self.args = [*wrap, str(binary(kind).parent / "heddle-shim"), *args]
        sanitizer = {k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}
        self.collects = collect
        super().__init__("shim", self.task, folder / "run", env={**sanitizer, **(env or {})},
                         tcp=tcp)

    def command(self, *_):
        return self.args

    def load(self, **more):
        lambda_ = {"name": "fn", "version": "$LATEST", "initTimeoutMs": 10000, "memoryMB": 128,
                   "arn": "arn:aws:lambda:us-east-1:000000000000:function:fn",
                   "optDir": str(self.opt), "runtimeDir": str(self.opt / "runtime"),
                   **more.pop("lambda_", {})}
        env = {"PATH": os.environ["PATH"], **more.pop("env", {})}
        what = {"name": "fn", "root": str(self.task), "handler": "app.handler", "env": env,
                "dev": False, "timeoutMs": 3000, "memoryMB": 128, "version": "0" * 32,
                "lambda": lambda_, **more}
        return self.control("POST", "/.heddle/load", json.dumps(what).encode())

    def loaded(self, **more):
        answer = self.load(**more)
        assert (answer.status, answer.json()["kind"]) == (200, "provided"), answer.body
        return self

    def invoke(self, event, mode="buffered", deadline_ms=20000, id=None, fields=()):
        connection = self.connect()
        try:
            return self.invoke_on(connection, event, mode, deadline_ms, id, fields)
        finally:
            connection.close()

    @staticmethod
    def event_fields(mode="buffered", deadline_ms=20000, id=None, fields=()):
        wanted = [("x-heddle-event", mode), ("x-heddle-id", id or str(uuid.uuid4()))]
        if deadline_ms is not None:
            wanted.append(("x-heddle-deadline", str(deadline_ms)))
        return [*wanted, *fields]

    def invoke_on(self, connection, event, mode="buffered", deadline_ms=20000, id=None, fields=()):
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        return connection.request("POST", "/", self.event_fields(mode, deadline_ms, id, fields), body)

    def _collect(self, stream):
        if self.collects or stream is self.process.stdout:
            super()._collect(stream)

    def collect_now(self):
        """From now on collect what nobody did."""
        self.collects = True
        threading.Thread(target=self._collect, args=(self.process.stderr,), daemon=True).start()

    def read_records(self):
        """What is in the pipe now, where nobody collects it."""
        start = b"\x1e" + self.token.encode() + b" "
        os.set_blocking(self.process.stderr.fileno(), False)
        lines = (self.process.stderr.raw.read(1 << 20) or b"").splitlines()
        return [json.loads(line[len(start):]) for line in lines]

    def __exit__(self, *_):
        super().__exit__()
        problems = [line for line in self.raw if SANITIZER.search(line)]
        assert not problems, "\n".join(self.raw)

    def stop(self):
        """End it as a node does; returns its exit code."""
        self.terminate()
        return self.ended()

    def lines(self, id=None):
        with self.changed:
            return [r["msg"] for r in self.records if id is None or r["id"] == id]

    def wait_line(self, text, id=None):
        return self.wait_record(lambda r: text in r["msg"] and (id is None or r["id"] == id))


class Shims:
    """Starts shims in a temporary folder, and ends them all."""

    def __init__(self, folder):
        self.folder, self.shims = folder, []

    def script(self, path, text):
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)

    def __call__(self, bootstrap=None, extensions=None, **options):
        """A shim with nothing loaded; bootstrap and extensions are scripts."""
        if bootstrap is not None:
            self.script("task/bootstrap", bootstrap)
        for name, text in (extensions or {}).items():
            self.script(f"opt/extensions/{name}", text)
        self.shims.append(Shim(self.folder, **options))
        return self.shims[-1]

    def python(self, code, **options):
        return self(PYTHON_BOOTSTRAP + code, **options)

    def end(self):
        for shim in self.shims:
            shim.__exit__()


def wait_for(condition, what="it"):
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"{what} did not happen in time")


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def open_stream(shim, event=None, mode="stream"):
    connection = shim.connect()
    body = json.dumps(event).encode()
    connection.send_head("POST", "/", [*shim.event_fields(mode), ("Content-Length", str(len(body)))])
    connection.send(body)
    return connection


def trailers(connection):
    fields = {}
    while line := connection.line():
        name, value = line.split(":", 1)
        fields[name.lower()] = value.strip()
    return fields


def read_chunks(connection):
    """(chunks, trailers) of a chunked body."""
    chunks = []
    while size := int(connection.line(), 16):
        chunks.append(connection.exactly(size))
        assert connection.line() == ""
    return chunks, trailers(connection)
