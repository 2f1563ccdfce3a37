"""Where functions of the Lambda API run: what they see, what they may sign, and what is left of them."""

import io
import json
import os
import signal
import stat
import subprocess
import zipfile

import pytest

from conftest import FUNCTIONS
from heddle import eventually
from lambdas import REGION, archive, boto, create, error_of, settings

EVALUATOR = """
import json, os, subprocess, sys
def handler(event, context):
    return eval(event['code'])
"""


def evaluate(client, name, code):
    answer = client.invoke(FunctionName=name, Payload=json.dumps({"code": code}))
    value = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, value
    return value


def python(client, name="place", **more):
    create(client, name, Runtime="python3.11", Handler="index.handler",
           Code={"ZipFile": archive({"index.py": EVALUATOR})}, **more)


def processes(text):
    return subprocess.run(["pgrep", "-f", text], capture_output=True, text=True).stdout.split()


@pytest.fixture
def client(start_node):
    return boto(start_node(FUNCTIONS))


def test_a_python_function_sees_the_place_of_the_service(client):
    python(client, EphemeralStorage={"Size": 600}, Environment={"Variables": {"STAGE": "x"}})
    assert evaluate(client, "place", "[os.getcwd(), __file__, sys.path[0]]") == [
        "/var/task", "/var/task/index.py", "/var/task"]
    assert evaluate(client, "place", "os.listdir('/tmp')") == []
    assert evaluate(client, "place", "os.statvfs('/tmp').f_blocks * 4096 >> 20") == 600
    env = evaluate(client, "place", "dict(os.environ)")
    assert env["STAGE"] == "x"
    assert env["AWS_LAMBDA_FUNCTION_NAME"] == "place"
    assert env["AWS_ACCESS_KEY_ID"].startswith("ASIA")
    assert [k for k in env if k.startswith("HEDDLE_") or k == "HOME"] == []
    assert evaluate(client, "place", "__import__('pwd').getpwuid(os.getuid())[0]") == "sbx_user1051"
    assert evaluate(client, "place", "any(map(os.path.exists, ('/root', '/sys')))") is False


