"""heddle-shim from load to end: functions that speak the Lambda Runtime API, behind the protocol that
every host speaks."""

import base64
import json
import os
import struct
import subprocess
import uuid

import pytest

import shimdriver
from hostdriver import Connection, free_port
from heddle import binary
from shimdriver import SHELL_BOOTSTRAP, is_running, wait_for

ECHO = "loop(lambda event: api.respond(event.id, event.text))\n"


@pytest.fixture
def start(tmp_path):
    shims = shimdriver.Shims(tmp_path)
    yield shims
    shims.end()


@pytest.mark.parametrize("kind", ["asan", "release"])
def test_a_shell_script_with_curl_is_a_function(start, kind):
    shim = start(SHELL_BOOTSTRAP, kind=kind).loaded()
    for n in range(3):
        answer = shim.invoke({"n": n}, id=f"id-{n}")
        assert answer.status == 200
        assert answer.field("x-heddle-function-error") is None
        assert answer.json() == {"echo": {"n": n}}
        shim.wait_line(f'got {{"n": {n}}}', f"id-{n}")
    assert shim.stop() == 0


def test_control_requests(start):
    shim = start.python(ECHO)
    assert shim.control("GET", "/.heddle/ping", token="0" * 32).status == 403
    assert shim.control("GET", "/.heddle/ping").json() == {"background": 0}
    assert shim.control("GET", "/.heddle/nothing").status == 404
    assert shim.invoke({}).status == 503
    bad = shim.control("POST", "/.heddle/load", b'{"env": 1}')
    assert bad.status == 500 and "env" in bad.json()["message"]
    answer = shim.load().json()
    assert answer == {"ok": True, "kind": "provided", "concurrency": 1}
    assert shim.load().status == 409
    assert shim.control("POST", "/.heddle/drain").json() == {}
    assert shim.request("POST", "/", body=b"{}").status == 400


def test_it_needs_an_address_and_a_token(tmp_path):
    shim = str(binary("release").parent / "heddle-shim")
    run = lambda env, *args: subprocess.run([shim, *args], env=env, capture_output=True, text=True)
    token = {"HEDDLE_HOST_TOKEN": "0" * 32}
    for env, word in (({}, "HEDDLE_SOCKET"), (token, "HEDDLE_SOCKET"),
                      ({"HEDDLE_SOCKET": "/tmp/x"}, "TOKEN"), ({**token, "PORT": "x"}, "PORT"),
                      ({"HEDDLE_SOCKET": "/tmp/x", "HEDDLE_HOST_TOKEN": "short"}, "TOKEN")):
        done = run(env)
        assert done.returncode == 64 and word in done.stderr, done
    done = run({**token, "HEDDLE_SOCKET": str(tmp_path / "no" / "such" / "s")})
    assert done.returncode == 71 and "no such file" in done.stderr
    assert run({}, "--help").stdout.startswith("usage: heddle-shim")
    assert run({}, "--version").stdout.startswith("heddle-shim ")
    assert run({}, "--nonsense").returncode == 64
    assert run({}, "--port", "70000").returncode == 64


def test_the_program_is_static_and_small():
    shim = binary("release").parent / "heddle-shim"
    elf = shim.read_bytes()
    at, size, n = struct.unpack_from("<Q", elf, 32)[0], *struct.unpack_from("<HH", elf, 54)
    kinds = [struct.unpack_from("<I", elf, at + i * size)[0] for i in range(n)]
    assert 1 in kinds and 3 not in kinds  # segments to load, and no interpreter
    assert len(elf) < 1_400_000


def test_what_the_caller_said_reaches_the_runtime(start):
    shim = start.python("""
def handle(event):
    names = [n for n in event.headers if n.lower().startswith(("lambda-", "content-type"))]
    fields = {n.lower(): event.headers[n] for n in names}
    api.respond(event.id, json.dumps({"event": event.text.decode(), "fields": fields}))
loop(handle)
""").loaded()
    context = {"custom": {"a": 1}, "text": "é\n"}
    encode = lambda value: base64.b64encode(json.dumps(value, indent=1).encode()).decode()
    id = str(uuid.uuid4())
    answer = shim.invoke(b"", id=id, deadline_ms=5000, fields=[
        ("x-heddle-arn", "arn:aws:lambda:us-east-1:000000000000:function:fn:prod"),
        ("x-heddle-trace", "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0"),
        ("x-heddle-client-context", encode(context)), ("x-heddle-identity", encode({"id": "me"})),
        ("x-heddle-tenant", "blue")]).json()
    fields = answer["fields"]
    assert answer["event"] == "{}"
    assert fields["lambda-runtime-aws-request-id"] == id
    assert fields["lambda-runtime-invoked-function-arn"].endswith(":function:fn:prod")
    assert fields["lambda-runtime-trace-id"].startswith("Root=1-5759e988")
    assert json.loads(fields["lambda-runtime-client-context"]) == context
    assert json.loads(fields["lambda-runtime-cognito-identity"]) == {"id": "me"}
    assert fields["lambda-runtime-aws-tenant-id"] == "blue"
    assert fields["content-type"] == "application/json"
    assert 0 < int(fields["lambda-runtime-deadline-ms"]) / 1000
    plain = shim.invoke({}, fields=[("Content-Type", "text/x")]).json()["fields"]
    assert plain["content-type"] == "text/x"
    assert {n for n in plain if n.startswith("lambda-")} == {
        "lambda-runtime-aws-request-id", "lambda-runtime-deadline-ms"}


