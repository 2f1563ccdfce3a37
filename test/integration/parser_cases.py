"""Requests for test_parser_differential.py: every quirk of a head or a body in its place."""

from pathlib import Path

CORPORA = Path(__file__).resolve().parents[1] / "fuzz" / "corpus"

HOST = b"Host: a\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: b\r\n\r\n"  # would it be seen as a request of its own?

LINES = [
    b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.0\r\n", b"GET / HTTP/1.2\r\n", b"GET / HTTP/1.9\r\n",
    b"GET / HTTP/0.9\r\n", b"GET / HTTP/2.0\r\n", b"GET / HTTP/3.1\r\n", b"GET / HTTP/11\r\n",
    b"GET / HTTP/1.10\r\n", b"GET / HTTP/1.\r\n", b"GET / HTTP/.1\r\n", b"GET / HTTP/1,1\r\n",
    b"GET / HTTP/01.1\r\n", b"GET / HTTP/1.1.\r\n", b"GET / http/1.1\r\n", b"GET / HTTPS/1.1\r\n",
    b"GET / ICE/1.0\r\n", b"GET / RTSP/1.0\r\n", b"SOURCE / ICE/1.0\r\n", b"GET / XHTTP/1.1\r\n",
    b"GET /\r\n", b"GET / \r\n", b"GET\r\n", b"\r\n", b"GET / HTTP/1.1 \r\n",
    b"GET / HTTP/1.1\t\r\n", b"GET  / HTTP/1.1\r\n", b"GET /  HTTP/1.1\r\n", b"GET\t/ HTTP/1.1\r\n",
    b"GET /\tHTTP/1.1\r\n", b" GET / HTTP/1.1\r\n", b"\tGET / HTTP/1.1\r\n",
    b"\r\nGET / HTTP/1.1\r\n", b"\r\n\r\nGET / HTTP/1.1\r\n", b"\nGET / HTTP/1.1\r\n",
    b"\rGET / HTTP/1.1\r\n", b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\r", b"GET / HTTP/1.1\r\r\n",
    b"GET / HTTP/1.1\n\r\n", b"get / HTTP/1.1\r\n", b"Get / HTTP/1.1\r\n", b"FOO / HTTP/1.1\r\n",
    b"GETX / HTTP/1.1\r\n", b"G / HTTP/1.1\r\n", b"M-SEARCH / HTTP/1.1\r\n",
    b"PURGE / HTTP/1.1\r\n", b"QUERY / HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n", b"PRI * HTTP/1.1\r\n",
    b"A" * 40 + b" / HTTP/1.1\r\n", b"OPTIONS * HTTP/1.1\r\n", b"GET * HTTP/1.1\r\n",
    b"OPTIONS ** HTTP/1.1\r\n", b"GET http://a/ HTTP/1.1\r\n", b"GET HTTP://A/ HTTP/1.1\r\n",
    b"GET http:// HTTP/1.1\r\n", b"GET ftp://a/ HTTP/1.1\r\n", b"GET http:/a HTTP/1.1\r\n",
    b"GET a:80 HTTP/1.1\r\n", b"CONNECT a:443 HTTP/1.1\r\n", b"CONNECT / HTTP/1.1\r\n",
    b"CONNECT a HTTP/1.1\r\n", b"GET a HTTP/1.1\r\n", b"GET ?a HTTP/1.1\r\n",
    b"GET //a HTTP/1.1\r\n", b"GET /?a?b HTTP/1.1\r\n", b"GET /../%2e%2e/%zz HTTP/1.1\r\n",
    b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\n",
]

