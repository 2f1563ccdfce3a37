"""Keep-alive, pipelining, Expect, half-close, versions, trailers."""

import time

import pytest

from heddle import eventually
from wire import Closed, Wire, get

HELLO = "/functions/v1/hello"
ECHO = "/functions/v1/echo"


def test_a_connection_serves_many_requests(node):
    with Wire(node.port) as wire:
        for n in range(50):
            answer = wire.send(get(f"{HELLO}?name={n}")).answer()
            assert answer.json() == {"message": f"Hello, {n}!"}


def test_pipelined_requests_are_answered_in_order(node):
    with Wire(node.port) as wire:
        wire.send(get("/functions/v1/slow?ms=200")
                  + "".join(get(f"{HELLO}?name={n}") for n in range(20)))
        assert wire.answer().body == b"done"
        for n in range(20):
            assert wire.answer().json() == {"message": f"Hello, {n}!"}


def test_pipelined_bodies_do_not_mix(node):
    with Wire(node.port) as wire:
        for n in range(10):
            wire.send(get(ECHO, f"Content-Length: {n + 1}", method="POST") + "x" * (n + 1))
        for n in range(10):
            assert wire.answer().body == b"x" * (n + 1)


def test_close_is_kept(node):
    with Wire(node.port) as wire:
        answer = wire.send(get(HELLO, "Connection: close")).answer()
        assert answer.get("connection").lower() == "close"
        assert wire.closed()


def test_http_1_0_closes_unless_asked_to_stay(node):
    with Wire(node.port) as wire:
        assert wire.send(get(HELLO, version="HTTP/1.0")).answer().status == 200
        assert wire.closed()
    with Wire(node.port) as wire:
        for _ in range(2):
            wire.send(get(HELLO, "Connection: keep-alive", version="HTTP/1.0"))
            answer = wire.answer()
            assert answer.status == 200
            assert answer.get("connection").lower() == "keep-alive"


def test_an_http_1_0_client_never_gets_chunks(node):
    with Wire(node.port) as wire:
        answer = wire.send(get("/functions/v1/big?mb=1", version="HTTP/1.0")).answer()
        assert answer.get("transfer-encoding") is None
        assert len(answer.body) == 1 << 20


def test_an_http_1_0_client_gets_the_length_that_is_known(node):
    with Wire(node.port) as wire:
        wire.send(get(HELLO, "Connection: keep-alive", version="HTTP/1.0", method="HEAD"))
        answer = wire.answer(to_head=True)
        assert answer.status == 200 and int(answer.get("content-length")) > 0
        wire.send(get("/functions/v1/big?mb=1", "Connection: keep-alive", version="HTTP/1.0"))
        answer = wire.answer()
        assert answer.get("connection").lower() == "close" and len(answer.body) == 1 << 20


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_keeps_the_connection(node, status):
    with Wire(node.port) as wire:
        for _ in range(2):
            answer = wire.send(get(f"/functions/v1/raw?status={status}")).answer()
            assert answer.status == status
            assert answer.get("transfer-encoding") is None
            if status == 204:
                assert answer.get("content-length") is None


def test_head_has_the_fields_of_get_and_no_body(node):
    with Wire(node.port) as wire:
        for path in (HELLO, "/functions/v1/big?mb=1", "/functions/v1/missing", "/"):
            answer = wire.send(get(path, method="HEAD")).answer(to_head=True)
            whole = wire.send(get(path)).answer()
            assert answer.status == whole.status
            assert answer.get("content-type") == whole.get("content-type")
            if answer.get("content-length") is not None:
                assert int(answer.get("content-length")) == len(whole.body)


def test_early_hints_come_before_the_answer(node):
    with Wire(node.port) as wire:
        answer = wire.send(get("/functions/v1/raw?hints=1")).answer(informational=True)
        assert (answer.status, answer.get("link")) == (103, "</style.css>; rel=preload")
        assert wire.answer().status == 200
        # HTTP/1.0 knows no such answers
        wire.send(get("/functions/v1/raw?hints=1", version="HTTP/1.0"))
        assert wire.answer(informational=True).status == 200


def read_trailers(wire):
    """A whole chunked answer: its body and its trailers."""
    status, _ = wire.head()
    assert status == 200
    body, fields = b"", {}
    while True:
        size = int(wire.until(b"\r\n").split(b";")[0], 16)
        if size == 0:
            break
        body += wire.take(size)
        assert wire.take(2) == b"\r\n"
    while line := wire.until(b"\r\n"):
        name, _, value = line.decode().partition(":")
        fields[name.lower()] = value.strip()
    return body, fields


