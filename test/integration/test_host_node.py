"""The Node host, driven over its socket."""

import base64
import json
import threading

import pytest

import hostdriver
from hostdriver import Connection

pytestmark = pytest.mark.skipif(hostdriver.missing("node") is not None,
                                reason=str(hostdriver.missing("node")))


@pytest.fixture
def start(tmp_path):
    hosts = hostdriver.Hosts("node", tmp_path)
    yield hosts
    hosts.end()


def loaded(start, text, entry="fn/index.mjs", **more):
    return start.loaded(text, entry, **more)


@pytest.mark.parametrize("entry, text, kind", [
    ("index.mjs", 'export default { fetch() { return new Response("hi"); } };', "fetch"),
    ("index.mjs", 'export default async (req) => new Response("hi");', "fetch"),
    ("index.mjs", 'export default (req, res) => res.end("hi");', "node-http"),
    ("index.js", 'module.exports = (req, res) => { res.end("hi"); };', "node-http"),
    ("index.cjs", 'module.exports = { fetch: () => new Response("hi") };', "fetch"),
    ("index.mjs", 'export const handler = async () => ({statusCode: 200, body: "hi"});', "lambda"),
    ("index.js", 'exports.handler = (event, context, callback) => callback(null, {statusCode: 200, body: "hi"});', "lambda"),
])
def test_each_form_of_a_handler_is_found(start, entry, text, kind):
    host = start({"fn/" + entry: text, "package.json": "{}"})
    answer = host.load("fn/" + entry).json()
    assert (answer["ok"], answer["kind"]) == (True, kind)
    assert answer.get("concurrency") == (1 if kind == "lambda" else None)
    assert host.get("/fn").body == b"hi"


def test_a_named_handler_is_taken(start):
    host = loaded(start, "export const deep = { run: async () => 'x' }; export default { fetch() {} };",
                  handler="index.deep.run")
    assert host.get("/fn").body == b"x"


@pytest.mark.parametrize("entry, text, words", [
    ("index.mjs", "const x = 1;\nexport default {{ ;", ["Unexpected token", "fn/index.mjs:2"]),
    ("index.js", "const x = 1;\nmodule.exports = {{ ;", ["Unexpected token", "fn/index.js:2"]),
    ("index.mjs", 'import { a } from "./missing.mjs";\na();', ["missing.mjs", "fn/index.mjs"]),
    ("index.mjs", 'throw new Error("no luck");', ["no luck", "index.mjs:1"]),
    ("index.mjs", "export const x = 1;", ["without registering a handler", "export default"]),
    ("index.js", "export default { fetch() {} };", ["export", "rename it to index.mjs"]),
    ("index.ts", "export default {};", ["runs JavaScript", '"runtime": "deno"']),
])
def test_what_does_not_load_says_why_and_where(start, entry, text, words):
    host = start({"fn/" + entry: text, "package.json": "{}"})
    answer = host.load("fn/" + entry)
    if "rename" in words[-1] and answer.status == 200:
        pytest.skip("this Node finds out by itself that a .js file is an ES module")
    assert answer.status == 500
    failure = answer.json()
    for word in words:
        assert word in failure["message"] + failure.get("stack", ""), failure


def test_a_syntax_error_in_an_import_is_found_there(start):
    host = start({"fn/index.mjs": 'import "../_shared/b.mjs";', "_shared/b.mjs": "\n\nlet = ;"})
    assert "_shared/b.mjs:3" in host.load("fn/index.mjs").json()["message"]


def test_a_handler_that_is_not_there_is_named(start):
    host = start({"fn/index.mjs": "export const other = 1;"})
    assert "exports no function handler" in host.load("fn/index.mjs", handler="index.handler").json()["message"]


def test_control_requests_need_the_token_and_come_in_order(start):
    host = start({"fn/index.mjs": "export default { fetch: () => new Response() };"})
    assert host.control("GET", "/.heddle/ping", token="0" * 32).status == 403
    assert host.get("/fn").status == 503
    assert host.load("fn/index.mjs").status == 200
    assert host.load("fn/index.mjs").status == 409
    assert host.control("GET", "/.heddle/other").status == 404


