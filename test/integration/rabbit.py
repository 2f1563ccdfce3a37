"""A real RabbitMQ for tests: on loopback, in a folder of its own, with its own name service."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

BIN = Path("/usr/lib/rabbitmq/bin")
READY_S = 90


def why_not():
    """Why there is none here, or None."""
    if not (BIN / "rabbitmq-server").exists():
        return "rabbitmq-server is not installed"
    if shutil.which("epmd") is None:
        return "epmd (Erlang) is not installed"
    return None


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Rabbit:
    """One broker; start(), kill(), start() again keeps its queues."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.port, self.dist, self.epmd = free_port(), free_port(), free_port()
        self.process = None
        for name in ("mnesia", "log", "home"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\nloopback_users = none\n"
            "vm_memory_high_watermark.absolute = 1GB\ndisk_free_limit.absolute = 10MB\n")
        (self.folder / "plugins").write_text("[].\n")
        self.env = {
            "PATH": os.environ["PATH"], "HOME": str(self.folder / "home"), "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": f"heddle-{self.port}@localhost",
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"), "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_DIST_PORT": str(self.dist), "ERL_EPMD_PORT": str(self.epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS":
                "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1",
        }

    @property
    def url(self):
        return f"amqp://guest:guest@127.0.0.1:{self.port}/%2f"

    def start(self):
        with open(self.folder / "out", "ab") as out:
            self.process = subprocess.Popen([str(BIN / "rabbitmq-server")], env=self.env,
                                            stdout=out, stderr=out, cwd=self.folder,
                                            start_new_session=True)
        end = time.monotonic() + READY_S
        while not self._speaks():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("RabbitMQ did not start: "
                                   + (self.folder / "out").read_text(errors="replace")[-2000:])
            time.sleep(0.1)
        return self

    def _speaks(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as s:
                s.settimeout(5)
                s.sendall(b"AMQP\x00\x00\x09\x01")
                return s.recv(1) == b"\x01"
        except OSError:
            return False

    def kill(self):
        """End it at once, as a power cut does; and its name service."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, 9)
            except ProcessLookupError:
                pass
            self.process.wait()
            self.process = None
        for pid in Path("/proc").glob("[0-9]*"):
            try:
                command = (pid / "cmdline").read_bytes()
                if str(self.folder).encode() in command:
                    os.kill(int(pid.name), 9)
                elif command.startswith(b"/") and b"epmd\0-daemon" in command and (
                        f"ERL_EPMD_PORT={self.epmd}\0".encode() in (pid / "environ").read_bytes()):
                    os.kill(int(pid.name), 9)
            except (OSError, ValueError):
                continue

    def has_on_disk(self, queue):
        """Whether a power cut leaves a quorum queue alive. The broker writes the name of a new one
        some seconds after it was declared; killed before, it comes back with a queue that never
        gets a leader, whatever its clients do."""
        name = self.env["RABBITMQ_NODENAME"]
        names = self.folder / "mnesia" / name / "quorum" / name / "names.dets"
        return names.exists() and f"%2F_{queue}".encode() in names.read_bytes()

    def ctl(self, *args):
        done = subprocess.run([str(BIN / "rabbitmqctl"), "-q", *args], env=self.env, text=True,
                              capture_output=True, check=True, timeout=60)
        return done.stdout

    def queues(self):
        """name -> (messages, unacknowledged)"""
        rows = self.ctl("list_queues", "name", "messages", "messages_unacknowledged")
        found = {}
        for row in rows.splitlines():
            parts = row.split("\t")
            if len(parts) == 3 and parts[1].isdigit():
                found[parts[0]] = (int(parts[1]), int(parts[2]))
        return found
