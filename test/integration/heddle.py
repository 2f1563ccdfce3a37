"""A real node for tests: started on a free port in a folder of its own, stopped and inspected."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "build"

# Sanitizers and a busy machine are slow; nothing waits for these when all is well.
READY_S = 30
STOP_S = 30
WAIT_S = 20

JWT_SECRET = "a-secret-that-only-these-tests-know-0123456789"
INTERNAL_KEY = "the-key-of-these-tests"

SANITIZER = re.compile(r"(ERROR: (Address|Leak|Thread)Sanitizer|WARNING: ThreadSanitizer"
                       r"|runtime error:|SUMMARY: \w+Sanitizer)")


def binary(kind="asan"):
    """The program to test: $HEDDLE_BIN and $HEDDLE_RELEASE_BIN, or where `make test` builds it."""
    name = {"asan": "HEDDLE_BIN", "release": "HEDDLE_RELEASE_BIN", "tsan": "HEDDLE_TSAN_BIN"}[kind]
    default = {"asan": BUILT / "asan/heddle", "release": BUILT / "heddle",
               "tsan": BUILT / "tsan/heddle"}[kind]
    return Path(os.environ.get(name, default))


def eventually(check, timeout=WAIT_S, what="it"):
    """Call check() until it returns something true, and return that."""
    end = time.monotonic() + timeout
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen within {timeout} s")
        time.sleep(0.01)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(secret=JWT_SECRET, header=None, **claims):
    """An HS256 token; exp is in ten minutes unless given, and None leaves a claim out."""
    payload = {"sub": "user-1", "role": "authenticated", "email": "user@example.org",
               "exp": int(time.time()) + 600, **claims}
    payload = {key: value for key, value in payload.items() if value is not None}
    parts = (b64(json.dumps(header or {"alg": "HS256", "typ": "JWT"}).encode()) + "."
             + b64(json.dumps(payload).encode()))
    return parts + "." + b64(hmac.new(secret.encode(), parts.encode(), hashlib.sha256).digest())


def bearer(text=None, **claims):
    return {"authorization": "Bearer " + (text or token(**claims))}


class Response:
    """A whole answer."""

    def __init__(self, status, fields, body):
        self.status = status
        self.fields = fields  # (name, value) in order
        self.body = body

    def get(self, name, default=None):
        """The first field of that name."""
        return next((v for n, v in self.fields if n.lower() == name.lower()), default)

    def all(self, name):
        return [v for n, v in self.fields if n.lower() == name.lower()]

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.fields} {self.body[:400]!r}>"


def expect(answer, status, body):
    """An answer that the gateway made itself: these members, and beside them only what says more."""
    assert answer.status == status, answer
    assert answer.get("content-type") == "application/json", answer
    given = answer.json()
    more = {key: value for key, value in given.items() if key not in body}
    assert {key: given.get(key) for key in body} == body, answer
    assert set(more) <= {"reason", "requestId"}, answer
    if "requestId" in more:
        assert more["requestId"] == answer.get("x-heddle-invocation-id"), answer


class Node:
    """One running heddle."""

    def __init__(self, cwd, functions, *args, command="serve", env=None, kind="asan"):
        self.cwd = Path(cwd)
        self.functions = functions
        self.command = [str(binary(kind)), command, str(functions), "--host", "127.0.0.1",
                        "--port", "0", "--log-format", "json", *args]
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(cwd),
            "LANG": "C.UTF-8",
            "JWT_SECRET": JWT_SECRET,
            "INTERNAL_KEY": INTERNAL_KEY,
            "HEDDLE_DISABLE_RATE_LIMIT": "1",
            "HEDDLE_CONTROL_PORT": "0",
            **{key: os.environ[key] for key in os.environ if key.endswith("SAN_OPTIONS")},
        }
        for key, value in (env or {}).items():
            self.env.pop(key, None)
            if value is not None:
                self.env[key] = str(value)
        self.process = None
        self.killed = False
        self.expect_exit = 0  # what stop() wants to see
        self.lines = []  # every line of stdout and stderr
        self.port = None
        self.url = None
        self.control = None  # where AWS clients go
        self._more = threading.Condition()
        self._readers = []

    # -- output --

    def _read(self, stream):
        for line in stream:
            with self._more:
                self.lines.append(line.rstrip("\n"))
                self._more.notify_all()

    def text(self):
        with self._more:
            return "\n".join(self.lines)

    def records(self):
        """The lines that are JSON objects."""
        with self._more:
            lines = list(self.lines)
        found = []
        for line in lines:
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if isinstance(value, dict):
                found.append(value)
        return found

    def wait_record(self, check, timeout=WAIT_S, what="a log line"):
        """The first log record for which check(record) holds, past or to come."""
        end = time.monotonic() + timeout
        seen = 0
        while True:
            records = self.records()
            for record in records[seen:]:
                if check(record):
                    return record
            seen = len(records)
            with self._more:
                left = end - time.monotonic()
                if left <= 0 or not self._alive_or_reading():
                    raise AssertionError(f"no {what} within {timeout} s; output:\n"
                                         + "\n".join(self.lines[-40:]))
                self._more.wait(min(left, 0.2))

    def _alive_or_reading(self):
        return self.process.poll() is None or any(t.is_alive() for t in self._readers)

    # -- life --

    def spawn(self):
        if not Path(self.command[0]).is_file():
            raise RuntimeError(f"there is no {self.command[0]}: `make test T=integration` makes it")
        self.process = subprocess.Popen(self.command, cwd=self.cwd, env=self.env, text=True,
                                        errors="replace", stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for stream in (self.process.stdout, self.process.stderr):
            reader = threading.Thread(target=self._read, args=(stream,), daemon=True)
            reader.start()
            self._readers.append(reader)
        return self

    def start(self):
        self.spawn()
        ready = self.wait_record(lambda r: r.get("msg") == "ready", READY_S, "ready message")
        self.url = ready["url"].rstrip("/")
        self.port = int(self.url.rsplit(":", 1)[1])
        self.control = ready["control"].rstrip("/")
        return self

    @property
    def pid(self):
        return self.process.pid

    def wait(self, timeout=STOP_S):
        """Wait for its end. Returns the exit code; its output is complete then."""
        code = self.process.wait(timeout)
        for reader in self._readers:
            reader.join(5)
        return code

    def stop(self):
        """Ask it to end, as a service manager does; it must, cleanly, and leave nothing behind."""
        if self.process is None or self.killed:
            return
        try:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
            code = self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("it did not end after SIGTERM; output:\n" + self.text()[-6000:])
        self.check_sanitizers()
        assert code == self.expect_exit, f"exit code {code}; output:\n{self.text()[-6000:]}"

    def check_sanitizers(self):
        found = SANITIZER.search(self.text())
        assert not found, "a sanitizer report:\n" + self.text()[max(found.start() - 200, 0):][:8000]

    def kill(self):
        """By force: for when a test failed, or wants that."""
        self.killed = True
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.wait()

    def rss_kb(self):
        """Resident memory of the node itself, without its children."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError("no VmRSS")

    def children(self):
        """Pids of all processes below it."""
        found, queue = [], [self.pid]
        while queue:
            pid = queue.pop()
            try:
                for task in Path(f"/proc/{pid}/task").iterdir():
                    kids = [int(p) for p in (task / "children").read_text().split()]
                    found += kids
                    queue += kids
            except OSError:
                continue
        return found

    # -- requests --

    def request(self, method, path, headers=None, body=None, timeout=WAIT_S, port=None):
        """One request on a connection of its own. A path without a leading / names a function."""
        if not path.startswith("/"):
            path = "/functions/v1/" + path
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return Response(answer.status, answer.getheaders(), answer.read())
        finally:
            connection.close()

    def get(self, path, headers=None, **options):
        return self.request("GET", path, headers, **options)

    def post(self, path, body=b"", headers=None, **options):
        return self.request("POST", path, headers, body, **options)

    def ask_control(self, method, path, headers=None, body=None, **options):
        """One request to the control listener."""
        return self.request(method, path, headers, body, port=int(self.control.rsplit(":", 1)[1]),
                            **options)

    def admin(self, path, body=None, data_dir=".heddle"):
        """GET from the admin socket in the node's data folder, or POST some JSON to it."""
        connection = http.client.HTTPConnection("localhost", timeout=WAIT_S)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(WAIT_S)
        connection.sock.connect(str(self.cwd / data_dir / "run" / "admin.sock"))
        try:
            connection.request("GET" if body is None else "POST", path, body,
                               {"authorization": "Bearer " + INTERNAL_KEY,
                                "content-type": "application/json"})
            answer = connection.getresponse()
            return Response(answer.status, answer.getheaders(), answer.read())
        finally:
            connection.close()

    def metrics(self):
        """The metrics as {'name{labels}': value}."""
        answer = self.admin("/metrics")
        assert answer.status == 200, answer
        values = {}
        for line in answer.body.decode().splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                values[name] = float(value)
        return values


def run(cwd, *args, env=None, kind="asan", timeout=READY_S, input=None):
    """Run a command of heddle to its end. Returns the finished process with text output."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(cwd), "LANG": "C.UTF-8",
                   **({"HEDDLE_CONTROL_PORT": "0"} if args[0] in ("serve", "dev") else {}),
                   **{key: os.environ[key] for key in os.environ if key.endswith("SAN_OPTIONS")},
                   **{key: str(value) for key, value in (env or {}).items()}}
    done = subprocess.run([str(binary(kind)), *map(str, args)], cwd=cwd, env=environment,
                          input=input, capture_output=True, text=True, timeout=timeout)
    found = SANITIZER.search(done.stderr)
    assert not found, done.stderr
    return done
