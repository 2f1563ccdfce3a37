"""Events in the Node host: Lambda's rules for handlers, contexts, errors, logs and streams."""

import base64
import json
import subprocess

import pytest

import hostdriver
from heddle import eventually
from hostdriver import Connection

pytestmark = pytest.mark.skipif(hostdriver.missing("node") is not None,
                                reason=str(hostdriver.missing("node")))
STREAM = "exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {%s});"


@pytest.fixture
def start(tmp_path):
    hosts = hostdriver.Hosts("node", tmp_path)
    yield hosts
    hosts.end()


def loaded(start, text, entry="index.js", handler="index.handler", **more):
    host = start({entry: text})
    answer = host.load_lambda(handler, **more)
    assert answer.status == 200, answer.body
    assert answer.json() == {"ok": True, "kind": "lambda", "concurrency": 1}, host.records
    return host


def fault(answer):
    assert (answer.status, answer.field("x-heddle-function-error")) == (200, "Unhandled"), answer.body
    assert answer.field("content-type") == "application/json"
    return answer.json()


def failed_init(start, files, handler="index.handler", **more):
    """The error that the first event gets; the host ends then."""
    host = start(files)
    answer = host.load_lambda(handler, **more)
    assert answer.json() == {"ok": True, "kind": "init-failed", "concurrency": 1}
    answer = host.event(id="id-i")
    assert answer.field("x-heddle-exit") == "1"
    assert host.ended() == 129
    host.wait_record(lambda r: r["id"] == "id-i" and "Uncaught Exception" in r["msg"])
    assert host.wait_record(lambda r: "Uncaught Exception" in r["msg"])["level"] == "error"
    return fault(answer)


# Finding the handler ------------------------------------------------------------------------------

@pytest.mark.parametrize("files, handler", [
    ({"index.js": "exports.handler = async () => 'x';"}, "index.handler"),
    ({"index.cjs": "exports.handler = async () => 'x';"}, "index.handler"),
    ({"index.mjs": "export const handler = async () => 'x';"}, "index.handler"),
    ({"index": "exports.handler = async () => 'x';"}, "index.handler"),
    ({"index.js": "export const handler = async () => 'x';", "package.json": '{"type":"module"}'}, "index.handler"),
    ({"a/b/index.js": "export const handler = async () => 'x';", "a/package.json": '{"type":"module"}',
      "package.json": '{"type":"commonjs"}'}, "a/b/index.handler"),
    ({"a/index.js": "exports.deep = { run: { it: async () => 'x' } };"}, "a/index.deep.run.it"),
    ({"index.mjs": "const late = await Promise.resolve('x'); export const handler = async () => late;"}, "index.handler"),
    ({"index.js": "exports.handler = async () => 'first';", "index.mjs": "export const handler = async () => 'x';"}, None),
    ({"node_modules/pkg/index.js": "exports.handler = async () => 'x';"}, "pkg.handler"),
])
def test_handlers_are_found_by_lambdas_rules(start, files, handler):
    host = start(files)
    assert host.load_lambda(handler or "index.handler").json()["kind"] == "lambda"
    assert host.event().body == (b'"x"' if handler else b'"first"')


def test_node_path_is_looked_at_and_required_from(start, tmp_path):
    host = start({"../layer/inlayer.js": "exports.handler = async () => require('other').word;",
                  "../layer/other.js": "exports.word = 'layer';", "../layer/package.json": "{}"})
    host.load_lambda("inlayer.handler", env={"NODE_PATH": str(tmp_path / "layer")})
    assert host.event().json() == "layer"


