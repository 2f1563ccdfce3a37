"""Invoke: real functions, through boto3, on the node itself."""

import base64
import json
import re
import threading

import pytest
from botocore.exceptions import ClientError

from awslambda import arn
from heddle import eventually

ECHO = """
exports.handler = async (event, context) => {
  console.log("got", JSON.stringify(event));
  return { event, id: context.awsRequestId, arn: context.invokedFunctionArn,
           version: context.functionVersion, custom: context.clientContext,
           left: context.getRemainingTimeInMillis() };
};
"""
COUNT = """
let calls = 0;
const me = Math.random();  // pids are the same in every sandbox
exports.handler = async (event) => {
  if (event.wait) await new Promise(done => setTimeout(done, event.wait));
  return { calls: ++calls, me };
};
"""


@pytest.fixture(scope="module")
def echo(aws):
    aws.create("echo", ECHO)
    return "echo"


def refused(call, **options):
    """The error that a call ends with: (code, status, the error's members)."""
    with pytest.raises(ClientError) as caught:
        call(**options)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"], answer


# --- answers ---


def test_an_event_goes_in_and_a_result_comes_out(aws, echo):
    answer = aws.invoke(echo, {"a": [1, None, "\u00e4"]})
    assert answer.status == 200 and answer.error is None
    assert answer.value["event"] == {"a": [1, None, "\u00e4"]}
    assert answer.version == "$LATEST"
    assert answer.headers["content-type"] == "application/json"
    assert answer.value["id"] == answer.id == answer.headers["x-amzn-requestid"]
    assert answer.value["arn"] == arn(echo)
    assert 0 < answer.value["left"] <= 3000
    assert re.match(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=[01]",
                    answer.headers["x-amzn-trace-id"])


def test_an_absent_event_is_an_empty_object(aws, echo):
    assert aws.value(echo)["event"] == {}


def test_any_json_value_is_an_event(aws, echo):
    for event in (0, -1.5e3, "text", True, None, [], [1], {}):
        assert aws.api.invoke(FunctionName=echo, Payload=json.dumps(event))["Payload"].read()


def test_a_result_is_not_written_anew(aws):
    aws.create("bytes", "exports.handler = async () => ({ a: 1.0, text: '\u00e4</', list: [] });")
    assert aws.invoke("bytes").bytes == '{"a":1,"text":"\u00e4</","list":[]}'.encode()


def test_the_client_context_is_there(aws, echo):
    context = base64.b64encode(b'{"custom":{"a":1}}').decode()
    assert aws.value(echo, ClientContext=context)["custom"] == {"custom": {"a": 1}}


def test_the_tail_is_exact(aws, echo):
    first = aws.invoke(echo, {"n": 1}, LogType="Tail")
    lines = first.tail.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("START RequestId: "))
    assert lines[start] == f"START RequestId: {first.id} Version: $LATEST"
    assert lines[start + 1].endswith(f"{first.id}\tINFO\tgot {{\"n\":1}}")
    assert lines[start + 2] == f"END RequestId: {first.id}"
    assert re.match(rf"REPORT RequestId: {first.id}\tDuration: [0-9.]+ ms\tBilled Duration: \d+ ms\t"
                    r"Memory Size: 128 MB\tMax Memory Used: \d+ MB\t", lines[start + 3])
    assert len(lines) == start + 4
    aws.invoke(echo, {"n": 2})  # its line is nobody's
    third = aws.invoke(echo, {"n": 3}, LogType="Tail")
    assert '{"n":3}' in third.tail and '{"n":2}' not in third.tail and first.id not in third.tail
    assert aws.invoke(echo).tail == ""


def test_the_tail_is_the_last_4096_bytes(aws):
    aws.create("chatty", """
exports.handler = async () => { for (let n = 0; n < 500; n++) console.log("line " + n); };""")
    for _ in range(3):
        tail = aws.invoke("chatty", LogType="Tail").tail
        assert len(tail.encode()) == 4096
        assert "\tline 499\n" in tail and "\tline 100\n" not in tail
        numbers = [int(n) for n in re.findall(r"\tline (\d+)\n", tail)]
        assert numbers == list(range(numbers[0], 500))


