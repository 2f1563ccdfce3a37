"""The tour of examples/lanes: an HTTP request calls a task on a second node, which emits an event that a
third one consumes; one of them is killed in the middle, under load, and nothing that was accepted is lost."""

import concurrent.futures
import json
import os
import re
import shutil
import signal
import subprocess
import threading

import pytest

import hostdriver
import rabbit
from heddle import Node, binary, eventually

EXAMPLE = hostdriver.REPOSITORY / "examples" / "lanes"
ORDERS, CLIENTS = 90, 6
PREFETCH = 8

pytestmark = pytest.mark.skipif(hostdriver.missing("deno") is not None, reason=str(hostdriver.missing("deno")))


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    if rabbit.why_not() is not None:
        pytest.skip(rabbit.why_not())
    b = rabbit.Rabbit(tmp_path_factory.mktemp("rabbit"))
    try:
        yield b.start()
    finally:
        b.kill()


class Tour:
    """Nodes of the example, and clients that order."""

    def __init__(self, folder, env):
        self.folder, self.env = folder, {"BILLING_PORT": rabbit.free_port(), **env}
        shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
        for path in (folder, *folder.parents):
            if os.stat(path).st_uid == os.getuid() and len(path.parts) > 2:
                os.chmod(path, 0o755)
        self.outbox = folder / "outbox"
        self.nodes = []
        self.accepted, self.refused = [], []
        self.lock = threading.Lock()

    def start(self, role):
        node = Node(self.folder, self.folder / "functions", "--data-dir", f".heddle-{role}", "--sandbox", "off",
                    "--trusted-proxies", "127.0.0.1", env={**self.env, "OUTBOX": self.outbox, "MAIL_MS": 10, "ORDERS_ROLE": role})
        self.nodes.append(node)
        return node.start()

    def kill_9(self, node):
        node.process.send_signal(signal.SIGKILL)
        node.process.wait()
        node.killed = True

    def mails(self):
        text = self.outbox.read_text() if self.outbox.exists() else ""
        return [json.loads(line)["order"] for line in text.splitlines() if line.endswith("}")]

    def order(self, node, amount=30):
        """Order once; what was accepted and what was not is kept apart."""
        try:
            answer = node.post("order", json.dumps({"amount": amount}), timeout=60)
        except OSError:
            answer = None
        with self.lock:
            if answer is not None and answer.status == 201:
                self.accepted.append(answer.json()["order"])
            else:
                self.refused.append(answer)

    def load(self, node, orders=ORDERS):
        """Orders from several clients, on the way when this returns."""
        pool = concurrent.futures.ThreadPoolExecutor(CLIENTS)
        work = [pool.submit(self.order, node) for _ in range(orders)]
        pool.shutdown(wait=False)
        return work

    def end(self):
        try:
            for node in self.nodes:
                node.stop()
        finally:
            for node in self.nodes:
                node.kill()


@pytest.fixture
def tour(tmp_path, request):
    made = []

    def make(**env):
        made.append(Tour(tmp_path / "tour", env))
        request.node.nodes = made[-1].nodes
        return made[-1]

    (tmp_path / "tour").mkdir()
    yield make
    for it in made:
        it.end()


def three_nodes(tour, broker):
    it = tour(ORDERS_QUEUE="rabbitmq", RABBITMQ_URL=broker.url)
    return it, it.start("billing"), it.start("api"), it.start("worker")


