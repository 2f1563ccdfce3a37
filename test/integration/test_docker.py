"""Functions in containers of a real engine: zip functions with our hosts and images with programs of
their own, their output, limits and ends, and what is left behind."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest

from docker_engine import IMAGE, active, create, create_zip, invoke, ours, tail, zipped
from heddle import Node, eventually

PYTHON = """
import os, socket
def handler(event, context):
    if event.get("eat"):
        return len(bytearray(event["eat"] << 20))
    if event.get("exit"):
        os._exit(event["exit"])
    print("said", event.get("say"))
    def tries(path):
        try:
            open(path, "w").close()
            return True
        except OSError:
            return False
    return {"uid": os.getuid(), "pid": os.getpid(), "root": os.listdir("/heddle"),
            "task": tries("/var/task/x"), "etc": tries("/etc/x"), "tmp": tries("/tmp/x"),
            "name": context.function_name, "env": os.environ.get("MINE"),
            "net": os.listdir("/sys/class/net"),
            "capabilities": [l.split()[1] for l in open("/proc/self/status") if l.startswith("CapBnd")]}
"""
NODE = "exports.handler = async (event) => ({ got: event, node: process.version });\n"
# A whole runtime client in a few lines: what an image brings itself.
CLIENT = """
import json, os, sys, urllib.request
api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
while True:
    with urllib.request.urlopen(api + "next") as r:
        id, event = r.headers["Lambda-Runtime-Aws-Request-Id"], json.load(r)
    print("image got", event, flush=True)
    answer = {"event": event, "argv": sys.argv[1:], "cwd": os.getcwd(),
              "from_image": os.environ.get("FROM_IMAGE"), "name": os.environ["AWS_LAMBDA_FUNCTION_NAME"],
              "task": os.path.exists("/var/task/f.py")}
    urllib.request.urlopen(api + id + "/response", json.dumps(answer).encode()).close()
"""


LANES = """
lanes:
  tasks: { double: { function: double } }
  events: { done: { lane: ends } }
  event_lanes: { ends: {} }
  queues: { q: {} }
  bindings: [ { lane: ends, queue: q } ]
"""
DOUBLE = "export const handler = async (event) => event * 2;"
CALLER = """
import os, urllib.request
from heddle import call, emit
def handler(event, context):
    url, token = os.environ["HEDDLE_LANES_URL"], os.environ["HEDDLE_LANES_TOKEN"]
    request = urllib.request.Request(url + "/lanes/v1/status",
                                     headers={"Authorization": "Bearer " + token})
    with urllib.request.urlopen(request, timeout=30) as answer:
        status = answer.status
    large = call("double", "x" * 300000) if event.get("large") else None
    return {"called": call("double", 21), "sent": emit("done", event)["messageId"], "url": url,
            "token": token, "status": status, "large": large, "net": os.listdir("/sys/class/net")}