def test_first_calls_say_what_the_start_took(aws):
    aws.create("young", COUNT)
    first = aws.invoke("young", {}, LogType="Tail").tail
    # what is installed runs it, and is named
    assert re.match(r"INIT_START Runtime Version: nodejs:\d+\.\d+\tRuntime Version ARN: arn:", first)
    assert "\tInit Duration: " in first
    second = aws.invoke("young", {}, LogType="Tail").tail
    assert "INIT_START" not in second and "Init Duration" not in second


def test_a_dry_run_runs_nothing(aws):
    aws.create("dry", COUNT)
    assert aws.invoke("dry", {}, InvocationType="DryRun").status == 204
    assert aws.value("dry", {})["calls"] == 1
    assert refused(aws.api.invoke, FunctionName="nobody", InvocationType="DryRun")[:2] == (
        "ResourceNotFoundException", 404)


def test_the_old_way_to_invoke_later(aws, echo):
    answer = aws.api.invoke_async(FunctionName=echo, InvokeArgs=b'{"old":true}')
    assert answer["Status"] == 202
    eventually(lambda: '{"old":true}' in aws.node.text().replace("\\", ""))


def test_one_instance_serves_one_after_the_other(aws):
    aws.create("again", COUNT)
    assert [aws.value("again", {})["calls"] for _ in range(5)] == [1, 2, 3, 4, 5]


def test_several_at_once_have_instances_of_their_own(aws):
    aws.create("wide", COUNT)
    results = []
    threads = [threading.Thread(target=lambda: results.append(aws.value("wide", {"wait": 300})))
               for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert len({r["me"] for r in results}) >= 2


# --- python ---


def test_python_handlers(aws):
    aws.create("snake", """
import os
def handler(event, context):
    print("printed", event)
    return {"event": event, "id": context.aws_request_id, "dir": os.getcwd(),
            "name": os.environ["AWS_LAMBDA_FUNCTION_NAME"]}
""", runtime="python3.11")
    answer = aws.invoke("snake", {"a": 1}, LogType="Tail")
    assert answer.value == {"event": {"a": 1}, "id": answer.id, "dir": "/var/task", "name": "snake"}
    assert "\nprinted {'a': 1}\n" in answer.tail


# --- versions and aliases ---


def test_versions_and_aliases_run_what_they_stand_for(aws):
    def source(n):
        return (f"exports.handler = async (e, c) => ({{ n: {n}, v: c.functionVersion, "
                "arn: c.invokedFunctionArn });")
    aws.create("many", source(1))
    assert aws.api.publish_version(FunctionName="many")["Version"] == "1"
    from awslambda import package
    aws.api.update_function_code(FunctionName="many", ZipFile=package({"index.js": source(2)}))
    aws.wait_updated("many")
    aws.api.publish_version(FunctionName="many")
    aws.api.create_alias(FunctionName="many", Name="prod", FunctionVersion="1")
    assert aws.value("many") == {"n": 2, "v": "$LATEST", "arn": arn("many")}
    one = aws.invoke("many", Qualifier="1")
    assert one.value == {"n": 1, "v": "1", "arn": arn("many", "1")} and one.version == "1"
    prod = aws.invoke("many:prod")
    assert prod.value == {"n": 1, "v": "1", "arn": arn("many", "prod")} and prod.version == "1"
    assert aws.value(arn("many", "2"))["n"] == 2
    aws.api.update_alias(FunctionName="many", Name="prod", FunctionVersion="1",
                         RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}})
    seen = {aws.invoke("many", Qualifier="prod").version for _ in range(60)}
    assert seen == {"1", "2"}
    code, status, _ = refused(aws.api.invoke, FunctionName="many", Qualifier="9")
    assert (code, status) == ("ResourceNotFoundException", 404)


