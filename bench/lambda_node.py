"""A node with Lambda functions, and the same functions in their hosts without a node."""

import base64
import http.client
import io
import json
import os
import re
import secrets
import socket
import subprocess
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from servers import HOSTS, POLICIES_OFF, ROOT, RUNTIMES, Heddle, Server, free_port, wait_until

ACCOUNT, REGION = "000000000000", "us-east-1"
API = "/2015-03-31/functions"
BUILT = ROOT / "build" / "bench"
PYTHON = ["/usr/bin/python3", "-I", "-u", "-B", str(RUNTIMES / "python/host.py")]

# What every custom runtime in shell looks like: one curl asks, one answers.
SHELL = """#!/bin/sh
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation
head=/tmp/head.$$
while curl -sS -D "$head" -o /dev/null "$api/next"; do
  id=$(sed -n 's/^lambda-runtime-aws-request-id: *//Ip' "$head" | tr -d '\\r')
  curl -sS -o /dev/null -d '{}' "$api/$id/response" || exit 1
done
"""
FILES = {
    "node": {"index.mjs": "export const handler = async () => ({});\n"},
    "python": {"index.py": "def handler(event, context):\n    return {}\n"},
    "shell": {"bootstrap": SHELL},
}
SETTINGS = {
    "node": ("nodejs20.x", "index.handler"),
    "python": ("python3.11", "index.handler"),
    "c": ("provided.al2023", "bootstrap"),
    "shell": ("provided.al2023", "bootstrap"),
}
WHOLE_CPU_MB = 1769  # of memory: with less a function has a smaller share of the CPU time
KINDS = tuple(SETTINGS)


def build():
    """The programs of bench/lambda/."""
    subprocess.run(["ninja", "--quiet", "-C", ROOT / "build", "bench/lambda_load",
                    "bench/lambda_function"], check=True, stdout=subprocess.DEVNULL)


def files(kind):
    if kind == "c":
        return {"bootstrap": (BUILT / "lambda_function").read_bytes()}
    return FILES[kind]


def package(kind, more=None):
    """The zip of a function; `more` makes it another one."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {**files(kind), **(more or {})}.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o100755 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, text)
    return base64.b64encode(out.getvalue()).decode()


class LambdaNode(Heddle):
    """A node without functions in a folder. Its API is asked as AWS clients do, without signatures,
    on a connection for each thread."""

    def __init__(self, folder, *flags, env=None):
        self.folder = folder
        (folder / "none").mkdir(parents=True, exist_ok=True)
        super().__init__(folder, folder / "none", "patient", *flags,
                         env={**POLICIES_OFF, "HEDDLE_CONTROL_PORT": "0", **(env or {})})
        self._own = threading.local()

    def _ready(self):
        if not super()._ready():
            return False
        found = re.search(r"AWS_ENDPOINT_URL=http://127\.0\.0\.1:(\d+)\s", self.log.read_text())
        self.control = int(found.group(1)) if found else None
        return found is not None

    def ask(self, method, path, body=None, fields=None):
        """(status, body) of one request to the API."""
        if not hasattr(self._own, "connection"):
            self._own.connection = http.client.HTTPConnection("127.0.0.1", self.control, timeout=60)
        self._own.connection.request(method, path, body, fields or {})
        answer = self._own.connection.getresponse()
        return answer.status, answer.read()

    def want(self, status, *args, **options):
        got, body = self.ask(*args, **options)
        if got != status:
            raise RuntimeError(f"{args[:2]}: {got} {body[:500]}, and not {status}")
        return body

    def create(self, name, kind, code=None, memory=WHOLE_CPU_MB):
        runtime, handler = SETTINGS[kind]
        self.want(201, "POST", API, json.dumps({
            "FunctionName": name, "Runtime": runtime, "Handler": handler, "Timeout": 60,
            "MemorySize": memory, "Role": f"arn:aws:iam::{ACCOUNT}:role/bench",
            "Code": {"ZipFile": code or package(kind)}}))

    def wait_active(self, name):
        def active():
            state = json.loads(self.want(200, "GET", f"{API}/{name}/configuration"))
            if state["State"] == "Failed":
                raise RuntimeError(f"{name}: {state}")
            return state["State"] == "Active"
        wait_until(active, f"{name} is active")

    def make(self, name, kind, **more):
        self.create(name, kind, **more)
        self.wait_active(name)

    def invoke(self, name, event=b"{}", fields=None, status=200):
        """The answer's body; a function error is an error."""
        return self.want(status, "POST", f"{API}/{name}/invocations", event, fields)

    def metrics(self):
        """{'name{labels}': value}"""
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.folder / ".heddle/run/admin.sock"))
        connection.request("GET", "/metrics", headers={"authorization": "Bearer bench"})
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        return {name: float(value) for name, value in
                (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))}


