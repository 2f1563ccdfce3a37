"""The Python host, driven over its socket."""

import base64
import json
import threading

import pytest

import hostdriver
from hostdriver import Connection


@pytest.fixture
def start(tmp_path):
    hosts = hostdriver.Hosts("python", tmp_path)
    yield hosts
    hosts.end()


def loaded(start, text, **more):
    return start.loaded(text, "fn/index.py", **more)


LAMBDA = "def handler(event, context):\n    return {'statusCode': 200, 'body': 'hi'}\n"
WSGI = ("def application(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Type', 'text/plain')])\n    return [b'hi']\n")
ASGI = """async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise RuntimeError("not here")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"1")]})
    await send({"type": "http.response.body", "body": b"hi"})
"""


@pytest.mark.parametrize("text, handler, kind, concurrency", [
    (LAMBDA, None, "lambda", 1),
    (LAMBDA.replace("handler", "run"), "index.run", "lambda", 1),
    ("async " + LAMBDA, None, "lambda", 1),
    (WSGI, None, "wsgi", 16),
    (WSGI.replace("application", "handler"), None, "wsgi", 16),
    ("class A:\n    def __call__(self, environ, start_response):\n        start_response('200 OK', [])\n"
     "        yield b'h'\n        yield b'i'\napp = A()\n", None, "wsgi", 16),
    (ASGI, None, "asgi", None),
    (ASGI.replace("app(", "other("), "index.other", "asgi", None),
])
def test_each_form_of_a_handler_is_found(start, text, handler, kind, concurrency):
    host = start({"fn/index.py": text})
    answer = host.load("fn/index.py", handler=handler).json()
    assert (answer["ok"], answer["kind"], answer.get("concurrency")) == (True, kind, concurrency)
    connection = Connection(host.path)
    for _ in range(3):
        assert connection.request("POST", "/fn", [("x-heddle-id", "1")], b"body").body == b"hi"


@pytest.mark.parametrize("text, words", [
    ("x = 1\ndef f(:\n", ["SyntaxError", "fn/index.py:2:7"]),
    ("import missing_module\n", ["ModuleNotFoundError", "missing_module", "fn/index.py:1"]),
    ("\nraise ValueError('no luck')\n", ["no luck", "fn/index.py:2"]),
    ("import sys\nsys.exit(3)\n", ["ended the program"]),
    ("x = 1\n", ["without registering a handler", "application"]),
])
def test_what_does_not_load_says_why_and_where(start, text, words):
    host = start({"fn/index.py": text})
    answer = host.load("fn/index.py")
    assert answer.status == 500
    for word in words:
        assert word in answer.json()["message"]


def test_a_handler_that_is_not_there_is_named(start):
    host = start({"fn/index.py": "x = 1"})
    assert "no function of that name" in host.load("fn/index.py", handler="index.go").json()["message"]


def test_control_requests_need_the_token_and_come_in_order(start):
    host = start({"fn/index.py": LAMBDA})
    assert host.control("GET", "/.heddle/ping", token="0" * 32).status == 403
    assert host.get("/fn").status == 503
    assert host.load("fn/index.py").status == 200
    assert host.load("fn/index.py").status == 409
    assert host.control("GET", "/.heddle/other").status == 404
    assert host.control("GET", "/.heddle/ping").json() == {"background": 0}


@pytest.mark.parametrize("text", [
    "def handler(event, context):\n    raise ValueError('secret detail')\n",
    "def application(environ, start_response):\n    raise ValueError('secret detail')\n",
    "def application(environ, start_response):\n    start_response('200 OK', [])\n    raise ValueError('secret detail')\n",
    "async def app(scope, receive, send):\n    raise ValueError('secret detail')\n",
])
@pytest.mark.parametrize("dev", [True, False])
def test_a_throw_is_a_500_with_a_log_record(start, text, dev):
    host = loaded(start, text, dev=dev)
    answer = host.get("/fn", id="id-throw")
    assert (answer.status, answer.field("x-heddle-error")) == (500, "unhandled")
    assert ("secret detail" in answer.body.decode()) == dev
    record = host.wait_record(lambda r: "secret detail" in r["msg"] and r["id"])
    assert (record["level"], record["id"]) == ("error", "id-throw") and "index.py" in record["msg"]


