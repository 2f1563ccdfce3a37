"""Keep-alive, pipelining, Expect, half-close, versions."""

from wire import Wire, get

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