@pytest.mark.parametrize("files, handler, kind, words", [
    ({}, "index.handler", "Runtime.ImportModuleError", "Cannot find module 'index'"),
    ({"index.js": "require('./gone');"}, "index.handler", "Runtime.ImportModuleError", "./gone"),
    ({"index.mjs": "import './gone.mjs';"}, "index.handler", "Runtime.ImportModuleError", "gone.mjs"),
    ({"index.js": "exports.other = 1;"}, "index.handler", "Runtime.HandlerNotFound",
     "index.handler is undefined or not exported"),
    ({"index.js": "exports.handler = 1;"}, "index.handler", "Runtime.HandlerNotFound",
     "index.handler is not a function"),
    ({"index.js": "let = ;"}, "index.handler", "Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected"),
    ({"index.js": ""}, "handler", "Runtime.MalformedHandlerName", "Bad handler"),
    ({"index.js": ""}, "../index.handler", "Runtime.MalformedHandlerName", "not a valid handler name"),
    ({"index.js": "null.x;"}, "index.handler", "TypeError", "null"),
    ({"index.js": "throw 'text';"}, "index.handler", "string", "text"),
    ({"index.mjs": "setTimeout(() => { throw new RangeError('late'); }, 1); await new Promise(() => setTimeout(() => {}, 1e6));"},
     "index.handler", "RangeError", "late"),
    ({"index.mjs": "Promise.reject(new RangeError('r')); await new Promise((r) => setTimeout(r, 1e6));"},
     "index.handler", "RangeError", "r"),
])
def test_an_init_that_fails_is_told_to_the_first_event(start, files, handler, kind, words):
    error = failed_init(start, files, handler)
    assert error["errorType"] == kind and words in error["errorMessage"], error
    assert "runtimes/node" not in json.dumps(error)


def test_a_syntax_error_tells_where(start):
    error = failed_init(start, {"index.js": "\n\nconst x = {{;"})
    assert any("index.js:3" in line for line in error["trace"]), error


# Results ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("code, wanted", [
    ("async (e) => e", b'{"a":[1,"\xc3\xbc"]}'),
    ("async () => undefined", b"null"),
    ("async () => {}", b"null"),
    ("async () => 'text'", b'"text"'),
    ("async () => 0", b"0"),
    ("(e, c, done) => done(null, 1)", b"1"),
    ("(e, c, done) => { setTimeout(() => done(null, 'later'), 5); }", b'"later"'),
    ("(e, c, done) => done()", b"null"),
    ("(e, c) => c.succeed('s')", b'"s"'),
    ("(e, c) => c.done(null, 'd')", b'"d"'),
    ("(e) => 'what is returned without a promise means nothing'", b"null"),
    ("(e) => ({ then: (ok) => ok('thenable') })", b'"thenable"'),
    ("() => new Promise((r) => setImmediate(r, 'i'))", b'"i"'),
    ("async () => ({ statusCode: 418, body: 'b' })", b'{"statusCode":418,"body":"b"}'),
])
def test_results_are_what_the_handler_gives(start, code, wanted):
    host = loaded(start, f"exports.handler = {code};")
    connection = Connection(host.path)
    for _ in range(3):
        answer = connection.event('{"a":[1,"ü"]}'.encode())
        assert answer.body == wanted and answer.field("x-heddle-function-error") is None
        assert answer.field("x-heddle-exit") is None


@pytest.mark.parametrize("code, kind, message", [
    ("async () => { throw new TypeError('bad'); }", "TypeError", "bad"),
    ("() => { throw new TypeError('bad'); }", "TypeError", "bad"),
    ("(e, c, done) => done(new TypeError('bad'))", "TypeError", "bad"),
    ("(e, c, done) => done('words')", "string", "words"),
    ("(e, c) => c.fail(new TypeError('bad'))", "TypeError", "bad"),
    ("async () => { throw 'words'; }", "string", "words"),
    ("async () => { throw undefined; }", "undefined", "undefined"),
    ("async () => { throw { toString() { throw 1; } }; }", "handled", "cannot be read"),
    ("async () => { const e = new Error('own'); e.name = 'Mine'; throw e; }", "Mine", "own"),
    ("async () => { const a = {}; a.a = a; return a; }", "Error", "Unable to stringify response body"),
    ("async () => 1n", "Error", "Unable to stringify response body"),
    ("async () => () => 1", "Error", "Unable to stringify response body"),
])
def test_errors_are_told_as_json(start, code, kind, message):
    host = loaded(start, f"exports.handler = {code};")
    for _ in range(2): # the instance goes on
        error = fault(host.event(id="id-e"))
        assert error["errorType"] == kind and message in error["errorMessage"], error
        assert "runtimes/node" not in json.dumps(error)
    record = host.wait_record(lambda r: "Invoke Error" in r["msg"])
    assert (record["id"], record["level"]) == ("id-e", "error")
    time, id, level, text, details = record["msg"].split("\t")
    assert (id, level, text) == ("id-e", "ERROR", "Invoke Error ") and time.endswith("Z")
    if kind == "TypeError":
        assert error["trace"][0] == "TypeError: bad" and "index.js:1" in error["trace"][1]
        assert json.loads(details)["errorType"] == "TypeError"