"""
NODE_CALLER = """
import { call } from "heddle";
export const handler = async () => ({ called: await call("double", 4) });
"""


def test_the_lanes_are_there_without_a_network(docker_node, tmp_path):
    (tmp_path / "heddle.yml").write_text(LANES)
    double = tmp_path / "functions/double"
    double.mkdir(parents=True, exist_ok=True)
    (double / "index.mjs").write_text(DOUBLE)
    (double / "heddle.json").write_text('{"runtime": "node", "verify_jwt": false}')
    n = docker_node("--lambda-backend", "docker", "--sandbox", "off")
    create_zip(n, "py", "python3.11", "f.handler", "f.py", CALLER, MemorySize=256)
    active(n, "py")
    answer = invoke(n, "py", {"large": True})
    got = answer.json()
    assert answer.get("x-amz-function-error") is None, got
    assert (got["called"], got["status"], got["net"]) == (42, 200, ["lo"]) and got["sent"], got
    if shutil.which("node") is not None:
        create_zip(n, "js", "nodejs20.x", "f.handler", "f.mjs", NODE_CALLER, MemorySize=256)
        active(n, "js")
        assert invoke(n, "js", {}).json() == {"called": 8}
    n.stop()


def test_a_zip_function_runs_in_a_container_of_its_own(docker_node, engine):
    n = docker_node("--lambda-backend", "docker")
    create_zip(n, "py", "python3.11", "f.handler", "f.py", PYTHON, MemorySize=256,
               Environment={"Variables": {"MINE": "yes"}})
    assert active(n, "py")["State"] == "Active"
    answer = invoke(n, "py", {"say": "hello"})
    assert answer.status == 200 and answer.get("x-amz-function-error") is None, answer
    got = answer.json()
    assert got["uid"] == 993 and got["name"] == "py" and got["env"] == "yes"
    assert (got["task"], got["etc"], got["tmp"]) == (False, False, True)
    assert got["net"] == ["lo"]
    assert "said hello" in tail(answer)
    assert tail(answer).startswith("INIT_START Runtime Version: python:3.11\t")
    [c] = ours(engine, "py")
    host = engine.inspect(c["Id"])["HostConfig"]
    assert host["Memory"] == host["MemorySwap"] == 256 << 20
    assert host["ReadonlyRootfs"] and host["NetworkMode"] == "none"
    assert int(got["capabilities"][0], 16) == 0
    again = invoke(n, "py", {})
    assert again.json()["pid"] == got["pid"]
    [i] = [i for i in n.admin("/heddle/instances", data_dir="data").json()["instances"]
           if i["function"] == "py"]
    assert (i["backend"], i["state"], i["served"]) == ("docker", "idle", 2), i
    used = re.search(r"Max Memory Used: (\d+) MB", tail(again))
    if "memory" in pathlib.Path("/proc/self/cgroup").read_text():
        assert 1 <= int(used[1]) <= 256 and 1 << 20 <= i["memoryPeakBytes"] <= 256 << 20, (used, i)
    assert len(ours(engine, "py")) == 1
    n.stop()
    assert ours(engine) == []


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here")
def test_node_and_provided(docker_node, engine):
    n = docker_node("--lambda-backend", "docker")
    create_zip(n, "js", "nodejs20.x", "f.handler", "f.js", NODE)
    create_zip(n, "own", "provided.al2023", "x", "bootstrap", "#!/usr/bin/python3\n" + CLIENT, 0o755)
    active(n, "js"), active(n, "own")
    assert invoke(n, "js", {"a": 1}).json()["got"] == {"a": 1}
    answer = invoke(n, "own", {"b": 2})
    assert answer.json()["event"] == {"b": 2} and answer.json()["cwd"] == "/var/task"
    assert "image got {'b': 2}" in tail(answer)


def test_an_image_brings_its_own_entry_point(docker_node, engine):
    n = docker_node()  # images are containers whatever the setting says
    create(n, "image", PackageType="Image", Code={"ImageUri": IMAGE},
           ImageConfig={"EntryPoint": ["/usr/bin/python3", "-c", CLIENT], "Command": ["one", "two"],
                        "WorkingDirectory": "/opt"})
    assert active(n, "image")["State"] == "Active"
    answer = invoke(n, "image", {"n": 1})
    assert answer.status == 200, (answer, n.text()[-3000:])
    assert answer.json() == {"event": {"n": 1}, "argv": ["one", "two"], "cwd": "/opt",
                             "from_image": "yes", "name": "image", "task": False}
    assert "image got {'n': 1}" in tail(answer)
    assert tail(answer).startswith("INIT_START Runtime Version: image\t")


def test_what_ends_is_known_and_replaced(docker_node, engine):
    n = docker_node("--lambda-backend", "docker")
    create_zip(n, "py", "python3.11", "f.handler", "f.py", PYTHON, MemorySize=128)
    active(n, "py")
    assert invoke(n, "py", {}).status == 200
    [c] = ours(engine, "py")
    os.kill(engine.inspect(c["Id"])["State"]["Pid"], signal.SIGKILL)
    eventually(lambda: c["Id"] not in [o["Id"] for o in ours(engine, "py")], what="it is removed")
    assert invoke(n, "py", {}).status == 200
    answer = invoke(n, "py", {"exit": 3})
    assert answer.get("x-amz-function-error") and "exit status 3" in answer.body.decode(), answer
    assert invoke(n, "py", {}).status == 200


def test_memory_limit(docker_node, engine):
    n = docker_node("--lambda-backend", "docker")
    create_zip(n, "py", "python3.11", "f.handler", "f.py", PYTHON, MemorySize=128)
    active(n, "py")
    assert invoke(n, "py", {}).status == 200
    [c] = ours(engine, "py")
    pid = engine.inspect(c["Id"])["State"]["Pid"]
    with open(f"/proc/{pid}/cgroup") as f:
        if "memory" not in f.read() and not os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
            pytest.skip("there is no memory controller here")
    answer = invoke(n, "py", {"eat": 400})
    assert answer.get("x-amz-function-error"), answer
    assert "signal: killed" in answer.body.decode() or "OutOfMemory" in answer.body.decode(), answer
    assert invoke(n, "py", {}).status == 200


COUNTER = """
import os, threading, time
gap = 0
def run():
    global gap
    last = time.monotonic()
    while True:
        time.sleep(0.005)
        now = time.monotonic()
        gap, last = max(gap, now - last), now
