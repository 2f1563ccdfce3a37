"""The durable queue on its bad days: a disk without room, a consumer that is slower than what
comes in."""

import json
import os
import resource

import pytest

from heddle import eventually

HOOK = """
import { appendFileSync, existsSync } from "node:fs";
export const handler = async (event) => {
  while (!existsSync(process.env.SEEN + ".go")) await new Promise((r) => setTimeout(r, 20));
  appendFileSync(process.env.SEEN, event.i + "\\n");
};
"""
CONFIG = """
lanes:
  events: { placed: { lane: orders } }
  hooks: [ { event: placed, function: hook } ]
  event_lanes: { orders: {} }
  queues: { q: { prefetch: 4 } }
  bindings: [ { lane: orders, queue: q } ]
"""
ROOM = 2 << 20


@pytest.fixture
def node(tmp_path, write_functions, start_node):
    """A node whose hook waits until node.go()."""
    functions = write_functions({"hook/index.mjs": HOOK, "hook/heddle.json": json.dumps(
        {"runtime": "node", "verify_jwt": False, "env": {"SEEN": str(tmp_path / "seen")}})})
    (tmp_path / "heddle.yml").write_text(CONFIG)
    # what a sanitizer keeps of freed memory is no memory of ours
    options = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=4"
    made = start_node(functions, "--sandbox", "off", env={"ASAN_OPTIONS": options})
    made.go = lambda: (tmp_path / "seen.go").write_text("")
    made.seen = lambda: ([int(line) for line in (tmp_path / "seen").read_text().split()]
                         if (tmp_path / "seen").exists() else [])
    return made


def emit(node, i, size):
    return node.admin("/lanes/v1/events/placed", json.dumps({"i": i, "fill": "x" * size}))


def status(node):
    return node.admin("/lanes/v1/status").json()["queues"][0]


def test_a_full_disk_refuses_clearly_loses_nothing_and_recovers_by_itself(node, tmp_path):
    database = tmp_path / ".heddle/heddle.db-wal"
    accepted = {i for i in range(5) if emit(node, i, 100).status == 202}
    assert len(accepted) == 5
    _, most = resource.prlimit(node.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (database.stat().st_size + ROOM, most))
    refused = []
    for i in range(100, 200):
        answer = emit(node, i, 100000)
        if answer.status == 202:
            accepted.add(i)
        else:
            refused.append(answer)
    assert refused and len(accepted) > 5
    for answer in refused:
        assert answer.status == 503, answer
        said = answer.json()
        assert said["retryable"] and said["error"]["message"].startswith("store: "), answer
    assert any(r["msg"] == "writes to the database fail" for r in node.records())
    node.go()  # what runs meanwhile cannot be settled yet
    eventually(lambda: len(node.seen()) >= 4, 60, "the hooks that were under way")
    resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (most, most))
    assert emit(node, 1000, 100000).status == 202
    eventually(lambda: accepted | {1000} <= set(node.seen()), 60, "every accepted event")
    assert set(node.seen()) == accepted | {1000}
    eventually(lambda: (status(node)["depth"], status(node)["inflight"]) == (0, 0), 60,
               "an empty queue")


def test_a_slow_consumer_holds_its_prefetch_and_no_more(node):
    size, count = 200000, 300
    emit(node, 0, size)
    eventually(lambda: status(node)["inflight"] == 1, 60)
    before = node.rss_kb()
    for i in range(1, count):
        assert emit(node, i, size).status == 202
    assert status(node)["inflight"] == 4
    assert status(node)["depth"] >= count - 4
    grown = node.rss_kb() - before
    assert grown < count * size / 1024, f"{grown} kB more for {count} messages of {size} bytes"
    node.go()
    eventually(lambda: set(node.seen()) == set(range(count)), 60, "all of them")
    eventually(lambda: status(node)["depth"] == 0, 60, "an empty queue")
