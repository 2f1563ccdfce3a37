"""Asynchronous invocations through the real program: accepted, retried, ended, and never lost."""

import json
import subprocess
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from heddle import INTERNAL_KEY, eventually
from lambdas import ARN, archive, boto, create

QUICK = "--lambda-async-retry-delays=200,300"
KEY = {"authorization": "Bearer " + INTERNAL_KEY}

# Tells the test what it got; then does as it is told.
HANDLER = """
const told = async (what) => {
  const answer = await fetch(process.env.COLLECTOR, { method: "POST", body: JSON.stringify(what) });
  await answer.text();
};
exports.handler = async (event, context) => {
  await told({ event, id: context.awsRequestId, arn: context.invokedFunctionArn,
    version: context.functionVersion, trace: process.env._X_AMZN_TRACE_ID, code: "one" });
  if (event.ms) await new Promise((done) => setTimeout(done, event.ms));
  if (event.fail) throw new Error("told to fail");
  return { saw: event.n };
};
"""


class Collector:
    """An HTTP server that keeps what is posted to it."""

    def __init__(self):
        collector = self
        self.got = []  # (path, headers, JSON)
        self.status = 200
        self.lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                with collector.lock:
                    if collector.status == 200 or self.path == "/told":
                        collector.got.append((self.path, dict(self.headers), json.loads(body)))
                    status = 200 if self.path == "/told" else collector.status
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, path):
        with self.lock:
            return [(headers, what) for where, headers, what in self.got if where == path]

    def told(self):
        return [what for _, what in self.of("/told")]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def collector():
    it = Collector()
    yield it
    it.close()


@pytest.fixture
def begin(start_node, write_functions, collector):
    """begin('--flag'): a node, and a client of it. Again: the same node's next life."""
    def start(*args, **options):
        node = start_node(write_functions({}), QUICK, *args, **options)
        return node, boto(node)
    return start


def make(client, collector, name="f", code=HANDLER, **more):
    more.setdefault("Timeout", 20)
    create(client, name, Code={"ZipFile": archive({"index.js": code})},
           Environment={"Variables": {"COLLECTOR": collector.url + "/told"}}, **more)


def send(client, name="f", **event):
    """Returns the id of the request that was accepted."""
    answer = client.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event))
    assert answer["StatusCode"] == 202
    assert answer["Payload"].read() == b""
    return answer["ResponseMetadata"]["RequestId"]


def metric(node, name):
    for line in node.ask_control("GET", "/metrics", KEY).body.decode().splitlines():
        if line.startswith(name + " "):
            return float(line.split()[-1])
    return None


def is_done(node):
    return metric(node, "heddle_lambda_async_queued") == 0 == \
        metric(node, "heddle_lambda_async_running")


def test_an_event_is_accepted_and_runs_once(begin, collector):
    node, client = begin()
    make(client, collector)
    request_id = send(client, n=1)
    eventually(lambda: collector.told() and is_done(node), what="the event")
    [told] = collector.told()
    assert told["id"] == request_id
    assert told["event"] == {"n": 1}
    assert told["arn"] == ARN + "f"
    assert told["trace"].startswith("Root=1-") and "Lineage=" in told["trace"]
    assert metric(node, "heddle_lambda_async_accepted_total") == 1
    assert metric(node, "heddle_lambda_async_attempts_total") == 1


def test_errors_are_retried_under_the_same_id(begin, collector):
    node, client = begin()
    make(client, collector)
    request_id = send(client, n=1, fail=True)
    eventually(lambda: len(collector.told()) == 3 and is_done(node), what="three attempts")
    assert {told["id"] for told in collector.told()} == {request_id}
    assert len({told["trace"].split(";")[0] for told in collector.told()}) == 1
    assert metric(node, 'heddle_lambda_async_ended_total{condition="RetriesExhausted"}') == 1
    client.put_function_event_invoke_config(FunctionName="f", MaximumRetryAttempts=0)
    request_id = send(client, n=2, fail=True)
    eventually(lambda: is_done(node) and len(collector.told()) == 4, what="one attempt")


def test_records_go_to_destinations(begin, collector):
    node, client = begin()
    make(client, collector)
    client.put_function_event_invoke_config(
        FunctionName="f", MaximumRetryAttempts=1, DestinationConfig={
            "OnSuccess": {"Destination": collector.url + "/good"},
            "OnFailure": {"Destination": collector.url + "/bad"}})
    good, bad = send(client, n=5), send(client, n=6, fail=True)
    eventually(lambda: collector.of("/good") and collector.of("/bad"), what="the records")
    [(headers, record)] = collector.of("/good")
    assert headers["content-type"] == "application/json"
    assert record["version"] == "1.0"
    assert record["requestContext"] == {
        "requestId": good, "functionArn": ARN + "f:$LATEST", "condition": "Success",
        "approximateInvokeCount": 1}
    assert record["requestPayload"] == {"n": 5}
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}
    assert record["responsePayload"] == {"saw": 5}
    [(headers, record)] = collector.of("/bad")
    assert record["requestContext"]["requestId"] == bad
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert record["responseContext"]["functionError"] == "Unhandled"
    assert record["responsePayload"]["errorMessage"] == "told to fail"