def test_the_deadline_is_the_event_s(start):
    shim = start.python("""
def handle(event):
    left = int(event.headers["Lambda-Runtime-Deadline-Ms"]) - time.time() * 1000
    api.respond(event.id, str(int(left)))
loop(handle)
""").loaded()
    assert 0 < shim.invoke({}, deadline_ms=60000).json() <= 60000
    assert 0 < shim.invoke({}, deadline_ms=None).json() <= 3000  # the load's timeoutMs


def test_the_environment_is_what_was_given(start):
    shim = start.python("""
loop(lambda event: api.respond(event.id, json.dumps({"env": dict(os.environ), "cwd": os.getcwd()})))
""").loaded(env={"MINE": "1", "TZ": ":UTC"})
    seen = shim.invoke({}).json()
    assert seen["cwd"] == str(shim.task)
    env = seen["env"]
    assert env["MINE"] == "1" and env["TZ"] == ":UTC" and env["_HANDLER"] == "app.handler"
    assert env["AWS_LAMBDA_RUNTIME_API"].startswith("127.0.0.1:")
    assert not [name for name in env if name.startswith("HEDDLE_")]
    with open(f"/proc/{shim.process.pid}/environ", "rb") as file:
        assert shim.token.encode() not in file.read()


def test_a_port_of_its_own(start):
    port = free_port()
    shim = start.python("loop(lambda e: api.respond(e.id, json.dumps(HOST)))\n",
                        args=["--port", str(port)]).loaded()
    assert shim.invoke({}).json() == f"127.0.0.1:{port}"


@pytest.mark.parametrize("kind", ["asan", "release"])
def test_without_any_network(start, kind):
    """In a network namespace of its own the usual port is free for each, and nothing else is there."""
    alone = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    if subprocess.run([*alone, "true"], capture_output=True).returncode != 0:
        pytest.skip("network namespaces cannot be made here")
    shim = start(SHELL_BOOTSTRAP.replace("got $event", "at $AWS_LAMBDA_RUNTIME_API"),
                 args=["--port", "9001"], kind=kind, wrap=alone).loaded()
    for n in range(2):
        assert shim.invoke(n, id=f"id-{n}").json() == {"echo": n}
        shim.wait_line("at 127.0.0.1:9001", f"id-{n}")
    assert shim.stop() == 0


def test_tcp_instead_of_a_socket(start):
    shim = start.python("loop(lambda e: api.respond(e.id, json.dumps(sorted(os.environ))))\n",
                        tcp=True).loaded()
    assert "PORT" not in shim.invoke({}).json()


def test_a_command_takes_the_place_of_a_bootstrap(start, tmp_path):
    start.script("other/program", shimdriver.PYTHON_BOOTSTRAP + """
loop(lambda e: api.respond(e.id, json.dumps([sys.argv[1:], os.getcwd()])))
""")
    program = str(tmp_path / "other/program")
    shim = start(args=["--", program, "one", "-two"]).loaded()
    assert shim.invoke({}).json() == [["one", "-two"], str(shim.task)]


def test_a_command_is_looked_up_in_path(start, tmp_path):
    start.script("bin/my-runtime", shimdriver.PYTHON_BOOTSTRAP + "loop(lambda e: api.respond(e.id, '1'))\n")
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    assert start(args=["--", "my-runtime"]).loaded(env={"PATH": path}).invoke({}).json() == 1