def test_an_event_that_is_no_json_is_an_error_and_none_is_an_object(start):
    host = loaded(start, "exports.handler = async (e) => e;")
    assert fault(host.event(b"{"))["errorType"] == "SyntaxError"
    assert host.event(b"").body == b"{}"


def test_a_result_may_have_six_mebibytes(start):
    host = loaded(start, "exports.handler = async (n) => 'x'.repeat(n);")
    assert len(host.event(6 * 1024 * 1024 + 98).body) == 6 * 1024 * 1024 + 100
    error = fault(host.event(6 * 1024 * 1024 + 99))
    assert error["errorType"] == "Function.ResponseSizeTooLarge" and "6291556" in error["errorMessage"]
    assert host.event(b"1").body == b'"x"'


def test_the_node_says_how_long_a_result_may_be(start):
    host = loaded(start, "exports.handler = async (n) => 'x'.repeat(n);", maxAnswerBytes=10)
    assert len(host.event(b"8").body) == 10
    assert fault(host.event(b"9"))["errorType"] == "Function.ResponseSizeTooLarge"


def test_a_big_event_comes_in_chunks(start):
    host = loaded(start, "exports.handler = async (e) => e.s.length;")
    connection = Connection(host.path)
    connection.send_head("POST", "/", [("x-heddle-event", "buffered"), ("x-heddle-id", "c"),
                                       ("Transfer-Encoding", "chunked")])
    connection.send_chunk(b'{"s":"')
    for _ in range(64):
        connection.send_chunk(b"y" * 65536)
    connection.send_chunk(b'"}')
    connection.send(b"0\r\n\r\n")
    assert connection.body(connection.head()) == b"4194304"


# The context and the environment ------------------------------------------------------------------

def test_the_context_is_complete(start):
    host = loaded(start, "exports.handler = async (e, c) => ({...c, left: c.getRemainingTimeInMillis(), "
                         "trace: process.env._X_AMZN_TRACE_ID});")
    encoded = lambda v: base64.b64encode(json.dumps(v).encode()).decode()
    seen = host.event(id="id-c", deadline="5000", arn="arn:x:fn:live", trace="Root=1-a", tenant="t1",
                      client_context=encoded({"custom": {"a": 1}}), identity=encoded({"cognitoIdentityId": "i"})).json()
    assert 0 < seen.pop("left") <= 5000
    assert seen == {
        "callbackWaitsForEmptyEventLoop": True, "functionVersion": "$LATEST", "functionName": "fn",
        "memoryLimitInMB": "128", "logGroupName": "/aws/lambda/fn", "logStreamName": "2026/01/02/[$LATEST]0a",
        "clientContext": {"custom": {"a": 1}}, "identity": {"cognitoIdentityId": "i"},
        "invokedFunctionArn": "arn:x:fn:live", "awsRequestId": "id-c", "tenantId": "t1", "trace": "Root=1-a"}
    bare = host.event().json()
    assert "trace" not in bare and "clientContext" not in bare and "tenantId" not in bare
    assert bare["invokedFunctionArn"] == "arn:aws:lambda:us-east-1:000000000000:function:fn"
    assert bare["left"] > 10 ** 9


def test_the_environment_and_the_working_directory_are_lambdas(start, tmp_path):
    host = loaded(start, "exports.handler = async () => [process.env, process.cwd(), process.argv.length];",
                  env={"K": "v"})
    env, cwd, argc = host.event().json()
    root = str(tmp_path / "functions")
    assert env.pop("PATH") and env.pop("PWD", None) in (None, root)
    assert env == {"LAMBDA_TASK_ROOT": root, "_HANDLER": "index.handler", "TZ": ":UTC", "K": "v"}
    assert (cwd, argc) == (root, 1)


# The event loop -----------------------------------------------------------------------------------

def test_a_callback_waits_for_an_empty_event_loop(start):
    host = loaded(start, """let done = 0; exports.handler = (e, c, callback) => {
        c.callbackWaitsForEmptyEventLoop = e.wait; setTimeout(() => { done++; console.log("timer"); }, 30);
        callback(null, done); };""")
    assert host.event({"wait": True}).body == b"0"
    assert host.wait_record(lambda r: "timer" in r["msg"]) # was there before the answer
    assert host.event({"wait": False}).body == b"1"
    assert host.event({"wait": True}).json() in (1, 2)


