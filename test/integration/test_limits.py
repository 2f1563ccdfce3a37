"""Limits of time, size, number and CPU, and that going over one hurts nobody else."""

import statistics
import threading
import time

import pytest

from heddle import bearer, eventually, expect
from sources import INSTANCE, OPEN, manifest, says
from wire import Closed, Wire, get

UPLOAD = """
Deno.serve(async (req) => new Response(String((await req.arrayBuffer()).byteLength)));
"""


def instances(node, name):
    """What the pool of a function holds: {'starting': ..., 'idle': ..., 'busy': ..., 'draining': ...}"""
    return function(node, name)["instances"]


def function(node, name):
    found = [f for f in node.admin("/heddle/functions").json()["functions"] if f["name"] == name]
    assert found, name
    return found[0]


# --- size ---

def test_each_function_has_its_own_body_limit(start_node, write_functions):
    functions = write_functions({
        "small/index.ts": UPLOAD, "small/heddle.json": manifest(maxBodyMB=0.001),
        "large/index.ts": UPLOAD, "large/heddle.json": manifest(maxBodyMB=2)})
    node = start_node(functions, env={"HEDDLE_BODY_LIMIT_MB": "1"})
    assert node.post("small", b"x" * 1048).body == b"1048"
    expect(node.post("small", b"x" * 1049), 413,
           {"error": "Request body too large", "maxBytes": 1048})
    assert node.post("large", b"x" * (2 << 20)).body == str(2 << 20).encode()
    with Wire(node.port) as wire:  # who goes on sending what nobody reads is cut off
        wire.send(get("/functions/v1/large", f"Content-Length: {(2 << 20) + 1}", method="POST"))
        assert wire.answer().status == 413


def test_a_body_that_is_refused_is_not_asked_for(start_node, write_functions):
    node = start_node(write_functions({
        "small/index.ts": UPLOAD, "small/heddle.json": manifest(maxBodyMB=0.001),
        "guarded/index.ts": UPLOAD}))
    for path, status in (("small", 413), ("guarded", 401)):
        with Wire(node.port) as wire:
            wire.send(get(f"/functions/v1/{path}", "Content-Length: 100000",
                          "Expect: 100-continue", method="POST"))
            assert wire.answer(informational=True).status == status


# --- time ---

def test_the_shortest_timeout_of_code_manifest_and_node_counts_in_this_order(
        start_node, write_functions):
    slow = "Deno.serve(() => new Promise(() => {}));\n"
    shim = """
    (globalThis as any).__edgeFunctionRegistry.register(() => new Promise(() => {}),
      { public: true, timeoutMs: 150 });
    """
    node = start_node(write_functions({
        "by-node/index.ts": slow, "by-node/heddle.json": OPEN,
        "by-manifest/index.ts": slow, "by-manifest/heddle.json": manifest(timeoutMs=300),
        "by-code/index.ts": shim, "by-code/heddle.json": manifest(timeoutMs=20000)}),
        "--timeout", "600", "--shutdown-grace", "1000")
    for name, ms in (("by-node", 600), ("by-manifest", 300), ("by-code", 150)):
        began = time.monotonic()
        expect(node.get(name), 504, {"error": "Function execution timed out"})
        # A loop's clock moves in milliseconds and once a turn: a wait may seem a little short.
        assert ms / 1000 - 0.05 <= time.monotonic() - began < ms / 1000 + 10


def test_a_function_that_spins_is_killed_and_hurts_nobody_else(start_node, write_functions):
    node = start_node(write_functions({
        "spinner/index.ts": INSTANCE, "spinner/heddle.json": manifest(timeoutMs=400),
        "neighbour/index.ts": INSTANCE, "neighbour/heddle.json": OPEN}))
    first = node.get("spinner").json()["id"]
    neighbour = node.get("neighbour").json()["id"]
    answers, took = [], []
    spin = threading.Thread(target=lambda: answers.append(node.get("spinner?spin=60000")))
    spin.start()
    while spin.is_alive():
        began = time.monotonic()
        assert node.get("neighbour").json()["id"] == neighbour
        took.append(time.monotonic() - began)
    expect(answers[0], 504, {"error": "Function execution timed out"})
    assert statistics.median(took) < 1 and len(took) > 3
    answer = eventually(lambda: ok(node.get("spinner")), what="another instance")
    assert answer.json()["id"] != first
    node.wait_record(lambda r: r["msg"] == "instance recycled" and r["reason"] == "unanswered")


def ok(answer):
    return answer if answer.status == 200 else None


def test_a_request_beside_one_that_spins_gets_a_clean_answer(start_node, write_functions):
    node = start_node(write_functions({
        "spinner/index.ts": INSTANCE, "spinner/heddle.json": manifest(timeoutMs=1000)}),
        "--shutdown-grace", "1000")
    node.get("spinner")
    answers = []
    # A POST that waits in the same instance; it is not tried again, for it may have had an effect.
    beside = threading.Thread(target=lambda: answers.append(node.post("spinner?ms=900")))
    beside.start()
    eventually(lambda: function(node, "spinner")["inFlight"] == 1, what="the one beside it")
    assert node.post("spinner?spin=60000").status == 504
    beside.join()
    assert answers[0].status in (502, 504), answers[0]
    if answers[0].status == 502:
        expect(answers[0], 502, {"error": "Bad gateway", "reason": "worker_recycled"})