def test_three_nodes_and_the_worker_is_killed_in_the_middle(tour, broker):
    it, _, api, worker = three_nodes(tour, broker)
    it.order(api)
    eventually(lambda: it.mails() == it.accepted, 60, what="the first mail")
    work = it.load(api)
    eventually(lambda: len(it.mails()) >= ORDERS // 6, 60, what="mails under load")
    it.kill_9(worker)
    before = len(set(it.mails()))
    concurrent.futures.wait(work, 120)
    assert it.refused == [] and len(it.accepted) == ORDERS + 1 # the others did not even notice
    assert len(set(it.mails())) == before < len(it.accepted)
    it.start("worker")
    eventually(lambda: set(it.mails()) == set(it.accepted), 90, what="all mails")
    assert len(it.mails()) - len(it.accepted) <= PREFETCH # twice only what was on its way
    eventually(lambda: broker.queues().get("orders.mail") == (0, 0), 60, what="an empty queue")
    assert broker.queues()["orders.mail.dead"] == (0, 0)


def test_a_declared_error_comes_back_through_both_doors(tour):
    it = tour()
    answer = it.start("all").post("order", json.dumps({"amount": 300}), timeout=60)
    assert answer.status == 402 and answer.json() == {"error": "the card is good for 100, not for 300", "limit": 100}


def test_without_billing_orders_are_refused_and_not_lost(tour):
    it = tour(ORDERS_QUEUE="memory")
    answer = it.start("api").post("order", json.dumps({"amount": 3}), timeout=60)
    assert (answer.status, answer.get("retry-after")) == (503, "1")


def test_one_node_with_its_own_queue_is_killed_in_the_middle(tour):
    it = tour()
    node = it.start("all")
    it.order(node)
    work = it.load(node)
    eventually(lambda: len(it.accepted) > ORDERS // 3 and it.mails(), 60, what="orders under load")
    it.kill_9(node)
    concurrent.futures.wait(work, 120)
    assert it.refused # the rest
    it.start("all")
    eventually(lambda: set(it.mails()) >= set(it.accepted), 90, what="all mails of what was accepted")


# One trace --------------------------------------------------------------------------------------------

SEEING = {
    "order/index.ts": """
import { call } from "heddle";
Deno.serve(async (req) => {
  await call("charge", { order: "t", amount: 1 });
  return Response.json({ order: "t", trace: req.headers.get("traceparent") }, { status: 201 });
});
""",
    "mailer/index.mjs": """
import { appendFileSync } from "node:fs";
export default { async fetch(request) {
  appendFileSync(process.env.OUTBOX, JSON.stringify({ order: request.headers.get("traceparent") }) + "\\n");
  return new Response("{}");
} };
""",
}


def spans_of(nodes, trace):
    """name -> record of the trace's spans."""
    found = {}
    for node in nodes:
        for record in node.records():
            if record.get("msg") == "span" and record["traceId"] == trace:
                assert record["name"] not in found, record
                found[record["name"]] = record
    return found


def test_one_trace_from_the_client_to_the_hook(tour, broker):
    it = tour(ORDERS_QUEUE="rabbitmq", RABBITMQ_URL=broker.url)
    for name, text in SEEING.items():
        (it.folder / "functions" / name).write_text(text)
    config = it.folder / "heddle.yml"
    config.write_text(config.read_text().replace("lanes:\n", "lanes:\n  debug: true\n", 1))
    billing, api, worker = it.start("billing"), it.start("api"), it.start("worker")
    trace, client = os.urandom(16).hex(), os.urandom(8).hex()
    answer = api.post("order", "{}", {"traceparent": f"00-{trace}-{client}-01"}, timeout=60)
    assert answer.status == 201, answer
    seen = {"order": answer.json()["trace"], "mailer": eventually(it.mails, 60)[0]}
    assert {text.split("-")[1] for text in seen.values()} == {trace} # and it is sampled everywhere
    assert {text.split("-")[3] for text in seen.values()} == {"01"}
    gateway = seen["order"].split("-")[2]
    assert gateway != client

    spans = eventually(lambda: (found := spans_of(it.nodes, trace)).keys() >= {"hook", "gateway"}
                       and found, 60)
    assert {name: spans_of([node], trace).keys() for name, node in (("a", api), ("b", billing), ("w", worker))} \
        == {"a": {"gateway", "call"}, "b": {"task", "emit"}, "w": {"queue", "hook"}}
    way = ["gateway", "call", "task", "emit", "queue", "hook"]
    above = [client] + [spans[name]["spanId"] for name in way]
    assert [spans[name]["parentSpanId"] for name in way] == above[:-1]
    assert spans["gateway"]["spanId"] == gateway and spans["gateway"]["of"] == "order"
    assert above[-1] == seen["mailer"].split("-")[2] # what the hook saw
    assert len(set(above)) == len(above)
    assert [spans[name]["lane"] for name in way] == ["", "billing", "billing", "mail", "mail", "mail"]
    assert all(spans[name]["ok"] for name in way)
    starts = [spans[name]["startMs"] for name in way]
    assert starts == sorted(starts) # one clock
    assert spans["emit"]["id"] == spans["queue"]["id"]


# The README -------------------------------------------------------------------------------------------

def blocks(section):
    text = (EXAMPLE / "README.md").read_text().split(f"## {section}\n")[1].split("\n## ")[0]
    return "\n".join(re.findall(r"```sh\n(.*?)```", text, re.S))


def paste(folder, script, **env):
    """What somebody gets who pastes it, with ports of its own."""
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
    (folder / "heddle").symlink_to(binary())
    ports = {str(port): str(rabbit.free_port()) for port in (3100, 3101, 3102, 3103, 8771, 8772, 8773)}
    script = re.sub(r"\b(" + "|".join(ports) + r")\b", lambda m: ports[m.group()], script)
    done = subprocess.run(["bash", "-eu"], input="trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n" + script, cwd=folder,
                          text=True, capture_output=True, timeout=180, start_new_session=True, env={
                              "PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder), "LANG": "C.UTF-8",
                              "HEDDLE_CONTROL_PORT": "0", "BILLING_PORT": str(rabbit.free_port()), **env,
                              **{key: os.environ[key] for key in os.environ if key.endswith("SAN_OPTIONS")}})
    assert "exit 1" not in done.stderr, done
    return done.stdout


def test_the_readme_works_when_pasted_one_node(tmp_path):
    out = paste(tmp_path / "x", blocks("One node"))
    assert "served here" in out and '"charged":30' in out and "the card is good for 100" in out, out
    assert re.search(r"mail: order [0-9a-f-]{36} is paid, 30", out), out


def test_the_readme_works_when_pasted_three_nodes(tmp_path, broker):
    out = paste(tmp_path / "x", blocks("Three nodes"), RABBITMQ_URL=broker.url)
    for amount in (40, 41, 42, 43):
        assert f'"charged":{amount}' in out and f"is paid, {amount}" in out, out
