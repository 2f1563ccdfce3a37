"""Two nodes, one of which serves what the other one calls: files, streams and aborts go all the way."""

import base64
import hashlib
import json
import socket

import pytest

from heddle import INTERNAL_KEY, eventually
from lanepeer import handler, serve

UPLOAD = """
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
export const handler = async ({ file, note }) => {
  const bytes = readFileSync(file.$file.path);
  return { name: file.$file.name, type: file.$file.type, note, bytes: bytes.length,
           sha256: createHash("sha256").update(bytes).digest("hex") };
};
"""
BACK = """
export default { async fetch(request) {
  const { body } = await request.json();
  const bytes = Buffer.from(body, "base64");
  const pieces = [bytes.subarray(0, 1000), bytes.subarray(1000)];
  return new Response(new ReadableStream({
    pull(controller) {
      if (pieces.length > 0) controller.enqueue(pieces.shift());
      else controller.close();
    } }), { headers: { "content-type": "audio/x-test" } });
} };
"""
PATIENT = """
export default { async fetch(request) {
  await request.json();
  console.log("waiting");
  await new Promise((go) => request.signal.addEventListener("abort", go));
  console.log("aborted");
  return Response.json({});
} };
"""
CALLER = """
export default { async fetch(request) {
  const answer = await fetch(process.env.HEDDLE_LANES_URL + "/lanes/v1/tasks/back", {
    method: "POST", body: Buffer.from(await request.arrayBuffer()),
    headers: { authorization: `Bearer ${process.env.HEDDLE_LANES_TOKEN}`,
               "content-type": "application/octet-stream" } });
  return new Response(answer.body, { status: answer.status, headers: answer.headers });
} };
"""
CONFIG = """
lanes:
  profile: %s
  tasks: { upload: { lane: files }, back: { lane: files }, patient: { lane: files } }
  rpc_lanes: { files: {} }
  communicators: { peer: { base_url: 'http://127.0.0.1:%d/__runner', token: edge } }
  profiles: { api: {}, worker: { serve: [files] } }
  bindings: [ { lane: files, communicator: peer, auth: { secret: lane-secret } } ]
  exposure: { http: { listen: { port: 0 }, auth: { tokens: [edge] } } }
"""


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    nodes = []
    try:
        worker = serve(tmp_path_factory.mktemp("worker"),
                       {**handler("upload", UPLOAD), **handler("back", BACK),
                        **handler("patient", PATIENT)}, CONFIG % ("worker", 1))
        nodes.append(worker)
        api = serve(tmp_path_factory.mktemp("api"), handler("caller", CALLER),
                    CONFIG % ("api", worker.peer.port))
        nodes.append(api)
        yield api, worker
        for node in nodes:
            node.stop()
    finally:
        for node in nodes:
            node.kill()


def test_a_file_arrives_as_it_was_sent(pair):
    api, worker = pair
    data = bytes(i * 31 % 256 for i in range(500000))
    value = {"file": {"$file": {"name": "ü.bin", "type": "application/x",
                                "base64": base64.b64encode(data).decode()}}, "note": [1]}
    got = api.admin("/lanes/v1/tasks/upload", json.dumps(value)).json()
    assert got == {"ok": True, "result": {
        "name": "ü.bin", "type": "application/x", "note": [1], "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest()}}
    files = worker.cwd / ".heddle/files"
    eventually(lambda: list(files.iterdir()) == [], what="an empty files folder")


def test_octets_come_back_as_a_stream(pair):
    api, _ = pair
    data = bytes(i * 17 % 256 for i in range(300000))
    answer = api.post("caller", data)
    assert (answer.status, answer.get("content-type")) == (200, "audio/x-test")
    assert answer.body == data


def test_an_abort_goes_all_the_way(pair):
    api, worker = pair
    link = socket.socket(socket.AF_UNIX)
    link.connect(str(api.cwd / ".heddle/run/admin.sock"))
    link.sendall(b"POST /lanes/v1/tasks/patient HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n"
                 b"authorization: Bearer " + INTERNAL_KEY.encode() + b"\r\n\r\n1")
    eventually(lambda: "waiting" in worker.text(), what="a task that runs")
    link.close()
    eventually(lambda: "aborted" in worker.text(), what="its end")
