"""A real RabbitMQ as an event source, in the shape of AWS MQ."""

import base64
import json

import pytest

import rabbit
from amqp import Amqp
from awslambda import Lambda
from feeds import HANDLER, Collector
from heddle import Node, eventually

WHY_NOT = rabbit.why_not()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))
ARN = "arn:aws:mq:us-east-1:000000000000:broker:shop:b-1"
LONG_S = 90


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    made = rabbit.Rabbit(tmp_path_factory.mktemp("rabbit"))
    try:
        yield made.start()
    finally:
        made.kill()


@pytest.fixture
def client(broker):
    made = Amqp(broker.port)
    yield made
    made.close()


@pytest.fixture
def collector():
    made = Collector()
    yield made
    made.close()


@pytest.fixture(scope="module")
def node(tmp_path_factory, broker):
    cwd = tmp_path_factory.mktemp("mq")
    (cwd / "functions").mkdir()
    (cwd / "heddle.yml").write_text('lambda: { secrets: ["reader=guest:guest", "other=other:word"] }\n')
    node = Node(cwd, cwd / "functions", env={
        "HEDDLE_SANDBOX": "off",
        "HEDDLE_LAMBDA_BROKERS": f"shop=amqp://127.0.0.1:{broker.port}"})
    try:
        yield node.start()
        node.stop()
    finally:
        node.kill()


@pytest.fixture
def aws(node, collector, request):
    made = Lambda(node)
    made.name = request.node.name.replace("[", "-").replace("]", "")[:60]
    made.create(made.name, HANDLER, Environment={"Variables": {"COLLECT": collector.url}})
    made.mappings = []

    def map_to(queue, secret="reader", **settings):
        uuid = made.api.create_event_source_mapping(
            FunctionName=made.name, EventSourceArn=ARN, Queues=[queue],
            SourceAccessConfigurations=[{"Type": "BASIC_AUTH", "URI": secret},
                                        {"Type": "VIRTUAL_HOST", "URI": "/"}],
            **settings)["UUID"]
        made.mappings.append(uuid)
        eventually(lambda: made.api.get_event_source_mapping(UUID=uuid)["State"] == "Enabled",
                   what="Enabled")
        return uuid

    def gone(uuid):
        try:
            made.api.get_event_source_mapping(UUID=uuid)
        except made.api.exceptions.ResourceNotFoundException:
            return True
        return False

    def unmap(uuid):
        made.api.delete_event_source_mapping(UUID=uuid)
        eventually(lambda: gone(uuid), LONG_S, "deleting")
        made.mappings.remove(uuid)

    made.map, made.unmap = map_to, unmap
    yield made
    for uuid in list(made.mappings):
        unmap(uuid)
    made.api.delete_function(FunctionName=made.name)


def messages(collector, queue):
    """All messages that the function got so far."""
    with collector.lock:
        return [m for e in collector.events for m in e["rmqMessagesByQueue"][f"{queue}::/"]]


def texts(collector, queue):
    return [base64.b64decode(m["data"]).decode() for m in messages(collector, queue)]


def empty(broker, queue):
    return broker.queues().get(queue) == (0, 0)


def test_a_message_has_the_shape_of_the_service(aws, broker, client, collector):
    client.declare("shape")
    client.publish("shape", '{"a": 1}', content_type="application/json", delivery_mode=2,
                   priority=3, correlation_id="c", message_id="m-1", timestamp=1767323045,
                   headers={"text": "ab", "n": 10, "in": {"deep": True}})
    aws.map("shape")
    eventually(lambda: collector.events, LONG_S, "an event")
    event = collector.events[0]
    assert event["eventSource"] == "aws:rmq" and event["eventSourceArn"] == ARN
    assert list(event["rmqMessagesByQueue"]) == ["shape::/"]
    assert event["rmqMessagesByQueue"]["shape::/"] == [{
        "basicProperties": {
            "contentType": "application/json", "contentEncoding": None,
            "headers": {"text": {"bytes": [97, 98]}, "n": 10, "in": {"deep": True}},
            "deliveryMode": 2, "priority": 3, "correlationId": "c", "replyTo": None,
            "expiration": None, "messageId": "m-1", "timestamp": "Jan 2, 2026, 3:04:05 AM",
            "type": None, "userId": None, "appId": None, "clusterId": None, "bodySize": 8},
        "redelivered": False, "data": base64.b64encode(b'{"a": 1}').decode()}]
    eventually(lambda: empty(broker, "shape"), LONG_S, "an empty queue")


def test_batches_and_filters(aws, broker, client, collector):
    client.declare("batches")
    for n in range(200):
        client.publish("batches", json.dumps({"n": n}))
    client.publish("batches", b"\xff\xfe")
    pattern = {"data": {"n": [{"numeric": ["<", 150]}]}}
    aws.map("batches", BatchSize=40, MaximumBatchingWindowInSeconds=1,
            FilterCriteria={"Filters": [{"Pattern": json.dumps(pattern)}]})
    eventually(lambda: len(messages(collector, "batches")) == 150, LONG_S, "150 messages")
    eventually(lambda: empty(broker, "batches"), LONG_S, "an empty queue")
    assert max(len(e["rmqMessagesByQueue"]["batches::/"]) for e in collector.events) == 40
    assert sorted(json.loads(t)["n"] for t in texts(collector, "batches")) == list(range(150))


