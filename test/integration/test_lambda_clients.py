"""The AWS CLI and the JavaScript SDK, as people use them."""

import pytest

from lambdas import ARN, ROLE, Cli, archive, needs_sdk, sdk


@pytest.fixture(scope="module")
def cli(node, tmp_path_factory):
    return Cli(node, tmp_path_factory.mktemp("home"))


@pytest.fixture
def code(tmp_path):
    """A file with an archive, for --zip-file."""
    file = tmp_path / "code.zip"
    file.write_bytes(archive({"index.js": "exports.handler = async (e) => ({got: e})"}))
    return f"fileb://{file}"


def test_the_cli_makes_changes_and_deletes(cli, code, tmp_path):
    made = cli("create-function", "--function-name", "cli", "--runtime", "nodejs20.x",
               "--handler", "index.handler", "--role", ROLE, "--zip-file", code,
               "--environment", "Variables={AB=1,CD=two}", "--tags", "team=a")
    assert made["FunctionArn"] == ARN + "cli"
    for waiter in ("function-exists", "function-active", "function-active-v2"):
        cli("wait", waiter, "--function-name", "cli")
    assert cli("get-function", "--function-name", "cli")["Tags"] == {"team": "a"}
    updated = cli("update-function-configuration", "--function-name", "cli", "--timeout", "9",
                  "--memory-size", "256")
    assert updated["LastUpdateStatus"] == "InProgress"
    cli("wait", "function-updated", "--function-name", "cli")
    cli("update-function-code", "--function-name", "cli", "--zip-file", code, "--publish")
    cli("wait", "function-updated-v2", "--function-name", "cli")
    cli("wait", "published-version-active", "--function-name", "cli", "--qualifier", "1")
    cli("create-alias", "--function-name", "cli", "--name", "prod", "--function-version", "1")
    assert cli("get-function-configuration", "--function-name", "cli:prod")["Version"] == "1"
    listed = cli("list-versions-by-function", "--function-name", "cli")
    assert [v["Version"] for v in listed["Versions"]] == ["$LATEST", "1"]
    assert cli("list-aliases", "--function-name", "cli")["Aliases"][0]["Name"] == "prod"
    cli("delete-function", "--function-name", "cli")
    assert "(ResourceNotFoundException)" in cli.refused("get-function", "--function-name", "cli")


def test_the_cli_pages(cli, code):
    for i in range(5):
        cli("create-function", "--function-name", f"page{i}", "--runtime", "nodejs20.x",
            "--handler", "index.handler", "--role", ROLE, "--zip-file", code)
    listed = cli("list-functions", "--page-size", "2")
    assert [f["FunctionName"] for f in listed["Functions"]] == [f"page{i}" for i in range(5)]
    first = cli("list-functions", "--max-items", "2")
    rest = cli("list-functions", "--starting-token", first["NextToken"])
    assert len(first["Functions"]) == 2 and len(rest["Functions"]) == 3
    for i in range(5):
        cli("delete-function", "--function-name", f"page{i}")


def test_the_cli_says_what_is_wrong(cli, code):
    text = cli.refused("create-function", "--function-name", "wrong", "--runtime", "nodejs12.x",
                       "--handler", "index.handler", "--role", ROLE, "--zip-file", code)
    assert "(InvalidParameterValueException)" in text
    assert "The runtime parameter of nodejs12.x is no longer supported" in text
    text = cli.refused("create-function", "--function-name", "wrong", "--runtime", "nodejs20.x",
                       "--handler", "index.handler", "--role", "nobody", "--zip-file", code)
    assert "(ValidationException)" in text and "at 'role' failed to satisfy constraint" in text


LIFE = """
const { readFileSync } = await import("node:fs");
const FunctionName = "js";
const wait = (waiter, more) =>
  waiter({ client, maxWaitTime: 60, minDelay: 1, maxDelay: 2 }, { FunctionName, ...more });
const out = {};
const made = await client.send(new aws.CreateFunctionCommand({
  FunctionName, Runtime: "nodejs20.x", Handler: "index.handler",
  Role: "arn:aws:iam::000000000000:role/any", Code: { ZipFile: readFileSync(args[0]) },
}));
out.state = made.State;
await wait(aws.waitUntilFunctionExists);
await wait(aws.waitUntilFunctionActiveV2);
await client.send(new aws.UpdateFunctionConfigurationCommand({ FunctionName, Timeout: 8 }));
await wait(aws.waitUntilFunctionUpdatedV2);
const version = await client.send(new aws.PublishVersionCommand({ FunctionName }));
await wait(aws.waitUntilPublishedVersionActive, { Qualifier: version.Version });
await client.send(new aws.CreateAliasCommand({ FunctionName, Name: "prod", FunctionVersion: "1" }));
out.alias = (await client.send(new aws.GetFunctionConfigurationCommand({
  FunctionName, Qualifier: "prod" }))).Timeout;
out.listed = [];
for await (const page of aws.paginateListFunctions({ client, pageSize: 1 }, {}))
  out.listed.push(...page.Functions.map((f) => f.FunctionName));
out.errors = [];
for (const command of [
  new aws.GetFunctionCommand({ FunctionName: "missing" }),
  new aws.CreateAliasCommand({ FunctionName, Name: "prod", FunctionVersion: "1" }),
  new aws.UpdateAliasCommand({ FunctionName, Name: "prod", RevisionId: "x" }),
  new aws.UpdateFunctionConfigurationCommand({ FunctionName, Timeout: 0 }),
  new aws.ListCapacityProvidersCommand({}),
]) {
  try { await client.send(command); out.errors.push("none"); }
  catch (e) { out.errors.push([e.name, e.$metadata.httpStatusCode, e.message]); }
}
await client.send(new aws.DeleteFunctionCommand({ FunctionName }));
done(out);
"""


@needs_sdk
def test_the_javascript_sdk(node, tmp_path):
    file = tmp_path / "code.zip"
    file.write_bytes(archive())
    out = sdk(node, LIFE, file)
    assert out["state"] == "Pending"
    assert out["alias"] == 8
    assert "js" in out["listed"]
    assert [e[:2] for e in out["errors"]] == [
        ["ResourceNotFoundException", 404], ["ResourceConflictException", 409],
        ["PreconditionFailedException", 412], ["ValidationException", 400],
        ["UnknownOperationException", 404]]
    assert out["errors"][0][2] == f"Function not found: {ARN}missing"
    assert "ListCapacityProviders is not offered" in out["errors"][4][2]
