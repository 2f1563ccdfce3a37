"""The Deno host, driven over its socket."""

import base64
import contextlib
import json
import os
import threading

import pytest

import hostdriver
from hostdriver import Connection

pytestmark = pytest.mark.skipif(hostdriver.missing("deno") is not None,
                                reason=str(hostdriver.missing("deno")))


@pytest.fixture
def start(tmp_path):
    hosts = hostdriver.Hosts("deno", tmp_path)
    yield hosts
    hosts.end()


@pytest.fixture
def start_in(tmp_path):
    """For hosts that run beside each other."""
    with contextlib.ExitStack() as stack:
        def hosts(name):
            made = hostdriver.Hosts("deno", tmp_path / name)
            (tmp_path / name).mkdir()
            stack.callback(made.end)
            return made
        yield hosts


def loaded(start, text, **more):
    return start.loaded(text, "fn/index.ts", **more)


@pytest.mark.parametrize("text, kind", [
    ('Deno.serve(() => new Response("hi"));', "fetch"),
    ('Deno.serve({port: 1}, () => new Response("hi"));', "fetch"),
    ('Deno.serve({handler: () => new Response("hi")});', "fetch"),
    ('export default { fetch() { return new Response("hi"); } };', "fetch"),
    ('export default () => new Response("hi");', "fetch"),
    ('globalThis.__edgeFunctionRegistry.register(async () => new Response("hi"), {});', "serve"),
    ('await Deno.serve(() => new Response("hi")).finished;', "fetch"),
])
def test_each_form_of_a_handler_is_found(start, text, kind):
    host = start({"fn/index.ts": text})
    answer = host.load("fn/index.ts")
    assert answer.json() == {"ok": True, "kind": kind, "imports": []}
    assert host.get("/fn").body == b"hi"


def test_what_the_code_declares_is_reported(start):
    host = start({"fn/index.ts": "globalThis.__edgeFunctionRegistry.register(() => new Response(), "
                                 "{public: true, timeoutMs: 1500.7, require: ['admin']});"})
    answer = host.load("fn/index.ts").json()
    assert (answer["public"], answer["timeoutMs"], answer["require"]) == (True, 1500, ["admin"])


def test_a_wrong_declaration_is_a_load_error(start):
    host = start({"fn/index.ts": "globalThis.__edgeFunctionRegistry.register(() => new Response(), "
                                 "{timeoutMs: 'soon'});"})
    answer = host.load("fn/index.ts")
    assert answer.status == 500
    assert "timeoutMs: must be a number of milliseconds" in answer.json()["message"]


def test_of_two_handlers_the_last_wins_with_a_warning(start):
    host = loaded(start, 'Deno.serve(() => new Response("1")); Deno.serve(() => new Response("2"));')
    assert host.get("/fn").body == b"2"
    assert "the last one is used" in host.wait_record(lambda r: r["level"] == "warn")["msg"]


@pytest.mark.parametrize("text, words", [
    ("const x = 1;\nexport default {{ ;", ["SyntaxError", "fn/index.ts:2:17"]),
    ('import { a } from "./missing.ts";\na();', ["missing.ts", "fn/index.ts:1:19"]),
    ('throw new Error("no luck");', ["no luck"]),
    ("export const x = 1;", ["without registering a handler", "Deno.serve(handler)"]),
])
def test_what_does_not_load_says_why_and_where(start, text, words):
    host = start({"fn/index.ts": text})
    answer = host.load("fn/index.ts")
    assert answer.status == 500
    failure = answer.json()
    assert failure["ok"] is False
    for word in words:
        assert word in failure["message"] + failure.get("stack", ""), failure


def test_a_second_load_is_refused(start):
    host = loaded(start, "Deno.serve(() => new Response());")
    assert host.load("fn/index.ts").status == 409


def test_before_the_load_a_request_is_answered_503(start):
    assert start({"fn/index.ts": ""}).get("/fn").status == 503


@pytest.mark.parametrize("token", ["", "0" * 32, "short"])
def test_a_wrong_token_is_refused(start, token):
    host = start({"fn/index.ts": ""})
    assert host.control("GET", "/.heddle/ping", token=token).status == 403