def test_other_credentials_are_those_of_the_next_connection(aws, broker, client, collector):
    client.declare("access")
    broker.ctl("add_user", "other", "word")
    broker.ctl("set_permissions", "other", ".*", ".*", ".*")
    uuid = aws.map("access")
    assert "other" not in broker.ctl("list_connections", "user")
    aws.api.update_event_source_mapping(UUID=uuid, SourceAccessConfigurations=[
        {"Type": "BASIC_AUTH", "URI": "other"}, {"Type": "VIRTUAL_HOST", "URI": "/"}])
    eventually(lambda: "other" in broker.ctl("list_connections", "user"), LONG_S, "the other user")
    eventually(lambda: aws.api.get_event_source_mapping(UUID=uuid)["State"] == "Enabled",
               LONG_S, "Enabled")
    client.publish("access", "later")
    eventually(lambda: texts(collector, "access") == ["later"], LONG_S, "the message")


def test_one_bad_message_does_not_hold_up_the_others(aws, broker, client, collector):
    client.declare("poison", **{"x-dead-letter-exchange": "",
                                "x-dead-letter-routing-key": "dead", "x-queue-type": "quorum",
                                "x-delivery-limit": 1})
    client.declare("dead")
    handled = set()

    def decide(event):
        bodies = [base64.b64decode(m["data"]).decode()
                  for m in event["rmqMessagesByQueue"]["poison::/"]]
        if "bad" in bodies:
            raise ValueError("no")
        handled.update(bodies)
    collector.decide = decide
    for n in range(20):
        client.publish("poison", "bad" if n == 7 else str(n), delivery_mode=2)
    aws.map("poison", BatchSize=20, MaximumBatchingWindowInSeconds=1,
            BisectBatchOnFunctionError=True)
    eventually(lambda: len(handled) == 19, LONG_S, "the others")
    eventually(lambda: client.declare("dead") == 1, 2 * LONG_S, "the dead letter")
    assert client.get("dead") == b"bad"


def test_what_is_given_up_goes_to_its_destination(aws, broker, client, collector):
    client.declare("given-up")
    saved = []

    def decide(event):
        if "rmqMessagesByQueue" in event:
            raise ValueError("no")
        saved.append(event)
    collector.decide = decide
    client.publish("given-up", "lost")
    aws.map("given-up", DestinationConfig={"OnFailure": {"Destination": collector.url}})
    eventually(lambda: saved, LONG_S, "the destination")
    assert base64.b64decode(saved[0]["data"]) == b"lost"
    eventually(lambda: empty(broker, "given-up"), LONG_S, "an empty queue")


def test_a_mapping_that_ends_gives_back_what_it_has(aws, broker, client, collector):
    client.declare("ending")
    for n in range(30):
        client.publish("ending", str(n))
    collector.decide = lambda event: 1 / 0
    uuid = aws.map("ending", BatchSize=5)
    eventually(lambda: collector.events, LONG_S, "an event")
    aws.unmap(uuid)
    eventually(lambda: broker.queues().get("ending") == (30, 0), LONG_S, "all of them back")


def test_what_cannot_be_reached_is_refused(aws, client):
    invalid = aws.api.exceptions.InvalidParameterValueException
    with pytest.raises(invalid, match="no queue 'nowhere'"):
        aws.map("nowhere")
    with pytest.raises(invalid, match="There is no secret stranger here"):
        aws.map("nowhere", secret="stranger")


def test_a_broker_that_is_killed_and_comes_back(tmp_path_factory, tmp_path, collector):
    own = rabbit.Rabbit(tmp_path_factory.mktemp("own"))
    (tmp_path / "functions").mkdir()
    node = Node(tmp_path, tmp_path / "functions", env={
        "HEDDLE_SANDBOX": "off", "HEDDLE_LAMBDA_BROKERS": f"shop={own.url}"})
    try:
        own.start()
        client = Amqp(own.port)
        quorum = {"x-queue-type": "quorum"}  # what it counts is on its disk
        client.declare("q", **quorum)
        for n in range(50):
            client.publish("q", str(n), delivery_mode=2)
        eventually(lambda: client.declare("q", **quorum) == 50, LONG_S, "50 messages")
        eventually(lambda: own.has_on_disk("q"), LONG_S, "the queue on the broker's disk")
        client.close()
        aws = Lambda(node.start())
        aws.create("f", HANDLER, Environment={"Variables": {"COLLECT": collector.url}})
        aws.api.create_event_source_mapping(
            FunctionName="f", EventSourceArn=ARN, Queues=["q"], BatchSize=2,
            SourceAccessConfigurations=[{"Type": "VIRTUAL_HOST", "URI": "/"}])
        eventually(lambda: len(messages(collector, "q")) > 5, LONG_S, "some messages")
        own.kill()
        node.wait_record(lambda r: r["msg"] == "no connection to the broker, trying again",
                         LONG_S)
        own.start()
        eventually(lambda: set(texts(collector, "q")) == {str(n) for n in range(50)}, LONG_S,
                   "all messages")
        eventually(lambda: empty(own, "q"), LONG_S, "an empty queue")
        node.stop()
    finally:
        node.kill()
        own.kill()
