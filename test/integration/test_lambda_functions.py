"""Functions, versions and aliases through boto3: what is answered, what is refused, what waits."""

import base64
import hashlib
import json
import shutil
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from heddle import READY_S, eventually
from lambdas import ACCOUNT, ARN, QUICK, REGION, archive, boto, create, error_of, settings, wait


@pytest.fixture
def client(node):
    """A client, and no functions are left behind."""
    made = boto(node)
    yield made
    for page in made.get_paginator("list_functions").paginate():
        for function in page["Functions"]:
            made.delete_function(FunctionName=function["FunctionName"])


def test_a_function_from_its_making_to_its_end(client):
    code = archive({"index.js": "exports.handler = async () => 1"})
    made = client.create_function(**settings("f", Code={"ZipFile": code}, Description="first",
                                             Environment={"Variables": {"AB": "1"}},
                                             Tags={"team": "a"}))
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert made["FunctionArn"] == ARN + "f"
    assert made["State"] == "Pending"
    assert made["StateReasonCode"] == "Creating"
    assert made["CodeSize"] == len(code)
    assert made["CodeSha256"] == base64.b64encode(hashlib.sha256(code).digest()).decode()
    wait(client, "function_exists", FunctionName="f")
    wait(client, "function_active", FunctionName="f")
    wait(client, "function_active_v2", FunctionName="f")

    got = client.get_function(FunctionName="f")
    assert got["Configuration"]["State"] == "Active"
    assert got["Configuration"]["LastUpdateStatus"] == "Successful"
    assert got["Configuration"]["RevisionId"] != made["RevisionId"]
    assert got["Configuration"]["Environment"] == {"Variables": {"AB": "1"}}
    assert got["Tags"] == {"team": "a"}
    with urllib.request.urlopen(got["Code"]["Location"], timeout=20) as answer:
        assert answer.headers["content-type"] == "application/zip"
        assert answer.read() == code

    updated = client.update_function_configuration(FunctionName="f", Timeout=9)
    assert updated["LastUpdateStatus"] == "InProgress"
    wait(client, "function_updated", FunctionName="f")
    wait(client, "function_updated_v2", FunctionName="f")
    newer = archive({"index.js": "exports.handler = async () => 2"})
    client.update_function_code(FunctionName="f", ZipFile=newer)
    wait(client, "function_updated_v2", FunctionName="f")
    configuration = client.get_function_configuration(FunctionName="f")
    assert configuration["Timeout"] == 9
    assert configuration["Description"] == "first"
    assert configuration["CodeSize"] == len(newer)

    assert client.delete_function(FunctionName="f")["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert error_of(client.get_function, FunctionName="f") == (
        404, "ResourceNotFoundException", f"Function not found: {ARN}f")


