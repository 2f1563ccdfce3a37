"""Runtime clients that others wrote, unmodified, behind heddle-shim."""

import base64
import json

import pytest

import ric
import shimdriver
from heddle import binary
from shimdriver import open_stream, read_chunks

NATIVE = binary().parent / "test" / "integration" / "native_function"
SOCKETS = binary().parent / "test" / "integration" / "socket_bootstrap"


@pytest.fixture
def start(tmp_path):
    shims = shimdriver.Shims(tmp_path)
    yield shims
    shims.end()


# The service's own client for Node.js -----------------------------------------------------------

HANDLERS = """
export const echo = async (event, context) => {
    console.log('got', event.n, '\\nsecond line');
    return {event, id: context.awsRequestId, arn: context.invokedFunctionArn, client: context.clientContext,
            left: context.getRemainingTimeInMillis(), name: context.functionName};
};
export const fails = async () => { throw new TypeError('no luck'); };
export const calls_back = (event, context, callback) => setTimeout(() => callback(null, 'called'), 5);
export const nothing = async () => undefined;
export const exits = async () => { process.exit(3); };
export const rejects = async () => { Promise.reject(new Error('nobody waits')); await new Promise(r => setTimeout(r, 1000)); };
export const big = async () => 'x'.repeat(6 * 1024 * 1024);
export const too_big = async () => 'x'.repeat(6 * 1024 * 1024 + 200);
export const hangs = () => new Promise(r => setTimeout(r, 1e6));
export const streams = awslambda.streamifyResponse(async (event, stream) => {
    stream = awslambda.HttpResponseStream.from(stream, {statusCode: 201, headers: {'x-a': '1'}, cookies: ['a=1']});
    for (let i = 0; i < 3; i++) { stream.write(`part ${i};`); await new Promise(r => setTimeout(r, 20)); }
    stream.end();
});
export const streams_and_fails = awslambda.streamifyResponse(async (event, stream) => {
    stream.write('some');
    await new Promise(r => setTimeout(r, 50));
    throw new RangeError('half way');
});
"""


@pytest.fixture(params=["aws-lambda-ric-3", "aws-lambda-ric-4"])
def client(request, start):
    """client(handler): a shim that runs the handler under this client."""
    try:
        program = ric.program(request.param)
    except ric.CannotBuild as reason:
        pytest.skip(f"{request.param} cannot be built here: {reason}")
    start.script("task/index.mjs", HANDLERS)
    start.script("task/broken.mjs", "import './not-there.mjs';\n")

    def run(handler, load=True):
        shim = start(args=["--", "node", str(program), handler])
        env = {"LAMBDA_TASK_ROOT": str(shim.task), "AWS_LAMBDA_FUNCTION_NAME": "fn", "_HANDLER": handler,
               "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
               "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/fn", "AWS_LAMBDA_LOG_STREAM_NAME": "s"}
        answer = shim.load(env=env)
        assert answer.status == 200
        assert answer.json()["kind"] == ("provided" if load else "init-failed")
        return shim
    run.version = int(request.param[-1])
    return run


def test_events_and_answers(client):
    shim = client("index.echo")
    context = {"custom": {"a": "b"}, "client": {}, "env": {}}
    arn = "arn:aws:lambda:us-east-1:000000000000:function:fn:prod"
    for n in range(20):
        answer = shim.invoke({"n": n}, id=f"id-{n}", fields=[
            ("x-heddle-arn", arn),
            ("x-heddle-client-context", base64.b64encode(json.dumps(context).encode()).decode())]).json()
        assert answer["event"] == {"n": n} and answer["id"] == f"id-{n}" and answer["arn"] == arn
        assert answer["client"] == context and 0 < answer["left"] <= 20000 and answer["name"] == "fn"
    for n in range(20):
        shim.wait_line(f"got {n}", f"id-{n}")
    assert shim.stop() == 0


def test_a_handler_that_returns_nothing(client):
    assert client("index.nothing").invoke({}).json() is None


def test_a_handler_that_calls_back(client):
    """Version 4 has them no more, and says so in init."""
    if client.version == 3:
        assert client("index.calls_back").invoke({}).json() == "called"
    else:
        answer = client("index.calls_back", load=False).invoke({})
        assert answer.json()["errorType"] == "Runtime.CallbackHandlerDeprecated"


def test_errors(client):
    shim = client("index.fails")
    for _ in range(3):
        answer = shim.invoke({})
        assert answer.field("x-heddle-function-error") == "Unhandled"
        assert answer.field("x-heddle-exit") is None
        assert (answer.json()["errorType"], answer.json()["errorMessage"]) == ("TypeError", "no luck")


