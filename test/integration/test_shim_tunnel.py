"""heddle-shim where nothing but its standard input and output is shared with the node: connections and
output as streams of one pipe."""

import json
import os
import signal
import socket
import struct
import subprocess
import threading

import pytest

from heddle import binary
from hostdriver import DEADLINE_S, Connection
from shimdriver import PYTHON_BOOTSTRAP, Shim, is_running, wait_for

OPEN, DATA, CLOSE, ROOM = 1, 2, 3, 4
WINDOW = 256 << 10


class Tunnel:
    """The node's side, in as few lines as it takes; one thread reads."""

    def __init__(self, folder, *args, kind="asan", code=None):
        self.folder = folder
        for name in ("task", "opt", "run"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        if code is not None:
            (folder / "task/bootstrap").write_text(PYTHON_BOOTSTRAP + code)
            (folder / "task/bootstrap").chmod(0o755)
        self.token = "ab" * 16
        self.socket = str(folder / "run/sock")
        env = {"PATH": os.environ["PATH"], "HEDDLE_SOCKET": self.socket, "HEDDLE_HOST_TOKEN": self.token,
               **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}}
        self.process = subprocess.Popen(
            [str(binary(kind).parent / "heddle-shim"), "--tunnel", *args], env=env, cwd="/",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        self.output = {1: b"", 2: b""}
        self.ends, self.room, self.last = {}, {}, 15
        self.changed = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()

    def frame(self, kind, id, n=0, data=b""):
        with self.changed:
            out = struct.pack(">B3xII", kind, id, n) + data
            while out:
                out = out[self.process.stdin.write(out):]

    def exactly(self, n):
        got = b""
        while len(got) < n:
            piece = self.process.stdout.read(n - len(got))
            if not piece:
                raise EOFError
            got += piece
        return got

    def read(self):
        try:
            while True:
                kind, id, n = struct.unpack(">B3xII", self.exactly(12))
                data = self.exactly(n) if kind == DATA else b""
                with self.changed:
                    if kind == DATA and id in self.output:
                        self.output[id] += data
                    elif kind == ROOM:
                        self.room[id] = self.room.get(id, WINDOW) + n
                    self.changed.notify_all()
                if kind == DATA:
                    if id in self.ends:
                        self.ends[id].sendall(data)
                    self.frame(ROOM, id, n)
                elif kind == CLOSE and id in self.ends:
                    self.ends.pop(id).close()
        except (EOFError, OSError, ValueError):
            for end in list(self.ends.values()):
                end.close()

    def connect(self):
        """An HTTP connection through the tunnel."""
        self.last += 1
        id = self.last
        ours, theirs = socket.socketpair()
        ours.settimeout(DEADLINE_S)
        self.ends[id] = theirs
        self.frame(OPEN, id)
        threading.Thread(target=self.pump, args=(id, theirs), daemon=True).start()
        connection = Connection.__new__(Connection)
        connection.sock, connection.pending, connection.trailers = ours, b"", {}
        return connection

    def pump(self, id, end):
        try:
            while data := end.recv(16 << 10):
                with self.changed:
                    self.changed.wait_for(lambda: self.room.get(id, WINDOW) >= len(data), DEADLINE_S)
                    self.room[id] = self.room.get(id, WINDOW) - len(data)
                self.frame(DATA, id, len(data), data)
            self.frame(CLOSE, id)
        except (OSError, ValueError):  # it ended
            pass

    def ask(self, method, path, body=b"", fields=()):
        c = self.connect()
        try:
            return c.request(method, path, [("x-heddle-token", self.token), *fields], body)
        finally:
            c.sock.close()

    def load(self):
        lambda_ = {"name": "fn", "version": "$LATEST", "initTimeoutMs": 10000,
                   "optDir": str(self.folder / "opt"), "runtimeDir": str(self.folder / "opt/runtime")}
        what = {"name": "fn", "root": str(self.folder / "task"), "env": {"PATH": os.environ["PATH"]},
                "lambda": lambda_}
        answer = self.ask("POST", "/.heddle/load", json.dumps(what).encode())
        assert answer.status == 200, answer.body
        return self

    def invoke(self, event):
        return self.ask("POST", "/", json.dumps(event).encode(), Shim.event_fields())

    def wait_output(self, which, text):
        with self.changed:
            assert self.changed.wait_for(lambda: text in self.output[which], DEADLINE_S), self.output

    def end(self):
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()


@pytest.fixture
def start(tmp_path):
    made = []

    def one(*args, **options):
        made.append(Tunnel(tmp_path, *args, **options))
        return made[-1]

    yield one
    for t in made:
        t.end()


ECHO = """
def handle(event):
    print("pid", os.getpid(), flush=True)
    api.respond(event.id, event.text)
loop(handle)
"""


@pytest.mark.parametrize("kind", ["asan", "release"])
def test_a_function_is_served_through_it(start, kind):
    t = start(kind=kind, code=ECHO).load()
    for n in range(3):
        assert t.invoke({"n": n}).json() == {"n": n}
    big = {"text": "x" * 3_000_000}
    assert t.invoke(big).json() == big
    t.wait_output(2, b"pid ")  # of the shim, which frames what the function prints


def test_a_program_that_serves_itself_is_waited_for(start, tmp_path):
    (tmp_path / "serve.py").write_text("""
import os, socket, sys, time
time.sleep(0.3)
print("plain output", flush=True)
s = socket.socket(socket.AF_UNIX); s.bind(os.environ["HEDDLE_SOCKET"]); s.listen()
while True:
    c, _ = s.accept()
    c.recv(65536)
    c.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok"); c.close()
""")
    t = start("--exec", "--", "python3", str(tmp_path / "serve.py"))
    assert t.ask("GET", "/").body == b"ok"
    assert b"plain output\n" in t.output[1]  # before the answer, because it was said before


def test_its_end_is_the_program_s(start, tmp_path):
    t = start("--exec", "--", "sh", "-c", "echo last words; exit 7")
    assert t.process.wait(DEADLINE_S) == 7
    t.wait_output(1, b"last words\n")
    t = start("--exec", "--", "sh", "-c", "kill -9 $$")
    assert t.process.wait(DEADLINE_S) == 128 + signal.SIGKILL
    t = start("--exec", "--", str(tmp_path / "none"), kind="release")
    assert t.process.wait(DEADLINE_S) == 127
    t.wait_output(2, b"none")


def test_a_term_is_the_program_s(start):
    t = start("--exec", "--", "sh", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done")
    t.wait_output(1, b"up\n")
    t.process.terminate()
    assert t.process.wait(DEADLINE_S) == 5


def test_without_a_node_everything_ends(start):
    t = start(code=ECHO).load()
    t.invoke({})
    t.wait_output(2, b"pid ")
    pid = int(t.output[2].split(b"pid ")[1].split(b'"')[0])
    assert is_running(pid)
    t.process.stdin.close()
    assert t.process.wait(DEADLINE_S) == 0
    wait_for(lambda: not is_running(pid), "the end of the function")


def test_what_it_cannot_be_started_with(tmp_path):
    shim = str(binary("release").parent / "heddle-shim")
    done = subprocess.run([shim, "--tunnel"], env={}, capture_output=True, text=True)
    assert done.returncode == 64 and "HEDDLE_SOCKET" in done.stderr
    with open(tmp_path / "file", "w+") as f:
        done = subprocess.run([shim, "--tunnel"], env={"HEDDLE_SOCKET": "/x"}, stdin=f, stdout=f,
                              stderr=subprocess.PIPE, text=True)
    assert done.returncode == 71 and "must be pipes" in done.stderr
    run = subprocess.Popen([shim, "--tunnel", "--exec", "--", "sleep", "60"],
                           env={"HEDDLE_SOCKET": "/x", "PATH": os.environ["PATH"]},
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    run.stdin.write(b"GET / HTTP/1.1\r\n\r\n")
    run.stdin.flush()
    assert run.wait(DEADLINE_S) == 71 and b"no frame" in run.stderr.read()
    for pipe in (run.stdin, run.stdout, run.stderr):
        pipe.close()