def test_versions_and_aliases(client):
    create(client)
    one = client.publish_version(FunctionName="f", Description="one")
    assert (one["Version"], one["State"], one["FunctionArn"]) == ("1", "Pending", ARN + "f:1")
    wait(client, "published_version_active", FunctionName="f", Qualifier="1")
    assert client.publish_version(FunctionName="f")["Version"] == "1"
    client.update_function_configuration(FunctionName="f", Timeout=4)
    wait(client, "function_updated_v2", FunctionName="f")
    assert client.publish_version(FunctionName="f")["Version"] == "2"
    wait(client, "published_version_active", FunctionName="f", Qualifier="2")

    alias = client.create_alias(FunctionName="f", Name="prod", FunctionVersion="1",
                                RoutingConfig={"AdditionalVersionWeights": {"2": 0.1}})
    assert alias["AliasArn"] == ARN + "f:prod"
    assert alias["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 0.1}}
    got = client.get_function_configuration(FunctionName=ARN + "f:prod")
    assert (got["Version"], got["FunctionArn"], got["Timeout"]) == ("1", ARN + "f:prod", 3)
    moved = client.update_alias(FunctionName="f", Name="prod", FunctionVersion="2",
                                RoutingConfig={}, RevisionId=alias["RevisionId"])
    assert moved["FunctionVersion"] == "2"
    assert "RoutingConfig" not in moved
    assert error_of(client.update_alias, FunctionName="f", Name="prod",
                    RevisionId=alias["RevisionId"])[:2] == (412, "PreconditionFailedException")
    assert error_of(client.delete_function, FunctionName="f", Qualifier="2") == (
        409, "ResourceConflictException",
        "Unable to delete version because the following aliases reference it: [prod]")
    client.delete_alias(FunctionName="f", Name="prod")
    client.delete_function(FunctionName="f", Qualifier="2")
    versions = client.list_versions_by_function(FunctionName="f")["Versions"]
    assert [v["Version"] for v in versions] == ["$LATEST", "1"]
    assert all("State" not in v for v in versions)


def test_pages(client):
    names = [f"page-{i:02d}" for i in range(13)]
    for name in names:
        client.create_function(**settings(name))
    pages = list(client.get_paginator("list_functions").paginate(
        PaginationConfig={"PageSize": 5}))
    assert [len(page["Functions"]) for page in pages] == [5, 5, 3]
    assert [f["FunctionName"] for page in pages for f in page["Functions"]] == names
    first = client.list_functions(MaxItems=4)
    client.delete_function(FunctionName=names[3])  # the one that the marker names
    rest = client.list_functions(Marker=first["NextMarker"])
    assert [f["FunctionName"] for f in rest["Functions"]] == names[4:]
    assert "NextMarker" not in rest
    everything = client.list_functions(FunctionVersion="ALL")["Functions"]
    assert {f["Version"] for f in everything} == {"$LATEST"}
    assert all(f["FunctionArn"].endswith(":$LATEST") for f in everything)


REFUSED = [
    ({"MemorySize": 127}, "ValidationException",
     "1 validation error detected: Value '127' at 'memorySize' failed to satisfy constraint: "
     "Member must have value greater than or equal to 128"),
    ({"Timeout": 0, "MemorySize": 10241}, "ValidationException",
     "2 validation errors detected: Value '0' at 'timeout' failed to satisfy constraint: Member "
     "must have value greater than or equal to 1; Value '10241' at 'memorySize' failed to satisfy "
     "constraint: Member must have value less than or equal to 10240"),
    ({"Handler": "with blank"}, "ValidationException",
     "1 validation error detected: Value 'with blank' at 'handler' failed to satisfy constraint: "
     "Member must satisfy regular expression pattern: [^\\s]+"),
    ({"Architectures": ["x86_64", "arm64"]}, "ValidationException",
     "1 validation error detected: Value '[x86_64, arm64]' at 'architectures' failed to satisfy "
     "constraint: Member must have length less than or equal to 1"),
    ({"Code": {}}, "InvalidParameterValueException",
     "Please provide a source for function code."),
    ({"Code": {"ZipFile": b"no zip"}}, "InvalidParameterValueException",
     "Could not unzip uploaded file. Please check your file, then try to upload again."),
    ({"Code": {"ZipFile": archive({"../out": "x"})}}, "InvalidParameterValueException",
     "Could not unzip uploaded file. Please check your file, then try to upload again."),
    ({"Runtime": "python2.7"}, "InvalidParameterValueException",
     "The runtime parameter of python2.7 is no longer supported for creating or updating AWS "
     "Lambda functions. We recommend you use a supported runtime while creating or updating "
     "functions."),
    ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, "InvalidParameterValueException",
     "Lambda was unable to configure your environment variables because the environment variables "
     "you have provided contains reserved keys that are currently not supported for modification. "
     "Reserved keys used in this request: AWS_REGION"),
    ({"Tags": {f"k{i}": "v" for i in range(51)}}, "InvalidParameterValueException",
     "Number of tags exceeds resource tag limit."),
]


@pytest.mark.parametrize("wrong,code,message", REFUSED, ids=lambda v: str(v)[:40])
def test_what_is_wrong_is_refused_and_leaves_nothing(client, wrong, code, message):
    assert error_of(client.create_function, **settings("f", **wrong)) == (400, code, message)
    assert client.list_functions()["Functions"] == []


def test_conflicts_and_conditions(client):
    create(client)
    assert error_of(client.create_function, **settings("f")) == (
        409, "ResourceConflictException", "Function already exist: f")
    assert error_of(client.update_function_configuration, FunctionName="f", RevisionId="x") == (
        412, "PreconditionFailedException",
        "The Revision Id provided does not match the latest Revision Id. Call the "
        "GetFunction/GetAlias API to retrieve the latest Revision Id")
    assert error_of(client.get_function, FunctionName="f", Qualifier="9")[1:] == (
        "ResourceNotFoundException", f"Function not found: {ARN}f:9")
    assert error_of(client.get_alias, FunctionName="f", Name="none")[1:] == (
        "ResourceNotFoundException", f"Cannot find alias arn: {ARN}f:none")
    assert error_of(client.publish_version, FunctionName="f", CodeSha256="x")[:2] == (
        400, "InvalidParameterValueException")


def test_an_archive_has_limits(client):
    big = b"\0" * (50 * 1024 * 1024 + 1)
    assert error_of(client.create_function, **settings("f", Code={"ZipFile": big})) == (
        413, "RequestEntityTooLargeException", "Zipped size must be smaller than 52428800 bytes")
    import zipfile
    bomb = archive({"zeros": "\0" * 262144001}, compression=zipfile.ZIP_DEFLATED)
    assert error_of(client.create_function, **settings("f", Code={"ZipFile": bomb})) == (
        400, "InvalidParameterValueException",
        "Unzipped size must be smaller than 262144000 bytes")


