"""CloudEvents 1.0 at the emit API and at hooks: what comes in by either mode goes out to hooks that ask for
it, through a queue on disk."""

import http.client
import json
import os
import socket

import pytest

from heddle import INTERNAL_KEY, Node, eventually

HOOK = """
import { appendFileSync } from "node:fs";
export const handler = async (event) => appendFileSync(process.env.SEEN, JSON.stringify(event) + "\\n");
"""
LANES = """
lanes:
  events: { order-placed: { lane: orders }, ordered: { wire_id: com.example.Order.v1, lane: orders },
            here: {} }
  hooks:
    - { id: cloud, event: order-placed, function: cloud, cloud_events: true }
    - { id: plain, event: order-placed, function: plain }
    - { id: typed, event: order-placed, function: typed, codec: typed }
    - { id: by-type, event: ordered, function: cloud, cloud_events: true }
    - { id: here, event: here, function: cloud, cloud_events: true }
  event_lanes: { orders: {} }
  queues: { q: {} }
  bindings: [ { lane: orders, queue: q } ]
"""
NEEDED = {"specversion": "1.0", "id": "A-1", "source": "/shop/7", "type": "order.placed"}


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    cwd = tmp_path_factory.mktemp("cloud")
    for folder in (cwd, *cwd.parents):
        if os.stat(folder).st_uid == os.getuid() and len(folder.parts) > 2:
            os.chmod(folder, 0o755)
    for name in ("cloud", "plain", "typed"):
        (cwd / "functions" / name).mkdir(parents=True)
        (cwd / "functions" / name / "index.mjs").write_text(HOOK)
        (cwd / "functions" / name / "heddle.json").write_text(
            json.dumps({"runtime": "node", "env": {"SEEN": str(cwd / f"seen-{name}")}}))
    (cwd / "heddle.yml").write_text(LANES)
    node = Node(cwd, cwd / "functions", "--sandbox", "off")
    try:
        yield node.start()
        node.stop()
    finally:
        node.kill()


@pytest.fixture
def emit(node):
    """emit(body, headers, name): (status, answer), and emit.seen(who): what a hook got since. It ends when
    all hooks have got what was emitted, so that the next test sees its own only."""
    files = {name: node.cwd / f"seen-{name}" for name in ("cloud", "plain", "typed")}
    lines = {name: file.read_text().splitlines() if file.exists() else [] for name, file in files.items()}
    due = {name: len(before) for name, before in lines.items()}

    def emit(body, headers=None, name="/order-placed"):
        text = body if isinstance(body, (str, bytes)) else json.dumps(body)
        admin = http.client.HTTPConnection("localhost", timeout=30)
        admin.sock = socket.socket(socket.AF_UNIX)
        admin.sock.settimeout(30)
        admin.sock.connect(str(node.cwd / ".heddle/run/admin.sock"))
        admin.request("POST", "/lanes/v1/events" + name, text,
                      {"authorization": "Bearer " + INTERNAL_KEY, **(headers or {})})
        answer = admin.getresponse()
        told = answer.status, json.loads(answer.read())
        admin.close()
        for who in (files if name == "/order-placed" else ["cloud"]) if told[0] == 202 else []:
            due[who] += 1
        return told

    def seen(who):
        def new():
            text = files[who].read_text() if files[who].exists() else ""
            return [json.loads(line) for line in text.splitlines()[len(lines[who]):]] if text.endswith("\n") else []
        got = eventually(new, 60, what=f"an event for {who}")
        assert len(got) == 1
        return got[0]
    def all_there():
        return all(file.read_text().count("\n") >= due[name] for name, file in files.items() if due[name])

    emit.seen = seen
    yield emit
    eventually(all_there, 60, what="the end of all hooks")


STRUCTURED = {"content-type": "application/cloudevents+json; charset=utf-8"}


def test_a_structured_event_comes_out_as_it_went_in(emit):
    sent = {**NEEDED, "time": "2026-11-21T10:00:00Z", "subject": "o-7", "level": 3, "urgent": True,
            "datacontenttype": "application/json", "data": {"id": 7, "name": "Zoë"}}
    status, answer = emit(sent, STRUCTURED)
    assert (status, answer["mode"]) == (202, "network")
    assert emit.seen("cloud") == sent
    assert emit.seen("plain") == emit.seen("typed") == sent["data"]


