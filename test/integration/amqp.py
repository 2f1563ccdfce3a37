"""A small AMQP 0-9-1 client for tests: declare, publish with properties, get, count."""

import socket
import struct

FLAGS = ["content_type", "content_encoding", "headers", "delivery_mode", "priority",
         "correlation_id", "reply_to", "expiration", "message_id", "timestamp", "type", "user_id",
         "app_id"]


def short(text):
    data = text.encode()
    return bytes([len(data)]) + data


def long(data):
    return struct.pack(">I", len(data)) + data


def value(v):
    if isinstance(v, bool):
        return b"t" + bytes([v])
    if isinstance(v, int):
        return b"l" + struct.pack(">q", v)
    if isinstance(v, dict):
        return b"F" + table(v)
    return b"S" + long(v if isinstance(v, bytes) else v.encode())


def table(entries):
    return long(b"".join(short(k) + value(v) for k, v in entries.items()))


def properties(given):
    flags, out = 0, b""
    for i, name in enumerate(FLAGS):
        if name not in given:
            continue
        v = given[name]
        flags |= 1 << (15 - i)
        if name == "headers":
            out += table(v)
        elif name in ("delivery_mode", "priority"):
            out += bytes([v])
        elif name == "timestamp":
            out += struct.pack(">Q", v)
        else:
            out += short(v)
    return struct.pack(">H", flags) + out


class Amqp:
    """One connection with one channel, as guest."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.socket.settimeout(30)
        self.rest = b""
        self.socket.sendall(b"AMQP\x00\x00\x09\x01")
        self._expect(0, (10, 10))
        self._send(0, (10, 11), table({}) + short("PLAIN") + long(b"\0guest\0guest") + short(""))
        self._expect(0, (10, 30))
        self._send(0, (10, 31), struct.pack(">HIH", 2047, 131072, 0))
        self._send(0, (10, 40), short("/") + short("") + b"\0")
        self._expect(0, (10, 41))
        self._send(1, (20, 10), short(""))
        self._expect(1, (20, 11))

    def close(self):
        self.socket.close()

    def _frame(self, kind, channel, payload):
        self.socket.sendall(struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce")

    def _send(self, channel, method, arguments):
        self._frame(1, channel, struct.pack(">HH", *method) + arguments)

    def _read(self, n):
        while len(self.rest) < n:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError("the broker closed the connection")
            self.rest += more
        data, self.rest = self.rest[:n], self.rest[n:]
        return data

    def _receive(self):
        while True:
            kind, channel, size = struct.unpack(">BHI", self._read(7))
            payload = self._read(size + 1)[:-1]
            if kind != 8:  # a heartbeat
                return kind, channel, payload

    def _expect(self, channel, *methods):
        kind, got, payload = self._receive()
        method = struct.unpack(">HH", payload[:4]) if kind == 1 else None
        if got != channel or method not in methods:
            raise ConnectionError(f"unexpected frame {kind} {method} {payload[:200]!r}")
        return method, payload[4:]

    def declare(self, queue, durable=True, **arguments):
        """Returns how many messages are ready in it."""
        self._send(1, (50, 10), b"\0\0" + short(queue) + bytes([2 if durable else 0])
                   + table(arguments))
        _, rest = self._expect(1, (50, 11))
        return struct.unpack(">I", rest[1 + rest[0]:][:4])[0]

    def publish(self, queue, body, **given):
        body = body.encode() if isinstance(body, str) else body
        self._send(1, (60, 40), b"\0\0" + short("") + short(queue) + b"\0")
        self._frame(2, 1, struct.pack(">HHQ", 60, 0, len(body)) + properties(given))
        for at in range(0, len(body), 131000):
            self._frame(3, 1, body[at:at + 131000])

    def get(self, queue):
        """Takes one message for good: its body, or None."""
        self._send(1, (60, 70), b"\0\0" + short(queue) + b"\1")
        method, _ = self._expect(1, (60, 71), (60, 72))
        if method == (60, 72):
            return None
        _, _, header = self._receive()
        size, body = struct.unpack(">Q", header[4:12])[0], b""
        while len(body) < size:
            body += self._receive()[2]
        return body
