"""Events in the Python host: Lambda's rules for handlers, contexts, errors and logs."""

import base64
import contextlib
import json
import subprocess

import pytest

import hostdriver
from hostdriver import Connection


@pytest.fixture
def start(tmp_path):
    hosts = hostdriver.Hosts("python", tmp_path)
    yield hosts
    hosts.end()


@pytest.fixture
def start_in(tmp_path):
    """For hosts that run beside each other."""
    with contextlib.ExitStack() as stack:
        def hosts(name):
            made = hostdriver.Hosts("python", tmp_path / name)
            (tmp_path / name).mkdir()
            stack.callback(made.end)
            return made
        yield hosts


def loaded(start, text, entry="index.py", handler="index.handler", **more):
    host = start({entry: text})
    answer = host.load_lambda(handler, **more)
    assert answer.status == 200, answer.body
    assert answer.json() == {"ok": True, "kind": "lambda", "concurrency": 1}, host.records
    return host


def fault(answer):
    assert (answer.status, answer.field("x-heddle-function-error")) == (200, "Unhandled"), answer.body
    assert answer.field("content-type") == "application/json"
    return answer.json()


# Finding the handler ------------------------------------------------------------------------------

@pytest.mark.parametrize("files, handler", [
    ({"index.py": "def handler(e, c): return 'x'"}, "index.handler"),
    ({"a/b/index.py": "def handler(e, c): return 'x'"}, "a/b/index.handler"),
    ({"a/b/index.py": "def handler(e, c): return 'x'"}, "a.b.index.handler"),
    ({"pkg/__init__.py": "from .inner import word", "pkg/inner.py": "word = 'x'",
      "pkg/mod.py": "from . import word\ndef handler(e, c): return word"}, "pkg/mod.handler"),
    ({"index.py": "class H:\n    def __call__(self, e, c): return 'x'\nhandler = H()"}, "index.handler"),
    ({"index.py": "async def handler(e, c): return 'x'"}, "index.handler"),
    ({"index.py": "import asyncio\nasync def work(): return 'x'\ndef handler(e, c): return asyncio.run(work())"}, "index.handler"),
    ({"index.py": "import asyncio\nasync def work(): return 'x'\nmade = asyncio.run(work())\ndef handler(e, c): return made"}, "index.handler"),
    ({"index.py": "import signal\nsignal.signal(signal.SIGALRM, lambda *a: None)\ndef handler(e, c): return 'x'"}, "index.handler"),
    ({"index.py": "import sibling\ndef handler(e, c): return sibling.word", "sibling.py": "word = 'x'"}, "index.handler"),
])
def test_handlers_are_found_by_lambdas_rules(start, files, handler):
    host = start(files)
    assert host.load_lambda(handler).json()["kind"] == "lambda", host.records
    for _ in range(2):
        assert host.event().body == b'"x"'


def test_layers_are_imported_from_in_their_order(start, tmp_path):
    version = version_folder()
    host = start({"../opt/python/a.py": "word = 'layer'", f"../opt/python/lib/{version}/site-packages/a.py": "word = 'site'",
                  "../opt/python/b.py": "word = 'b'", "../more/c.py": "word = 'c'",
                  "index.py": "import a, b, c\ndef handler(e, x): return [a.word, b.word, c.word]"})
    host.load_lambda("index.handler", opt=str(tmp_path / "opt"), env={"PYTHONPATH": str(tmp_path / "more")})
    assert host.event().json() == ["site", "b", "c"]