def test_a_throw_is_a_500_with_a_log_record(start):
    host = loaded(start, 'Deno.serve(() => { throw new Error("secret detail"); });', dev=False)
    answer = host.get("/fn", id="id-throw")
    assert (answer.status, answer.field("x-heddle-error")) == (500, "unhandled")
    assert answer.json() == {"error": "Internal server error"}
    record = host.wait_record(lambda r: r["level"] == "error")
    assert record["id"] == "id-throw" and "secret detail" in record["msg"] and "index.ts" in record["msg"]


def test_in_development_the_body_says_what_was_thrown(start):
    host = loaded(start, 'Deno.serve(async () => { await 0; throw new TypeError("why"); });')
    assert host.get("/fn").json()["message"] == "TypeError: why"


PATH_PROBE = """
Deno.serve(async (req, info) => {
  console.log("in the middle");
  const copy = new Request(req);
  setTimeout(() => console.log("afterwards"), 50);
  return Response.json({url: req.url, copy: copy.url, names: [...copy.headers.keys()].sort(),
                        told: req.headers.has("x-heddle-deadline"), peer: info.remoteAddr.hostname});
});"""


@pytest.mark.parametrize("mark, scheme", [("", "http"), (";s", "https")])
def test_the_id_and_the_scheme_may_stand_in_the_path(start, mark, scheme):
    host = loaded(start, PATH_PROBE)
    connection = host.connect()
    answer = connection.request("GET", f"/.0f-1d{mark}/fn/.x?q=/.y", [
        ("host", "example.com"), ("x-heddle-deadline", "5000"), ("x-forwarded-for", "192.0.2.7"),
        ("accept", "*/*")])
    url = f"{scheme}://example.com/fn/.x?q=/.y"
    assert answer.json() == {"url": url, "copy": url, "told": False, "peer": "192.0.2.7",
                             "names": ["accept", "host", "x-forwarded-for"]}
    for words in ("in the middle", "afterwards"):
        assert host.wait_record(lambda r: r["msg"] == words)["id"] == "0f-1d"
    connection.close()


def test_a_handler_that_returns_no_response_is_a_500(start):
    host = loaded(start, 'Deno.serve(() => "text");')
    answer = host.get("/fn")
    assert answer.field("x-heddle-error") == "unhandled" and "instead of a Response" in answer.json()["message"]


def test_the_handler_of_errors_is_the_users_when_given(start):
    host = loaded(start, "Deno.serve({onError: (e) => new Response(e.message, {status: 418})}, "
                         "() => { throw new Error('mine'); });")
    answer = host.get("/fn")
    assert (answer.status, answer.body, answer.field("x-heddle-error")) == (418, b"mine", None)


SHOW = """Deno.serve((req, info) => Response.json({
  url: req.url, copy: new Request(req).url, clone: req.clone().url, peer: info.remoteAddr.hostname,
  names: [...req.headers.keys()], copied: [...new Headers(req.headers).keys()],
  id: req.headers.get("X-Heddle-Id"), has: req.headers.has("x-heddle-auth"),
  cloned: [...req.clone().headers.keys()] }));"""


def test_a_request_looks_as_the_client_sent_it(start):
    host = loaded(start, SHOW)
    seen = host.get("/fn/x?q=%20a", [
        ("Host", "me.example:8443"), ("x-forwarded-proto", "https"), ("x-heddle-auth", "e30"),
        ("x-heddle-deadline", "5"), ("x-forwarded-for", "6.6.6.6, 10.0.0.9"), ("X-Mine", "1")]).json()
    assert seen["url"] == seen["copy"] == seen["clone"] == "https://me.example:8443/fn/x?q=%20a"
    assert seen["peer"] == "10.0.0.9"
    assert seen["names"] == seen["copied"] == seen["cloned"] == \
        ["host", "x-forwarded-for", "x-forwarded-proto", "x-mine"]
    assert seen["id"] is None and seen["has"] is False


