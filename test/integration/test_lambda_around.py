"""What stands around functions, through real clients: layers, permissions, concurrency, tags, settings.
test_lambda_walk.py sends every member; here it is seen what they do."""

import io
import json
import urllib.request
import zipfile

import pytest

from conftest import FUNCTIONS
from heddle import Node, eventually
from lambdas import ACCOUNT, ARN, REGION, Cli, archive, boto, create, error_of, needs_sdk, sdk, wait

GUEST = "111122223333"


@pytest.fixture
def client(node):
    """A client, and nothing is left behind."""
    made = boto(node)
    yield made
    for page in made.get_paginator("list_functions").paginate():
        for function in page["Functions"]:
            made.delete_function(FunctionName=function["FunctionName"])
    for layer in made.list_layers()["Layers"]:
        for version in made.list_layer_versions(LayerName=layer["LayerName"])["LayerVersions"]:
            made.delete_layer_version(LayerName=layer["LayerName"],
                                      VersionNumber=version["Version"])


def call(client, name, payload=None, **more):
    answer = client.invoke(FunctionName=name, Payload=json.dumps(payload or {}), **more)
    value = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, value
    return value


def code(text):
    return {"ZipFile": archive({"index.js": text})}


def test_a_function_sees_its_layers_the_later_one_first(client):
    for name, said in (("base", "base"), ("over", "over")):
        made = client.publish_layer_version(
            LayerName=name, Description=said, CompatibleRuntimes=["nodejs20.x"],
            Content={"ZipFile": archive({
                "nodejs/node_modules/dep/index.js": f"module.exports = '{said}'",
                f"only-{name}.txt": said})})
        assert made["Version"] == 1
        with urllib.request.urlopen(made["Content"]["Location"], timeout=20) as answer:
            names = zipfile.ZipFile(io.BytesIO(answer.read())).namelist()
        assert f"only-{name}.txt" in names
    layers = [f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:{name}:1" for name in ("base", "over")]
    create(client, "layered", Layers=layers, Code=code("""
        const { readdirSync } = require("fs");
        exports.handler = async () => ({ dep: require("dep"), opt: readdirSync("/opt").sort() });
    """))
    assert call(client, "layered") == {"dep": "over",
                                       "opt": ["nodejs", "only-base.txt", "only-over.txt"]}
    # The version goes; the function keeps what it has.
    client.delete_layer_version(LayerName="over", VersionNumber=1)
    client.update_function_configuration(FunctionName="layered", MemorySize=256)
    wait(client, "function_updated_v2", FunctionName="layered")
    assert call(client, "layered")["dep"] == "over"
    client.update_function_configuration(FunctionName="layered", Layers=layers[:1])
    wait(client, "function_updated_v2", FunctionName="layered")
    assert call(client, "layered")["dep"] == "base"


def test_a_reservation_of_nothing_switches_a_function_off(client):
    create(client, "off", Code=code("exports.handler = async () => 1"))
    client.put_function_concurrency(FunctionName="off", ReservedConcurrentExecutions=0)
    status, kind, _ = error_of(client.invoke, FunctionName="off")
    assert (status, kind) == (429, "TooManyRequestsException")
    assert client.get_function(FunctionName="off")["Concurrency"] == {
        "ReservedConcurrentExecutions": 0}
    client.delete_function_concurrency(FunctionName="off")
    assert call(client, "off") == 1
    left = client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
    client.put_function_concurrency(FunctionName="off", ReservedConcurrentExecutions=40)
    settings = client.get_account_settings()
    assert settings["AccountLimit"]["UnreservedConcurrentExecutions"] == left - 40
    assert settings["AccountUsage"]["FunctionCount"] == 1


def test_provisioned_instances_are_there_before_anybody_calls(client):
    create(client, "ready", Publish=True, Code=code("""
        const started = Date.now();
        exports.handler = async () => ({ started, kind: process.env.AWS_LAMBDA_INITIALIZATION_TYPE });
    """))
    client.create_alias(FunctionName="ready", Name="prod", FunctionVersion="1")
    config = {"FunctionName": "ready", "Qualifier": "prod"}
    made = client.put_provisioned_concurrency_config(**config, ProvisionedConcurrentExecutions=2)
    assert made["Status"] == "IN_PROGRESS"

    def is_ready():
        got = client.get_provisioned_concurrency_config(**config)
        assert got["Status"] in ("IN_PROGRESS", "READY")
        return got["Status"] == "READY" and got["AvailableProvisionedConcurrentExecutions"] == 2
    eventually(is_ready, what="READY")
    assert call(client, "ready", Qualifier="prod")["kind"] == "provisioned-concurrency"
    assert call(client, "ready")["kind"] == "on-demand"
    [listed] = client.list_provisioned_concurrency_configs(
        FunctionName="ready")["ProvisionedConcurrencyConfigs"]
    assert listed["FunctionArn"] == ARN + "ready:prod"
    client.delete_provisioned_concurrency_config(**config)
    assert error_of(client.get_provisioned_concurrency_config, **config)[1] == (
        "ProvisionedConcurrencyConfigNotFoundException")


def test_a_version_that_does_not_start_is_told(client):
    create(client, "broken", Publish=True, Code=code("throw new Error('no')"))
    client.put_provisioned_concurrency_config(FunctionName="broken", Qualifier="1",
                                              ProvisionedConcurrentExecutions=1)

    def failed():
        got = client.get_provisioned_concurrency_config(FunctionName="broken", Qualifier="1")
        return got["Status"] == "FAILED" and got["StatusReason"] == "FUNCTION_ERROR_INIT_FAILURE"
    eventually(failed, what="FAILED")


@pytest.fixture
def accounts(tmp_path):
    """A node that checks signatures, and a client of its owner and of a guest."""
    keys = f"owner:owners-secret:{ACCOUNT},guest:guests-secret:{GUEST}"
    node = Node(tmp_path, FUNCTIONS, "--lambda-verify", "required",
                env={"HEDDLE_LAMBDA_KEYS": keys})
    try:
        node.start()
        yield node, *[boto(node, aws_access_key_id=name, aws_secret_access_key=name + "s-secret")
                      for name in ("owner", "guest")]
        node.stop()
    finally:
        node.kill()


def test_a_policy_lets_another_account_in_and_keeps_it_out(accounts):
    _, owner, guest = accounts
    create(owner, "shared", Publish=True, Code=code("exports.handler = async () => 'hello'"))
    owner.create_alias(FunctionName="shared", Name="prod", FunctionVersion="1")

    def denied(name):
        return error_of(guest.invoke, FunctionName=name)[1] == "AccessDeniedException"
    assert denied(ARN + "shared")
    owner.add_permission(FunctionName="shared", StatementId="guest", Principal=GUEST,
                         Action="lambda:InvokeFunction")
    assert call(guest, ARN + "shared") == "hello"
    assert denied(ARN + "shared:prod")  # the alias has a policy of its own
    owner.add_permission(FunctionName="shared", Qualifier="prod", StatementId="all", Principal="*",
                         Action="lambda:*")
    assert call(guest, ARN + "shared:prod") == "hello"
    owner.remove_permission(FunctionName="shared", StatementId="guest")
    assert denied(ARN + "shared")
    # Calling is not managing.
    assert error_of(guest.delete_function, FunctionName=ARN + "shared")[1] == (
        "AccessDeniedException")


def test_a_layer_is_shared_with_those_its_policy_names(accounts):
    _, owner, guest = accounts
    made = owner.publish_layer_version(LayerName="shared", Content={"ZipFile": archive({"a": "b"})})
    arn = made["LayerVersionArn"]
    assert error_of(guest.get_layer_version_by_arn, Arn=arn)[1] == "AccessDeniedException"
    owner.add_layer_version_permission(LayerName="shared", VersionNumber=1, StatementId="guest",
                                       Action="lambda:GetLayerVersion", Principal=GUEST)
    assert guest.get_layer_version_by_arn(Arn=arn)["LayerVersionArn"] == arn
    create(guest, "mine", Layers=[arn], Code=code(
        "exports.handler = async () => require('fs').readFileSync('/opt/a', 'utf8')"))
    assert call(guest, "mine") == "b"


def test_a_function_url_has_an_address_and_a_policy(node, client):
    create(client, "web", Code=code("exports.handler = async (e) => ({ path: e.rawPath })"))
    made = client.create_function_url_config(FunctionName="web", AuthType="NONE")
    host = made["FunctionUrl"].split("/")[2]

    def get(path):
        return node.request("GET", path, {"host": host})
    assert get("/a").status == 403
    client.add_permission(FunctionName="web", StatementId="url", Principal="*",
                          Action="lambda:InvokeFunctionUrl", FunctionUrlAuthType="NONE")
    assert get("/a/b").json() == {"path": "/a/b"}
    updated = client.update_function_url_config(FunctionName="web", Cors={
        "AllowOrigins": ["https://app.example.com"], "AllowMethods": ["GET"], "MaxAge": 5})
    assert updated["FunctionUrl"] == made["FunctionUrl"]
    answer = node.request("OPTIONS", "/a", {
        "host": host, "origin": "https://app.example.com", "access-control-request-method": "GET"})
    assert answer.get("access-control-allow-origin") == "https://app.example.com"
    assert answer.get("access-control-max-age") == "5"
    client.delete_function_url_config(FunctionName="web")
    assert get("/a").status == 403


def test_settings_outlive_a_restart(tmp_path):
    node = Node(tmp_path, FUNCTIONS)
    try:
        node.start()
        client = boto(node)
        create(client, "kept", Publish=True, Tags={"team": "a"})
        client.create_alias(FunctionName="kept", Name="prod", FunctionVersion="1")
        client.put_function_concurrency(FunctionName="kept", ReservedConcurrentExecutions=3)
        client.put_function_event_invoke_config(FunctionName="kept", MaximumRetryAttempts=0)
        client.add_permission(FunctionName="kept", StatementId="s", Principal="*",
                              Action="lambda:InvokeFunction")
        url = client.create_function_url_config(FunctionName="kept", Qualifier="prod",
                                                AuthType="AWS_IAM")["FunctionUrl"]
        policy = client.get_policy(FunctionName="kept")
        client.publish_layer_version(LayerName="kept", Content={"ZipFile": archive()})
        node.stop()
        node = Node(tmp_path, FUNCTIONS)
        node.start()
        client = boto(node)
        assert client.list_tags(Resource=ARN + "kept")["Tags"] == {"team": "a"}
        assert client.get_function_concurrency(
            FunctionName="kept")["ReservedConcurrentExecutions"] == 3
        assert client.get_function_event_invoke_config(
            FunctionName="kept")["MaximumRetryAttempts"] == 0
        again = client.get_policy(FunctionName="kept")
        assert (again["Policy"], again["RevisionId"]) == (policy["Policy"], policy["RevisionId"])
        kept = client.get_function_url_config(FunctionName="kept", Qualifier="prod")["FunctionUrl"]
        assert kept.split(".")[0] == url.split(".")[0]  # the id; the port is another
        assert client.publish_layer_version(
            LayerName="kept", Content={"ZipFile": archive()})["Version"] == 2
        node.stop()
    finally:
        node.kill()


# --- the AWS CLI and the JavaScript SDK ---


def test_the_cli(node, tmp_path):
    cli = Cli(node, tmp_path)
    file = tmp_path / "code.zip"
    file.write_bytes(archive())
    zipped = f"fileb://{file}"
    layer = cli("publish-layer-version", "--layer-name", "cli", "--zip-file", zipped,
                "--compatible-runtimes", "nodejs20.x", "--license-info", "MIT")
    assert layer["Version"] == 1
    cli("create-function", "--function-name", "cli2", "--runtime", "nodejs20.x", "--handler",
        "index.handler", "--role", "arn:aws:iam::000000000000:role/any", "--zip-file", zipped,
        "--layers", layer["LayerVersionArn"])
    cli("wait", "function-active-v2", "--function-name", "cli2")
    said = cli("add-permission", "--function-name", "cli2", "--statement-id", "s3", "--action",
               "lambda:InvokeFunction", "--principal", "s3.amazonaws.com", "--source-arn",
               "arn:aws:s3:::bucket", "--source-account", ACCOUNT)
    assert json.loads(said["Statement"])["Sid"] == "s3"
    assert "s3" in cli("get-policy", "--function-name", "cli2")["Policy"]
    cli("remove-permission", "--function-name", "cli2", "--statement-id", "s3")
    assert "(ResourceNotFoundException)" in cli.refused("get-policy", "--function-name", "cli2")
    cli("put-function-concurrency", "--function-name", "cli2",
        "--reserved-concurrent-executions", "5")
    cli("tag-resource", "--resource", ARN + "cli2", "--tags", "team=a,cost=b")
    cli("untag-resource", "--resource", ARN + "cli2", "--tag-keys", "cost")
    assert cli("list-tags", "--resource", ARN + "cli2")["Tags"] == {"team": "a"}
    cli("put-function-event-invoke-config", "--function-name", "cli2",
        "--maximum-retry-attempts", "1")
    listed = cli("list-function-event-invoke-configs", "--function-name", "cli2")
    assert listed["FunctionEventInvokeConfigs"][0]["MaximumRetryAttempts"] == 1
    cli("create-function-url-config", "--function-name", "cli2", "--auth-type", "NONE")
    assert len(cli("list-function-url-configs",
                   "--function-name", "cli2")["FunctionUrlConfigs"]) == 1
    assert cli("list-layers", "--compatible-runtime", "nodejs20.x")["Layers"][0][
        "LayerName"] == "cli"
    assert cli("get-account-settings")["AccountUsage"]["FunctionCount"] >= 1
    cli("delete-function", "--function-name", "cli2")
    cli("delete-layer-version", "--layer-name", "cli", "--version-number", "1")


AROUND = """
const { readFileSync } = await import("node:fs");
const FunctionName = "js2", out = {};
await client.send(new aws.CreateFunctionCommand({
  FunctionName, Runtime: "nodejs20.x", Handler: "index.handler",
  Role: "arn:aws:iam::000000000000:role/any", Code: { ZipFile: readFileSync(args[0]) } }));
await aws.waitUntilFunctionActiveV2({ client, maxWaitTime: 60, minDelay: 1, maxDelay: 2 },
                                    { FunctionName });
const ResourceArn = "arn:aws:lambda:us-east-1:000000000000:function:js2";
const Policy = JSON.stringify({ Version: "2012-10-17", Statement: [{ Sid: "a", Effect: "Allow",
  Principal: { AWS: "111122223333" }, Action: "lambda:InvokeFunction", Resource: ResourceArn }] });
const put = await client.send(new aws.PutResourcePolicyCommand({ ResourceArn, Policy }));
out.same = put.Policy === (await client.send(new aws.GetResourcePolicyCommand({ ResourceArn }))).Policy;
await client.send(new aws.DeleteResourcePolicyCommand({ ResourceArn, RevisionId: put.RevisionId }));
out.loop = (await client.send(new aws.PutFunctionRecursionConfigCommand({
  FunctionName, RecursiveLoop: "Allow" }))).RecursiveLoop;
out.update = (await client.send(new aws.GetRuntimeManagementConfigCommand({
  FunctionName }))).UpdateRuntimeOn;
const config = (await client.send(new aws.CreateCodeSigningConfigCommand({
  AllowedPublishers: { SigningProfileVersionArns:
    ["arn:aws:signer:us-east-1:000000000000:/signing-profiles/p/1"] } }))).CodeSigningConfig;
await client.send(new aws.PutFunctionCodeSigningConfigCommand({
  FunctionName, CodeSigningConfigArn: config.CodeSigningConfigArn }));
out.users = [];
for await (const page of aws.paginateListFunctionsByCodeSigningConfig({ client },
    { CodeSigningConfigArn: config.CodeSigningConfigArn })) out.users.push(...page.FunctionArns);
const event = await client.send(new aws.PutFunctionEventInvokeConfigCommand({
  FunctionName, MaximumEventAgeInSeconds: 60 }));
out.modified = event.LastModified instanceof Date && Math.abs(event.LastModified - Date.now()) < 6e5;
const url = await client.send(new aws.CreateFunctionUrlConfigCommand({
  FunctionName, AuthType: "AWS_IAM", Cors: { AllowOrigins: ["*"] } }));
out.url = new URL(url.FunctionUrl).hostname.endsWith(".lambda-url.us-east-1.localhost");
try { await client.send(new aws.GetPolicyCommand({ FunctionName })); }
catch (e) { out.error = [e.name, e.$metadata.httpStatusCode]; }
await client.send(new aws.DeleteFunctionCommand({ FunctionName }));
await client.send(new aws.DeleteCodeSigningConfigCommand({
  CodeSigningConfigArn: config.CodeSigningConfigArn }));
done(out);
"""


@needs_sdk
def test_the_javascript_sdk(node, tmp_path):
    file = tmp_path / "code.zip"
    file.write_bytes(archive())
    assert sdk(node, AROUND, file) == {
        "same": True, "loop": "Allow", "update": "Auto", "users": [ARN + "js2"], "modified": True,
        "url": True, "error": ["ResourceNotFoundException", 404]}
