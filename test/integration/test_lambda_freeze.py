"""Instances that stand still between invocations: nothing runs in them, and they go on for the next
event; with the kernel's freezer of both versions."""

import concurrent.futures
import os
import shutil
import time
from pathlib import Path

import pytest

from awslambda import Lambda, arn, package
from heddle import INTERNAL_KEY, Node, bearer, eventually

AFTER_MS = 300  # an instance is frozen when it was idle for so long

# Each counts while it runs, writes what it counted to a file, and knows its longest pause.
TICKS = {
    "node": ("nodejs20.x", """
const fs = require("fs");
let ticks = 0, gap = 0, last = process.hrtime.bigint();
setInterval(() => {
  const now = process.hrtime.bigint();
  gap = Math.max(gap, Number(now - last) / 1e9);
  last = now;
  fs.writeFileSync("/tmp/ticks", String(++ticks));
}, 5);
exports.handler = async (event) => {
  if (event.wait) await new Promise((done) => setTimeout(done, event.wait));
  const answer = { ticks, gap };
  if (event.reset) gap = 0;
  return answer;
};"""),
    "python": ("python3.11", """
import threading, time
ticks, gap = 0, 0
def run():
    global ticks, gap
    last = time.monotonic()
    while True:
        time.sleep(0.005)
        now = time.monotonic()
        gap, last, ticks = max(gap, now - last), now, ticks + 1
        with open("/tmp/ticks", "w") as f:
            f.write(str(ticks))
threading.Thread(target=run, daemon=True).start()
def handler(event, context):
    global gap
    time.sleep(event.get("wait", 0) / 1000)
    answer = {"ticks": ticks, "gap": gap}
    if event.get("reset"):
        gap = 0
    return answer
"""),
}
EXTENSION = """#!/usr/bin/env python3
import json, os, urllib.request
base = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2020-01-01/extension/"
name = {"Lambda-Extension-Name": os.path.basename(__file__), "Content-Type": "application/json"}
with urllib.request.urlopen(urllib.request.Request(
        base + "register", json.dumps({"events": ["INVOKE", "SHUTDOWN"]}).encode(), name)) as r:
    mine = {"Lambda-Extension-Identifier": r.headers["Lambda-Extension-Identifier"]}
while True:
    with urllib.request.urlopen(urllib.request.Request(base + "event/next", headers=mine)) as r:
        event = json.load(r)
    print("the extension saw", event["eventType"], flush=True)
    if event["eventType"] == "SHUTDOWN":
        break
"""
BOOTSTRAP = """#!/usr/bin/env python3
import os, urllib.request
api = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation/"
while True:
    with urllib.request.urlopen(api + "next") as r:
        id, event = r.headers["Lambda-Runtime-Aws-Request-Id"], r.read()
    urllib.request.urlopen(api + id + "/response", event).close()
"""


def start(cwd, after_ms=AFTER_MS, version=None):
    """A node whose functions are frozen; with that version of the freezer alone."""
    (cwd / "functions").mkdir(exist_ok=True)
    node = Node(cwd, cwd / "functions", "--lambda-freeze", "--lambda-freeze-after", str(after_ms))
    if version == 1:
        if os.geteuid() != 0 or not Path("/sys/fs/cgroup/freezer/cgroup.procs").exists():
            pytest.skip("there is no freezer of version 1 here")
        node.command = [shutil.which("unshare"), "--mount", "sh", "-c", "umount /sys/fs/cgroup/unified; exec \"$@\"",
                        "sh", *node.command]
    try:
        node.start()
        [parts] = [r["parts"] for r in node.records() if r.get("msg") == "sandbox"]
        file = {None: "", 1: "freezer.state"}[version]
        if f"freezing by {file}" not in parts:
            pytest.skip(f"nothing can be frozen here: {parts}")
    except BaseException:
        node.kill()
        raise
    return node


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    node = start(tmp_path_factory.mktemp("freeze"))
    try:
        yield Lambda(node)
        node.stop()
    finally:
        node.kill()


def instances(node, function):
    listed = node.ask_control("GET", "/heddle/instances", bearer(INTERNAL_KEY)).json()["instances"]
    return [i for i in listed if i["function"] == function]