def request(path, fields=(), body=b"{}"):
    """The bytes of a POST."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json",
             f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join([*lines, "", ""]).encode() + body


INVOKE_ID = "5f0c2e5e-7d4f-4b0a-8a3e-5d8f0a1b2c3d"
# What a node sends with an event, each time the same.
EVENT = (("x-heddle-event", "buffered"), ("x-heddle-id", INVOKE_ID), ("x-heddle-deadline", "60000"),
         ("x-heddle-arn", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:direct"),
         ("x-heddle-trace", "Root=1-5759e988-bd862e3fe1be46a994272793;"
                            "Parent=53995c3f42cd8ad8;Sampled=0"),
         ("traceparent", "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-00"))


def load(seconds, connections, folder, sent, ports, status=200):
    """Requests/s, p50 and p99 in µs of these bytes, sent again and again on each connection."""
    file = folder / "request"
    file.write_bytes(sent)
    done = subprocess.run([str(BUILT / "lambda_load"), str(seconds), str(connections), str(status),
                           str(file), *map(str, ports)], capture_output=True, text=True,
                          check=False, timeout=seconds + 60)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def drain(port, sent):
    """MB/s of a long answer in chunks, from the request to its last byte."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as s:
        begin = time.monotonic()
        s.sendall(sent)
        room, total, tail = bytearray(1 << 20), 0, b""
        while not tail.endswith(b"\r\n0\r\n\r\n"):
            got = s.recv_into(room)
            if got == 0:
                raise RuntimeError(f"a streamed answer broke off after {total} bytes")
            if total == 0 and not room.startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(f"a streamed answer: {bytes(room[:300])}")
            total += got
            tail = (tail + room[max(0, got - 16):got])[-16:]
        return {"mb_s": total / 1e6 / (time.monotonic() - begin)}


class LambdaHost(Server):
    """A function in its host, with Lambda semantics, on a TCP port."""

    def __init__(self, kind, folder):
        code = folder / "code"
        code.mkdir(parents=True)
        for name, text in files(kind).items():
            (code / name).write_bytes(text if isinstance(text, bytes) else text.encode())
            (code / name).chmod(0o755)
        command = {"node": HOSTS["node"], "python": PYTHON, "c": [str(code / "bootstrap")]}[kind]
        self.port, self.secret = free_port(), secrets.token_hex(16)
        super().__init__(command, folder / "log", cwd=code, env={
            "PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8",
            "HEDDLE_HOST_TOKEN": self.secret, "HEDDLE_RUN_DIR": str(folder),
            "PORT": str(self.port)})
        wait_until(self._loads(code), kind)

    def _loads(self, code):
        body = {"name": "direct", "root": str(code), "handler": "index.handler", "env": {},
                "dev": False, "timeoutMs": 60000, "memoryMB": 128, "version": "1", "argv": [],
                "lambda": {"name": "direct", "version": "$LATEST", "memoryMB": 128,
                           "arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:direct",
                           "logGroup": "/aws/lambda/direct", "logStream": "direct"}}

        def loads():
            self.check_alive()
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                connection.request("POST", "/.heddle/load", json.dumps(body),
                                   {"x-heddle-token": self.secret})
                answer = connection.getresponse()
            except OSError:
                return False
            text = answer.read()
            connection.close()
            if answer.status != 200:
                raise RuntimeError(f"it does not load: {text[:500]}")
            return True
        return loads


class Quiet(ThreadingHTTPServer):
    """Whose clients may be ended in the middle of a request."""
    daemon_threads = True

    def handle_error(self, *_):
        pass


class RuntimeApi:
    """The Runtime API for some copies of a bootstrap, which get the next event at once: how fast
    they are without anybody in between."""

    def __init__(self, program, copies, folder):
        self.program, self.copies, self.folder = program, copies, folder
        self.ends = []  # when each event was answered, of each copy
        self._servers, self._programs = [], []

    def _start(self):
        ends = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_):
                pass

            def do_GET(self):
                self._answer(200, b"{}", (("Lambda-Runtime-Aws-Request-Id", INVOKE_ID),
                                          ("Lambda-Runtime-Deadline-Ms", "4102444800000")))

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                ends.append(time.monotonic())
                self._answer(202, b'{"status":"OK"}')

            def _answer(self, status, body, fields=()):
                text = [f"HTTP/1.1 {status} OK", f"Content-Length: {len(body)}",
                        *(f"{name}: {value}" for name, value in fields)]
                self.wfile.write("\r\n".join([*text, "", ""]).encode() + body)

        server = Quiet(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self._servers.append(server)
        self.ends.append(ends)
        env = {"PATH": os.environ["PATH"],
               "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_address[1]}"}
        self._programs.append(subprocess.Popen([str(self.program)], env=env, cwd=self.folder,
                                               stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                               start_new_session=True))

    def measure(self, seconds):
        """As load() does: from one answer to the next one, for whoever sends without a pause."""
        for _ in range(self.copies):
            self._start()
        wait_until(lambda: all(self.ends), "all of them answer")
        begin = time.monotonic()
        time.sleep(seconds)
        end = time.monotonic()
        waits = sorted(b - a for ends in self.ends for a, b in zip(ends, ends[1:])
                       if begin <= b <= end)
        for program, server in zip(self._programs, self._servers):
            os.killpg(program.pid, 9)
            program.wait()
            server.shutdown()
            server.server_close()
        return {"rps": len(waits) / (end - begin),
                "p50_us": waits[len(waits) // 2] * 1e6,
                "p99_us": waits[len(waits) * 99 // 100] * 1e6}
