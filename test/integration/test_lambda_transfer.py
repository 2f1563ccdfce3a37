"""Functions moved from one node to another as a file."""

import io
import json
import shutil
import tarfile

import pytest

from awslambda import Lambda, arn, package
from heddle import Node, eventually, run

HELLO = """
exports.handler = async () => ({ version: process.env.AWS_LAMBDA_FUNCTION_VERSION,
  secret: process.env.SECRET, layer: require("/opt/shared.js") });"""


def make(tmp_path, name):
    cwd = tmp_path / name
    (cwd / "functions").mkdir(parents=True)
    return Node(cwd, cwd / "functions")


def transfer(cwd, *args):
    return run(cwd, "lambda", *args, timeout=120)


def everything(aws):
    """What the API shows of the function, without links and times of states."""
    api = aws.api

    def config(**what):
        shown = api.get_function_configuration(FunctionName="f", **what)
        return {k: v for k, v in shown.items() if k != "ResponseMetadata"}

    return json.dumps({
        "latest": config(), "two": config(Qualifier="2"), "prod": config(Qualifier="prod"),
        "alias": api.get_alias(FunctionName="f", Name="prod")["RoutingConfig"],
        "policy": api.get_policy(FunctionName="f")["Policy"],
        "url": api.get_function_url_config(FunctionName="f")["FunctionUrl"].split(":")[1],
        "events": api.get_function_event_invoke_config(FunctionName="f")["MaximumRetryAttempts"],
        "tags": api.list_tags(Resource=arn("f"))["Tags"],
        "layers": [v["LayerVersionArn"] for v in
                   api.list_layer_versions(LayerName="shared")["LayerVersions"]]}, sort_keys=True)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A file of `heddle lambda export`, and what the API had shown."""
    tmp_path = tmp_path_factory.mktemp("from")
    node = make(tmp_path, "a")
    file = tmp_path / "all.tar"
    try:
        aws = Lambda(node.start())
        layer = aws.api.publish_layer_version(LayerName="shared", Content={
            "ZipFile": package({"shared.js": "module.exports = 'from the layer';"})})
        aws.create("f", HELLO, Layers=[layer["LayerVersionArn"]], Tags={"team": "a"},
                   Environment={"Variables": {"SECRET": "s3cret"}})
        aws.api.publish_version(FunctionName="f")
        aws.api.update_function_code(FunctionName="f", ZipFile=package({
            "index.js": HELLO.replace("version:", "second: true, version:")}))
        aws.wait_updated("f")
        aws.api.publish_version(FunctionName="f")
        aws.api.create_alias(FunctionName="f", Name="prod", FunctionVersion="1",
                             RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}})
        aws.api.create_function_url_config(FunctionName="f", AuthType="NONE")
        aws.api.add_permission(FunctionName="f", StatementId="url", Principal="*",
                               Action="lambda:InvokeFunctionUrl", FunctionUrlAuthType="NONE")
        aws.api.put_function_event_invoke_config(FunctionName="f", MaximumRetryAttempts=1)
        done = transfer(node.cwd, "export", str(file))  # while it runs
        assert done.returncode == 0, done
        assert "1 function, 2 versions, 1 layer version, 3 archives" in done.stdout
        shown = everything(aws)
        node.stop()
    finally:
        node.kill()
    return file, shown


def test_everything_moves(exported, tmp_path):
    file, shown = exported
    assert file.stat().st_mode & 0o777 == 0o600  # environments are in it
    node = make(tmp_path, "b")
    done = transfer(node.cwd, "import", str(file))
    assert done.returncode == 0, done
    assert "1 function, 2 versions, 1 layer version, 3 archives" in done.stdout
    assert not list((node.cwd / ".heddle").glob("transfer-*"))
    try:
        aws = Lambda(node.start())
        assert everything(aws) == shown
        eventually(lambda: aws.invoke("f").error is None, what="a function that runs")
        assert aws.value("f") == {"second": True, "version": "$LATEST", "secret": "s3cret",
                                  "layer": "from the layer"}
        assert aws.value("f", Qualifier="1") == {"version": "1", "secret": "s3cret",
                                                 "layer": "from the layer"}
        host = aws.api.get_function_url_config(FunctionName="f")["FunctionUrl"].split("/")[2]
        assert node.request("GET", "/", {"host": host}).json()["secret"] == "s3cret"
        aws.api.update_function_configuration(FunctionName="f", Timeout=9)
        aws.wait_updated("f")
        assert aws.api.publish_version(FunctionName="f")["Version"] == "3"  # counted on
        busy = transfer(node.cwd, "import", str(file), "--replace")
        assert busy.returncode == 1 and "end it first" in busy.stderr, busy
        node.stop()
    finally:
        node.kill()


def test_what_is_here_is_not_overwritten_unasked(exported, tmp_path):
    file, _ = exported
    node = make(tmp_path, "c")
    assert transfer(node.cwd, "import", str(file)).returncode == 0
    again = transfer(node.cwd, "import", str(file))
    assert again.returncode == 73 and "is here already; --replace replaces it" in again.stderr
    assert transfer(node.cwd, "import", str(file), "--replace").returncode == 0
    there = transfer(node.cwd, "export", str(file))
    assert there.returncode == 73 and "exists" in there.stderr.lower(), there


def rewritten(file, to, change):
    """A copy of the archive with its members changed: change(name, bytes) -> bytes or None."""
    with tarfile.open(file) as old, tarfile.open(to, "w") as new:
        for member in old:
            data = change(member.name, old.extractfile(member).read())
            if data is not None:
                member.size = len(data)
                new.addfile(member, io.BytesIO(data))
    return to


@pytest.mark.parametrize("name, change, why", [
    ("newer", lambda n, d: d.replace(b'"version":1', b'"version":2')
     if n == "heddle-lambda.json" else d, "it is of format 2"),
    ("missing", lambda n, d: None if n.startswith("bundles/") else d, "is missing in it"),
    ("other", lambda n, d: None if n == "heddle-lambda.json" else d, "does not say what it is"),
    ("record", lambda n, d: b'{"kind":"secret"}\n' + d if n == "records.jsonl" else d,
     "records.jsonl:1: this is no record"),
    ("changed", lambda n, d: package({"index.js": "evil"}) if n.startswith("bundles/") else d,
     "it is not what its name says"),
])
def test_a_wrong_file_is_refused_and_changes_nothing(exported, tmp_path, name, change, why):
    file = rewritten(exported[0], tmp_path / f"{name}.tar", change)
    node = make(tmp_path, "d")
    refused = transfer(node.cwd, "import", str(file))
    assert refused.returncode == 1 and why in refused.stderr, refused
    try:
        assert Lambda(node.start()).api.list_functions()["Functions"] == []
        node.stop()
    finally:
        node.kill()


def test_no_file_and_no_archive(tmp_path):
    node = make(tmp_path, "e")
    assert transfer(node.cwd, "import", "nothing.tar").returncode == 66
    (tmp_path / "text").write_text("no archive at all")
    refused = transfer(node.cwd, "import", str(tmp_path / "text"))
    assert refused.returncode == 1 and "is it a file of `heddle lambda export`?" in refused.stderr
    shutil.rmtree(node.cwd / ".heddle", ignore_errors=True)
    assert transfer(node.cwd, "export", str(tmp_path / "x.tar")).returncode == 66
    assert transfer(node.cwd, "move").returncode == 64
