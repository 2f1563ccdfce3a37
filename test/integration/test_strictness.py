"""Requests that could be read in two ways are refused, and the connection ends (RFC 9112)."""

import pytest

from wire import Wire, get

ECHO = "/functions/v1/echo"


def post(*fields, body="", path=ECHO, version="HTTP/1.1"):
    return get(path, *fields, method="POST", version=version) + body


REFUSED = [
    # framing
    ("both lengths", post("Content-Length: 3", "Transfer-Encoding: chunked",
                          body="3\r\nabc\r\n0\r\n\r\n"), 400),
    ("two lengths that differ", post("Content-Length: 3", "Content-Length: 4", body="abcd"), 400),
    ("a list of lengths that differ", post("Content-Length: 3, 4", body="abcd"), 400),
    ("a negative length", post("Content-Length: -1"), 400),
    ("a length with a plus", post("Content-Length: +3", body="abc"), 400),
    ("a length in hex", post("Content-Length: 0x3", body="abc"), 400),
    ("a length beyond 64 bits", post("Content-Length: 99999999999999999999"), 400),
    ("an empty length", post("Content-Length:"), 400),
    ("chunked not last", post("Transfer-Encoding: chunked, gzip", body="0\r\n\r\n"), 501),
    ("chunked twice", post("Transfer-Encoding: chunked, chunked", body="0\r\n\r\n"), 501),
    ("an unknown coding", post("Transfer-Encoding: gzip, chunked", body="0\r\n\r\n"), 501),
    ("chunked in 1.0", post("Transfer-Encoding: chunked", body="0\r\n\r\n", version="HTTP/1.0"),
     400),
    # lines
    ("bare LF after the request line", f"GET {ECHO} HTTP/1.1\nHost: a\r\n\r\n", 400),
    ("bare LF after a field", f"GET {ECHO} HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400),
    ("bare CR in a value", get(ECHO, "X: a\rb"), 400),
    ("a folded field", get(ECHO, "X: a", " b"), 400),
    ("a fold before the first field", f"GET {ECHO} HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    ("a blank before the colon", get(ECHO, "X : y"), 400),
    ("no colon", get(ECHO, "nonsense"), 400),
    ("an empty name", get(ECHO, ": y"), 400),
    ("a bad character in a name", get(ECHO, "X(y): z"), 400),
    ("a NUL in a value", get(ECHO, "X: a\0b"), 400),
    ("a control byte in a value", get(ECHO, "X: a\x01b"), 400),
    ("a DEL in a value", get(ECHO, "X: a\x7fb"), 400),
    # request line
    ("two blanks", f"GET  {ECHO} HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a tab for a blank", f"GET\t{ECHO} HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("no version", f"GET {ECHO}\r\nHost: a\r\n\r\n", 400),
    ("a blank in the target", f"GET {ECHO} x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a control byte in the target", f"GET {ECHO}\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("a byte beyond ASCII in the target", f"GET {ECHO}\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("lower-case http", f"GET {ECHO} http/1.1\r\nHost: a\r\n\r\n", 400),
    ("HTTP/2.0", f"GET {ECHO} HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    ("an absolute target", get("http://heddle.test/functions/v1/hello"), 400),
    ("an authority as target", "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n", 400),
    ("an asterisk with GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    # host
    ("no Host", f"GET {ECHO} HTTP/1.1\r\n\r\n", 400),
    ("two Hosts", get(ECHO, "Host: other"), 400),
    ("a Host with a path", get(ECHO, host="a/b"), 400),
    ("a Host with a blank", get(ECHO, host="a b"), 400),
    # size
    ("a target without end", get("/" + "a" * 40000), 414),
    ("a field without end", get(ECHO, "X: " + "a" * 40000), 431),
    ("too many fields", get(ECHO, *[f"X-{n}: y" for n in range(200)]), 431),
    # something else
    ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64, 400),
]


@pytest.mark.parametrize("data, status", [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_is_refused_and_the_connection_closed(node, data, status):
    with Wire(node.port) as wire:
        wire.send(data)
        answer = wire.answer()
        assert answer.status == status, answer
        assert answer.get("connection").lower() == "close"
        assert wire.closed()


BAD_CHUNKS = [
    ("not hex", "x\r\n"),
    ("negative", "-1\r\n"),
    ("0x", "0x1\r\na\r\n"),
    ("a blank before", " 1\r\na\r\n"),
    ("empty size", "\r\n"),
    ("too large", "10000000000000000\r\n"),
    ("bare LF after the size", "1\na\r\n0\r\n\r\n"),
    ("no CRLF after the data", "1\r\nab\r\n0\r\n\r\n"),
    ("bare CR in an extension", "1;a\rb\r\na\r\n0\r\n\r\n"),
    ("an extension without end", "1;" + "a" * 20000),
    ("trailers without end", "0\r\n" + "X: y\r\n" * 3000),
    ("a bad trailer", "0\r\nX : y\r\n\r\n"),
]


@pytest.mark.parametrize("data", [c[1] for c in BAD_CHUNKS], ids=[c[0] for c in BAD_CHUNKS])
def test_bad_chunks_end_the_connection(node, data):
    with Wire(node.port) as wire:
        # a function that has begun to answer would get a connection that breaks off instead
        wire.send(post("Transfer-Encoding: chunked", path="/functions/v1/upload"))
        try:
            wire.send(data)
        except OSError:
            pass  # refused before all of it was sent
        answer = wire.answer()
        assert answer.status == 400, answer
        assert wire.closed()


def test_a_path_that_leaves_the_function_is_refused(node):
    for path in ("hello/../admin", "hello/%2e%2e/admin", "hello/./x", "..", "%2E%2e/hello",
                 "hello%2Fx", "hello%5cx", "hel%zzlo"):
        with Wire(node.port) as wire:
            answer = wire.send(get("/functions/v1/" + path)).answer()
            assert answer.status == 400, (path, answer)
            assert answer.json()["reason"] == "bad_path"
            # the request itself was sound: the connection goes on
            assert wire.send(get("/functions/v1/%68ello/..x/...")).answer().status == 200


def test_nothing_after_a_refused_request_is_read(node):
    with Wire(node.port) as wire:
        smuggled = get("/functions/v1/hello")
        wire.send(post("Content-Length: 3", "Transfer-Encoding: chunked",
                       body="0\r\n\r\n" + smuggled))
        assert wire.answer().status == 400
        assert wire.closed()


ACCEPTED = [
    ("an empty line first", "\r\n" + get("/functions/v1/hello")),
    ("equal lengths twice", post("Content-Length: 1", "Content-Length: 1", body="a")),
    ("a list of equal lengths", post("Content-Length: 1, 1", body="a")),
    ("blanks around a value", get("/functions/v1/hello", "X: \t a \t ")),
    ("bytes beyond ASCII in a value", get("/functions/v1/hello", "X: caf\xe9")),
    ("chunk extensions", post("Transfer-Encoding: chunked",
                              body='1;a=b;c="d"\r\na\r\n0\r\n\r\n')),
    ("a chunk size with zeros", post("Transfer-Encoding: chunked",
                                     body="0001\r\na\r\n000\r\n\r\n")),
    ("trailers", post("Transfer-Encoding: chunked", body="1\r\na\r\n0\r\nX: y\r\n\r\n")),
    ("1.0 without Host", get("/functions/v1/hello", version="HTTP/1.0", host=None)),
]


@pytest.mark.parametrize("data", [a[1] for a in ACCEPTED], ids=[a[0] for a in ACCEPTED])
def test_is_accepted(node, data):
    with Wire(node.port) as wire:
        assert wire.send(data).answer().status == 200


def test_a_request_may_come_byte_by_byte(node):
    with Wire(node.port) as wire:
        for byte in post("Transfer-Encoding: chunked", body="3\r\nabc\r\n0\r\n\r\n"):
            wire.send(byte)
        answer = wire.answer()
        assert (answer.status, answer.body) == (200, b"abc")


def test_what_goes_upstream_is_written_anew(node):
    with Wire(node.port) as wire:
        wire.send(get("/functions/v1/headers", "Connection: keep-alive, X-Hop", "X-Hop: 1",
                      "Keep-Alive: timeout=5", "TE: trailers", "X-Stays:    with blanks   "))
        seen = {name: value for name, value in wire.answer().json()["headers"]}
    for name in ("connection", "x-hop", "keep-alive", "te", "transfer-encoding"):
        assert name not in seen
    assert seen["x-stays"] == "with blanks"
    assert seen["x-forwarded-for"] == "127.0.0.1"
    assert seen["x-forwarded-proto"] == "http"
    assert seen["x-forwarded-host"] == "heddle.test"
    assert "heddle" in seen["via"]
    assert len(seen["traceparent"]) == 55
