"""Event lanes over a real RabbitMQ: what lies on the queue, retries, dead letters, and a broker or a
consumer that goes away in the middle."""

import concurrent.futures
import contextlib
import json
import signal
import subprocess
import threading

import pytest

import rabbit
from heddle import Node, binary, eventually
from proxy import Proxy

pytestmark = pytest.mark.skipif(rabbit.why_not() is not None, reason=str(rabbit.why_not()))

NODE = '{"runtime": "node", "verify_jwt": false, "env": {"SEEN": "%s"}}'
HOOK = """
import { appendFileSync, existsSync } from "node:fs";
export const handler = async (event, context) => {
  const { attempt, messageId } = context.clientContext.heddle;
  appendFileSync(process.env.SEEN, JSON.stringify({ event, attempt, messageId }) + "\\n");
  if (event.slow && !existsSync(process.env.SEEN + ".go"))
    await new Promise((resolve) => setTimeout(resolve, 60000));
  if (event.fails) throw new Error("never");
};
"""
CONFIG = """
lanes:
  profile: ${PROFILE}
  events: { placed: { lane: orders } }
  hooks: [ { id: hook, event: placed, function: hook } ]
  event_lanes: { orders: { produce: true } }
  queues:
    q: { driver: rabbitmq, url: '%s', queue: { name: %s, dead_letter: %s.dlq }, prefetch: 8,
         reconnect: { initial_delay_ms: 50, max_delay_ms: 300 } }
  profiles: { api: {}, worker: { consume: [orders] } }
  bindings: [ { lane: orders, queue: q, prefetch: 8, max_attempts: 3, retry_delay_ms: 10,
                auth: { secret: lane-secret } } ]
"""


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    b = rabbit.Rabbit(tmp_path_factory.mktemp("rabbit"))
    try:
        yield b.start()
    finally:
        b.kill()


@pytest.fixture
def nodes(tmp_path, write_functions, start_node, broker, request):
    """nodes(): (api, worker, seen) on a queue of their own; `worker` None when not wanted."""
    name = "t-" + request.node.name[:40].replace("[", "-").replace("]", "")

    def start(worker=True, url=None):
        functions = write_functions({"hook/index.mjs": HOOK,
                                     "hook/heddle.json": NODE % (tmp_path / "seen")})
        (tmp_path / "heddle.yml").write_text(CONFIG % (url or broker.url, name, name))
        made = [start_node(functions, "--data-dir", folder, "--sandbox", "off",
                           env={"PROFILE": profile})
                for profile, folder in (("api", "a"), ("worker", "w"))[:2 if worker else 1]]
        for node in made:
            node.wait_record(lambda r: r["msg"] == "lane queue connected", 60)
        return made + ([None] if not worker else []), name
    return start


def seen(tmp_path):
    path = tmp_path / "seen"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def emit(node, event, check=True):
    done = subprocess.run([str(binary()), "emit", "placed", json.dumps(event), "--data-dir", "a"],
                          cwd=node.cwd, env=node.env, text=True, capture_output=True, timeout=120)
    assert not check or done.returncode == 0, done
    text = done.stdout or done.stderr
    assert text.startswith("{"), done
    return json.loads(text)


def test_an_event_goes_from_one_node_to_the_other(nodes, tmp_path, broker):
    (api, _), name = nodes()
    sent = emit(api, {"i": 1})
    eventually(lambda: [s["event"] for s in seen(tmp_path)] == [{"i": 1}], 60)
    assert seen(tmp_path)[0]["messageId"] == sent["messageId"]
    eventually(lambda: broker.queues()[name] == (0, 0), 60)


def test_a_failing_hook_is_tried_as_often_as_it_may_and_nothing_is_stuck(nodes, tmp_path, broker):
    (api, _), name = nodes()
    for i in range(5):
        emit(api, {"i": i, "fails": True})
    eventually(lambda: len(seen(tmp_path)) == 15, 60, what="15 runs")
    eventually(lambda: broker.queues() == {**broker.queues(), name: (0, 0),
                                           name + ".dlq": (5, 0)}, 60)
    assert sorted(s["attempt"] for s in seen(tmp_path)) == [1] * 5 + [2] * 5 + [3] * 5


def test_a_consumer_that_is_killed_in_a_hook_loses_nothing(nodes, tmp_path, broker):
    (api, worker), name = nodes()
    for i in range(12):
        emit(api, {"i": i, "slow": True})
    eventually(lambda: seen(tmp_path), 60)
    worker.process.send_signal(signal.SIGKILL)
    worker.process.wait()
    worker.killed = True
    (tmp_path / "seen.go").write_text("")
    again = Node(tmp_path, worker.functions, "--data-dir", "w", "--sandbox", "off",
                 env={"PROFILE": "worker"}).start()
    try:
        eventually(lambda: {s["event"]["i"] for s in seen(tmp_path)} == set(range(12)), 60)
        eventually(lambda: broker.queues()[name] == (0, 0), 60)
        again.stop()
    finally:
        again.kill()


