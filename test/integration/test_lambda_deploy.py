"""What is deployed is what runs: updates under load, code from S3, folders that are reloaded."""

import concurrent.futures
import hashlib
import hmac
import http.server
import json
import threading
import urllib.parse

import pytest

from heddle import WAIT_S, eventually
from lambdas import archive, boto, create, error_of, settings, wait


def invoke(client, name="f", **more):
    answer = client.invoke(FunctionName=name, **more)
    assert "FunctionError" not in answer, answer["Payload"].read()
    return json.loads(answer["Payload"].read())


def answering(value):
    """Code that answers this value."""
    return archive({"index.js": f"exports.handler = async () => {json.dumps(value)};"})


@pytest.fixture
def client(start_node, write_functions):
    return boto(start_node(write_functions({})))


def test_an_update_is_what_runs_from_its_answer_on(client):
    """Every invocation that begins after an update was answered runs the new code or a newer one;
    none fails."""
    create(client, Code={"ZipFile": answering(0)})
    answered = [0]  # the newest value that an update was answered for
    stop = threading.Event()
    wrong = []

    def call():
        mine = client
        while not stop.is_set():
            floor = answered[0]
            got = invoke(mine)
            if got < floor:
                wrong.append((got, floor))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        callers = [pool.submit(call) for _ in range(4)]
        try:
            for value in range(1, 9):
                client.update_function_code(FunctionName="f", ZipFile=answering(value))
                answered[0] = value
                wait(client, "function_updated_v2", FunctionName="f")
                assert invoke(client) == value
        finally:
            stop.set()
        for caller in callers:
            caller.result(timeout=WAIT_S)
    assert wrong == []


def test_a_version_keeps_its_code_and_an_alias_moves_at_once(client):
    create(client, Code={"ZipFile": answering("one")}, Publish=True)
    wait(client, "published_version_active", FunctionName="f", Qualifier="1")
    client.create_alias(FunctionName="f", Name="prod", FunctionVersion="1")
    assert invoke(client, Qualifier="prod") == "one"
    client.update_function_code(FunctionName="f", ZipFile=answering("two"), Publish=True)
    wait(client, "published_version_active", FunctionName="f", Qualifier="2")
    assert invoke(client) == "two"
    assert invoke(client, Qualifier="1") == "one"
    assert invoke(client, Qualifier="prod") == "one"
    client.update_alias(FunctionName="f", Name="prod", FunctionVersion="2")
    assert invoke(client, "f:prod") == "two"


def test_a_function_made_again_is_the_new_one(client):
    for value in range(3):
        create(client, Code={"ZipFile": answering(value)})
        assert invoke(client) == value
        client.delete_function(FunctionName="f")


def test_the_environment_is_the_new_one_after_an_update(client):
    code = archive({"index.js": "exports.handler = async () => process.env.WHO;"})
    create(client, Code={"ZipFile": code}, Environment={"Variables": {"WHO": "a"}})
    assert invoke(client) == "a"
    client.update_function_configuration(FunctionName="f", Environment={"Variables": {"WHO": "b"}})
    assert invoke(client) == "b"


def test_a_folder_is_the_code(client, tmp_path):
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "index.js").write_text("exports.handler = async () => 1;")
    create(client, Code={"S3Bucket": "hot-reload", "S3Key": str(folder)})
    assert invoke(client) == 1
    (folder / "index.js").write_text("exports.handler = async () => 2;")
    eventually(lambda: invoke(client) == 2, what="the reload")
    assert error_of(client.create_function, **settings(
        "g", Code={"S3Bucket": "hot-reload", "S3Key": str(folder / "missing")}))[:2] == (
            400, "InvalidParameterValueException")


# --- S3 ---

KEY, SECRET = "AKIAEXAMPLE", "the-secret-of-the-store"


