"""The bytes of the lanes' wire, in both directions: requests as peers send them and what they get, what a
caller of ours sends and makes of a peer's answer, and messages as they lie on a queue."""

import base64
import hashlib
import http.client
import json
import re
import socket
import subprocess
import threading

import pytest

import hostdriver
from heddle import INTERNAL_KEY, Node, binary, eventually

GOLDEN = hostdriver.REPOSITORY / "test" / "golden" / "lanes"
LINES = binary().parent / "test" / "integration" / "typed_lines"
TOKEN = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
HANDLERS = {
    "add": "async (e) => e.a + e.b", "echo": "async (e) => e", "throws": "async () => { throw new Error('secret'); }",
    "charge": "async (e) => { throw Object.assign(new Error(`need ${e.needed}, have ${e.balance}`), "
              "{ name: 'InsufficientFunds', errorData: e }); }",
    "ledger": "async (e) => { throw Object.assign(new Error(`ledger ${e} is broken`), "
              "{ name: 'LedgerBroken', errorData: { ledger: e } }); }",
    "enricher": "async (e) => ({ payload: { ...e, total: e.a + e.b } })",
}
CONFIG = """
lanes:
  profile: all
  tasks:
    add: { lane: rpc-main }
    echo: { lane: rpc-main, codec: typed }
    charge: { lane: rpc-main }
    ledger: { lane: rpc-main }
    throws: { lane: rpc-main }
    remote-add: { remote: true, lane: away }
  events:
    notify: { lane: rpc-main }
    enrich: { lane: rpc-main }
    remote-asked: { lane: away }
    order-placed: { lane: events-main }
  hooks:
    - { id: enricher, event: enrich, function: enricher }
    - { id: fails, event: order-placed, function: throws }
  errors: { InsufficientFunds: { wire_id: app.errors.insufficient-funds, http_code: 402 },
            LedgerBroken: { wire_id: app.errors.ledger-broken } }
  contexts: [tenant]
  rpc_lanes: { rpc-main: {}, away: {} }
  event_lanes: { events-main: { async_contexts: [tenant] } }
  queues: { q: {} }
  communicators: { peer: { base_url: 'http://127.0.0.1:%d/__runner', token: rig-token } }
  profiles: { all: { serve: [rpc-main], consume: [events-main] } }
  bindings:
    - { lane: rpc-main, communicator: peer }
    - { lane: away, communicator: peer, auth: { secret: lane-secret } }
    - { lane: events-main, queue: q, max_attempts: 1, auth: { secret: lane-secret } }
  exposure: { http: { listen: { port: 0 }, auth: { tokens: [rig-token] } } }
"""


def golden(name):
    return (GOLDEN / name).read_bytes().decode()


def names(folder, suffix=".request"):
    return sorted(path.name.removesuffix(suffix) for path in (GOLDEN / folder).glob("*" + suffix))


def message(sock):
    """One HTTP message as it came, with a body by its length."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = sock.recv(65536)
        assert part, data
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(re.search(rb"(?i)content-length: (\d+)", head).group(1))
    while len(body) < length:
        body += sock.recv(65536)
    return (head + b"\r\n\r\n" + body).decode()


class Peer:
    """Answers what it is told to, and keeps what it got."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.got, self.answer = [], b""
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        try:
            while True:
                self.got.append(message(sock))
                sock.sendall(self.answer)
        except (AssertionError, OSError):
            sock.close()


@pytest.fixture(scope="module")
def peer():
    it = Peer()
    yield it
    it.listener.close()


@pytest.fixture(scope="module")
def node(tmp_path_factory, peer):
    cwd = tmp_path_factory.mktemp("golden")
    for name, text in HANDLERS.items():
        (cwd / "functions" / name).mkdir(parents=True)
        (cwd / "functions" / name / "index.mjs").write_text(f"export const handler = {text};\n")
        (cwd / "functions" / name / "heddle.json").write_text('{"runtime": "node"}')
    (cwd / "heddle.yml").write_text(CONFIG % peer.port)
    node = Node(cwd, cwd / "functions")
    try:
        node.start()
        node.exposure = node.wait_record(lambda r: r["msg"] == "ready")["exposure_port"]
        yield node
        node.stop()
    finally:
        node.kill()


def api(node, path, body, headers=None):
    """The API of functions, as an administrator."""
    admin = http.client.HTTPConnection("localhost", timeout=60)
    admin.sock = socket.socket(socket.AF_UNIX)
    admin.sock.settimeout(60)
    admin.sock.connect(str(node.cwd / ".heddle/run/admin.sock"))
    admin.request("GET" if body is None else "POST", "/lanes/v1" + path, body,
                  {"authorization": "Bearer " + INTERNAL_KEY, "content-type": "application/json", **(headers or {})})
    answer = admin.getresponse()
    told = answer.status, json.loads(answer.read())
    admin.close()
    return told


def split(text):
    """(first line, fields by lower-case name, body)"""
    head, _, body = text.partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    return first, {line.split(": ", 1)[0].lower(): line.split(": ", 1)[1] for line in lines}, body


