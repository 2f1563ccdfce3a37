"""Clients that take their time: each wait has its own limit, and other clients notice nothing."""

import time

from wire import Wire, get

# Short limits, so that the test is; each is a setting of its own.
LIMITS = {"HEDDLE_HEAD_TIMEOUT_MS": "600", "HEDDLE_BODY_READ_MS": "600",
          "HEDDLE_KEEP_ALIVE_MS": "600"}


def took(start):
    return time.monotonic() - start


def test_half_a_head_is_408(start_node):
    node = start_node(env=LIMITS)
    start = time.monotonic()
    with Wire(node.port) as wire:
        answer = wire.send("GET /functions/v1/hello HTTP/1.1\r\nHost: a\r\n").answer()
        assert answer.status == 408
        assert wire.closed()
    assert 0.5 < took(start) < 10


def test_a_head_byte_by_byte_does_not_stretch_the_limit(start_node):
    node = start_node(env=LIMITS)
    start = time.monotonic()
    with Wire(node.port, timeout=0.1) as wire:
        wire.send("GET /functions/v1/hello HTTP/1.1\r\nX: ")
        while took(start) < 10:
            try:
                wire.send("a")
                wire.fill()
                break
            except TimeoutError:
                continue
        wire.socket.settimeout(5)
        assert wire.answer().status == 408
    assert took(start) < 10


def test_a_body_that_stalls_is_408(start_node):
    node = start_node(env=LIMITS)
    for framing, part in (("Content-Length: 10", "abc"),
                          ("Transfer-Encoding: chunked", "3\r\nabc\r\n")):
        start = time.monotonic()
        with Wire(node.port) as wire:
            wire.send(get("/functions/v1/upload", framing, method="POST") + part)
            answer = wire.answer()
            assert answer.status == 408, answer
            assert answer.json()["error"] == "Request body read timed out"
            assert wire.closed()
        assert 0.5 < took(start) < 10


def test_a_body_that_trickles_is_not_stalled(start_node):
    node = start_node(env=LIMITS)
    with Wire(node.port) as wire:
        wire.send(get("/functions/v1/upload", "Content-Length: 8", method="POST"))
        for _ in range(8):
            wire.send("x")
            time.sleep(0.2)  # the trickle itself: longer in all than the limit of one gap
        assert wire.answer().json() == {"bytes": 8}


def test_an_idle_connection_is_closed_without_a_word(start_node):
    node = start_node(env=LIMITS)
    with Wire(node.port) as wire:
        assert wire.send(get("/functions/v1/hello")).answer().status == 200
        start = time.monotonic()
        assert wire.closed()
        assert 0.3 < took(start) < 10


def test_a_connection_that_never_speaks_is_closed(start_node):
    node = start_node(env=LIMITS)
    start = time.monotonic()
    with Wire(node.port) as wire:
        rest = wire.rest()
        assert rest == b"" or rest.startswith(b"HTTP/1.1 408 ")
    assert took(start) < 10


def test_slow_clients_do_not_slow_the_others(start_node):
    node = start_node(env={"HEDDLE_HEAD_TIMEOUT_MS": "20000"})
    slow = [Wire(node.port).send("GET /functions/v1/hello HTTP/1.1\r\nX: ") for _ in range(200)]
    try:
        node.get("hello")
        start = time.monotonic()
        for _ in range(20):
            assert node.get("hello").status == 200
        assert took(start) < 5
    finally:
        for wire in slow:
            wire.socket.close()
