"""A peer of the lanes' wire, for tests: requests as peers make them, forms with files among them, and
a node with tasks for them to call."""

import base64
import hashlib
import hmac
import http.client
import json
import socket
import time

from heddle import Node, b64

BOUNDARY = "runner-mwpnkofq-9nzdfgy0uwu"
NODE = json.dumps({"runtime": "node", "verify_jwt": False})


class Peer:
    """Requests to the exposure of a node."""

    def __init__(self, port, token="edge"):
        self.port = port
        self.token = token

    def ask(self, path, body=None, method="POST", token=..., **fields):
        """(status, text, answer) of one request; fields as keywords, "_" for "-"."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        token = self.token if token is ... else token
        head = {key.replace("_", "-"): value for key, value in fields.items()}
        if token:
            head["x-runner-token"] = token
        connection.request(method, "/__runner" + path, body, head)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        try:
            text = text.decode()
        except UnicodeDecodeError:
            pass
        return answer.status, text, answer

    def call(self, task, value, **fields):
        """The result of a task, which must work."""
        status, text, _ = self.ask(f"/task/{task}", json.dumps({"input": value}), **fields)
        assert status == 200, (status, text)
        return json.loads(text)["result"]

    def error(self, *args, **fields):
        """(status, code, message) of an answer that is an error."""
        status, text, _ = self.ask(*args, **fields)
        error = json.loads(text)["error"]
        return status, error["code"], error["message"]

    def form(self, task, parts, boundary=BOUNDARY, **fields):
        return self.ask(f"/task/{task}", form(parts, boundary),
                        content_type=f"multipart/form-data; boundary={boundary}", **fields)

    def form_error(self, task, parts, **fields):
        status, text, _ = self.form(task, parts, **fields)
        error = json.loads(text)["error"]
        return status, error["code"], error["message"]

    def open(self, head, body=b""):
        """A socket on which the head was sent; the caller reads and closes."""
        link = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        link.sendall(head.encode() + body)
        return link


def sentinel(id, **meta):
    return {"$runnerFile": "File", "id": id, "meta": meta}


def manifest(value):
    return ("__manifest", None, None, json.dumps({"input": value}).encode())


def file(id, data, name=None, type=None):
    return (f"file:{id}", name or f"{id}.bin", type, data)


def form(parts, boundary=BOUNDARY, end=True):
    """parts: (field name, file name or None, type or None, bytes)."""
    out = b""
    for name, filename, kind, data in parts:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'
        head += f'; filename="{filename}"' if filename is not None else ""
        head += f"\r\nContent-Type: {kind}" if kind else ""
        out += head.encode() + b"\r\n\r\n" + data + b"\r\n"
    return out + (f"--{boundary}--\r\n".encode() if end else b"")


def body_hash(text):
    return b64(hashlib.sha256(text.encode()).digest())


def lane_token(text, secret="lane-secret", lane="billing", target="app.tasks.charge",
               kind="rpc-task", at=None, ttl=60, header=None, **claims):
    """A token over the body `text`, as a caller signs it; claims that are None are left out."""
    now = int(time.time() if at is None else at)
    payload = {"lane": lane, "cap": "produce", "kind": kind, "target": target,
               "hash": body_hash(text), "iat": now, "exp": now + ttl, **claims}
    payload = {key: value for key, value in payload.items() if value is not None}
    parts = [json.dumps(header or {"alg": "HS256", "typ": "JWT"}, separators=(",", ":")),
             json.dumps(payload, separators=(",", ":"))]
    signed = ".".join(b64(part.encode()) for part in parts)
    mac = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return signed + "." + b64(mac)


def unbase64(text):
    return base64.b64decode(text)


def serve(cwd, functions, config, *args, **options):
    """A running node with these functions ({file: text}) and lanes; .peer asks its exposure."""
    for name, text in functions.items():
        path = cwd / "functions" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (cwd / "functions").mkdir(exist_ok=True)
    (cwd / "heddle.yml").write_text(config)
    node = Node(cwd, cwd / "functions", *args, **options).start()
    node.peer = Peer(node.wait_record(lambda r: r["msg"] == "ready")["exposure_port"])
    return node


def handler(name, code, **manifest):
    """One function in Node: {file: text} of it."""
    return {f"{name}/index.mjs": code,
            f"{name}/heddle.json": json.dumps({**json.loads(NODE), **manifest})}
