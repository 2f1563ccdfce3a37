"""Tasks that are sent files: what functions see of them, each limit, what is wrong with a form, and
that nothing is left behind."""

import hashlib
import json
import os
import re
import socket
import tempfile
from pathlib import Path

import pytest

from awslambda import Lambda
from heddle import eventually
from lanepeer import BOUNDARY, file, form, handler, manifest, sentinel, serve

# Answers with its event, and with what it read from each file of it.
READER = """
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { dirname } from "node:path";
export const handler = async (event, context) => {
  const read = {};
  const walk = (value) => {
    if (value?.$file?.path) {
      const bytes = readFileSync(value.$file.path);
      read[value.$file.id] = { bytes: bytes.length,
        sha256: createHash("sha256").update(bytes).digest("hex") };
    } else if (value && typeof value === "object") {
      Object.values(value).forEach(walk);
    }
  };
  walk(event);
  let others = "hidden";
  const first = JSON.stringify(event).match(/"path":"([^"]+)"/)?.[1];
  try {
    others = first && readdirSync(dirname(dirname(first)));
  } catch { }
  if (event?.fails) throw new Error("no");
  return { event, read, others };
};
"""
CONFIG = """
lanes:
  tasks:
    upload: { lane: files, function: reader }
    typed-upload: { lane: files, function: reader, codec: typed }
    guarded: { lane: guarded, function: reader }
  rpc_lanes: { files: {}, guarded: {} }
  communicators: { self: { base_url: 'http://127.0.0.1:1' } }
  bindings:
    - { lane: files, communicator: self }
    - { lane: guarded, communicator: self, auth: { secret: lane-secret } }
  exposure:
    http:
      listen: { port: 0 }
      auth: { tokens: [edge] }
      limits:
        json: 2000
        multipart: { file: 300000, files: 3, fields: 4, field: 5000, parts: 6, total: 800000 }
"""
DATE = {"__type": "Date", "value": "2024-01-02T03:04:05.678Z"}
INVALID = (400, "INVALID_MULTIPART", "Invalid multipart payload")


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    cwd = tmp_path_factory.mktemp("form")
    left = cwd / "data/files/0123456789abcdef0123456789abcdef"  # by a node that was killed
    left.mkdir(parents=True)
    (left / "0").write_text("old")
    node = serve(cwd, handler("reader", READER), CONFIG, "--data-dir", "data")
    try:
        yield node
        node.stop()
    finally:
        node.kill()


@pytest.fixture
def peer(node):
    yield node.peer
    eventually(lambda: os.listdir(node.cwd / "data/files") == [], what="an empty files folder")


def result(answer):
    status, text, _ = answer
    assert status == 200, answer
    return json.loads(text)["result"]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def test_what_a_dead_node_left_is_removed(node):
    assert os.listdir(node.cwd / "data/files") == []


def test_a_function_gets_files_with_what_is_known_of_them(peer):
    data = bytes(range(256)) * 1000
    meta = {"name": "a b.txt", "type": "text/plain", "lastModified": 5, "extra": {"k": 1}}
    got = result(peer.form("app.tasks.upload", [
        manifest({"file": sentinel("F1", **meta), "note": {"deep": ["n", 1]}, "at": DATE}),
        file("F1", data, "other.txt", "application/x-other")]))
    seen = got["event"]["file"]["$file"]
    assert re.fullmatch(r"/.*/data/files/[0-9a-f]{32}/0", seen.pop("path"))
    assert seen == {"id": "F1", "size": len(data), **meta}
    assert got["event"]["note"] == {"deep": ["n", 1]}
    assert got["event"]["at"] == DATE["value"]
    assert got["read"] == {"F1": {"bytes": len(data), "sha256": sha256(data)}}


def test_files_may_come_first_and_say_their_own_name(peer):
    got = result(peer.form("upload", [
        file("b", b"", "empty.txt", "text/plain"), file("a", b"A" * 70000, "../../etc/passwd"),
        ("whatever", None, None, b"x"), ("photo", "p.jpg", "image/jpeg", b"ignored"),
        manifest([sentinel("a"), sentinel("b"), sentinel("a")])]))
    names = [item["$file"].get("name") for item in got["event"]]
    assert names == ["../../etc/passwd", "empty.txt", "../../etc/passwd"]
    assert "type" not in got["event"][0]["$file"]
    assert got["event"][1]["$file"]["type"] == "text/plain"
    assert got["read"] == {"a": {"bytes": 70000, "sha256": sha256(b"A" * 70000)},
                           "b": {"bytes": 0, "sha256": sha256(b"")}}
    assert ".." not in got["event"][0]["$file"]["path"]