@pytest.mark.parametrize("text", [
    'export default { async fetch() { throw new Error("secret detail"); } };',
    'export default (req, res) => { res.setHeader("x-a", "1"); throw new Error("secret detail"); };',
    'export const handler = async () => { throw new Error("secret detail"); };',
    'export const handler = (e, c, done) => { done(new Error("secret detail")); };',
])
def test_a_throw_is_a_500_with_a_log_record(start, text):
    host = loaded(start, text, dev=False)
    answer = host.get("/fn", id="id-throw")
    assert (answer.status, answer.field("x-heddle-error"), answer.field("x-a")) == (500, "unhandled", None)
    assert answer.json() == {"error": "Internal server error"}
    record = host.wait_record(lambda r: r["level"] == "error")
    assert record["id"] == "id-throw" and "secret detail" in record["msg"] and "index.mjs" in record["msg"]


SHOW = """export default { async fetch(req) { return Response.json({
  url: req.url, copy: new Request(req.clone()).url, clone: req.clone().url, method: req.method,
  is: req instanceof Request, copied: new Request(req.clone()) instanceof Request, text: await req.text(),
  used: req.bodyUsed, names: [...req.headers.keys()], id: req.headers.get("X-Heddle-Id") }); } };"""


def test_a_request_looks_as_the_client_sent_it(start):
    host = loaded(start, SHOW)
    seen = host.request("POST", "/fn/x?q=%20a", [
        ("Host", "me.example:8443"), ("x-forwarded-proto", "https"), ("X-Heddle-Auth", "e30"),
        ("x-heddle-deadline", "5"), ("X-Mine", "1")], b"").json()
    assert seen["url"] == seen["copy"] == seen["clone"] == "https://me.example:8443/fn/x?q=%20a"
    assert seen["names"] == ["content-length", "host", "x-forwarded-proto", "x-mine"]
    assert (seen["id"], seen["is"], seen["copied"]) == (None, True, True)


def test_node_style_messages_do_not_hold_the_protocols_fields(start):
    host = loaded(start, "export default (req, res) => { res.end(JSON.stringify([Object.keys(req.headers), req.rawHeaders.length])); };")
    assert host.get("/fn", [("x-heddle-auth", "e30")]).json() == [["host"], 2]


@pytest.mark.parametrize("body, wanted", [
    ("req.json().then((j) => Response.json(j))", b'{"a":"\xc3\xbc"}'),
    ("req.text().then((t) => new Response(t))", b'{"a":"\xc3\xbc"}'),
    ("req.arrayBuffer().then((t) => new Response(t))", b'{"a":"\xc3\xbc"}'),
    ("req.blob().then((t) => new Response(t))", b'{"a":"\xc3\xbc"}'),
    ("new Response(req.body)", b'{"a":"\xc3\xbc"}'),
    ("req.clone().text().then(async (t) => new Response(String(t === await req.text())))", b"true"),
    ("new Request('http://x/', req).text().then((t) => new Response(t))", b'{"a":"\xc3\xbc"}'),
    ("req.text().then(() => req.text()).catch((e) => new Response(e.name))", b"TypeError"),
    ("req.text().then(() => req.clone()).catch((e) => new Response(e.name))", b"TypeError"),
    ("new Response(new TextEncoder().encode('bytes'))", b"bytes"),
    ("new Response('x').clone()", b"x"),
    ("new Response(null, {status: 204})", b""),
])
def test_bodies_can_be_read_and_made_in_each_way(start, body, wanted):
    host = loaded(start, "export default { async fetch(req) { return %s; } };" % body)
    connection = Connection(host.path)
    for _ in range(2): # the connection stays usable
        answer = connection.request("POST", "/fn", [("x-heddle-id", "b")], '{"a":"ü"}'.encode())
        assert answer.body == wanted, answer.body


