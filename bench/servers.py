"""What is measured: heddle, nginx, and the functions themselves in their runtime hosts."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import secrets
import signal
import socket
import string
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FUNCTIONS = ROOT / "bench" / "functions"
PREFIX = "/functions/v1"
SECRET = "only-the-benchmark-knows-this-secret-0123456789"
START_S = 20

# How heddle is told what to do: the one place that knows its flags.
HEDDLE = os.environ.get("HEDDLE_BIN", str(ROOT / "build" / "heddle"))
FLAGS = {
    "base": ["--host", "127.0.0.1", "--port", "0"],
    "lazy": ["--lazy", "--cold-wait-ms", "20000"],
    "prewarm": ["--prewarm", "2"],
    "no prewarm": ["--prewarm", "0"],
    "no access log": ["--no-access-log"],
    "patient": ["--lambda-queue-wait", "60000"],
}
POLICIES_OFF = {"HEDDLE_DISABLE_RATE_LIMIT": "1"}
POLICIES_ON = {"HEDDLE_DEFAULT_RPM": "100000000"}

RUNTIMES = ROOT / "runtimes"
HOSTS = {
    "deno": [str(RUNTIMES / "node_modules/@deno/linux-x64-glibc/deno"), "run", "--quiet",
             "--no-prompt", "--allow-all", str(RUNTIMES / "deno/host.ts")],
    "node": ["node", str(RUNTIMES / "node/host.mjs")],
}
BARE = {"deno": [HOSTS["deno"][0], "eval", "0"], "node": ["node", "-e", "0"]}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def token():
    """A good token for an hour."""
    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    payload = {"sub": "bench", "role": "authenticated", "exp": int(time.time()) + 3600}
    text = part(b'{"alg":"HS256","typ":"JWT"}') + "." + part(json.dumps(payload).encode())
    return text + "." + part(hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest())


def entry(name):
    return FUNCTIONS / name / ("index.ts" if name.startswith("deno") else "index.mjs")


def cpu_s(pids):
    """User and system time that these processes have used."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def rss_kb(pids):
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1])
    return total


def wait_until(check, what, timeout=START_S):
    end = time.monotonic() + timeout
    while not check():
        if time.monotonic() > end:
            raise RuntimeError(f"{what}: not within {timeout} s")
        time.sleep(0.002)


class Server:
    """A process with a URL; `gateway_pids` are those whose CPU time and memory count."""

    def __init__(self, command, log, env=None, cwd=None):
        self.log = Path(log)
        with open(self.log, "ab") as out:
            self.started = time.monotonic()
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=out, env=env, cwd=cwd)

    def gateway_pids(self):
        return [self.process.pid]

    def check_alive(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.process.args[0]} ended: {self.log.read_text()[-2000:]}")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Host(Server):
    """A function in its runtime host, started by doc/host-protocol.md, without a gateway."""

    def __init__(self, name, folder, unix):
        self.name = name
        self.socket = Path(folder) / f"{name}.sock"
        self.port = None if unix else free_port()
        secret = secrets.token_hex(16)
        env = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8",
               "HEDDLE_HOST_TOKEN": secret, "HEDDLE_RUN_DIR": str(folder)}
        env.update({"HEDDLE_SOCKET": str(self.socket)} if unix else {"PORT": str(self.port)})
        super().__init__(HOSTS[name.split("-")[0]], Path(folder) / f"{name}.log", env)
        wait_until(self._listens, name)
        self._load(secret)
        self.url = f"http://127.0.0.1:{self.port}/{name}"

    def _connect(self):
        s = socket.socket(socket.AF_INET if self.port else socket.AF_UNIX)
        s.settimeout(10)
        s.connect(("127.0.0.1", self.port) if self.port else str(self.socket))
        return s

    def _listens(self):
        self.check_alive()
        try:
            self._connect().close()
        except OSError:
            return False
        return True

    def _load(self, secret):
        connection = http.client.HTTPConnection("localhost")
        connection.sock = self._connect()
        body = {"name": self.name, "root": str(FUNCTIONS), "entry": str(entry(self.name)),
                "env": {}, "dev": False, "timeoutMs": 150000, "memoryMB": 0, "prefix": PREFIX,
                "version": "0", "argv": []}
        connection.request("POST", "/.heddle/load", json.dumps(body),
                           {"x-heddle-token": secret, "content-type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{self.name} does not load: {text[:500]}")


class Nginx(Server):
    """nginx in front of hosts on Unix sockets."""

    def __init__(self, folder, hosts):
        folder = Path(folder) / "nginx"
        folder.mkdir()
        self.quiet_port, self.logging_port = free_port(), free_port()
        upstreams = "".join(
            f"  upstream {h.name} {{ server unix:{h.socket}; keepalive 128;"
            f" keepalive_requests 1000000000; }}\n" for h in hosts)
        locations = " ".join(
            f"location {PREFIX}/{h.name} {{ proxy_pass http://{h.name}/{h.name}; }}"
            for h in hosts)
        text = string.Template((ROOT / "bench/nginx.conf.in").read_text()).substitute(
            user="user root;" if os.geteuid() == 0 else "", dir=folder, upstreams=upstreams,
            locations=locations, quiet_port=self.quiet_port, logging_port=self.logging_port)
        (folder / "nginx.conf").write_text(text)
        super().__init__(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"),
                          "-e", str(folder / "error.log")], folder / "log")
        wait_until(lambda: self._listens(), "nginx")
        self.quiet = f"http://127.0.0.1:{self.quiet_port}{PREFIX}"
        self.logging = f"http://127.0.0.1:{self.logging_port}{PREFIX}"

    def _listens(self):
        self.check_alive()
        try:
            socket.create_connection(("127.0.0.1", self.logging_port)).close()
        except OSError:
            return False
        return True

    def gateway_pids(self):
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]


class Heddle(Server):
    """A node. CPU and memory are the node's own, without the functions' processes."""

    def __init__(self, folder, functions, *flags, env=None, command="serve"):
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8",
                       "JWT_SECRET": SECRET, "INTERNAL_KEY": "bench", **(env or {})}
        arguments = [HEDDLE, command, str(functions), *FLAGS["base"]]
        for flag in flags:
            arguments += FLAGS[flag]
        (folder / "log").unlink(missing_ok=True)  # of a run before this one
        super().__init__(arguments, folder / "log", environment, cwd=folder)
        self.url = None
        wait_until(self._ready, "heddle")

    def _ready(self):
        self.check_alive()
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        at = text.find("http://127.0.0.1:")
        end = at + len("http://127.0.0.1:")
        digits = text[end:end + 6]
        port = digits[: len(digits) - len(digits.lstrip("0123456789"))]
        if at < 0 or len(port) == len(digits):
            return False  # not there yet, or not all of the line
        self.port = int(port)
        self.url = f"http://127.0.0.1:{port}{PREFIX}"
        return True


class Background:
    """Something that runs beside a measurement until the block ends."""

    def __init__(self, work):
        self._work, self._end = work, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self._end.is_set():
            self._work()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()
