"""The exposure of RPC lanes end to end: who may ask, events, octets and streams both ways, clients
that go away, and what is one byte too much."""

import base64
import json
import socket
import time

import pytest

from heddle import b64, eventually
from lanepeer import handler, lane_token, serve

ECHO = """
export const handler = async (event, context) => {
  if (event?.fails) { const e = new Error("short"); e.name = "Short"; e.errorData = { by: 1 }; throw e; }
  return { event, seen: context.clientContext.heddle };
};
"""
# Says ok to one token; what it is shown comes back through its log.
VALIDATOR = """
export const handler = async (event) => {
  console.log("asked " + JSON.stringify(event));
  if (event.token === "breaks") throw new Error("broken");
  if (event.token === "plain-true") return true;
  if (event.token === "truthy") return { ok: "yes" };
  return { ok: event.token === "by-function", more: 1 };
};
"""
STREAM = """
import { setTimeout as sleep } from "node:timers/promises";
const encode = (text) => new TextEncoder().encode(text);
const stream = (type, pieces) => new Response(new ReadableStream({
  async pull(controller) {
    const { value, done } = await pieces.next();
    if (done) controller.close();
    else controller.enqueue(typeof value === "string" ? encode(value) : value);
  },
  cancel() { console.log("canceled"); pieces.return(); },
}), { headers: { "content-type": type } });
async function* lines(event) {
  yield "first\\n";
  if (event?.late) { await sleep(50); throw new Error("after"); }
  for (let i = 0; i < (event?.mega ?? 0) * 16; i++) {
    if (i % 64 === 0) console.log(`wrote ${i}`);
    yield new Uint8Array(65536).fill(120);
  }
  if (event?.mega) console.log("wrote all");
  yield "last\\n";
}
async function* json() { yield '{"a":'; await sleep(1); yield "1}"; }
async function* octets(text) {
  const all = Buffer.from(text, "base64");
  yield all.subarray(0, 100);
  yield all.subarray(100);
}
async function* prelude(event) {
  if (event.broken) { yield event.broken; return; }
  const text = JSON.stringify(event) + "\\0".repeat(8) + "made";
  for (const letter of text) yield letter;
}
export default { async fetch(request) {
  const event = await request.json();
  if (event?.isBase64Encoded) return stream("application/x-back", octets(event.body));
  if (event?.json) return stream("application/json; charset=utf-8", json());
  if (event?.headers || event?.broken)
    return stream("application/vnd.awslambda.http-integration-response", prelude(event));
  if (event?.early) throw new Error("before");
  return stream("text/x-lines", lines(event));
} };
"""
# Waits until it is told to stop, and says so.
PATIENT = """
export default { async fetch(request) {
  const event = await request.json();
  console.log(`waiting ${event.name}`);
  await new Promise((go) => request.signal.addEventListener("abort", go));
  console.log(`aborted ${event.name}`);
  return Response.json({});
} };
"""
ENRICH = """
export const handler = async (event, context) => {
  console.log("hook " + JSON.stringify([event, context.clientContext.heddle]));
  if (event.bad) throw new Error("hook");
  return { payload: { ...event, total: (event.total ?? 0) + 1 } };
};
"""
LOOK = """
export const handler = async (event) => { console.log("look " + JSON.stringify(event)); return 7; };
"""
CONFIG = """
lanes:
  tasks:
    echo: { lane: open }
    typed: { lane: open, function: echo, codec: typed }
    stream: { lane: open }
    patient: { lane: open }
    slow: { lane: open, function: patient, timeout_ms: 300 }
    charge: { lane: billing, function: echo }
    refund: { lane: billing, function: echo }
    settle: { lane: books, function: echo }
    hidden: { function: echo }
    elsewhere: { lane: unserved, function: echo }
  events:
    priced: { lane: open }
    noted: { lane: open, parallel: true }
    nobody: { lane: open }
    kept: { lane: unserved }
  hooks:
    - { id: one, event: priced, function: enrich, order: 1 }
    - { id: two, event: priced, function: look, order: 2 }
    - { id: three, event: priced, function: enrich, order: 3 }
    - { id: four, event: noted, function: look }
  errors: { Short: { wire_id: app.errors.short, http_code: 409 } }
  contexts: [tenant]
  rpc_lanes: { open: { async_contexts: [tenant] }, billing: {}, books: {}, unserved: {} }
  communicators: { self: { base_url: 'http://127.0.0.1:1' } }
  profiles: { all: { serve: [open, billing, books] } }
  profile: all
  bindings:
    - { lane: open, communicator: self }
    - { lane: billing, communicator: self, auth: { secret: lane-secret, clock_skew_ms: 2000 } }
    - { lane: books, communicator: self, auth: { secret: lane-secret, header: x-lane } }
    - { lane: unserved, communicator: self }
  exposure:
    http:
      listen: { port: 0 }
      auth: { tokens: [edge, second], validator: validator }
      cors: { origin: ['https://a.example', 'https://b.example'], credentials: true, max_age: 60,
              allowed_headers: [x-runner-token] }
      limits: { json: 2000, octet: { buffer: 3000 } }
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    cwd = tmp_path_factory.mktemp("exposure")
    functions = {**handler("echo", ECHO), **handler("validator", VALIDATOR),
                 **handler("stream", STREAM), **handler("patient", PATIENT),
                 **handler("enrich", ENRICH), **handler("look", LOOK)}
    node = serve(cwd, functions, CONFIG)
    try:
        yield node
        node.stop()
    finally:
        node.kill()


@pytest.fixture
def peer(node):
    return node.peer


def said(node, text):
    return eventually(lambda: text in node.text(), what=text)


UNAUTHORIZED = (401, "UNAUTHORIZED", "Unauthorized")

# --- who may ask ---


@pytest.mark.parametrize("token", ["edge", "second", "by-function", "plain-true"])
def test_a_listed_token_or_the_validators_word_opens(peer, token):
    assert peer.ask("/task/echo", "1", token=token)[0] == 200


@pytest.mark.parametrize("token", ["other", "truthy", "breaks", "edg", "edgee", None, "x" * 3000])
def test_every_other_token_is_refused(peer, token):
    assert peer.error("/task/echo", "1", token=token) == UNAUTHORIZED
    assert peer.error("/discovery", method="GET", token=token) == UNAUTHORIZED


def test_the_validator_sees_what_is_asked_and_not_the_body(node, peer):
    body = json.dumps({"input": "s" * 1500})  # waits until the validator has answered
    status, text, _ = peer.ask("/task/echo?q=1", body, token="by-function",
                               x_runner_request_id="val-1")
    assert status == 200 and json.loads(text)["result"]["event"] == "s" * 1500
    record = node.wait_record(lambda r: "asked" in str(r) and "val-1" in str(r))
    text = next(v for v in record.values() if isinstance(v, str) and v.startswith("asked "))
    assert json.loads(text.removeprefix("asked ")) == {"token": "by-function", "method": "POST", "path": "/task/echo",
                     "requestId": "val-1"}


def test_refusals_are_logged_with_their_reason_which_the_client_is_not_told(node, peer):
    peer.error("/task/echo", "1", token="other", x_runner_request_id="log-1")
    record = node.wait_record(lambda r: r["msg"] == "exposure.auth.failure"
                              and r.get("requestId") == "log-1")
    assert record["status"] == 401 and record["code"] == "UNAUTHORIZED"
    assert "other" not in json.dumps({k: v for k, v in record.items() if k != "reason"})


def test_discovery_lists_what_is_served_and_nothing_else(peer):
    status, text, _ = peer.ask("/discovery", method="GET")
    assert status == 200
    assert json.loads(text)["result"]["allowList"] == {
        "enabled": True,
        "tasks": [f"app.tasks.{name}" for name in ("echo", "typed", "stream", "patient", "slow",
                                                   "charge", "refund", "settle")],
        "events": ["app.events.priced", "app.events.noted", "app.events.nobody"]}
    assert peer.error("/discovery", "{}")[:2] == (405, "METHOD_NOT_ALLOWED")
    for path in ("/task/hidden", "/task/elsewhere", "/event/kept", "/task/priced", "/event/echo"):
        assert peer.error(path, "1")[:2] == (403, "FORBIDDEN")


# --- other origins ---


def test_listed_origins_are_echoed_and_others_get_nothing(peer):
    for origin in ("https://a.example", "https://b.example"):
        _, _, answer = peer.ask("/task/echo", "1", origin=origin)
        assert answer.getheader("access-control-allow-origin") == origin
        assert answer.getheader("access-control-allow-credentials") == "true"
        assert answer.getheader("vary") == "Origin"
    for origin in ("https://c.example", "https://a.example.evil", "https://A.example", "null"):
        _, _, answer = peer.ask("/task/echo", "1", origin=origin)
        assert answer.getheader("access-control-allow-origin") is None
        assert answer.getheader("access-control-allow-credentials") is None
        assert answer.getheader("vary") == "Origin"
    _, _, refused = peer.ask("/task/echo", "1", token="other", origin="https://a.example")
    assert refused.getheader("access-control-allow-origin") == "https://a.example"


def test_a_preflight_says_what_is_permitted_without_a_token(peer):
    status, text, answer = peer.ask("/task/echo", method="OPTIONS", token=None,
                                    origin="https://b.example",
                                    access_control_request_headers="x-other")
    assert (status, text) == (204, "")
    fields = {name.lower(): value for name, value in answer.getheaders()}
    assert fields["access-control-allow-origin"] == "https://b.example"
    assert fields["access-control-allow-methods"] == "POST, OPTIONS"
    assert fields["access-control-allow-headers"] == "x-runner-token"
    assert fields["access-control-max-age"] == "60"
    assert fields["access-control-allow-credentials"] == "true"
    assert "x-runner-request-id" not in fields


# --- events ---


def test_hooks_run_in_order_and_their_payload_comes_back(node, peer):
    body = '{"payload":{"a":1,"b":2},"returnPayload":true}'
    assert peer.ask("/event/app.events.priced", body)[:2] == (
        200, '{"ok":true,"result":{"a":1,"b":2,"total":2}}')
    said(node, "look {\\\"a\\\":1,\\\"b\\\":2,\\\"total\\\":1}")


def test_without_the_payload_only_that_it_worked_is_said(peer):
    for body in ('{"payload":{"probe":1}}', '{"payload":{},"returnPayload":false}',
                 '{"payload":{},"returnPayload":"true"}'):
        assert peer.ask("/event/priced", body)[:2] == (200, '{"ok":true}')
    assert peer.ask("/event/nobody", "")[:2] == (200, '{"ok":true}')
    assert peer.ask("/event/nobody", '{"returnPayload":true}')[:2] == (
        200, '{"ok":true,"result":{"__type":"Undefined","value":null}}')


def test_a_hook_that_fails_fails_the_event(peer):
    assert peer.error("/event/priced", '{"payload":{"bad":true}}') == (
        500, "INTERNAL_ERROR", "Internal Error")


def test_the_payload_of_a_parallel_event_cannot_come_back(peer):
    assert peer.error("/event/app.events.noted", '{"payload":1,"returnPayload":true}') == (
        400, "PARALLEL_EVENT_RETURN_UNSUPPORTED",
        "Event app.events.noted is marked parallel; returning a payload is not supported.")
    assert peer.ask("/event/noted", '{"payload":1}')[:2] == (200, '{"ok":true}')


# --- octets and streams ---


def test_octets_come_as_base64_up_to_the_limit(peer):
    for size in (0, 1, 3000):
        data = bytes(i % 256 for i in range(size))
        status, text, _ = peer.ask("/task/echo", data, content_type="application/octet-stream")
        assert status == 200
        assert json.loads(text)["result"]["event"] == {
            "body": base64.b64encode(data).decode(), "isBase64Encoded": True}
    assert peer.error("/task/echo", bytes(3001), content_type="application/octet-stream") == (
        413, "PAYLOAD_TOO_LARGE", "Payload too large")


def test_a_stream_goes_out_with_its_type_and_without_an_envelope(peer):
    status, text, answer = peer.ask("/task/stream", b"\x00\x01\xff" * 900,
                                    content_type="application/octet-stream",
                                    x_runner_request_id="s-1", origin="https://a.example")
    assert (status, text) == (200, b"\x00\x01\xff" * 900)
    assert answer.getheader("content-type") == "application/x-back"
    assert answer.getheader("transfer-encoding") == "chunked"
    assert answer.getheader("x-runner-request-id") == "s-1"
    assert answer.getheader("x-content-type-options") == "nosniff"
    assert answer.getheader("x-frame-options") == "DENY"
    assert answer.getheader("access-control-allow-origin") == "https://a.example"
    assert peer.ask("/task/stream", "{}")[1] == "first\nlast\n"


def test_json_is_a_value_however_it_comes(peer):
    assert peer.ask("/task/stream", '{"input":{"json":true}}')[:2] == (
        200, '{"ok":true,"result":{"a":1}}')


def test_a_stream_says_more_of_its_answer_but_not_what_is_ours(peer):
    wanted = {"statusCode": 201, "headers": {
        "content-type": "image/x-test", "x-more": "yes", "set-cookie": "a=b", "vary": "x",
        "Access-Control-Allow-Origin": "*", "access-control-allow-credentials": "true",
        "X-Content-Type-Options": "no", "x-frame-options": "ALLOW", "x-bad": "a\r\nb: c",
        "transfer-encoding": "gzip", "content-length": "1"}}
    status, text, answer = peer.ask("/task/stream", json.dumps({"input": wanted}))
    assert (status, text) == (201, "made")
    fields = {name.lower(): value for name, value in answer.getheaders()}
    assert fields["content-type"] == "image/x-test" and fields["x-more"] == "yes"
    assert fields["x-content-type-options"] == "nosniff" and fields["x-frame-options"] == "DENY"
    assert fields["transfer-encoding"] == "chunked"
    assert not {"set-cookie", "access-control-allow-origin", "access-control-allow-credentials",
                "x-bad", "b", "content-length"} & set(fields)


def test_a_prelude_that_is_none_is_an_error(peer):
    for broken in ("{}", "{" + "\0" * 8, "[]" + "\0" * 8 + "x", '{"statusCode":99}' + "\0" * 8,
                   "{}" + "\0" * 7 + "x"):
        assert peer.error("/task/stream", json.dumps({"input": {"broken": broken}})) == (
            500, "STREAM_ERROR", "Internal Error"), broken


def test_a_stream_that_fails_before_its_first_byte_is_an_error(peer):
    assert peer.error("/task/stream", '{"input":{"early":true}}') == (
        500, "INTERNAL_ERROR", "Internal Error")


def raw_request(task, value, **fields):
    body = json.dumps({"input": value})
    more = "".join(f"{name.replace('_', '-')}: {text}\r\n" for name, text in fields.items())
    return (f"POST /__runner/task/{task} HTTP/1.1\r\nhost: x\r\nx-runner-token: edge\r\n{more}"
            f"content-length: {len(body)}\r\n\r\n{body}")


def read_all(link):
    out = b""
    while True:
        try:
            piece = link.recv(65536)
        except ConnectionResetError:
            return out
        if not piece:
            return out
        out += piece


def test_a_stream_that_breaks_is_broken_off(node, peer):
    with peer.open(raw_request("stream", {"late": True}, x_runner_request_id="late-1")) as link:
        answer = read_all(link)
    assert b"first\n" in answer and b"last" not in answer
    assert not answer.endswith(b"0\r\n\r\n")
    record = node.wait_record(lambda r: r["msg"] == "exposure.task.error"
                              and r.get("requestId") == "late-1")
    assert record["code"] == "STREAM_ERROR"


def test_a_client_that_does_not_read_holds_the_stream_up(node, peer):
    with peer.open(raw_request("stream", {"mega": 64})) as link:
        said(node, "wrote 0")
        time.sleep(0.5)
        assert "wrote all" not in node.text()  # the rest waits in the function, not in the node
        answer = b""
        while not answer.endswith(b"0\r\n\r\n"):
            piece = link.recv(1 << 20)
            assert piece
            answer = answer[-10:] + piece
    said(node, "wrote all")


def test_a_client_that_goes_away_ends_the_stream(node, peer):
    link = peer.open(raw_request("stream", {"mega": 4000}))
    link.recv(1000)
    link.close()
    said(node, "canceled")


# --- going away, and too late ---


def test_a_client_that_goes_away_aborts_the_tasks_signal(node, peer):
    link = peer.open(raw_request("patient", {"name": "gone"}))
    said(node, "waiting gone")
    link.close()
    said(node, "aborted gone")
    eventually(lambda: any("rpc_requests_total" in name and "REQUEST_ABORTED" in name
                           and "app.tasks.patient" in name for name in node.metrics()))


def test_a_client_that_resets_aborts_the_tasks_signal(node, peer):
    link = peer.open(raw_request("patient", {"name": "reset"}))
    said(node, "waiting reset")
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    link.close()
    said(node, "aborted reset")


def test_a_task_that_takes_too_long_is_ended(node, peer):
    assert peer.error("/task/slow", '{"input":{"name":"late"}}') == (
        500, "INTERNAL_ERROR", "Internal Error")
    said(node, "aborted late")


SLOW = """
lanes:
  tasks: { echo: { lane: open } }
  rpc_lanes: { open: {} }
  communicators: { self: { base_url: 'http://127.0.0.1:1' } }
  bindings: [ { lane: open, communicator: self } ]
  exposure:
    http:
      listen: { port: 0 }
      auth: { tokens: [edge] }
      limits: { head_ms: 700, gap_ms: 700, rate: 100000 }
