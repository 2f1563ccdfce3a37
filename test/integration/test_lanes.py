"""Lanes end to end: tasks and hooks in real functions, RPC between nodes, the durable queue, the
command line, and what becomes of messages on bad days."""

import http.client
import json
import os
import signal
import subprocess

import pytest

from heddle import Node, binary, eventually

NODE = '{"runtime": "node", "verify_jwt": false}'
CHARGE = """
export const handler = async (event, context) => {
  if (event?.amount > 100) {
    const error = new Error(`need ${event.amount}`);
    error.name = "InsufficientFunds";
    error.errorData = { needed: event.amount };
    throw error;
  }
  if (event?.broken) throw new Error("secret detail");
  return { charged: event?.amount ?? null, context: context.clientContext.heddle };
};
"""
# Writes each event into a file, and fails as often as the event asks for.
MAILER = """
import { appendFileSync, readFileSync, existsSync } from "node:fs";
export const handler = async (event, context) => {
  const { attempt, messageId } = context.clientContext.heddle;
  appendFileSync(process.env.SEEN, JSON.stringify({ event, attempt, messageId }) + "\\n");
  if (event.slow && !existsSync(process.env.SEEN + ".go"))
    await new Promise((resolve) => setTimeout(resolve, 60000));
  if (attempt <= (event.fails ?? 0)) throw new Error("not yet");
};
"""
EMITTER = """
export default { async fetch(request) {
  const headers = { authorization: `Bearer ${process.env.HEDDLE_LANES_TOKEN}`,
    "content-type": "application/json" };
  const base = process.env.HEDDLE_LANES_URL + "/lanes/v1";
  const paid = await fetch(base + "/tasks/charge", { method: "POST", headers, body: '{"amount":7}' });
  const sent = await fetch(base + "/events/order-placed", { method: "POST", headers,
    body: JSON.stringify({ paid: await paid.json() }) });
  return Response.json({ status: sent.status, answer: await sent.json() });
} };
"""

ONE_NODE = """
lanes:
  tasks: { charge: { lane: billing } }
  events: { order-placed: { lane: orders } }
  hooks: [ { id: mail, event: order-placed, function: mailer } ]
  errors: { InsufficientFunds: { wire_id: app.errors.insufficient-funds, http_code: 402 } }
  contexts: [tenant]
  event_lanes: { orders: {} }
  rpc_lanes: { billing: { async_contexts: [tenant] } }
  queues: { q: %s }
  communicators: { self: { base_url: 'http://127.0.0.1:1' } }
  bindings:
    - { lane: orders, queue: q, max_attempts: 3, retry_delay_ms: 20 }
    - { lane: billing, communicator: self, auth: %s }
  exposure: { http: { listen: { port: 0 }, auth: { tokens: [edge] }, limits: { json: 2000 } } }
"""


@pytest.fixture
def lanes(tmp_path, write_functions, start_node):
    """lanes(config): a node with the functions above; node.seen() are the events of the hook."""
    def start(config, **more):
        functions = write_functions({
            "charge/index.mjs": CHARGE, "charge/heddle.json": NODE,
            "mailer/index.mjs": MAILER,
            "mailer/heddle.json": json.dumps({"runtime": "node", "verify_jwt": False,
                                              "env": {"SEEN": str(tmp_path / "seen/file")}}),
            "emitter/index.mjs": EMITTER, "emitter/heddle.json": NODE, **more})
        (tmp_path / "heddle.yml").write_text(config)
        (tmp_path / "seen").mkdir(exist_ok=True)
        os.chmod(tmp_path / "seen", 0o777)
        for folder in (tmp_path, *tmp_path.parents):
            if os.stat(folder).st_uid == os.getuid() and len(folder.parts) > 2:
                os.chmod(folder, 0o755)
        node = start_node(functions, "--sandbox", "off")
        node.exposure = node.wait_record(lambda r: r["msg"] == "ready")["exposure_port"]
        node.seen = lambda: [json.loads(line) for line in
                             read(tmp_path / "seen/file").splitlines() if line.endswith("}")]
        return node
    return start


def read(path):
    return path.read_text() if path.exists() else ""


def cli(node, *args, check=True):
    done = subprocess.run([str(binary()), *args], cwd=node.cwd, env=node.env, text=True,
                          capture_output=True, timeout=120)
    assert not check or done.returncode == 0, done
    return done