def test_a_function_that_waits_is_not_killed_for_it(start_node, write_functions):
    node = start_node(write_functions({
        "slow/index.ts": INSTANCE, "slow/heddle.json": manifest(timeoutMs=300)}))
    first = node.get("slow").json()["id"]
    assert node.get("slow?ms=5000").status == 504
    eventually(lambda: node.get("slow").json()["id"] == first, what="the same instance")


def test_streams_have_their_own_limits(start_node, write_functions):
    stream = """
    Deno.serve((req) => {
      const gap = Number(new URL(req.url).searchParams.get("gap"));
      return new Response(new ReadableStream({
        async pull(controller) {
          controller.enqueue(new Uint8Array(10));
          await new Promise((done) => setTimeout(done, gap));
        } }));
    });
    """
    node = start_node(write_functions({
        "stream/index.ts": stream, "stream/heddle.json": manifest(streamIdleMs=300),
        "total/index.ts": stream, "total/heddle.json": OPEN}), "--total-timeout", "900")
    for path, least in (("stream?gap=20000", 0.25), ("total?gap=50", 0.85)):
        with Wire(node.port) as wire:
            began = time.monotonic()
            wire.send(get("/functions/v1/" + path))
            assert wire.head()[0] == 200
            with pytest.raises(Closed):  # cut off, and not as if it had ended
                for _ in wire.chunks():
                    pass
            assert least <= time.monotonic() - began < 15


# --- CPU ---

def test_a_request_over_its_cpu_time_is_ended(start_node, write_functions):
    node = start_node(write_functions({
        "burner/index.ts": INSTANCE, "burner/heddle.json": manifest(cpuMs=300)}))
    first = node.get("burner").json()["id"]
    assert node.get("burner?ms=900").json()["id"] == first  # waiting is not burning
    assert node.get("burner?spin=100").json()["id"] == first
    for answer in (node.get("burner?spin=60000"), node.post("burner?spin=60000")):
        expect(answer, 502, {"error": "Bad gateway", "reason": "cpu_limit"})
    node.wait_record(lambda r: r["msg"] == "instance recycled" and r["reason"] == "cpu_limit")
    assert ok(node.get("burner")).json()["id"] != first
    recycled = 'heddle_pool_recycles_total{function="burner",reason="cpu_limit"}'
    assert node.metrics()[recycled] == 2


# --- number ---

def test_a_full_queue_is_said_at_once(start_node, write_functions):
    node = start_node(write_functions({
        "one/index.ts": INSTANCE,
        "one/heddle.json": manifest(concurrency=1, maxInstances=1, queue=2)}))
    node.get("one")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(node.get("one?ms=1500")))
               for _ in range(3)]
    for thread in threads:
        thread.start()
    eventually(lambda: function(node, "one")["waiting"] == 2, what="a full queue")
    answer = node.get("one")
    assert len(answers) < 3  # no place had come free for it
    expect(answer, 503, {"error": "Service temporarily unavailable", "reason": "queue_full"})
    assert int(answer.get("retry-after")) >= 1 and answer.get("x-heddle-warming") is None
    for thread in threads:
        thread.join()
    assert [a.status for a in answers] == [200] * 3
    assert node.metrics()['heddle_rejected_total{function="one",reason="busy"}'] == 1


@pytest.mark.parametrize("flag", ["--max-connections", "--max-connections-per-address"])
def test_connections_are_capped(start_node, write_functions, flag):
    node = start_node(write_functions({"hello/index.ts": says("hi"), "hello/heddle.json": OPEN}),
                      flag, "3")
    wires = [Wire(node.port) for _ in range(3)]
    try:
        for wire in wires:
            wire.send(get("/functions/v1/hello"))
            assert wire.answer().body == b"hi"
        with pytest.raises((Closed, OSError)):
            with Wire(node.port) as wire:
                wire.send(get("/functions/v1/hello"))
                wire.answer()
        wires.pop().__exit__()
        eventually(lambda: accepted(node), what="a free place")
        assert node.metrics()["heddle_connections_refused_total"] >= 1
    finally:
        for wire in wires:
            wire.__exit__()


def accepted(node):
    try:
        return node.get("hello").status == 200
    except OSError:
        return False


def test_limits_apply_to_who_has_a_token_too(start_node, write_functions):
    node = start_node(write_functions({
        "small/index.ts": UPLOAD, "small/heddle.json": '{ "maxBodyMB": 0.001 }\n'}))
    assert node.post("small", b"x" * 2000, bearer()).status == 413
    assert node.post("small", b"x" * 1000, bearer()).body == b"1000"