def test_protected_handlers_get_the_identity(start):
    host = loaded(start, "globalThis.__edgeFunctionRegistry.register((req, auth) => Response.json(auth));")
    payload = {"sub": "u1", "email": "ü@x", "role": "admin"}
    encoded = base64.urlsafe_b64encode(json.dumps(payload, ensure_ascii=False).encode()).decode().rstrip("=")
    seen = host.get("/fn", [("x-heddle-auth", encoded), ("Authorization", "Bearer t.o.k")]).json()
    assert seen == {"userId": "u1", "email": "ü@x", "rawToken": "t.o.k", "payload": payload}
    assert host.get("/fn").json() is None


def test_bodies_stream_both_ways_at_once(start):
    host = loaded(start, "Deno.serve((req) => new Response(req.body));")
    connection = Connection(host.path)
    connection.send_head("POST", "/fn", [("x-heddle-id", "s"), ("Transfer-Encoding", "chunked")])
    connection.send_chunk(b"one")
    assert connection.head().status == 200
    assert connection.chunk() == b"one"
    connection.send_chunk(b"two")
    assert connection.chunk() == b"two"
    connection.send(b"0\r\n\r\n")
    assert connection.chunk() == b""


def test_connections_are_kept(start):
    host = loaded(start, "Deno.serve(async (req) => new Response(await req.arrayBuffer()));")
    connection, data = Connection(host.path), bytes(range(256)) * 4096
    for _ in range(3):
        assert connection.request("POST", "/fn", [("x-heddle-id", "k")], data).body == data


def test_several_cookies_stay_several(start):
    host = loaded(start, "Deno.serve(() => new Response(null, {status: 204, headers: "
                         "[['set-cookie', 'a=1'], ['set-cookie', 'b=2']]}));")
    answer = host.get("/fn")
    assert answer.status == 204 and answer.all("set-cookie") == ["a=1", "b=2"]


def test_a_client_that_goes_away_aborts_the_signal(start):
    host = loaded(start, """Deno.serve((req) => new Promise(() => {
        req.signal.addEventListener("abort", () => console.log("aborted"));
        console.log("waiting"); }));""")
    connection = Connection(host.path)
    connection.send_head("GET", "/fn", [("x-heddle-id", "gone")])
    host.wait_record(lambda r: r["msg"] == "waiting")
    connection.close()
    assert host.wait_record(lambda r: r["msg"] == "aborted")["id"] == "gone"


def test_an_answer_that_was_delivered_does_not_abort_the_signal(start):
    host = loaded(start, """Deno.serve((req) => {
        req.signal.addEventListener("abort", () => console.log("aborted"));
        setTimeout(() => console.log("later"), 50);
        return new Response("ok"); });""")
    host.get("/fn")
    host.wait_record(lambda r: r["msg"] == "later")
    assert not [r for r in host.records if r["msg"] == "aborted"]


