"""The Runtime API that heddle-shim serves: what is legal when, and every answer to what is not."""

import base64
import json
import os
import socket
import time

import pytest

import shimdriver
from hostdriver import free_port
from shimdriver import STREAM, open_stream, read_chunks


@pytest.fixture
def start(tmp_path):
    shims = shimdriver.Shims(tmp_path)
    yield shims
    shims.end()


# Runs a test's own calls inside the first event and answers with what they returned.
PROBE = """
def told(answer):
    return [answer.status, answer.text.decode()]
def probe(event):
%s
results = []
def handle(event):
    probe(event)
    print("results " + json.dumps(results), flush=True)
    api.respond(event.id, json.dumps(results))
loop(handle)
"""


def probe(start, code, **options):
    shim = start.python(PROBE % "\n".join("    " + line for line in code.strip().splitlines()))
    shim.loaded()
    return shim.invoke({}, **options)


def error(answer, status, type):
    assert answer[0] == status, answer
    body = json.loads(answer[1])
    assert body["errorType"] == type and body["errorMessage"]
    return body["errorMessage"]


def test_unknown_ids_are_refused(start):
    answers = probe(start, """
for id in ("nobody", "x" * 200):
    for kind in ("response", "error"):
        results.append(told(fresh("POST", f"{BASE}/invocation/{id}/{kind}", "{}")))
""").json()
    assert len(answers) == 4
    for answer in answers:
        assert error(answer, 400, "InvalidRequestID") == "Invalid request ID"


def test_calls_out_of_order_are_refused(start):
    answers = probe(start, """
results.append(told(fresh("GET", BASE + "/invocation/next")))
results.append(told(fresh("POST", BASE + "/init/error", "{}")))
results.append(told(fresh("GET", BASE + "/restore/next")))
""").json()
    for answer in answers:
        error(answer, 403, "InvalidStateTransition")


def test_a_second_answer_is_refused(start):
    shim = start.python("""
def handle(event):
    first = api.respond(event.id, '"first"')
    for kind in ("response", "error"):
        again = api.respond(event.id, '"second"', kind=kind)
        print("again", first.status, first.text.decode().strip(), again.status, again.text.decode(),
              flush=True)
    global last
    last = event.id
event = api.next(); handle(event)
event = api.next()
late = api.respond(last, '"late"')
print("late", late.status, late.text.decode(), flush=True)
handle(event)
loop(handle)
""").loaded()
    assert shim.invoke(1).json() == "first"
    assert shim.invoke(2).json() == "first"
    for line in (r["msg"] for r in shim.records if r["msg"].startswith("again")):
        assert line.startswith('again 202 {"status":"OK"} 403 ') and "InvalidStateTransition" in line
    assert "InvalidRequestID" in shim.wait_line("late 400")["msg"]


def test_paths_and_methods(start):
    answers = probe(start, """
for method, path in (("GET", "/"), ("GET", BASE + "/nothing"), ("POST", BASE + "/invocation/next"),
                     ("GET", f"{BASE}/invocation/{event.id}/response"), ("GET", "/ping"),
                     ("GET", "/2018-06-01/ping")):
    results.append(told(fresh(method, path)))
""").json()
    assert [a[0] for a in answers] == [404, 404, 405, 405, 200, 200]
    assert answers[4][1] == "pong"


def test_calls_before_the_first_next(start):
    shim = start.python("""
out = []
out.append(fresh("POST", BASE + "/invocation/x/response", "1").status)
out.append(fresh("POST", BASE + "/invocation/x/error", "{}").status)
out.append(fresh("GET", BASE + "/restore/next").status)
loop(lambda event: api.respond(event.id, json.dumps(out)))
""").loaded()
    assert shim.invoke({}).json() == [403, 403, 200]


def test_a_next_that_broke_off_is_asked_again(start):
    shim = start.python("""
s = raw(f"GET {BASE}/invocation/next HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n".encode())
again = fresh("GET", BASE + "/invocation/next").status
s.close()
print("closed", flush=True)
while True:
    answer = api.call("GET", BASE + "/invocation/next")
    if answer.status == 200:
        break
    time.sleep(0.01)
answer.id = answer.headers["Lambda-Runtime-Aws-Request-Id"]
api.respond(answer.id, str(again))
loop(lambda event: api.respond(event.id, "1"))
""").loaded()
    shim.wait_line("closed")
    assert shim.invoke({}).json() == 403
    assert shim.invoke({}).json() == 1


