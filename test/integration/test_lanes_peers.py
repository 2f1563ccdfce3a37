"""Calling peers: what is sent, files and octets among it, streams that come back, and peers that
answer nonsense, late, in drips, or not at all."""

import base64
import http.client
import json
import socket
import threading
from email.parser import BytesParser

import pytest

from heddle import INTERNAL_KEY, eventually
from lanepeer import handler, serve

OK = b'{"ok":true,"result":1}'


def answer(body, status="200 OK", kind="application/json", more=""):
    return (f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n"
            f"connection: close\r\n{more}\r\n").encode() + body


def chunks(*pieces, kind="application/octet-stream", end=True):
    out = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n"
    out = (out + "connection: close\r\n\r\n").encode()
    for piece in pieces:
        out += b"%x\r\n%s\r\n" % (len(piece), piece)
    return out + (b"0\r\n\r\n" if end else b"")


# What the peer answers to each task; it closes the connection after that.
ANSWERS = {
    "random": bytes((i * 7919 + 13) % 256 for i in range(4000)),
    "zeros": bytes(4000),
    "nothing": b"",
    "half-head": b"HTTP/1.1 200 OK\r\ncontent-le",
    "short": answer(b'{"ok":tr')[:-3],
    "cut-chunk": chunks(b'{"ok":true,', end=False) + b"40\r\n\"res",
    "bad-chunk": chunks(end=False) + b"zz\r\n",
    "two-lengths": answer(OK, more="content-length: 3\r\n"),
    "html": answer(b"<html>hello</html>", kind="text/html"),
    "html-error": answer(b"<html>oh</html>", "502 Bad Gateway", "text/html"),
    "empty-error": answer(b"", "500 No"),
    "empty": answer(b""),
    "list": answer(b"[1]"),
    "word": answer(b"true"),
    "no-result": answer(b'{"ok":true}'),
    "not-ok": answer(b'{"ok":false}'),
    "odd-error": answer(b'{"ok":false,"error":"text"}', "500 No"),
    "own-code": answer(b'{"ok":false,"error":{"message":"m","code":"MINE\\n","httpCode":7}}',
                       "500 No"),
    "no-code": answer(b'{"ok":false,"error":{"message":"m"}}', "500 No"),
    "typed": answer(b'{"ok":false,"error":{"message":"short","code":"INTERNAL_ERROR",'
                    b'"id":"app.errors.x","data":{"by":1},"httpCode":409}}', "409 No"),
    "deep": answer(b'{"ok":true,"result":' + b"[" * 5000 + b"]" * 5000 + b"}"),
    "unsafe": answer(b'{"ok":true,"result":{"__proto__":{"x":1},"a":1}}'),
    "bad-type": answer(b'{"ok":true,"result":{"__type":"Nope","value":1}}'),
    "redirect": answer(b"", "302 Found", more="location: http://127.0.0.1:1/elsewhere\r\n"),
    "stream": chunks(b"one ", b"two"),
    "long-stream": chunks(b"begin ", end=False) + b"10\r\nhalf",
    "good": answer(OK), "signed": answer(OK),
}


class Server:
    """A peer; `seen` are (head, body) of what it was asked."""

    def __init__(self):
        self.seen = []
        self.gone = threading.Event()
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.stopping = threading.Event()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(link,), daemon=True).start()

    def serve(self, link):
        try:
            with link:
                self.talk(link)
        except OSError:
            self.gone.set()

    def talk(self, link):
        data = b""
        while b"\r\n\r\n" not in data:
            piece = link.recv(65536)
            if not piece:
                return
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        fields = BytesParser().parsebytes(head.partition(b"\r\n")[2])
        while len(body) < int(fields.get("content-length", 0)):
            body += link.recv(65536)
        self.seen.append((head.decode(), fields, body))
        task = head.split(b" ")[1].decode().rsplit(".", 1)[-1]
        getattr(self, task.replace("-", "_"), self.canned)(link, task)

    def canned(self, link, task):
        link.sendall(ANSWERS[task])

    def silent(self, link, task):
        if link.recv(1) == b"":
            self.gone.set()

    holds = silent

    def resets(self, link, task):
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    def endless_head(self, link, task):
        link.sendall(b"HTTP/1.1 200 OK\r\n")
        while not self.stopping.is_set():
            link.sendall(b"x-more: " + b"y" * 1000 + b"\r\n")

    def endless_info(self, link, task):
        while not self.stopping.is_set():
            link.sendall(b"HTTP/1.1 102 Processing\r\n\r\n")

    def drips(self, link, task):
        for letter in answer(OK)[:60] * 1000:
            link.sendall(bytes([letter]))
            if self.stopping.wait(0.02):
                return

    def endless_body(self, link, task):
        link.sendall(chunks(end=False))
        while not self.stopping.is_set():
            link.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")

    endless_stream = endless_body

    def close(self):
        self.stopping.set()
        self.listener.close()