def test_a_command_in_the_load_request(start, tmp_path):
    start.script("other/program", shimdriver.PYTHON_BOOTSTRAP +
                 "loop(lambda e: api.respond(e.id, json.dumps(sys.argv[1:])))\n")
    shim = start().loaded(argv=[str(tmp_path / "other/program"), "x"])
    assert shim.invoke({}).json() == ["x"]


@pytest.mark.parametrize("places, chosen", [
    (["task", "opt", "opt/runtime"], "task"),
    (["opt", "opt/runtime"], "opt"),
    (["opt/runtime"], "opt/runtime"),
])
def test_the_first_bootstrap_is_taken(start, places, chosen):
    for place in places:
        start.script(f"{place}/bootstrap", shimdriver.PYTHON_BOOTSTRAP +
                     f"loop(lambda e: api.respond(e.id, '\"{place}\"'))\n")
    assert start().loaded().invoke({}).json() == chosen


def test_a_folder_is_no_bootstrap(start, tmp_path):
    (tmp_path / "task/bootstrap").mkdir(parents=True)
    start.script("opt/bootstrap", shimdriver.PYTHON_BOOTSTRAP + "loop(lambda e: api.respond(e.id, '1'))\n")
    assert start().loaded().invoke({}).json() == 1


def test_an_event_that_comes_early_waits(start):
    """The answer is there before the function asks for its next event."""
    shim = start.python("""
def handle(event):
    api.respond(event.id, event.text)
    time.sleep(0.3)
loop(handle)
""").loaded()
    connection = Connection(shim.path)
    for n in range(3):
        assert shim.invoke_on(connection, n).json() == n


def test_one_event_at_a_time(start, tmp_path):
    shim = start.python(f"""
def handle(event):
    while not os.path.exists({str(tmp_path / "go")!r}):
        time.sleep(0.01)
    api.respond(event.id, event.text)
loop(handle)
""").loaded()
    connections = [Connection(shim.path) for _ in range(3)]
    for n, connection in enumerate(connections[:2]):
        connection.send_head("POST", "/", [*shim.event_fields(id=f"id-{n}"), ("Content-Length", "1")])
        connection.send(str(n).encode())
        wait_for(lambda: shim.control("GET", "/.heddle/ping").status == 200)
    refused = wait_for(lambda: (a := shim.invoke(2)).status == 503 and a, "a refusal")
    assert refused.field("x-heddle-undelivered") == "1"
    (tmp_path / "go").touch()
    for n, connection in enumerate(connections[:2]):
        answer = connection.head()
        assert connection.body(answer) == str(n).encode()


def test_big_events_and_answers(start):
    shim = start.python(ECHO).loaded()
    for size in (1, 70_000, 1_000_000, 6_291_556 - 2):
        text = json.dumps("x" * size).encode()
        answer = shim.invoke(text)
        assert answer.status == 200 and answer.body == text
    assert shim.invoke(b'"' + b"x" * 6_291_556 + b'"').status == 413
    assert shim.invoke(1).json() == 1


def test_a_chunked_event(start):
    shim = start.python(ECHO).loaded()
    connection = Connection(shim.path)
    connection.send_head("POST", "/", [*shim.event_fields(), ("Transfer-Encoding", "chunked")])
    for part in (b'{"a"', b": 1}"):
        connection.send_chunk(part)
    connection.send_chunk(b"")
    answer = connection.head()
    assert json.loads(connection.body(answer)) == {"a": 1}


def test_who_asked_went_away(start, tmp_path):
    """The function runs to its end, its answer is dropped, and it serves the next."""
    shim = start.python(f"""
def handle(event):
    if json.loads(event.text) == "slow":
        open({str(tmp_path / "began")!r}, "w").close()
        time.sleep(0.3)
    print("status", api.respond(event.id, event.text).status, flush=True)
loop(handle)
""").loaded()
    connection = Connection(shim.path)
    connection.send_head("POST", "/", [*shim.event_fields(id="gone"), ("Content-Length", "6")])
    connection.send(b'"slow"')
    wait_for((tmp_path / "began").exists)
    connection.close()
    assert shim.invoke("next").json() == "next"
    shim.wait_line("status 202", "gone")


def test_an_idle_instance_ends_at_once(start):
    shim = start.python("""
import subprocess
child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
loop(lambda e: api.respond(e.id, json.dumps([os.getpid(), child.pid])))
""").loaded()
    pids = shim.invoke({}).json()
    assert all(is_running(pid) for pid in pids)
    assert shim.stop() == 0
    assert not any(is_running(pid) for pid in pids)


def test_before_a_load_it_ends_as_well(start):
    assert start.python(ECHO).stop() == 0