@pytest.mark.parametrize("body, headers, type, wanted", [
    ('{"errorType": "Mine", "errorMessage": "no"}', {}, None,
     {"errorType": "Mine", "errorMessage": "no"}),
    ('{"errorType": "Mine"}', {"Lambda-Runtime-Function-Error-Type": "Function.MyOwn"},
     "Function.MyOwn", {"errorType": "Mine"}),
    ('"only a text"', {"Lambda-Runtime-Function-Error-Type": "not of the form"}, None,
     "only a text"),
    ("not JSON", {"Lambda-Runtime-Function-Error-Type": "Runtime.Odd"}, "Runtime.Odd", None),
    ("", {}, None, None),
])
def test_errors_are_what_was_posted(start, body, headers, type, wanted):
    shim = start.python(f"""
def handle(event):
    said = api.respond(event.id, {body!r}, {headers!r}, kind="error")
    print("said", said.status, said.text.decode(), flush=True)
loop(handle)
""").loaded()
    answer = shim.invoke({})
    assert answer.status == 200
    assert answer.field("x-heddle-function-error") == "Unhandled"
    assert answer.field("x-heddle-error-type") == type
    assert answer.field("x-heddle-exit") is None
    if wanted is not None:
        assert answer.body == body.encode() and answer.json() == wanted
    else:
        assert answer.json()["errorType"] == (type or "Runtime.Unknown")
    shim.wait_line("said 202")
    assert shim.invoke({}).status == 200  # it goes on


def test_a_cause_for_traces_may_be_long(start):
    shim = start.python("""
cause = json.dumps({"working_directory": "x" * 65000})
def handle(event):
    said = api.respond(event.id, '{"errorType": "Mine"}', kind="error",
                       headers={"Lambda-Runtime-Function-XRay-Error-Cause": cause})
    print("said", said.status, flush=True)
loop(handle)
""").loaded()
    assert shim.invoke({}).json() == {"errorType": "Mine"}
    shim.wait_line("said 202")


def test_a_result_that_looks_like_an_error_is_none(start):
    shim = start.python("""
loop(lambda e: api.respond(e.id, '{"errorMessage": "no", "errorType": "Mine"}'))
""").loaded()
    answer = shim.invoke({})
    assert answer.field("x-heddle-function-error") is None
    assert answer.json() == {"errorMessage": "no", "errorType": "Mine"}


def test_bytes_are_not_touched(start):
    body = bytes(range(256)) * 3
    shim = start.python(f"loop(lambda e: api.respond(e.id, {body!r}, "
                        "{'Content-Type': 'application/x'}))\n").loaded()
    answer = shim.invoke({})
    assert answer.body == body and answer.field("content-type") == "application/x"


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("mode", ["buffered", "stream"])
def test_an_answer_that_is_too_large(start, chunked, mode):
    shim = start.python(f"""
def handle(event):
    if json.loads(event.text) == 1:
        body = b"x" * (6291556 + 1)
        said = api.respond(event.id, iter([body]) if {chunked} else body)
        print("said", said.status, said.text.decode(), flush=True)
    else:
        api.respond(event.id, "2")
loop(handle)
""").loaded()
    answer = shim.invoke(1, mode)
    assert answer.field("x-heddle-function-error") == "Unhandled"
    assert answer.json() == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes)."}
    said = shim.wait_line("said 413")["msg"]
    assert "RequestEntityTooLarge" in said
    assert "Exceeded maximum allowed payload size (6291556 bytes)." in said
    assert shim.invoke(2).json() == 2


def test_the_largest_answer(start):
    shim = start.python("loop(lambda e: api.respond(e.id, b'x' * 6291556))\n").loaded()
    assert len(shim.invoke({}).body) == 6291556


@pytest.mark.parametrize("framing", ["Content-Length: 100", "Transfer-Encoding: chunked"])
def test_half_an_answer(start, framing):
    shim = start.python(f"""
def handle(event):
    if json.loads(event.text) == 1:
        s = raw(f"POST {{BASE}}/invocation/{{event.id}}/response HTTP/1.1\\r\\nHost: x\\r\\n"
                "{framing}\\r\\n\\r\\n5\\r\\nhalf".encode())
        s.close()
    else:
        api.respond(event.id, "2")
loop(handle, patient=True)
""", args=["--port", str(free_port())]).loaded()
    answer = shim.invoke(1)
    assert answer.field("x-heddle-function-error") == "Unhandled"
    assert answer.json()["errorType"] == "Runtime.TruncatedResponse"
    assert shim.invoke(2).json() == 2