# Calls the task that it is told, as its body says, and answers what it got.
CALLER = """
const base = process.env.HEDDLE_LANES_URL + "/lanes/v1/tasks/";
const headers = { authorization: `Bearer ${process.env.HEDDLE_LANES_TOKEN}`,
                  "content-type": "application/octet-stream" };
export default { async fetch(request) {
  const { task, octets, stop } = await request.json();
  const controller = new AbortController();
  const answer = await fetch(base + task, { method: "POST", headers, signal: controller.signal,
    body: Buffer.from(octets ?? "", "base64") });
  if (stop) {
    const reader = answer.body.getReader();
    const first = await reader.read();
    controller.abort();
    return Response.json({ first: first.value.length });
  }
  try {
    const body = Buffer.from(await answer.arrayBuffer()).toString("base64");
    return Response.json({ status: answer.status, type: answer.headers.get("content-type"), body });
  } catch (error) { return Response.json({ broken: String(error) }); }
} };
"""
OWN = """
import { readFileSync } from "node:fs";
export const handler = async (event) => event?.f?.$file
  ? { text: readFileSync(event.f.$file.path, "utf8"), file: event.f.$file } : event;
"""


def config(server):
    tasks = [*(name for name in ANSWERS if name != "signed"), "silent", "holds", "resets", "endless-head", "endless-info", "drips",
             "endless-body", "endless-stream"]
    quick = ["silent", "drips", "endless-head", "endless-info"]
    lines = [f"    {name}: {{ lane: {'late' if name in quick else 'peer'}, remote: true }}"
             for name in tasks]
    return "\n".join(["lanes:", "  profile: api", "  tasks:", *lines, f"""
    signed: {{ lane: signed, remote: true }}
    refused: {{ lane: nobody, remote: true }}
    own: {{ }}
  rpc_lanes: {{ peer: {{}}, late: {{}}, signed: {{}}, nobody: {{}} }}
  communicators:
    peer: {{ base_url: 'http://127.0.0.1:{server.port}/__runner', token: edge }}
    late: {{ base_url: 'http://127.0.0.1:{server.port}', timeout_ms: 700 }}
    nobody: {{ base_url: 'http://127.0.0.1:1' }}
  profiles: {{ api: {{}} }}
  bindings:
    - {{ lane: peer, communicator: peer }}
    - {{ lane: late, communicator: late }}
    - {{ lane: nobody, communicator: nobody }}
    - {{ lane: signed, communicator: peer, auth: {{ secret: lane-secret }} }}
"""])


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="module")
def node(tmp_path_factory, server):
    cwd = tmp_path_factory.mktemp("peers")
    node = serve(cwd, {**handler("caller", CALLER), **handler("own", OWN)}, config(server))
    try:
        yield node
        node.stop()
    finally:
        node.kill()


