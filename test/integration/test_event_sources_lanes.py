"""Our own durable queues as event sources: an event lane that this node does not consume itself is
mapped to a function through the API, under the ARN of a queue."""

import json
import subprocess

import pytest

from awslambda import Lambda
from feeds import HANDLER, Collector
from heddle import Node, binary, eventually

LONG_S = 60
ARN = "arn:aws:sqs:us-east-1:000000000000:"
LANES = """
sandbox: { mode: "off" }
lanes:
  events: { placed: { lane: orders }, other: { lane: consumed } }
  hooks: [ { id: h, event: other, function: hook } ]
  event_lanes: { orders: {}, consumed: {} }
  queues: { orders-q: {}, consumed-q: {} }
  profiles: { api: { consume: [consumed] } }
  profile: api
  bindings:
    - { lane: orders, queue: orders-q }
    - { lane: consumed, queue: consumed-q }
"""


@pytest.fixture
def collector():
    made = Collector()
    yield made
    made.close()


@pytest.fixture
def aws(tmp_path, collector):
    (tmp_path / "functions/hook").mkdir(parents=True)
    (tmp_path / "functions/hook/index.mjs").write_text("export const handler = async () => {};")
    (tmp_path / "functions/hook/heddle.json").write_text('{"runtime": "node"}')
    (tmp_path / "heddle.yml").write_text(LANES)
    node = Node(tmp_path, tmp_path / "functions")
    try:
        made = Lambda(node.start())
        made.create("f", HANDLER, Environment={"Variables": {"COLLECT": collector.url}})
        yield made
        made.node.stop()
    finally:
        made.node.kill()


def emit(node, event, payload):
    done = subprocess.run([str(binary()), "emit", event, json.dumps(payload)], cwd=node.cwd,
                          env=node.env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done


def state(aws, uuid):
    return aws.api.get_event_source_mapping(UUID=uuid)["State"]


def records(collector):
    return [record for event in collector.events for record in event["Records"]]


def payload(record):
    """The lane's own message, whose payload is a text."""
    return json.loads(json.loads(record["body"])["payload"])


def payloads(collector):
    return [payload(record) for record in records(collector)]


def test_a_lane_is_a_source(aws, collector):
    failed = []

    def decide(event):
        for record in event["Records"]:
            if payload(record).get("fails") and not failed:
                failed.append(record["messageId"])
                raise ValueError("not yet")

    collector.decide = decide
    for n in range(3):
        emit(aws.node, "placed", {"n": n})  # they wait for somebody
    made = aws.api.create_event_source_mapping(FunctionName="f", EventSourceArn=ARN + "orders-q",
                                               BatchSize=2)
    eventually(lambda: len(records(collector)) >= 3, LONG_S, "what waited")
    assert sorted(p["n"] for p in payloads(collector)) == [0, 1, 2]
    assert all(len(e["Records"]) <= 2 for e in collector.events)
    record = records(collector)[0]
    assert record["eventSource"] == "aws:sqs" and record["eventSourceARN"] == ARN + "orders-q"
    assert record["attributes"]["ApproximateReceiveCount"] == "1" and record["md5OfBody"]
    emit(aws.node, "placed", {"n": 3, "fails": True})
    eventually(lambda: [p["n"] for p in payloads(collector)].count(3) >= 2, LONG_S, "a second try")
    again = [r for r in records(collector) if r["messageId"] == failed[0]]
    assert [r["attributes"]["ApproximateReceiveCount"] for r in again][:2] == ["1", "2"]
    aws.api.update_event_source_mapping(UUID=made["UUID"], Enabled=False)
    eventually(lambda: state(aws, made["UUID"]) == "Disabled", LONG_S, "a disabled mapping")
    seen = len(collector.events)
    emit(aws.node, "placed", {"n": 4})
    aws.api.update_event_source_mapping(UUID=made["UUID"], Enabled=True)
    eventually(lambda: 4 in [p["n"] for p in payloads(collector)], LONG_S, "what came meanwhile")
    assert len(collector.events) == seen + 1


def test_a_lane_that_is_consumed_here_is_no_source(aws):
    for name in ("consumed-q", "nothing"):
        with pytest.raises(aws.api.exceptions.ClientError):
            aws.api.create_event_source_mapping(FunctionName="f", EventSourceArn=ARN + name)