def test_a_broken_chunk(start):
    shim = start.python("""
def handle(event):
    s = raw(f"POST {BASE}/invocation/{event.id}/response HTTP/1.1\\r\\nHost: x\\r\\n"
            "Transfer-Encoding: chunked\\r\\n\\r\\nzzz\\r\\n".encode())
    print("said", s.recv(1000), flush=True)
loop(handle)
""").loaded()
    assert shim.invoke(1).json()["errorType"] == "Runtime.TruncatedResponse"
    assert "TruncatedHTTPRequest" in shim.wait_line("said b'HTTP/1.1 400")["msg"]


def test_an_unknown_mode(start):
    shim = start.python("""
def handle(event):
    said = api.respond(event.id, "1", {"Lambda-Runtime-Function-Response-Mode": "sometimes"})
    print("said", said.status, said.text.decode(), flush=True)
    api.respond(event.id, "2", {"Lambda-Runtime-Function-Response-Mode": "buffered"})
loop(handle)
""").loaded()
    assert shim.invoke({}).json() == 2
    assert "InvalidFunctionResponseMode" in shim.wait_line("said 400")["msg"]


def test_expect_100_continue(start):
    shim = start.python("""
def handle(event):
    s = raw(f"POST {BASE}/invocation/{event.id}/response HTTP/1.1\\r\\nhost: x\\r\\n"
            "expect: 100-continue\\r\\nCONTENT-LENGTH: 3\\r\\n\\r\\n".encode())
    first = s.recv(1000)
    s.sendall(b"123")
    print("said", first, s.recv(1000), flush=True)
loop(handle)
""").loaded()
    assert shim.invoke({}).json() == 123
    said = shim.wait_line("said")["msg"]
    assert "100 Continue" in said and "202 Accepted" in said


# Streams ---------------------------------------------------------------------------------------

def test_a_stream_comes_as_it_is_written(start, tmp_path):
    """The second part is written only when the first was read."""
    shim = start.python(STREAM + f"""
def parts():
    yield b"first"
    while not os.path.exists({str(tmp_path / "go")!r}):
        time.sleep(0.01)
    yield b"second"
loop(lambda event: print("said", stream(event, parts(), {{"Content-Type": "text/plain"}}), flush=True))
""").loaded()
    connection = open_stream(shim)
    head = connection.head()
    assert head.field("x-heddle-stream") == "1"
    assert head.field("content-type") == "text/plain"
    assert connection.chunk() == b"first"
    (tmp_path / "go").touch()
    chunks, ended = read_chunks(connection)
    assert chunks == [b"second"] and ended == {}
    shim.wait_line("said HTTP/1.1 202")
    connection = open_stream(shim)
    assert connection.head().field("x-heddle-stream") == "1"
    assert read_chunks(connection)[0][-1].endswith(b"second")


def test_a_stream_is_collected_for_who_wants_it_whole(start):
    shim = start.python(STREAM + """
loop(lambda event: stream(event, [b"one ", b"two"], {"Content-Type": "text/plain"}))
""").loaded()
    answer = shim.invoke({})
    assert answer.field("x-heddle-stream") is None
    assert (answer.field("content-type"), answer.body) == ("text/plain", b"one two")


PRELUDE = b'{"statusCode":201,"headers":{"content-type":"text/plain"},"cookies":["a=1"]}'


def test_a_prelude_is_not_touched(start):
    whole = PRELUDE + b"\0" * 8 + b"body"
    shim = start.python(STREAM + f"""
whole = {whole!r}
loop(lambda event: stream(event, [whole[i:i + 7] for i in range(0, len(whole), 7)],
     {{"Content-Type": "application/vnd.awslambda.http-integration-response"}}))
""").loaded()
    connection = open_stream(shim)
    head = connection.head()
    assert head.field("content-type") == "application/vnd.awslambda.http-integration-response"
    assert b"".join(read_chunks(connection)[0]) == whole
    assert shim.invoke({}).body == whole


@pytest.mark.parametrize("text, told", [
    ('{"errorType": "Mine", "errorMessage": "half way"}', {"errorType": "Mine", "errorMessage": "half way"}),
    ("x" * 6500, None),
])
def test_an_error_in_mid_stream_is_a_trailer(start, text, told):
    error = json.dumps({"errorType": "Mine", "errorMessage": text}) if told is None else text
    encoded = base64.b64encode(error.encode()).decode()[:7900]
    shim = start.python(STREAM + f"""
loop(lambda event: stream(event, [b"some"], {{"Trailer": "Lambda-Runtime-Function-Error-Type"}},
     {{"Lambda-Runtime-Function-Error-Type": "Function.Mine",
       "Lambda-Runtime-Function-Error-Body": {encoded!r}}}))
""").loaded()
    connection = open_stream(shim)
    connection.head()
    chunks, ended = read_chunks(connection)
    assert chunks == [b"some"]
    assert ended["x-heddle-function-error"] == "Unhandled"
    assert ended["x-heddle-error-type"] == "Function.Mine"
    body = json.loads(base64.b64decode(ended["x-heddle-error-body"]))
    assert body == told if told is not None else body["errorType"] == "Function.Mine"
    answer = shim.invoke({})  # whole: an error and nothing else
    assert answer.field("x-heddle-function-error") == "Unhandled"
    assert answer.field("x-heddle-error-type") == "Function.Mine"