def test_a_binary_event_comes_out_as_it_went_in(emit):
    status, _ = emit('{"id": 8}', {
        "content-type": "application/json", "ce-specversion": "1.0", "ce-id": "B-1", "ce-source": "/shop/8",
        "ce-type": "order.placed", "ce-subject": "%C3%BC", "ce-region": "eu"})
    assert status == 202
    assert emit.seen("cloud") == {"specversion": "1.0", "id": "B-1", "source": "/shop/8", "type": "order.placed",
                                  "subject": "ü", "region": "eu", "datacontenttype": "application/json",
                                  "data": {"id": 8}}
    assert emit.seen("plain") == {"id": 8}


@pytest.mark.parametrize("body, headers", [
    ({**NEEDED, "data_base64": "AP8H"}, STRUCTURED),
    (b"\x00\xff\x07", {**{"ce-" + key: value for key, value in NEEDED.items()}, "content-type": "image/x"}),
])
def test_bytes_stay_bytes(emit, body, headers):
    assert emit(body, headers)[0] == 202
    got = emit.seen("cloud")
    assert (got["data_base64"], got["datacontenttype"]) == ("AP8H", "application/octet-stream") and "data" not in got
    assert emit.seen("plain") == "AP8H"
    assert emit.seen("typed") == {"__type": "Uint8Array", "value": [0, 255, 7]}


def test_an_event_without_data_has_none(emit):
    assert emit(NEEDED, STRUCTURED)[0] == 202
    assert emit.seen("cloud") == NEEDED


def test_the_type_names_the_event_where_the_path_does_not(emit):
    status, answer = emit({**NEEDED, "type": "com.example.Order.v1", "data": 1}, STRUCTURED, name="")
    assert (status, answer["lane"]) == (202, "orders")
    assert emit.seen("cloud")["type"] == "com.example.Order.v1"
    status, answer = emit({**NEEDED, "type": "com.example.Other", "data": 1}, STRUCTURED, name="")
    assert (status, answer["error"]["code"]) == (404, "NOT_FOUND")
    status, answer = emit({"id": 1}, {"content-type": "application/json"}, name="")
    assert (status, answer["error"]["code"]) == (400, "INVALID_CLOUD_EVENT")


def test_an_event_that_is_none_gets_attributes_of_ours(emit):
    status, answer = emit({"id": 9}, {"content-type": "application/json"})
    got = emit.seen("cloud")
    assert (got["id"], got["source"], got["type"]) == (answer["messageId"], "runtime/runner.event-lanes.relay:default:orders",
                                                       "app.events.order-placed")
    assert got["time"].endswith("Z") and got["data"] == {"id": 9}


def test_without_a_queue_it_is_the_same(emit):
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert emit({**NEEDED, "traceparent": trace, "data": [1]}, STRUCTURED, name="/here")[0] == 200
    got = emit.seen("cloud")
    assert got.pop("traceparent").split("-")[1] == trace.split("-")[1]
    assert got == {**NEEDED, "datacontenttype": "application/json", "data": [1]}


@pytest.mark.parametrize("status, says, body, headers", [
    (400, "specversion", {**NEEDED, "specversion": "0.3"}, STRUCTURED),
    (400, "id: is missing", {"specversion": "1.0", "source": "/s", "type": "t"}, STRUCTURED),
    (400, "source", {**NEEDED, "source": ""}, STRUCTURED),
    (400, "time", {**NEEDED, "time": "soon"}, STRUCTURED),
    (400, "lower-case", {**NEEDED, "myExt": "x"}, STRUCTURED),
    (400, "both data and data_base64", {**NEEDED, "data": 1, "data_base64": "AA=="}, STRUCTURED),
    (400, "data_base64", {**NEEDED, "data_base64": "?"}, STRUCTURED),
    (400, "must be a JSON object", "[]", STRUCTURED),
    (400, "CloudEvent", '{"specversion"', STRUCTURED),
    (400, "specversion: is missing", "{}", {"ce-id": "1", "content-type": "application/json"}),
    (400, "percent-encoded", "{}", {**{"ce-" + key: value for key, value in NEEDED.items()}, "ce-subject": "%ff"}),
    (415, "one at a time", "[]", {"content-type": "application/cloudevents-batch+json"}),
])
def test_a_bad_event_is_refused_and_the_attribute_named(emit, status, says, body, headers):
    given, answer = emit(body, headers)
    assert (given, answer["error"]["code"]) == (status, "INVALID_CLOUD_EVENT"), answer
    assert says in answer["error"]["message"]


def test_a_binary_event_whose_json_is_none_is_refused(emit):
    status, answer = emit("{", {**{"ce-" + key: value for key, value in NEEDED.items()}, "content-type": "application/json"})
    assert (status, answer["error"]["code"]) == (400, "INVALID_JSON")
