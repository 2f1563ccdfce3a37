"""Images that the engine does not have: fetched from a registry before a function is Active, with
credentials, once for all who wait, and told in its State."""

import base64
import json

import pytest

from docker_engine import Engine, active, build_image, configuration, create, create_zip, invoke
from heddle import eventually
from registry import PASSWORD, USER, Registry, padded

CLIENT = """
import json, os, urllib.request
api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
while True:
    with urllib.request.urlopen(api + "next") as r:
        id, event = r.headers["Lambda-Runtime-Aws-Request-Id"], json.load(r)
    urllib.request.urlopen(api + id + "/response", json.dumps(event).encode()).close()
"""
# Podman fetches from registries without TLS only where its configuration names them with their port.
pytestmark = pytest.mark.parametrize("engine", [Engine], indirect=True, ids=["docker"])

RUNS = {"EntryPoint": ["/usr/bin/python3", "-c", CLIENT]}


@pytest.fixture(scope="module")
def layer(tmp_path_factory):
    """A root file system with Python."""
    folder = tmp_path_factory.mktemp("layer")
    build_image("--runtime", "python", "--output", "layer.tar", cwd=folder)
    return (folder / "layer.tar").read_bytes()


@pytest.fixture
def registry(engine):
    made = []

    def start(*args, **options):
        made.append(Registry(*args, **options))
        return made[-1]

    yield start
    for one in made:
        one.close()
        for image in engine.call("GET", "/images/json"):
            for tag in image["RepoTags"] or []:
                if tag.startswith(one.host):
                    engine.call("DELETE", f"/images/{tag}?force=1")


def credentials(folder, host, password=PASSWORD):
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    path = folder / "auth.json"
    path.write_text(json.dumps({"auths": {host: {"auth": auth}}}))
    return path


def test_it_is_fetched_once_and_its_state_tells(docker_node, registry, layer):
    r = registry(padded(layer, 24 << 20))
    r.gate.clear()
    n = docker_node()
    ref = f"{r.host}/team/image:1"
    for name in ("one", "two"):
        assert create(n, name, PackageType="Image", Code={"ImageUri": ref},
                      ImageConfig=RUNS)["State"] == "Pending"
    assert r.halfway.wait(60)
    told = eventually(lambda: (c := configuration(n, "one")).get("StateReason", "")
                      .startswith(f"Fetching image {ref}: ") and c, what="progress is told")
    assert told["State"] == "Pending" and told["StateReasonCode"] == "Creating"
    assert "MiB" in told["StateReason"]
    r.gate.set()
    assert active(n, "one")["State"] == active(n, "two")["State"] == "Active"
    assert "StateReason" not in configuration(n, "one")
    assert r.fetched.count(r.layer) == 1
    assert invoke(n, "one", {"a": 1}).json() == {"a": 1}
    assert invoke(n, "two", {"b": 2}).json() == {"b": 2}
    # it is there: nothing is asked of the registry any more
    asked = len(r.fetched)
    create(n, "three", PackageType="Image", Code={"ImageUri": ref}, ImageConfig=RUNS)
    assert active(n, "three")["State"] == "Active" and len(r.fetched) == asked


def test_a_registry_that_wants_to_know_who_asks(docker_node, registry, layer, tmp_path):
    r = registry(layer, locked=True)
    path = credentials(tmp_path, r.host)
    n = docker_node("--docker-credentials", path)
    create(n, "known", PackageType="Image", Code={"ImageUri": f"{r.host}/known"}, ImageConfig=RUNS)
    assert active(n, "known")["State"] == "Active", configuration(n, "known")
    assert invoke(n, "known", {"a": 1}).json() == {"a": 1}
    credentials(tmp_path, r.host, "wrong")  # read for each fetch
    create(n, "wrong", PackageType="Image", Code={"ImageUri": f"{r.host}/other"})
    c = active(n, "wrong")
    assert (c["State"], c["StateReasonCode"]) == ("Failed", "InvalidImage")
    assert f"{r.host}/other: cannot be fetched" in c["StateReason"]
    assert PASSWORD not in n.text() and "Basic " not in n.text()


def test_what_is_not_to_be_had_fails(docker_node, registry, layer):
    r = registry(layer, architecture="arm64")
    n = docker_node()
    for name, ref, why in (("none", f"{r.host}/none:1", "cannot be fetched"),
                           ("gone", "127.0.0.1:1/gone:1", "cannot be fetched"),
                           ("other", f"{r.host}/arm:1", "for arm64")):
        create(n, name, PackageType="Image", Code={"ImageUri": ref})
        c = active(n, name)
        assert (c["State"], c["StateReasonCode"]) == ("Failed", "InvalidImage"), c
        assert ref in c["StateReason"] and why in c["StateReason"], c


def test_never_means_never(docker_node, registry, layer):
    r = registry(layer)
    n = docker_node("--docker-pull", "never")
    create(n, "f", PackageType="Image", Code={"ImageUri": f"{r.host}/image"})
    c = active(n, "f")
    assert c["State"] == "Failed" and "lambda.docker.pull is never" in c["StateReason"]
    assert r.fetched == []


def test_always_looks_for_a_newer_one(docker_node, registry, layer, engine):
    r = registry(layer, env=("V=1",))
    n = docker_node("--docker-pull", "always")
    ref = f"{r.host}/image:moving"
    create(n, "f", PackageType="Image", Code={"ImageUri": ref}, ImageConfig=RUNS)
    assert active(n, "f")["State"] == "Active"
    first = engine.call("GET", f"/images/{ref}/json")["Id"]
    newer = Registry(layer, env=("V=2",))
    r.manifest, r.blobs = newer.manifest, {**r.blobs, **newer.blobs}
    newer.close()
    create(n, "g", PackageType="Image", Code={"ImageUri": ref}, ImageConfig=RUNS)
    assert active(n, "g")["State"] == "Active"
    assert engine.call("GET", f"/images/{ref}/json")["Id"] != first


def test_the_image_of_a_zip_function_is_fetched_too(docker_node, registry, layer):
    r = registry(layer, env=("FOR=zip",))
    n = docker_node("--lambda-backend", "docker", "--docker-image", f"python={r.host}/py:3")
    create_zip(n, "py", "python3.11", "f.handler", "f.py", "def handler(e, c): return e\n")
    assert active(n, "py")["State"] == "Active"
    assert r.config in r.fetched
    assert invoke(n, "py", [1]).json() == [1]


def test_a_node_ends_while_it_fetches_and_the_next_goes_on(docker_node, registry, layer):
    r = registry(padded(layer, 8 << 20))
    r.gate.clear()
    n = docker_node()
    create(n, "f", PackageType="Image", Code={"ImageUri": f"{r.host}/image:1"}, ImageConfig=RUNS)
    assert r.halfway.wait(60)
    n.stop()
    r.gate.set()
    m = docker_node()
    assert active(m, "f")["State"] == "Active"
    assert invoke(m, "f", {}).json() == {}
