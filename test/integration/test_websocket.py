"""A WebSocket goes through to the function and back (RFC 6455)."""

import base64
import hashlib
import os
import shutil
import signal
import socket
import struct
import subprocess

import pytest

from heddle import ROOT, eventually
from wire import Wire, get

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def in_flight(node):
    return sum(v for k, v in node.metrics().items() if k.startswith("heddle_requests_in_flight"))


def handshake(wire, path="/functions/v1/socket"):
    key = base64.b64encode(os.urandom(16)).decode()
    wire.send(get(path, "Connection: Upgrade", "Upgrade: websocket",
                  "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}"))
    answer = wire.answer()
    expected = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
    return answer, expected


def frame(payload, opcode=1):
    """A masked frame of a client."""
    mask = os.urandom(4)
    size = len(payload)
    length = (bytes([0x80 | size]) if size < 126 else
              bytes([0x80 | 126]) + size.to_bytes(2, "big") if size < 65536 else
              bytes([0x80 | 127]) + size.to_bytes(8, "big"))
    return (bytes([0x80 | opcode]) + length + mask
            + bytes(b ^ mask[n % 4] for n, b in enumerate(payload)))


def read_frame(wire):
    first, second = wire.take(2)
    assert second < 128, "a server does not mask"
    size = second
    if size == 126:
        size = int.from_bytes(wire.take(2), "big")
    elif size == 127:
        size = int.from_bytes(wire.take(8), "big")
    return first & 15, wire.take(size)


def test_messages_come_back(node):
    with Wire(node.port) as wire:
        answer, accept = handshake(wire)
        assert answer.status == 101, answer
        assert answer.get("sec-websocket-accept") == accept
        assert answer.get("upgrade").lower() == "websocket"
        for size in (0, 1, 125, 126, 65535, 65536, 200000):
            payload = b"x" * size
            wire.send(frame(payload))
            assert read_frame(wire) == (1, payload)


def test_a_message_sent_with_the_handshake_is_not_lost(node):
    with Wire(node.port) as wire:
        key = base64.b64encode(os.urandom(16)).decode()
        request = get("/functions/v1/socket", "Connection: Upgrade", "Upgrade: websocket",
                      "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}")
        wire.send(request.encode() + frame(b"early"))
        assert wire.answer().status == 101
        assert read_frame(wire) == (1, b"early")


def test_closing_goes_through_and_ends_the_connection(node):
    with Wire(node.port) as wire:
        assert handshake(wire)[0].status == 101
        wire.send(frame((1000).to_bytes(2, "big"), opcode=8))
        assert read_frame(wire)[0] == 8
        assert wire.closed()


def test_many_sockets_at_once(node):
    wires = [Wire(node.port) for _ in range(100)]
    try:
        for wire in wires:
            assert handshake(wire)[0].status == 101
        for n, wire in enumerate(wires):
            wire.send(frame(b"%d" % n))
        for n, wire in enumerate(wires):
            assert read_frame(wire) == (1, b"%d" % n)
    finally:
        for wire in wires:
            wire.socket.close()
    assert eventually(lambda: node.get("hello").status == 200)


def test_a_client_that_vanishes_ends_the_socket_in_the_function(start_node, write_functions):
    functions = write_functions({
        "watched/index.ts": """
Deno.serve((req) => {
  const { socket, response } = Deno.upgradeWebSocket(req);
  socket.onclose = () => console.log("the socket is closed");
  return response;
});
""",
        "watched/heddle.json": '{"verify_jwt": false}\n'})
    node = start_node(functions)
    with Wire(node.port) as wire:
        assert handshake(wire, "/functions/v1/watched")[0].status == 101
        # no close frame, and a reset instead of an end
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    node.wait_record(lambda r: "the socket is closed" in str(r), what="the close in the function")
    eventually(lambda: in_flight(node) == 0, what="the end of the request")


def test_a_function_that_dies_ends_the_socket(start_node):
    node = start_node()
    with Wire(node.port) as wire:
        assert handshake(wire)[0].status == 101
        for pid in node.children():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        assert wire.closed()
    eventually(lambda: in_flight(node) == 0, what="the end of the request")


def test_other_protocols_are_not_tunnelled(node):
    with Wire(node.port) as wire:
        wire.send(get("/functions/v1/headers", "Connection: Upgrade", "Upgrade: h2c"))
        answer = wire.answer()
        assert answer.status == 200
        assert "upgrade" not in dict(answer.json()["headers"])


def test_without_an_upgrade_it_is_an_ordinary_request(node):
    assert node.get("socket").status == 426


def test_a_protected_function_is_not_reachable_by_upgrade(node):
    with Wire(node.port) as wire:
        assert handshake(wire, "/functions/v1/private")[0].status == 401


CLIENT = """
import WebSocket from "ws";
const socket = new WebSocket(process.argv[1]);
socket.on("open", () => socket.send("from a real client"));
socket.on("message", (data) => { console.log(String(data)); socket.close(1000); });
socket.on("close", (code) => process.exit(code === 1000 ? 0 : 1));
socket.on("error", (error) => { console.error(error); process.exit(1); });
"""


@pytest.mark.skipif(not (ROOT / "test/node_modules/ws").is_dir(),
                    reason="test/node_modules is not installed; `make deps` does that")
def test_the_ws_client_gets_through(node):
    done = subprocess.run([shutil.which("node"), "--input-type=module", "-e", CLIENT,
                           f"ws://127.0.0.1:{node.port}/functions/v1/socket"],
                          cwd=ROOT / "test", capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout.strip()) == (0, "from a real client"), done