def test_a_destination_that_is_away_gets_it_later(begin, collector):
    node, client = begin()
    make(client, collector)
    client.put_function_event_invoke_config(FunctionName="f", DestinationConfig={
        "OnSuccess": {"Destination": collector.url + "/good"}})
    collector.status = 503
    send(client, n=1)
    node.wait_record(lambda r: r["msg"] == "destination unreachable, retrying")
    node.kill()  # the next life tries again
    collector.status = 200
    node, client = begin()
    eventually(lambda: collector.of("/good"), what="the record")
    assert len(collector.told()) == 1  # the function has nothing to do with it


def test_another_function_is_a_destination(begin, collector):
    node, client = begin()
    make(client, collector, "f")
    make(client, collector, "g")
    client.put_function_event_invoke_config(FunctionName="f", DestinationConfig={
        "OnSuccess": {"Destination": ARN + "g"}})
    request_id = send(client, n=7)
    eventually(lambda: len(collector.told()) == 2, what="both functions")
    second = collector.told()[1]
    assert second["arn"] == ARN + "g"
    assert second["id"] != request_id
    assert second["event"]["requestContext"]["requestId"] == request_id
    assert second["event"]["responsePayload"] == {"saw": 7}


class Services:
    """Queues, topics, buses and buckets."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).parent / "sqs_server.py"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def make_queue(self, name):
        request = urllib.request.Request(self.url, json.dumps({"QueueName": name}).encode(), {
            "content-type": "application/x-amz-json-1.0",
            "x-amz-target": "AmazonSQS.CreateQueue"})
        urllib.request.urlopen(request).close()

    def seen(self):
        with urllib.request.urlopen(self.url + "/test/log") as answer:
            return json.load(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


@pytest.fixture
def services():
    it = Services()
    yield it
    it.close()


def test_queues_topics_buses_and_buckets_are_destinations(begin, collector, services):
    services.make_queue("dead")
    node, client = begin(env={
        "AWS_ENDPOINT_URL": services.url, "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret"})
    make(client, collector, DeadLetterConfig={"TargetArn": "arn:aws:sqs:us-east-1:000000000000:dead"})

    def settings(failure):
        client.put_function_event_invoke_config(
            FunctionName="f", MaximumRetryAttempts=0,
            DestinationConfig={"OnFailure": {"Destination": failure}})

    bus = "arn:aws:events:us-east-1:000000000000:event-bus/main"
    for n, arn in enumerate(("arn:aws:sns:us-east-1:000000000000:topic", bus,
                             "arn:aws:s3:::bucket")):
        settings(arn)
        request_id = send(client, n=n, fail=True)
        eventually(lambda c=n: metric(node, "heddle_lambda_destination_sent_total") == 2 * (c + 1),
                   what="record and dead letter")
    seen = services.seen()
    letters = [a for action, a in seen["log"] if action == "SendMessage"]
    assert [json.loads(a["MessageBody"])["n"] for a in letters] == [0, 1, 2]
    attributes = letters[2]["MessageAttributes"]
    assert attributes["RequestID"] == {"DataType": "String", "StringValue": request_id}
    assert attributes["ErrorCode"] == {"DataType": "Number", "StringValue": "200"}
    assert attributes["ErrorMessage"] == {"DataType": "String", "StringValue": "told to fail"}
    [topic] = [s for s in seen["sent"] if s["to"] == "Publish"]
    assert json.loads(topic["Message"])["requestPayload"]["n"] == 0
    [entry] = [e for action, a in seen["log"] if action == "PutEvents" for e in a["Entries"]]
    assert entry["Source"] == "lambda"
    assert entry["DetailType"] == "Lambda Function Invocation Result - Failure"
    assert entry["Resources"] == [bus, ARN + "f:$LATEST"]
    assert json.loads(entry["Detail"])["requestPayload"]["n"] == 1
    [stored] = [s for s in seen["sent"] if s["to"] == "PutObject"]
    assert stored["path"].startswith("/bucket/aws/lambda/async/f/")


def test_an_event_lane_is_a_destination(start_node, write_functions, collector, tmp_path):
    functions = write_functions({"hook/index.mjs": """
export default async (request) => {
  await fetch("%s", { method: "POST", body: await request.text() });
  return new Response("ok");
};
""" % (collector.url + "/hook"), "hook/heddle.json": '{"runtime": "node"}'})
    (tmp_path / "heddle.yml").write_text("""
lanes:
  events:
    ended: { lane: ends }
  hooks:
    - { event: ended, function: hook }
  event_lanes:
    ends: {}
  queues:
    ends-q: {}
  bindings:
    - { lane: ends, queue: ends-q }