def test_next_while_a_stream_is_open_is_refused(start):
    shim = start.python(STREAM + """
def handle(event):
    def parts():
        yield b"one"
        yield str(fresh("GET", BASE + "/invocation/next").status).encode()
    stream(event, parts())
loop(handle)
""").loaded()
    connection = open_stream(shim)
    connection.head()
    assert b"".join(read_chunks(connection)[0]) == b"one403"


def test_a_slow_reader_slows_the_runtime(start):
    """More than every buffer on the way can hold is written only as it is read."""
    shim = start.python(STREAM + """
def handle(event):
    def parts():
        for i in range(4096):
            yield b"x" * 16384
            if i % 64 == 0:
                print("wrote", i, flush=True)
    stream(event, parts())
loop(handle)
""").loaded()
    connection = open_stream(shim)
    connection.head()
    shim.wait_line("wrote 0")
    seen = len(shim.lines())
    while True:  # it comes to a stop
        time.sleep(0.3)
        if len(shim.lines()) == seen:
            break
        seen = len(shim.lines())
    assert seen < 40  # of 64: 64 MiB do not fit
    rss = int(open(f"/proc/{shim.process.pid}/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE")
    chunks, _ = read_chunks(connection)
    assert sum(map(len, chunks)) == 4096 * 16384
    assert rss < 200 << 20  # with the sanitizer's own


def test_who_reads_a_stream_went_away(start):
    shim = start.python(STREAM + """
def handle(event):
    print("said", stream(event, [b"x" * 65536] * 200), flush=True)
loop(handle)
""").loaded()
    connection = open_stream(shim)
    connection.head()
    connection.chunk()
    connection.close()
    shim.wait_line("said HTTP/1.1 202")
    connection = open_stream(shim)
    connection.head()
    assert sum(map(len, read_chunks(connection)[0])) == 200 * 65536


def test_half_a_stream(start):
    shim = start.python(STREAM + """
def handle(event):
    s = raw(f"POST {BASE}/invocation/{event.id}/response HTTP/1.1\\r\\nHost: x\\r\\n"
            "Lambda-Runtime-Function-Response-Mode: streaming\\r\\n"
            "Transfer-Encoding: chunked\\r\\n\\r\\n4\\r\\nhalf\\r\\n".encode())
    time.sleep(0.1)
    s.close()
loop(handle, patient=True)
""", args=["--port", str(free_port())]).loaded()
    connection = open_stream(shim)
    connection.head()
    chunks, ended = read_chunks(connection)
    assert chunks == [b"half"]
    assert ended["x-heddle-error-type"] == "Runtime.TruncatedResponse"
    answer = shim.invoke({})
    assert answer.json()["errorType"] == "Runtime.TruncatedResponse"


def test_an_error_instead_of_a_stream(start):
    shim = start.python("""
loop(lambda e: api.respond(e.id, '{"errorType": "Mine"}', kind="error"))
""").loaded()
    answer = shim.invoke({}, "stream")
    assert answer.field("x-heddle-stream") is None
    assert answer.field("x-heddle-function-error") == "Unhandled"
    assert answer.json() == {"errorType": "Mine"}


# Who may connect -------------------------------------------------------------------------------

def test_other_users_cannot_reach_it(start):
    """Where the network is shared, a stranger's connection is closed before it is read."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to be two users")
    shim = start.python("loop(lambda e: api.respond(e.id, json.dumps(HOST)))\n").loaded()
    host, port = shim.invoke({}).json().split(":")
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setuid(65534)
            s = socket.create_connection((host, int(port)), timeout=10)
            s.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
            os.write(write, b"got " + s.recv(100))
        except ConnectionError:
            os.write(write, b"got ")
        except BaseException as e:
            os.write(write, repr(e).encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    assert os.read(read, 1000) == b"got "
    os.close(read)
    assert shim.invoke({}).status == 200