@pytest.mark.parametrize("handler, type", [
    ("index.missing", "Runtime.HandlerNotFound"),
    ("absent.handler", "Runtime.ImportModuleError"),
    ("nodot", "Runtime.MalformedHandlerName"),
])
def test_init_errors(client, handler, type):
    shim = client(handler, load=False)
    answer = shim.invoke({})
    assert answer.field("x-heddle-exit") == "1"
    assert answer.json()["errorType"] == type
    assert shim.ended() == 1


def test_it_exits(client):
    shim = client("index.exits")
    answer = shim.invoke({}, id="id-1")
    assert answer.json()["errorType"] == "Runtime.ExitError"
    assert "RequestId: id-1 Error: Runtime exited with error: exit status 3" == answer.json()["errorMessage"]


def test_a_rejection_that_nobody_handles(client):
    answer = client("index.rejects").invoke({})
    assert answer.field("x-heddle-function-error") == "Unhandled"
    assert answer.json()["errorType"] in ("Runtime.UnhandledPromiseRejection", "Runtime.ExitError")


def test_it_hangs(client):
    shim = client("index.hangs")
    assert shim.invoke({}, deadline_ms=300).json()["errorType"] == "Sandbox.Timedout"
    assert shim.ended() == 1


def test_large_answers(client):
    assert len(client("index.big").invoke({}).json()) == 6 * 1024 * 1024


def test_answers_that_are_too_large(client):
    answer = client("index.too_big").invoke({})
    assert answer.json()["errorType"] == "Function.ResponseSizeTooLarge"


def test_streams(client):
    shim = client("index.streams")
    for _ in range(2):
        connection = open_stream(shim, {})
        head = connection.head()
        assert head.field("x-heddle-stream") == "1"
        assert head.field("content-type") == "application/vnd.awslambda.http-integration-response"
        chunks, ended = read_chunks(connection)
        prelude, body = b"".join(chunks).split(b"\0" * 8)
        assert json.loads(prelude) == {"statusCode": 201, "headers": {"x-a": "1"}, "cookies": ["a=1"]}
        assert body == b"part 0;part 1;part 2;" and ended == {}
    assert shim.invoke({}).body.endswith(b"part 2;")


def test_streams_that_fail(client):
    shim = client("index.streams_and_fails")
    connection = open_stream(shim, {})
    assert connection.head().field("x-heddle-stream") == "1"
    chunks, ended = read_chunks(connection)
    assert b"".join(chunks) == b"some"
    assert ended["x-heddle-function-error"] == "Unhandled"
    body = json.loads(base64.b64decode(ended["x-heddle-error-body"]))
    assert body["errorType"] == "RangeError" and body["errorMessage"] == "half way"
    assert shim.invoke({}).field("x-heddle-function-error") == "Unhandled"


# Programs in C ----------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["asan", "release"])
def test_a_program_of_a_few_lines_in_c(start, kind):
    start.script("task/bootstrap", "")
    (start.folder / "task/bootstrap").write_bytes(SOCKETS.read_bytes())
    shim = start(kind=kind).loaded()
    connection = shim.connect()
    for size in (2, 3, 100, 100_000, 6_000_000):
        assert shim.invoke_on(connection, b'"' + b"x" * (size - 2) + b'"').json() == {"bytes": size}
    for _ in range(500):
        assert shim.invoke_on(connection, 12).json() == {"bytes": 2}
    assert shim.stop() == 0


@pytest.fixture
def native(start):
    if not NATIVE.exists():
        pytest.skip(f"{NATIVE} is not built")
    start.script("task/bootstrap", "")
    (start.folder / "task/bootstrap").write_bytes(NATIVE.read_bytes())
    return start


def test_a_native_function_takes_the_node_s_socket(native):
    shim = native()
    answer = shim.load(env={"K": "v"})
    assert (answer.status, answer.json()["kind"]) == (200, "native")
    answer = shim.invoke({"do": "context", "a": [0, {"b": "c"}]}, id="id-1").json()
    assert (answer["id"], answer["env"], answer["hidden"]) == ("id-1", "v", "yes")
    assert json.loads(shim.control("GET", "/.heddle/ping").body) == {"background": 0}
    assert shim.stop() == 0


def test_a_native_function_at_the_runtime_api(native):
    """Over TCP there is no offer: it asks for its events."""
    shim = native(tcp=True)
    assert shim.load(env={"K": "v"}).json()["kind"] == "provided"
    answer = shim.invoke({"do": "context"}, id="id-1").json()
    assert (answer["id"], answer["env"]) == ("id-1", "v")
    assert shim.stop() == 0


def test_a_native_function_whose_init_fails(native):
    shim = native()
    assert shim.load(env={"INIT_FAILS": "users"}).json()["kind"] == "init-failed"
    answer = shim.invoke({})
    assert 'no table for "users"' in answer.json()["errorMessage"].replace('\\"', '"')
    assert shim.ended() == 1
