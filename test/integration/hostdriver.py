"""Drives one runtime host over its Unix socket, as a node would: starts it, speaks raw HTTP/1.1 to
it, and collects what it writes to stderr. See doc/host-protocol.md."""

import base64
import json
import os
import platform
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
RUNTIMES = REPOSITORY / "runtimes"
DEADLINE_S = 20.0


def deno_binary():
    """The pinned Deno, or None."""
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    pinned = RUNTIMES / "node_modules" / "@deno" / f"linux-{machine}-glibc" / "deno"
    return str(pinned) if pinned.exists() else shutil.which("deno")


def missing(runtime):
    """Why a runtime cannot be tested here, or None."""
    if runtime == "deno" and deno_binary() is None:
        return "deno is not installed: run `make deps`"
    if runtime == "node" and shutil.which("node") is None:
        return "node is not installed: run `make deps`"
    return None


def command(runtime, sock, root, run_dir, permissions="all", config=None):
    """The command line that doc/host-protocol.md tells a backend to use."""
    if runtime == "node":
        return ["node", str(RUNTIMES / "node/host.mjs")]
    if runtime == "python":
        return ["/usr/bin/python3", "-I", "-u", str(RUNTIMES / "python/host.py")]
    args = [deno_binary(), "run", "--no-prompt", "--quiet", "--no-lock", "--unstable-no-legacy-abort",
            *(["--config=" + config] if config
              else ["--no-config", "--import-map=" + str(RUNTIMES / "deno/imports.json")])]
    if permissions == "all":
        args.append("--allow-all")
    else:
        net = ",".join(["unix:" + sock] + permissions.get("net", []))
        read = ",".join([root, run_dir, sock] + permissions.get("read", []))
        write = ",".join([run_dir, sock] + permissions.get("write", []))
        args += ["--allow-env", "--allow-net=" + net, "--allow-read=" + read, "--allow-write=" + write]
    return args + [str(RUNTIMES / "deno/host.ts")]


class Answer:
    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    def field(self, name):
        values = [v for k, v in self.fields if k == name.lower()]
        return values[0] if values else None

    def all(self, name):
        return [v for k, v in self.fields if k == name.lower()]

    def json(self):
        return json.loads(self.body)


