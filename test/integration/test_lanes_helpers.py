"""emit() and call() inside of functions, in each host: what comes back, errors by their kinds, time-outs,
and what of the invocation goes along by itself."""

import json
import os
import subprocess

import pytest

import hostdriver
from awslambda import Lambda
from heddle import Node, binary, eventually

NATIVE = binary().parent / "test" / "integration" / "native_function"

JS_BODY = """
  try {
    const options = {};
    for (const key of ["timeoutMs", "contexts", "requestId"])
      if (q[key] !== undefined) options[key] = q[key];
    const ask = q.lanes === "emit" ? emit : call;
    const results = await Promise.all(Array.from({ length: q.times ?? 1 },
      () => ask(q.name, q.value, { ...options, ...q.more })));
    return { result: q.times ? results : results[0] };
  } catch (e) {
    const kinds = { LaneTypedError, LaneTimeout, LaneUnavailable, LaneError };
    const kind = Object.keys(kinds).find((name) => e instanceof kinds[name]) ?? e.name;
    return { error: { kind, isLaneError: e instanceof LaneError, code: e.code, status: e.status,
      retryable: e.retryable, id: e.id ?? "", data: e.data, message: e.message } };
  }
"""
IMPORTED = "emit, call, LaneError, LaneTypedError, LaneTimeout, LaneUnavailable"
PYTHON = """
def failed(e):
    kinds = [LaneTypedError, LaneTimeout, LaneUnavailable, LaneError]
    kind = next((k.__name__ for k in kinds if isinstance(e, k)), type(e).__name__)
    return {"error": {"kind": kind, "isLaneError": isinstance(e, LaneError),
                      "code": getattr(e, "code", None), "status": getattr(e, "status", None),
                      "retryable": getattr(e, "retryable", None), "id": getattr(e, "id", ""),
                      "data": getattr(e, "data", None), "message": str(e)}}

def options(q):
    given = {"timeout": q["timeoutMs"] / 1000} if "timeoutMs" in q else {}
    if "contexts" in q:
        given["contexts"] = q["contexts"]
    if "requestId" in q:
        given["request_id"] = q["requestId"]
    return given
"""
NAMES = "from heddle import LaneError, LaneTimeout, LaneTypedError, LaneUnavailable"

