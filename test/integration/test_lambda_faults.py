"""Functions that exit, hang, allocate without end, flood the log, or speak nonsense."""

import os
import re
import threading
import time

import pytest
from botocore.exceptions import ClientError

from awslambda import Lambda, package
from heddle import eventually

SHELL_LOOP = """#!/bin/sh
# A runtime in shell: {what}
set -u
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime
while true; do
  headers=$(mktemp)
  event=$(curl -sS -LD "$headers" "$api/invocation/next")
  id=$(grep -i Lambda-Runtime-Aws-Request-Id "$headers" | tr -d '[:space:]' | cut -d: -f2)
  {body}
done
"""


def bootstrap(what, body):
    return {"bootstrap": (SHELL_LOOP.format(what=what, body=body), 0o755)}


def next_is_good(aws, name, value):
    """After whatever happened: a new instance, the same function."""
    assert aws.value(name, {}) == value


def test_an_exit_is_an_exit_error_and_runs_once(aws):
    aws.create("exits", """
exports.handler = async (event) => {
  console.log("leaving with", event.code);
  if ("code" in event) process.exit(event.code);
  return "fine";
};""")
    for _ in range(2):
        answer = aws.invoke("exits", {"code": 3}, LogType="Tail")
        assert answer.status == 200 and answer.error == "Unhandled"
        assert answer.value["errorType"] == "Runtime.ExitError"
        assert answer.value["errorMessage"] == (
            f"RequestId: {answer.id} Error: Runtime exited with error: exit status 3")
        assert answer.tail.count("leaving with 3") == 1
        assert f"RequestId: {answer.id} Error: Runtime exited with error: exit status 3" in answer.tail
        assert "\tStatus: error" in answer.tail
    answer = aws.invoke("exits", {"code": 0})
    assert answer.value["errorMessage"].endswith("Error: Runtime exited without providing a reason")
    next_is_good(aws, "exits", "fine")


def test_a_signal_is_named(aws):
    aws.create("killed", """
exports.handler = async (event) => {
  if (event.signal) process.kill(process.pid, event.signal);
  await new Promise(done => setTimeout(done, event.signal ? 5000 : 0));
  return "fine";
};""", Timeout=10)
    answer = aws.invoke("killed", {"signal": "SIGKILL"})
    assert answer.value["errorMessage"].endswith("Runtime exited with error: signal: killed")
    answer = aws.invoke("killed", {"signal": "SIGSEGV"})
    assert answer.value["errorMessage"].endswith("signal: segmentation fault")
    next_is_good(aws, "killed", "fine")


def test_a_hang_is_a_timeout_and_everything_in_it_ends(aws):
    aws.create("hangs", """
const { spawn } = require("child_process");
exports.handler = async (event) => {
  if (!event.hang) return "fine";
  spawn("sleep", ["1000"], { stdio: "ignore" });
  console.log("begun");
  for (;;) {}
};""", Timeout=1)
    assert aws.value("hangs", {}) == "fine"
    begun = time.monotonic()
    answer = aws.invoke("hangs", {"hang": True}, LogType="Tail")
    assert time.monotonic() - begun >= 1
    assert answer.error == "Unhandled"
    assert answer.value == {"errorType": "Sandbox.Timedout", "errorMessage":
                            f"RequestId: {answer.id} Error: Task timed out after 1.00 seconds"}
    assert "begun" in answer.tail
    assert re.search(rf"\n\S+Z {answer.id} Task timed out after 1\.00 seconds\n\nEND", answer.tail)
    assert "\tStatus: timeout" in answer.tail
    next_is_good(aws, "hangs", "fine")
    eventually(lambda: not any("sleep" in line for line in commands(aws.node)), what="its end")


