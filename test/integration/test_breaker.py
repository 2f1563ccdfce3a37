"""The circuit breaker: what opens it, how it tries again, and what it does not count."""

import os
import signal
import threading

from heddle import eventually, expect
from sources import manifest

FLAKY = """
const file = new URL("./mood.txt", import.meta.url);
Deno.serve(async (req) => {
  const query = new URL(req.url).searchParams;
  if (query.has("ms")) await new Promise((done) => setTimeout(done, Number(query.get("ms"))));
  const mood = await Deno.readTextFile(file);
  return new Response("", { status: query.has("status") ? Number(query.get("status")) :
    mood.trim() === "good" ? 200 : 500 });
});
"""


def start(start_node, write_functions, **recycle):
    functions = write_functions({
        "flaky/index.ts": FLAKY, "flaky/mood.txt": "bad",
        "flaky/heddle.json": manifest(recycle={"errorRate": 0.5, "errorWindow": 4, **recycle})})
    return start_node(functions), functions / "flaky/mood.txt"


def is_open(answer):
    expect(answer, 503, {"error": "Service temporarily unavailable",
                         "reason": "circuit_breaker_open"})
    return int(answer.get("retry-after"))


def state(node):
    return [key for key, value in node.metrics().items()
            if key.startswith("heddle_function_breaker_state") and value == 1]


def test_it_opens_and_says_when_to_come_back(start_node, write_functions):
    node, _ = start(start_node, write_functions, cooldownMs=30000)
    assert [node.get("flaky").status for _ in range(4)] == [500] * 4
    assert 1 <= is_open(node.get("flaky")) <= 33
    assert node.metrics()['heddle_function_breaker_open{function="flaky"}'] == 1
    assert 'state="open"' in state(node)[0]
    node.wait_record(lambda r: r["msg"] == "circuit breaker open" and r["function"] == "flaky")


def test_after_the_cool_down_exactly_one_request_tries(start_node, write_functions):
    node, mood = start(start_node, write_functions, cooldownMs=300)
    for _ in range(4):
        node.get("flaky")
    is_open(node.get("flaky"))
    mood.write_text("good")
    # One slow probe is under way; all others are turned away until it is back.
    first = {}

    def probe():
        first["answer"] = eventually(
            lambda: turned_away(node.get("flaky?ms=1500")), what="a probe")

    thread = threading.Thread(target=probe)
    thread.start()
    eventually(lambda: in_flight(node) == 1, what="the probe")
    for _ in range(10):
        is_open(node.get("flaky"))
    assert 'state="half_open"' in state(node)[0]
    thread.join()
    assert first["answer"].status == 200
    assert [node.get("flaky").status for _ in range(10)] == [200] * 10
    assert 'state="closed"' in state(node)[0]


def turned_away(answer):
    return None if answer.status == 503 else answer


def in_flight(node):
    return sum(v for k, v in node.metrics().items() if k.startswith("heddle_requests_in_flight"))


def test_a_probe_that_fails_opens_it_again_for_longer(start_node, write_functions):
    node, _ = start(start_node, write_functions, cooldownMs=500)
    for _ in range(4):
        node.get("flaky")
    is_open(node.get("flaky"))
    eventually(lambda: node.get("flaky").status == 500, what="a probe")
    is_open(node.get("flaky"))
    node.wait_record(lambda r: r["msg"] == "circuit breaker open")


def test_4xx_do_not_count(start_node, write_functions):
    node, _ = start(start_node, write_functions, cooldownMs=30000)
    assert {node.get("flaky?status=404").status for _ in range(12)} == {404}


def test_killed_instances_open_no_breaker(start_node, write_functions):
    node, mood = start(start_node, write_functions, cooldownMs=30000)
    mood.write_text("good")
    assert node.get("flaky").status == 200
    for _ in range(6):
        for pid in node.children():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        answer = eventually(lambda: back(node.get("flaky")), what="the next instance")
        assert answer.status == 200
    assert node.metrics()['heddle_function_breaker_open{function="flaky"}'] == 0


def back(answer):
    assert answer.status in (200, 502, 503), answer
    if answer.status == 503:
        assert answer.json()["reason"] != "circuit_breaker_open", answer
    return answer if answer.status == 200 else None
