"""Podman without privileges: its service belongs to a user who has ids below his own, and sees of this
machine's files what he may."""

import shutil
import tempfile

import pytest

import docker_engine
from docker_engine import IMAGE, RootlessPodman, active, create, create_zip, find, invoke, ours, tail
from heddle import eventually
from test_docker import CLIENT, DOOR, PYTHON


@pytest.fixture(scope="module")
def engine():
    if find("newuidmap") is None:
        pytest.skip("there is no newuidmap here (Debian: uidmap)")
    folder = tempfile.mkdtemp(prefix="rootless-")
    try:
        podman = docker_engine.start(folder, RootlessPodman)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    try:
        yield podman
    finally:
        podman.end()
        shutil.rmtree(folder, ignore_errors=True)


def test_functions_run_in_containers_of_a_user(docker_node, engine):
    assert engine.call("GET", "/info")["Rootless"] is True
    n = docker_node("--lambda-backend", "docker")
    create_zip(n, "py", "python3.11", "f.handler", "f.py", PYTHON, MemorySize=256,
               Environment={"Variables": {"MINE": "yes"}})
    assert active(n, "py")["State"] == "Active"
    answer = invoke(n, "py", {"say": "hello"})
    assert answer.status == 200 and answer.get("x-amz-function-error") is None, answer
    got = answer.json()
    assert got["uid"] == 993 and got["env"] == "yes" and got["net"] == ["lo"]
    assert (got["task"], got["etc"], got["tmp"]) == (False, False, True)
    assert "said hello" in tail(answer)
    assert invoke(n, "py", {}).json()["pid"] == got["pid"]
    # on this machine it is one of the ids below the user's own
    [c] = ours(engine, "py")
    with open(f"/proc/{engine.inspect(c['Id'])['State']['Pid']}/status") as status:
        [uid] = [line.split()[1] for line in status if line.startswith("Uid:")]
    assert int(uid) == RootlessPodman.FIRST + 993 - 1
    answer = invoke(n, "py", {"exit": 3})
    assert answer.get("x-amz-function-error") and "exit status 3" in answer.body.decode(), answer
    assert invoke(n, "py", {}).status == 200
    n.stop()
    assert ours(engine) == []


def test_images_run_there_as_well(docker_node, engine):
    n = docker_node()
    create(n, "image", PackageType="Image", Code={"ImageUri": IMAGE},
           ImageConfig={"EntryPoint": ["/usr/bin/python3", "-c", CLIENT], "Command": ["one"]})
    create(n, "door", PackageType="Image", Code={"ImageUri": IMAGE},
           ImageConfig={"EntryPoint": ["/usr/bin/python3", "-c", DOOR]})
    active(n, "image"), active(n, "door")
    assert invoke(n, "image", {"n": 1}).json()["argv"] == ["one"]
    assert invoke(n, "door", {"n": 2}).json()["event"] == {"n": 2}


def test_what_is_left_of_a_killed_node_is_removed(docker_node, engine):
    n = docker_node("--lambda-backend", "docker")
    create_zip(n, "py", "python3.11", "f.handler", "f.py", PYTHON)
    active(n, "py")
    assert invoke(n, "py", {}).status == 200
    n.kill()
    m = docker_node("--lambda-backend", "docker")
    eventually(lambda: ours(engine) == [], what="leftovers are removed")
    assert invoke(m, "py", {}).status == 200