PUBLIC = {"verify_jwt": False}
FILES = {
    "node/index.mjs": f"""
import {{ work }} from "./inside.mjs";
export default {{ async fetch(request) {{ return Response.json(await work(await request.json())); }} }};
""",
    "node/inside.mjs": f'import {{ {IMPORTED} }} from "heddle";\n'
                       f"export async function work(q) {{ {JS_BODY} }}\n",
    "node/heddle.json": json.dumps({"runtime": "node", **PUBLIC}),
    "commonjs/index.cjs": f'const {{ {IMPORTED} }} = require("heddle");\n'
                          f"async function work(q) {{ {JS_BODY} }}\n"
                          "exports.handler = async (event) => work(JSON.parse(event.body));\n",
    "commonjs/heddle.json": json.dumps({"runtime": "node", "entry": "index.cjs", **PUBLIC}),
    "deno/index.ts": f'import {{ {IMPORTED} }} from "heddle";\n'
                     f"async function work(q: any): Promise<any> {{ {JS_BODY} }}\n"
                     "Deno.serve(async (req) => Response.json(await work(await req.json())));\n",
    "deno/heddle.json": json.dumps({"runtime": "deno", "permissions": {"net": []}, **PUBLIC}),
    "python/index.py": f"""
import json
import heddle
{NAMES}
{PYTHON}
def handler(event, context):
    q = json.loads(event["body"])
    ask = heddle.emit if q["lanes"] == "emit" else heddle.call
    args = [q["value"]] if "value" in q else []
    try:
        if "times" in q:
            return {{"result": [ask(q["name"], *args, **options(q)) for _ in range(q["times"])]}}
        return {{"result": ask(q["name"], *args, **options(q))}}
    except Exception as e:
        return failed(e)
""",
    "python/heddle.json": json.dumps({"runtime": "python", **PUBLIC}),
    "asgi/index.py": f"""
import asyncio, json
from heddle import call_async, emit_async
{NAMES}
{PYTHON}
async def app(scope, receive, send):
    q = json.loads((await receive())["body"])
    ask = emit_async if q["lanes"] == "emit" else call_async
    args = [q["value"]] if "value" in q else []
    try:
        if "times" in q:
            result = await asyncio.gather(*(ask(q["name"], *args, **options(q)) for _ in range(q["times"])))
        else:
            result = await ask(q["name"], *args, **options(q))
        answer = {{"result": result}}
    except Exception as e:
        answer = failed(e)
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": json.dumps(answer).encode()}})
""",
    "asgi/heddle.json": json.dumps({"runtime": "python", **PUBLIC}),
    "c/heddle.json": json.dumps({"runtime": "http", "command": [str(NATIVE)], **PUBLIC}),
    # What they ask for.
    "echo/index.mjs": """
export default { async fetch(request) {
  return Response.json({ got: await request.json(), trace: request.headers.get("traceparent") });
} };
""",
    "echo/heddle.json": json.dumps({"runtime": "node", **PUBLIC}),
    "context/index.mjs": "export const handler = async (event, context) => context.clientContext.heddle;",
    "context/heddle.json": json.dumps({"runtime": "node", **PUBLIC}),
    "fails/index.py": """
class InsufficientFunds(Exception):
    pass

def handler(event, context):
    if event == "typed":
        error = InsufficientFunds("need 9")
        error.error_data = {"needed": 9}
        raise error
    raise RuntimeError("secret detail")
""",
    "fails/heddle.json": json.dumps({"runtime": "python", **PUBLIC}),
    "sleeps/index.mjs": "export const handler = () => new Promise((r) => setTimeout(r, 60000));",
    "sleeps/heddle.json": json.dumps({"runtime": "node", **PUBLIC}),
    # Calls on with what it was called with.
    "passes/index.mjs": """
import { call } from "heddle";
export const handler = async () => await call("context");
""",
    "passes/heddle.json": json.dumps({"runtime": "node", **PUBLIC}),
    "mailer/index.mjs": """
import { appendFileSync } from "node:fs";
export default { async fetch(request) {
  appendFileSync(process.env.SEEN, JSON.stringify({ event: await request.json(),
    trace: request.headers.get("traceparent") }) + "\\n");
  return Response.json({ payload: { seen: true } });
} };
""",
}
LANES = """
lanes:
  tasks: { echo: {}, context: {}, fails: {}, sleeps: {}, passes: {}, c: {}, nobody: { lane: away } }
  events: { order-placed: { lane: orders }, asked: { lane: inside } }
  hooks: [ { event: order-placed, function: mailer }, { event: asked, function: mailer } ]
  errors: { InsufficientFunds: { wire_id: app.errors.insufficient-funds, http_code: 402 } }
  contexts: [tenant]
  event_lanes: { orders: {} }
  rpc_lanes: { away: {}, inside: {} }
  queues: { q: {} }
  communicators: { nowhere: { base_url: 'http://127.0.0.1:1' } }
  profiles: { all: { consume: [orders], serve: [inside] } }
  profile: all
  bindings:
    - { lane: orders, queue: q }
    - { lane: away, communicator: nowhere }
    - { lane: inside, communicator: nowhere }
  exposure: { http: { listen: { port: 0 }, auth: { tokens: [edge] } } }
"""
HOSTS = ["node", "commonjs", "deno", "python", "asgi", "c"]


def why_not(host):
    if host == "c":
        return None if NATIVE.exists() else f"{NATIVE} is not built"
    return hostdriver.missing({"commonjs": "node", "asgi": "python"}.get(host, host))


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    cwd = tmp_path_factory.mktemp("helpers")
    for folder in (cwd, *cwd.parents):
        if os.stat(folder).st_uid == os.getuid() and len(folder.parts) > 2:
            os.chmod(folder, 0o755)
    seen = cwd / "seen"
    files = {**FILES, "mailer/heddle.json": json.dumps({"runtime": "node", "env": {"SEEN": str(seen)}, **PUBLIC})}
    for name, text in files.items():
        path = cwd / "functions" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (cwd / "heddle.yml").write_text(LANES)
    node = Node(cwd, cwd / "functions", "--sandbox", "off", "--trusted-proxies", "127.0.0.1")
    node.seen = lambda: [json.loads(line) for line in seen.read_text().splitlines()] if seen.exists() else []
    try:
        yield node.start()
        node.stop()
    finally:
        node.kill()


@pytest.fixture(params=HOSTS)
def ask(request, node):
    """ask(lanes="call", name="echo", ...): what a function of that host gets."""
    if why_not(request.param):
        pytest.skip(why_not(request.param))

    def ask(headers=None, **q):
        answer = node.post(request.param, json.dumps(q), {"content-type": "application/json", **(headers or {})})
        assert answer.status == 200, answer
        return answer.json()
    ask.host = request.param
    return ask


def test_a_call_gives_the_result(ask):
    value = {"n": 1.5, "text": "ü \U0001f980 \"\\", "list": [None, True], "empty": {}}
    assert ask(lanes="call", name="echo", value=value)["result"]["got"] == value
    assert ask(lanes="call", name="app.tasks.echo", value=[])["result"]["got"] == []