def wait_frozen(node, function):
    def check():
        found = instances(node, function)
        return found if found and all(i["state"] == "frozen" for i in found) else None
    return eventually(check, what=f"{function} is frozen")


def files_of(node, name):
    """A file in the /tmp of an instance, as it is seen from outside; each once."""
    seen = {}
    for pid in node.children():
        path = Path("/proc", str(pid), "root", "tmp", name)
        try:
            seen[path.stat().st_ino, path.stat().st_dev] = path
        except OSError:
            continue
    return list(seen.values())


def tick_through(aws, name):
    """What counts stands still while it is frozen, and goes on for each event."""
    first = aws.value(name, {"wait": 50})
    assert first["ticks"] > 0
    for _ in range(2):
        [one] = wait_frozen(aws.node, name)
        aws.value(name, {"reset": True})
        [again] = wait_frozen(aws.node, name)
        began = time.monotonic()
        assert again["id"] == one["id"] and again["served"] == one["served"] + 1
        if os.geteuid() == 0:
            counted = {p: p.read_text() for p in files_of(aws.node, "ticks")}
            assert counted
            time.sleep(0.2)  # what runs counts to forty
            assert {p: p.read_text() for p in counted} == counted
        stood = time.monotonic() - began
        now = aws.value(name, {"wait": 50})
        assert now["gap"] >= stood and now["ticks"] > first["ticks"], (now, first, stood)
        first = now
    wait_frozen(aws.node, name)


@pytest.mark.parametrize("kind", TICKS)
def test_a_timer_stands_still_between_invocations(aws, kind):
    if shutil.which({"node": "node", "python": "python3"}[kind]) is None:
        pytest.skip(f"there is no {kind} here")
    runtime, code = TICKS[kind]
    aws.create(f"ticks-{kind}", code, runtime=runtime)
    tick_through(aws, f"ticks-{kind}")
    frozen = sum(v for n, v in aws.node.metrics().items()
                 if n.startswith("heddle_pool_instances") and 'state="frozen"' in n)
    assert frozen >= 1
    aws.api.delete_function(FunctionName=f"ticks-{kind}")
    eventually(lambda: not instances(aws.node, f"ticks-{kind}"), what="a frozen instance ends")


def test_a_tag_says_otherwise_and_may_change(aws):
    runtime, code = TICKS["python"]
    aws.create("never", code, runtime=runtime, Tags={"heddle.freeze": "false"})
    aws.create("always", code, runtime=runtime, Tags={"heddle.freeze": "true"})
    aws.value("never", {}), aws.value("always", {})
    wait_frozen(aws.node, "always")  # it was used after the other one
    assert [i["state"] for i in instances(aws.node, "never")] == ["idle"]
    aws.api.tag_resource(Resource=arn("always"), Tags={"heddle.freeze": "false"})
    eventually(lambda: [i["state"] for i in instances(aws.node, "always")] == ["idle"],
               what="it goes on")
    aws.api.untag_resource(Resource=arn("never"), TagKeys=["heddle.freeze"])
    [one] = wait_frozen(aws.node, "never")
    assert one["served"] == 1
    with pytest.raises(aws.api.exceptions.InvalidParameterValueException) as refused:
        aws.api.tag_resource(Resource=arn("never"), Tags={"heddle.freeze": "maybe"})
    assert "'true' or 'false', not 'maybe'" in str(refused.value)
    for name in ("never", "always"):
        aws.api.delete_function(FunctionName=name)


def test_versions_are_frozen_as_their_function_is(aws):
    runtime, code = TICKS["python"]
    aws.create("versioned", code, runtime=runtime, Tags={"heddle.freeze": "false"})
    version = aws.api.publish_version(FunctionName="versioned")["Version"]
    aws.value("versioned", {}, Qualifier=version)
    [one] = instances(aws.node, "versioned")
    aws.api.tag_resource(Resource=arn("versioned"), Tags={"heddle.freeze": "true"})
    [again] = wait_frozen(aws.node, "versioned")
    assert again["id"] == one["id"]
    aws.api.delete_function(FunctionName="versioned")


