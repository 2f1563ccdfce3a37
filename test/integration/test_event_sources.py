"""Event source mappings end to end: SQS, schedules, and what the node does when it ends."""

import json
import re
import threading
import time

import pytest

from awslambda import Lambda
from feeds import HANDLER, Collector, Sqs
from heddle import Node, eventually

LONG_S = 60


@pytest.fixture(scope="module")
def sqs():
    server = Sqs()
    yield server
    server.close()


@pytest.fixture
def collector():
    made = Collector()
    yield made
    made.close()


@pytest.fixture(scope="module")
def node(tmp_path_factory, sqs):
    cwd = tmp_path_factory.mktemp("sources")
    (cwd / "functions").mkdir()
    node = Node(cwd, cwd / "functions",
                env={"HEDDLE_LAMBDA_ENDPOINTS_SQS": sqs.url, "HEDDLE_SANDBOX": "off"})
    try:
        yield node.start()
        node.stop()
    finally:
        node.kill()


@pytest.fixture
def aws(node, collector, request):
    """A function of the test's own, under its name."""
    made = Lambda(node)
    made.name = re.sub(r"\W", "-", request.node.name)[:60]
    made.create(made.name, HANDLER, Environment={"Variables": {"COLLECT": collector.url}})
    made.mappings = []

    def map_to(arn, state="Enabled", **settings):
        given = {"FunctionName": made.name, "EventSourceArn": arn, **settings}
        if "ScalingConfig" in given:  # Debian's boto3 is older
            answer = node.ask_control("POST", "/2015-03-31/event-source-mappings",
                                      body=json.dumps(given).encode())
            assert answer.status == 202, answer
            uuid = answer.json()["UUID"]
        else:
            uuid = made.api.create_event_source_mapping(**given)["UUID"]
        made.mappings.append(uuid)
        eventually(lambda: state_of(made, uuid) == state, what=state)
        return uuid

    made.map = map_to
    yield made
    for uuid in made.mappings:
        if state_of(made, uuid) is not None:
            made.api.delete_event_source_mapping(UUID=uuid)
            eventually(lambda u=uuid: state_of(made, u) is None, LONG_S, "deleting")
    made.api.delete_function(FunctionName=made.name)


def state_of(aws, uuid):
    try:
        return aws.api.get_event_source_mapping(UUID=uuid)["State"]
    except aws.api.exceptions.ResourceNotFoundException:
        return None


def test_messages_reach_the_function_and_are_deleted(aws, sqs, collector):
    arn = sqs.make("plain", VisibilityTimeout=60)
    ids = {sqs.send("plain", {"n": n}) for n in range(25)}
    aws.map(arn)
    eventually(lambda: sqs.left("plain") == (0, 0), LONG_S, "an empty queue")
    records = collector.records()
    assert {r["messageId"] for r in records} == ids
    assert len(records) == 25
    assert all(len(e["Records"]) <= 10 for e in collector.events)
    record = records[0]
    assert record["eventSource"] == "aws:sqs" and record["eventSourceARN"] == arn
    assert record["awsRegion"] == "us-east-1"
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert json.loads(record["body"])["n"] in range(25)
    # what comes later is noticed
    sqs.send("plain", "later")
    eventually(lambda: "later" in collector.bodies(), LONG_S, "the later one")


def test_large_batches_wait_for_their_window(aws, sqs, collector):
    arn = sqs.make("window", VisibilityTimeout=60)
    aws.map(arn, BatchSize=40, MaximumBatchingWindowInSeconds=3)
    for n in range(30):
        sqs.send("window", str(n))
    eventually(lambda: len(collector.records()) == 30, LONG_S, "all records")
    assert max(len(e["Records"]) for e in collector.events) > 10


