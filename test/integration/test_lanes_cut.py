"""A network that is gone for half a minute, and nobody is told: packets are lost, connections stay.
Emissions, hooks and calls of three nodes go on by themselves afterwards, and nothing that was accepted
is lost. A file of its own, which others run beside: most of it is waiting."""

import concurrent.futures
import json
import subprocess
import threading
import time

import pytest

import rabbit
from heddle import binary, eventually
from proxy import Proxy

pytestmark = pytest.mark.skipif(rabbit.why_not() is not None, reason=str(rabbit.why_not()))

CUT_S = 30
NODE = {"runtime": "node", "verify_jwt": False}
HOOK = """
import { appendFileSync } from "node:fs";
export const handler = async (event) => appendFileSync(process.env.SEEN, event.i + "\\n");
"""
TASK = "export const handler = async (event) => ({ twice: 2 * event.n });"
CONFIG = """
lanes:
  profile: ${PROFILE}
  tasks: { charge: { lane: billing } }
  events: { placed: { lane: orders } }
  hooks: [ { event: placed, function: hook } ]
  event_lanes: { orders: { produce: true } }
  rpc_lanes: { billing: {} }
  queues:
    q: { driver: rabbitmq, url: '${BROKER}', queue: { name: cut, dead_letter: cut.dlq }, prefetch: 8,
         reconnect: { initial_delay_ms: 50, max_delay_ms: 300 } }
  communicators: { peer: { base_url: '${PEER}', token: edge, timeout_ms: 3000 } }
  profiles: { api: {}, worker: { consume: [orders] }, billing: { serve: [billing] } }
  bindings:
    - { lane: orders, queue: q, max_attempts: 3, retry_delay_ms: 10, auth: { secret: orders-secret } }
    - { lane: billing, communicator: peer, auth: { secret: billing-secret } }
  exposure: { http: { listen: { port: 0 }, auth: { tokens: [edge] } } }
"""


@pytest.fixture
def proxies():
    made = []

    def make(port):
        made.append(Proxy(port))
        return made[-1]
    yield make
    for proxy in made:
        proxy.close()


class Load:
    """Commands of the api node one after the other, and what came of each."""

    def __init__(self, node, make):
        self.node, self.make, self.i, self.good, self.bad = node, make, 0, {}, []
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.is_set():
            i, self.i = self.i, self.i + 1
            done = subprocess.run([str(binary()), *self.make(i), "--data-dir", "a"], text=True,
                                  cwd=self.node.cwd, env=self.node.env, capture_output=True, timeout=120)
            answer = json.loads(done.stdout or done.stderr)  # there is exactly one, whatever happens
            if answer.get("ok"):
                self.good[i] = answer
            else:
                self.bad.append(answer)


def test_half_a_minute_without_a_network(tmp_path, write_functions, start_node, proxies):
    broker = rabbit.Rabbit(tmp_path / "broker")
    pool = concurrent.futures.ThreadPoolExecutor(2)
    loads = []
    try:
        broker.start()
        to_broker = proxies(broker.port)
        functions = write_functions({
            "hook/index.mjs": HOOK, "charge/index.mjs": TASK, "charge/heddle.json": json.dumps(NODE),
            "hook/heddle.json": json.dumps({**NODE, "env": {"SEEN": str(tmp_path / "seen")}})})
        (tmp_path / "heddle.yml").write_text(CONFIG)

        def start(profile, peer="http://127.0.0.1:1"):
            return start_node(functions, "--data-dir", profile[0], "--sandbox", "off", env={
                "PROFILE": profile, "PEER": peer,
                "BROKER": f"amqp://guest:guest@127.0.0.1:{to_broker.port}/%2f"})

        billing, worker = start("billing"), start("worker")
        port = billing.wait_record(lambda r: r["msg"] == "ready")["exposure_port"]
        to_billing = proxies(port)
        api = start("api", f"http://127.0.0.1:{to_billing.port}/__runner")
        for node in (api, worker):
            node.wait_record(lambda r: r["msg"] == "lane queue connected", 60)

        emits = Load(api, lambda i: ["emit", "placed", json.dumps({"i": i})])
        calls = Load(api, lambda i: ["call", "charge", json.dumps({"n": i})])
        loads += [emits, calls]
        running = [pool.submit(load.run) for load in loads]
        eventually(lambda: len(emits.good) >= 5 and len(calls.good) >= 5, 60, what="that all works")

        to_broker.stall()
        to_billing.stall()
        end = time.monotonic() + CUT_S
        for node in (api, worker):
            node.wait_record(lambda r: r["msg"] == "lane queue disconnected, trying again", 60)
        eventually(lambda: emits.bad and calls.bad, 60, what="failures that are told")
        time.sleep(max(0, end - time.monotonic()))
        emitted, called = len(emits.good), len(calls.good)
        to_broker.mend()
        to_billing.mend()

        eventually(lambda: len(emits.good) >= emitted + 5, 60, what="emissions again")
        eventually(lambda: len(calls.good) >= called + 5, 60, what="calls again")
        for load in loads:
            load.stopping.set()
        for one in running:
            one.result(120)
        assert all(answer["retryable"] for answer in emits.bad), emits.bad
        assert {answer["error"]["code"] for answer in calls.bad} <= {"REQUEST_TIMEOUT", "UNREACHABLE"}
        assert all(answer["result"] == {"twice": 2 * i} for i, answer in calls.good.items())
        arrived = lambda: {int(i) for i in (tmp_path / "seen").read_text().split()}  # noqa: E731
        eventually(lambda: set(emits.good) <= arrived(), 60, what="every accepted event")
        eventually(lambda: broker.queues()["cut"] == (0, 0), 60, what="an empty queue")
        assert broker.queues()["cut.dlq"] == (0, 0)
    finally:
        for load in loads:
            load.stopping.set()
        pool.shutdown(wait=True)
        broker.kill()