"""


def drip(link, piece, every_s=0.05):
    """Send pieces until the other side answers; what it answers."""
    link.setblocking(False)
    answer = b""
    while True:
        try:
            link.send(piece)
        except OSError:
            pass
        try:
            got = link.recv(65536)
            if not got:
                return answer
            answer += got
            if b"\r\n\r\n" in answer:
                return answer
        except BlockingIOError:
            pass
        except OSError:
            return answer
        time.sleep(every_s)


def test_peers_that_are_too_slow_are_told_and_hold_up_nobody(tmp_path):
    node = serve(tmp_path, handler("echo", ECHO), SLOW)
    try:
        peer = node.peer
        head = ("POST /__runner/task/echo HTTP/1.1\r\nhost: x\r\nx-runner-token: edge\r\n"
                "content-type: {}\r\ncontent-length: 9000000\r\n\r\n")
        form = head.format("multipart/form-data; boundary=b")
        part = b'--b\r\nContent-Disposition: form-data; name="file:x"\r\n\r\n'
        cases = [(head.format("application/json"), b'{"input":"', b""),  # stops
                 (head.format("application/json"), b'{"input":"', b"x"),  # drips
                 (head.format("application/octet-stream"), b"", b"x"),
                 (form, part, b"x"), (form, part, b""),
                 ("POST /__runner/task/echo HTTP/1.1\r\n", b"", b"x-a: b\r\n")]
        links = [(peer.open(start, first), piece) for start, first, piece in cases]
        assert peer.call("echo", 1)["event"] == 1
        for link, piece in links:
            with link:
                answer = drip(link, piece)
            assert answer.startswith(b"HTTP/1.1 408 "), (piece, answer)
        files = tmp_path / ".heddle/files"
        eventually(lambda: list(files.iterdir()) == [], what="an empty files folder")
        assert peer.call("echo", 2)["event"] == 2
        node.stop()
    finally:
        node.kill()


# --- one byte too much ---


def test_json_is_read_up_to_the_limit_in_every_framing(peer):
    def body(size):
        return json.dumps({"input": "x" * (size - 13)})
    assert len(body(2000)) == 2000
    too_large = (413, "PAYLOAD_TOO_LARGE", "Payload too large")
    assert peer.ask("/task/echo", body(2000))[0] == 200
    assert peer.error("/task/echo", body(2001)) == too_large
    pieces = [body(2000)[:700].encode(), body(2000)[700:].encode()]
    assert peer.ask("/task/echo", iter(pieces))[0] == 200
    assert peer.error("/task/echo", iter(pieces + [b" "])) == too_large
    assert peer.error("/event/priced", body(2001)) == too_large
    assert peer.error("/task/echo", body(2001), token="by-function") == too_large


def test_a_context_field_that_is_too_long_or_broken_is_ignored_or_refused(peer):
    def context(value):
        return json.dumps({"app.asyncContexts.tenant": value})
    limit = 16 * 1024
    fits = context("t" * (limit - len(context(""))))
    seen = peer.call("echo", 1, x_runner_context=fits)["seen"]
    assert len(seen["contexts"]["app.asyncContexts.tenant"]) == limit - len(context(""))
    for broken in (context("t" * (limit + 1 - len(context("")))), "{", "[]", "7", '{"a":1}',
                   '{"app.asyncContexts.tenant":{"x":1}}', '{"app.asyncContexts.other":"x"}'):
        assert "contexts" not in peer.call("echo", 1, x_runner_context=broken)["seen"], broken
    with peer.open("POST /__runner/task/echo HTTP/1.1\r\nhost: x\r\nx-runner-context: "
                   + "x" * 70000 + "\r\n\r\n") as link:
        assert read_all(link).startswith(b"HTTP/1.1 431")


def test_a_request_id_is_kept_or_replaced(peer):
    for good in ("a", "A-z.0:9_" * 16):
        assert peer.ask("/task/echo", "1", x_runner_request_id=good)[2].getheader(
            "x-runner-request-id") == good
    for bad in ("a" * 129, "a b", "a/b", "ü".encode().decode("latin1"), '"'):
        kept = peer.ask("/task/echo", "1", x_runner_request_id=bad)[2].getheader(
            "x-runner-request-id")
        assert kept != bad and len(kept) == 36


# --- tokens of lanes ---

BODY = '{"input":{"amount":3}}'


def charge(peer, token, body=BODY, task="charge", **fields):
    more = {"authorization": "Bearer " + token} if token else {}
    return peer.ask(f"/task/{task}", body, **more, **fields)[0]


def test_a_good_token_is_good_for_its_task_and_body(peer):
    token = lane_token(BODY)
    assert charge(peer, token) == 200
    assert charge(peer, token, task="app.tasks.charge") == 200
    assert charge(peer, token, '{ "input": {"amount": 3} }') == 200  # the same value
    assert charge(peer, token.replace("-", "+").replace("_", "/")) == 200


REPLAYED = {
    "for another body": dict(body='{"input":{"amount":4}}'),
    "for a longer body": dict(body='{"input":{"amount":3,"b":1}}'),
    "for another task": dict(task="refund"),
    "for no body": dict(body=""),
}


@pytest.mark.parametrize("how", REPLAYED.values(), ids=REPLAYED)
def test_a_token_that_is_replayed_is_refused(peer, how):
    assert charge(peer, lane_token(BODY), **how) == 401


def test_a_token_may_be_used_again_for_the_same(peer):
    token = lane_token(BODY)
    assert [charge(peer, token) for _ in range(3)] == [200, 200, 200]


def test_octets_need_their_lane_token_but_no_hash(peer):
    octets = {"content_type": "application/octet-stream"}
    for hash in ({"hash": None}, {}, {"hash": "x"}):
        token = lane_token("another body", **hash)
        assert peer.ask("/task/charge", b"\0\1", authorization="Bearer " + token, **octets)[0] == 200
    for wrong in (lane_token("", target="app.tasks.refund", hash=None),
                  lane_token("", at=time.time() - 600, hash=None)):
        assert peer.error("/task/charge", b"\0\1", authorization="Bearer " + wrong,
                          **octets) == UNAUTHORIZED
    assert peer.error("/task/charge", b"\0\1", **octets) == UNAUTHORIZED


def test_a_token_of_another_lane_is_refused(peer):
    token = lane_token(BODY, target="app.tasks.settle")
    assert peer.ask("/task/settle", BODY, x_lane=token)[0] == 401
    good = lane_token(BODY, lane="books", target="app.tasks.settle")
    assert peer.ask("/task/settle", BODY, x_lane=good)[0] == 200
    assert peer.ask("/task/settle", BODY, authorization="Bearer " + good)[0] == 401


WRONG = {
    "none": "",
    "expired": lambda: lane_token(BODY, at=time.time() - 600),
    "expired beyond the skew": lambda: lane_token(BODY, at=time.time() - 63),
    "from the future": lambda: lane_token(BODY, at=time.time() + 600),
    "another secret": lambda: lane_token(BODY, secret="other"),
    "another capability": lambda: lane_token(BODY, cap="consume"),
    "another kind": lambda: lane_token(BODY, kind="rpc-event"),
    "no kind": lambda: lane_token(BODY, kind=None),
    "no target": lambda: lane_token(BODY, target=None),
    "no hash": lambda: lane_token(BODY, hash=None),
    "no end": lambda: lane_token(BODY, exp=None),
    "an end that is text": lambda: lane_token(BODY, exp="9999999999"),
    "no algorithm": lambda: lane_token(BODY, header={"typ": "JWT"}),
    "the algorithm none": lambda: lane_token(BODY, header={"alg": "none"}),
    "none without a signature": lambda: lane_token(BODY, header={"alg": "none"}).rsplit(".", 1)[0]
    + ".",
    "another algorithm": lambda: lane_token(BODY, header={"alg": "HS512", "typ": "JWT"}),
    "the algorithm in small letters": lambda: lane_token(BODY, header={"alg": "hs256"}),
    "a signature that was cut": lambda: lane_token(BODY)[:-2],
    "another signature": lambda: lane_token(BODY).rsplit(".", 1)[0] + "." + b64(bytes(32)),
    "four parts": lambda: lane_token(BODY) + ".e30",
    "two parts": lambda: lane_token(BODY).rsplit(".", 1)[0],
    "no token at all": "hello",
    "a very long one": "x" * 20000,
}


@pytest.mark.parametrize("token", WRONG.values(), ids=WRONG)
def test_a_token_that_is_wrong_is_refused_without_a_reason(peer, token):
    text = token() if callable(token) else token
    fields = {"authorization": "Bearer " + text} if text else {}
    assert peer.error("/task/charge", BODY, **fields) == UNAUTHORIZED


def test_a_token_within_the_skew_is_good(peer):
    assert charge(peer, lane_token(BODY, at=time.time() - 60)) == 200
    assert charge(peer, lane_token(BODY, at=time.time() + 1)) == 200


def test_the_order_of_the_checks(peer):
    wrong_body, wrong_lane = "{", "Bearer " + lane_token(BODY, secret="other")
    assert peer.error("/task/charge", method="GET", token=None)[0] == 405
    assert peer.error("/task/nobody", wrong_body, token=None)[0] == 401
    assert peer.error("/task/nobody", wrong_body)[0] == 403
    assert peer.error("/task/charge", wrong_body, authorization=wrong_lane)[0] == 401
    assert peer.error("/task/charge", wrong_body, authorization="Bearer " + lane_token(BODY))[
        :2] == (400, "INVALID_JSON")
    assert peer.error("/task/charge", "1" * 2001, authorization="Bearer " + lane_token(BODY))[
        0] == 413