def test_tmp_is_empty_for_each_instance(client):
    python(client)
    assert evaluate(client, "place", "open('/tmp/x', 'w').write('mine')") == 4
    assert evaluate(client, "place", "os.listdir('/tmp')") == ["x"]  # the same one, once more
    client.update_function_configuration(FunctionName="place", MemorySize=256)
    client.get_waiter("function_updated_v2").wait(FunctionName="place",
                                                  WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    assert evaluate(client, "place", "os.listdir('/tmp')") == []


def test_a_function_may_sign_with_what_it_was_given(start_node):
    pytest.importorskip("boto3", reason="python3-boto3 is not installed")
    node = start_node(FUNCTIONS, "--lambda-verify", "required", "--lambda-inject-endpoints",
                      env={"HEDDLE_LAMBDA_KEYS": "AKIDOWNER:secret:111122223333"})
    client = boto(node, aws_access_key_id="AKIDOWNER", aws_secret_access_key="secret")
    source = """
import boto3, os
def handler(event, context):
    where = {"endpoint_url": os.environ["AWS_ENDPOINT_URL"]}  # this boto3 may not know it
    client = boto3.client("lambda", **where)
    if event.get("wrong"):
        client = boto3.client("lambda", aws_access_key_id="ASIAAAAAAAAAAAAAAAAA",
                              aws_secret_access_key="x", aws_session_token="x", **where)
    try:
        return eval(event.get("do", "client.get_function_configuration(FunctionName='caller')['FunctionArn']"))
    except Exception as e:
        return e.response["Error"]["Code"]
"""
    create(client, "caller", Runtime="python3.11", Timeout=60, MemorySize=512,
           Code={"ZipFile": archive({"index.py": source})})
    answer = client.invoke(FunctionName="caller")
    assert json.loads(answer["Payload"].read()) == \
        f"arn:aws:lambda:{REGION}:111122223333:function:caller"
    answer = client.invoke(FunctionName="caller", Payload='{"wrong": true}')
    assert json.loads(answer["Payload"].read()) == "UnrecognizedClientException"

    # What a role would have to allow: its own function and what it invokes, no more.
    create(client, "other", Runtime="python3.11", Role=f"arn:aws:iam::111122223333:role/path/worker",
           Code={"ZipFile": archive({"index.py": "import os\ndef handler(e, c):\n    return "
                 "[os.environ[k] for k in ('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', "
                 "'AWS_SESSION_TOKEN')]\n"})})

    def do(text):
        payload = json.dumps({"do": text})
        return json.loads(client.invoke(FunctionName="caller", Payload=payload)["Payload"].read())
    assert do("client.invoke(FunctionName='other')['StatusCode']") == 200
    for text in ("client.list_functions()", "client.get_function(FunctionName='other')",
                 "client.delete_function(FunctionName='other')",
                 "client.update_function_configuration(FunctionName='caller', Timeout=3)",
                 "client.add_permission(FunctionName='caller', StatementId='s', Action='*', Principal='*')",
                 "boto3.client('logs', **where).describe_log_groups()"):
        assert do(text).startswith("AccessDenied"), text
    client.add_permission(FunctionName="other", StatementId="a", Action="lambda:GetFunctionConfiguration",
                          Principal="111122223333")
    eventually(lambda: do("client.get_function_configuration(FunctionName='other')['FunctionName']")
               == "other")
    assert do("client.get_function(FunctionName='other')").startswith("AccessDenied")

    # They end with the instance.
    keys = json.loads(client.invoke(FunctionName="other")["Payload"].read())
    taken = boto(node, **dict(zip(("aws_access_key_id", "aws_secret_access_key", "aws_session_token"),
                                  keys)))
    assert taken.get_function_configuration(FunctionName="other")["FunctionName"] == "other"
    client.update_function_configuration(FunctionName="other", MemorySize=256)

    def refused():
        try:
            taken.get_function_configuration(FunctionName="other")
        except taken.exceptions.ClientError as e:
            return e.response["Error"]["Code"] == "UnrecognizedClientException"
    eventually(refused, what="the end of its keys")


def test_a_timeout_ends_the_whole_tree(client):
    mark = f"86{os.getpid()}"
    python(client, Timeout=1)
    code = (f"[subprocess.Popen(['setsid', 'sleep', '{mark}']),"
            " __import__('time').sleep(60)]")
    answer = client.invoke(FunctionName="place", Payload=json.dumps({"code": code}))
    assert answer["FunctionError"] == "Unhandled"
    assert "Task timed out after 1.00 seconds" in answer["Payload"].read().decode()
    eventually(lambda: processes(f"[s]leep {mark}") == [])


def test_nothing_is_left_of_a_node_that_was_killed(start_node):
    mark = f"87{os.getpid()}"
    node = start_node(FUNCTIONS)
    client = boto(node)
    python(client)
    assert evaluate(client, "place", f"subprocess.Popen(['setsid', 'sleep', '{mark}']).pid") > 0
    eventually(lambda: processes(f"[s]leep {mark}"))
    node.kill()
    again = start_node(FUNCTIONS)
    eventually(lambda: processes(f"[s]leep {mark}") == [])
    assert evaluate(boto(again), "place", "1 + 1") == 2


# --- archives ---

NOT_UNZIPPED = "Could not unzip uploaded file. Please check your file, then try to upload again."


def entry(name, text="x", mode=stat.S_IFREG | 0o644):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    return info, text


def packed(*entries):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for info, text in entries:
            z.writestr(info, text)
    return out.getvalue()


def spoiled(at, count=1):
    data = bytearray(packed(entry("index.js", "x" * 100)))
    where = data.index(at)
    for i in range(count):
        data[where + len(at) + i] ^= 0xff
    return bytes(data)


LINK = stat.S_IFLNK | 0o777


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name, data", [
    ("no archive", b"this is no archive"),
    ("half of one", packed(entry("index.js"))[:60]),
    ("out of it", packed(entry("../index.js"))),
    ("absolute", packed(entry("/index.js"))),
    ("twice", packed(entry("index.js"), entry("./index.js"))),
    ("link out", packed(entry("index.js", "../../etc/passwd", LINK))),
    ("absolute link", packed(entry("index.js", "/etc/passwd", LINK))),
    ("links out together", packed(entry("a", "b/..", LINK), entry("b", "c", LINK),
                                  entry("index.js", "a/../x", LINK))),
    ("below a link", packed(entry("a", "b", LINK), entry("a/index.js"))),
    ("wrong data", spoiled(b"index.js", 20)),
])
def test_an_archive_that_could_do_harm_is_refused(node, name, data):
    client = boto(node)
    refused = error_of(client.create_function, **settings("harm", Code={"ZipFile": data}))
    assert refused == (400, "InvalidParameterValueException", NOT_UNZIPPED), name