def rpc(node, path, body=None, method="POST", token="edge", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", node.exposure, timeout=30)
    fields = {**({"x-runner-token": token} if token else {}),
              **{key.replace("_", "-"): value for key, value in headers.items()}}
    connection.request(method, path, body, fields)
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), answer


def test_a_call_and_an_emission_from_the_command_line(lanes):
    node = lanes(ONE_NODE % ("{}", "{ mode: none }"))
    answer = json.loads(cli(node, "call", "charge", '{"amount":3}').stdout)
    assert answer["result"]["charged"] == 3
    assert answer["result"]["context"]["task"] == "app.tasks.charge"
    failed = cli(node, "call", "charge", '{"amount":300}', check=False)
    assert failed.returncode == 22 or failed.returncode > 0
    assert json.loads(failed.stderr)["error"]["data"] == {"needed": 300}
    sent = json.loads(cli(node, "emit", "order-placed", '{"id":7}').stdout)
    assert sent["lane"] == "orders" and sent["mode"] == "network"
    eventually(lambda: [s["event"] for s in node.seen()] == [{"id": 7}])
    assert node.seen()[0]["messageId"] == sent["messageId"]
    assert "orders" in cli(node, "lanes", "check").stdout
    assert "connected" in cli(node, "lanes", "status").stdout


def test_a_function_emits_and_calls(lanes):
    node = lanes(ONE_NODE % ("{}", "{ mode: none }"))
    answer = node.get("emitter").json()
    assert answer["status"] == 202, answer
    eventually(lambda: node.seen())
    assert node.seen()[0]["event"]["paid"]["result"]["charged"] == 7


def test_the_wire_is_byte_for_byte_that_of_the_peers(lanes):
    node = lanes(ONE_NODE % ("{}", "{ mode: none }"))
    status, body, answer = rpc(node, "/__runner/task/app.tasks.charge", '{"input":{"amount":300}}',
                               x_runner_request_id=" req-1 ")
    assert (status, body) == (402, '{"ok":false,"error":{"message":"need 300","code":'
                              '"INTERNAL_ERROR","id":"app.errors.insufficient-funds","data":'
                              '{"needed":300},"httpCode":402}}')
    assert answer.getheader("x-runner-request-id") == "req-1"
    assert answer.getheader("x-content-type-options") == "nosniff"
    assert answer.getheader("x-frame-options") == "DENY"
    assert answer.getheader("access-control-allow-origin") == "*"
    assert answer.getheader("content-type") == "application/json; charset=utf-8"
    cases = [
        (500, '{"ok":false,"error":{"message":"Internal Error","code":"INTERNAL_ERROR"}}',
         "/__runner/task/app.tasks.charge", '{"input":{"broken":true}}', {}),
        (400, '{"ok":false,"error":{"message":"Invalid JSON body","code":"INVALID_JSON"}}',
         "/__runner/task/charge", "{", {}),
        (413, '{"ok":false,"error":{"message":"Payload too large","code":"PAYLOAD_TOO_LARGE"}}',
         "/__runner/task/charge", '{"input":"' + "x" * 2000 + '"}', {}),
        (401, '{"ok":false,"error":{"message":"Unauthorized","code":"UNAUTHORIZED"}}',
         "/__runner/task/charge", "{}", {"token": None}),
        (401, '{"ok":false,"error":{"message":"Unauthorized","code":"UNAUTHORIZED"}}',
         "/__runner/task/charge", "{}", {"token": "other"}),
        (403, '{"ok":false,"error":{"message":"Task nobody not exposed","code":"FORBIDDEN"}}',
         "/__runner/task/nobody", "{}", {}),
        (403, '{"ok":false,"error":{"message":"Event order-placed not exposed","code":"FORBIDDEN"}}',
         "/__runner/event/order-placed", "{}", {}),
        (405, '{"ok":false,"error":{"message":"Method Not Allowed","code":"METHOD_NOT_ALLOWED"}}',
         "/__runner/task/charge", None, {"method": "GET"}),
        (404, '{"ok":false,"error":{"message":"Not Found","code":"NOT_FOUND"}}',
         "/elsewhere", "{}", {}),
        (200, '{"ok":true,"result":{"allowList":{"enabled":true,"tasks":["app.tasks.charge"],'
         '"events":[]}}}', "/__runner/discovery", None, {"method": "GET"}),
    ]
    for status, body, path, sent, how in cases:
        assert rpc(node, path, sent, **how)[:2] == (status, body), path
    status, body, answer = rpc(node, "/__runner/task/x", None, method="OPTIONS", token=None)
    assert status == 204 and answer.getheader("access-control-allow-methods") == "POST, OPTIONS"