FIELDS = [
    b"", b"X: a\r\n", b"X:a\r\n", b"X:\r\n", b"X: \r\n", b"X:\t a \t\r\n", b"X: a\tb\r\n",
    b"X: a  b\r\n", b"X : a\r\n", b"X\t: a\r\n", b" X: a\r\n", b"\tX: a\r\n", b": a\r\n", b":\r\n",
    b"X\r\n", b"X a\r\n", b"X: a\r\n b\r\n", b"X: a\r\n\tb\r\n", b"X:\r\n a\r\n", b"X: a\r\n \r\n",
    b"X: a\n", b"X: a\r", b"X: a\r\r\n", b"X: a\rb\r\n", b"X: a\nb: c\r\n", b"X: a\n b\r\n",
    b"X: a\r\n\rY: b\r\n", b"X\n: a\r\n", b"X\r: a\r\n", b"X: :\r\n", b"X:: a\r\n", b"\"X\": a\r\n",
    b"X: \"a\r\n", b"X: a\x00b\r\n", b"X: \x1b[0m\r\n", b"Host: b\r\n", b"host: a\r\n",
    b"X-Host: b\r\n", b"Connection: close\r\n", b"Connection: keep-alive\r\n",
    b"Connection: Close\r\n", b"Connection: close, keep-alive\r\n",
    b"Connection: keep-alive, close\r\n", b"Connection:close \r\n", b"Connection: x-close\r\n",
    b"Connection: closed\r\n", b"Connection: ,close,\r\n",
    b"Connection: keep-alive\r\nConnection: close\r\n", b"Proxy-Connection: close\r\n",
    b"Connection: upgrade\r\n", b"Upgrade: websocket\r\n",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
    b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n",
    b"Upgrade: h2c\r\nConnection: upgrade, http2-settings\r\nHTTP2-Settings: AA\r\n",
    b"Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n", b"Connection: upgrade\r\nUpgrade:\r\n",
    b"Connection: upgrade, close\r\nUpgrade: a\r\n", b"Expect: 100-continue\r\n",
    b"Expect: 200-ok\r\n", b"Expect:\r\n", b"Expect: 100-continue, x\r\n",
] + [b"F%d: v\r\n" % i for i in range(3)]

HOSTS = [
    b"", b"Host: \r\n", b"Host: a\r\nHost: a\r\n", b"Host: a\r\nHost: b\r\n", b"Host: a b\r\n",
    b"Host: a,b\r\n", b"Host: a/b\r\n", b"Host: u@a\r\n", b"Host: a:80\r\n", b"Host: a:\r\n",
    b"Host: :80\r\n", b"Host: a:x\r\n", b"Host: a:99999\r\n", b"Host: [::1]\r\n",
    b"Host: [::1]:80\r\n", b"Host: [::1\r\n", b"Host: ::1\r\n", b"Host: [x]\r\n", b"Host: a%20\r\n",
    b"Host: \xc3\xa4\r\n", b"Host : a\r\n", b"Host: http://a/\r\n",
]

LENGTHS = [
    b"0", b"5", b"05", b"00000000000000000000000000005", b"+5", b"-5", b"-0", b"5 ", b" 5", b"5 5",
    b"5,5", b"5, 5", b"5, 6", b"5,", b",5", b"0x5", b"5h", b"5.0", b"", b" ", b"five", b"5e0",
    b"5_0", b"9223372036854775807", b"9223372036854775808", b"18446744073709551615",
    b"18446744073709551616", b"18446744073709551621", b"99999999999999999999999999", b"\x0b5",
    b"5\x0b", b"\"5\"", b"5;a",
]

CODINGS = [
    b"chunked", b"Chunked", b"CHUNKED", b" chunked ", b"chunked,", b",chunked", b"chunked, chunked",
    b"gzip, chunked", b"chunked, gzip", b"gzip", b"identity", b"identity, chunked", b"xchunked",
    b"chunkedx", b"\"chunked\"", b"'chunked'", b"chunked;a=b", b"chunked a", b"", b"\x0bchunked",
    b"chunked\x0b", b"x, chunked", b"cow", b"c hunked", b"trailers, chunked",
]

