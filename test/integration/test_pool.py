"""Instances come, stay and go as the settings say; what a client is told while they do."""

import threading
import time

from heddle import INTERNAL_KEY, eventually, expect
from sources import INSTANCE, OPEN, manifest, says
from test_limits import function, instances, ok


def at_once(node, path, count):
    """The answers of requests that are all under way at once."""
    answers = [None] * count

    def ask(n):
        answers[n] = node.get(path, timeout=30)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def ids(answers):
    for answer in answers:
        assert answer.status == 200, answer
    return {answer.json()["id"] for answer in answers}


def running(node, name):
    now = instances(node, name)
    return now["starting"] + now["idle"] + now["busy"]


def start(start_node, write_functions, *args, env=None, **settings):
    return start_node(write_functions({
        "work/index.ts": INSTANCE, "work/heddle.json": manifest(**settings)}), *args, env=env)


def test_one_instance_serves_many_at_once_by_default(start_node, write_functions):
    node = start(start_node, write_functions)
    assert len(ids(at_once(node, "work?ms=300", 10))) == 1


def test_a_queue_scales_out_up_to_the_maximum(start_node, write_functions):
    node = start(start_node, write_functions, concurrency=1, maxInstances=3)
    assert len(ids(at_once(node, "work?ms=700", 9))) in (2, 3)
    assert running(node, "work") <= 3


def test_one_instance_at_most_serves_one_after_the_other(start_node, write_functions):
    node = start(start_node, write_functions, concurrency=1, maxInstances=1)
    answers = at_once(node, "work?ms=50", 5)
    assert len(ids(answers)) == 1
    assert sorted(a.json()["count"] for a in answers) == [1, 2, 3, 4, 5]


def test_requests_for_a_cold_function_share_one_start(start_node, write_functions):
    node = start(start_node, write_functions, "--lazy")
    assert len(ids(at_once(node, "work", 20))) == 1
    assert node.metrics()['heddle_pool_launches_total{function="work"}'] == 1


def test_idle_instances_end_and_come_back(start_node, write_functions):
    node = start(start_node, write_functions, idleMs=200)
    first = node.get("work").json()["id"]
    eventually(lambda: running(node, "work") == 0, what="scaling to zero")
    assert function(node, "work")["state"] == "ready"
    answer = node.get("work")
    assert answer.status == 200 and answer.json()["id"] != first


def test_the_minimum_is_kept_and_replaced(start_node, write_functions):
    node = start(start_node, write_functions, minInstances=2, idleMs=100)
    eventually(lambda: instances(node, "work")["idle"] == 2, what="two instances")
    assert node.get("work?exit").status in (502, 503)
    eventually(lambda: instances(node, "work")["idle"] == 2, what="two instances again")


def test_an_instance_is_replaced_after_so_many_requests(start_node, write_functions):
    node = start(start_node, write_functions, recycle={"maxRequests": 5})
    seen = {}

    def ask():
        answer = node.get("work")
        assert answer.status == 200, answer
        seen[answer.json()["id"]] = answer.json()["count"]
        return len(seen) > 3

    eventually(ask, what="three successors")
    for count in list(seen.values())[:-1]:
        assert count >= 5  # each goes on until its successor is there
    assert node.metrics()['heddle_pool_recycles_total{function="work",reason="requests"}'] >= 1


def test_functions_share_the_memory_budget(start_node, write_functions):
    names = ["a", "b", "c", "d", "e"]
    files = {f"{name}/index.ts": INSTANCE for name in names}
    files |= {f"{name}/heddle.json": OPEN for name in names}
    node = start_node(write_functions(files), "--lazy", "--prewarm", "0", "--cold-wait-ms", "20000",
                      env={"HEDDLE_MEMORY_BUDGET_MB": "110"})
    for _ in range(2):
        for name in names:
            answer = node.get(name, timeout=30)
            assert answer.status == 200, answer
    metrics = node.metrics()
    assert sum(v for k, v in metrics.items() if k.startswith("heddle_pool_evictions_total")) > 0
    assert node.metrics()["heddle_instances_memory_bytes"] <= 110 << 20