def test_contexts_pass_where_the_lane_lets_them(lanes):
    node = lanes(ONE_NODE % ("{}", "{ mode: none }"))
    context = '{"app.asyncContexts.tenant":"t-1","app.asyncContexts.other":"x"}'
    _, body, _ = rpc(node, "/__runner/task/charge", '{"input":{"amount":1}}',
                     x_runner_context=context)
    assert json.loads(body)["result"]["context"]["contexts"] == {"app.asyncContexts.tenant": "t-1"}


def test_a_hook_that_fails_is_tried_again_and_then_a_dead_letter(lanes):
    node = lanes(ONE_NODE % ("{}", "{ mode: none }"))
    cli(node, "emit", "order-placed", '{"fails":2}')
    eventually(lambda: [s["attempt"] for s in node.seen()] == [1, 2, 3])
    cli(node, "emit", "order-placed", '{"fails":9}')
    dead = eventually(lambda: json.loads(cli(node, "lanes", "dlq", "list", "orders").stdout)
                      ["messages"], what="a dead letter")
    assert len(dead) == 1 and json.loads(dead[0]["message"])["attempts"] == 2
    assert len(node.seen()) == 6
    assert json.loads(cli(node, "lanes", "dlq", "retry", "orders").stdout)["messages"] == 1
    eventually(lambda: len(node.seen()) == 7)
    eventually(lambda: json.loads(cli(node, "lanes", "dlq", "list", "orders").stdout)["messages"])
    cli(node, "lanes", "dlq", "drop", "orders")
    assert json.loads(cli(node, "lanes", "dlq", "list", "orders").stdout)["messages"] == []


def test_dead_letters_are_listed_whole_and_none_is_dropped_by_mistake(lanes):
    node = lanes(ONE_NODE % ("{}", "{ mode: none }"))
    fill = '"' * 2_200_000  # each of them takes eight bytes in the list
    sent = node.admin("/lanes/v1/events/order-placed", json.dumps({"fails": 9, "fill": fill}))
    assert sent.status == 202, sent

    def listed():
        answer = node.admin("/lanes/v1/dlq?queue=orders")
        return answer.status == 200 and answer.json()["messages"]
    message = eventually(listed, 60)[0]["message"]
    assert json.loads(json.loads(message)["payload"])["fill"] == fill
    for wrong in ("0", "x"):
        refused = node.admin("/lanes/v1/dlq/drop?queue=orders&seq=" + wrong, "")
        assert refused.status == 400 and "seq" in refused.json()["error"]["message"], refused
    assert len(listed()) == 1


def test_a_lane_may_have_any_name(lanes):
    name = 'r&d=1 50%+"x"'
    config = (ONE_NODE % ("{}", "{ mode: none }")).replace(
        "lane: orders", f"lane: '{name}'").replace(
        "event_lanes: { orders: {} }", "event_lanes: { '%s': {} }" % name)
    node = lanes(config)
    cli(node, "emit", "order-placed", '{"fails":9}')
    dead = eventually(lambda: json.loads(cli(node, "lanes", "dlq", "list", name).stdout)["messages"],
                      what="a dead letter")
    assert json.loads(cli(node, "lanes", "dlq", "drop", name,
                          str(dead[0]["seq"])).stdout)["messages"] == 1
    assert json.loads(cli(node, "lanes", "dlq", "list", name).stdout)["messages"] == []
    for wrong in ("%zz", "x" * 300, ""):
        assert node.admin("/lanes/v1/dlq?queue=" + wrong).status == 404