def version_folder():
    return subprocess.run(["/usr/bin/python3", "-c", "import sys; print('python%d.%d' % sys.version_info[:2])"],
                          check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("files, handler, kind, message, trace", [
    ({}, "index.handler", "Runtime.ImportModuleError", "Unable to import module 'index': No module named 'index'", None),
    ({}, "a/b.handler", "Runtime.ImportModuleError", "Unable to import module 'a/b': No module named 'a'", None),
    ({"index.py": "import gone"}, "index.handler", "Runtime.ImportModuleError",
     "Unable to import module 'index': No module named 'gone'", "index.py"),
    ({"index.py": "other = 1"}, "index.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'index'", None),
    ({"index.py": "handler = 1"}, "index.handler", "Runtime.HandlerNotFound", "is not callable", None),
    ({"index.py": "x = 1\ndef handler(:"}, "index.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'index': ", "Line 2"),
    ({"index.py": ""}, "handler", "Runtime.MalformedHandlerName", "Bad handler 'handler': not enough values", None),
    ({"sys.py": ""}, "sys.handler", "Runtime.BuiltInModuleConflict", "built-in module sys", None),
    ({"index.py": ""}, ".handler", "Runtime.ImportModuleError", "Unable to import module ''", None),
    ({"index.py": "raise KeyError('k')"}, "index.handler", "KeyError", "'k'", "index.py"),
])
def test_an_init_that_fails_is_told_to_the_first_event(start, files, handler, kind, message, trace):
    host = start(files)
    assert host.load_lambda(handler).json() == {"ok": True, "kind": "init-failed", "concurrency": 1}
    answer = host.event(id="id-i")
    error = fault(answer)
    assert error["errorType"] == kind and message in error["errorMessage"] and error["requestId"] == "id-i", error
    assert trace is None or any(trace in line for line in error["stackTrace"]), error
    assert "heddle_host" not in json.dumps(error) and "importlib" not in json.dumps(error)
    assert answer.field("x-heddle-exit") == "1" and host.ended() == 1
    for id in (None, "id-i"): # when it happened, and for who asked
        assert host.wait_record(lambda r: r["id"] == id and f"[ERROR] {kind}: " in r["msg"])["level"] == "error"


def test_an_exit_while_loading_is_an_exit(start):
    host = start({"index.py": "import sys; sys.exit(4)"})
    with pytest.raises((EOFError, ConnectionError)):
        host.load_lambda("index.handler")
    assert host.ended() == 4


# Results ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("code, wanted", [
    ("event", '{"a": [1, "ü"]}'.encode()), ("None", b"null"), ("'text'", b'"text"'), ("0", b"0"), ("(1, 2)", b"[1, 2]"),
    ("__import__('decimal').Decimal('1.50')", b"1.5"), ("__import__('decimal').Decimal('7')", b"7"), ("'\\ud83d'", b'"\\ud83d"'),
    ("{'statusCode': 418, 'body': 'b'}", b'{"statusCode": 418, "body": "b"}'),
])
def test_results_are_what_the_handler_gives(start, code, wanted):
    host = loaded(start, f"def handler(event, context):\n    return {code}\n")
    connection = Connection(host.path)
    for _ in range(3):
        answer = connection.event('{"a":[1,"ü"]}'.encode())
        assert answer.body == wanted and answer.field("x-heddle-function-error") is None


@pytest.mark.parametrize("code, kind, message", [
    ("raise ValueError('bad')", "ValueError", "bad"),
    ("raise type('Own', (Exception,), {})('own')", "Own", "own"),
    ("raise KeyboardInterrupt", "KeyboardInterrupt", ""),
    ("return {1, 2}", "Runtime.MarshalError", "Unable to marshal response: Object of type set is not JSON serializable"),
    ("a = []; a.append(a); return a", "Runtime.MarshalError", "Unable to marshal response: Circular reference detected"),
    ("return (i for i in [1])", "Runtime.MarshalError", "Unable to marshal response: Object of type generator"),
    ("return handler()", "TypeError", "missing 2 required positional arguments"),
])
def test_errors_are_told_as_json_and_logged(start, code, kind, message):
    host = loaded(start, f"def handler(event, context):\n    {code}\n")
    for _ in range(2): # the instance goes on
        error = fault(host.event(id="id-e"))
        assert list(error) == ["errorMessage", "errorType", "requestId", "stackTrace"]
        assert error["errorType"] == kind and message in error["errorMessage"] and error["requestId"] == "id-e", error
        assert "heddle_host" not in json.dumps(error)
    if kind == "ValueError":
        assert len(error["stackTrace"]) == 1 and 'index.py", line 2, in handler\n    raise ValueError' in error["stackTrace"][0]
    record = host.wait_record(lambda r: f"[ERROR] {kind}: " in r["msg"])
    assert (record["id"], record["level"]) == ("id-e", "error")
    assert ("Traceback" in record["msg"]) == bool(error["stackTrace"])


def test_an_event_that_is_no_json_is_an_error_and_none_is_an_object(start):
    host = loaded(start, "def handler(event, context):\n    return event\n")
    assert fault(host.event(b"{"))["errorType"] == "JSONDecodeError"
    assert host.event(b"").body == b"{}"


