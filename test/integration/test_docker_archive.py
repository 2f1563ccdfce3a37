"""An engine that does not see this machine's files: code goes in as an archive, and the way to the
function is the engine's own connection."""

import os
import shutil
import signal
import tempfile
from concurrent.futures import ThreadPoolExecutor

import pytest

import docker_engine
from docker_engine import IMAGE, FarEngine, active, create, create_zip, invoke, ours, tail
from heddle import ROOT, eventually
from test_docker import CALLER, CLIENT, DOUBLE, LANES, NODE, PYTHON

LAYERED = """
import sys
sys.path.insert(0, "/opt/python")
def handler(event, context):
    if event.get("print"):
        for i in range(event["print"]):
            print(f"line {i}", flush=True)
    return {"size": len(event.get("text", "")), "text": "x" * event.get("give", 0)}
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    folder = tempfile.mkdtemp(prefix="far-")
    FarEngine.hidden = (tmp_path_factory.getbasetemp(), ROOT)
    try:
        far = docker_engine.start(folder, FarEngine)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    try:
        yield far
    finally:
        far.end()
        shutil.rmtree(folder, ignore_errors=True)


def test_a_zip_function_is_carried_there(docker_node, engine):
    n = docker_node("--lambda-backend", "docker")
    create_zip(n, "py", "python3.11", "f.handler", "f.py", PYTHON, MemorySize=256,
               Environment={"Variables": {"MINE": "yes"}})
    assert active(n, "py")["State"] == "Active"
    answer = invoke(n, "py", {"say": "hello"})
    assert answer.status == 200 and answer.get("x-amz-function-error") is None, (answer, n.text()[-3000:])
    got = answer.json()
    assert got["uid"] == 993 and got["name"] == "py" and got["env"] == "yes"
    assert (got["task"], got["etc"], got["tmp"]) == (False, False, True)
    assert got["net"] == ["lo"]
    assert "said hello" in tail(answer)
    [c] = ours(engine, "py")
    assert c["Mounts"] == []
    n.stop()
    assert ours(engine) == []


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here")
def test_node_a_bootstrap_and_an_image(docker_node, engine):
    n = docker_node("--lambda-backend", "docker")
    create_zip(n, "js", "nodejs20.x", "f.handler", "f.js", NODE)
    create_zip(n, "own", "provided.al2023", "x", "bootstrap", "#!/usr/bin/python3\n" + CLIENT, 0o755)
    create(n, "image", PackageType="Image", Code={"ImageUri": IMAGE},
           ImageConfig={"EntryPoint": ["/usr/bin/python3", "-c", CLIENT], "Command": ["one", "two"],
                        "WorkingDirectory": "/opt"})
    for name in ("js", "own", "image"):
        active(n, name)
    assert invoke(n, "js", {"a": 1}).json()["got"] == {"a": 1}
    answer = invoke(n, "own", {"b": 2})
    assert answer.json()["event"] == {"b": 2} and answer.json()["cwd"] == "/var/task"
    assert "image got {'b': 2}" in tail(answer)
    answer = invoke(n, "image", {"n": 1})
    assert answer.json() == {"event": {"n": 1}, "argv": ["one", "two"], "cwd": "/opt",
                             "from_image": "yes", "name": "image", "task": False}
    assert "image got {'n': 1}" in tail(answer)


def test_large_events_answers_and_many_lines_at_once(docker_node, engine):
    n = docker_node("--lambda-backend", "docker")
    create_zip(n, "py", "python3.11", "f.handler", "f.py", LAYERED, MemorySize=512)
    active(n, "py")
    big = 5_000_000

    def both(i):
        answer = invoke(n, "py", {"text": "y" * big, "give": big, "print": 300})
        return answer.json() == {"size": big, "text": "x" * big} and "line 299" in tail(answer)

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(both, range(4))) == [True] * 4


def test_what_ends_is_known_with_its_last_lines(docker_node, engine):
    n = docker_node("--lambda-backend", "docker")
    create_zip(n, "py", "python3.11", "f.handler", "f.py", PYTHON)
    active(n, "py")
    assert invoke(n, "py", {}).status == 200
    answer = invoke(n, "py", {"exit": 3})
    assert answer.get("x-amz-function-error") and "exit status 3" in answer.body.decode(), answer
    assert invoke(n, "py", {}).status == 200
    [c] = eventually(lambda: len(ours(engine, "py")) == 1 and ours(engine, "py"), what="one is left")
    os.kill(engine.inspect(c["Id"])["State"]["Pid"], signal.SIGKILL)
    eventually(lambda: c["Id"] not in [o["Id"] for o in ours(engine, "py")], what="it is removed")
    assert invoke(n, "py", {}).status == 200


def test_without_its_node_an_instance_ends(docker_node, engine):
    n = docker_node("--lambda-backend", "docker")
    create_zip(n, "py", "python3.11", "f.handler", "f.py", PYTHON)
    active(n, "py")
    assert invoke(n, "py", {}).status == 200
    [c] = ours(engine, "py")
    n.kill()
    eventually(lambda: engine.inspect(c["Id"])["State"]["Status"] == "exited", what="it ended")
    m = docker_node("--lambda-backend", "docker")
    eventually(lambda: ours(engine) == [], what="what is left of it is removed")
    assert invoke(m, "py", {}).status == 200


def test_the_lanes_are_there_too(docker_node, tmp_path):
    (tmp_path / "heddle.yml").write_text(LANES)
    double = tmp_path / "functions/double"
    double.mkdir(parents=True, exist_ok=True)
    (double / "index.mjs").write_text(DOUBLE)
    (double / "heddle.json").write_text('{"runtime": "node", "verify_jwt": false}')
    n = docker_node("--lambda-backend", "docker", "--sandbox", "off")
    create_zip(n, "py", "python3.11", "f.handler", "f.py", CALLER, MemorySize=256)
    active(n, "py")
    for _ in range(3):
        answer = invoke(n, "py", {"large": True})
        got = answer.json()
        assert answer.get("x-amz-function-error") is None, got
        assert (got["called"], got["status"], got["net"]) == (42, 200, ["lo"]) and got["sent"], got