def test_a_token_ends_with_its_instance(lanes):
    node = lanes(ONE_NODE % ("{}", "{ mode: none }"), **{
        "teller/heddle.json": NODE, "teller/index.mjs": '''
export default { async fetch(request) {
  if (request.url.endsWith("/leave")) setTimeout(() => process.exit(0), 1);
  return Response.json([process.pid, process.env.HEDDLE_LANES_URL, process.env.HEDDLE_LANES_TOKEN]);
} };
'''})

    def ask(token):
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
        connection.request("POST", "/lanes/v1/tasks/charge", '{"amount":1}',
                           {"Authorization": "Bearer " + token})
        return connection.getresponse().status

    pid, url, token = node.get("/functions/v1/teller").json()
    assert ask(token) == 200
    name, instance, proof = token.rsplit(".", 2)
    assert name == "teller"
    for forged in (f"charge.{instance}.{proof}", f"{name}.{'A' * 16}.{proof}", f"{name}.{proof}",
                   f"{name}.{instance}.", token[:-1], ""):
        assert ask(forged) == 401, forged
    node.get("/functions/v1/teller/leave")
    eventually(lambda: ask(token) == 401, what="the end of the token")

    def another():
        answer = node.get("/functions/v1/teller")
        return answer.status == 200 and answer.json()[0] != pid and answer.json()
    assert ask(eventually(another)[2]) == 200
    assert ask(token) == 401


DEADLY = """
import { appendFileSync, readFileSync } from "node:fs";
const field = (pid, name) =>
  readFileSync(`/proc/${pid}/status`, "utf8").split(`${name}:\\t`)[1].split("\\n")[0];
export const handler = async (event, context) => {
  const { attempt } = context.clientContext.heddle;
  appendFileSync(process.env.SEEN, JSON.stringify({ event, attempt }) + "\\n");
  if (event.deadly) {
    let node = 0;
    for (let pid = process.ppid; pid > 1; pid = Number(field(pid, "PPid")))
      if (field(pid, "Name") === "heddle") node = pid;
    process.kill(node, "SIGKILL");
  }
  if (event.deadly || (event.slow && attempt < 3)) await new Promise((r) => setTimeout(r, 300000));
};
"""


def test_a_host_that_waits_may_reach_the_lanes(tmp_path, write_functions, start_node):
    functions = write_functions({
        "charge/index.mjs": CHARGE, "charge/heddle.json": NODE,
        "caller/index.ts": '''
import { call } from "heddle";
Deno.serve(async () => Response.json(await call("charge", { amount: 1 })));
''', "caller/heddle.json": '{"verify_jwt": false, "permissions": {"net": []}}'})
    (tmp_path / "heddle.yml").write_text("lanes: { tasks: { charge: {} } }")
    node = start_node(functions, "--sandbox", "off", "--prewarm", "1", "--lazy", "--enforce-manifest")
    eventually(lambda: node.metrics()["heddle_prewarm_hosts"] >= 2, what="hosts that wait")
    assert node.get("/functions/v1/caller", timeout=60).json()["charged"] == 1
    starts = {host: node.metrics()[f'heddle_prewarm_starts_total{{host="{host}"}}']
              for host in ("ready", "starting", "none")}
    assert int(starts["none"]) == 0 and int(starts["ready"]) + int(starts["starting"]) == 2, starts


def test_a_message_of_which_nodes_die_is_a_dead_letter_and_no_other(lanes, tmp_path):
    node = lanes(ONE_NODE % ("{ concurrency: 4 }", "{ mode: none }"), **{"mailer/index.mjs": DEADLY})
    cli(node, "emit", "order-placed", '{"slow":1}')
    cli(node, "emit", "order-placed", '{"slow":2}')
    eventually(lambda: len(node.seen()) == 2, what="hooks that run beside the deadly one")
    cli(node, "emit", "order-placed", '{"deadly":true}', check=False)
    node.process.wait()
    node.killed = True
    for death in (2, 3):  # each of these finds it in the queue
        again = Node(tmp_path, node.functions, "--sandbox", "off")
        again.spawn()
        try:
            eventually(lambda: again.process.poll() is not None, 120, what=f"death {death}")
        finally:
            again.kill()
    last = Node(tmp_path, node.functions, "--sandbox", "off").start()
    try:
        dead = eventually(lambda: json.loads(cli(last, "lanes", "dlq", "list", "orders").stdout)
                          ["messages"], what="the dead letter")
        assert [json.loads(json.loads(d["message"])["payload"]) for d in dead] == [{"deadly": True}]
        assert dead[0]["reason"] == "node_died", dead
        eventually(lambda: sorted(s["event"]["slow"] for s in node.seen()
                                  if s["attempt"] == 3 and "slow" in s["event"]) == [1, 2])
        assert [s["attempt"] for s in node.seen() if "deadly" in s["event"]] == [1, 2, 3]
        cli(last, "emit", "order-placed", '{"i":1}')
        eventually(lambda: node.seen()[-1]["event"] == {"i": 1})
        last.stop()
    finally:
        last.kill()


