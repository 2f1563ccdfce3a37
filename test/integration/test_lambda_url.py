"""Function URLs: whose they are, what the function sees, and what goes out."""

import base64
import json
import shutil
import subprocess
import threading

import pytest

from awslambda import ACCOUNT, REGION, Lambda
from heddle import INTERNAL_KEY, eventually
from wire import Closed, Wire

ECHO = "exports.handler = async (event) => event;"
FORBIDDEN = "Forbidden. For troubleshooting Function URL authorization issues, see: "


class Url:
    """The URL of a function."""

    def __init__(self, aws, name, auth="NONE", allow=True, qualifier=None, **settings):
        self.node = aws.node
        more = {"Qualifier": qualifier} if qualifier else {}
        if "InvokeMode" in settings:  # boto3 of Debian 12 does not know it
            made = aws.node.ask_control("POST", f"/2021-10-31/functions/{name}/url", body=json.dumps(
                {"AuthType": auth, **settings})).json()
        else:
            made = aws.api.create_function_url_config(FunctionName=name, AuthType=auth, **more,
                                                      **settings)
        if allow and auth == "NONE":
            aws.api.add_permission(FunctionName=name, StatementId="url", Principal="*",
                                   Action="lambda:InvokeFunctionUrl", FunctionUrlAuthType="NONE",
                                   **more)
        self.url = made["FunctionUrl"]
        self.host = self.url.split("/")[2]
        self.id = self.host.split(".")[0]

    def ask(self, path="/", method="GET", headers=None, body=None):
        return self.node.request(method, path, {"host": self.host, **(headers or {})}, body)


@pytest.fixture(scope="module")
def echo(aws):
    aws.create("echo", ECHO)
    return Url(aws, "echo")


def answers(aws, name, javascript, **settings):
    """A function with a URL that returns what this expression of `event` says."""
    aws.create(name, f"exports.handler = async (event) => ({javascript});")
    return Url(aws, name, **settings)


# --- what the function sees ---


