"""An engine whose answers come in an order that it was not asked in."""

import contextlib
import socket
import threading

from docker_engine import active, create_zip, invoke, ours

PYTHON = "def handler(event, context):\n    return event\n"


class LateKill:
    """The engine behind a socket of its own. What it answers to a kill comes when the container's
    removal was asked for, or after a second; and the answer to that a moment later."""

    def __init__(self, path, engine):
        self.engine, self.removals = engine, []  # the first lines of requests
        self.removing, self.killed, self.removed = (threading.Event() for _ in range(3))
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self.engine)
                asked = [b""]
                threading.Thread(target=self._ask, args=(client, server, asked),
                                 daemon=True).start()
                threading.Thread(target=self._answer, args=(server, client, asked),
                                 daemon=True).start()

    def _ask(self, source, sink, asked):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                asked[0] = data
                if data.startswith(b"DELETE "):
                    line = data.split(b"\r\n", 1)[0]
                    if line in self.removals:
                        self.removed.wait(20)
                    self.removals.append(line)
                    self.removing.set()
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _answer(self, source, sink, asked):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                line = asked[0].split(b"\r\n", 1)[0]
                if b"/kill?" in line:
                    self.removing.wait(1)
                    sink.sendall(data)
                    self.killed.set()
                    continue
                if line.startswith(b"DELETE "):
                    self.killed.wait(20)
                    threading.Event().wait(0.3)  # so that the other one is dealt with first
                    self.removed.set()
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)


def test_a_kill_that_is_answered_after_the_end(docker_node, engine, tmp_path):
    late = LateKill(tmp_path / "late.sock", engine.socket)
    n = docker_node("--lambda-backend", "docker", host=f"unix://{tmp_path}/late.sock")
    create_zip(n, "py", "python3.11", "f.handler", "f.py", PYTHON)
    active(n, "py")
    assert invoke(n, "py", {"a": 1}).json() == {"a": 1}
    n.stop()
    # Each container once. On a busy machine one may have been too slow to start, and had a successor.
    assert late.killed.is_set() and late.removals
    assert len(late.removals) == len(set(late.removals)), late.removals
    assert ours(engine) == []