def test_poison_is_rejected_at_once(nodes, tmp_path, broker):
    (api, worker), name = nodes()
    emit(api, {"ok": 1})
    eventually(lambda: seen(tmp_path), 60)
    amqp_publish(broker, name, b"not json")
    amqp_publish(broker, name, json.dumps({
        "laneId": "orders", "eventId": "app.events.placed", "payload": "1", "id": "x",
        "source": {"kind": "runtime", "id": "r"}, "attempts": 0}).encode())  # no token
    eventually(lambda: broker.queues().get(name + ".dlq", (0, 0))[0] == 2, 60)
    assert len(seen(tmp_path)) == 1
    reasons = {r.get("reason") for r in worker.records()
               if r["msg"] == "Event lane consumer rejected a permanent message."}
    assert reasons == {"undecodable", "unauthorized"}


def amqp_publish(broker, queue, body):
    """Publish by another client: librabbitmq's own tool, or the management-free ctl eval."""
    text = "<<" + ",".join(str(b) for b in body) + ">>"
    broker.ctl("eval", f"""
        X = rabbit_misc:r(<<"/">>, exchange, <<"">>),
        P = rabbit_basic:message(X, <<"{queue}">>, [{{delivery_mode, 2}}], {text}),
        rabbit_basic:publish(rabbit_basic:delivery(false, false, P, undefined)).""")


def test_a_broker_that_is_killed_and_comes_back(tmp_path_factory, tmp_path, write_functions,
                                                start_node):
    own = rabbit.Rabbit(tmp_path_factory.mktemp("own"))
    try:
        own.start()
        functions = write_functions({"hook/index.mjs": HOOK,
                                     "hook/heddle.json": NODE % (tmp_path / "seen")})
        (tmp_path / "heddle.yml").write_text(CONFIG % (own.url, "t", "t"))
        api, worker = (start_node(functions, "--data-dir", folder, "--sandbox", "off",
                                  env={"PROFILE": profile})
                       for profile, folder in (("api", "a"), ("worker", "w")))
        for node in (api, worker):
            node.wait_record(lambda r: r["msg"] == "lane queue connected", 60)
        eventually(lambda: own.has_on_disk("t"), 60, what="the queue on the broker's disk")
        with load_on(api) as (accepted, refused):
            eventually(lambda: len(accepted) >= 5, 60)
            own.kill()
            eventually(lambda: refused, 60, what="a refusal")
            own.start()
            before = len(accepted)
            eventually(lambda: len(accepted) >= before + 5, 90, what="acceptance after the restart")
        assert all(answer["retryable"] for answer in refused), refused
        eventually(lambda: accepted <= {s["event"]["i"] for s in seen(tmp_path)}, 60,
                   what="every accepted event")
    finally:
        own.kill()


@pytest.fixture
def cable(nodes, broker):
    """cable(url options): a proxy, and the api node that reaches the broker through it alone."""
    proxies = []

    def start(options=""):
        proxy = Proxy(broker.port)
        proxies.append(proxy)
        url = f"amqp://guest:guest@127.0.0.1:{proxy.port}/%2f{options}"
        return proxy, *nodes(url=url)
    yield start
    for proxy in proxies:
        proxy.close()


def test_a_network_that_is_cut_and_mended(cable, tmp_path):
    proxy, (api, _), _ = cable()
    with load_on(api) as (accepted, refused):
        eventually(lambda: len(accepted) >= 5, 60)
        proxy.cut()
        eventually(lambda: len(refused) >= 3, 60, what="refusals")
        before = len(accepted)
        proxy.mend()
        eventually(lambda: len(accepted) >= before + 5, 60, what="acceptance again")
    assert all(answer["retryable"] for answer in refused), refused
    eventually(lambda: accepted <= {s["event"]["i"] for s in seen(tmp_path)}, 60,
               what="every accepted event")


def test_a_network_that_stalls_is_noticed_by_producer_and_consumer(cable, tmp_path):
    proxy, (api, worker), _ = cable("?heartbeat=1")
    with load_on(api) as (accepted, refused):
        eventually(lambda: len(accepted) >= 5, 60)
        before = len(worker.records())
        proxy.stall()  # nothing is closed, nothing arrives: only time tells
        worker.wait_record(lambda r: r["msg"] == "lane queue disconnected, trying again", 60)
        assert "heartbeat" in next(
            r["error"] for r in worker.records()[before:] if "disconnected" in r["msg"])
        eventually(lambda: refused, 60, what="a refusal")
        before = len(accepted)
        proxy.mend()
        eventually(lambda: len(accepted) >= before + 5, 60, what="acceptance again")
    assert all(answer["retryable"] for answer in refused), refused
    eventually(lambda: accepted <= {s["event"]["i"] for s in seen(tmp_path)}, 60,
               what="every accepted event")


@contextlib.contextmanager
def load_on(api):
    """Emissions one after the other, {"i": 0} and so on: which were accepted, and the refusals."""
    accepted, refused, stop = set(), [], threading.Event()

    def load():
        i = 0
        while not stop.is_set():
            answer = emit(api, {"i": i}, check=False)
            if answer.get("ok"):
                accepted.add(i)
            else:
                refused.append(answer)
            i += 1

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(load)
        try:
            yield accepted, refused
        finally:
            stop.set()
        running.result()