def expect_bytes(given, wanted):
    """The same bytes, but for what is named in braces. Returns the tokens."""
    pattern = re.escape(wanted)
    for name, what in (("uuid", UUID), ("time", TIME), ("token", f"({TOKEN.pattern})"), ("port", r"\d+")):
        pattern = pattern.replace(re.escape("{" + name + "}"), what)
    found = re.fullmatch(pattern, given, re.S)
    assert found, f"\n{given}\n----\n{wanted}"
    return found.groups()


def claims(token):
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


def hash_of(text):
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.mark.parametrize("name", names("exposure"))
def test_a_peers_request_gets_the_recorded_answer(node, name):
    with socket.create_connection(("127.0.0.1", node.exposure), 60) as sock:
        sock.sendall(golden(f"exposure/{name}.request").encode())
        first, fields, body = split(message(sock))
    wanted_first, wanted, wanted_body = split(golden(f"exposure/{name}.response"))
    assert (first, body) == (wanted_first, wanted_body)
    assert re.fullmatch(UUID, fields.pop("x-runner-request-id")) and wanted.pop("x-runner-request-id")
    assert fields.pop("date") and wanted.pop("date")
    assert fields == wanted # no more and no less


@pytest.mark.parametrize("name, path, body, status, result", [
    ("task", "/tasks/remote-add", '{"a": 2, "b": 40}', 200, {"ok": True, "result": 42}),
    ("nothing", "/tasks/remote-add", "", 200, {"ok": True, "result": None}),
    ("event", "/events/remote-asked", '{"a":1,"b":2}', 200, {"ok": True, "result": {"a": 1, "b": 2, "total": 3}}),
    ("error", "/tasks/remote-add", '{"balance":3,"needed":9}', 402,
     {"ok": False, "error": {"message": "need 9, have 3", "code": "INTERNAL_ERROR", "httpCode": 402,
                             "id": "app.errors.insufficient-funds", "data": {"balance": 3, "needed": 9}}}),
])
def test_a_caller_sends_these_bytes_and_reads_the_recorded_answer(node, peer, name, path, body, status, result):
    peer.answer = golden(f"caller/{name}.response").encode()
    del peer.got[:]
    assert api(node, path, body) == (status, result)
    assert len(peer.got) == 1
    (token,) = expect_bytes(peer.got[0], golden(f"caller/{name}.request"))
    said = claims(token)
    kind, target = ("rpc-event", "app.events.remote-asked") if name == "event" else ("rpc-task", "app.tasks.remote-add")
    assert list(said) == ["lane", "cap", "kind", "target", "hash", "iat", "exp"]
    assert (said["lane"], said["cap"], said["kind"], said["target"]) == ("away", "produce", kind, target)
    assert said["hash"] == hash_of(split(peer.got[0])[2]) and said["exp"] - said["iat"] == 60


def test_all_requests_to_a_peer_are_tried():
    assert names("caller") == ["error", "event", "nothing", "task"]


@pytest.mark.parametrize("name, headers", [
    ("plain", {}),
    ("rich", {"content-type": "application/vnd.heddle.typed+json",
              "x-heddle-contexts": json.dumps({"tenant": '{"id":"t-1"}'})}),
])
def test_a_message_lies_on_the_queue_byte_by_byte(node, name, headers):
    wanted = golden(f"queue/sent-{name}.json")
    payload = json.loads(wanted)["payload"]
    status, sent = api(node, "/events/order-placed", payload, headers)
    assert status == 202, sent

    def dead():
        letters = api(node, "/dlq?queue=events-main", None)[1]["messages"]
        return next((m["message"] for m in letters if json.loads(m["message"])["id"] == sent["messageId"]), None)
    (token,) = expect_bytes(eventually(dead, 60), wanted)
    said = claims(token)
    assert (said["lane"], said["cap"], said["kind"]) == ("events-main", "produce", "event-lane")
    assert (said["target"], said["hash"]) == ("app.events.order-placed", hash_of(payload))
    if name == "plain": # as it was recorded
        assert said["hash"] == "nmIY--mvn2wRW-fMNSQ2WXjK5LABSb9VVIC1l8t64IA"


# Without a node ---------------------------------------------------------------------------------------

def lines(*requests):
    if not LINES.exists():
        pytest.skip(f"{LINES} is not built")
    done = subprocess.run([str(LINES)], input="".join(r + "\n" for r in requests), capture_output=True, text=True,
                          check=True, timeout=60)
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", ["plain", "rich"])
def test_a_peers_message_is_written_again_as_it_was(name):
    text = golden(f"queue/{name}.json")
    assert lines("e" + text) == ["+" + text]
    more = text[:-1] + ',"unknown":{"b":1,"a":[null]}}'
    assert lines("e" + more) == ["+" + more]


def test_hashes_are_the_recorded_ones():
    assert lines('h{"input":{"a":2,"b":40}}', 'h{"input":{"__type":"Undefined","value":null}}',
                 'h{"payload":{"a":1,"b":2},"returnPayload":true}') == [
        "+-WqyfPHOXz4lWMYTxfV6IGP6FHfrYdxatKIWyalexhI", "+yjxOtFFkKF3YG7lki7Y9Z2lWN7Zv_aa6gNL-yrKKyAU",
        "+jgW6EgWKNdUDPIcVhQ0xBNS6s9GLW07kU6ptGADUegc"]
