"""Bad days: instances killed and stopped, manifests broken, files touched, all under load. No answer
is wrong, none is missing, and what was counted is what was seen."""

import json
import os
import random
import signal
import time

from heddle import eventually
from load import Load
from sources import OPEN, manifest

SECONDS = float(os.environ.get("HEDDLE_TEST_CHAOS_S", "8"))
SEED = int(os.environ.get("HEDDLE_TEST_SEED", str(random.randrange(1 << 30))))

WORK = """
Deno.serve(async (req) => {
  const url = new URL(req.url);
  if (Math.random() < 0.2) await new Promise((done) => setTimeout(done, 20));
  return new Response(url.pathname + " " + await req.text());
});
"""

# What the contract lets a client see on such a day, and why.
ALLOWED = {
    200: {None},
    502: {"worker_unavailable", "worker_recycled"},
    503: {"function_warming", "queue_full", "queue_timeout", "function_boot_failed"},
    504: {None},
}


def check(path, answer, body):
    """The status, if the answer is one that may be; else what is wrong with it."""
    if answer.status == 200:
        right = body.decode().strip() == path.split("/functions/v1")[1]
        return 200 if right else f"wrong answer {body[:80]!r} to {path}"
    if answer.status not in ALLOWED:
        return f"status {answer.status}: {body[:120]!r}"
    reason = json.loads(body).get("reason")
    if answer.status != 504 and reason not in ALLOWED[answer.status]:
        return f"status {answer.status} for {reason}"
    return answer.status


def instances(node):
    """Pids of processes that belong to instances: whoever is below the node."""
    return node.children()


def kill(node, dice, how):
    pids = instances(node)
    if not pids:
        return
    try:
        os.kill(dice.choice(pids), how)
    except ProcessLookupError:
        pass


def total(node, name, **labels):
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    return sum(value for key, value in node.metrics().items()
               if key.split("{")[0] == name and all(w in key for w in wanted))


def counters_agree(node, load, functions):
    """The node's counters are what the client saw."""
    sent = sum(load.seen.values())
    eventually(lambda: sum(total(node, "heddle_requests_in_flight", function=f)
                           for f in functions) == 0, what="the end of all requests")
    assert total(node, "heddle_requests_total") == sent, load.seen
    for status_class in (2, 5):
        seen = sum(n for status, n in load.seen.items() if status // 100 == status_class)
        assert total(node, "heddle_function_responses_total", **{"class": f"{status_class}xx"}) \
            == seen, load.seen
    errors = sum(n for status, n in load.seen.items() if status >= 400)
    assert total(node, "heddle_errors_total") == errors
    assert total(node, "heddle_request_duration_seconds_count") == sent


def test_instances_are_killed_and_stopped_under_load(start_node, write_functions):
    dice = random.Random(SEED)
    print("seed", SEED)
    names = ["a", "b", "c"]
    files = {f"{name}/index.ts": WORK for name in names}
    files |= {f"{name}/heddle.json": manifest(concurrency=4, maxInstances=3, timeoutMs=1500, queue=50)
              for name in names}
    node = start_node(write_functions(files))
    for name in names:
        assert node.get(name).status == 200
    before = total(node, "heddle_requests_total")
    with Load(node, names, connections=8, check=check) as load:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            kill(node, dice, signal.SIGKILL if dice.random() < 0.7 else signal.SIGSTOP)
            time.sleep(dice.uniform(0.05, 0.4))
    wrong = [what for what in load.seen if not isinstance(what, int)]
    assert not wrong, (wrong, load.problems)
    assert load.seen[200] > 100, load.seen
    for name in names:  # and it heals; a pause after many crashes is 30 s at most
        eventually(lambda: node.get(name).status == 200, 90, what="its recovery")
    assert load.slowest < 15, load.slowest
    extra = total(node, "heddle_requests_total") - before - sum(load.seen.values())
    assert extra >= len(names)
    assert total(node, "heddle_function_breaker_open") == 0


def test_counters_add_up_with_what_clients_saw(start_node, write_functions):
    dice = random.Random(SEED)
    print("seed", SEED)
    node = start_node(write_functions({
        "a/index.ts": WORK, "a/heddle.json": manifest(concurrency=2, maxInstances=1, queue=3)}))
    with Load(node, ["a"], connections=12, check=check) as load:  # more than there is room for
        eventually(lambda: load.seen[503] > 20, what="a full queue")
        for _ in range(3):
            kill(node, dice, signal.SIGKILL)
            time.sleep(0.3)
        eventually(lambda: load.seen[200] > 20, what="answers")
    assert all(isinstance(what, int) for what in load.seen), (load.seen, load.problems)
    counters_agree(node, load, ["a"])
    refused = total(node, "heddle_rejected_total")
    assert refused == sum(n for status, n in load.seen.items() if status >= 400)


def test_every_file_is_touched_and_a_manifest_broken_under_load(start_node, write_functions):
    names = [f"f{n}" for n in range(5)]
    files = {f"{name}/index.ts": 'import "../_shared/x.ts";\n' + WORK for name in names}
    files |= {f"{name}/heddle.json": OPEN for name in names}
    files["_shared/x.ts"] = "export {};\n"
    functions = write_functions(files)
    node = start_node(functions, command="dev")
    for name in names:
        eventually(lambda: node.get(name).status == 200, what=name)
    with Load(node, names[1:], connections=4, check=check) as load:
        for round in range(4):
            for path in functions.rglob("*.ts"):
                path.write_text(path.read_text().rstrip("\n") + f"\n// {round}\n")
            (functions / "f0/heddle.json").write_text('{ "timeoutMs": ' if round % 2 == 0 else OPEN)
            seen = node.metrics()["heddle_reloads_total"]
            eventually(lambda: node.metrics()["heddle_reloads_total"] > seen
                       or round > 0, what="a reload")
            time.sleep(0.5)
    assert set(load.seen) == {200}, (load.seen, load.problems)
    eventually(lambda: node.get("f0").status == 200, what="the mended manifest")
