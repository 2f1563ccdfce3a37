"""RPC lanes that are exposed with a function as the judge of tokens."""

import json
import re
import socket

import pytest

NODE = {"runtime": "node", "verify_jwt": False}
# Says yes to one token, once it is told to.
GUARD = """
import { existsSync } from "node:fs";
export const handler = async (event) => {
  while (!existsSync(process.env.GO)) await new Promise((resolve) => setTimeout(resolve, 10));
  return { ok: event.token === "good" };
};
"""
ECHO = "export const handler = async (event) => event;\n"
CONFIG = """
lanes:
  tasks: { echo: { lane: billing } }
  rpc_lanes: { billing: {} }
  communicators: { self: { base_url: 'http://127.0.0.1:1' } }
  bindings: [ { lane: billing, communicator: self, auth: { mode: none } } ]
  exposure: { http: { listen: { port: 0 }, auth: { validator: guard } } }
"""


@pytest.fixture
def node(tmp_path, write_functions, start_node):
    functions = write_functions({
        "guard/index.mjs": GUARD,
        "guard/heddle.json": json.dumps({**NODE, "env": {"GO": str(tmp_path / "go")}}),
        "echo/index.mjs": ECHO, "echo/heddle.json": json.dumps(NODE)})
    (tmp_path / "heddle.yml").write_text(CONFIG)
    node = start_node(functions, "--sandbox", "off")
    node.exposure = node.wait_record(lambda r: r["msg"] == "ready")["exposure_port"]
    node.go = lambda: (tmp_path / "go").write_text("")
    return node


def ask(node, text):
    """Send all of it at once, let the validator answer, and return what comes until the end."""
    with socket.create_connection(("127.0.0.1", node.exposure), timeout=60) as s:
        s.sendall(text)
        node.go()
        found = b""
        while True:
            more = s.recv(65536)
            found += more
            if not more:
                return found


def request(token, framing, body):
    return (f"POST /__runner/task/app.tasks.echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
            f"x-runner-token: {token}\r\n{framing}\r\n\r\n").encode() + body


@pytest.mark.parametrize("token, status", [("good", 200), ("bad", 401)])
def test_the_validator_decides(node, token, status):
    body = b'{"input":[1]}'
    answer = ask(node, request(token, f"content-length: {len(body)}", body))
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    assert status != 200 or answer.endswith(b'{"ok":true,"result":[1]}')


@pytest.mark.parametrize("token", ["good", "bad"])
def test_a_body_that_is_broken_while_the_validator_decides(node, token):
    answer = ask(node, request(token, "transfer-encoding: chunked", b"zz\r\n"))
    assert re.match(rb"HTTP/1\.1 40[01] ", answer), answer
    assert ask(node, request("good", "content-length: 0", b"")).startswith(b"HTTP/1.1 200 ")
