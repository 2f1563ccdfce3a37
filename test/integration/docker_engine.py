"""A container engine of the test's own: dockerd on a private socket, everything of it in a folder that
goes; images made of this machine's programs, so that nothing is fetched; nodes that have it."""

import base64
import http.client
import io
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse
import zipfile

import pytest

from heddle import Node, eventually, run

IMAGE = "heddle-test/base:latest"
NODE_IMAGE = "heddle-test/node:1"
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin"


class _Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("docker", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Engine:
    """dockerd with a containerd of its own; end() leaves no process, mount or file of it."""

    program, package = "dockerd", "docker.io, runc"

    def __init__(self, folder, *args):
        self.folder = pathlib.Path(folder)
        self.socket = str(self.folder / "engine.sock")
        self.host = "unix://" + self.socket
        self.log = open(self.folder / "engine.log", "wb")
        self.process = subprocess.Popen(
            [*self.prefix(), find(self.program), *self.arguments(), *args],
            env=dict(os.environ, PATH=PATH, **self.variables()), stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log, start_new_session=True)

    def arguments(self):
        return ["--host", "unix://" + self.socket, "--data-root", str(self.folder / "data"),
                "--exec-root", str(self.folder / "exec"), "--pidfile", str(self.folder / "pid"),
                "--iptables=false", "--ip6tables=false", "--bridge=none",
                "--exec-opt", "native.cgroupdriver=cgroupfs"]

    def variables(self):
        return {}

    def prefix(self):
        return []

    def wait(self):
        until = time.monotonic() + 60
        while time.monotonic() < until and self.process.poll() is None:
            try:
                if self.call("GET", "/_ping", raw=True) == b"OK":
                    return True
            except OSError:
                time.sleep(0.1)
        return False

    def call(self, method, path, body=None, raw=False, type="application/json"):
        c = _Connection(self.socket)
        try:
            headers = {"content-type": type} if body is not None else {}
            c.request(method, path, body=body, headers=headers)
            answer = c.getresponse()
            data = answer.read()
            assert answer.status < 400, (method, path, answer.status, data)
            if raw:
                return data
            return json.loads(data) if data else None
        finally:
            c.close()

    def import_image(self, tar, ref, *changes):
        repo, tag = ref.split(":")
        query = [("fromSrc", "-"), ("repo", repo), ("tag", tag)]
        query += [("changes", c) for c in changes]
        said = self.call("POST", "/images/create?" + urllib.parse.urlencode(query), tar, raw=True,
                         type="application/x-tar")
        id = json.loads(said.decode().strip().splitlines()[-1])["status"]
        query = urllib.parse.urlencode([("repo", repo), ("tag", tag)])
        self.call("POST", f"/images/{id}/tag?{query}", raw=True)

    def containers(self):
        return self.call("GET", "/containers/json?all=1")

    def inspect(self, id):
        return self.call("GET", f"/containers/{id}/json")

    def end(self):
        try:
            for c in self.containers() if self.process.poll() is None else []:
                self.call("DELETE", f"/containers/{c['Id']}?force=1&v=1")
        except (AssertionError, OSError):
            pass  # what is left of them ends below
        finally:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.log.close()
            clear(self.folder)


class FarEngine(Engine):
    """One behind TCP that sees other files than we do: in its place of the file system the folders of
    the tests and of this project are empty."""

    hidden = ()

    def arguments(self):
        with socket.create_server(("127.0.0.1", 0)) as s:
            port = s.getsockname()[1]
        self.host = f"tcp://127.0.0.1:{port}"
        return [*super().arguments(), "--host", self.host]

    def prefix(self):
        hide = "".join(f"mount -t tmpfs none '{folder}' && " for folder in self.hidden)
        return [find("unshare"), "--mount", "--propagation", "private", "sh", "-c",
                hide + 'exec "$@"', "sh"]


class Podman(Engine):
    """Podman's service of Docker's API."""

    program, package = "podman", "podman, runc"

    def arguments(self):
        (self.folder / "containers.conf").write_text(
            "[containers]\ndefault_ulimits = []\n[network]\n[engine]\nruntime = \"runc\"\n")
        return ["--root", str(self.folder / "data"), "--runroot", str(self.folder / "exec"),
                "--cgroup-manager", "cgroupfs", "--runtime", find("runc") or "runc",
                "--events-backend", "file", "--tmpdir", str(self.folder / "exec/tmp"),
                "system", "service", "--time=0", self.host]

    def variables(self):
        return {"CONTAINERS_CONF": str(self.folder / "containers.conf")}


class RootlessPodman(Podman):
    """The same, without privileges: as a user whom only its own view of /etc knows."""

    package = "podman, runc, uidmap"
    USER, FIRST = 64123, 64200 * 65536

    def arguments(self):
        lines = {"passwd": f"hdtest:x:{self.USER}:{self.USER}::{self.folder}:/bin/sh\n",
                 "group": f"hdtest:x:{self.USER}:\n",
                 "subuid": f"hdtest:{self.FIRST}:65536\n", "subgid": f"hdtest:{self.FIRST}:65536\n"}
        for name, line in lines.items():
            (self.folder / name).write_text(line)
        (self.folder / "run").mkdir(mode=0o700)
        arguments = super().arguments()
        for path in (self.folder, self.folder / "run"):
            os.chown(path, self.USER, self.USER)
        return arguments

    def variables(self):
        return {**super().variables(), "HOME": str(self.folder),
                "XDG_RUNTIME_DIR": str(self.folder / "run")}

    def prefix(self):
        own = "".join(f"mount --bind '{self.folder}/{name}' /etc/{name} && "
                      for name in ("passwd", "group", "subuid", "subgid"))
        become = f"exec setpriv --reuid {self.USER} --regid {self.USER} --clear-groups"
        return [find("unshare"), "--mount", "--propagation", "private", "sh", "-c",
                f'cd "{self.folder}" && {own}{become} "$@"', "sh"]

    def end(self):
        try:
            super().end()
        finally:
            for entry in pathlib.Path("/proc").iterdir():  # what holds its user namespace
                try:
                    if entry.name.isdigit() and entry.stat().st_uid == self.USER:
                        os.kill(int(entry.name), signal.SIGKILL)
                except OSError:
                    continue


def find(name):
    """A program of the system, also where PATH has no /usr/sbin."""
    return shutil.which(name, path=PATH)


def processes_of(folder):
    """Pids of what was started for an engine in that folder: they have it on their command line."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(folder) + "/" in (entry / "cmdline").read_text():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def mounts_below(folder):
    with open("/proc/self/mountinfo") as f:
        places = [line.split()[4] for line in f]
    return [place for place in places if place.startswith(str(folder) + "/")]


def clear(folder):
    """End and unmount what an engine that ended badly has left behind, and remove its files."""
    for pid in processes_of(folder):
        if pid != os.getpid():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    for place in reversed(mounts_below(folder)):
        subprocess.run(["umount", "--lazy", place], check=False, capture_output=True)
    if not mounts_below(folder):
        for name in ("data", "exec"):
            shutil.rmtree(pathlib.Path(folder) / name, ignore_errors=True)


def build_image(*args, cwd="/", **options):
    """`heddle image build`; Debian's own Python where it is here, which is smaller than most."""
    python = ["--python", "/usr/bin/python3"] if os.path.exists("/usr/bin/python3") else []
    done = run(cwd, "image", "build", *python, *args, kind="release", timeout=300, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fill(engine):
    """Give it the images of the tests: Python with a setting of its own, and Node where it is here."""
    tar = engine.folder / "base.tar"
    build_image("--runtime", "python", "--output", tar)
    engine.import_image(tar.read_bytes(), IMAGE, "ENV PATH=/usr/local/bin:/usr/bin:/bin",
                        "ENV FROM_IMAGE=yes")
    tar.unlink()
    if shutil.which("node") is not None:
        build_image("--runtime", "node", "--tag", NODE_IMAGE, "--docker-host", engine.host)


def start(folder, kind=Engine, *args):
    """An engine with the images in it, or a skipped test that says why."""
    if find(kind.program) is None:
        pytest.skip(f"there is no {kind.program} here (Debian: {kind.package})")
    if os.geteuid() != 0:
        pytest.skip(f"{kind.program} needs root")
    engine = kind(folder, *args)
    try:
        if not engine.wait():
            tail = (engine.folder / "engine.log").read_text(errors="replace").splitlines()[-3:]
            pytest.skip(f"{kind.program} does not start here: " + " | ".join(tail))
        fill(engine)
    except BaseException:
        engine.end()
        raise
    return engine


# --- what tests of containers share ---

@pytest.fixture(scope="session", params=[Engine, Podman], ids=["docker", "podman"])
def engine(request, tmp_path_factory):
    """One engine for all of them, and then another."""
    engine = start(tmp_path_factory.mktemp("engine"), request.param)
    try:
        yield engine
    finally:
        engine.end()


@pytest.fixture
def docker_node(tmp_path, request, engine):
    """docker_node('--flag', ...): a node that has the engine, checked at the test's end."""
    request.node.nodes = nodes = []
    (tmp_path / "functions").mkdir()

    def start(*args, host=None, env=None):
        node = Node(tmp_path, tmp_path / "functions", "--data-dir", str(tmp_path / "data"),
                    "--docker-host", host or engine.host, "--docker-image",
                    f"*={IMAGE},nodejs={NODE_IMAGE}", "--lambda-queue-wait", "60000",
                    "--lambda-init-timeout", "60000", *args, kind="release", env=env)
        nodes.append(node)
        return node.start()

    yield start
    try:
        for node in nodes:
            node.stop()
    finally:
        for node in nodes:
            node.kill()


API = "/2015-03-31/functions"


def zipped(name, text, mode=0o644):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        info = zipfile.ZipInfo(name)
        info.external_attr = (0o100000 | mode) << 16
        z.writestr(info, text)
    return out.getvalue()


def create(node, name, **members):
    body = {"FunctionName": name, "Role": "arn:aws:iam::000000000000:role/r", "Timeout": 20, **members}
    answer = node.ask_control("POST", API, {"content-type": "application/json"}, json.dumps(body))
    assert answer.status == 201, answer
    return answer.json()


def create_zip(node, name, runtime, handler, file, text, mode=0o644, **members):
    code = base64.b64encode(zipped(file, text, mode)).decode()
    return create(node, name, Runtime=runtime, Handler=handler, Code={"ZipFile": code}, **members)


def configuration(node, name):
    return node.ask_control("GET", f"{API}/{name}/configuration").json()


def active(node, name):
    def check():
        c = configuration(node, name)
        return c if c.get("State") not in (None, "Pending") else None
    return eventually(check, what=f"{name} is not pending any more")


def invoke(node, name, event, **fields):
    headers = {"x-amz-log-type": "Tail", **fields}
    return node.ask_control("POST", f"{API}/{name}/invocations", headers, json.dumps(event),
                            timeout=90)


def tail(answer):
    return base64.b64decode(answer.get("x-amz-log-result")).decode()


def ours(engine, function=None):
    return [c for c in engine.containers() if c["Labels"].get("heddle.managed") == "true"
            and function in (None, c["Labels"].get("heddle.function"))]