def test_a_new_version_ends_a_frozen_instance(aws):
    runtime, code = TICKS["python"]
    aws.create("updated", code, runtime=runtime)
    aws.value("updated", {})
    [old] = wait_frozen(aws.node, "updated")
    aws.api.update_function_code(FunctionName="updated", ZipFile=package(
        {"index.py": "def handler(event, context):\n    return 'new'\n"}))
    aws.wait_updated("updated")
    assert aws.value("updated", {}) == "new"
    eventually(lambda: old["id"] not in [i["id"] for i in instances(aws.node, "updated")],
               what="the old one ends")
    aws.api.delete_function(FunctionName="updated")


def test_extensions_stand_still_too_and_hear_of_the_end(aws):
    layer = aws.api.publish_layer_version(LayerName="watch", Content={
        "ZipFile": package({"extensions/watcher": (EXTENSION, 0o755)})})["LayerVersionArn"]
    aws.create("extended", {"bootstrap": (BOOTSTRAP, 0o755)}, runtime="provided.al2023",
               Layers=[layer])

    def seen(what):
        return sum(f"the extension saw {what}" in line for line in aws.node.text().splitlines())

    aws.value("extended", {})
    for n in (1, 2):
        eventually(lambda: seen("INVOKE") >= n, what="the extension saw it")
        [one] = wait_frozen(aws.node, "extended")
        if n == 1:
            aws.value("extended", {})
    assert seen("SHUTDOWN") == 0
    aws.node.ask_control("POST", f"/heddle/instances/drain?id={one['id']}", bearer(INTERNAL_KEY))
    eventually(lambda: seen("SHUTDOWN") == 1, what="the extension heard of the end")
    eventually(lambda: not instances(aws.node, "extended"), what="its end")
    aws.api.delete_function(FunctionName="extended")


def test_who_comes_while_it_freezes_is_served(tmp_path):
    """Instances are frozen as soon as they are idle, and asked again at any moment of that."""
    node = start(tmp_path, after_ms=1)
    try:
        aws = Lambda(node)
        aws.create("busy", "def handler(event, context):\n    return event\n", runtime="python3.11")

        def work(lane):
            for n in range(60):
                assert aws.value("busy", {"lane": lane, "n": n}) == {"lane": lane, "n": n}
                time.sleep((n * (lane + 1) % 7) / 1000)

        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            list(pool.map(work, range(3)))
        frozen = wait_frozen(node, "busy")
        assert sum(i["served"] for i in frozen) == 180 and len(frozen) <= 3
        node.stop()
    finally:
        node.kill()


def groups_of(pids):
    """The folders of the cgroups that a node made for these processes."""
    paths = {line.rsplit(":", 1)[1] for pid in pids
             for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()}
    mounts = [Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()]
    found = {mount / path.lstrip("/") for mount in mounts for path in paths if "/heddle-" in path}
    return [g for g in found if g.is_dir()]


def is_of(node, group):
    """Is it gone, or in use again? The next node counts its instances from 1 as well."""
    try:
        pids = {int(pid) for pid in (group / "cgroup.procs").read_text().split()}
    except OSError:
        return True
    return bool(pids) and pids <= set(node.children())


@pytest.mark.parametrize("version", [None, 1], ids=["as it is", "version 1"])
def test_a_killed_node_s_frozen_instances_are_removed(tmp_path, version):
    runtime, code = TICKS["python"]
    node = start(tmp_path, version=version)
    try:
        aws = Lambda(node)
        aws.create("left", code, runtime=runtime)
        tick_through(aws, "left")
        wait_frozen(node, "left")
        left = node.children()
        groups = groups_of(left)
        assert left and any("i-" in g.name for g in groups)
        node.kill()
        node = start(tmp_path, version=version)
        eventually(lambda: not [p for p in left if Path(f"/proc/{p}").exists()],
                   what="the dead node's processes end")
        eventually(lambda: all(is_of(node, g) for g in groups), what="the end of its groups")
        assert Lambda(node).value("left", {"wait": 50})["ticks"] > 0
        node.stop()
    finally:
        node.kill()