def test_a_failed_batch_comes_again_and_ends_in_the_dead_letters(aws, sqs, collector):
    sqs.make("dead")
    arn = sqs.make("poison", VisibilityTimeout=4, RedrivePolicy=json.dumps(
        {"maxReceiveCount": 2, "deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead"}))

    def decide(event):
        raise ValueError("no")
    collector.decide = decide
    sqs.send("poison", "bad")
    uuid = aws.map(arn)
    eventually(lambda: sqs.left("dead")[0] == 1, LONG_S, "the dead letter")
    counts = [r["attributes"]["ApproximateReceiveCount"] for r in collector.records()]
    assert counts == ["1", "2"]
    assert aws.api.get_event_source_mapping(
        UUID=uuid)["LastProcessingResult"] == "PROBLEM: Function call failed"


def test_partial_failures_and_filters(aws, sqs, collector):
    arn = sqs.make("partial", VisibilityTimeout=4)
    bad = sqs.send("partial", {"kind": "order", "n": 1})
    for n in range(2, 5):
        sqs.send("partial", {"kind": "order", "n": n})
    sqs.send("partial", {"kind": "other"})
    sqs.send("partial", "text")
    collector.decide = lambda event: {"batchItemFailures": [
        {"itemIdentifier": r["messageId"]} for r in event["Records"]
        if r["messageId"] == bad and r["attributes"]["ApproximateReceiveCount"] == "1"]}
    pattern = {"body": {"kind": ["order"], "n": [{"numeric": [">=", 1]}]}}
    aws.map(arn, FunctionResponseTypes=["ReportBatchItemFailures"],
            FilterCriteria={"Filters": [{"Pattern": json.dumps(pattern)}]})
    eventually(lambda: sqs.left("partial") == (0, 0), LONG_S, "an empty queue")
    seen = [r["messageId"] for r in collector.records()]
    assert seen.count(bad) == 2
    assert len(seen) == 5
    assert all(json.loads(body)["kind"] == "order" for body in collector.bodies())


def test_concurrency_grows_to_its_limit(aws, sqs, collector):
    arn = sqs.make("many", VisibilityTimeout=60)
    for n in range(60):
        sqs.send("many", str(n))
    full = threading.Event()

    def decide(event):
        if collector.running >= 4:
            full.set()
        full.wait(LONG_S)
    collector.decide = decide
    aws.map(arn, BatchSize=2, ScalingConfig={"MaximumConcurrency": 4})
    eventually(lambda: sqs.left("many") == (0, 0), LONG_S, "an empty queue")
    assert collector.most == 4
    assert sorted(map(int, collector.bodies())) == list(range(60))


def test_groups_of_a_fifo_queue_stay_in_order(aws, sqs, collector):
    arn = sqs.make("groups.fifo", VisibilityTimeout=60)
    for n in range(20):
        sqs.send("groups.fifo", {"group": n % 2, "n": n}, MessageGroupId=str(n % 2),
                 MessageDeduplicationId=str(n))
    aws.map(arn, BatchSize=3)
    eventually(lambda: sqs.left("groups.fifo") == (0, 0), LONG_S, "an empty queue")
    bodies = [json.loads(b) for b in collector.bodies()]
    for group in (0, 1):
        assert [b["n"] for b in bodies if b["group"] == group] == list(range(group, 20, 2))


def test_a_disabled_mapping_leaves_the_queue_alone(aws, sqs, collector):
    arn = sqs.make("off", VisibilityTimeout=60)
    uuid = aws.map(arn)
    sqs.send("off", "one")
    eventually(lambda: collector.bodies() == ["one"], LONG_S, "the first")
    begun = time.monotonic()
    aws.api.update_event_source_mapping(UUID=uuid, Enabled=False)
    eventually(lambda: state_of(aws, uuid) == "Disabled", LONG_S, "Disabled")
    assert time.monotonic() - begun < 15  # long polls of 20 s are given up
    sqs.send("off", "two")
    asked = len(sqs.test("log")["log"])
    time.sleep(0.5)
    assert [a for a, _ in sqs.test("log")["log"][asked:] if a == "ReceiveMessage"] == []
    assert sqs.left("off") == (1, 0)
    aws.api.update_event_source_mapping(UUID=uuid, Enabled=True)
    eventually(lambda: collector.bodies() == ["one", "two"], LONG_S, "the second")