threading.Thread(target=run, daemon=True).start()
def handler(event, context):
    time.sleep(0.05)
    return {"gap": gap, "pid": os.getpid(), "host": os.uname().nodename}
"""


def test_a_container_is_paused_between_invocations(docker_node, engine):
    n = docker_node("--lambda-backend", "docker", "--lambda-freeze", "--lambda-freeze-after", "300")
    create_zip(n, "counts", "python3.11", "f.handler", "f.py", COUNTER, MemorySize=128)
    active(n, "counts")

    def paused():
        return [c for c in ours(engine, "counts") if engine.inspect(c["Id"])["State"].get("Paused")]

    def state():
        return [i["state"] for i in n.admin("/heddle/instances", data_dir="data").json()["instances"]]

    first = invoke(n, "counts", {})
    assert first.status == 200 and first.get("x-amz-function-error") is None, first
    first = first.json()
    for _ in range(2):
        [c] = eventually(paused, what="it is paused")
        eventually(lambda: state() == ["frozen"], what="the node knows")
        began = time.monotonic()
        time.sleep(0.3)
        stood = time.monotonic() - began
        answer = invoke(n, "counts", {})
        assert answer.status == 200 and answer.get("x-amz-function-error") is None, answer
        assert answer.json()["gap"] >= stood and answer.json()["host"] == first["host"]
    eventually(paused, what="it is paused")
    n.ask_control("DELETE", "/2015-03-31/functions/counts")
    eventually(lambda: ours(engine, "counts") == [], what="a paused one is removed")
    create_zip(n, "again", "python3.11", "f.handler", "f.py", COUNTER, MemorySize=128)
    active(n, "again")
    assert invoke(n, "again", {}).status == 200
    eventually(lambda: state() == ["frozen"], what="it is paused")
    n.kill()
    n = docker_node("--lambda-backend", "docker", "--lambda-freeze")
    eventually(lambda: ours(engine) == [], what="what a dead node paused is removed")


def test_leftovers_of_a_killed_node_are_removed(docker_node, engine):
    n = docker_node("--lambda-backend", "docker")
    create_zip(n, "py", "python3.11", "f.handler", "f.py", PYTHON)
    active(n, "py")
    assert invoke(n, "py", {}).status == 200
    [old] = ours(engine, "py")
    n.kill()
    assert [c["Id"] for c in ours(engine)] == [old["Id"]]
    labels = old["Labels"]
    assert labels["heddle.version"].startswith("LATEST-") and labels["heddle.deploy"]
    assert len(labels["heddle.instance"]) == 16
    assert old["Names"] == ["/heddle-" + labels["heddle.instance"]]
    other = engine.call("POST", "/containers/create", json.dumps({
        "Image": IMAGE, "Cmd": ["sleep", "1"], "HostConfig": {"NetworkMode": "none"},
        "Labels": {"heddle.managed": "true", "heddle.node": "0123456789abcdef",
                   "heddle.boot": "0123456789abcdef"}}))["Id"]
    m = docker_node("--lambda-backend", "docker")
    eventually(lambda: old["Id"] not in [c["Id"] for c in ours(engine)], what="leftovers are removed")
    assert invoke(m, "py", {}).status == 200
    assert other in [c["Id"] for c in ours(engine)]  # another node's, which may well be alive
    engine.call("DELETE", f"/containers/{other}?force=1")


def test_an_image_that_is_not_there(docker_node):
    n = docker_node("--docker-pull", "never")
    create(n, "none", PackageType="Image", Code={"ImageUri": "nobody/nothing:1"})
    assert active(n, "none")["State"] == "Failed"
    answer = invoke(n, "none", {})
    assert (answer.status, answer.get("x-amzn-errortype")) == (500, "ServiceException"), answer
    assert "nobody/nothing:1: the engine does not have it" in answer.body.decode()


def test_an_entry_point_that_is_not_there(docker_node):
    n = docker_node()
    create(n, "bad", PackageType="Image", Code={"ImageUri": IMAGE},
           ImageConfig={"EntryPoint": ["/no/such/program"]})
    active(n, "bad")
    answer = invoke(n, "bad", {})
    assert answer.get("x-amz-function-error") and "/no/such/program" in answer.body.decode(), answer


def test_without_an_engine_nothing_else_suffers(tmp_path):
    (tmp_path / "functions").mkdir()
    n = Node(tmp_path, tmp_path / "functions", "--data-dir", str(tmp_path / "data"), "--docker-host",
             f"unix://{tmp_path}/none.sock", kind="release").start()
    create(n, "image", PackageType="Image", Code={"ImageUri": "some/image:1"})
    create_zip(n, "py", "python3.11", "f.handler", "f.py", "def handler(e, c): return 'here'\n")
    active(n, "image"), active(n, "py")
    assert invoke(n, "py", {}).json() == "here"
    answer = invoke(n, "image", {})
    assert answer.status >= 500 and "cannot reach the Docker socket" in answer.body.decode(), answer
    n.stop()


def test_a_host_that_cannot_be(tmp_path):
    (tmp_path / "functions").mkdir()
    n = Node(tmp_path, tmp_path / "functions", "--docker-host", "ssh://somewhere",
             kind="release").spawn()
    assert n.process.wait(30) != 0
    eventually(lambda: "must be unix:///path/to/socket or tcp://" in n.text(), what="the reason")


def test_the_aws_cli(docker_node, tmp_path):
    program = shutil.which("aws", path="/usr/bin:/usr/local/bin") or shutil.which("aws")
    if program is None:
        pytest.skip("the AWS CLI is not here (Debian: awscli)")
    n = docker_node("--lambda-backend", "docker")
    (tmp_path / "f.zip").write_bytes(zipped("f.py", PYTHON))
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_ACCESS_KEY_ID": "x",
           "AWS_SECRET_ACCESS_KEY": "y", "AWS_DEFAULT_REGION": "us-east-1"}

    def aws(*args):
        done = subprocess.run([program, "--endpoint-url", n.control, "lambda", *args], env=env,
                              cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, (args, done.stderr)

    role = ("--role", "arn:aws:iam::000000000000:role/r")
    aws("create-function", "--function-name", "zip", "--runtime", "python3.11", "--handler",
        "f.handler", "--zip-file", "fileb://f.zip", *role)
    aws("create-function", "--function-name", "image", "--package-type", "Image", "--code",
        f"ImageUri={IMAGE}", "--image-config",
        json.dumps({"EntryPoint": ["/usr/bin/python3", "-c", CLIENT]}), *role)
    for name, member in (("zip", "uid"), ("image", "event")):
        aws("wait", "function-active-v2", "--function-name", name)
        aws("invoke", "--function-name", name, "--cli-binary-format", "raw-in-base64-out",
            "--payload", "{}", "out.json")
        assert member in json.loads((tmp_path / "out.json").read_text())


# What serves events on port 8080, as the emulator that some images bring does.
DOOR = """
import http.server, json, os
class Door(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        print("door got", event, flush=True)
        if event.get("exit"):
            os._exit(event["exit"])
        answer = json.dumps({"event": event, "path": self.path, "pid": os.getpid()}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(answer)
http.server.HTTPServer(("0.0.0.0", 8080), Door).serve_forever()
"""


def test_an_image_that_takes_events_on_8080(docker_node, engine):
    n = docker_node()
    create(n, "door", PackageType="Image", Code={"ImageUri": IMAGE},
           ImageConfig={"EntryPoint": ["/usr/bin/python3", "-c", DOOR]})
    assert active(n, "door")["State"] == "Active"
    answer = invoke(n, "door", {"n": 1})
    assert answer.status == 200 and answer.get("x-amz-function-error") is None, answer
    first = answer.json()
    assert first["event"] == {"n": 1}
    assert first["path"] == "/2015-03-31/functions/function/invocations"
    assert "door got {'n': 1}" in tail(answer)
    assert invoke(n, "door", {"n": 2}).json()["pid"] == first["pid"]
    [c] = ours(engine, "door")
    assert engine.inspect(c["Id"])["HostConfig"]["NetworkMode"] == "none"
    answer = invoke(n, "door", {"exit": 3})
    assert answer.get("x-amz-function-error") and "exit status 3" in answer.body.decode(), answer
    assert invoke(n, "door", {"n": 3}).json()["event"] == {"n": 3}
