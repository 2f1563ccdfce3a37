"""HTTP/1.1 by hand: bytes go out as the test wrote them, and what comes back is read strictly."""

import socket

from heddle import WAIT_S, Response


class Closed(Exception):
    """The peer closed before the answer was complete."""


class Wire:
    """One TCP connection."""

    def __init__(self, port, timeout=WAIT_S, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)
        return self

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def fill(self):
        """Read some more. Raises Closed at the end."""
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            raise Closed("reset") from None
        if not data:
            raise Closed(f"after {self.buffer[:200]!r}")
        self.buffer += data

    def until(self, mark):
        while mark not in self.buffer:
            self.fill()
        part, self.buffer = self.buffer.split(mark, 1)
        return part

    def take(self, count):
        while len(self.buffer) < count:
            self.fill()
        part, self.buffer = self.buffer[:count], self.buffer[count:]
        return part

    def head(self):
        """One answer's head: (status, fields)."""
        lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, _ = (lines[0] + " ").split(" ", 2)
        assert version == "HTTP/1.1", lines[0]
        fields = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            assert colon and name and name == name.strip(), f"bad field line {line!r}"
            fields.append((name, value.strip()))
        return int(status), fields

    def chunks(self):
        """The pieces of a chunked body, trailers dropped."""
        while True:
            size = int(self.until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                while self.until(b"\r\n"):
                    pass
                return
            yield self.take(size)
            assert self.take(2) == b"\r\n"

    def answer(self, to_head=False, informational=False):
        """One whole answer. 1xx are skipped unless asked for."""
        status, fields = self.head()
        if status < 200:
            if informational or status == 101:
                return Response(status, fields, b"")
            return self.answer(to_head)
        names = {name.lower(): value for name, value in fields}
        assert not ("content-length" in names and "transfer-encoding" in names), fields
        body = b""
        if to_head or status in (204, 304):
            pass
        elif "transfer-encoding" in names:
            assert names["transfer-encoding"].lower() == "chunked", fields
            body = b"".join(self.chunks())
        elif "content-length" in names:
            body = self.take(int(names["content-length"]))
        else:
            body = self.rest()
        return Response(status, fields, body)

    def rest(self):
        """Everything up to the end."""
        try:
            while True:
                self.fill()
        except Closed:
            part, self.buffer = self.buffer, b""
            return part

    def closed(self):
        """Whether the peer closes, with nothing more to say, before the socket's timeout."""
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            return True
        except socket.timeout:
            return False
        assert not data and not self.buffer, f"more came: {self.buffer + data!r}"
        return True


def get(path, *fields, version="HTTP/1.1", method="GET", host="heddle.test"):
    """The bytes of a request without a body."""
    lines = [f"{method} {path} {version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    return "\r\n".join([*lines, *fields, "", ""])
