"""Edge URLs of Lambda functions: who has one, what stands in front, what the function sees, what
goes out. And one function by every door there is."""

import json
import subprocess

import pytest

from awslambda import Lambda
from feeds import Collector
from heddle import Node, bearer, binary, eventually, expect
from lambdas import Cli
from wire import Closed, Wire

ECHO = "exports.handler = async (event, context) => ({ ...event, id: context.awsRequestId });"
PUBLIC = {"Tags": {"heddle.edge": "public"}}
PROTECTED = {"Tags": {"heddle.edge": "protected"}}


@pytest.fixture(scope="module")
def echo(aws):
    aws.create("echo", ECHO, **PUBLIC)
    return aws.node


def test_the_tag_says_who_may(aws):
    node = aws.node
    name = aws.create("tagged", ECHO)
    expect(node.get("tagged"), 404, {"error": 'Function "tagged" not found',
                                     "reason": "function_not_found"})
    aws.api.tag_resource(Resource=name, Tags={"heddle.edge": "protected"})
    eventually(lambda: node.get("tagged").status == 401, what="a protected function")
    assert node.get("tagged", bearer("a.b.c")).status == 401
    assert node.get("tagged", bearer()).status == 200
    aws.api.tag_resource(Resource=name, Tags={"heddle.edge": "public"})
    eventually(lambda: node.get("tagged").status == 200, what="a public function")
    aws.api.untag_resource(Resource=name, TagKeys=["heddle.edge"])
    eventually(lambda: node.get("tagged").status == 404, what="no function")
    with pytest.raises(aws.api.exceptions.InvalidParameterValueException) as refused:
        aws.api.tag_resource(Resource=name, Tags={"heddle.edge": "open"})
    assert "must be 'protected' or 'public', not 'open'" in str(refused.value)


def test_a_deleted_function_is_gone(aws):
    aws.create("brief", ECHO, **PUBLIC)
    eventually(lambda: aws.node.get("brief").status == 200, what="an edge URL")
    aws.api.delete_function(FunctionName="brief")
    eventually(lambda: aws.node.get("brief").status == 404, what="no function")


def test_the_event_is_the_request(echo):
    answer = echo.request("POST", "echo/a%20b?x=1&x=2", {
        "content-type": "text/plain", "cookie": "a=1", "x-own": "yes", "x-heddle-auth": "forged",
        "host": "example.org:8080"}, b"hello")
    event = answer.json()
    assert event["version"] == "2.0" and event["rawPath"] == "/a b"
    assert event["rawQueryString"] == "x=1&x=2" and event["cookies"] == ["a=1"]
    assert event["body"] == "hello" and event["isBase64Encoded"] is False
    assert event["headers"]["x-own"] == "yes" and event["headers"]["host"] == "example.org:8080"
    assert not [name for name in event["headers"] if name.startswith("x-heddle")]
    context = event["requestContext"]
    assert context["http"]["method"] == "POST" and context["http"]["sourceIp"] == "127.0.0.1"
    assert context["domainName"] == "example.org" and context["apiId"] == "echo"
    assert event["id"] == context["requestId"] == answer.get("x-heddle-invocation-id")
    assert echo.get("echo").json()["rawPath"] == "/"
    assert echo.get("echo?y=2").json()["rawQueryString"] == "y=2"
    assert echo.post("echo", b"\xff\x00").json()["body"] == "/wA="


def test_a_verified_token_is_in_the_event(aws, echo):
    claims = echo.get("echo", bearer(sub="ada", role="editor")).json()["requestContext"]
    assert claims["authorizer"]["jwt"]["claims"]["sub"] == "ada"
    assert "authorizer" not in echo.get("echo").json()["requestContext"]


def test_an_answer_has_status_fields_and_cookies(aws):
    aws.create("answers", """
exports.handler = async (event) => event.rawPath === "/plain" ? "text" : event.rawPath === "/bad"
  ? { statusCode: "x" } : { statusCode: 201, headers: { "X-Own": "1", "content-type": "text/css" },
                            cookies: ["a=1", "b=2"], body: "AAE=", isBase64Encoded: true };""",
               **PUBLIC)
    node = aws.node
    eventually(lambda: node.get("answers").status != 404, what="an edge URL")
    answer = node.get("answers")
    assert answer.body == b"\0\1" and answer.get("x-own") == "1"
    assert answer.get("content-type") == "text/css" and answer.all("set-cookie") == ["a=1", "b=2"]
    assert node.get("answers/plain").body == b"text"
    expect(node.get("answers/bad"), 502, {"error": "Bad gateway", "reason": "invalid_answer"})
    assert node.request("HEAD", "answers").status == 201