def test_the_event_is_the_request(echo):
    event = echo.ask("/a%20b/c?x=1&x=2&y=%26z", headers={
        "cookie": "a=1; b=2", "user-agent": "test/1", "X-Own": "yes", "connection": "close",
        "x-amzn-trace-id": "Root=1-5e1b4151-5ac6c58dc39a6b6a4ac6c58d"}).json()
    assert event["version"] == "2.0" and event["routeKey"] == "$default"
    assert event["rawPath"] == "/a b/c" and event["rawQueryString"] == "x=1&x=2&y=%26z"
    assert event["queryStringParameters"] == {"x": "1,2", "y": "&z"}
    assert event["cookies"] == ["a=1", "b=2"]
    assert event["headers"]["x-own"] == "yes" and "connection" not in event["headers"]
    assert event["headers"]["host"] == echo.host
    assert event["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert event["headers"]["x-forwarded-proto"] == "http"
    assert event["headers"]["x-forwarded-port"] == str(echo.node.port)
    assert "Root=1-5e1b4151-5ac6c58dc39a6b6a4ac6c58d" in event["headers"]["x-amzn-trace-id"]
    context = event["requestContext"]
    assert context["accountId"] == "anonymous" and context["apiId"] == echo.id
    assert context["domainName"] == echo.host.split(":")[0]
    assert context["domainPrefix"] == echo.id and context["stage"] == "$default"
    assert context["http"] == {"method": "GET", "path": "/a b/c", "protocol": "HTTP/1.1",
                               "sourceIp": "127.0.0.1", "userAgent": "test/1"}
    assert len(context["requestId"]) == 36 and context["timeEpoch"] > 1.7e12
    assert event["isBase64Encoded"] is False and "body" not in event


@pytest.mark.parametrize("kind, body, text", [
    ("application/json", b'{"a":1}', True),
    ("text/plain; charset=utf-8", "grün".encode(), True),
    ("application/vnd.api+json", b"{}", True),
    ("application/x-www-form-urlencoded", b"a=1", False),
    ("application/octet-stream", b"abc", False),
    ("text/plain", b"\xff\xfe", False),
    (None, b"abc", False)])
def test_bodies_are_text_or_base64(echo, kind, body, text):
    event = echo.ask(method="POST", headers={"content-type": kind} if kind else {},
                     body=body).json()
    assert event["isBase64Encoded"] is not text
    assert event["body"] == (body.decode() if text else base64.b64encode(body).decode())


def test_6_mib_are_a_body_and_more_is_not(echo, aws):
    counts = answers(aws, "counts", "event.body.length")
    assert counts.ask(method="POST", headers={"content-type": "text/plain"},
                      body=b"x" * 6000000).json() == 6000000
    answer = counts.ask(method="POST", headers={"content-type": "text/plain"},
                        body=b"x" * (6 << 20) + b"y")
    assert answer.status == 413


def test_any_method_and_path(echo):
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        event = echo.ask("/functions/v1/x", method=method).json()
        assert event["requestContext"]["http"]["method"] == method
        assert event["rawPath"] == "/functions/v1/x"
    assert echo.ask(method="HEAD").status == 200


# --- what goes out ---


def test_an_object_with_a_status_is_the_answer(aws):
    url = answers(aws, "full", """{ statusCode: 201, body: "made",
      headers: { "Content-Type": "text/plain", "X-Own": "yes" },
      cookies: ["a=1; Path=/", "b=2"] }""")
    answer = url.ask()
    assert answer.status == 201 and answer.body == b"made"
    assert answer.get("content-type") == "text/plain" and answer.get("x-own") == "yes"
    assert answer.all("set-cookie") == ["a=1; Path=/", "b=2"]
    assert len(answer.get("x-amzn-requestid")) == 36


def test_a_body_in_base64_is_bytes(aws):
    url = answers(aws, "bytes", """{ statusCode: 200, isBase64Encoded: true,
      headers: { "content-type": "image/png" }, body: Buffer.from([0, 255, 1]).toString("base64") }
      """)
    assert url.ask().body == b"\x00\xff\x01"


@pytest.mark.parametrize("name, value, body", [
    ("text", '"as it is"', b"as it is"), ("number", "7", b"7"), ("array", "[1, 2]", b"[1,2]"),
    ("object", "{ a: 1 }", b'{"a":1}'), ("nothing", "undefined", b"null")])
def test_anything_else_is_json(aws, name, value, body):
    answer = answers(aws, "plain-" + name, value).ask()
    assert (answer.status, answer.body) == (200, body)
    assert answer.get("content-type") == "application/json"


def test_what_fails_is_a_502(aws):
    url = answers(aws, "fails", "(() => { throw new Error('secret'); })()")
    answer = url.ask()
    assert (answer.status, answer.body) == (502, b"Internal Server Error")
    assert len(answer.get("x-amzn-requestid")) == 36
    assert answers(aws, "odd", "{ statusCode: 'many' }").ask().status == 502
    aws.create("hangs", "exports.handler = () => new Promise(() => setTimeout(() => 0, 60000));",
               Timeout=1)
    assert Url(aws, "hangs").ask().status == 502


def test_one_that_is_switched_off_is_a_429(aws):
    url = answers(aws, "off", "1")
    aws.api.put_function_concurrency(FunctionName="off", ReservedConcurrentExecutions=0)
    eventually(lambda: url.ask().status == 429)


# --- whose it is ---


def test_without_a_statement_nobody_comes_in(aws):
    url = answers(aws, "closed", "1", allow=False)
    answer = url.ask()
    assert answer.status == 403 and answer.json()["Message"].startswith(FORBIDDEN)
    assert answer.get("x-amzn-errortype") == "AccessDeniedException"


def test_without_statements_where_the_node_says_so(start_node, write_functions):
    aws = Lambda(start_node(write_functions({}), "--lambda-url-policy=open"))
    assert answers(aws, "open", "1", allow=False).ask().json() == 1


def test_an_id_that_is_none(aws, echo):
    host = echo.host.replace(echo.id, "a" * len(echo.id))
    answer = aws.node.request("GET", "/", {"host": host})
    assert answer.status == 403 and answer.json() == {"Message": None}
    elsewhere = echo.host.replace(REGION, "eu-west-1")
    assert aws.node.request("GET", "/", {"host": elsewhere}).status == 403
    # other names are no URLs of functions
    other = aws.node.request("GET", "/", {"host": "example.com"})
    assert other.status == 200 and other.get("x-amzn-requestid") is None


def signed(url, key="test", secret="test", method="GET", path="/", body=None, service="lambda"):
    """The fields of a request that botocore signs."""
    pytest.importorskip("botocore", reason="python3-boto3 is not installed")
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    request = AWSRequest(method, f"http://{url.host}{path}", data=body)
    SigV4Auth(Credentials(key, secret), service, REGION).add_auth(request)
    return dict(request.headers)


@pytest.fixture
def keyed(start_node, write_functions):
    """A node that knows two keys, of two accounts."""
    node = start_node(write_functions({}), env={
        "HEDDLE_LAMBDA_KEYS": "AKIDOWNER:secret1,AKIDOTHER:secret2:222222222222"})
    return Lambda(node, key="AKIDOWNER", secret="secret1")


def test_with_iam_a_signature_comes_in(keyed):
    keyed.create("iam", ECHO)
    url = Url(keyed, "iam", "AWS_IAM")
    good = url.ask("/p?q=1", "POST", signed(url, "AKIDOWNER", "secret1", "POST", "/p?q=1", b"{}"),
                   b"{}")
    assert good.status == 200, good
    iam = good.json()["requestContext"]["authorizer"]["iam"]
    assert iam["accountId"] == ACCOUNT and iam["accessKey"] == "AKIDOWNER"
    assert url.ask().status == 403
    wrong = signed(url, "AKIDOWNER", "wrong")
    assert url.ask(headers=wrong).status == 403
    assert url.ask(headers=signed(url, "AKIDOWNER", "secret1", service="s3")).status == 403
    assert url.ask(headers=signed(url, "AKIDNOBODY", "x")).status == 403
    # the key of the control API is not one of callers
    assert url.ask(headers={"Authorization": "Bearer " + INTERNAL_KEY}).status == 403
    # what was signed is what is taken
    fields = signed(url, "AKIDOWNER", "secret1", "POST", "/", b"{}")
    assert url.ask("/", "POST", fields, b'{"changed":true}').status == 403
    assert url.ask("/other", "POST", fields, b"{}").status == 403


def test_another_account_needs_a_statement(keyed):
    keyed.create("shared", ECHO)
    url = Url(keyed, "shared", "AWS_IAM")
    assert url.ask(headers=signed(url, "AKIDOTHER", "secret2")).status == 403
    keyed.api.add_permission(FunctionName="shared", StatementId="s", Principal="222222222222",
                             Action="lambda:InvokeFunctionUrl", FunctionUrlAuthType="AWS_IAM")
    eventually(lambda: url.ask(headers=signed(url, "AKIDOTHER", "secret2")).status == 200)


# --- aliases, CORS ---


def test_an_alias_has_a_url_of_its_own(aws):
    aws.create("staged", "exports.handler = async (e, c) => c.functionVersion;", Publish=True)
    aws.api.create_alias(FunctionName="staged", Name="live", FunctionVersion="1")
    url = Url(aws, "staged", qualifier="live")
    assert url.ask().body == b"1"
    aws.api.update_alias(FunctionName="staged", Name="live", FunctionVersion="$LATEST")
    eventually(lambda: url.ask().body == b"$LATEST")


def test_cors_is_ours_where_it_is_set(aws):
    url = answers(aws, "cors", """{ statusCode: 200, body: "x",
      headers: { "Access-Control-Allow-Origin": "https://function.example" } }""", Cors={
        "AllowOrigins": ["https://a.example"], "AllowMethods": ["POST"],
        "AllowHeaders": ["x-own"], "ExposeHeaders": ["x-seen"], "AllowCredentials": True,
        "MaxAge": 60})
    answer = url.ask(headers={"origin": "https://a.example"})
    assert answer.all("access-control-allow-origin") == ["https://a.example"]
    assert answer.get("access-control-allow-credentials") == "true"
    assert answer.get("access-control-expose-headers") == "x-seen"
    assert "origin" in answer.get("vary").lower()
    assert url.ask(headers={"origin": "https://b.example"}).get(
        "access-control-allow-origin") is None
    before = aws.node.metrics()
    preflight = url.ask(method="OPTIONS", headers={
        "origin": "https://a.example", "access-control-request-method": "POST",
        "access-control-request-headers": "x-own"})
    assert preflight.status == 200 and preflight.body == b""
    assert preflight.get("access-control-allow-methods") == "POST"
    assert preflight.get("access-control-allow-headers") == "x-own"
    assert preflight.get("access-control-max-age") == "60"
    name = ('heddle_lambda_invocations_total{function="cors",account="000000000000",'
            'region="us-east-1"}')
    assert aws.node.metrics()[name] == before[name] == 2


def test_without_cors_the_functions_fields_go_out(aws):
    url = answers(aws, "own-cors", """{ statusCode: 200, body: "x",
      headers: { "Access-Control-Allow-Origin": "https://function.example" } }""")
    answer = url.ask(headers={"origin": "https://a.example"})
    assert answer.get("access-control-allow-origin") == "https://function.example"


# --- streams ---


def test_a_streamed_answer_has_a_head_and_comes_in_pieces(aws, gate):
    aws.create("streams", """
exports.handler = awslambda.streamifyResponse(async (event, out) => {
  out = awslambda.HttpResponseStream.from(out, { statusCode: 202,
    headers: { "Content-Type": "text/plain", "X-Own": "yes" }, cookies: ["a=1"] });
  out.write("first ");
  await (await fetch(event.queryStringParameters.gate)).text();
  out.end("last");
});""")
    url = Url(aws, "streams", InvokeMode="RESPONSE_STREAM")
    wire = Wire(aws.node.port)
    wire.send(f"GET /?gate={gate.url} HTTP/1.1\r\nHost: {url.host}\r\n\r\n")
    status, fields = wire.head()
    fields = {name.lower(): value for name, value in fields}
    assert status == 202 and fields["content-type"] == "text/plain"
    assert fields["x-own"] == "yes" and fields["set-cookie"] == "a=1"
    chunks = wire.chunks()
    assert next(chunks) == b"first " and not gate.open.is_set()
    gate.open.set()
    assert b"".join(chunks) == b"last"


def test_a_stream_without_a_head_is_bytes(aws):
    aws.create("bare", """
exports.handler = awslambda.streamifyResponse(async (event, out) => { out.end("bytes"); });""")
    answer = Url(aws, "bare", InvokeMode="RESPONSE_STREAM").ask()
    assert (answer.status, answer.body) == (200, b"bytes")
    assert answer.get("content-type") == "application/octet-stream"


def test_a_stream_that_breaks_is_seen_to_break(aws):
    aws.create("breaks", """
exports.handler = awslambda.streamifyResponse(async (event, out) => {
  if (event.rawPath === "/before") throw new Error("before");
  out.write("first ");
  await new Promise((done) => setTimeout(done, 50));
  throw new Error("in the middle");
});""")
    url = Url(aws, "breaks", InvokeMode="RESPONSE_STREAM")
    assert url.ask("/before").status == 502
    wire = Wire(aws.node.port)
    wire.send(f"GET / HTTP/1.1\r\nHost: {url.host}\r\n\r\n")
    with pytest.raises(Closed):
        wire.answer()


def test_many_at_once(aws):
    url = answers(aws, "crowd", "{ n: event.rawQueryString }")
    got = {}

    def ask(n):
        got[n] = url.ask(f"/?{n}").json()["n"]
    threads = [threading.Thread(target=ask, args=(n,)) for n in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {n: str(n) for n in range(24)}


def test_curl_finds_it_by_its_name(echo):
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    done = subprocess.run([curl, "-sS", echo.url + "by/name", "--data", "a=1"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    event = json.loads(done.stdout)
    assert event["rawPath"] == "/by/name"
    assert base64.b64decode(event["body"]) == b"a=1"
