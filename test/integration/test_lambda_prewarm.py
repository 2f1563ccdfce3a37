"""First invocations take a host that waits with nothing loaded; the metrics say which start did."""

import re
import shutil

import pytest

from awslambda import Lambda
from heddle import Node, eventually

SHELL = """#!/bin/sh
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation
while curl -sS -D /tmp/head -o /dev/null "$api/next"; do
  id=$(sed -n 's/^lambda-runtime-aws-request-id: *//Ip' /tmp/head | tr -d '\\r')
  curl -sS -o /dev/null -d '"shell"' "$api/$id/response"
done
"""
FUNCTIONS = {
    "node": ("nodejs20.x", {"index.js": "exports.handler = async () => 'node';"}),
    "python": ("python3.11", {"index.py": "def handler(event, context):\n    return 'python'\n"}),
    "shell": ("provided.al2023", {"bootstrap": (SHELL, 0o755)}),
}
NEEDS = {"node": "node", "python": "python3", "shell": "curl"}


def starts(node):
    """Starts so far, by the host that was there for them."""
    return {host: int(node.metrics()[f'heddle_prewarm_starts_total{{host="{host}"}}'])
            for host in ("ready", "starting", "none", "unfit")}


def wait_for_hosts(node, count):
    eventually(lambda: node.metrics()["heddle_prewarm_hosts"] == count, what=f"{count} hosts that wait")


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    cwd = tmp_path_factory.mktemp("prewarm")
    (cwd / "functions").mkdir()
    node = Node(cwd, cwd / "functions", "--prewarm", "1")
    try:
        yield Lambda(node.start())
        node.stop()
    finally:
        node.kill()


@pytest.fixture(scope="module")
def seen():
    """The kinds that this file has made so far: each has a host that waits."""
    return set()


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_the_first_invocation_takes_a_host_that_waits(aws, seen, kind):
    if shutil.which(NEEDS[kind]) is None:
        pytest.skip(f"{NEEDS[kind]} is not installed")
    runtime, files = FUNCTIONS[kind]
    seen.add(kind)
    for name in (f"{kind}-a", f"{kind}-b"):
        aws.create(name, files, runtime=runtime)
        wait_for_hosts(aws.node, len(seen))
        before = starts(aws.node)
        answer = aws.invoke(name, {}, LogType="Tail")
        assert answer.value == kind, answer
        assert re.search(r"Init Duration: [\d.]+ ms", answer.tail), answer
        assert starts(aws.node) == {**before, "ready": before["ready"] + 1}
        aws.value(name, {})  # by the same instance
        assert starts(aws.node) == {**before, "ready": before["ready"] + 1}


def test_one_that_needs_a_host_of_its_own_kind_finds_one_the_second_time(aws, seen):
    runtime, files = FUNCTIONS["python"]
    for name in ("early-a", "early-b"):
        aws.create(name, files, runtime=runtime,
                   Environment={"Variables": {"MALLOC_ARENA_MAX": "2"}})
        seen.add("early")
        wait_for_hosts(aws.node, len(seen))
        before = starts(aws.node)
        assert aws.value(name, {}) == "python"
        assert starts(aws.node) == {**before, "ready": before["ready"] + 1}


def test_a_node_that_starts_again_has_hosts_for_what_it_kept(aws, seen):
    node = aws.node
    node.stop()
    again = Node(node.cwd, node.functions, "--prewarm", "1")
    try:
        restarted = Lambda(again.start())
        wait_for_hosts(again, len(seen))
        for name in (f"{kind}-a" for kind in FUNCTIONS if kind in seen):
            restarted.value(name, {})
        assert starts(again) == {"ready": len(seen & set(FUNCTIONS)), "starting": 0, "none": 0,
                                 "unfit": 0}
        again.stop()
    finally:
        again.kill()