""")
    node = start_node(functions, QUICK)
    client = boto(node)
    make(client, collector)
    client.put_function_event_invoke_config(FunctionName="f", DestinationConfig={
        "OnSuccess": {"Destination": "lane:ended"}})
    request_id = send(client, n=3)
    eventually(lambda: collector.of("/hook"), what="the hook")
    assert request_id in json.dumps(collector.of("/hook")[0][1])
    assert metric(node, "heddle_lambda_destination_sent_total") == 1


def test_functions_of_the_folder_take_events_as_well(start_node, write_functions, collector):
    functions = write_functions({"saved/index.mjs": """
export const handler = async (event, context) => {
  await fetch("%s", { method: "POST", body: JSON.stringify({ event, id: context.awsRequestId }) });
  if (event.fail) throw new Error("told to fail");
};
""" % (collector.url + "/told"), "saved/heddle.json": '{"runtime": "node"}'})
    node = start_node(functions, QUICK)
    client = boto(node)
    request_id = send(client, "saved", n=1, fail=True)
    eventually(lambda: len(collector.told()) == 3 and is_done(node), what="three attempts")
    assert {told["id"] for told in collector.told()} == {request_id}


def test_functions_that_cause_each_other_are_stopped(begin, collector):
    node, client = begin()
    make(client, collector, "f")
    make(client, collector, "g")
    for name, other in (("f", "g"), ("g", "f")):
        client.put_function_event_invoke_config(FunctionName=name, DestinationConfig={
            "OnSuccess": {"Destination": ARN + other}})
    send(client, n=1)
    eventually(lambda: metric(
        node, 'heddle_lambda_async_ended_total{condition="RecursiveLoop"}') == 1, what="the end")
    assert len(collector.told()) == 32


def test_a_reservation_of_zero_ends_events_at_once(begin, collector):
    node, client = begin()
    make(client, collector)
    client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
    client.put_function_event_invoke_config(FunctionName="f", DestinationConfig={
        "OnFailure": {"Destination": collector.url + "/bad"}})
    send(client, n=1)
    eventually(lambda: collector.of("/bad"), what="the record")
    [(_, record)] = collector.of("/bad")
    assert record["requestContext"]["condition"] == "ZeroReservedConcurrency"
    assert record["requestContext"]["approximateInvokeCount"] == 0
    assert "responseContext" not in record
    assert collector.told() == []


def test_queued_events_run_the_new_code(begin, collector):
    node, client = begin("--lambda-async-workers", "1")
    make(client, collector)
    first = send(client, n=0, ms=1500)
    eventually(collector.told, what="the first one to run")
    waiting = {send(client, n=n) for n in range(1, 4)}
    client.update_function_code(
        FunctionName="f", ZipFile=archive({"index.js": HANDLER.replace('"one"', '"two"')}))
    eventually(lambda: len(collector.told()) == 4, what="all of them")
    assert {t["code"] for t in collector.told() if t["id"] in waiting} == {"two"}
    assert [t["code"] for t in collector.told() if t["id"] == first] == ["one"]


def test_a_full_queue_is_told(begin, collector):
    node, client = begin("--lambda-async-max-events", "2", "--lambda-async-workers", "1")
    make(client, collector)
    send(client, n=0, ms=3000)
    send(client, n=1)
    with pytest.raises(client.exceptions.TooManyRequestsException):
        for n in range(2, 6):
            send(client, n=n)


def test_a_deleted_functions_events_are_gone(begin, collector):
    node, client = begin("--lambda-async-workers", "1")
    make(client, collector)
    send(client, n=0, ms=1000)
    eventually(collector.told, what="the first one to run")
    for n in range(5):
        send(client, n=n + 1)
    client.delete_function(FunctionName="f")
    eventually(lambda: is_done(node), what="an empty queue")
    make(client, collector)
    send(client, n=100)
    eventually(lambda: [t for t in collector.told() if t["event"]["n"] == 100], what="the new one")
    assert [t["event"]["n"] for t in collector.told()] == [0, 100]


def test_what_was_accepted_survives_kill_9(begin, collector):
    accepted = set()
    node, client = begin()
    make(client, collector)
    for life in range(3):
        for n in range(60):
            accepted.add(send(client, n=n, ms=20))
        eventually(lambda: len(collector.told()) > life * 20, what="some of them")
        node.kill()
        node, client = begin()
    eventually(lambda: accepted <= {told["id"] for told in collector.told()} and is_done(node),
               timeout=60, what="all of them")
    assert len(accepted) == 180


def test_an_orderly_end_loses_nothing_and_repeats_nothing(begin, collector):
    node, client = begin()
    make(client, collector)
    accepted = [send(client, n=n, ms=100) for n in range(40)]
    eventually(collector.told, what="the first one")
    node.stop()
    node, client = begin()
    eventually(lambda: set(accepted) == {told["id"] for told in collector.told()} and is_done(node),
               timeout=60, what="all of them")
    assert len(collector.told()) == len(accepted)