def test_an_emission_tells_the_message_and_the_hook_runs(ask, node):
    value = {"host": ask.host, "id": os.urandom(4).hex()}
    sent = ask(lanes="emit", name="order-placed", value=value)["result"]
    assert len(sent["messageId"]) == 36
    eventually(lambda: value in [s["event"] for s in node.seen()])


def test_the_payload_of_an_event_on_an_rpc_lane_comes_back(ask):
    assert ask(lanes="emit", name="asked", value={"a": 1})["result"]["result"] == {"seen": True}


def test_a_typed_error_has_its_id_and_data(ask):
    error = ask(lanes="call", name="fails", value="typed")["error"]
    assert (error["kind"], error["id"], error["status"]) == ("LaneTypedError", "app.errors.insufficient-funds", 402)
    assert error["data"] == {"needed": 9} and "need 9" in error["message"]


def test_other_errors_reveal_nothing(ask):
    error = ask(lanes="call", name="fails", value="other")["error"]
    assert (error["kind"], error["code"], error["status"]) == ("LaneError", "INTERNAL_ERROR", 500)
    assert "secret" not in json.dumps(error)


def test_what_is_not_known_is_said(ask):
    error = ask(lanes="call", name="no/such task", value=1)["error"]
    assert (error["kind"], error["code"], error["status"]) == ("LaneError", "NOT_FOUND", 404)
    assert "no/such task" in error["message"] and not error["retryable"]
    assert ask(lanes="emit", name="nothing", value=1)["error"]["code"] == "NOT_FOUND"


def test_a_peer_that_is_away_is_worth_another_try(ask):
    error = ask(lanes="call", name="nobody", value=1)["error"]
    assert (error["kind"], error["code"], error["retryable"]) == ("LaneUnavailable", "UNREACHABLE", True)


def test_a_time_out_is_one(ask):
    error = ask(lanes="call", name="sleeps", value=1, timeoutMs=150)["error"]
    assert error["kind"] == "LaneTimeout"
    assert "150 ms" in error["message"] or "0.15 s" in error["message"]
    assert ask(lanes="call", name="echo", value=2)["result"]["got"] == 2 # and the next one works


def test_request_ids_and_contexts_go_along(ask):
    got = ask(lanes="call", name="context", value=1, requestId="order-7", contexts={"tenant": "t-1"})["result"]
    assert got["requestId"] == "order-7"
    assert got["contexts"] == {"app.asyncContexts.tenant": "t-1"}
    got = ask(lanes="call", name="passes", value=1, requestId="order-8", contexts={"tenant": "t-2"})["result"]
    assert (got["requestId"], got["contexts"]) == ("order-8", {"app.asyncContexts.tenant": "t-2"})