def test_log_records_know_their_invocation(start):
    host = loaded(start, """console.log("at load");
        Deno.serve(async (req) => { console.warn("a %s %o", "b", {c: [1]}); await 0;
          setTimeout(() => console.error("late\\nline"), 5); return new Response(); });""")
    threads = [threading.Thread(target=host.get, args=("/fn",), kwargs={"id": f"id-{i}"})
               for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert host.wait_record(lambda r: r["msg"] == "at load")["id"] is None
    for i in range(8):
        record = host.wait_record(lambda r: r["id"] == f"id-{i}" and r["level"] == "warn")
        assert record["msg"].startswith("a b { c: [ 1")
        assert host.wait_record(lambda r: r["id"] == f"id-{i}" and r["level"] == "error")["msg"] == "late\nline"


def test_a_long_message_is_cut(start):
    host = loaded(start, 'console.log("x".repeat(20000)); Deno.serve(() => new Response());')
    assert host.wait_record(lambda r: r["msg"].startswith("xxx"))["msg"] == "x" * 8192 + "…"


def test_raw_output_is_no_record(start):
    host = loaded(start, """Deno.stderr.writeSync(new TextEncoder().encode("\\x1e" + "0".repeat(32) +
        ' {"id":null,"level":"info","msg":"forged","ts":1}\\n')); Deno.serve(() => new Response());""")
    host.wait_raw("forged")
    assert not [r for r in host.records if r["msg"] == "forged"]


def test_what_nobody_catches_is_logged_and_survived(start):
    host = loaded(start, """Deno.serve(() => {
        setTimeout(() => { throw new Error("in a timer"); }, 1);
        Promise.reject(new Error("rejected"));
        return new Response("ok"); });""")
    host.get("/fn", id="id-bad")
    for text in ("in a timer", "rejected"):
        assert host.wait_record(lambda r: text in r["msg"])["level"] == "error"
    assert host.get("/fn").body == b"ok"


def test_drain_waits_for_background_work(start):
    host = loaded(start, """let finish; Deno.serve((req) => {
        if (req.url.endsWith("/go")) { EdgeRuntime.waitUntil(new Promise((r) => finish = r));
          EdgeRuntime.waitUntil(Promise.reject(new Error("bg failed"))); }
        else finish();
        return new Response("ok"); });""")
    host.get("/fn/go", id="id-bg")
    assert host.wait_record(lambda r: "bg failed" in r["msg"])["id"] == "id-bg"
    assert host.control("GET", "/.heddle/ping").json() == {"background": 1}
    drained = []
    waiter = threading.Thread(target=lambda: drained.append(host.control("POST", "/.heddle/drain")))
    waiter.start()
    assert host.control("GET", "/.heddle/ping").json() == {"background": 1} and not drained
    host.get("/fn/done")
    waiter.join(hostdriver.DEADLINE_S)
    assert drained[0].json() == {}


def test_sigterm_waits_for_what_is_in_flight(start):
    host = loaded(start, """let go;
        Deno.serve(() => new Promise((r) => { go = () => r(new Response("done")); console.log("in"); }));
        Deno.addSignalListener("SIGTERM", () => setTimeout(go, 50));""")
    slow = Connection(host.path)
    slow.send_head("GET", "/fn/slow", [("x-heddle-id", "slow")])
    host.wait_record(lambda r: r["msg"] == "in")
    host.terminate()
    head = slow.head()
    assert (head.status, slow.body(head)) == (200, b"done")
    assert host.ended() == 0


ENV = 'Deno.serve(() => Response.json({deno: Deno.env.toObject(), get: Deno.env.get("K") ?? null}));'


@pytest.mark.parametrize("permissions", ["all", {}])
def test_the_environment_is_the_granted_one(start, permissions):
    host = loaded(start, 'import process from "node:process";' + ENV.replace("get:", "node: process.env.K, get:"),
                  permissions=permissions, env={"K": "v"})
    seen = host.get("/fn").json()
    assert set(seen["deno"]) == {"PATH", "HOME", "LANG", "TMPDIR", "HEDDLE_RUN_DIR", "K"}
    assert seen["get"] == seen["node"] == "v"


DENIED = """Deno.serve(async () => {
  const told = {};
  const tries = {
    net: () => Deno.connect({hostname: "127.0.0.1", port: 9}),
    own: () => Deno.connect({transport: "unix", path: SOCKET}),
    read: () => Deno.readTextFile("/etc/passwd"),
    write: () => Deno.writeTextFile("/tmp/heddle-must-not-be", ""),
    run: async () => await new Deno.Command("true").output(),
    mine: () => Deno.writeTextFile(Deno.env.get("HEDDLE_RUN_DIR") + "/x", "1"),
    code: () => Deno.readTextFile(new URL(import.meta.url)) };
  for (const [k, f] of Object.entries(tries))
    told[k] = await f().then(() => "ok", (e) => e.name);
  return Response.json(told); });"""


def test_with_nothing_allowed_only_its_own_files_are_open(start, tmp_path):
    socket = json.dumps(str(tmp_path / "run" / "s"))
    host = loaded(start, DENIED.replace("SOCKET", socket), permissions={})
    assert host.get("/fn").json() == {
        "net": "NotCapable", "own": "NotCapable", "read": "NotCapable", "write": "NotCapable",
        "run": "NotCapable", "mine": "ok", "code": "ok"}


def test_shared_code_and_import_maps_work_and_are_reported(start, tmp_path):
    files = {
        "deno.json": '{"imports": {"@shared/": "./_shared/"}}',
        "_shared/a.ts": 'import { b } from "./deep/b.ts"; export const a = "a" + b;',
        "_shared/deep/b.ts": 'export const b: string = "b";',
        "fn/index.ts": 'import { a } from "@shared/a.ts"; Deno.serve(() => new Response(a));',
    }
    root = tmp_path / "functions"
    host = start(files, config=str(root / "deno.json"))
    assert host.load("fn/index.ts").json()["imports"] == \
        [str(root / "_shared/a.ts"), str(root / "_shared/deep/b.ts")]
    assert host.get("/fn").body == b"ab"


OUTSIDE = {"SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "HTTP_PROXY", "HTTPS_PROXY",
           "NO_PROXY", "DENO_CERT", "DENO_TLS_CA_STORE", "NPM_CONFIG_REGISTRY"}


def test_npm_packages_are_imported(start):
    host = start({"fn/index.ts": 'import ms from "npm:ms@2.1.3"; Deno.serve(() => new Response(ms(60000)));'}, permissions={},
                 env={k: v for k, v in os.environ.items() if k.upper() in OUTSIDE})
    answer = host.load("fn/index.ts")
    if answer.status == 500 and "registry" in answer.body.decode():
        pytest.skip("the npm registry cannot be reached from here")
    assert answer.status == 200, answer.body
    assert host.get("/fn").body == b"1m"


@pytest.mark.parametrize("target", ["/fn", "/.id-ws/fn"])
def test_a_websocket_talks(start, target):
    host = loaded(start, """Deno.serve((req) => {
        const { socket, response } = Deno.upgradeWebSocket(req);
        socket.onmessage = (e) => { console.log("got", e.data); socket.send("echo " + e.data); };
        return response; });""")
    connection = Connection(host.path)
    head = hostdriver.websocket_open(connection, target)
    assert head.status == 101 and head.field("upgrade").lower() == "websocket"
    hostdriver.websocket_send(connection, "hello")
    assert hostdriver.websocket_receive(connection) == (1, b"echo hello")
    assert host.wait_record(lambda r: r["msg"] == "got hello")["id"] == "id-ws"
    connection.close()


def test_a_stream_that_fails_breaks_off_and_is_told(start):
    host = loaded(start, """Deno.serve(() => { let n = 0; return new Response(new ReadableStream({
        pull(c) { if (n++) c.error(new Error("midway")); else c.enqueue(new Uint8Array([65])); } })); });""")
    connection = Connection(host.path)
    connection.send_head("GET", "/fn", [("x-heddle-id", "mid")])
    head = connection.head()
    with pytest.raises((EOFError, ConnectionError)):
        connection.body(head)
    host.wait_raw("Error: midway") # Deno writes it by itself


def test_started_by_hand_it_says_so(tmp_path):
    import subprocess
    done = subprocess.run(hostdriver.command("deno", "x", "/", "/"), env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
                          capture_output=True, timeout=hostdriver.DEADLINE_S)
    assert done.returncode == 64 and b"not started by hand" in done.stderr


@pytest.mark.parametrize("permissions", ["all", {"net": [], "read": [], "write": []}])
def test_a_rehearsal_leaves_no_trace(start_in, permissions):
    looks = ('Deno.serve((req) => Response.json({env: Deno.env.toObject(), args: Deno.args, url: req.url, '
             'own: Object.keys(globalThis), id: req.headers.get("x-heddle-id")}));')
    seen = []
    for rehearsed in (False, True):
        host = start_in(f"{rehearsed}")({"fn/index.ts": looks}, permissions=permissions)
        if rehearsed:
            answer = host.control("POST", "/.heddle/rehearsal", b"{}")
            assert (answer.status, list(answer.json())) == (200, ["a"])
            assert host.get("/fn").status == 503
        assert host.load("fn/index.ts", env={"A": "b"}).json()["kind"] == "fetch"
        seen.append(json.loads(host.get("/fn").body.decode().replace(host.run_dir, "RUN")))
        assert host.control("POST", "/.heddle/rehearsal", b"{}").json() == {}
        assert host.records == []
    assert seen[0] == seen[1]