def test_a_result_may_have_six_mebibytes(start):
    host = loaded(start, "def handler(n, context):\n    return 'x' * n\n")
    assert len(host.event(6 * 1024 * 1024 + 98).body) == 6 * 1024 * 1024 + 100
    error = fault(host.event(6 * 1024 * 1024 + 99))
    assert error["errorType"] == "Function.ResponseSizeTooLarge" and "6291556" in error["errorMessage"]


def test_the_node_says_how_long_a_result_may_be(start):
    host = loaded(start, "def handler(n, context):\n    return 'x' * n\n", maxAnswerBytes=10)
    assert len(host.event(b"8").body) == 10
    assert fault(host.event(b"9"))["errorType"] == "Function.ResponseSizeTooLarge"


def test_events_come_in_every_framing(start):
    host = loaded(start, "def handler(event, context):\n    return len(event['s'])\n")
    connection = Connection(host.path)
    connection.send_head("POST", "/", [("x-heddle-event", "buffered"), ("Transfer-Encoding", "chunked")])
    connection.send_chunk(b'{"s":"')
    for _ in range(64):
        connection.send_chunk(b"y" * 65536)
    connection.send_chunk(b'"}')
    connection.send(b"0\r\nX: trailer\r\n\r\n")
    assert connection.body(connection.head()) == b"4194304"
    wire = b'POST / HTTP/1.1\r\nHost: x\r\nx-heddle-event: buffered\r\nContent-Length: 10\r\n\r\n{"s":"ab"}'
    for i in range(len(wire)):
        connection.send(wire[i:i + 1])
    assert connection.body(connection.head()) == b"2"
    connection.send(wire * 2)
    assert [connection.body(connection.head()) for _ in range(2)] == [b"2", b"2"]
    connection.send(wire.replace(b"Host: x", b"Expect: 100-continue")[:-10])
    assert connection.head().status == 100
    connection.send(wire[-10:])
    assert connection.body(connection.head()) == b"2"


@pytest.mark.parametrize("text, status", [
    (b"what is this\r\n\r\n", 400), (b"POST / HTTP/1.0\r\n\r\n", 400), (b"POST / HTTP/1.1\r\nno field\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400), (b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", 413),
    (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 400), (b"x" * (129 * 1024), 400),
])
def test_what_is_no_request_is_refused(start, text, status):
    host = loaded(start, "def handler(event, context):\n    return 1\n")
    connection = Connection(host.path)
    connection.send(text)
    head = connection.head()
    assert head.status == status and "error" in json.loads(connection.body(head))
    assert host.event().body == b"1"


# The context and the environment ------------------------------------------------------------------

def test_the_context_is_complete(start):
    host = loaded(start, """import os
def handler(event, c):
    return {"left": c.get_remaining_time_in_millis(), "id": c.aws_request_id, "name": c.function_name, "version": c.function_version,
        "arn": c.invoked_function_arn, "memory": c.memory_limit_in_mb, "group": c.log_group_name, "stream": c.log_stream_name,
        "identity": c.identity.cognito_identity_id, "tenant": c.tenant_id, "trace": os.environ.get("_X_AMZN_TRACE_ID"),
        "custom": c.client_context and [c.client_context.custom, c.client_context.env, c.client_context.client.app_title]}
""")
    encoded = lambda v: base64.b64encode(json.dumps(v).encode()).decode()
    seen = host.event(id="id-c", deadline="5000", arn="arn:x:fn:live", trace="Root=1-a", tenant="t1",
                      client_context=encoded({"custom": {"a": 1}, "client": {"app_title": "t"}}),
                      identity=encoded({"cognitoIdentityId": "i"})).json()
    assert 0 < seen.pop("left") <= 5000
    assert seen == {"id": "id-c", "name": "fn", "version": "$LATEST", "arn": "arn:x:fn:live", "memory": "128",
                    "group": "/aws/lambda/fn", "stream": "2026/01/02/[$LATEST]0a", "identity": "i", "tenant": "t1",
                    "trace": "Root=1-a", "custom": [{"a": 1}, None, "t"]}
    bare = host.event().json()
    assert bare["trace"] is bare["custom"] is bare["identity"] is None and bare["left"] > 10 ** 9
    assert bare["arn"] == "arn:aws:lambda:us-east-1:000000000000:function:fn"