CHUNKS = [
    b"5\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n", b"0\r\n\r\n",
    b"00\r\n\r\n", b"000000000000005\r\nhello\r\n0\r\n\r\n",
    b"0000000000000005\r\nhello\r\n0\r\n\r\n", b"00000000000000005\r\nhello\r\n0\r\n\r\n",
    b"A\r\n0123456789\r\n0\r\n\r\n", b"a\r\n0123456789\r\n0\r\n\r\n", b"g\r\n",
    b"+5\r\nhello\r\n0\r\n\r\n", b"-5\r\nhello\r\n0\r\n\r\n", b" 5\r\nhello\r\n0\r\n\r\n",
    b"5 \r\nhello\r\n0\r\n\r\n", b"5\t\r\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n",
    b"5_0\r\nhello\r\n0\r\n\r\n", b"\r\n5\r\nhello\r\n0\r\n\r\n", b"5\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\n0\r\n\r\n", b"5\r\nhello\r\n0\n\r\n", b"5\r\nhello\r\n0\r\n\n",
    b"5\rhello\r\n0\r\n\r\n", b"5\r\nhello\r0\r\n\r\n", b"5\r\nhello0\r\n\r\n",
    b"5\r\nhelloo\r\n0\r\n\r\n", b"4\r\nhello\r\n0\r\n\r\n", b"6\r\nhello\r\n0\r\n\r\n",
    b"5\r\r\nhello\r\n0\r\n\r\n", b"ffffffffffffffff\r\nhello", b"fffffffffffffffff\r\nhello",
    b"10000000000000000\r\nhello", b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    b"8000000000000000\r\nhello", b"7fffffffffffffff\r\nhello", b"5;a\r\nhello\r\n0\r\n\r\n",
    b"5;a=b\r\nhello\r\n0;c\r\n\r\n", b"5;a=\"b\"\r\nhello\r\n0\r\n\r\n",
    b"5 ;a\r\nhello\r\n0\r\n\r\n", b"5; a = b\r\nhello\r\n0\r\n\r\n", b"5;\r\nhello\r\n0\r\n\r\n",
    b"5;a=\r\nhello\r\n0\r\n\r\n", b"5;=b\r\nhello\r\n0\r\n\r\n", b"5;a=\"b\r\nhello\r\n0\r\n\r\n",
    b"5;a=\"b\\\"\"\r\nhello\r\n0\r\n\r\n", b"5;a=\"b\"c\r\nhello\r\n0\r\n\r\n",
    b"5;a;b;c=d\r\nhello\r\n0\r\n\r\n", b"5;a\nhello\r\n0\r\n\r\n", b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    b"5;\x00\r\nhello\r\n0\r\n\r\n", b"5;a b\r\nhello\r\n0\r\n\r\n",
    b"5;a\xe4\r\nhello\r\n0\r\n\r\n", b"5;" + b"a" * 300 + b"\r\nhello\r\n0\r\n\r\n",
    b"5 a\r\nhello\r\n0\r\n\r\n", b"5a\r\nhello", b"5,\r\nhello\r\n0\r\n\r\n",
    b"5\x00\r\nhello\r\n0\r\n\r\n", b"0\r\nX: a\r\n\r\n", b"0\r\nX: a\r\nY:\r\n\r\n",
    b"0\r\nX : a\r\n\r\n", b"0\r\n: a\r\n\r\n", b"0\r\nX\r\n\r\n", b"0\r\n X: a\r\n\r\n",
    b"0\r\nX: a\r\n b\r\n\r\n", b"0\r\nX: a\n\r\n", b"0\r\nX: a\rb\r\n\r\n",
    b"0\r\nX: \x00\r\n\r\n", b"0\r\nContent-Length: 5\r\n\r\n",
    b"0\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\nHost: b\r\n\r\n", b"0\r\n\rX",
    b"0\r\n" + NEXT, b"", b"5", b"5\r", b"5\r\n", b"5\r\nhe", b"5\r\nhello", b"5\r\nhello\r\n",
    b"5\r\nhello\r\n0", b"5\r\nhello\r\n0\r\n", b"5\r\nhello\r\n0\r\nX: a",
]


