"""What functions logged, read with the clients of CloudWatch Logs."""

import json
import re
import shutil
import signal
import subprocess
import time

import pytest

from awslambda import REGION, Lambda
from heddle import eventually
from lambdas import Cli

GROUP = "/aws/lambda/talks"
TALKS = """
exports.handler = async (event, context) => {
  for (const line of event.lines ?? []) console.log(line);
  return { id: context.awsRequestId, stream: context.logStreamName };
};"""


@pytest.fixture(scope="module")
def talks(aws):
    aws.create("talks", TALKS)
    return aws


@pytest.fixture(scope="module")
def logs(aws_node):
    return client(aws_node)


@pytest.fixture(scope="module")
def cli(aws_node, tmp_path_factory):
    return Cli(aws_node, tmp_path_factory.mktemp("home"))


def client(node, **options):
    boto3 = pytest.importorskip("boto3", reason="python3-boto3 is not installed")
    return boto3.client("logs", endpoint_url=node.control, **{
        "region_name": REGION, "aws_access_key_id": "test", "aws_secret_access_key": "test",
        **options})


def messages(logs, **what):
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=GROUP, **what)
    return [event["message"] for page in pages for event in page["events"]]


def say(aws, logs, *lines):
    """Invoke; return what the function returned once all of it is in the log."""
    value = aws.value("talks", {"lines": lines})
    eventually(lambda: any(m.startswith(f"REPORT RequestId: {value['id']}")
                           for m in messages(logs, filterPattern=f'"{value["id"]}"')),
               what="the report")
    return value