def call(node, task, value=None, timeout=60):
    """(status, answer) of a call through the node."""
    connection = http.client.HTTPConnection("localhost", timeout=timeout)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(timeout)
    connection.sock.connect(str(node.cwd / ".heddle/run/admin.sock"))
    connection.request("POST", f"/lanes/v1/tasks/{task}", json.dumps(value),
                       {"authorization": "Bearer " + INTERNAL_KEY,
                        "content-type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text)


def error(node, task, value=None):
    status, got = call(node, task, value)
    assert got["ok"] is False, got
    return status, got["error"]["code"]


def ask(node, **what):
    return node.post("caller", json.dumps(what), {"content-type": "application/json"}, timeout=60)


# --- nonsense ---

NONSENSE = {
    "random": (502, "INVALID_RESPONSE"), "zeros": (502, "INVALID_RESPONSE"),
    "half-head": None, "nothing": None, "resets": None,
    "short": (502, "INVALID_RESPONSE"), "cut-chunk": (502, "INVALID_RESPONSE"),
    "bad-chunk": (502, "INVALID_RESPONSE"), "two-lengths": (502, "INVALID_RESPONSE"),
    "html": (502, "INVALID_RESPONSE"), "html-error": (502, "HTTP_ERROR"),
    "empty-error": (500, "HTTP_ERROR"), "empty": (502, "INVALID_RESPONSE"),
    "list": (502, "INVALID_RESPONSE"), "word": (502, "INVALID_RESPONSE"),
    "no-result": (502, "INVALID_RESPONSE"), "not-ok": (502, "INVALID_RESPONSE"),
    "odd-error": (500, "HTTP_ERROR"), "no-code": (500, "UNKNOWN"),
    "deep": (502, "INVALID_RESPONSE"), "bad-type": (502, "INVALID_RESPONSE"),
    "redirect": (502, "INVALID_RESPONSE"), "stream": (502, "INVALID_RESPONSE"),
    "endless-head": (502, "INVALID_RESPONSE"), "endless-body": (502, "INVALID_RESPONSE"),
    "refused": (503, "UNREACHABLE"),
}


@pytest.mark.parametrize("task", NONSENSE)
def test_nonsense_is_an_error_with_a_code_and_the_node_goes_on(node, task):
    wanted = NONSENSE[task]
    got = error(node, task)
    if wanted is None:  # it broke off before it said anything: it may have been reached or not
        assert got in ((502, "INVALID_RESPONSE"), (503, "UNREACHABLE")), got
    else:
        assert got == wanted
    assert call(node, "good") == (200, {"ok": True, "result": 1})


def test_memory_is_bounded_by_what_a_peer_may_answer(node):
    before = node.rss_kb()
    for _ in range(3):
        assert error(node, "endless-body") == (502, "INVALID_RESPONSE")
    assert node.rss_kb() - before < 400 * 1024  # sanitizers keep what was freed for a while


def test_errors_of_peers_keep_their_id_data_and_code(node):
    status, got = call(node, "typed")
    assert status == 409
    assert got["error"] == {"message": "short", "code": "INTERNAL_ERROR", "id": "app.errors.x",
                            "data": {"by": 1}, "httpCode": 409}
    status, got = call(node, "own-code")
    assert status == 500 and "httpCode" not in got["error"]


def test_names_that_reach_a_prototype_do_not_pass(node):
    assert call(node, "unsafe") == (200, {"ok": True, "result": {"a": 1}})


def test_what_peers_make_up_is_no_name_of_a_counter(node):
    call(node, "own-code")
    call(node, "good")
    names = [name for name in node.metrics() if 'dir="out"' in name]
    assert any('task="app.tasks.good",code="OK"' in name for name in names)
    assert any('task="app.tasks.own-code",code="OTHER"' in name for name in names)
    assert not any("MINE" in name for name in names)


# --- late ---


@pytest.mark.parametrize("task", ["silent", "drips", "endless-info"])
def test_a_late_peer_is_given_up_after_the_time_out(node, server, task):
    server.gone.clear()
    status, got = call(node, task)
    assert (status, got["error"]["code"]) == (408, "REQUEST_TIMEOUT")
    assert got["error"]["httpCode"] == 408 and got["retryable"] is True
    assert server.gone.wait(30), "the peer is told by the end of the connection"


def test_slow_peers_hold_up_nobody_else(node):
    slow = [threading.Thread(target=call, args=(node, "silent")) for _ in range(20)]
    for thread in slow:
        thread.start()
    assert call(node, "good")[0] == 200
    for thread in slow:
        thread.join()


def test_a_caller_that_goes_away_ends_the_call_at_the_peer(node, server):
    server.gone.clear()
    server.seen.clear()
    link = socket.socket(socket.AF_UNIX)
    link.connect(str(node.cwd / ".heddle/run/admin.sock"))
    link.sendall(b"POST /lanes/v1/tasks/holds HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n"
                 b"authorization: Bearer " + INTERNAL_KEY.encode() + b"\r\n\r\n1")
    eventually(lambda: server.seen, what="a call that the peer has")
    link.close()
    assert server.gone.wait(30)


# --- what is sent ---


def sent(server, node, task, value):
    server.seen.clear()
    assert call(node, task, value)[0] == 200
    return server.seen[-1]


def test_a_call_is_sent_as_peers_send_it(node, server):
    head, fields, body = sent(server, node, "good", {"b": 1, "a": [None, "ü"]})
    assert head.startswith("POST /__runner/task/app.tasks.good HTTP/1.1\r\n")
    assert fields["content-type"] == "application/json; charset=utf-8"
    assert fields["x-runner-token"] == "edge"
    assert body.decode() == '{"input":{"b":1,"a":[null,"ü"]}}'


def claims(fields):
    token = fields["authorization"].removeprefix("Bearer ")
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def form_parts(fields, body):
    whole = b"content-type: " + fields["content-type"].encode() + b"\r\n\r\n" + body
    parts = BytesParser().parsebytes(whole).get_payload()
    return {part.get_param("name", header="content-disposition"): part for part in parts}


def test_files_in_an_input_are_sent_as_a_form(node, server):
    data = bytes(range(256)) * 20 + b"\r\n--heddle-\r\n"
    carried = {"$file": {"name": 'a "b".bin', "type": "application/x", "lastModified": 5,
                         "base64": base64.b64encode(data).decode()}}
    value = {"one": carried, "list": [{"$file": {"base64": ""}}], "n": 1}
    _, fields, body = sent(server, node, "signed", value)
    assert fields["content-type"].startswith("multipart/form-data; boundary=heddle-")
    parts = form_parts(fields, body)
    assert list(parts) == ["__manifest", "file:F1", "file:F2"]
    assert parts["__manifest"]["content-type"] is None
    assert json.loads(parts["__manifest"].get_payload()) == {"input": {
        "one": {"$runnerFile": "File", "id": "F1",
                "meta": {"name": 'a "b".bin', "type": "application/x", "lastModified": 5}},
        "list": [{"$runnerFile": "File", "id": "F2", "meta": {}}], "n": 1}}
    assert body.count(data) == 1
    assert parts["file:F1"]["content-type"] == "application/x"
    assert parts["file:F1"].get_param("filename", header="content-disposition") == "a %22b%22.bin"
    assert "hash" not in claims(fields)
    assert claims(fields)["target"] == "app.tasks.signed"


def test_a_file_that_cannot_be_read_is_not_sent(node, server):
    server.seen.clear()
    assert error(node, "good", {"$file": {"base64": "***"}}) == (500, "INTERNAL_ERROR")
    assert server.seen == []


def test_octets_are_sent_as_they_are(node, server):
    server.seen.clear()
    data = bytes(range(256)) * 100
    got = ask(node, task="good", octets=base64.b64encode(data).decode()).json()
    assert (got["status"], base64.b64decode(got["body"])) == (200, OK)
    _, fields, body = server.seen[-1]
    assert fields["content-type"] == "application/octet-stream" and body == data


def test_octets_may_be_answered_by_a_stream(node):
    got = ask(node, task="stream").json()
    assert got == {"status": 200, "type": "application/octet-stream",
                   "body": base64.b64encode(b"one two").decode()}


def test_a_stream_that_breaks_off_breaks_off_for_the_caller(node):
    got = ask(node, task="long-stream").json()
    assert "broken" in got, got


def test_a_caller_that_stops_reading_ends_the_peers_stream(node, server):
    server.gone.clear()
    before = node.rss_kb()
    assert ask(node, task="endless-stream", stop=True).json()["first"] > 0
    assert server.gone.wait(30)
    assert node.rss_kb() - before < 200 * 1024


def test_octets_to_a_task_of_this_node_are_base64(node):
    got = ask(node, task="own", octets="AAEC").json()
    assert json.loads(base64.b64decode(got["body"]))["result"] == {
        "body": "AAEC", "isBase64Encoded": True}