def test_values_keep_their_types_beside_files(peer):
    got = result(peer.form("typed-upload", [manifest({"at": DATE, "f": sentinel("x")}),
                                            file("x", b"1")]))
    assert got["event"]["at"] == DATE
    assert got["event"]["f"]["$file"]["size"] == 1


def test_nobody_can_look_for_the_files_of_others(node, peer):
    if os.getuid() != 0 and "mount" not in node.text():
        pytest.skip("this machine permits no mount namespaces")
    got = result(peer.form("upload", [manifest(sentinel("x")), file("x", b"1")]))
    assert got["others"] == "hidden"


def test_a_path_that_a_peer_wrote_is_refused(peer):
    forged = {"f": {"$file": {"id": "x", "path": "/etc/passwd"}}}
    assert peer.error("/task/upload", json.dumps({"input": forged})) == (
        400, "INVALID_JSON", "Invalid JSON body")
    assert peer.form_error("upload", [manifest(forged)]) == (
        400, "INVALID_MULTIPART", "Invalid manifest")
    assert peer.call("upload", {"$file": "a word"})["event"] == {"$file": "a word"}


def sized(file_bytes=1, files=1, fields=0, field=1):
    """A form with these numbers."""
    ids = [f"f{i}" for i in range(files)]
    text = json.dumps({"input": [sentinel(i) for i in ids]})
    parts = [("__manifest", None, None, text.encode())]
    parts += [(f"more{i}", None, None, b"y" * field) for i in range(fields)]
    return parts + [file(i, b"x" * file_bytes) for i in ids]


# What is just permitted, and what is one too many.
LIMITS = [
    ("a file", {"file_bytes": 300000}, {"file_bytes": 300001}, "File size limit exceeded"),
    ("files", {"files": 3}, {"files": 4}, "Files limit exceeded"),
    ("a field", {"fields": 1, "field": 5000}, {"fields": 1, "field": 5001},
     "Field limit exceeded"),
    ("fields", {"fields": 3}, {"fields": 4}, "Fields limit exceeded"),
    ("parts", {"fields": 3, "files": 2}, {"fields": 3, "files": 3}, "Parts limit exceeded"),
]


@pytest.mark.parametrize("permitted, refused, message", [case[1:] for case in LIMITS],
                         ids=[case[0] for case in LIMITS])
def test_one_more_than_a_limit_is_refused_and_the_limit_is_not(peer, permitted, refused, message):
    assert peer.form("upload", sized(**permitted))[0] == 200
    assert peer.form_error("upload", sized(**refused)) == (413, "PAYLOAD_TOO_LARGE", message)


def test_the_manifest_alone_may_name_too_many_files(peer):
    named = [manifest([sentinel(f"f{i}") for i in range(4)]), file("f0", b"")]
    assert peer.form_error("upload", named) == (413, "PAYLOAD_TOO_LARGE", "Files limit exceeded")


def test_the_whole_form_has_a_limit_to_the_byte(peer):
    def of(size):
        fields = [("__manifest", None, None, b'{"input":1}')]
        short = len(form(fields + [file("a", b""), file("b", b""), file("c", b"")]))
        rest = size - short - 2 * 300000
        return fields + [file("a", b"x" * 300000), file("b", b"x" * 300000),
                         file("c", b"x" * rest)]
    assert len(form(of(800000))) == 800000
    assert peer.form("upload", of(800000))[0] == 200
    assert peer.form_error("upload", of(800001)) == (413, "PAYLOAD_TOO_LARGE", "Payload too large")


def test_an_endless_form_ends_at_the_limit(node, peer):
    head = ("POST /__runner/task/upload HTTP/1.1\r\nhost: x\r\nx-runner-token: edge\r\n"
            f"content-type: multipart/form-data; boundary={BOUNDARY}\r\n"
            "transfer-encoding: chunked\r\n\r\n")
    link = peer.open(head)
    chunk = b"10000\r\n" + b"z" * 65536 + b"\r\n"  # a preamble without end
    try:
        for _ in range(1000):
            link.sendall(chunk)
    except OSError:
        pass
    answer = b""
    try:
        while b"\r\n\r\n" not in answer:
            piece = link.recv(65536)
            if not piece:
                break
            answer += piece
    except OSError:
        pass
    link.close()
    assert answer == b"" or answer.startswith(b"HTTP/1.1 413")
    assert peer.call("upload", 1)["event"] == 1  # and the node goes on