def commands(node):
    found = []
    for pid in node.children():
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                found.append(file.read().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return found


def test_memory_without_end_is_ended_and_said(aws):
    aws.create("eats", """
exports.handler = async (event) => {
  const kept = [];
  while (event.eat) { const b = Buffer.alloc(8 << 20, 1); kept.push(b); }
  return "fine";
};""", MemorySize=128, Timeout=30)
    next_is_good(aws, "eats", "fine")
    answer = aws.invoke("eats", {"eat": True}, LogType="Tail")
    assert answer.error == "Unhandled"
    assert answer.value["errorType"] == "Runtime.ExitError", answer
    if "out of memory" not in answer.tail:
        pytest.skip("this machine has no memory limits by cgroup: " + answer.tail)
    assert answer.value["errorMessage"].endswith("signal: killed")
    assert "the limit is 128 MB" in answer.tail
    next_is_good(aws, "eats", "fine")
    assert aws.node.metrics()['heddle_lambda_errors_total{function="eats",account="000000000000",'
                              'region="us-east-1",type="memory"}'] == 1


def test_a_flood_of_logs_hurts_nobody(start_node, write_functions):
    # what the sanitizer keeps of freed memory is not to hide what the node keeps
    options = os.environ.get("ASAN_OPTIONS", "").split(":")
    options = [word for word in options if word] + ["quarantine_size_mb=8"]
    aws = Lambda(start_node(write_functions({}), env={"ASAN_OPTIONS": ":".join(options)}))
    aws.create("floods", """
exports.handler = async (event) => {
  const line = "x".repeat(1000) + "\\n";
  for (let n = 0; n < event.mb * 1000; n++)
    if (!process.stdout.write(line)) await new Promise(done => process.stdout.once("drain", done));
  return "fine";
};""", Timeout=120, MemorySize=256)
    aws.create("bystander", "exports.handler = async () => 'here';")
    results, before = [], aws.node.rss_kb()
    flood = threading.Thread(target=lambda: results.append(
        aws.invoke("floods", {"mb": 100}, LogType="Tail")))
    flood.start()
    while flood.is_alive():
        assert aws.value("bystander", {}) == "here"
    flood.join()
    assert results[0].value == "fine", results[0]
    assert len(results[0].tail) == 4096 and "\nREPORT RequestId: " in results[0].tail
    # of 100 MB it keeps the 16 MB that `aws logs` may ask for, and what they cost
    assert aws.node.rss_kb() < before + 90 * 1024


def test_without_memory_for_another_instance_an_invocation_is_throttled(start_node, write_functions):
    aws = Lambda(start_node(write_functions({}), "--memory-budget", "1", "--lambda-queue-wait", "300"))
    aws.create("waits", "exports.handler = (event, context, done) => setTimeout(done, 60000);",
               Timeout=90)
    busy = threading.Thread(target=lambda: aws.invoke("waits", {}), daemon=True)
    busy.start()
    eventually(lambda: any(i["inFlight"] for i in
                           aws.node.admin("/heddle/instances").json()["instances"]))
    aws.create("late", "exports.handler = async () => 1;")
    with pytest.raises(ClientError) as told:
        aws.api.invoke(FunctionName="late", Payload=b"{}")
    answer = told.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 429, answer
    assert answer["Error"]["Code"] == "TooManyRequestsException", answer
    aws.node.kill()


def test_an_init_that_fails_is_told_and_tried_again(aws):
    aws.create("stillborn", "throw new TypeError('not today');")
    for _ in range(2):
        answer = aws.invoke("stillborn", {}, LogType="Tail")
        assert answer.error == "Unhandled"
        assert answer.value["errorType"] == "TypeError", answer
        assert answer.value["errorMessage"] == "not today"
    aws.api.update_function_code(FunctionName="stillborn", ZipFile=package(
        {"index.js": "exports.handler = async () => 'fine';"}))
    aws.wait_updated("stillborn")
    next_is_good(aws, "stillborn", "fine")


def test_a_handler_that_is_not_there(aws):
    aws.create("empty", "exports.other = 1;")
    answer = aws.invoke("empty", {})
    assert answer.value["errorType"] == "Runtime.HandlerNotFound"
    assert answer.value["errorMessage"] == "index.handler is undefined or not exported"
    aws.create("nowhere", {"other.js": ""})
    assert aws.invoke("nowhere", {}).value["errorType"] == "Runtime.ImportModuleError"


def test_an_unhandled_rejection_ends_the_instance(aws):
    aws.create("rejects", """
exports.handler = async (event) => {
  if (!event.reject) return "fine";
  Promise.reject(new Error("nobody looks"));
  await new Promise(done => setTimeout(done, 5000));
};""", Timeout=10)
    answer = aws.invoke("rejects", {"reject": True})
    assert answer.error == "Unhandled"
    assert answer.value["errorType"] == "Runtime.UnhandledPromiseRejection"
    next_is_good(aws, "rejects", "fine")


def test_an_idle_instance_that_dies_costs_no_invocation(aws):
    aws.create("mortal", """
exports.handler = async (event) => {
  if (event.later) setTimeout(() => process.exit(1), 1);
  return "fine";
};""")
    for _ in range(5):
        assert aws.invoke("mortal", {"later": True}).bytes in (b'"fine"',)
        time.sleep(0.5)  # a busy machine takes its time for that exit as well
        assert aws.invoke("mortal", {}).value == "fine"


# --- a runtime of its own, in shell ---


def test_a_custom_runtime(aws):
    aws.create("shell", bootstrap("answers", """
  echo "working on $event" >&2
  curl -sS -o /dev/null "$api/invocation/$id/response" -d "{\\"shell\\": $event}" """),
               runtime="provided.al2023", handler="any")
    answer = aws.invoke("shell", {"a": 1}, LogType="Tail")
    assert answer.value == {"shell": {"a": 1}}, answer
    assert 'working on {"a": 1}' in answer.tail


def test_who_answers_twice_is_heard_once(aws):
    aws.create("twice", bootstrap("answers twice, the second time in vain", """
  curl -sS -o /dev/null "$api/invocation/$id/response" -d '"first"'
  code=$(curl -sS -o /dev/null -w '%{http_code}' "$api/invocation/$id/response" -d '"second"')
  echo "the second was answered $code" >&2"""), runtime="provided.al2023", handler="any")
    for _ in range(3):
        assert aws.value("twice", {}) == "first"


def test_who_answers_for_another_id_is_refused(aws):
    aws.create("mixed", bootstrap("answers a wrong id first", """
  code=$(curl -sS -o /dev/null -w '%{http_code}' \\
    "$api/invocation/00000000-0000-4000-8000-000000000000/response" -d '"wrong"')
  curl -sS -o /dev/null "$api/invocation/$id/response" -d "$code" """),
               runtime="provided.al2023", handler="any")
    assert aws.value("mixed", {}) == 400


def test_who_cuts_its_answer_in_the_middle_fails(aws):
    aws.create("cuts", bootstrap("announces more than it sends", """
  if [ "$event" = '{"cut": true}' ]; then
    host=${AWS_LAMBDA_RUNTIME_API%:*} port=${AWS_LAMBDA_RUNTIME_API#*:}
    bash -c "exec 3<>/dev/tcp/$host/$port
             printf 'POST /2018-06-01/runtime/invocation/$id/response HTTP/1.1\\r\\nHost: x\\r\\n' >&3
             printf 'Content-Length: 1000\\r\\n\\r\\n{\\"half\\":' >&3
             sleep 0.5 # who is gone before it is accepted is nobody, and not heard
             exec 3>&-"
  else
    curl -sS -o /dev/null "$api/invocation/$id/response" -d '"whole"'
  fi"""), runtime="provided.al2023", handler="any", Timeout=5)
    assert aws.value("cuts", {}) == "whole"
    answer = aws.invoke("cuts", {"cut": True})
    assert answer.error == "Unhandled"
    assert answer.value["errorType"] == "Runtime.TruncatedResponse", answer
    next_is_good(aws, "cuts", "whole")


def test_who_exits_before_it_asks_for_work(aws):
    aws.create("quits", {"bootstrap": ("#!/bin/sh\necho leaving >&2\nexit 7\n", 0o755)},
               runtime="provided.al2023", handler="any")
    answer = aws.invoke("quits", {})
    assert answer.error == "Unhandled"
    assert answer.value["errorType"] == "Runtime.ExitError"
    assert answer.value["errorMessage"].endswith("Runtime exited with error: exit status 7")


def test_a_bootstrap_that_is_not_there(aws):
    aws.create("bare", {"readme.txt": "nothing to run"}, runtime="provided.al2023", handler="any")
    answer = aws.invoke("bare", {})
    assert answer.value["errorType"] == "Runtime.InvalidEntrypoint", answer


def test_nothing_is_left_behind(aws):
    """After all of the above: every place and every admission is back."""
    eventually(lambda: all(not i["inFlight"] for i in
                           aws.node.admin("/heddle/instances").json()["instances"]))
    for name, value in aws.node.metrics().items():
        if name.startswith(("heddle_lambda_concurrent_executions", "heddle_pool_waiting")):
            assert value == 0, name