def test_the_trace_goes_along(ask):
    trace = os.urandom(16).hex()
    got = ask({"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}, lanes="call", name="echo", value=1)["result"]
    assert got["trace"].split("-")[1] == trace and got["trace"].endswith("-01")
    assert got["trace"].split("-")[2] != "00f067aa0ba902b7"


def test_many_at_once_share_connections(ask):
    if ask.host == "c":
        pytest.skip("a function in C asks one thing at a time")
    for _ in range(3):
        results = ask(lanes="call", name="echo", value=3, times=20)["result"]
        assert [r["got"] for r in results] == [3] * 20


def test_a_wrong_use_is_said_before_anything_is_sent(ask):
    if ask.host == "c":
        pytest.skip("C has no values without a JSON form")
    error = ask(lanes="call", name="", value=1)["error"]
    assert error["kind"] == "TypeError" and "call(): the first argument" in error["message"]
    error = ask(lanes="call", name="echo", value=1, timeoutMs=0)["error"]
    assert "timeout" in error["message"] and not error["isLaneError"]


def test_options_that_are_not_known_are_refused(node):
    answer = node.post("node", json.dumps({"lanes": "call", "name": "echo", "more": {"timeout": 3}}))
    assert "options.timeout: is not known" in answer.json()["error"]["message"]


def test_a_function_of_c_is_a_task_and_passes_the_trace_on(node):
    if why_not("c"):
        pytest.skip(why_not("c"))
    trace = os.urandom(16).hex()
    answer = node.post("node", json.dumps({"lanes": "call", "name": "c", "value": {"do": "lanes", "lanes": "call",
                                                                                  "name": "echo", "value": 5}}),
                       {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}).json()
    assert answer["result"]["result"]["got"] == 5, answer
    assert answer["result"]["result"]["trace"].split("-")[1] == trace


# Without a node ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("host", ["node", "deno", "python"])
def test_without_lanes_the_module_is_there_and_says_so(tmp_path, host):
    if hostdriver.missing(host):
        pytest.skip(hostdriver.missing(host))
    sources = {
        "node": ("fn/index.mjs", 'import { emit } from "heddle"; export const handler = async () => '
                 "{ try { await emit('x', 1); } catch (e) { return [e.name, e.code]; } };"),
        "deno": ("fn/index.ts", 'import { emit } from "heddle"; Deno.serve(async () => '
                 "{ try { await emit('x', 1); } catch (e: any) { return Response.json([e.name, e.code]); } "
                 "return Response.json(1); });"),
        "python": ("fn/index.py", "import heddle\ndef handler(event, context):\n    try:\n        heddle.emit('x', 1)\n"
                   "    except heddle.LaneError as e:\n        return [type(e).__name__, e.code]\n"),
    }
    hosts = hostdriver.Hosts(host, tmp_path)
    try:
        name, text = sources[host]
        assert hosts.loaded(text, name).event(b"{}").json() == ["LaneError", "LANES_NOT_CONFIGURED"]
    finally:
        hosts.end()


@pytest.mark.parametrize("host, name, text, own", [
    ("node", "fn/index.mjs", 'import { mine } from "heddle"; export const handler = async () => mine;',
     {"fn/node_modules/heddle/package.json": '{"name": "heddle", "type": "module", "main": "i.js"}',
      "fn/node_modules/heddle/i.js": "export const mine = 'own';"}),
    ("node", "fn/index.cjs", 'const { mine } = require("heddle"); exports.handler = async () => mine;',
     {"fn/node_modules/heddle/index.js": "exports.mine = 'own';"}),
    ("python", "fn/index.py", "import heddle\ndef handler(event, context):\n    return heddle.mine\n",
     {"fn/heddle.py": "mine = 'own'\n"}),
])
def test_a_module_of_that_name_that_the_function_brings_along_is_preferred(tmp_path, host, name, text, own):
    hosts = hostdriver.Hosts(host, tmp_path)
    try:
        for path, content in own.items():
            (tmp_path / "functions" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "functions" / path).write_text(content)
        assert hosts.loaded(text, name).event(b"{}").json() == "own"
    finally:
        hosts.end()


# Types ------------------------------------------------------------------------------------------------

TYPED = """
import { call, emit, LaneError, LaneTypedError } from "heddle";
const { total }: { total: number } = await call<{ total: number }>("add", [1, 2], { timeoutMs: 5 });
const sent = await emit("order-placed", { id: 7 }, { contexts: { tenant: "t" } });
try {
  await call("charge");
} catch (e) {
  if (e instanceof LaneTypedError) console.log(e.id, e.data, e.httpCode);
  if (e instanceof LaneError) console.log(e.code.length, e.status + 1, e.retryable);
}
export default [total, sent.messageId?.length];
"""


@pytest.mark.parametrize("line, error", [
    ("", None),
    ('await call("x", 1, { timeout: 3 });', "timeout"),
    ("await emit(7);", "number"),
    ('(await call<string>("x")).toFixed();', "toFixed"),
])
def test_the_types_say_what_there_is(tmp_path, line, error):
    if hostdriver.missing("deno"):
        pytest.skip(hostdriver.missing("deno"))
    types = (hostdriver.RUNTIMES / "types/heddle.d.ts").as_uri()
    (tmp_path / "map.json").write_text(json.dumps({"imports": {"heddle": types}}))
    (tmp_path / "use.ts").write_text(TYPED + line)
    done = subprocess.run([hostdriver.deno_binary(), "check", "--quiet", "--no-config", "--no-lock",
                           "--import-map=map.json", "use.ts"], cwd=tmp_path, capture_output=True, text=True,
                          env={"PATH": os.environ["PATH"], "DENO_DIR": str(tmp_path / "deno"), "NO_COLOR": "1"})
    assert (done.returncode == 0) == (error is None), done.stderr
    assert error is None or error in done.stderr


# --- functions of the Lambda API ---

@pytest.mark.parametrize("runtime, code", [
    ("nodejs22.x", 'const { call } = require("heddle");\n'
                   'exports.handler = (event) => call("double", event);'),
    ("python3.11", 'from heddle import call\n'
                   'def handler(event, context):\n    return call("double", event)\n')])
def test_functions_of_the_lambda_api_call_tasks(tmp_path, start_node, write_functions, runtime, code):
    functions = write_functions({
        "double/index.mjs": "export default async (request) => Response.json(2 * (await request.json()));",
        "double/heddle.json": json.dumps({"runtime": "node", **PUBLIC})})
    (tmp_path / "heddle.yml").write_text("lanes: { tasks: { double: {} } }\n")
    aws = Lambda(start_node(functions))
    aws.create("asks", code, runtime=runtime)
    assert aws.value("asks", 21) == 42