class Connection:
    """One raw HTTP/1.1 connection; every read has a deadline."""

    def __init__(self, path):
        """path: of a Unix socket, or a port on the loopback."""
        tcp = isinstance(path, int)
        self.sock = socket.socket(socket.AF_INET if tcp else socket.AF_UNIX)
        self.sock.settimeout(DEADLINE_S)
        self.sock.connect(("127.0.0.1", path) if tcp else path)
        self.pending = b""
        self.trailers = {}

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def send_head(self, method, target, fields):
        names = {k.lower() for k, _ in fields}
        if "host" not in names:
            fields = [("Host", "functions.example"), *fields]
        lines = [f"{method} {target} HTTP/1.1"] + [f"{k}: {v}" for k, v in fields]
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")

    def send_chunk(self, data):
        self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def fill(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError("the host closed the connection")
        self.pending += data

    def line(self):
        while b"\r\n" not in self.pending:
            self.fill()
        line, self.pending = self.pending.split(b"\r\n", 1)
        return line.decode("latin-1")

    def exactly(self, n):
        while len(self.pending) < n:
            self.fill()
        data, self.pending = self.pending[:n], self.pending[n:]
        return data

    def head(self):
        status = int(self.line().split(" ", 2)[1])
        fields = []
        while line := self.line():
            name, value = line.split(":", 1)
            fields.append((name.lower(), value.strip()))
        return Answer(status, fields, b"")

    def chunk(self):
        """The next chunk of a chunked body; b"" at its end, and then `trailers` are those."""
        size = int(self.line().split(";")[0], 16)
        if size > 0:
            data = self.exactly(size)
            assert self.line() == ""
            return data
        self.trailers = {}
        while line := self.line():
            name, value = line.split(":", 1)
            self.trailers[name.lower()] = value.strip()
        return b""

    def body(self, head, method="GET"):
        if method == "HEAD" or head.status in (101, 204, 304):
            return b""
        if (head.field("transfer-encoding") or "").lower() == "chunked":
            data = b""
            while part := self.chunk():
                data += part
            return data
        length = head.field("content-length")
        if length is not None:
            return self.exactly(int(length))
        try:
            while True:
                self.fill()
        except EOFError:
            data, self.pending = self.pending, b""
            return data

    def request(self, method, target, fields=(), body=None):
        fields = list(fields)
        if body is not None:
            fields.append(("Content-Length", str(len(body))))
        self.send_head(method, target, fields)
        if body:
            self.send(body)
        answer = self.head()
        answer.body = self.body(answer, method)
        return answer


    def send_event(self, body=b"{}", mode="buffered", id="id-1", **fields):
        self.send_head("POST", "/", [("x-heddle-event", mode), ("x-heddle-id", id),
                                     *(("x-heddle-" + k.replace("_", "-"), v) for k, v in fields.items()),
                                     ("Content-Length", str(len(body)))])
        self.send(body)

    def event(self, body=b"{}", mode="buffered", id="id-1", **fields):
        self.send_event(body, mode, id, **fields)
        answer = self.head()
        answer.body = self.body(answer)
        return answer


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Host:
    """A running host. Use as a context manager."""

    def __init__(self, runtime, root, run_dir, permissions="all", config=None, env=None, tcp=False):
        self.root = str(root)
        self.run_dir = str(run_dir)
        self.path = free_port() if tcp else str(Path(run_dir) / "s")
        self.token = secrets.token_hex(16)
        self.records, self.raw = [], []
        self.changed = threading.Condition()
        environment = {
            "PATH": os.environ["PATH"], "HOME": self.run_dir, "LANG": "C.UTF-8",
            "TMPDIR": self.run_dir, "HEDDLE_HOST_TOKEN": self.token, "HEDDLE_RUN_DIR": self.run_dir,
            **({"PORT": str(self.path)} if tcp else {"HEDDLE_SOCKET": self.path}), **(env or {}),
        }
        self.process = subprocess.Popen(
            self.command(runtime, permissions, config),
            env=environment, cwd=self.root, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for stream in (self.process.stdout, self.process.stderr):
            threading.Thread(target=self._collect, args=(stream,), daemon=True).start()
        self._wait_for_socket()

    def command(self, runtime, permissions, config):
        return command(runtime, self.path, self.root, self.run_dir, permissions, config)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE_S)

    def _collect(self, stream):
        start = b"\x1e" + self.token.encode() + b" "
        for line in stream:
            with self.changed:
                if line.startswith(start) and line.endswith(b"\n"):
                    self.records.append(json.loads(line[len(start):]))
                else:
                    self.raw.append(line.decode(errors="replace").rstrip("\n"))
                self.changed.notify_all()

    def connect(self):
        return Connection(self.path)

    def _wait_for_socket(self):
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f"host ended: {self.process.returncode} {self.raw} {self.records}")
            try:
                self.connect().close()
                return
            except OSError:
                time.sleep(0.01)
        raise AssertionError("host did not listen in time")

    def wait_record(self, wanted):
        """The first log record for which wanted(record) is true."""
        with self.changed:
            found = lambda: [r for r in self.records if wanted(r)]
            assert self.changed.wait_for(found, DEADLINE_S), f"no such record in {self.records}"
            return found()[0]

    def wait_raw(self, text):
        with self.changed:
            assert self.changed.wait_for(lambda: any(text in line for line in self.raw), DEADLINE_S), \
                f"{text!r} is not in {self.raw}"

    def control(self, method, path, body=None, token=None):
        connection = self.connect()
        fields = [("x-heddle-token", self.token if token is None else token)]
        try:
            return connection.request(method, path, fields, body)
        finally:
            connection.close()

    def load(self, entry, **more):
        what = {"name": "fn", "root": self.root, "entry": str(Path(self.root) / entry), "env": {},
                "dev": True, "timeoutMs": 150000, "memoryMB": 256, "prefix": "/functions/v1",
                "version": "0" * 32, **more}
        return self.control("POST", "/.heddle/load", json.dumps(what).encode())

    def load_lambda(self, handler, env=None, root=None, **more):
        """Load a Lambda function: the code folder is the functions folder."""
        root = root or self.root
        arn = "arn:aws:lambda:us-east-1:000000000000:function:fn"
        what = {"name": "fn", "root": root, "handler": handler, "timeoutMs": 3000, "memoryMB": 128,
                "version": "0" * 32,
                "env": {"LAMBDA_TASK_ROOT": root, "_HANDLER": handler, "TZ": ":UTC", **(env or {})},
                "lambda": {"name": "fn", "version": "$LATEST", "arn": arn, "memoryMB": 128,
                           "logGroup": "/aws/lambda/fn", "logStream": "2026/01/02/[$LATEST]0a",
                           "initTimeoutMs": 10000, **more}}
        return self.control("POST", "/.heddle/load", json.dumps(what).encode())

    def event(self, event=b"{}", mode="buffered", id="id-1", **fields):
        """Send an event; fields: x-heddle-<name>, with _ for -."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        connection = Connection(self.path)
        try:
            return connection.event(body, mode, id, **fields)
        finally:
            connection.close()

    def request(self, method, target, fields=(), body=None, id="id-1"):
        connection = self.connect()
        try:
            return connection.request(method, target, [("x-heddle-id", id), *fields], body)
        finally:
            connection.close()

    def get(self, target, fields=(), id="id-1"):
        return self.request("GET", target, fields, None, id)

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def ended(self):
        return self.process.wait(DEADLINE_S)


class Hosts:
    """Starts hosts of one runtime in a temporary folder, and ends them all."""

    def __init__(self, runtime, folder):
        self.runtime, self.root, self.run = runtime, folder / "functions", folder / "run"
        self.hosts = []

    def __call__(self, files, **options):
        """A host with nothing loaded; files: {path: text}, put into its functions folder."""
        if self.runtime == "node":
            files = {"package.json": "{}", **files} # nothing above the folder counts
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.root.mkdir(parents=True, exist_ok=True)
        self.run.mkdir(exist_ok=True)
        self.hosts.append(Host(self.runtime, self.root, self.run, **options))
        return self.hosts[-1]

    def loaded(self, text, entry, permissions="all", **more):
        """A host that has loaded one file."""
        host = self({entry: text}, permissions=permissions)
        answer = host.load(entry, **more)
        assert answer.status == 200, answer.body
        return host

    def end(self):
        for host in self.hosts:
            host.__exit__()


# WebSocket (RFC 6455), the client's side, short messages only ------------------------------------

def websocket_open(connection, target, fields=()):
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    connection.send_head("GET", target, [
        ("x-heddle-id", "id-ws"), ("Connection", "Upgrade"), ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", key), *fields])
    return connection.head()


def websocket_send(connection, text, opcode=1):
    data = text.encode()
    assert len(data) < 126
    mask = secrets.token_bytes(4)
    masked = bytes(b ^ mask[i % 4] for i, b in enumerate(data))
    connection.send(bytes([0x80 | opcode, 0x80 | len(data)]) + mask + masked)


def websocket_receive(connection):
    """(opcode, payload) of the next frame."""
    first, second = connection.exactly(2)
    assert not second & 0x80 and second < 126
    return first & 0x0F, connection.exactly(second)