def test_after_an_update_nothing_old_answers(aws):
    from awslambda import package
    aws.create("fresh", "exports.handler = async () => 0;")
    for n in range(1, 6):
        assert aws.value("fresh") == n - 1
        aws.api.update_function_code(FunctionName="fresh", ZipFile=package(
            {"index.js": f"exports.handler = async () => {n};"}))
        aws.wait_updated("fresh")
    assert aws.value("fresh") == 5


def test_an_update_cuts_no_running_invocation(aws):
    from awslambda import package
    aws.create("slow", COUNT)
    aws.value("slow", {})
    results = []
    thread = threading.Thread(target=lambda: results.append(aws.value("slow", {"wait": 1500})))
    thread.start()
    eventually(lambda: any(i["function"] == "slow" and i["inFlight"] for i in
                           aws.node.admin("/heddle/instances").json()["instances"]))
    aws.api.update_function_code(FunctionName="slow", ZipFile=package(
        {"index.js": "exports.handler = async () => 'new';"}))
    aws.wait_updated("slow")
    assert aws.value("slow") == "new"
    thread.join()
    assert results[0]["calls"] == 2


# --- limits ---


def test_reserved_concurrency_is_a_limit(aws):
    aws.create("narrow", COUNT)
    aws.api.put_function_concurrency(FunctionName="narrow", ReservedConcurrentExecutions=1)
    aws.value("narrow", {})
    thread = threading.Thread(target=lambda: aws.value("narrow", {"wait": 2000}))
    thread.start()
    eventually(lambda: any(i["function"] == "narrow" and i["inFlight"] for i in
                           aws.node.admin("/heddle/instances").json()["instances"]))
    code, status, answer = refused(aws.api.invoke, FunctionName="narrow", Payload=b"{}")
    assert (code, status) == ("TooManyRequestsException", 429)
    assert answer["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert answer["Error"]["Message"] == "Rate Exceeded."
    assert answer["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "1"
    thread.join()
    assert aws.value("narrow", {})["calls"] == 3
    aws.api.put_function_concurrency(FunctionName="narrow", ReservedConcurrentExecutions=0)
    assert refused(aws.api.invoke, FunctionName="narrow")[0] == "TooManyRequestsException"
    aws.api.delete_function_concurrency(FunctionName="narrow")
    assert aws.value("narrow", {})["calls"] == 4


def test_answers_have_a_size(aws):
    aws.create("big", "exports.handler = async (n) => 'x'.repeat(n);", MemorySize=512)
    assert len(aws.invoke("big", 6291554).bytes) == 6291556  # with its quotes
    answer = aws.invoke("big", 6291555)
    assert answer.error == "Unhandled"
    assert answer.value["errorType"] == "Function.ResponseSizeTooLarge"
    assert aws.invoke("big", 1).bytes == b'"x"'


def test_events_of_6_mb_arrive(aws, echo):
    aws.create("length", "exports.handler = async (e) => e.length;", MemorySize=512)
    assert aws.value("length", "x" * 6291454) == 6291454
    assert refused(aws.api.invoke, FunctionName="length", Payload=b'"' + b"x" * 6291455 + b'"')[:2] == (
        "RequestEntityTooLargeException", 413)


def test_functions_of_the_folder_have_the_same_door(start_node, write_functions):
    """A function that was deployed once can be called in every way."""
    from awslambda import Lambda
    node = start_node(write_functions({
        "greet/heddle.json": "{\"runtime\": \"node\"}",
        "greet/index.mjs": "export const handler = async (e) => ({ hello: e.name ?? 'nobody' });"}))
    aws = Lambda(node)
    assert aws.value("greet", {"name": "Ada"}) == {"hello": "Ada"}
    assert aws.invoke("greet", {"name": "Ada"}, InvocationType="Event").status == 202
    ended = 'heddle_lambda_async_ended_total{condition="Success"}'
    eventually(lambda: node.metrics().get(ended) == 1)
