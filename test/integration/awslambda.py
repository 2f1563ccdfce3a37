"""Lambda functions on a node under test, through the clients that AWS users have."""

import base64
import io
import json
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

ACCOUNT = "000000000000"
REGION = "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/any"


def package(files):
    """A zip with these files: {name: text or bytes}, or {name: (text, mode)}."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            text, mode = text if isinstance(text, tuple) else (text, 0o644)
            entry = zipfile.ZipInfo(name, (2026, 1, 2, 3, 4, 6))
            entry.external_attr = (0o100000 | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, text)
    return out.getvalue()


def arn(name, qualifier=None):
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}" + (f":{qualifier}" if qualifier
                                                                  else "")


def client(node, key="test", secret="test", **options):
    """boto3's client for the node. Nothing is retried: each answer is looked at."""
    boto3 = pytest.importorskip("boto3", reason="python3-boto3 is not installed")
    from botocore.config import Config
    config = Config(retries={"total_max_attempts": 1, "mode": "standard"}, read_timeout=60,
                    **options)
    return boto3.client("lambda", endpoint_url=node.control, region_name=REGION,
                        aws_access_key_id=key, aws_secret_access_key=secret, config=config)


class Lambda:
    """What the tests do with functions."""

    def __init__(self, node, **options):
        self.node = node
        self.api = client(node, **options)

    def create(self, name, files, runtime="nodejs22.x", handler="index.handler", **settings):
        """Make a function of these files (or of one: index.js), and wait until it is Active."""
        if isinstance(files, str):
            files = {"index.py" if runtime.startswith("python") else "index.js": files}
        self.api.create_function(FunctionName=name, Runtime=runtime, Handler=handler, Role=ROLE,
                                 Code={"ZipFile": package(files)}, **settings)
        self.wait_active(name)
        return arn(name)

    def wait_active(self, name):
        self.api.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})

    def wait_updated(self, name):
        self.api.get_waiter("function_updated_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})

    def invoke(self, name, event=None, **options):
        payload = {} if event is None else {"Payload": json.dumps(event)}
        return Answer(self.api.invoke(FunctionName=name, **payload, **options))

    def value(self, name, event=None, **options):
        """Invoke, and want a result."""
        answer = self.invoke(name, event, **options)
        assert answer.error is None, answer
        return answer.value


class Answer:
    """The result of an Invoke."""

    def __init__(self, answer):
        self.status = answer["StatusCode"]
        self.error = answer.get("FunctionError")
        self.version = answer.get("ExecutedVersion")
        self.headers = answer["ResponseMetadata"]["HTTPHeaders"]
        self.id = answer["ResponseMetadata"]["RequestId"]
        self.tail = base64.b64decode(answer.get("LogResult", "")).decode()
        self.bytes = answer["Payload"].read()

    @property
    def value(self):
        return json.loads(self.bytes) if self.bytes else None

    def __repr__(self):
        return f"<{self.status} {self.error} {self.bytes[:600]!r}>\n{self.tail}"


class Gate:
    """What a handler waits for until the test lets it go on."""

    def __init__(self):
        gate = self
        self.open = threading.Event()
        self.asked = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                gate.asked.set()
                gate.open.wait(60)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.open.set()
        self.server.shutdown()
        self.server.server_close()