class Store(http.server.BaseHTTPRequestHandler):
    """As much of S3 as GetObject is. It computes the signature itself."""

    protocol_version = "HTTP/1.1"
    objects = {}

    def log_message(self, *args):
        pass

    def answer(self, status, body, kind="application/xml"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def signature(self, scope, names):
        path, _, query = self.path.partition("?")
        fields = "".join(f"{n}:{self.headers[n].strip()}\n" for n in names.split(";"))
        pairs = sorted(p if "=" in p else p + "=" for p in query.split("&") if p)
        request = "\n".join(["GET", path, "&".join(pairs), fields, names,
                             self.headers["X-Amz-Content-Sha256"]])
        text = "\n".join(["AWS4-HMAC-SHA256", self.headers["X-Amz-Date"], scope,
                          hashlib.sha256(request.encode()).hexdigest()])
        key = ("AWS4" + SECRET).encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()

    def is_signed(self):
        kind, _, rest = (self.headers["Authorization"] or "").partition(" ")
        if kind != "AWS4-HMAC-SHA256":
            return False
        parts = dict(p.strip().split("=", 1) for p in rest.split(","))
        key, _, scope = parts["Credential"].partition("/")
        return (key == KEY and scope.split("/")[2] == "s3"
                and parts["Signature"] == self.signature(scope, parts["SignedHeaders"]))

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        _, bucket, key = urllib.parse.unquote(url.path).split("/", 2)
        version = urllib.parse.parse_qs(url.query).get("versionId", [None])[0]
        found = self.objects.get((bucket, key, version))
        if not self.is_signed():
            self.answer(403, b"<Error><Code>SignatureDoesNotMatch</Code><Message>no</Message></Error>")
        elif not any(b == bucket for b, _, _ in self.objects):
            self.answer(404, b"<Error><Code>NoSuchBucket</Code><Message>The specified bucket does "
                             b"not exist</Message></Error>")
        elif found is None:
            self.answer(404, b"<?xml version='1.0'?>\n<Error><Code>NoSuchKey</Code><Message>The "
                             b"specified key does not exist.</Message></Error>")
        else:
            self.answer(200, found, "application/zip")


@pytest.fixture
def s3():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Store)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_code_from_s3(start_node, write_functions, s3):
    Store.objects = {("bucket", "a folder/code+1.zip", None): answering("newest"),
                     ("bucket", "a folder/code+1.zip", "v1"): answering("older")}
    node = start_node(write_functions({}), "--lambda-s3-endpoint", s3,
                      env={"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET})
    client = boto(node)
    place = {"S3Bucket": "bucket", "S3Key": "a folder/code+1.zip"}
    create(client, Code=place)
    assert invoke(client) == "newest"
    client.update_function_code(FunctionName="f", **place, S3ObjectVersion="v1")
    wait(client, "function_updated_v2", FunctionName="f")
    assert invoke(client) == "older"
    assert error_of(client.create_function, **settings(
        "g", Code={"S3Bucket": "bucket", "S3Key": "missing"})) == (
            400, "InvalidParameterValueException",
            "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The "
            "specified key does not exist.")
    assert error_of(client.create_function, **settings(
        "g", Code={"S3Bucket": "other", "S3Key": "missing"})) == (
            400, "InvalidParameterValueException",
            "Error occurred while GetObject. S3 Error Code: NoSuchBucket. S3 Error Message: The "
            "specified bucket does not exist")


def test_a_store_that_is_not_there(start_node, write_functions):
    node = start_node(write_functions({}), "--lambda-s3-endpoint", "http://127.0.0.1:1")
    status, kind, message = error_of(boto(node).create_function, **settings(
        "f", Code={"S3Bucket": "bucket", "S3Key": "key"}))
    assert (status, kind) == (400, "InvalidParameterValueException")
    assert message.startswith("Error occurred while GetObject. S3 could not be asked: ")


def test_a_thousand_functions(start_node, write_functions):
    """They are made, listed and there again after a restart; the restart does not start them."""
    node = start_node(write_functions({}))
    client = boto(node)
    code = {"ZipFile": answering("many")}
    names = [f"fn-{i:04d}" for i in range(1000)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for made in pool.map(lambda n: client.create_function(**settings(n, Code=code)), names):
            assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    wait(client, "function_active_v2", FunctionName=names[-1])
    node.stop()
    again = boto(start_node(node.functions))
    listed = [f["FunctionName"] for page in again.get_paginator("list_functions").paginate()
              for f in page["Functions"]]
    assert listed == names
    assert invoke(again, names[500]) == "many"