def test_what_fails_is_said_as_for_functions_of_the_folder(aws):
    aws.create("fails", """
exports.handler = async (event) => {
  if (event.rawPath === "/hang") await new Promise((done) => setTimeout(done, 60000));
  throw new Error("secret");
};""", Timeout=1, **PUBLIC)
    node = aws.node
    eventually(lambda: node.get("fails").status != 404, what="an edge URL")
    answer = node.get("fails")
    expect(answer, 502, {"error": "Bad gateway", "reason": "function_error"})
    assert b"secret" not in answer.body
    expect(node.get("fails/hang"), 504, {"error": "Function execution timed out",
                                         "reason": "timeout"})
    aws.api.put_function_concurrency(FunctionName="fails", ReservedConcurrentExecutions=0)
    answer = node.get("fails")
    expect(answer, 429, {"error": "Too many requests", "reason": "concurrency_limit"})
    assert answer.get("retry-after") == "1"
    metrics = node.metrics()
    assert metrics['heddle_function_responses_total{function="fails",class="5xx"}'] >= 2


def test_six_mib_are_the_most(echo):
    assert echo.post("echo", b"x" * (6 << 20)).status == 413  # the event is longer
    wire = Wire(echo.port)
    wire.send(f"POST /functions/v1/echo HTTP/1.1\r\nHost: h\r\nContent-Length: {7 << 20}\r\n\r\n")
    assert wire.head()[0] == 413
    assert len(echo.post("echo", b"x" * (2 << 20)).json()["body"]) > 2 << 20


def test_a_stream_comes_in_pieces(aws, gate):
    aws.create("streams", """
exports.handler = awslambda.streamifyResponse(async (event, out) => {
  if (event.queryStringParameters?.head) out = awslambda.HttpResponseStream.from(out, {
    statusCode: 202, headers: { "X-Own": "yes" }, cookies: ["a=1"] });
  out.write("first ");
  await (await fetch(event.queryStringParameters.gate)).text();
  if (event.queryStringParameters.breaks) throw new Error("in the middle");
  out.end("last");
});""", Timeout=60, **PUBLIC)
    node = aws.node
    wire = Wire(node.port)
    wire.send(f"GET /functions/v1/streams?head=1&gate={gate.url} HTTP/1.1\r\nHost: h\r\n\r\n")
    status, fields = wire.head()
    fields = {name.lower(): value for name, value in fields}
    assert status == 202 and fields["x-own"] == "yes" and fields["set-cookie"] == "a=1"
    assert fields["x-heddle-invocation-id"]
    chunks = wire.chunks()
    assert next(chunks) == b"first " and not gate.open.is_set()
    gate.open.set()
    assert b"".join(chunks) == b"last"
    plain = node.get(f"streams?gate={gate.url}")
    assert plain.body == b"first last" and plain.get("content-type") == "application/octet-stream"
    wire.send(f"GET /functions/v1/streams?breaks=1&gate={gate.url} HTTP/1.1\r\nHost: h\r\n\r\n")
    with pytest.raises(Closed):
        wire.answer()


def test_much_to_a_slow_reader_arrives_whole(aws):
    aws.create("much", """
exports.handler = awslambda.streamifyResponse(async (event, out) => {
  const { pipeline } = require("node:stream/promises");
  const piece = Buffer.alloc(65536, 97);
  await pipeline(async function* () { for (let i = 0; i < 320; i++) yield piece; }, out);
});""", Timeout=60, **PUBLIC)
    wire = Wire(aws.node.port)
    wire.send("GET /functions/v1/much HTTP/1.1\r\nHost: h\r\n\r\n")
    assert wire.head()[0] == 200
    assert sum(len(chunk) for chunk in wire.chunks()) == 320 * 65536


def test_the_policies_of_the_edge_stand_in_front(tmp_path, start_node):
    (tmp_path / "functions/own").mkdir(parents=True)
    (tmp_path / "functions/own/index.mjs").write_text(
        "export default () => new Response('of the folder')")
    (tmp_path / "functions/own/heddle.json").write_text('{"runtime": "node", "verify_jwt": false}')
    node = start_node(tmp_path / "functions", "--lambda-edge", "all", "--rpm", "3",
                      "--cors-origin", "https://example.org",
                      env={"HEDDLE_DISABLE_RATE_LIMIT": None})
    aws = Lambda(node)
    aws.create("untagged", ECHO)
    aws.create("own", ECHO, **PUBLIC)
    assert node.get("own").body == b"of the folder"  # a folder's name is the folder's
    eventually(lambda: node.get("untagged").status == 401, what="a protected function")
    preflight = node.request("OPTIONS", "untagged", {
        "origin": "https://example.org", "access-control-request-method": "GET"})
    assert preflight.status == 204
    assert preflight.get("access-control-allow-origin") == "https://example.org"
    user = bearer(sub="limited")
    answers = [node.get("untagged", user) for _ in range(4)]
    assert [a.status for a in answers] == [200, 200, 200, 429]
    assert answers[3].json()["reason"] == "rate_limit"


