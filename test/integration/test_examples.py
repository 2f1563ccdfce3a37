"""The functions in examples/functions/ do what they say, each in its runtime's host or by itself."""

import os
import shutil
import subprocess
import time

import pytest

import hostdriver
from hostdriver import Connection, Host

EXAMPLES = hostdriver.REPOSITORY / "examples" / "functions"


@pytest.fixture
def start(tmp_path):
    hosts = []

    def begin(name, runtime, entry):
        if hostdriver.missing(runtime):
            pytest.skip(hostdriver.missing(runtime))
        host = Host(runtime, EXAMPLES, tmp_path)
        hosts.append(host)
        answer = host.load(f"{name}/{entry}", name=name)
        assert answer.status == 200, answer.body
        return host

    yield begin
    for host in hosts:
        host.__exit__()


@pytest.mark.parametrize("name, runtime, entry", [
    ("hello", "deno", "index.ts"), ("hello-node", "node", "index.mjs"), ("hello-python", "python", "index.py")])
def test_hello_greets(start, name, runtime, entry):
    host = start(name, runtime, entry)
    assert host.get(f"/{name}").json()["message"] == "Hello world!"
    assert host.get(f"/{name}?name=Ada").json()["message"] == "Hello Ada!"


def test_hello_reads_a_body(start):
    host = start("hello", "deno", "index.ts")
    assert host.request("POST", "/hello", body=b'{"name": "Ada"}').json()["message"] == "Hello Ada!"
    assert host.request("POST", "/hello", body=b"{").status == 400


def test_echo_echoes(start):
    seen = start("echo", "deno", "index.ts").request(
        "PUT", "/echo/a?q=1", [("Content-Type", "text/plain")], b"body").json()
    assert seen == {"method": "PUT", "path": "/echo/a", "query": {"q": "1"}, "body": "body",
                    "headers": {"content-type": "text/plain", "host": "functions.example"}}


def test_whoami_tells_the_identity(start):
    host = start("whoami", "deno", "index.ts")
    auth = "eyJzdWIiOiJ1MSIsInJvbGUiOiJhZG1pbiJ9" # {"sub":"u1","role":"admin"}
    assert host.get("/whoami", [("x-heddle-auth", auth)]).json() == {"userId": "u1", "email": "", "role": "admin"}


def test_chat_is_a_room(start):
    host = start("chat", "deno", "index.ts")
    ann, bob = Connection(host.path), Connection(host.path)
    for name, connection in (("ann", ann), ("bob", bob)):
        assert hostdriver.websocket_open(connection, f"/chat?name={name}").status == 101
        assert hostdriver.websocket_receive(connection) == (1, f"welcome, {name}".encode())
    hostdriver.websocket_send(ann, "hi")
    assert hostdriver.websocket_receive(bob) == (1, b"ann: hi")
    assert host.get("/chat").status == 426


def test_ticker_streams_and_stops(start):
    host = start("ticker", "deno", "index.ts")
    connection = Connection(host.path)
    connection.send_head("GET", "/ticker?n=2&ms=5", [("x-heddle-id", "t")])
    head = connection.head()
    assert head.field("content-type") == "text/event-stream"
    assert connection.body(head) == b'id: 1\ndata: {"tick":1,"of":2}\n\nid: 2\ndata: {"tick":2,"of":2}\n\n'
    connection.send_head("GET", "/ticker?ms=5", [("x-heddle-id", "t")])
    connection.head()
    connection.chunk()
    connection.close()
    host.wait_record(lambda r: "the client left" in r["msg"])


@pytest.fixture
def command(tmp_path):
    started = []

    def begin(name):
        path = str(tmp_path / "s")
        process = subprocess.Popen(
            ["./run.sh"], cwd=EXAMPLES / name, stdin=subprocess.DEVNULL, start_new_session=True,
            env={"PATH": os.environ["PATH"], "HEDDLE_SOCKET": path, "HEDDLE_RUN_DIR": str(tmp_path)})
        started.append(process)
        end = time.monotonic() + hostdriver.DEADLINE_S
        while time.monotonic() < end:
            assert process.poll() is None, f"{name} ended: {process.returncode}"
            try:
                return Connection(path)
            except OSError:
                time.sleep(0.01)
        raise AssertionError(f"{name} did not listen in time")

    yield begin
    for process in started:
        os.killpg(process.pid, 9)
        process.wait()


@pytest.mark.parametrize("name, tool, word", [("hello-c", "cc", b"Hello from C!"), ("hello-shell", "socat", b"Hello from")])
def test_http_functions_serve_by_themselves(command, name, tool, word):
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed: run `make deps`")
    connection = command(name)
    for _ in range(2):
        answer = connection.request("GET", f"/{name}/x?q=1", [("x-heddle-id", "1")])
        assert answer.status == 200 and word in answer.body and f"/{name}/x".encode() in answer.body
    assert connection.request("POST", f"/{name}", [], b"a body").status == 200
    assert connection.request("HEAD", f"/{name}").body == b""
    assert connection.request("GET", f"/{name}").status == 200


# Lambda -----------------------------------------------------------------------------------------

LAMBDA = hostdriver.REPOSITORY / "examples" / "lambda"


@pytest.fixture
def start_lambda(tmp_path):
    hosts = []

    def begin(name, runtime):
        if hostdriver.missing(runtime):
            pytest.skip(hostdriver.missing(runtime))
        hosts.append(Host(runtime, LAMBDA / name, tmp_path))
        assert hosts[-1].load_lambda("index.handler").json()["kind"] == "lambda"
        return hosts[-1]

    yield begin
    for host in hosts:
        host.__exit__()


@pytest.mark.parametrize("name, runtime", [("hello-node", "node"), ("hello-python", "python")])
def test_lambda_functions_greet(start_lambda, name, runtime):
    host = start_lambda(name, runtime)
    assert host.event({"name": "Ada"}, id="id-h").json() == {"message": "Hello Ada!", "requestId": "id-h"}
    assert host.event().json()["message"] == "Hello world!"
    assert host.wait_record(lambda r: "greeting Ada" in r["msg"])["id"] == "id-h"


def test_a_lambda_function_streams(start_lambda):
    answer = start_lambda("stream-node", "node").event({"n": 2, "ms": 1}, mode="stream")
    prelude, body = answer.body.split(bytes(8))
    assert b'"text/event-stream"' in prelude and body.startswith(b'id: 1\ndata: {"tick":1,"of":2}\n\nid: 2\n')


def test_the_guide_shows_the_example_in_c_as_it_is():
    text = (LAMBDA / "hello-c" / "hello.c").read_text()
    assert f"```c\n{text}```" in (hostdriver.REPOSITORY / "doc" / "lambda.md").read_text()