def test_a_handler_that_neither_answers_nor_waits_gives_null(start):
    host = loaded(start, "exports.handler = (e, c, callback) => { setTimeout(() => {}, 5); };")
    for _ in range(2):
        assert host.event().body == b"null"


def test_a_promise_that_is_never_settled_ends_the_instance(start):
    host = loaded(start, "exports.handler = () => new Promise(() => {});")
    connection = Connection(host.path) # an idle connection does not keep it waiting
    idle = Connection(host.path)
    answer = connection.event()
    error = fault(answer)
    assert error["errorType"] == "Runtime.NodeJsExit" and "never settled" in error["errorMessage"]
    assert answer.field("x-heddle-exit") == "1" and host.ended() == 13
    idle.close()


@pytest.mark.parametrize("code, kind, title, message", [
    ("setTimeout(() => { throw new RangeError('in a timer'); }, 1); return new Promise(() => setTimeout(() => {}, 1e6));",
     "RangeError", "Uncaught Exception", "in a timer"),
    ("Promise.reject(new RangeError('nobody looks')); return new Promise((r) => setTimeout(r, 1e6));",
     "Runtime.UnhandledPromiseRejection", "Unhandled Promise Rejection", "RangeError: nobody looks"),
])
def test_what_nobody_catches_is_the_answer_and_the_end(start, code, kind, title, message):
    host = loaded(start, "exports.handler = async () => { %s };" % code)
    answer = host.event(id="id-u")
    error = fault(answer)
    assert (error["errorType"], error["errorMessage"]) == (kind, message)
    assert answer.field("x-heddle-exit") == "1" and host.ended() == 128
    assert host.wait_record(lambda r: title in r["msg"])["id"] == "id-u"


def test_what_nobody_catches_between_events_ends_the_instance(start):
    host = loaded(start, "exports.handler = async () => { setTimeout(() => { throw new Error('later'); }, 5); };")
    assert host.event().body == b"null"
    assert host.ended() == 128
    host.wait_record(lambda r: "later" in r["msg"])


def test_an_exit_in_the_middle_breaks_the_connection_and_says_who(start):
    host = loaded(start, "exports.handler = async () => {\n  process.exit(3); };")
    with pytest.raises((EOFError, ConnectionError)):
        host.event(id="id-x")
    assert host.ended() == 3
    record = host.wait_record(lambda r: "process.exit(3)" in r["msg"])
    assert record["id"] == "id-x" and "index.js:2:" in record["msg"]


def test_an_exit_while_loading_is_an_exit(start):
    host = start({"index.js": "process.exit(4);"})
    with pytest.raises((EOFError, ConnectionError)):
        host.load_lambda("index.handler")
    assert host.ended() == 4
    assert "index.js:1:" in host.wait_record(lambda r: "process.exit(4)" in r["msg"])["msg"]


def test_sigterm_waits_for_the_answer(start):
    host = loaded(start, """exports.handler = async () => { console.log("in");
        const busy = setInterval(() => {}, 5);
        await new Promise((r) => process.once("SIGTERM", () => setTimeout(r, 30))); clearInterval(busy); return "done"; };""")
    connection = Connection(host.path)
    connection.send_event()
    host.wait_record(lambda r: r["msg"].endswith("\tin"))
    host.terminate()
    assert connection.body(connection.head()) == b'"done"'
    assert host.ended() == 0


def test_a_node_that_goes_away_in_mid_event_is_no_crash(start):
    host = loaded(start, "exports.handler = async () => 1;")
    connection = Connection(host.path)
    connection.send_head("POST", "/", [("x-heddle-event", "buffered"), ("Content-Length", "10")])
    connection.send(b"{")
    connection.close()
    assert host.event().body == b"1"
    assert host.control("GET", "/.heddle/ping").json() == {"background": 0}


def test_a_lambda_function_takes_events_only(start):
    host = loaded(start, "exports.handler = async () => 1;")
    assert host.get("/fn").status == 400
    assert host.load_lambda("index.handler").status == 409


