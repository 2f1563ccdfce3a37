"""Event lanes over a real RabbitMQ: what lies on the queue, retries, dead letters, and a broker or a
consumer that goes away in the middle."""

import concurrent.futures
import contextlib
import json
import re
import signal
import subprocess
import threading

import pytest

import rabbit
from amqp import Amqp
from heddle import INTERNAL_KEY, Node, bearer, binary, eventually
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
  while (event.waits && !existsSync(process.env.SEEN + ".go"))
    await new Promise((resolve) => setTimeout(resolve, 20));
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
    q: { driver: rabbitmq, url: '%s', queue: { %s }, prefetch: 8,
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
    """nodes(): (api, worker), name of a queue of their own; `worker` None when not wanted."""
    name = "t-" + request.node.name[:40].replace("[", "-").replace("]", "")

    def start(worker=True, url=None, queue=None, ready=True):
        functions = write_functions({"hook/index.mjs": HOOK,
                                     "hook/heddle.json": NODE % (tmp_path / "seen")})
        (tmp_path / "heddle.yml").write_text(
            CONFIG % (url or broker.url, queue or f"name: {name}, dead_letter: {name}.dlq"))
        made = [start_node(functions, "--data-dir", folder, "--sandbox", "off",
                           env={"PROFILE": profile})
                for profile, folder in (("api", "a"), ("worker", "w"))[:2 if worker else 1]]
        for node in made if ready else []:
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
    kill(worker)
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


def queue_status(node, data_dir="a"):
    return node.admin("/lanes/v1/status", data_dir=data_dir).json()["queues"][0]


def test_a_lane_of_others_goes_back_slowly(nodes, tmp_path, broker):
    (api, worker), name = nodes()
    amqp_publish(broker, name, json.dumps({
        "laneId": "theirs", "eventId": "app.events.placed", "payload": "1", "id": "m-1",
        "source": {"kind": "runtime", "id": "r"}, "attempts": 0}).encode())
    skipped = [worker.wait_record(lambda r: r["msg"] == "event-lanes.skip-inactive-lane", 60)]
    assert skipped[0]["messageId"] == "m-1" and skipped[0]["laneId"] == "theirs"
    assert skipped[0]["profile"] == "worker" and skipped[0]["activeLaneIds"] == "orders"
    assert broker.queues()[name] == (1, 1)  # held back, not going round
    emit(api, {"i": 1})
    eventually(lambda: [s["event"] for s in seen(tmp_path)] == [{"i": 1}], 60)
    counted = worker.admin("/metrics", data_dir="w").body.decode()
    skips = int(re.search(r"lanes_events_skipped_total{lane=.unknown.} (\d+)", counted).group(1))
    assert 1 <= skips < 20


def test_a_slow_consumer_holds_its_prefetch_and_no_more(nodes, tmp_path, broker):
    (api, worker), name = nodes()
    emit(api, {"i": 0, "slow": True})
    eventually(lambda: seen(tmp_path), 60)
    before, count, size = worker.rss_kb(), 200, 200000
    for i in range(1, count):
        body = json.dumps({"i": i, "slow": True, "fill": "x" * size})
        assert api.admin("/lanes/v1/events/placed", body, data_dir="a").status == 202
    eventually(lambda: broker.queues()[name] == (count, 8), 60, what="a full window")
    assert queue_status(worker, "w")["inflight"] == 8
    grown = worker.rss_kb() - before
    assert grown < count * size / 1024, f"{grown} kB more for {count} messages of {size} bytes"
    kill(worker)  # its hooks would take a minute


def kill(node):
    node.process.send_signal(signal.SIGKILL)
    node.process.wait()
    node.killed = True


def test_a_passive_node_declares_nothing_and_waits_for_who_does(nodes, broker):
    name = "passive-" + str(broker.port)
    (api, _), _ = nodes(worker=False, ready=False,
                        queue=f"name: {name}, assert: passive, dead_letter: {name}.dlq")
    eventually(lambda: "404" in (queue_status(api).get("lastError") or ""), 60)
    refused = emit(api, {"i": 1}, check=False)
    assert refused["retryable"] and "404" in refused["error"]["message"], refused
    assert not [q for q in broker.queues() if q.startswith(name)]
    client = Amqp(broker.port)
    client.declare(name + ".dlq")
    client.declare(name, **{"x-max-length": 5})
    client.close()
    api.wait_record(lambda r: r["msg"] == "lane queue connected", 60)
    assert emit(api, {"i": 1})["ok"]
    assert f"{name}\tclassic\t[{{\"x-max-length\",5}}]" in declared(broker)


def declared(broker):
    return broker.ctl("list_queues", "name", "type", "arguments")


def test_time_to_live_and_arguments_are_declared(nodes, broker):
    name = "args-" + str(broker.port)
    (api, _), _ = nodes(worker=False, queue=(
        f"name: {name}, message_ttl_ms: 100, arguments: {{ x-max-length: 1000, "
        f"x-overflow: reject-publish }}, dead_letter: {{ queue: {name}.dead, routing_key: {name}.dead }}"))
    line = next(row for row in declared(broker).splitlines() if row.startswith(name + "\t"))
    for part in ("quorum", '{"x-message-ttl",100}', '{"x-max-length",1000}',
                 '{"x-overflow","reject-publish"}', '{"x-dead-letter-exchange",[]}',
                 f'{{"x-dead-letter-routing-key","{name}.dead"}}'):
        assert part in line, line
    assert f"{name}.dead\tclassic\t[]" in declared(broker)
    emit(api, {"i": 1})
    eventually(lambda: broker.queues()[name + ".dead"] == (1, 0), 60, what="an expired message")


def test_a_queue_that_is_there_with_other_arguments_is_said(nodes, broker):
    name = "other-" + str(broker.port)
    client = Amqp(broker.port)
    client.declare(name)  # classic
    (api, _), _ = nodes(worker=False, ready=False, queue=f"name: {name}")
    said = eventually(lambda: queue_status(api).get("lastError"), 60)
    assert f"declaring the queue {name}" in said and "406 PRECONDITION_FAILED" in said, said
    client.close()


def amqp_publish(broker, queue, body):
    client = Amqp(broker.port)
    client.publish(queue, body, delivery_mode=2)
    eventually(lambda: sum(broker.queues()[queue]) > 0 or broker.queues()[queue + ".dlq"][0], 60)
    client.close()


def test_a_broker_that_is_killed_and_comes_back(tmp_path_factory, tmp_path, write_functions,
                                                start_node):
    own = rabbit.Rabbit(tmp_path_factory.mktemp("own"))
    try:
        own.start()
        functions = write_functions({"hook/index.mjs": HOOK,
                                     "hook/heddle.json": NODE % (tmp_path / "seen")})
        (tmp_path / "heddle.yml").write_text(CONFIG % (own.url, "name: t, dead_letter: t.dlq"))
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


def test_a_retry_that_is_under_way_when_the_network_is_cut_is_one_message(cable, tmp_path, broker):
    proxy, (api, worker), name = cable()
    emit(api, {"waits": True, "fails": True})
    eventually(lambda: seen(tmp_path), 60)
    proxy.stall()  # the message that takes its place is not confirmed
    (tmp_path / "seen.go").write_text("")
    retried = 'lanes_events_retried_total{lane="orders"} 1'
    eventually(lambda: retried in worker.get("/metrics", bearer(INTERNAL_KEY)).body.decode(), 60)
    proxy.cut()
    proxy.mend()
    eventually(lambda: broker.queues().get(name + ".dlq") == (1, 0) and
               broker.queues()[name] == (0, 0), 60, what="its dead letter, and nothing else")
    assert len(seen(tmp_path)) == 3


def gauge(node, name):
    text = node.get("/metrics", bearer(INTERNAL_KEY)).body.decode()
    return next(line.rsplit(" ", 1)[1] for line in text.splitlines()
                if line.startswith("lanes_queue_" + name))


def test_a_broker_without_memory_takes_nothing_for_a_while(nodes, tmp_path, broker):
    (api, worker), name = nodes()
    with load_on(api) as (accepted, refused):
        eventually(lambda: len(accepted) >= 3, 60)
        broker.ctl("set_vm_memory_high_watermark", "absolute", "1MB")
        try:
            eventually(lambda: len(refused) >= 2, 60, what="refusals")
            said = api.wait_record(lambda r: r["msg"].startswith("the broker takes no messages"), 60)
            assert "low on memory" in said["reason"], said
            assert gauge(api, "blocked") == "1" and gauge(api, "connected") == "1"
            assert queue_status(api)["blocked"] is True
            assert "low on memory" in queue_status(api)["lastError"]
        finally:
            broker.ctl("set_vm_memory_high_watermark", "absolute", "1GB")
        api.wait_record(lambda r: r["msg"] == "the broker takes messages again", 60)
        before = len(accepted)
        eventually(lambda: len(accepted) >= before + 3, 60, what="acceptance again")
        assert gauge(api, "blocked") == "0"
    assert all(answer["retryable"] for answer in refused), refused
    assert any("takes no messages now: low on memory" in answer["error"]["message"]
               for answer in refused), refused
    eventually(lambda: accepted <= {s["event"]["i"] for s in seen(tmp_path)}, 60,
               what="every accepted event")
    assert not any("disconnected" in r["msg"] for r in api.records() + worker.records())
    eventually(lambda: broker.queues()[name] == (0, 0), 60)


def test_a_retry_waits_for_a_broker_without_memory(nodes, tmp_path, broker):
    (api, worker), name = nodes()
    emit(api, {"waits": True, "fails": True})
    eventually(lambda: seen(tmp_path), 60)
    broker.ctl("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        (tmp_path / "seen.go").write_text("")
        # its first retry is taken, and tells the node; the next one is held
        eventually(lambda: gauge(worker, "blocked") == "1", 60)
    finally:
        broker.ctl("set_vm_memory_high_watermark", "absolute", "1GB")
    eventually(lambda: broker.queues().get(name + ".dlq") == (1, 0) and
               broker.queues()[name] == (0, 0), 60, what="its dead letter, and nothing else")
    assert len(seen(tmp_path)) == 3


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