@pytest.mark.parametrize("made, status, fields, body", [
    ("const r = new Response('x', {headers: {'X-A': '1'}}); r.headers.set('x-a', '2'); return r;", 200,
     {"x-a": "2", "content-type": "text/plain;charset=UTF-8", "content-length": "1"}, b"x"),
    ("return Response.json({a: 1}, {status: 201, headers: new Headers({'content-type': 'x/y'})});", 201,
     {"content-type": "x/y"}, b'{"a":1}'),
    ("return new Response('x', {status: 299, statusText: 'Mine'});", 299, {}, b"x"),
    ("return new Response(null, {status: 304, headers: [['etag', 'e']]});", 304, {"etag": "e", "content-length": None}, b""),
    ("return new Response();", 200, {"content-length": "0", "content-type": None}, b""),
    ("return Response.redirect('http://x/y', 302);", 302, {"location": "http://x/y"}, b""),
    ("return (globalThis.kept ??= new Response('kept'));", 200, {"content-length": "4"}, b"kept"),
    ("class Mine extends Response {} return new Mine('sub');", 200, {}, b"sub"),
    ("const r = new Response('used'); return new Response(await r.text() + r.bodyUsed);", 200, {}, b"usedtrue"),
    ("const r = new Response('x'); return Response.json([r.ok, r.status, r instanceof Response, r.type]);", 200, {},
     b'[true,200,true,"default"]'),
    ("return new Response(new URLSearchParams('a=1'));", 200, {}, b"a=1"),
    ("const r = new Response('gone'); await r.text(); return r;", 500, {"x-heddle-error": "unhandled"}, None),
    ("return new Response('x', {status: 99});", 500, {"x-heddle-error": "unhandled"}, None),
    ("return new Response('x', {headers: {'a b': 'c'}});", 500, {"x-heddle-error": "unhandled"}, None),
])
def test_responses_are_written_as_they_were_made(start, made, status, fields, body):
    host = loaded(start, "export default { async fetch(req) { %s } };" % made)
    connection = Connection(host.path)
    for _ in range(2):
        answer = connection.request("GET", "/fn", [("x-heddle-id", "r")])
        assert answer.status == status
        assert {k: answer.field(k) for k in fields} == fields
        assert len(answer.all("content-length")) <= 1
        assert body is None or answer.body == body


@pytest.mark.parametrize("target, wanted", [
    ("/fn/a/../b", "/fn/b"), ("/fn/%2e%2e/c", "/c"), ("/fn?a=<b>", "/fn?a=%3Cb%3E"), ("/fn?a='b'", "/fn?a=%27b%27"),
    ("/fn//x", "/fn//x"), ("/fn/", "/fn/")])
def test_urls_are_normal_ones(start, target, wanted):
    host = loaded(start, "export default { fetch: (req) => new Response(req.url) };")
    assert host.get(target).body.decode() == "http://functions.example" + wanted
    assert host.get(target, [("Host", "H:80")]).body.decode() == "http://h" + wanted


def test_head_has_the_length_and_no_body(start):
    host = loaded(start, 'export default { fetch: () => new Response("hello") };')
    connection = Connection(host.path)
    answer = connection.request("HEAD", "/fn", [("x-heddle-id", "h")])
    assert (answer.status, answer.field("content-length")) == (200, "5")
    assert connection.request("GET", "/fn", [("x-heddle-id", "h")]).body == b"hello"


def test_bodies_stream_both_ways_at_once(start):
    host = loaded(start, "export default { fetch: (req) => new Response(req.body) };")
    connection = Connection(host.path)
    connection.send_head("POST", "/fn", [("x-heddle-id", "s"), ("Transfer-Encoding", "chunked")])
    connection.send_chunk(b"one")
    assert connection.head().status == 200
    assert connection.chunk() == b"one"
    connection.send_chunk(b"two")
    assert connection.chunk() == b"two"
    connection.send(b"0\r\n\r\n")
    assert connection.chunk() == b""
    assert connection.request("POST", "/fn", [("x-heddle-id", "k")], b"again").body == b"again"


def test_a_big_body_comes_back_whole(start):
    host = loaded(start, "export default { fetch: async (req) => new Response(await req.arrayBuffer()) };")
    data = bytes(range(256)) * 4096
    assert host.request("POST", "/fn", body=data).body == data


def test_several_cookies_stay_several(start):
    host = loaded(start, "export default { fetch: () => new Response('x', {headers: "
                         "[['set-cookie', 'a=1'], ['set-cookie', 'b=2']]}) };")
    assert host.get("/fn").all("set-cookie") == ["a=1", "b=2"]


def test_a_client_that_goes_away_aborts_the_signal(start):
    host = loaded(start, """export default { fetch: (req) => new Promise(() => {
        req.signal.addEventListener("abort", () => console.log("aborted"));
        console.log("waiting"); }) };""")
    connection = Connection(host.path)
    connection.send_head("GET", "/fn", [("x-heddle-id", "gone")])
    host.wait_record(lambda r: r["msg"] == "waiting")
    connection.close()
    assert host.wait_record(lambda r: r["msg"] == "aborted")["id"] == "gone"


