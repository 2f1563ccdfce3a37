"""Constant load on a node, counted by answer."""

import http.client
import socket
import threading
import time
from collections import Counter

from heddle import WAIT_S


class Load:
    """Requests one after the other on each of some connections, until it is stopped.

    `paths` are asked in turn. A request that gets no answer at all counts as the exception's name.
    """

    def __init__(self, node, paths, connections=4, method="GET", check=None, headers=None):
        self.node, self.paths, self.method = node, paths, method
        self.headers = headers or {}
        self.check = check or (lambda path, answer, body: answer.status)
        self.seen = Counter()
        self.slowest = 0.0
        self.problems = []  # what was no answer, in words
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True)
                         for n in range(connections)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(WAIT_S + 10)
            assert not thread.is_alive(), "a request hangs"

    def count(self):
        with self._lock:
            return sum(self.seen.values())

    def _note(self, what, took, problem=None):
        with self._lock:
            self.seen[what] += 1
            self.slowest = max(self.slowest, took)
            if problem and len(self.problems) < 20:
                self.problems.append(problem)

    def _run(self, n):
        connection = None
        while not self._stop.is_set():
            path = "/functions/v1/" + self.paths[n % len(self.paths)]
            n += 1
            began = time.monotonic()
            try:
                connection = connection or self._connect()
                connection.request(self.method, path, headers=self.headers)
                answer = connection.getresponse()
                body = answer.read()
                what = self.check(path, answer, body)
                self._note(what, time.monotonic() - began)
                if answer.will_close:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as error:
                self._note(type(error).__name__, time.monotonic() - began, f"{path}: {error!r}")
                if connection:
                    connection.close()
                connection = None
        if connection:
            connection.close()

    def _connect(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.node.port, timeout=WAIT_S)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection
