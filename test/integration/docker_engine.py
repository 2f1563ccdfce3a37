"""A container engine of the test's own: dockerd on a private socket, everything of it in a folder that
goes; and an image made of this machine's programs, so that nothing is fetched."""

import http.client
import io
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tarfile
import time
import urllib.parse

import pytest

IMAGE = "heddle-test/base:latest"
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

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.socket = str(self.folder / "docker.sock")
        self.host = "unix://" + self.socket
        self.log = open(self.folder / "dockerd.log", "wb")
        self.process = subprocess.Popen(
            [find("dockerd"), "--host", self.host, "--data-root", str(self.folder / "data"),
             "--exec-root", str(self.folder / "exec"), "--pidfile", str(self.folder / "pid"),
             "--iptables=false", "--ip6tables=false", "--bridge=none",
             "--exec-opt", "native.cgroupdriver=cgroupfs"],
            env=dict(os.environ, PATH=PATH), stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=self.log, start_new_session=True)

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
        self.call("POST", "/images/create?" + urllib.parse.urlencode(query), tar, raw=True,
                  type="application/x-tar")

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


def _libraries(program):
    text = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    return set(re.findall(r"(/\S+)", text))


def program(name):
    """Debian's own program of that name, else the first on PATH that is no script: wrappers of version
    managers are of no use elsewhere."""
    places = ["/usr/bin", "/bin", "/usr/local/bin", *os.environ.get("PATH", "").split(":")]
    for place in places:
        path = os.path.join(place, name)
        try:
            with open(path, "rb") as f:
                if f.read(4) == b"\x7fELF":
                    return os.path.realpath(path)
        except OSError:
            continue
    return None


def base_image():
    """A tar of Python, Node where it is here, and a shell, with the libraries they need."""
    programs = {name: program(name) for name in ("sh", "python3", "cat", "sleep", "node")}
    out = io.BytesIO()
    done = set()
    tar = tarfile.open(fileobj=out, mode="w")

    def folder(name):
        parts = pathlib.PurePosixPath(name).parts
        for i in range(1, len(parts) + 1):
            path = "/".join(parts[:i])
            if path not in done:
                done.add(path)
                info = tarfile.TarInfo(path)
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)

    def file(source, name):
        name = name.lstrip("/")
        if name in done:
            return
        done.add(name)
        folder(os.path.dirname(name))
        info = tar.gettarinfo(os.path.realpath(source), name)
        info.uid = info.gid = 0
        with open(source, "rb") as f:
            tar.addfile(info, f)

    for name, path in programs.items():
        if path is None:
            continue
        file(path, f"/usr/bin/{name}")
        for library in _libraries(path):
            file(library, library)
    info = tarfile.TarInfo("bin")
    info.type, info.linkname = tarfile.SYMTYPE, "usr/bin"
    tar.addfile(info)
    version = subprocess.run(
        [programs["python3"], "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"],
        capture_output=True, text=True, check=True).stdout.strip()
    skip = {"test", "idlelib", "tkinter", "lib2to3", "ensurepip", "__pycache__", "dist-packages"}
    for where, folders, files in os.walk(version):
        folders[:] = [f for f in folders if f not in skip]
        for name in files:
            path = os.path.join(where, name)
            file(path, path)
            if name.endswith(".so"):
                for library in _libraries(path):
                    file(library, library)
    for name in ("tmp", "proc", "sys", "dev", "var/task", "var/runtime", "opt", "heddle/run", "etc"):
        folder(name)
    for name in ("/etc/passwd", "/etc/group", "/etc/nsswitch.conf"):
        if os.path.exists(name):
            file(name, name)
    tar.close()
    return out.getvalue()


def start(folder):
    """An engine with the image in it, or a skipped test that says why."""
    if find("dockerd") is None:
        pytest.skip("there is no dockerd here (Debian: docker.io, runc)")
    if os.geteuid() != 0:
        pytest.skip("dockerd needs root")
    engine = Engine(folder)
    try:
        if not engine.wait():
            tail = (engine.folder / "dockerd.log").read_text(errors="replace").splitlines()[-3:]
            pytest.skip("dockerd does not start here: " + " | ".join(tail))
        engine.import_image(base_image(), IMAGE, "ENV PATH=/usr/local/bin:/usr/bin:/bin",
                            'ENV FROM_IMAGE=yes')
    except BaseException:
        engine.end()
        raise
    return engine