def test_trailers_go_both_ways_without_those_that_are_not_allowed(node):
    with Wire(node.port) as wire:
        for _ in range(2):
            wire.send(get("/functions/v1/trailers", "Transfer-Encoding: chunked", method="POST")
                      + "3\r\nabc\r\n0\r\nX-Check:  17 \r\nContent-Length: 9\r\n"
                      "X-Heddle-Auth: forged\r\nAuthorization: forged\r\n\r\n")
            body, fields = read_trailers(wire)
            assert body == b'{"x-check":"17"}'
            assert fields == {"x-sum": "abc"}
        # where nothing is chunked there is no place for them
        wire.send(get("/functions/v1/trailers", version="HTTP/1.0"))
        answer = wire.answer()
        assert (answer.status, answer.body) == (200, b"{}")


def test_trailers_of_a_request_that_waited_for_its_instance_arrive(start_node):
    node = start_node()
    with Wire(node.port) as wire:
        wire.send(get("/functions/v1/trailers", "Transfer-Encoding: chunked", method="POST")
                  + "3\r\nabc\r\n0\r\nX-Check: 18\r\n\r\n")
        assert read_trailers(wire)[0] == b'{"x-check":"18"}'


def test_a_body_that_grows_too_large_is_413_in_mid_stream(start_node):
    node = start_node(env={"HEDDLE_BODY_LIMIT_MB": "1"})
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with Wire(node.port) as wire:
        wire.send(get("/functions/v1/upload", "Transfer-Encoding: chunked", method="POST"))
        for _ in range(16):
            wire.send(chunk)
        wire.send("1\r\nx\r\n")
        answer = wire.answer()
        assert answer.status == 413 and answer.json()["maxBytes"] == 1 << 20
        assert answer.get("connection").lower() == "close"
        assert wire.closed()
    with Wire(node.port) as wire:  # what is announced is refused before it is sent
        wire.send(get("/functions/v1/upload", "Content-Length: 1048577", "Expect: 100-continue",
                      method="POST"))
        assert wire.answer(informational=True).status == 413


def test_no_100_continue_when_the_rate_is_over(start_node):
    node = start_node(None, "--rpm", "1", env={"HEDDLE_DISABLE_RATE_LIMIT": None})
    request = get(ECHO, "Content-Length: 1", "Expect: 100-continue", method="POST")
    with Wire(node.port) as wire:
        for _ in range(100):
            answer = wire.send(request).answer(informational=True)
            if answer.status != 100:
                break
            assert wire.send("x").answer().status == 200
        assert answer.status == 429


def test_an_answer_before_the_body_ends_the_connection(node):
    with Wire(node.port) as wire:
        wire.send(get("/functions/v1/raw?early=1", "Content-Length: 10", method="POST"))
        assert wire.answer().status == 200
        assert wire.closed()


def test_half_closed_clients_get_all_answers_they_asked_for(node):
    with Wire(node.port) as wire:
        wire.send(get("/functions/v1/slow?ms=100")
                  + "".join(get(f"{HELLO}?name={n}") for n in range(5))).half_close()
        assert wire.answer().body == b"done"
        for n in range(5):
            assert wire.answer().json() == {"message": f"Hello, {n}!"}
        assert wire.closed()


def test_a_slow_reader_gets_all_of_an_answer_that_closes(start_node):
    node = start_node(env={"HEDDLE_KEEP_ALIVE_MS": "300"})
    for fields in (["Connection: close"], []):
        with Wire(node.port, receive_buffer=4096) as wire:
            wire.send(get("/functions/v1/big?mb=6", *fields))
            assert wire.head()[0] == 200
            wire.half_close()
            # longer than any wait of a connection that has nothing more to do
            time.sleep(2.5)
            assert sum(len(chunk) for chunk in wire.chunks()) == 6 << 20


def test_a_client_that_asks_and_never_reads_does_not_grow_the_node(start_node):
    node = start_node(kind="release")
    request = get("/functions/v1/no-such-function").encode() * 1000
    first = node.rss_kb()
    with Wire(node.port, timeout=1, receive_buffer=4096) as wire:
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 256 << 20:
                sent += wire.socket.send(request)
        assert node.rss_kb() - first < 8 * 1024
        wire.socket.settimeout(10)
        for _ in range(1000):
            assert wire.answer().status == 404
    assert node.get("hello").status == 200