def test_what_is_printed_and_logged_knows_its_invocation(start):
    host = loaded(start, """import logging, sys
print("at load")
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    print("printed", end=" ")
    print("line")
    print("no end", end="")
    sys.stderr.write("to stderr\\n")
    logging.getLogger("x").warning("logged %s", 1)
    await send({"type": "http.response.start", "status": 204})
    await send({"type": "http.response.body"})
""")
    threads = [threading.Thread(target=host.get, args=("/fn",), kwargs={"id": f"id-{i}"})
               for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert host.wait_record(lambda r: r["msg"] == "at load")["id"] is None
    for i in range(8):
        for text, level in (("printed line", "info"), ("no end", "info"), ("to stderr", "error"), ("logged 1", "warn")):
            assert host.wait_record(lambda r: r["id"] == f"id-{i}" and r["msg"] == text)["level"] == level


def test_threads_of_wsgi_know_their_invocation(start):
    host = loaded(start, WSGI.replace("    return", "    print(environ['PATH_INFO'])\n    return"))
    host.get("/fn/%C3%BC", id="id-w")
    assert host.wait_record(lambda r: r["id"] == "id-w")["msg"] == "/fn/\xc3\xbc"


def test_the_environment_is_the_granted_one(start):
    host = loaded(start, "import os, json\ndef handler(e, c):\n    return json.dumps(dict(os.environ))\n", env={"K": "v"})
    assert set(host.get("/fn").json()) == {"PATH", "HOME", "LANG", "TMPDIR", "HEDDLE_RUN_DIR", "K"}


def test_imports_are_found_and_reported(start, tmp_path):
    root = tmp_path / "functions"
    host = start({"_shared/util.py": "x = 'shared'", "fn/log.py": "y = ' own'",
                  "fn/index.py": "from _shared.util import x\nimport log\ndef handler(e, c):\n    return x + log.y\n"})
    assert host.load("fn/index.py").json()["imports"] == [str(root / "_shared/util.py"), str(root / "fn/log.py")]
    assert host.get("/fn").body == b"shared own"
    assert not list(root.rglob("__pycache__"))


def test_sigterm_waits_for_what_is_in_flight(start):
    host = loaded(start, """import asyncio, signal
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            print(kind)
            await send({"type": kind + ".complete"})
            if kind == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"a", "more_body": True})
    await receive()
    print((await receive())["type"] if False else "in")
    await asyncio.sleep(0.1)
    await send({"type": "http.response.body", "body": b"done"})
""")
    idle, slow = Connection(host.path), Connection(host.path)
    assert idle.request("GET", "/.heddle/ping", [("x-heddle-token", host.token)]).status == 200
    slow.send_head("GET", "/fn", [("x-heddle-id", "slow")])
    host.wait_record(lambda r: r["msg"] == "in")
    host.terminate()
    head = slow.head()
    assert (head.status, slow.body(head)) == (200, b"adone")
    assert host.ended() == 0
    host.wait_record(lambda r: r["msg"] == "lifespan.startup")
    host.wait_record(lambda r: r["msg"] == "lifespan.shutdown")


def test_a_lifespan_that_fails_is_a_load_error(start):
    host = start({"fn/index.py": """async def app(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})
"""})
    assert "no database" in host.load("fn/index.py").json()["message"]


def test_work_after_the_answer_is_background(start):
    host = loaded(start, """import asyncio
done = asyncio.Event()
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 204})
    await send({"type": "http.response.body"})
    if scope["path"] == "/fn/go":
        await done.wait()
    else:
        done.set()
""")
    host.get("/fn/go")
    assert host.control("GET", "/.heddle/ping").json() == {"background": 1}
    drained = []
    waiter = threading.Thread(target=lambda: drained.append(host.control("POST", "/.heddle/drain")))
    waiter.start()
    assert host.control("GET", "/.heddle/ping").json() == {"background": 1} and not drained
    host.get("/fn/done")
    waiter.join(hostdriver.DEADLINE_S)
    assert drained[0].json() == {}


# Lambda -----------------------------------------------------------------------------------------

def test_the_event_is_the_payload_format_2(start):
    host = loaded(start, "def handler(event, context):\n    return {'event': event, 'id': context.aws_request_id, "
                         "'left': context.get_remaining_time_in_millis(), 'name': context.function_name}\n")
    payload = base64.urlsafe_b64encode(b'{"sub":"u"}').decode().rstrip("=")
    seen = host.request("PUT", "/fn/a%20b?x=1&x=2&y=%C3%BC", [
        ("x-forwarded-for", "6.6.6.6, 10.0.0.9"), ("Cookie", "a=1; b=2"), ("Content-Type", "text/plain"),
        ("x-heddle-deadline", "5000"), ("x-heddle-auth", payload), ("X-Two", "1"), ("X-Two", "2")],
        "hällo".encode(), id="id-l").json()
    event = seen["event"]
    assert event["version"] == "2.0" and event["routeKey"] == "$default"
    assert (event["rawPath"], event["rawQueryString"]) == ("/fn/a%20b", "x=1&x=2&y=%C3%BC")
    assert event["queryStringParameters"] == {"x": "1,2", "y": "ü"}
    assert event["cookies"] == ["a=1", "b=2"] and "cookie" not in event["headers"]
    assert event["headers"]["x-two"] == "1,2" and "x-heddle-id" not in event["headers"]
    assert (event["body"], event["isBase64Encoded"]) == ("hällo", False)
    assert event["requestContext"]["http"]["method"] == "PUT"
    assert event["requestContext"]["http"]["sourceIp"] == "10.0.0.9"
    assert event["requestContext"]["authorizer"]["jwt"]["claims"] == {"sub": "u"}
    assert (seen["id"], seen["name"]) == ("id-l", "fn") and 0 < seen["left"] <= 5000


def test_bytes_are_base64_both_ways(start):
    host = loaded(start, "def handler(e, c):\n    return {'statusCode': 200, 'body': e['body'], 'isBase64Encoded': e['isBase64Encoded']}\n")
    data = bytes(range(256))
    assert host.request("POST", "/fn", [("Content-Type", "application/octet-stream")], data).body == data


@pytest.mark.parametrize("result, status, kind, body", [
    ("'text'", 200, "application/json", b"text"),
    ("{'a': 1}", 200, "application/json", b'{"a": 1}'),
    ("None", 200, "application/json", b"null"),
    ("{'statusCode': 201, 'headers': {'Content-Type': 'text/x'}, 'body': 'b'}", 201, "text/x", b"b"),
    ("{'statusCode': '404', 'cookies': ['a=1']}", 404, "application/json", b""),
    ("{'statusCode': 999}", 500, "application/json", None),
    ("{'statusCode': 200, 'headers': {'x': 'a\\r\\nb: c'}}", 500, "application/json", None),
])
def test_results_are_read_as_documented(start, result, status, kind, body):
    answer = loaded(start, f"def handler(e, c):\n    return {result}\n").get("/fn")
    assert (answer.status, answer.field("content-type")) == (status, kind)
    assert body is None or answer.body == body


def test_a_body_that_lambda_would_not_take_is_refused(start):
    connection = Connection(loaded(start, LAMBDA).path)
    connection.send_head("POST", "/fn", [("x-heddle-id", "b"), ("Content-Length", str(7 * 1024 * 1024))])
    connection.send(b"x" * (6 * 1024 * 1024 + 65536))
    head = connection.head()
    assert head.status == 413 and "limit" in json.loads(connection.body(head))


# Streams ----------------------------------------------------------------------------------------

ECHO = """async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200})
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            print("disconnected")
            return
        more = message["more_body"]
        await send({"type": "http.response.body", "body": message["body"], "more_body": more})
"""


def test_asgi_streams_both_ways_at_once(start):
    host = loaded(start, ECHO)
    connection = Connection(host.path)
    connection.send_head("POST", "/fn", [("x-heddle-id", "s"), ("Transfer-Encoding", "chunked")])
    connection.send_chunk(b"one")
    head = connection.head()
    assert head.status == 200 and connection.chunk() == b"one"
    connection.send_chunk(b"two")
    assert connection.chunk() == b"two"
    connection.send(b"0\r\nTrailer: x\r\n\r\n")
    assert connection.chunk() == b""


def test_asgi_learns_that_the_client_is_gone(start):
    host = loaded(start, ECHO)
    connection = Connection(host.path)
    connection.send_head("POST", "/fn", [("x-heddle-id", "gone"), ("Transfer-Encoding", "chunked")])
    connection.send_chunk(b"one")
    connection.head()
    connection.close()
    assert host.wait_record(lambda r: r["msg"] == "disconnected")["id"] == "gone"


@pytest.mark.parametrize("chunked", [True, False])
def test_wsgi_reads_the_body_as_it_comes(start, chunked):
    host = loaded(start, """def application(environ, start_response):
    write = start_response("200 OK", [])
    write(environ["wsgi.input"].read(3))
    yield environ["wsgi.input"].read(3)
    yield environ["wsgi.input"].read()
""")
    connection = Connection(host.path)
    framing = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", "9")
    send = connection.send_chunk if chunked else connection.send
    connection.send_head("POST", "/fn", [("x-heddle-id", "s"), framing])
    send(b"one")
    assert connection.head().status == 200 and connection.chunk() == b"one"
    send(b"two")
    assert connection.chunk() == b"two"
    send(b"end")
    if chunked:
        connection.send(b"0\r\n\r\n")
    assert connection.chunk() == b"end" and connection.chunk() == b""


def test_a_big_body_comes_back_whole_with_a_slow_reader(start):
    host = loaded(start, ECHO)
    data = bytes(range(256)) * 8192
    connection = Connection(host.path)
    connection.send_head("POST", "/fn", [("x-heddle-id", "b"), ("Content-Length", str(len(data)))])
    sender = threading.Thread(target=connection.send, args=(data,))
    sender.start()
    assert connection.body(connection.head()) == data
    sender.join()


def test_an_answer_shorter_than_it_says_is_broken_off(start):
    host = loaded(start, WSGI.replace("('Content-Type', 'text/plain')", "('Content-Length', '5')"))
    connection = Connection(host.path)
    connection.send_head("GET", "/fn", [("x-heddle-id", "x")])
    with pytest.raises((EOFError, ConnectionError)):
        connection.body(connection.head())


def test_head_has_the_length_and_no_body(start):
    connection = Connection(loaded(start, WSGI).path)
    answer = connection.request("HEAD", "/fn", [("x-heddle-id", "h")])
    assert (answer.status, answer.field("content-length")) == (200, "2")
    assert connection.request("GET", "/fn", [("x-heddle-id", "h")]).body == b"hi"


@pytest.mark.parametrize("text", [
    b"GET /fn HTTP/1.0\r\n\r\n", b"GET /fn HTTP/1.1\r\nBad Name: x\r\n\r\n", b"GET fn HTTP/1.1\r\n\r\n",
    b"POST /fn HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    b"POST /fn HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST /fn HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST /fn HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"POST /fn HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /fn HTTP/1.1\r\nA: b\x00c\r\n\r\n", b"GET /fn HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
    b"GET /" + b"x" * 200000,
])
def test_what_is_not_http_is_refused(start, text):
    connection = Connection(loaded(start, ECHO).path)
    connection.send(text)
    data = b""
    try:
        while part := connection.sock.recv(65536):
            data += part
    except ConnectionError:
        pass
    if text.endswith(b"zz\r\n"):
        assert not data.endswith(b"0\r\n\r\n") # the answer had begun
    else:
        assert data.startswith(b"HTTP/1.1 400 ")


def test_the_scope_is_what_the_client_sent(start):
    host = loaded(start, """import json
async def app(scope, receive, send):
    if scope["type"] != "http":
        scope["state"]["kept"] = 1
        await receive()
        await send({"type": "lifespan.startup.complete"})
        return
    seen = {k: scope[k] for k in ("method", "scheme", "path", "client", "server", "state")}
    seen["query"] = scope["query_string"].decode()
    seen["names"] = [n.decode() for n, v in scope["headers"]]
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": json.dumps(seen).encode()})
""")
    seen = host.get("/fn/%C3%BC?a=%20", [("Host", "me.example:8443"), ("X-Forwarded-Proto", "https"),
                                         ("X-Forwarded-For", "6.6.6.6, 10.0.0.9")]).json()
    assert seen == {"method": "GET", "scheme": "https", "path": "/fn/ü", "client": ["10.0.0.9", 0],
                    "server": ["me.example", 8443], "state": {"kept": 1}, "query": "a=%20",
                    "names": ["host", "x-forwarded-proto", "x-forwarded-for"]}