def test_the_environment_and_the_working_directory_are_lambdas(start, tmp_path):
    host = loaded(start, "import os, sys\ndef handler(event, c):\n    return [dict(os.environ), os.getcwd(), len(sys.argv)]\n",
                  env={"K": "v"})
    env, cwd, argc = host.event().json()
    root = str(tmp_path / "functions")
    assert env.pop("PATH")
    env.pop("LC_CTYPE", None) # Python's own, where LANG is C
    assert env == {"LAMBDA_TASK_ROOT": root, "_HANDLER": "index.handler", "TZ": ":UTC", "K": "v"}
    assert (cwd, argc) == (root, 1)


# The process --------------------------------------------------------------------------------------

@pytest.mark.parametrize("code, status", [("sys.exit(3)", 3), ("sys.exit()", 0), ("sys.exit('words')", 1)])
def test_an_exit_in_the_middle_breaks_the_connection_and_is_logged(start, code, status):
    host = loaded(start, f"import sys\ndef handler(event, context):\n    {code}\n")
    with pytest.raises((EOFError, ConnectionError)):
        host.event(id="id-x")
    assert host.ended() == status
    assert f"exit code {status}" in host.wait_record(lambda r: "ended its process" in r["msg"])["msg"]
    if "words" in code:
        host.wait_record(lambda r: r["msg"] == "words")


def test_a_crash_breaks_the_connection(start):
    host = loaded(start, "import os\ndef handler(event, context):\n    os.kill(os.getpid(), 9)\n")
    with pytest.raises((EOFError, ConnectionError)):
        host.event()
    assert host.ended() == -9


def test_sigterm_waits_for_the_answer(start):
    host = loaded(start, """import time
def handler(event, context):
    print("in")
    for _ in range(5):
        time.sleep(0.02)
    return "done"
""")
    connection, idle = Connection(host.path), Connection(host.path)
    connection.send_event()
    host.wait_record(lambda r: r["msg"] == "in")
    host.terminate()
    assert connection.body(connection.head()) == b'"done"'
    assert host.ended() == 0
    idle.close()


def test_a_node_that_goes_away_is_no_crash(start):
    host = loaded(start, "import time\ndef handler(event, context):\n    time.sleep(event)\n    return 'x' * 300000\n")
    half, late = Connection(host.path), Connection(host.path)
    half.send_head("POST", "/", [("x-heddle-event", "buffered"), ("Content-Length", "10")])
    half.send(b"{")
    half.close()
    late.send_event(b"0.05")
    late.close()
    assert len(host.event(b"0").body) == 300002
    assert host.control("GET", "/.heddle/ping").json() == {"background": 0}


def test_control_requests_are_answered(start):
    host = loaded(start, "def handler(event, context):\n    return 1\n")
    assert host.control("GET", "/.heddle/ping", token="0" * 32).status == 403
    assert host.control("POST", "/.heddle/drain").json() == {}
    assert host.control("GET", "/.heddle/other").status == 404
    assert host.load_lambda("index.handler").status == 409
    assert host.get("/fn").status == 400


def test_the_connection_of_the_load_goes_on(start):
    host = start({"index.py": "def handler(event, context):\n    return 1\n"})
    before = Connection(host.path)
    assert before.request("GET", "/.heddle/ping", [("x-heddle-token", host.token)]).status == 200
    assert host.load_lambda("index.handler").status == 200
    assert before.event().body == b"1"


def test_a_host_can_listen_on_a_port_as_in_a_container(start):
    host = start({"index.py": "def handler(event, context):\n    return event\n"}, tcp=True)
    before = Connection(host.path)
    assert host.load_lambda("index.handler").json()["kind"] == "lambda"
    assert [c.event(b"7").body for c in (before, Connection(host.path))] == [b"7", b"7"]
    before.close()
    host.terminate()
    assert host.ended() == 0


# Logs ---------------------------------------------------------------------------------------------

def test_prints_go_out_as_they_are_and_before_the_answer(start):
    host = loaded(start, """import sys, threading
print("at init")
def handler(event, context):
    print("one\\ntwo")
    print("to stderr", file=sys.stderr)
    t = threading.Thread(target=print, args=("thread",)); t.start(); t.join()
    context.log("by the context")
    print("no end", end="")
""")
    host.event(id="id-p")
    assert host.wait_record(lambda r: r["msg"] == "at init")["id"] is None
    for text, level in [("one", "info"), ("two", "info"), ("to stderr", "error"), ("thread", "info"),
                        ("by the context", "info"), ("no end", "info")]:
        record = host.wait_record(lambda r: r["msg"] == text)
        assert (record["id"], record["level"]) == ("id-p", level)