def test_a_client_that_stops_reading_is_cut_off(start_node):
    node = start_node(env={"HEDDLE_STREAM_IDLE_MS": "500"})
    with Wire(node.port, receive_buffer=4096) as wire:
        wire.send(get("/functions/v1/big?mb=64"))
        assert wire.head()[0] == 200
        node.wait_record(lambda r: "client_stalled" in str(r), what="the end of a stalled client")
        with pytest.raises(Closed):
            for _ in wire.chunks():
                pass


def test_an_answer_that_is_silent_too_long_is_broken_off(start_node):
    node = start_node(env={"HEDDLE_STREAM_IDLE_MS": "300"})
    with Wire(node.port) as wire:
        wire.send(get("/functions/v1/raw?pause-ms=100"))
        assert wire.answer().body == b"beginend"
        wire.send(get("/functions/v1/raw?pause-ms=20000"))
        assert wire.head()[0] == 200
        with pytest.raises(Closed):
            list(wire.chunks())


def test_the_first_byte_has_a_limit_of_its_own(start_node):
    node = start_node(None, "--timeout", "400")
    node.get("slow?ms=1")
    assert node.get("slow?ms=20000").status == 504
    with Wire(node.port) as wire:  # the head came in time: what follows may take longer
        wire.send(get("/functions/v1/raw?pause-ms=700"))
        assert wire.answer().body == b"beginend"


def test_the_whole_has_a_limit_before_and_after_the_first_byte(start_node):
    node = start_node(None, "--total-timeout", "700")
    node.get("slow?ms=1")
    node.get("raw")
    start = time.monotonic()
    assert node.get("slow?ms=20000").status == 504
    assert time.monotonic() - start < 10
    with Wire(node.port) as wire:
        wire.send(get("/functions/v1/raw?pause-ms=20000"))
        assert wire.head()[0] == 200
        with pytest.raises(Closed):
            list(wire.chunks())


def test_connections_are_counted_and_given_back(node):
    def connections():
        return node.metrics()["heddle_connections"]
    eventually(lambda: connections() == 0, what="the end of earlier connections")
    with Wire(node.port) as wire:
        wire.send(get(HELLO)).answer()
        assert connections() == 1
    eventually(lambda: connections() == 0, what="the end of the connection")


def test_a_client_that_has_nothing_more_to_say_gets_its_answer(node):
    with Wire(node.port) as wire:
        wire.send(get("/functions/v1/slow?ms=300")).half_close()
        assert wire.answer().body == b"done"
        assert wire.closed()


def test_100_continue_comes_before_the_body(node):
    with Wire(node.port) as wire:
        wire.send(get(ECHO, "Content-Length: 5", "Expect: 100-continue", method="POST"))
        assert wire.answer(informational=True).status == 100
        assert wire.send("hello").answer().body == b"hello"


def test_no_100_continue_when_the_request_is_refused(node):
    with Wire(node.port) as wire:
        wire.send(get("/functions/v1/private", "Content-Length: 5", "Expect: 100-continue",
                      method="POST"))
        assert wire.answer(informational=True).status == 401


def test_an_unknown_expectation_is_417(node):
    with Wire(node.port) as wire:
        wire.send(get(ECHO, "Content-Length: 0", "Expect: tea", method="POST"))
        assert wire.answer().status == 417


def test_both_framings_arrive_the_same(node):
    body = bytes(range(256)) * 300
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in
                       (body[n:n + 997] for n in range(0, len(body), 997))) + b"0\r\n\r\n"
    with Wire(node.port) as wire:
        wire.send(get(ECHO, f"Content-Length: {len(body)}", method="POST")).send(body)
        assert wire.answer().body == body
        wire.send(get(ECHO, "Transfer-Encoding: chunked", method="POST")).send(chunked)
        assert wire.answer().body == body


def test_a_thousand_connections_at_once(node):
    wires = [Wire(node.port) for _ in range(1000)]
    try:
        for wire in wires:
            wire.send(get(HELLO))
        assert {wire.answer().status for wire in wires} == {200}
    finally:
        for wire in wires:
            wire.socket.close()
