"""The whole model of the service as the JavaScript SDK has it: each operation is offered, or refused
by its name; each member of an input is known, or refused by its name. Nothing is ignored."""

import json
import shutil
import subprocess

import pytest

from heddle import ROOT
from lambdas import needs_sdk

pytestmark = needs_sdk

# What doc/lambda.md says is not offered.
NOT_OFFERED = {
    "CreateCapacityProvider", "DeleteCapacityProvider", "GetCapacityProvider",
    "ListCapacityProviders", "ListFunctionVersionsByCapacityProvider", "UpdateCapacityProvider",
    "GetFunctionScalingConfig", "PutFunctionScalingConfig", "CheckpointDurableExecution",
    "GetDurableExecution", "GetDurableExecutionHistory", "GetDurableExecutionState",
    "ListDurableExecutionsByFunction", "StopDurableExecution",
    "SendDurableExecutionCallbackFailure", "SendDurableExecutionCallbackHeartbeat",
    "SendDurableExecutionCallbackSuccess",
}
# Their body is the function's, not a document.
PAYLOAD = {"Invoke", "InvokeAsync", "InvokeWithResponseStream"}

VALUES = {
    "FunctionName": "no-such-function", "Name": "alias", "UUID": "00000000-0000-4000-8000-000000000000",
    "LayerName": "no-such-layer", "VersionNumber": "1", "StatementId": "sid",
    "Resource": "arn:aws:lambda:us-east-1:000000000000:function:no-such-function",
    "CodeSigningConfigArn":
        "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-00000000000000000",
}


def model():
    done = subprocess.run([shutil.which("node"), "integration/lambda_model.mjs"], cwd=ROOT / "test",
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def line(operation):
    path = operation["path"]
    for member in operation["members"]:
        if member["where"] == "path":
            value = VALUES.get(member["name"], "value")
            path = path.replace("{%s}" % member["name"], value).replace(
                "{%s+}" % member["name"], value)
    return path


def message_of(answer):
    body = answer.json()
    return body.get("message") or body.get("Message")


def test_every_operation_is_offered_or_refused_by_name(node):
    operations = model()
    assert len(operations) > 80
    wrong = []
    for operation in operations:
        answer = node.ask_control(operation["method"], line(operation), body=b"{}")
        kind = answer.get("x-amzn-errortype")
        if operation["name"] in NOT_OFFERED:
            right = (answer.status == 404 and kind == "UnknownOperationException"
                     and operation["name"] + " is not offered" in message_of(answer))
        else:
            right = answer.status < 500 and kind != "UnknownOperationException"
        if not right or not answer.get("x-amzn-requestid"):
            wrong.append((operation["name"], answer.status, answer.body[:200]))
    assert wrong == []


WRONG = {"string": 1, "number": "x", "boolean": "x", "time": "x", "blob": 1, "list": "x",
         "map": "x", "struct": "x"}


def wrong_documents(members, around=lambda inner: inner):
    """(name, document) for each member at any depth: the document has a value of a wrong type
    there, and nothing else."""
    for member in members:
        if member.get("where") in ("path", "query", "header"):
            continue
        name, kind = member["name"], member["type"]
        if kind == "any":
            continue
        yield name, around({name: WRONG[kind]})
        if kind == "struct":
            yield from wrong_documents(member["members"],
                                       lambda inner, n=name: around({n: inner}))
        elif kind == "list" and member["of"]["type"] == "struct":
            yield from wrong_documents(member["of"]["members"],
                                       lambda inner, n=name: around({n: [inner]}))
        elif kind in ("list", "map"):
            value = WRONG.get(member["of"]["type"], 1)
            yield name, around({name: [value] if kind == "list" else {"key": value}})


def cases():
    if not (ROOT / "test/node_modules/@aws-sdk").is_dir():
        return []
    return [o for o in model() if o["name"] not in NOT_OFFERED | PAYLOAD]


@pytest.mark.parametrize("operation", cases(), ids=lambda o: o["name"])
def test_no_member_is_ignored(node, operation):
    wrong = []
    for name, document in wrong_documents(operation["members"]):
        answer = node.ask_control(operation["method"], line(operation), body=json.dumps(document))
        said = message_of(answer) if answer.body else ""
        typed = answer.get("x-amzn-errortype") == "SerializationException" and f"'{name}'" in said
        # A member around it may be refused already.
        refused = (answer.get("x-amzn-errortype") == "InvalidParameterValueException"
                   and "is not offered by this server" in said)
        if not typed and not refused:
            wrong.append((name, document, answer.status, said[:200]))
    for member in operation["members"]:
        if member["where"] != "query" or member["type"] != "number":
            continue
        path = line(operation)
        path += f"{'&' if '?' in path else '?'}{member['query']}=x"
        answer = node.ask_control(operation["method"], path, body=b"{}")
        if f"'{member['name']}'" not in message_of(answer):
            wrong.append((member["name"], answer.status, answer.body[:200]))
    assert wrong == []