def test_a_stream_that_nobody_reads_any_more_is_canceled(start):
    host = loaded(start, """export default { fetch: () => new Response(new ReadableStream({
        pull(c) { c.enqueue(new Uint8Array(65536)); }, cancel() { console.log("canceled"); } })) };""")
    connection = Connection(host.path)
    connection.send_head("GET", "/fn", [("x-heddle-id", "gone")])
    connection.head()
    connection.close()
    host.wait_record(lambda r: r["msg"] == "canceled")


def test_a_stream_that_fails_breaks_off_and_is_logged(start):
    host = loaded(start, """export default { fetch() { let n = 0; return new Response(new ReadableStream({
        pull(c) { if (n++) c.error(new Error("midway")); else c.enqueue(new Uint8Array([65])); } })); } };""")
    connection = Connection(host.path)
    connection.send_head("GET", "/fn", [("x-heddle-id", "mid")])
    head = connection.head()
    with pytest.raises((EOFError, ConnectionError)):
        connection.body(head)
    assert host.wait_record(lambda r: "midway" in r["msg"])["id"] == "mid"


def test_log_records_know_their_invocation(start):
    host = loaded(start, """console.log("at load"); export default { async fetch(req) {
        console.warn("a %s %o", "b", {c: 1}); console.table([{x: 1}]); await 0;
        setTimeout(() => console.error("late\\nline"), 5); return new Response(); } };""")
    threads = [threading.Thread(target=host.get, args=("/fn",), kwargs={"id": f"id-{i}"})
               for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert host.wait_record(lambda r: r["msg"] == "at load")["id"] is None
    for i in range(8):
        assert host.wait_record(lambda r: r["id"] == f"id-{i}" and r["level"] == "warn")["msg"] == "a b { c: 1 }"
        assert host.wait_record(lambda r: r["id"] == f"id-{i}" and r["level"] == "error")["msg"] == "late\nline"
        assert "(index)" in host.wait_record(lambda r: r["id"] == f"id-{i}" and r["level"] == "info")["msg"]


def test_raw_output_is_no_record(start):
    host = loaded(start, """process.stderr.write("\\x1e" + "0".repeat(32) +
        ' {"id":null,"level":"info","msg":"forged","ts":1}\\n'); process.stdout.write("plain\\n");
        export default { fetch() {} };""")
    host.wait_raw("forged")
    host.wait_raw("plain")
    assert not [r for r in host.records if r["msg"] == "forged"]


def test_what_nobody_catches_is_logged_and_survived(start):
    host = loaded(start, """export default { fetch() {
        setTimeout(() => { throw new Error("in a timer"); }, 1);
        Promise.reject(new Error("rejected"));
        return new Response("ok"); } };""")
    host.get("/fn", id="id-bad")
    for text in ("in a timer", "rejected"):
        assert host.wait_record(lambda r: text in r["msg"])["level"] == "error"
    assert host.get("/fn").body == b"ok"


def test_drain_waits_for_background_work(start):
    host = loaded(start, """let finish; export default { fetch(req) {
        if (req.url.endsWith("/go")) EdgeRuntime.waitUntil(new Promise((r) => finish = r));
        else finish();
        return new Response("ok"); } };""")
    host.get("/fn/go")
    assert host.control("GET", "/.heddle/ping").json() == {"background": 1}
    drained = []
    waiter = threading.Thread(target=lambda: drained.append(host.control("POST", "/.heddle/drain")))
    waiter.start()
    assert host.control("GET", "/.heddle/ping").json() == {"background": 1} and not drained
    host.get("/fn/done")
    waiter.join(hostdriver.DEADLINE_S)
    assert drained[0].json() == {}


def test_sigterm_waits_for_what_is_in_flight(start):
    host = loaded(start, """let go; process.on("SIGTERM", () => setTimeout(go, 50));
        export default { fetch: () => new Promise((r) => { go = () => r(new Response("done")); console.log("in"); }) };""")
    idle, slow = Connection(host.path), Connection(host.path)
    assert idle.request("GET", "/.heddle/ping", [("x-heddle-token", host.token)]).status == 200
    slow.send_head("GET", "/fn", [("x-heddle-id", "slow")])
    host.wait_record(lambda r: r["msg"] == "in")
    host.terminate()
    head = slow.head()
    assert (head.status, slow.body(head)) == (200, b"done")
    assert host.ended() == 0


def test_the_environment_is_the_granted_one(start):
    host = loaded(start, "export default { fetch: () => Response.json(process.env) };", env={"K": "v"})
    assert set(host.get("/fn").json()) == {"PATH", "HOME", "LANG", "TMPDIR", "HEDDLE_RUN_DIR", "K"}


def test_local_imports_are_reported(start, tmp_path):
    root = tmp_path / "functions"
    host = start({"_shared/a.mjs": 'export { b } from "./b.mjs";', "_shared/b.mjs": "export const b = 'b';",
                  "fn/index.mjs": 'import fs from "node:fs";\nimport { b } from "../_shared/a.mjs";\n'
                                  'export default { fetch: () => new Response(b) };'})
    assert host.load("fn/index.mjs").json()["imports"] == [str(root / "_shared/a.mjs"), str(root / "_shared/b.mjs")]


def test_an_upgrade_goes_to_the_exported_function(start):
    host = loaded(start, """export default { fetch: () => new Response("no upgrade") };
        export function upgrade(req, socket, head) { console.log("up");
          socket.write("HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: echo\\r\\n\\r\\n");
          socket.pipe(socket); }""")
    connection = Connection(host.path)
    connection.send_head("GET", "/fn", [("x-heddle-id", "up"), ("Connection", "Upgrade"), ("Upgrade", "echo")])
    assert connection.head().status == 101
    connection.send(b"ping")
    assert connection.exactly(4) == b"ping"
    assert host.wait_record(lambda r: r["msg"] == "up")["id"] == "up"


# Lambda -----------------------------------------------------------------------------------------

def test_the_event_is_the_payload_format_2(start):
    host = loaded(start, "export const handler = async (event, context) => ({event, context, left: context.getRemainingTimeInMillis()});")
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
    assert event["requestContext"]["requestId"] == "id-l"
    assert event["requestContext"]["authorizer"]["jwt"]["claims"] == {"sub": "u"}
    assert seen["context"]["awsRequestId"] == "id-l" and seen["context"]["functionName"] == "fn"
    assert 0 < seen["left"] <= 5000


def test_bytes_are_base64_both_ways(start):
    host = loaded(start, "export const handler = async (e) => ({statusCode: 200, body: e.body, isBase64Encoded: e.isBase64Encoded});")
    data = bytes(range(256))
    assert host.request("POST", "/fn", [("Content-Type", "application/octet-stream")], data).body == data


@pytest.mark.parametrize("result, status, kind, body", [
    ("'text'", 200, "application/json", b"text"),
    ("({a: 1})", 200, "application/json", b'{"a":1}'),
    ("undefined", 200, "application/json", b"null"),
    ("({statusCode: 201, headers: {'Content-Type': 'text/x'}, body: 'b'})", 201, "text/x", b"b"),
    ("({statusCode: '404'})", 404, "application/json", b""),
    ("({statusCode: 999})", 500, "application/json", None),
])
def test_results_are_read_as_documented(start, result, status, kind, body):
    answer = loaded(start, f"export const handler = async () => {result};").get("/fn")
    assert (answer.status, answer.field("content-type")) == (status, kind)
    assert body is None or answer.body == body


def test_cookies_of_a_result_are_set(start):
    host = loaded(start, "export const handler = async () => ({statusCode: 200, cookies: ['a=1', 'b=2']});")
    assert host.get("/fn").all("set-cookie") == ["a=1", "b=2"]


def test_a_body_that_lambda_would_not_take_is_refused(start):
    host = loaded(start, "export const handler = async () => 1;")
    connection = Connection(host.path)
    connection.send_head("POST", "/fn", [("x-heddle-id", "b"), ("Content-Length", str(7 * 1024 * 1024))])
    connection.send(b"x" * (6 * 1024 * 1024 + 65536))
    head = connection.head()
    assert head.status == 413 and "limit" in json.loads(connection.body(head))


def test_a_client_that_goes_away_before_the_bodys_end_is_no_crash(start):
    host = loaded(start, "export const handler = async () => 1;")
    connection = Connection(host.path)
    connection.send_head("POST", "/fn", [("x-heddle-id", "gone"), ("Content-Length", "10")])
    connection.send(b"x")
    connection.close()
    assert host.get("/fn").body == b"1"
