"""AWS clients against a node: boto3, the AWS CLI, the JavaScript SDK; and archives of code."""

import io
import json
import os
import shutil
import subprocess
import zipfile

import pytest

from heddle import ROOT

ROLE = "arn:aws:iam::000000000000:role/any"
REGION = "us-east-1"
ACCOUNT = "000000000000"
ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:"
SDK = ROOT / "test/node_modules/@aws-sdk/client-lambda"

needs_sdk = pytest.mark.skipif(
    not SDK.is_dir(), reason="test/node_modules is not installed; `make deps` does that")


def archive(files=None, **options):
    """A zip with these files: {name: text}."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", **options) as z:
        for name, text in (files or {"index.js": "exports.handler = async (e) => e"}).items():
            z.writestr(name, text)
    return out.getvalue()


def boto(node, **options):
    """A boto3 client of the node."""
    boto3 = pytest.importorskip("boto3", reason="python3-boto3 is not installed")
    config = pytest.importorskip("botocore.config").Config(
        retries={"max_attempts": 1, "mode": "standard"}, parameter_validation=False)
    return boto3.client("lambda", endpoint_url=node.control, config=config,
                        **{"region_name": REGION, "aws_access_key_id": "test",
                           "aws_secret_access_key": "test", **options})


def settings(name="f", **more):
    """The arguments of an ordinary CreateFunction."""
    return {"FunctionName": name, "Runtime": "nodejs20.x", "Role": ROLE,
            "Handler": "index.handler", "Code": {"ZipFile": archive()}, **more}


# Our waits are for work of milliseconds; the clients' own pauses are made for data centers.
QUICK = {"Delay": 1, "MaxAttempts": 60}


def wait(client, name, **what):
    client.get_waiter(name).wait(WaiterConfig=QUICK, **what)


def create(client, name="f", **more):
    """Make a function and wait until it is active."""
    made = client.create_function(**settings(name, **more))
    wait(client, "function_active_v2", FunctionName=name)
    return made


def error_of(call, **arguments):
    """The error that a call is refused with: (status, code, message)."""
    from botocore.exceptions import ClientError
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    answer = refused.value.response
    return (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"],
            answer["Error"]["Message"])


class Cli:
    """The AWS CLI with a home of its own."""

    def __init__(self, node, home):
        self.program = shutil.which("aws", path="/usr/bin:/usr/local/bin") or shutil.which("aws")
        if self.program is None:
            pytest.skip("the AWS CLI is not installed")
        self.node = node
        self.env = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8",
                    "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
                    "AWS_DEFAULT_REGION": REGION, "AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "1",
                    "AWS_EC2_METADATA_DISABLED": "true"}

    def run(self, *args, service="lambda"):
        return subprocess.run(
            [self.program, "--endpoint-url", self.node.control, "--output", "json", service, *args],
            env=self.env, capture_output=True, text=True, timeout=120)

    def __call__(self, *args, **options):
        """What it printed, as JSON where it is."""
        done = self.run(*args, **options)
        assert done.returncode == 0, (args, done.stdout, done.stderr)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def refused(self, *args):
        """The error's text of a command that must fail."""
        done = self.run(*args)
        assert done.returncode != 0, (args, done.stdout)
        return done.stderr


def sdk(node, source, *args):
    """Run a script of the JavaScript SDK: `client` is there, and all of the SDK as `aws`.
    Returns what it hands to `done(value)`."""
    head = """
import * as aws from "@aws-sdk/client-lambda";
const [endpoint, ...args] = process.argv.slice(1);
const client = new aws.LambdaClient({ endpoint, region: "us-east-1", maxAttempts: 1,
  credentials: { accessKeyId: "test", secretAccessKey: "test" } });
const done = (value) => console.log(JSON.stringify(value));
"""
    run = subprocess.run([shutil.which("node"), "--input-type=module", "-e", head + source,
                          node.control, *map(str, args)],
                         cwd=ROOT / "test", capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run
    return json.loads(run.stdout)