# --- failures ---

def test_a_crash_costs_its_request_and_no_other(start_node, write_functions):
    node = start(start_node, write_functions)
    first = node.get("work").json()["id"]
    expect(node.post("work?exit"), 502, {"error": "Bad gateway", "reason": "worker_unavailable"})
    answer = node.get("work")
    assert answer.status == 200 and answer.json()["id"] != first
    node.wait_record(lambda r: r["msg"] == "instance ended by itself" and r["function"] == "work")
    assert node.metrics()['heddle_pool_crashes_total{function="work"}'] == 1


def test_a_function_that_never_loads_is_not_tried_all_the_time(start_node, write_functions):
    node = start_node(write_functions({
        "broken/index.ts": "throw new Error('it never loads');\n", "broken/heddle.json": OPEN,
        "silent/index.ts": "export {};\n", "silent/heddle.json": OPEN,
        "hello/index.ts": says("hi"), "hello/heddle.json": OPEN}))
    for name in ("broken", "silent"):
        for _ in range(30):
            answer = node.get(name)
            expect(answer, 503, {"error": f'Function "{name}" failed to load',
                                 "reason": "function_boot_failed"})
            assert answer.get("x-heddle-warming") is None
        metrics = node.metrics()
        assert metrics[f'heddle_pool_launches_total{{function="{name}"}}'] <= 5
        assert metrics[f'heddle_pool_launch_failures_total{{function="{name}",reason="load"}}'] >= 1
    assert node.get("hello").body == b"hi"


# --- warm-up ---

SLOW_START = "await new Promise((done) => setTimeout(done, 2500));\n" + INSTANCE


def test_a_request_that_comes_too_early_is_told_so(start_node, write_functions):
    node = start_node(write_functions({
        "late/index.ts": SLOW_START, "late/heddle.json": OPEN,
        "broken/index.ts": "throw new Error('a reason of its own');\n", "broken/heddle.json": OPEN,
    }), "--defer-boot", "--warmup-grace-ms", "50")
    answer = node.get("late")
    assert answer.status == 503, answer
    body = answer.json()
    assert body["error"] == "Backend is warming up" and body["reason"] == "function_warming"
    assert body["function"] == "late" and body["state"] in ("queued", "loading")
    counts = body["warmup"]
    assert counts["total"] == 2
    assert sum(counts[key] for key in ("ready", "loading", "queued", "failed")) == 2
    assert (answer.get("retry-after"), answer.get("x-heddle-warming")) == ("1", "1")

    public = node.get("/heddle/warmup").json()
    assert public["total"] == 2 and public["ready"] is False
    assert all(isinstance(public[key], int) for key in ("loading", "queued", "failed"))
    assert node.get("/1tube/warmup").json().keys() == public.keys()

    key = {"authorization": "Bearer " + INTERNAL_KEY}
    eventually(lambda: node.get("/heddle/warmup", key).json()["failed"], what="the failure")
    full = node.get("/heddle/warmup", key).json()
    assert [f["name"] for f in full["failed"]] == ["broken"]
    assert "a reason of its own" in full["failed"][0]["error"]
    assert "a reason of its own" not in node.get("/heddle/warmup").body.decode()
    done = node.get("/heddle/warmup?wait=20000").json()
    assert done["ready"] is True and done["loaded"] == 1 and done["failed"] == 1
    assert node.get("late").status == 200


def test_a_cold_start_within_the_grace_is_waited_for(start_node, write_functions):
    node = start_node(write_functions({"late/index.ts": SLOW_START, "late/heddle.json": OPEN}),
                      "--lazy", "--warmup-grace-ms", "15000")
    began = time.monotonic()
    assert ok(node.get("late")) and time.monotonic() - began >= 2.5


def test_eager_starts_are_over_when_it_says_ready(start_node, write_functions):
    node = start_node(write_functions({"late/index.ts": SLOW_START, "late/heddle.json": OPEN}))
    assert function(node, "late")["state"] == "ready" and instances(node, "late")["idle"] == 1