def test_off_is_off(tmp_path, start_node):
    (tmp_path / "functions").mkdir()
    node = start_node(tmp_path / "functions", "--lambda-edge", "off")
    aws = Lambda(node)
    aws.create("echo", ECHO, **PUBLIC)
    assert aws.value("echo", {"n": 1})["n"] == 1
    assert node.get("echo").status == 404


EVERYWHERE = """
lanes:
  tasks: { shout: { lane: calls, function: f } }
  events: { placed: { lane: orders } }
  hooks: [ { id: on-placed, event: placed, function: f } ]
  event_lanes: { orders: {} }
  rpc_lanes: { calls: {} }
  queues: { q: {} }
  communicators: { self: { base_url: 'http://127.0.0.1:1' } }
  bindings:
    - { lane: orders, queue: q }
    - { lane: calls, communicator: self, auth: { mode: none } }
  exposure: { http: { listen: { port: 0 }, auth: { tokens: [edge] } } }
schedules:
  - 'pulse f rate(1 second) {"door": "schedule"}'
"""

# Tells where it was called from, and with which request and trace.
F = """
exports.handler = async (event, context) => {
  const door = event.door ?? event.queryStringParameters?.door;
  console.log("called by", door);
  const seen = { door, id: context.awsRequestId, version: context.functionVersion,
                 memory: context.memoryLimitInMB, left: context.getRemainingTimeInMillis(),
                 group: context.logGroupName, trace: process.env._X_AMZN_TRACE_ID };
  await fetch(process.env.COLLECT, { method: "POST", body: JSON.stringify(seen) });
  return seen;
};"""


def test_one_function_by_every_door(tmp_path):
    (tmp_path / "functions").mkdir()
    (tmp_path / "home").mkdir()
    (tmp_path / "heddle.yml").write_text(EVERYWHERE)
    collector = Collector()
    node = Node(tmp_path, tmp_path / "functions")
    try:
        aws = Lambda(node.start())
        aws.create("f", F, MemorySize=256, Timeout=20, Publish=False, **PUBLIC,
                   Environment={"Variables": {"COLLECT": collector.url}})
        url = aws.api.create_function_url_config(FunctionName="f", AuthType="NONE")["FunctionUrl"]
        aws.api.add_permission(FunctionName="f", StatementId="url", Principal="*",
                               Action="lambda:InvokeFunctionUrl", FunctionUrlAuthType="NONE")
        aws.value("f", {"door": "sdk"})
        Cli(node, tmp_path / "home")("invoke", "--function-name", "f", "--payload",
                                     "eyJkb29yIjoiY2xpIn0=", str(tmp_path / "answer"))
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        assert node.request("GET", "/?door=url", {"host": url.split("/")[2],
                                                  "traceparent": trace}).status == 200
        assert node.get("f?door=edge").status == 200
        for command in (["call", "shout", '{"door": "task"}'],
                        ["emit", "placed", '{"door": "hook"}'],
                        ["invoke", "f", "--url", node.url, "--path", "/?door=heddle-cli"]):
            done = subprocess.run([str(binary()), *command], cwd=node.cwd, env=node.env,
                                  capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done
        aws.api.invoke(FunctionName="f", InvocationType="Event", Payload='{"door": "async"}')
        doors = {"sdk", "cli", "url", "edge", "task", "hook", "heddle-cli", "async", "schedule"}
        eventually(lambda: doors <= {e["door"] for e in collector.events}, 60, "every door")
        seen = {e["door"]: e for e in collector.events}
        for door in doors:  # the same version, limits, log group; a trace and an id of its own
            e = seen[door]
            assert (e["version"], e["memory"], e["group"]) == ("$LATEST", "256", "/aws/lambda/f"), e
            assert 0 < e["left"] <= 20000 and e["trace"].startswith("Root=1-"), e
        assert len({e["id"] for e in collector.events}) == len(collector.events)
        assert seen["url"]["trace"].startswith("Root=1-0af76519-16cd43dd8448eb211c80319c;")
        def logged():  # one log, whoever called
            lines = json.dumps([r for r in node.records() if r.get("function") == "f"])
            return all(f"called by {door}" in lines and seen[door]["id"] in lines for door in doors)
        eventually(logged, what="the log of each")
        node.stop()
    finally:
        node.kill()
        collector.close()