def test_a_rehearsal_never_reaches_the_function(start):
    host = loaded(start, "exports.handler = async (e) => { console.log('called'); return 'function'; };")
    connection = Connection(host.path)
    answer = connection.request("POST", "/.heddle/rehearsal", [
        ("x-heddle-token", host.token), ("x-heddle-event", "buffered"), ("x-heddle-id", "r")], b'{"a":1}')
    assert (answer.status, answer.body) in [(404, answer.body), (200, b'{"a":1}')] and b"function" not in answer.body
    assert connection.event().body == b'"function"'
    assert len([r for r in host.records if "called" in r["msg"]]) <= 1


def test_a_host_that_was_kept_ready_is_as_any_other(start):
    host = start({"index.js": "exports.handler = async (e) => e;"})
    ready = lambda: host.control("POST", "/.heddle/rehearsal", b"5").status == 200
    eventually(ready, what="the rehearsal")
    assert host.load_lambda("index.handler").json()["kind"] == "lambda"
    assert host.event(b"[1]").body == b"[1]" and host.records == []


def test_a_host_can_listen_on_a_port_as_in_a_container(start):
    host = start({"index.js": "exports.handler = async (e) => e;"}, tcp=True)
    before = Connection(host.path)
    assert host.load_lambda("index.handler").json()["kind"] == "lambda"
    assert [c.event(b"7").body for c in (before, Connection(host.path))] == [b"7", b"7"]
    before.close()
    host.terminate()
    assert host.ended() == 0


# Logs ---------------------------------------------------------------------------------------------

def test_log_lines_have_lambdas_text_format(start):
    host = loaded(start, """console.log("at init"); exports.handler = async () => {
        console.log("a %s", "b", {c: 1}); console.info("i"); console.warn("two\\nlines"); console.error(new Error("e").message);
        console.debug("d"); console.trace("t"); console.table([{x: 1}]); console.dir({y: 2}); };""")
    host.event(id="id-l")
    find = lambda text: host.wait_record(lambda r: text in r["msg"])
    assert find("at init")["id"] is None and find("at init")["msg"].split("\t")[1:] == ["undefined", "INFO", "at init"]
    for text, level, name in [("a b { c: 1 }", "info", "INFO"), ("i", "info", "INFO"), ("two\rlines", "warn", "WARN"),
                              ("e", "error", "ERROR"), ("d", "debug", "DEBUG"), ("t", "debug", "TRACE")]:
        record = host.wait_record(lambda r: r["msg"].endswith("\t" + text))
        assert (record["id"], record["level"]) == ("id-l", level)
        assert record["msg"].split("\t")[1:3] == ["id-l", name]
    assert find("(index)")["msg"].split("\t")[2] == "INFO" and find("{ y: 2 }")["id"] == "id-l"


def test_log_lines_have_lambdas_json_format_and_levels(start):
    host = loaded(start, """exports.handler = async () => { console.debug("hidden"); console.info({a: 1}); console.warn("a %d", 7);
        console.error("why", new RangeError("bad")); const c = {}; c.c = c; console.error(c); console.fatal("f"); throw new RangeError("end"); };""",
                  env={"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"})
    host.event(id="id-j")
    host.wait_record(lambda r: '"end"' in r["msg"])
    lines = [json.loads(r["msg"]) for r in host.records]
    assert [line["level"] for line in lines] == ["INFO", "WARN", "ERROR", "ERROR", "FATAL", "ERROR"]
    assert all(line["requestId"] == "id-j" and line["timestamp"].endswith("Z") for line in lines)
    assert lines[0]["message"] == {"a": 1} and lines[1]["message"] == "a 7"
    assert lines[2]["errorType"] == "RangeError" and lines[2]["errorMessage"] == "bad" and lines[2]["stackTrace"]
    assert "Circular" in lines[3]["message"] and lines[4]["message"] == "f"
    assert lines[5]["message"]["errorMessage"] == "end"


def test_a_line_longer_than_a_record_comes_whole(start):
    host = loaded(start, "exports.handler = async (n) => console.log('ü'.repeat(n) + 'end');")
    host.event(10000, id="id-long")
    host.wait_record(lambda r: r["msg"].endswith("end"))
    text = "".join(r["msg"] for r in host.records)
    assert text.split("\t")[3] == "ü" * 10000 + "end"
    assert len(host.records) > 1 and all(len(r["msg"].encode()) <= 8192 for r in host.records)


# Streams ------------------------------------------------------------------------------------------