def test_what_cannot_be_polled_is_refused(aws, sqs):
    with pytest.raises(aws.api.exceptions.InvalidParameterValueException,
                       match="QueueDoesNotExist"):
        aws.map("arn:aws:sqs:us-east-1:000000000000:nowhere")
    short = sqs.make("short", VisibilityTimeout=1)
    with pytest.raises(aws.api.exceptions.InvalidParameterValueException,
                       match="Queue visibility timeout: 1 seconds is less than Function timeout"):
        aws.map(short)


def test_the_metrics_count_it(aws, node, sqs, collector):
    def metric(name):
        return node.metrics()[f'heddle_event_source_{name}{{kind="sqs"}}']
    before = metric("records_handled_total")
    arn = sqs.make("counted", VisibilityTimeout=60)
    sqs.send("counted", "x")
    aws.map(arn)
    eventually(lambda: metric("records_handled_total") == before + 1, LONG_S, "the count")
    assert metric("pollers") >= 2


def test_a_restart_polls_on_and_loses_nothing(tmp_path, sqs, collector):
    (tmp_path / "functions").mkdir()
    env = {"HEDDLE_LAMBDA_ENDPOINTS_SQS": sqs.url, "HEDDLE_SANDBOX": "off"}
    arn = sqs.make("restart", VisibilityTimeout=5)
    sent = {sqs.send("restart", str(n)) for n in range(40)}
    node = Node(tmp_path, tmp_path / "functions", env=env)
    try:
        aws = Lambda(node.start())
        aws.create("f", HANDLER, Environment={"Variables": {"COLLECT": collector.url}})
        killed = threading.Event()

        def decide(event):
            if len(collector.events) > 3:
                killed.wait(1)
        collector.decide = decide
        aws.api.create_event_source_mapping(FunctionName="f", EventSourceArn=arn, BatchSize=3)
        eventually(lambda: len(collector.events) > 4, LONG_S, "some events")
    finally:
        node.kill()
        killed.set()
    again = Node(tmp_path, tmp_path / "functions", env=env)
    try:
        again.start()
        eventually(lambda: sqs.left("restart") == (0, 0), LONG_S, "an empty queue")
        assert {r["messageId"] for r in collector.records()} == sent
        again.stop()
    finally:
        again.kill()


def test_schedules_run_and_remember(tmp_path, collector):
    (tmp_path / "functions").mkdir()
    (tmp_path / "heddle.yml").write_text(
        "sandbox: {mode: \"off\"}\nschedules:\n"
        "  - tick f rate(1 second)\n"
        "  - 'own f rate(2 seconds) {\"mine\": [1, 2]}'\n"
        "  - night f cron(0 3 * * ? *)\n")
    node = Node(tmp_path, tmp_path / "functions")
    try:
        aws = Lambda(node.start())
        aws.create("f", HANDLER, Environment={"Variables": {"COLLECT": collector.url}})
        eventually(lambda: sum("detail-type" in e for e in collector.events) >= 3, LONG_S, "ticks")
        eventually(lambda: {"mine": [1, 2]} in collector.events, LONG_S, "the event given")
        tick = next(e for e in collector.events if "detail-type" in e)
        assert tick["source"] == "aws.events" and tick["detail-type"] == "Scheduled Event"
        assert tick["resources"] == ["arn:aws:events:us-east-1:000000000000:rule/tick"]
        assert {e["resources"][0].rsplit("/")[-1] for e in collector.events
                if "resources" in e} == {"tick"}
        node.stop()
    finally:
        node.kill()


def test_a_wrong_schedule_is_told_at_the_start(tmp_path):
    (tmp_path / "functions").mkdir()
    (tmp_path / "heddle.yml").write_text("schedules:\n  - tick f rate(1 seconds)\n")
    node = Node(tmp_path, tmp_path / "functions")
    try:
        node.spawn()
        assert node.process.wait(60) != 0
        eventually(lambda: "rate(1 seconds)" in node.text(), what="the message")
    finally:
        node.kill()