def test_the_logging_module_has_lambdas_text_format(start):
    host = loaded(start, """import logging, warnings
logging.basicConfig(level=logging.DEBUG) # changes nothing: there is a handler
def handler(event, context):
    logging.info("quiet")
    logging.getLogger("mine").warning("a %s\\nb", 1)
    logging.getLogger().setLevel(logging.DEBUG)
    logging.debug("now heard")
    try: 1 / 0
    except ZeroDivisionError: logging.exception("caught")
    logging.getLogger().setLevel(logging.WARNING)
""")
    host.event(id="id-l")
    find = lambda text: host.wait_record(lambda r: text in r["msg"])
    record = find("a 1")
    level, time, id, message = record["msg"].split("\t")
    assert (level, id, message, record["id"], record["level"]) == ("[WARNING]", "id-l", "a 1\nb", "id-l", "warn")
    assert len(time) == 24 and time.endswith("Z") and "T" in time
    assert find("now heard")["level"] == "debug"
    assert "ZeroDivisionError" in find("caught")["msg"] and find("caught")["level"] == "error"
    assert not [r for r in host.records if "quiet" in r["msg"]]


def test_the_logging_module_has_lambdas_json_format_and_levels(start):
    host = loaded(start, """import logging
def handler(event, context):
    logging.debug("quiet")
    logging.getLogger("mine").info("a %s", 1, extra={"order": 7})
    print("printed")
    try: 1 / 0
    except ZeroDivisionError: logging.exception("caught")
    raise ValueError("end")
""", env={"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"})
    host.event(id="id-j")
    host.wait_record(lambda r: '"end"' in r["msg"])
    lines = [json.loads(r["msg"]) for r in host.records if r["msg"] != "printed"]
    assert len(lines) == 3 and len(host.records) == 4
    assert all(line.pop("timestamp").endswith("Z") and line["requestId"] == "id-j" for line in lines)
    assert lines[0] == {"level": "INFO", "message": "a 1", "logger": "mine", "requestId": "id-j", "order": 7}
    assert lines[1]["errorType"] == "ZeroDivisionError" and lines[1]["stackTrace"] and lines[1]["location"].endswith(":handler:7")
    assert (lines[2]["level"], lines[2]["errorType"], lines[2]["errorMessage"]) == ("ERROR", "ValueError", "end")


def test_a_line_longer_than_a_record_comes_whole(start):
    host = loaded(start, "def handler(event, context):\n    print('ü' * 10000 + 'end')\n")
    host.event(id="id-long")
    host.wait_record(lambda r: r["msg"].endswith("end"))
    assert "".join(r["msg"] for r in host.records) == "ü" * 10000 + "end"
    assert len(host.records) > 1 and all(len(r["msg"].encode()) <= 8192 for r in host.records)


# Functions of the functions folder ----------------------------------------------------------------

WSGI = """def application(environ, start_response):
    start_response(%r, [("Content-Type", %r)])
    return [(environ["REQUEST_METHOD"] + environ["PATH_INFO"] + environ["CONTENT_TYPE"]).encode(), environ["wsgi.input"].read()]
"""
ASGI = """async def app(scope, receive, send):
    message = await receive()
    await send({"type": "http.response.start", "status": %d, "headers": [(b"content-type", b%r)]})
    await send({"type": "http.response.body", "body": (scope["method"] + scope["path"] + dict(scope["headers"])[b"content-type"].decode()).encode(), "more_body": True})
    await send({"type": "http.response.body", "body": message["body"]})
"""


@pytest.mark.parametrize("text", [WSGI % ("200 OK", "text/x"), ASGI % (200, "text/x")], ids=["wsgi", "asgi"])
def test_http_callables_get_an_event_as_a_post(start, text):
    host = start.loaded(text, "fn/index.py")
    connection = Connection(host.path)
    for _ in range(2):
        answer = connection.event(b'{"a":1}')
        assert answer.body == b'POST/application/json{"a":1}' and answer.field("x-heddle-function-error") is None
    streamed = connection.event(b'{"a":1}', mode="stream")
    assert (streamed.field("x-heddle-stream"), streamed.field("content-type")) == ("1", "text/x")
    assert streamed.body == b'POST/application/json{"a":1}'