def test_chunks_come_as_they_are_written(start):
    host = loaded(start, STREAM % """ stream.setContentType("text/x"); stream.write("one");
        setTimeout(() => console.log("wrote"), 1);
        const busy = setInterval(() => {}, 5); /* signals keep no process alive */
        await new Promise((r) => process.on("SIGUSR2", r)); clearInterval(busy); stream.end("two"); """)
    connection = Connection(host.path)
    connection.send_event(mode="stream", id="id-s")
    head = connection.head()
    assert (head.field("x-heddle-stream"), head.field("content-type")) == ("1", "text/x")
    assert connection.chunk() == b"one"
    host.wait_record(lambda r: "wrote" in r["msg"]) # the handler has not ended
    subprocess.run(["kill", "-USR2", str(host.process.pid)], check=True)
    assert (connection.chunk(), connection.chunk(), connection.trailers) == (b"two", b"", {})


def test_a_prelude_goes_in_front(start):
    host = loaded(start, STREAM % """
        stream = awslambda.HttpResponseStream.from(stream, {statusCode: 201, headers: {a: "b"}, cookies: ["c=1"]});
        stream.write("body"); stream.end(); """)
    for mode in ("stream", "buffered"): # the node collects, not the host
        answer = host.event(mode=mode)
        assert answer.field("content-type") == "application/vnd.awslambda.http-integration-response"
        prelude, body = answer.body.split(b"\0" * 8)
        assert json.loads(prelude) == {"statusCode": 201, "headers": {"a": "b"}, "cookies": ["c=1"]}
        assert body == b"body"


@pytest.mark.parametrize("code, body", [
    ("stream.end();", b""),
    ("stream.end('x');", b"x"),
    ("await require('stream/promises').pipeline(require('stream').Readable.from(['a', 'b']), stream);", b"ab"),
    ("for (let i = 0; i < 50; i++) if (!stream.write(Buffer.alloc(65536))) await require('events').once(stream, 'drain'); stream.end();",
     b"\0" * 65536 * 50),
    ("stream.end('x'); return {ignored: true};", b"x"),
], ids=["empty", "one", "pipeline", "drain", "returns"])
def test_streams_end_in_each_way(start, code, body):
    host = loaded(start, STREAM % code)
    connection = Connection(host.path)
    for _ in range(2):
        answer = connection.event(mode="stream")
        assert answer.body == body and answer.field("content-type") == "application/octet-stream"
        assert connection.trailers == {}


def test_a_stream_that_fails_before_its_first_byte_is_a_function_error(start):
    host = loaded(start, STREAM % "throw new RangeError('early');")
    for _ in range(2):
        error = fault(host.event(mode="stream"))
        assert (error["errorType"], error["errorMessage"]) == ("RangeError", "early")


def test_a_stream_that_fails_midway_tells_it_in_trailers(start):
    host = loaded(start, STREAM % "stream.write('some'); throw new RangeError('midway');")
    connection = Connection(host.path)
    for _ in range(2):
        answer = connection.event(mode="stream", id="id-m")
        assert answer.body == b"some"
        assert connection.trailers["x-heddle-function-error"] == "Unhandled"
        assert connection.trailers["x-heddle-error-type"] == "RangeError"
        error = json.loads(base64.b64decode(connection.trailers["x-heddle-error-body"]))
        assert error["errorMessage"] == "midway" and "x-heddle-exit" not in connection.trailers
    assert host.wait_record(lambda r: "Invoke Error" in r["msg"])["id"] == "id-m"


@pytest.mark.parametrize("code, kind, code_of_exit", [
    ("stream.write('some'); setTimeout(() => { throw new RangeError('x'); }, 1); await new Promise(() => setTimeout(() => {}, 1e6));", "RangeError", 128),
    ("stream.write('some');", "Runtime.NodeJsExit", 13),
])
def test_a_stream_whose_instance_ends_says_so(start, code, kind, code_of_exit):
    host = loaded(start, STREAM % code)
    connection = Connection(host.path)
    assert connection.event(mode="stream").body == b"some"
    assert connection.trailers["x-heddle-error-type"] == kind and connection.trailers["x-heddle-exit"] == "1"
    assert host.ended() == code_of_exit


def test_a_streaming_handler_must_be_async(start):
    host = loaded(start, "exports.handler = awslambda.streamifyResponse((e, stream) => {});")
    assert fault(host.event())["errorType"] == "Runtime.MalformedStreamingHandler"


