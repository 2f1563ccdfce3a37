"""Functions that bring their own runtime, from an API client's zip to the answer: node, process
backend, heddle-shim, bootstrap."""

import base64
import io
import json
import zipfile

import pytest

import ric
from lambdas import boto, create, needs_sdk, sdk
from shimdriver import PYTHON_BOOTSTRAP, SHELL_BOOTSTRAP, STREAM
from test_shim_clients import HANDLERS, NATIVE, SOCKETS
from test_shim_extensions import WATCHER

EXECUTABLE = 0o100755 << 16


def zipped(files):
    """A zip whose files are executable: {name: text or bytes}."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, text in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = EXECUTABLE
            z.writestr(info, text)
    return out.getvalue()


@pytest.fixture
def client(node):
    made = boto(node)
    yield made
    for page in made.get_paginator("list_functions").paginate():
        for function in page["Functions"]:
            made.delete_function(FunctionName=function["FunctionName"])


def provided(client, bootstrap, name="own", files=None, **more):
    create(client, name, Runtime="provided.al2023", Handler="app.handler",
           Code={"ZipFile": zipped({"bootstrap": bootstrap, **(files or {})})},
           **{"Timeout": 20, **more})


def invoke(client, payload=None, name="own", **more):
    """(payload, function error, log tail)"""
    answer = client.invoke(FunctionName=name, Payload=json.dumps(payload), LogType="Tail", **more)
    tail = base64.b64decode(answer["LogResult"]).decode()
    return json.loads(answer["Payload"].read()), answer.get("FunctionError"), tail


def test_a_shell_bootstrap(client):
    provided(client, SHELL_BOOTSTRAP)
    for n in range(3):
        answer, error, tail = invoke(client, {"n": n})
        assert (answer, error) == ({"echo": {"n": n}}, None)
        assert f'got {{"n": {n}}}' in tail and "REPORT RequestId" in tail
        assert "got" not in tail.split("END RequestId")[1]


def test_a_program_in_c(client):
    provided(client, SOCKETS.read_bytes())
    for n in range(20):
        assert invoke(client, "x" * n)[0] == {"bytes": n + 2}


@pytest.mark.skipif(not NATIVE.exists(), reason=f"{NATIVE} is not built")
def test_a_native_function(client):
    provided(client, NATIVE.read_bytes(), Environment={"Variables": {"MINE": "v"}})
    for _ in range(3):
        answer, error, _ = invoke(client, {"do": "context"})
        assert error is None and answer["hidden"] == "yes"
        assert answer["arn"].endswith(":function:own")


def test_places_and_environment(client):
    provided(client, PYTHON_BOOTSTRAP + """
loop(lambda event: api.respond(event.id, json.dumps({
    "cwd": os.getcwd(), "task": os.listdir("/var/task"), "env": dict(os.environ)})))
""")
    answer, error, _ = invoke(client)
    assert error is None
    env = answer["env"]
    assert env["AWS_LAMBDA_FUNCTION_NAME"] == "own" and env["_HANDLER"] == "app.handler"
    assert env["AWS_LAMBDA_RUNTIME_API"].startswith("127.0.0.1:")
    assert not [name for name in env if name.startswith("HEDDLE_")]
    assert "AWS_EXECUTION_ENV" not in env
    assert (answer["cwd"], answer["task"]) == (env["LAMBDA_TASK_ROOT"], ["bootstrap"])


def test_it_exits(client):
    provided(client, PYTHON_BOOTSTRAP + """
def handle(event):
    print("last words", flush=True)
    os._exit(5)
loop(handle)
""")
    for _ in range(2):
        answer, error, tail = invoke(client)
        assert error == "Unhandled" and answer["errorType"] == "Runtime.ExitError"
        assert answer["errorMessage"].endswith("Runtime exited with error: exit status 5")
        assert "last words" in tail


def test_it_hangs(client):
    provided(client, PYTHON_BOOTSTRAP + """
loop(lambda event: time.sleep(1000) if json.loads(event.text) else api.respond(event.id, "1"))
""", Timeout=1)
    assert invoke(client, False)[0] == 1
    answer, error, _ = invoke(client, True)
    assert error == "Unhandled" and "Task timed out after 1.00 seconds" in answer["errorMessage"]
    assert invoke(client, False)[0] == 1


def test_init_errors(client):
    provided(client, "#!/no/such/interpreter\n")
    answer, error, _ = invoke(client)
    assert error == "Unhandled" and answer["errorType"] == "Runtime.InvalidEntrypoint"
    assert "no such file or directory" in answer["errorMessage"]
    provided(client, PYTHON_BOOTSTRAP + """
api.call("POST", BASE + "/init/error", '{"errorType": "Mine", "errorMessage": "no luck"}')
sys.exit(1)
""", name="posts")
    answer, error, _ = invoke(client, name="posts")
    assert (answer, error) == ({"errorType": "Mine", "errorMessage": "no luck"}, "Unhandled")


def test_it_exits_between_invocations(client):
    """The next caller gets an answer from another instance."""
    provided(client, PYTHON_BOOTSTRAP + """
def handle(event):
    api.respond(event.id, str(os.getpid()))
    time.sleep(0.05)
    os._exit(0)
loop(handle)
""")
    for _ in range(4):
        answer, error, _ = invoke(client)
        assert error is None and isinstance(answer, int)


def test_a_layer_with_an_extension(client):
    layer = client.publish_layer_version(
        LayerName="watch", Content={"ZipFile": zipped({"extensions/watcher": WATCHER})})
    provided(client, PYTHON_BOOTSTRAP + "loop(lambda e: api.respond(e.id, e.text))\n",
             Layers=[layer["LayerVersionArn"]])
    for n in range(3):
        assert invoke(client, n)[:2] == (n, None)


@needs_sdk
def test_a_stream_through_the_api(node, client):
    provided(client, PYTHON_BOOTSTRAP + STREAM + """
loop(lambda event: stream(event, [b"one ", b"two"], {"Content-Type": "text/plain"}))
""")
    text, end = sdk(node, """
const answer = await client.send(new aws.InvokeWithResponseStreamCommand({ FunctionName: "own" }));
let text = "", end = null;
for await (const event of answer.EventStream) {
  if (event.PayloadChunk) text += Buffer.from(event.PayloadChunk.Payload).toString();
  if (event.InvokeComplete) end = event.InvokeComplete;
}
done([text, end]);
""")
    assert text == "one two" and end.get("ErrorCode") is None


@pytest.mark.parametrize("package", sorted(ric.PROGRAMS))
def test_the_service_s_own_client(client, package):
    """Packed into the function's zip, as it is for an image."""
    try:
        program = ric.program(package)
    except ric.CannotBuild as reason:
        pytest.skip(f"{package} cannot be built here: {reason}")
    root = program.parents[len(program.relative_to(ric.ROOT / "build/ric").parts) - 2]
    kept = [root / ric.NATIVE[package], program, root / "package.json", *root.glob("dist/*.mjs")]
    files = {f"ric/{path.relative_to(root)}": path.read_bytes() for path in kept}
    provided(client, f"#!/bin/sh\nexec node $LAMBDA_TASK_ROOT/ric/{program.relative_to(root)} $_HANDLER\n",
             files={"index.mjs": HANDLERS, **files})
    client.update_function_configuration(FunctionName="own", Handler="index.echo")
    client.get_waiter("function_updated_v2").wait(FunctionName="own", WaiterConfig={"Delay": 1})
    for n in range(3):
        answer, error, tail = invoke(client, {"n": n})
        assert error is None and answer["event"] == {"n": n} and answer["name"] == "own"
        assert f"got {n}" in tail