@pytest.mark.parametrize("text, kind, body", [
    (WSGI % ("404 Not Found", "text/plain"), "text/plain", 'POST/application/json{"a":1}'),
    ("def application(e, start_response):\n    start_response('500 Oh', [('Content-Type', 'application/problem+json')])\n    return [b'{\"why\":1}']",
     "json", {"why": 1}),
    (ASGI % (500, "application/json"), "json", 'POST/application/json{"a":1}'),
], ids=["text", "json", "no-json"])
def test_a_status_of_400_or_more_is_a_function_error(start, text, kind, body):
    error = fault(start.loaded(text, "fn/index.py").event(b'{"a":1}', mode="stream"))
    status = error["status"]
    assert error == {"errorType": "HttpError", "errorMessage": f"status {status}", "status": status, "body": body}


@pytest.mark.parametrize("text", [
    "def handler(event, context):\n    return {'e': event, 'id': context.aws_request_id, 'statusCode': 500}\n",
    "async def handler(event, context):\n    return {'e': event, 'id': context.aws_request_id, 'statusCode': 500}\n",
])
def test_a_lambda_handler_of_the_folder_gets_the_event_itself(start, text):
    host = start.loaded(text, "fn/index.py")
    assert host.event({"a": 1}, id="id-f").json() == {"e": {"a": 1}, "id": "id-f", "statusCode": 500}
    assert host.get("/fn").status == 500


@pytest.mark.parametrize("text", [
    "def handler(event, context):\n    raise RuntimeError('thrown')\n",
    "def application(environ, start_response):\n    raise RuntimeError('thrown')\n",
    "async def app(scope, receive, send):\n    if scope['type'] == 'http': raise RuntimeError('thrown')\n",
])
def test_what_a_folder_function_raises_is_its_error(start, text):
    host = start.loaded(text, "fn/index.py")
    error = fault(host.event(id="id-t"))
    assert (error["errorType"], error["errorMessage"]) == ("RuntimeError", "thrown")
    assert "thrown" in host.wait_record(lambda r: r["id"] == "id-t")["msg"]


LOOKS_AROUND = """import logging, os, signal, sys, time, warnings
def handler(event, context):
    root = logging.getLogger()
    return {"env": dict(os.environ), "path": sys.path, "argv": sys.argv, "cwd": os.getcwd(),
            "folders": sorted(sys.path_importer_cache), "zone": time.tzname, "level": root.level,
            "handlers": [type(h).__module__ + type(h).__name__ for h in root.handlers],
            "ours": [name for name in sys.modules if "rehears" in name and name != "heddle_host.rehearse"],
            "warnings": warnings.showwarning.__module__}
"""


def test_a_rehearsal_leaves_no_trace(start_in):
    seen = []
    for rehearsed in (False, True):
        host = start_in(f"{rehearsed}")({"index.py": LOOKS_AROUND})
        if rehearsed:
            for _ in range(2):
                assert host.control("POST", "/.heddle/rehearsal", b"{}").json() == {}
        assert host.load_lambda("index.handler", env={"TZ": ":UTC", "A": "b"}).json()["kind"] == "lambda"
        text = host.event().body.decode().replace(host.root, "ROOT").replace(host.run_dir, "RUN")
        seen.append(json.loads(text))
        assert host.records == []
    assert seen[0] == seen[1] and seen[0]["ours"] == []


def test_a_rehearsal_never_reaches_the_function(start):
    host = loaded(start, "def handler(event, context):\n    print('called')\n    return 1\n")
    assert host.control("POST", "/.heddle/rehearsal", b"{}", token="0" * 32).status == 403
    assert host.control("POST", "/.heddle/rehearsal", b"{}").json() == {}
    assert host.event().body == b"1"
    host.wait_record(lambda r: r["msg"] == "called")
    assert [r["msg"] for r in host.records] == ["called"]


def test_who_rehearsed_may_load_something_else(start):
    host = start({"fn/index.py": "import logging\nlogging.getLogger('x').info('loaded')\n"
                                 "def application(environ, start_response):\n"
                                 "    start_response('200 OK', [])\n    return [b'hi']\n"})
    assert host.control("POST", "/.heddle/rehearsal", b"{}").status == 200
    assert host.load("fn/index.py").json()["kind"] == "wsgi"
    assert host.get("/fn").body == b"hi"
    assert host.wait_record(lambda r: r["msg"] == "loaded")["level"] == "info"