def test_the_next_event_waits_for_a_handler_that_works_on_after_its_stream(start):
    host = loaded(start, """let busy = 0; exports.handler = awslambda.streamifyResponse(async (e, stream) => {
        const seen = busy++; stream.end(String(seen)); await new Promise((r) => setTimeout(r, 40)); busy--; });""")
    connection = Connection(host.path)
    for _ in range(3):
        assert connection.event(mode="stream").body == b"0"


def test_a_reader_that_leaves_does_not_stop_the_handler(start):
    host = loaded(start, STREAM % """ for (let i = 0; i < 200; i++) if (!stream.write(Buffer.alloc(65536)))
        await new Promise((r) => { stream.once("drain", r); }); stream.end(); console.log("to its end"); """)
    connection = Connection(host.path)
    connection.send_event(mode="stream")
    connection.head()
    connection.close()
    host.wait_record(lambda r: "to its end" in r["msg"])
    assert host.event(b"{}").field("x-heddle-stream") == "1"


# Functions of the functions folder ----------------------------------------------------------------

@pytest.mark.parametrize("text", [
    "export default { fetch: async (req) => Response.json([req.method, new URL(req.url).pathname, req.headers.get('content-type'), await req.json()]) };",
    "export default (req, res) => { let s = ''; req.on('data', (d) => s += d); req.on('end', () => { res.setHeader('x', 'y');"
    " res.write('['); res.end(`\"${req.method}\",\"${req.url}\",\"${req.headers['content-type']}\",${s}]`); }); };",
])
def test_http_handlers_get_an_event_as_a_post(start, text):
    host = start.loaded(text, "fn/index.mjs")
    connection = Connection(host.path)
    for _ in range(2):
        answer = connection.event(b'{"a":1}')
        assert answer.json() == ["POST", "/", "application/json", {"a": 1}]
        assert answer.field("x-heddle-function-error") is None and answer.field("x") is None


def test_a_lambda_handler_of_the_folder_gets_the_event_itself(start):
    host = start.loaded("export const handler = async (e, c) => ({e, id: c.awsRequestId, statusCode: 500});", "fn/index.mjs")
    assert host.event({"a": 1}, id="id-f").json() == {"e": {"a": 1}, "id": "id-f", "statusCode": 500}
    assert host.get("/fn").status == 500


@pytest.mark.parametrize("text, error", [
    ("export default { fetch: () => Response.json({why: 1}, {status: 404}) };",
     {"errorType": "HttpError", "errorMessage": "status 404", "status": 404, "body": {"why": 1}}),
    ("export default (req, res) => { res.writeHead(500, {'content-type': 'text/plain'}); res.end('words'); };",
     {"errorType": "HttpError", "errorMessage": "status 500", "status": 500, "body": "words"}),
])
def test_a_status_of_400_or_more_is_a_function_error(start, text, error):
    assert fault(start.loaded(text, "fn/index.mjs").event()) == error


@pytest.mark.parametrize("text", [
    "export default { async fetch() { throw new RangeError('thrown'); } };",
    "export default async (req, res) => { res.setHeader('a', 'b'); throw new RangeError('thrown'); };",
    "export const handler = async () => { throw new RangeError('thrown'); };",
])
def test_what_a_folder_function_throws_is_its_error(start, text):
    host = start.loaded(text, "fn/index.mjs")
    error = fault(host.event(id="id-t"))
    assert (error["errorType"], error["errorMessage"]) == ("RangeError", "thrown")
    assert "thrown" in host.wait_record(lambda r: r["id"] == "id-t")["msg"]
    assert host.control("GET", "/.heddle/ping").status == 200


def test_a_stream_of_a_fetch_handler_streams_when_it_is_wanted(start):
    host = start.loaded("""export default { fetch: () => new Response(new ReadableStream({ start(c) {
        c.enqueue(new Uint8Array([65])); c.enqueue(new Uint8Array([66])); c.close(); } }), {headers: {"content-type": "text/x"}}) };""", "fn/index.mjs")
    streamed = host.event(mode="stream")
    assert (streamed.field("x-heddle-stream"), streamed.field("content-type"), streamed.body) == ("1", "text/x", b"AB")
    collected = host.event()
    assert (collected.field("x-heddle-stream"), collected.body) == (None, b"AB")