def show(template):
    """A template as part of a name."""
    text = repr(template)[2:-1]
    return text if len(text) < 80 else f"{text[:40]}... of {len(template)} bytes"


def post(fields, body, version=b"1.1"):
    return b"POST / HTTP/" + version + b"\r\n" + HOST + fields + b"\r\n" + body


def in_heads():
    for line in LINES:
        yield f"line {show(line)}", line + HOST + b"\r\n" + NEXT
    for field in FIELDS:
        name = f"field {show(field)}"
        yield name, b"GET / HTTP/1.1\r\n" + HOST + field + b"\r\n" + NEXT
        yield f"{name} first", b"GET / HTTP/1.1\r\n" + field + HOST + b"\r\n" + NEXT
        yield f"{name} in 1.0", b"GET / HTTP/1.0\r\n" + HOST + field + b"\r\n"
        yield f"{name} last", b"GET / HTTP/1.1\r\n" + HOST + field
    for host in HOSTS:
        yield f"host {show(host)}", b"GET / HTTP/1.1\r\n" + host + b"\r\n" + NEXT
        yield f"host {show(host)} in 1.0", b"GET / HTTP/1.0\r\n" + host + b"\r\n"


def in_framing():
    chunked, five = b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n"
    for length in LENGTHS:
        name, field = f"length {show(length)}", b"Content-Length:" + length + b"\r\n"
        yield name, post(field, b"hello" + NEXT)
        yield f"{name} in 1.0", post(field, b"hello", b"1.0")
        yield f"{name}, then 5", post(field + five, b"hello" + NEXT)
        yield f"{name}, then chunked", post(field + chunked, CHUNKS[0] + NEXT)
    for coding in CODINGS:
        name, field = f"coding {show(coding)}", b"Transfer-Encoding:" + coding + b"\r\n"
        yield name, post(field, CHUNKS[0] + NEXT)
        yield f"{name} in 1.0", post(field, CHUNKS[0], b"1.0")
        yield f"{name}, then length", post(field + five, CHUNKS[0] + NEXT)
        yield f"{name}, then chunked", post(field + chunked, CHUNKS[0] + NEXT)
    for chunk in CHUNKS:
        yield f"chunk {show(chunk)}", post(chunked, chunk + NEXT)
        yield f"chunk {show(chunk)} at the end", post(chunked, chunk)


def every_byte():
    for byte in range(256):
        c, name = bytes([byte]), f"byte {byte:02x}"
        yield f"{name} in method", b"GE" + c + b"T / HTTP/1.1\r\n" + HOST + b"\r\n"
        yield f"{name} in path", b"GET /a" + c + b"b HTTP/1.1\r\n" + HOST + b"\r\n"
        yield f"{name} in query", b"GET /?a" + c + b"b HTTP/1.1\r\n" + HOST + b"\r\n"
        yield f"{name} in name", b"GET / HTTP/1.1\r\n" + HOST + b"X" + c + b"Y: a\r\n\r\n"
        yield f"{name} in value", b"GET / HTTP/1.1\r\n" + HOST + b"X: a" + c + b"b\r\n\r\n"


def from_corpora():
    for path in sorted((CORPORA / "request").iterdir()):
        yield f"request/{path.name}", path.read_bytes()
    for path in sorted((CORPORA / "chunked").iterdir()):
        yield f"chunked/{path.name}", post(b"Transfer-Encoding: chunked\r\n", path.read_bytes())


def cases():
    """{name: bytes} of them all."""
    everything = [*in_heads(), *in_framing(), *every_byte(), *from_corpora()]
    named = dict(everything)
    assert len(named) == len(everything), "two cases of one name"
    return named