def test_it_finishes_the_event_under_way(start, tmp_path):
    shim = start.python(f"""
def handle(event):
    open({str(tmp_path / "began")!r}, "w").close()
    while not os.path.exists({str(tmp_path / "go")!r}):
        time.sleep(0.01)
    api.respond(event.id, '"done"')
loop(handle)
""").loaded()
    connection = Connection(shim.path)
    connection.send_head("POST", "/", [*shim.event_fields(), ("Content-Length", "2")])
    connection.send(b"{}")
    wait_for((tmp_path / "began").exists)
    shim.terminate()

    def refuses():
        try:
            Connection(shim.path).close()
            return False
        except OSError:
            return True
    wait_for(refuses, "the end of listening")
    (tmp_path / "go").touch()
    answer = connection.head()
    assert connection.body(answer) == b'"done"'
    assert shim.ended() == 0


def test_a_runtime_may_get_time_to_end(start, tmp_path):
    shim = start.python(f"""
def on_term(*_):
    open({str(tmp_path / "ended")!r}, "w").write("well")
    os._exit(0)
signal.signal(signal.SIGTERM, on_term)
{ECHO}""", args=["--grace", "20000"]).loaded()
    assert shim.invoke(1).json() == 1
    assert shim.stop() == 0
    assert (tmp_path / "ended").read_text() == "well"


def test_everything_dies_with_a_killed_shim(start):
    shim = start.python("loop(lambda e: api.respond(e.id, str(os.getpid())))\n").loaded()
    pid = shim.invoke({}).json()
    shim.process.kill()
    shim.ended()
    wait_for(lambda: not is_running(pid), "the end of the runtime")


def test_orphans_are_fetched(start):
    shim = start.python("""
import subprocess
def handle(event):
    for _ in range(20):
        subprocess.run(["sh", "-c", "sleep 0.01 & exit"])
    time.sleep(0.2)
    api.respond(event.id, "1")
loop(handle)
""").loaded()
    shim.invoke({})

    def zombies():
        children = open(f"/proc/{shim.process.pid}/task/{shim.process.pid}/children").read().split()
        return [c for c in children if "Z" in open(f"/proc/{c}/stat").read().rsplit(")")[1]]
    wait_for(lambda: not zombies(), "no zombies")


# What functions print --------------------------------------------------------------------------

def test_lines_carry_the_id_of_their_invocation(start):
    shim = start.python("""
print("in init", flush=True)
def handle(event):
    n = json.loads(event.text)
    print("out", n, flush=True)
    print("err", n, file=sys.stderr, flush=True)
    sys.stdout.write(f"no line break {n}")
    sys.stdout.flush()
    api.respond(event.id, event.text)
    print("after", n, flush=True)
loop(handle)
""").loaded()
    for n in range(3):
        assert shim.invoke(n, id=f"id-{n}").json() == n
        shim.wait_line(f"after {n}", f"id-{n}")
    assert shim.wait_line("in init")["id"] is None
    for n in range(3):
        lines = shim.lines(f"id-{n}")
        assert lines == [f"out {n}", f"no line break {n}", f"err {n}", f"after {n}"] or \
            sorted(lines[:3]) == sorted([f"out {n}", f"no line break {n}", f"err {n}"])
    assert all(record["level"] == "info" for record in shim.records)
    assert shim.raw == []


def test_lines_are_there_before_the_answer(start):
    """Read what it wrote up to the answer, and no line is missing."""
    shim = start.python("""
def handle(event):
    for i in range(200):
        print("line", i)
    sys.stdout.flush()
    api.respond(event.id, "1")
loop(handle)
""", collect=False).loaded()
    for n in range(5):
        answer = shim.invoke(n, id=f"id-{n}")
        assert answer.json() == 1
        lines = [r["msg"] for r in shim.read_records() if r["id"] == f"id-{n}"]
        assert lines == [f"line {i}" for i in range(200)]


def test_long_and_strange_lines(start):
    shim = start.python("""
def handle(event):
    os.write(1, b"x" * 20000 + b"\\n")
    os.write(1, b"\\xff\\xfe \\x00 \\x1b[31m\\n\\r\\n")
    os.write(1, "é€😀\\n".encode())
    api.respond(event.id, "1")
loop(handle)
""").loaded()
    shim.invoke({}, id="id-1")
    shim.wait_line("é€😀")
    lines = shim.lines("id-1")
    assert "".join(lines[:3]) == "x" * 20000
    assert lines[3].endswith("[31m") and "\ufffd" in lines[3]
    assert lines[4] == ""
    assert lines[5] == "é€😀"