def test_aws_logs_tail(talks, logs, cli):
    value = say(talks, logs, "first line", "second line")
    done = cli.run("tail", GROUP, "--since", "1h", service="logs")
    assert done.returncode == 0, done
    mine = [line for line in done.stdout.splitlines() if value["id"] in line]
    assert all(value["stream"] in line for line in mine), mine
    assert "START RequestId" in mine[0], mine
    assert [line for line in mine if "REPORT RequestId" in line], mine
    assert [line for line in mine if line.endswith("INFO\\tfirst line")
            or line.endswith("INFO\tfirst line")], mine
    short = cli.run("tail", GROUP, "--format", "short", "--filter-pattern", "second",
                    service="logs").stdout
    assert re.search(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d .*second line$", short, re.M), short
    assert "first line" not in short


def test_aws_logs_tail_follows(talks, logs, cli):
    say(talks, logs, "before")
    following = subprocess.Popen(
        [cli.program, "--endpoint-url", cli.node.control, "logs", "tail", GROUP, "--follow",
         "--since", "1h"], env={**cli.env, "PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True)
    try:
        for line in following.stdout:
            if "before" in line:
                break
        say(talks, logs, "while it follows")
        seen = []
        for line in following.stdout:
            seen.append(line)
            if "while it follows" in line:
                break
        assert any("while it follows" in line for line in seen)
    finally:
        following.send_signal(signal.SIGINT)
        following.communicate(timeout=30)


def test_what_cannot_be_read_is_said(talks, logs, cli):
    done = cli.run("tail", "/aws/lambda/nothing", service="logs")
    assert done.returncode != 0
    assert "ResourceNotFoundException" in done.stderr
    assert "The specified log group does not exist." in done.stderr
    with pytest.raises(logs.exceptions.ClientError) as refused:
        logs.create_log_group(logGroupName="mine")
    assert refused.value.response["Error"]["Code"] == "UnknownOperationException"
    assert "not CreateLogGroup" in refused.value.response["Error"]["Message"]
    for wrong, text in (({"filterPattern": "{ $.a = 1 }"}, "offers filter patterns of terms"),
                        ({"nextToken": "x"}, "nextToken is invalid"),
                        ({"limit": 10001}, "limit")):
        with pytest.raises(logs.exceptions.InvalidParameterException) as refused:
            logs.filter_log_events(logGroupName=GROUP, **wrong)
        assert text in str(refused.value)


def test_patterns_streams_and_times(talks, logs):
    before = int(time.time() * 1000) - 1
    value = say(talks, logs, "pears and plums", "pears", "plums", "nuts")
    mine = {"startTime": before, "logStreamNames": [value["stream"]]}

    def found(pattern):
        return [m.rsplit("\t", 1)[-1].strip() for m in
                messages(logs, filterPattern=pattern, **mine)]

    assert found("pears plums") == ["pears and plums"]
    assert found("pears -plums") == ["pears"]
    assert found("?pears ?nuts") == ["pears and plums", "pears", "nuts"]
    assert found('"pears and"') == ["pears and plums"]
    assert messages(logs, logStreamNamePrefix="1999/") == []
    assert messages(logs, endTime=before - 3600_000) == []


def test_pages_hold_everything_once(talks, logs):
    lines = [f"page line {n}" for n in range(40)]
    value = say(talks, logs, *lines)
    got, token = [], {}
    while True:
        page = logs.filter_log_events(logGroupName=GROUP, filterPattern='"page line"', limit=7,
                                      **token)
        assert len(page["events"]) <= 7
        got += page["events"]
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    assert [e["message"].rsplit("\t", 1)[-1].strip() for e in got] == lines
    assert len({e["eventId"] for e in got}) == 40
    stream = {"logGroupName": GROUP, "logStreamName": value["stream"]}
    newest = logs.get_log_events(**stream, limit=5)
    assert len(newest["events"]) == 5
    older = logs.get_log_events(**stream, limit=5, nextToken=newest["nextBackwardToken"])
    assert older["events"][-1]["timestamp"] <= newest["events"][0]["timestamp"]
    assert older["events"] != newest["events"]
    end = logs.get_log_events(**stream, nextToken=newest["nextForwardToken"])
    assert end["events"] == [] and end["nextForwardToken"] == newest["nextForwardToken"]
    head = logs.get_log_events(**stream, startFromHead=True, limit=2)["events"]
    # before it may stand what was noted of the runtime
    assert any(event["message"].startswith("INIT_START") for event in head), head


def test_groups_and_streams(talks, logs, cli):
    value = say(talks, logs, "here")
    [group] = logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]
    assert group["logGroupName"] == GROUP and group["storedBytes"] > 0
    assert group["arn"] == f"arn:aws:logs:us-east-1:000000000000:log-group:{GROUP}:*"
    streams = cli("describe-log-streams", "--log-group-name", GROUP, "--order-by",
                  "LastEventTime", "--descending", service="logs")["logStreams"]
    assert value["stream"] in [s["logStreamName"] for s in streams]
    assert streams[0]["firstEventTimestamp"] <= streams[0]["lastEventTimestamp"]
    assert logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/zz")["logGroups"] == []
    elsewhere = client(talks.node, region_name="eu-west-1")
    assert elsewhere.describe_log_groups()["logGroups"] == []


def test_a_function_may_have_a_group_of_its_own(aws, logs):
    made = aws.node.ask_control("POST", "/2015-03-31/functions", body=json.dumps({
        "FunctionName": "elsewhere", "Runtime": "nodejs22.x", "Handler": "index.handler",
        "Role": "arn:aws:iam::000000000000:role/any", "LoggingConfig": {"LogGroup": "shared/log"},
        "Code": {"ZipFile": zip_of(TALKS)}}))
    assert made.status == 201, made
    aws.wait_active("elsewhere")
    aws.value("elsewhere", {"lines": ["over there"]})
    eventually(lambda: logs.describe_log_groups(logGroupNamePrefix="shared/")["logGroups"],
               what="the group")
    eventually(lambda: [e for e in logs.filter_log_events(
        logGroupName="shared/log", filterPattern='"over there"')["events"]], what="the line")


def zip_of(text):
    import base64

    from awslambda import package
    return base64.b64encode(package({"index.js": text})).decode()


def test_memory_is_bounded_and_the_newest_stay(tmp_path, start_node):
    (tmp_path / "functions").mkdir()
    node = start_node(tmp_path / "functions", "--lambda-logs", "1")
    aws, logs = Lambda(node), client(node)
    aws.create("talks", """
exports.handler = async (event) => {
  for (let i = 0; i < 200; i++) process.stdout.write(`${event.n} ${i} ` + "x".repeat(1000) + "\\n");
};""")
    for n in range(10):
        aws.value("talks", {"n": n})
    eventually(lambda: messages(logs, filterPattern='"9 199 "'), what="the newest line")
    kept = messages(logs)
    assert sum(len(m) for m in kept) <= 1 << 20
    assert not [m for m in kept if m.startswith("0 ")]


def test_signatures_name_the_service(tmp_path, start_node):
    (tmp_path / "functions").mkdir()
    node = start_node(tmp_path / "functions", "--lambda-verify", "required",
                      env={"HEDDLE_LAMBDA_KEYS": "AKIDTEST:topsecret"})
    good = client(node, aws_access_key_id="AKIDTEST", aws_secret_access_key="topsecret")
    assert good.describe_log_groups()["logGroups"] == []
    bad = client(node, aws_access_key_id="AKIDTEST", aws_secret_access_key="wrong")
    with pytest.raises(bad.exceptions.ClientError) as refused:
        bad.describe_log_groups()
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert refused.value.response["Error"]["Code"] == "InvalidSignatureException"
    unsigned = node.ask_control("POST", "/", {"x-amz-target": "Logs_20140328.DescribeLogGroups",
                                              "content-type": "application/x-amz-json-1.1"}, "{}")
    assert unsigned.status == 403


def test_off_is_off(tmp_path, start_node):
    (tmp_path / "functions").mkdir()
    node = start_node(tmp_path / "functions", "--lambda-logs", "off")
    answer = node.ask_control("POST", "/", {"x-amz-target": "Logs_20140328.DescribeLogGroups"}, "{}")
    assert answer.status == 404


@pytest.mark.skipif(shutil.which("aws") is None, reason="no second AWS CLI is installed")
def test_any_cli_on_the_path_reads_events(talks, logs, tmp_path):
    say(talks, logs, "for everybody")
    cli = Cli(talks.node, tmp_path)
    cli.program = shutil.which("aws")
    events = cli("filter-log-events", "--log-group-name", GROUP, "--filter-pattern",
                 '"for everybody"', service="logs")["events"]
    assert events and events[0]["message"].rstrip().endswith("for everybody")