def test_what_was_accepted_survives_kill_9_in_the_middle_of_a_hook(lanes, tmp_path):
    node = lanes(ONE_NODE % ("{ concurrency: 4 }", "{ mode: none }"))
    for i in range(20):
        cli(node, "emit", "order-placed", json.dumps({"i": i, "slow": True}))
    eventually(lambda: len(node.seen()) >= 1, what="a hook that runs")
    node.process.send_signal(signal.SIGKILL)
    node.process.wait()
    node.killed = True
    before = {s["event"]["i"] for s in node.seen()}
    assert len(before) < 20
    (tmp_path / "seen/file.go").write_text("")
    again = Node(tmp_path, node.functions, "--sandbox", "off").start()
    try:
        eventually(lambda: {s["event"]["i"] for s in node.seen()} == set(range(20)), 60)
        again.stop()
    finally:
        again.kill()


TWO_NODES = """
lanes:
  profile: ${PROFILE}
  tasks: { charge: { lane: billing } }
  errors: { InsufficientFunds: { http_code: 402 } }
  rpc_lanes: { billing: { async_contexts: [] } }
  communicators: { peer: { base_url: 'http://127.0.0.1:${PEER:-1}/__runner', token: edge } }
  profiles: { api: {}, billing: { serve: [billing] } }
  bindings: [ { lane: billing, communicator: peer, auth: %s } ]
  exposure: { http: { listen: { port: 0 }, auth: { tokens: [edge] } } }
"""


@pytest.mark.parametrize("auth", ["none", "hmac", "EdDSA", "ES256", "RS256"])
def test_two_nodes_call_each_other_with_each_kind_of_token(
        tmp_path, write_functions, start_node, auth):
    how = {"none": "{ mode: none }", "hmac": "{ secret: lane-secret }"}.get(auth)
    if how is None:
        key = {"EdDSA": ["-algorithm", "ed25519"], "RS256": ["-algorithm", "rsa"],
               "ES256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]}[auth]
        subprocess.run(["openssl", "genpkey", *key, "-out", "key.pem"], cwd=tmp_path, check=True,
                       capture_output=True)
        subprocess.run(["openssl", "pkey", "-in", "key.pem", "-pubout", "-out", "key.pub"],
                       cwd=tmp_path, check=True)
        how = (f"{{ mode: jwt_asymmetric, algorithm: {auth}, private_key_file: key.pem, "
               "private_key_kid: k1, public_keys_by_kid: { k1: key.pub } }")
    functions = write_functions({"charge/index.mjs": CHARGE, "charge/heddle.json": NODE})
    (tmp_path / "heddle.yml").write_text(TWO_NODES % how)
    billing = start_node(functions, "--data-dir", "b", env={"PROFILE": "billing"})
    port = billing.wait_record(lambda r: r["msg"] == "ready")["exposure_port"]
    api = start_node(functions, "--data-dir", "a", env={"PROFILE": "api", "PEER": port})
    done = cli(api, "call", "charge", '{"amount":4}', "--data-dir", "a")
    assert json.loads(done.stdout)["result"]["charged"] == 4
    failed = cli(api, "call", "charge", '{"amount":400}', "--data-dir", "a", check=False)
    assert json.loads(failed.stderr)["error"]["data"] == {"needed": 400}
    billing.stop()
    gone = cli(api, "call", "charge", "1", "--data-dir", "a", check=False)
    assert json.loads(gone.stderr)["error"]["code"] == "UNREACHABLE"


def test_a_wrong_configuration_keeps_it_from_starting(tmp_path, write_functions, start_node):
    (tmp_path / "heddle.yml").write_text(
        "lanes:\n  events: { e: { lane: l } }\n  event_lanes: { l: {} }\n")
    node = start_node(write_functions({}), wait=False)
    node.expect_exit = 78
    assert node.process.wait(30) == 78
    eventually(lambda: "eventLanes-bindingNotFound" in node.text())
    assert "heddle.yml:3" in node.text()