WRONG = [
    ("no manifest", [file("x", b"1")], (400, "MISSING_MANIFEST", "Missing manifest")),
    ("a manifest that is no JSON", [("__manifest", None, None, b"{")],
     (400, "INVALID_MULTIPART", "Invalid manifest")),
    ("a manifest with an unknown type", [("__manifest", None, None,
                                          b'{"input":{"__type":"What","value":1}}')],
     (400, "INVALID_MULTIPART", "Invalid manifest")),
    ("two manifests", [manifest(1), manifest(2)], INVALID),
    ("one file twice", [manifest(sentinel("x")), file("x", b"1"), file("x", b"2")], INVALID),
    ("a file that does not come", [manifest(sentinel("x")), file("y", b"1")],
     (500, "MISSING_FILE_PART", "Internal Error")),
]


@pytest.mark.parametrize("parts, error", [case[1:] for case in WRONG],
                         ids=[case[0] for case in WRONG])
def test_what_is_wrong_with_a_form_is_said(peer, parts, error):
    assert peer.form_error("upload", parts) == error


def test_text_that_is_no_form_is_said(peer):
    kind = "multipart/form-data; boundary=b"
    for body in (b"", b"hello", b"--b", b"--b\r\nno colon\r\n\r\n1\r\n--b--",
                 form([manifest(1)], "b", end=False), os.urandom(3000)):
        assert peer.error("/task/upload", body, content_type=kind) == INVALID, body
    for kind in ("multipart/form-data", "multipart/form-data; boundary=",
                 "multipart/form-data; boundary=" + "b" * 71):
        assert peer.error("/task/upload", b"--b--", content_type=kind) == INVALID, kind


def test_a_form_needs_its_lane_token_but_no_hash(peer):
    from lanepeer import lane_token
    parts = [manifest(sentinel("x")), file("x", b"1")]
    good = lane_token("", lane="guarded", target="app.tasks.guarded", hash=None)
    other = lane_token("", lane="guarded", target="app.tasks.upload")
    assert peer.form("guarded", parts, authorization="Bearer " + good)[0] == 200
    any_hash = lane_token("another body", lane="guarded", target="app.tasks.guarded")
    assert peer.form("guarded", parts, authorization="Bearer " + any_hash)[0] == 200
    assert peer.form_error("guarded", parts, authorization="Bearer " + other) == (
        401, "UNAUTHORIZED", "Unauthorized")
    assert peer.form_error("guarded", parts)[0] == 401


def test_a_failing_task_leaves_no_files(peer):
    assert peer.form_error("upload", [manifest({"fails": True, "f": sentinel("x")}),
                                      file("x", b"1")]) == (500, "INTERNAL_ERROR", "Internal Error")


def test_a_client_that_goes_away_in_the_middle_leaves_no_files(node, peer):
    body = form([manifest(sentinel("x")), file("x", b"x" * 200000)], end=False)
    link = peer.open("POST /__runner/task/upload HTTP/1.1\r\nhost: x\r\nx-runner-token: edge\r\n"
                     f"content-type: multipart/form-data; boundary={BOUNDARY}\r\n"
                     "content-length: 400000\r\n\r\n", body)
    eventually(lambda: os.listdir(node.cwd / "data/files"), what="a file that is being received")
    link.shutdown(socket.SHUT_RDWR)
    link.close()


def test_a_function_of_the_lambda_api_gets_files_too():
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:  # /tmp is the function's own
        node = serve(Path(folder), {}, CONFIG, "--data-dir", "data")
        try:
            Lambda(node).create("reader", {"index.mjs": READER})
            got = result(node.peer.form("upload", [manifest(sentinel("x")), file("x", b"12345")]))
            assert got["read"] == {"x": {"bytes": 5, "sha256": sha256(b"12345")}}
            node.stop()
        finally:
            node.kill()


def test_a_disk_that_takes_nothing_is_an_error_and_no_more(node):
    folder = node.cwd / "data/files"
    parts = [manifest(sentinel("x")), file("x", b"x" * 200000)]
    folder.rename(folder.with_name("away"))
    try:
        assert node.peer.form_error("upload", parts) == (500, "STREAM_ERROR", "Internal Error")
        record = node.wait_record(lambda r: r["msg"] == "exposure.task.error"
                                  and "files" in r["error"])
        assert str(folder) in record["error"]
    finally:
        folder.with_name("away").rename(folder)
    assert node.peer.form("upload", parts)[0] == 200