def test_regions_are_name_spaces(node, client):
    create(client)
    other = boto(node, region_name="eu-west-1")
    assert other.list_functions()["Functions"] == []
    made = other.create_function(**settings("f"))
    assert made["FunctionArn"] == f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f"
    assert error_of(other.get_function, FunctionName=ARN + "f") == (
        404, "ResourceNotFoundException",
        f"Functions from '{REGION}' are not reachable in this region ('eu-west-1')")
    other.delete_function(FunctionName="f")
    assert len(client.list_functions()["Functions"]) == 1


def test_a_link_that_was_changed_opens_nothing(node, client):
    create(client)
    location = client.get_function(FunctionName="f")["Code"]["Location"]
    for wrong in (location[:-1] + ("0" if location[-1] != "0" else "1"),
                  location.replace("expires=", "expires=9"), location.split("?")[0]):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(wrong, timeout=20)
        assert refused.value.code == 403
        assert "GetFunction" in json.loads(refused.value.read())["Message"]


def test_everything_is_there_after_kill_9(start_node, write_functions):
    node = start_node(write_functions({}))
    client = boto(node)
    create(client, Tags={"a": "b"})
    client.publish_version(FunctionName="f")
    wait(client, "published_version_active", FunctionName="f", Qualifier="1")
    client.create_alias(FunctionName="f", Name="prod", FunctionVersion="1")
    before = [client.get_function_configuration(FunctionName=n) for n in ("f", "f:1", "f:prod")]
    node.kill()
    again = boto(start_node(node.functions))
    after = [again.get_function_configuration(FunctionName=n) for n in ("f", "f:1", "f:prod")]
    for old, new in zip(before, after):
        del old["ResponseMetadata"], new["ResponseMetadata"]
        assert new == old
    assert again.get_function(FunctionName="f")["Tags"] == {"a": "b"}
    again.update_function_configuration(FunctionName="f", Timeout=7)
    again.get_waiter("function_updated_v2").wait(FunctionName="f", WaiterConfig=QUICK)
    assert again.publish_version(FunctionName="f")["Version"] == "2"


def test_what_was_answered_survives_kill_9(start_node, write_functions):
    """Several clients make, change and delete functions until the node is killed; what they were
    told is true after the restart, and what they were not told is whole or not there."""
    exceptions = pytest.importorskip("botocore.exceptions")
    node = start_node(write_functions({}))
    code = {"ZipFile": archive()}
    told = {}  # name: what the last answer said of it; None: it is deleted
    unsure = set()  # a request about it had no answer
    lock = threading.Lock()

    def work(number):
        client = boto(node)
        for i in range(1000):
            name = f"fn-{number}-{i}"
            try:
                unsure.add(name)
                client.create_function(**settings(name, Code=code))
                with lock:
                    told[name] = "Version 0"
                while client.get_function_configuration(FunctionName=name)["State"] == "Pending":
                    continue
                client.publish_version(FunctionName=name)
                with lock:
                    told[name] = "Version 1"
                if i % 3 == 0:
                    client.delete_function(FunctionName=name)
                    with lock:
                        told[name] = None
                unsure.discard(name)
            except (exceptions.BotoCoreError, exceptions.ClientError):
                return

    workers = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for worker in workers:
        worker.start()
    eventually(lambda: len(told) > 60, timeout=READY_S, what="some work")
    node.kill()
    for worker in workers:
        worker.join()

    again = boto(start_node(node.functions))
    there = {f["FunctionName"]: f for page in again.get_paginator("list_functions").paginate()
             for f in page["Functions"]}
    sure = {name: state for name, state in told.items() if name not in unsure}
    assert len(sure) > 50
    for name, state in sure.items():
        assert (name in there) == (state is not None), (name, state)
        if state == "Version 1":
            versions = again.list_versions_by_function(FunctionName=name)["Versions"]
            assert [v["Version"] for v in versions] == ["$LATEST", "1"], name
    for name in there:  # whatever state it was in, it is completed
        wait(again, "function_active_v2", FunctionName=name)


def test_code_that_is_gone_is_told_and_can_be_brought_again(start_node, write_functions):
    node = start_node(write_functions({}))
    client = boto(node)
    create(client)
    node.stop()
    gone = list(Path(node.cwd).rglob("bundles/*/code"))
    assert gone
    for folder in gone:
        shutil.rmtree(folder)
    client = boto(start_node(node.functions))
    status, code, message = error_of(client.invoke, FunctionName="f", Payload=b"{}")
    assert (status, code) == (502, "InvalidZipFileException") and "is gone" in message
    fresh = "exports.handler = async () => 'fresh';\n"
    client.update_function_code(FunctionName="f", ZipFile=archive({"index.js": fresh}))
    wait(client, "function_updated_v2", FunctionName="f")
    assert json.load(client.invoke(FunctionName="f", Payload=b"{}")["Payload"]) == "fresh"
